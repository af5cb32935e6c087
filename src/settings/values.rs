//! Readers of single values: from the text of a flag, a variable or a key to a checked value.
//!
//! Each says what was expected. None repeats a URL that it was given: it may hold a secret.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use url::Url;

use super::InvalidValue;

pub(crate) fn name(text: &str) -> Result<String, InvalidValue> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(InvalidValue::expected("a name without control characters"));
    }
    Ok(text.to_owned())
}

/// Names, separated by commas.
pub(crate) fn names(text: &str) -> Result<Vec<String>, InvalidValue> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(name).collect()
}

pub(crate) fn api_url(text: &str) -> Result<Url, InvalidValue> {
    let url = Url::parse(text).map_err(|error| InvalidValue::malformed(format!("a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(InvalidValue::expected("a URL that begins with http:// or https://"));
    }
    Ok(url)
}

pub(crate) fn email(text: &str) -> Result<String, InvalidValue> {
    let parts = text.split_once('@').filter(|(user, host)| !user.is_empty() && !host.is_empty());
    if parts.is_none() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(InvalidValue::malformed(format!("an e-mail address: {text:?}")));
    }
    Ok(text.to_owned())
}

pub(crate) fn number<T: FromStr + PartialOrd + fmt::Display>(
    text: &str,
    least: T,
    most: T,
) -> Result<T, InvalidValue> {
    match text.parse::<T>() {
        Ok(number) if (&least..=&most).contains(&&number) => Ok(number),
        _ => Err(InvalidValue::found(format!("a whole number from {least} to {most}"), text)),
    }
}

pub(crate) fn seconds(text: &str, least: u64, most: u64) -> Result<Duration, InvalidValue> {
    number(text, least, most).map(Duration::from_secs)
}

/// A length of time with its unit: `90s`, `15m`, `1h`, `90d`.
pub(crate) fn duration(text: &str) -> Result<Duration, InvalidValue> {
    let wrong = || InvalidValue::found("a time with its unit, such as 90s, 15m, 1h or 90d", text);
    let span: Span = text.parse().map_err(|_| wrong())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Duration::try_from(length).ok().filter(|length| !length.is_zero()).ok_or_else(wrong)
}

/// A length of time, or `off`.
pub(crate) fn duration_or_off(text: &str) -> Result<Option<Duration>, InvalidValue> {
    if text == "off" {
        return Ok(None);
    }
    let wrong = |_| InvalidValue::found("off, or a time with its unit, such as 90s, 15m or 1h", text);
    duration(text).map(Some).map_err(wrong)
}

/// Lengths of time, separated by commas; one at least.
pub(crate) fn durations(text: &str) -> Result<Vec<Duration>, InvalidValue> {
    text.split(',').map(|item| duration(item.trim())).collect()
}

pub(crate) fn switch(text: &str) -> Result<bool, InvalidValue> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(InvalidValue::found("on or off", text)),
    }
}
