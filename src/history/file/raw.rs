//! The parts of an event: its details, texts, numbers and times, in the notation of the API and in that
//! of CloudWatch Logs.
//!
//! An event has one member `*EventDetails`, or `details` in a log. The fields do not clash between
//! types: all of them are read by one visitor.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::history::{Details, fingerprint};

/// Reads an event's details.
pub(super) struct DetailsOf<'a>(pub(super) &'a mut Details);

impl<'de> DeserializeSeed<'de> for DetailsOf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for DetailsOf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event's details")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let details = self.0;
        let (mut parameters, mut region) = (None, None);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match camel_case(&key).as_ref() {
                "name" => details.name = map.next_value::<RawText>()?.0,
                "index" => details.index = map.next_value::<RawNumber>()?.0,
                "input" => details.input = map.next_value::<RawText>()?.0,
                "parameters" => parameters = map.next_value::<RawText>()?.0,
                "region" => region = map.next_value::<RawText>()?.0,
                "output" => details.output = map.next_value::<RawText>()?.0,
                "error" => details.error = map.next_value::<RawText>()?.0,
                "cause" => details.cause = map.next_value::<RawText>()?.0,
                "state" => details.state = map.next_value::<RawText>()?.0,
                "location" => details.location = map.next_value::<RawText>()?.0,
                "resource" => details.resource = map.next_value::<RawText>()?.0,
                "resourceType" => details.resource_type = map.next_value::<RawText>()?.0,
                "timeoutInSeconds" => details.timeout_seconds = map.next_value::<RawNumber>()?.0,
                "heartbeatInSeconds" => details.heartbeat_seconds = map.next_value::<RawNumber>()?.0,
                "mapRunArn" => details.map_run_arn = map.next_value::<RawText>()?.0,
                "redriveCount" => details.redrive_count = map.next_value::<RawNumber>()?.0,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        // A task is called with parameters, a function or an activity with an input.
        match parameters {
            Some(parameters) => details.call_with(&parameters, region.as_deref()),
            None => {
                details.called_with = details.resource.as_ref().and(details.input.as_deref()).map(fingerprint)
            }
        }
        Ok(())
    }
}

/// The API's notation of a field's name: `resourceType` for `resource_type`.
fn camel_case(key: &str) -> Cow<'_, str> {
    if !key.contains('_') {
        return Cow::Borrowed(key);
    }
    let mut upper = false;
    let chars = key.chars().filter_map(|char| {
        let shown = if upper { char.to_ascii_uppercase() } else { char };
        upper = char == '_';
        (!upper).then_some(shown)
    });
    Cow::Owned(chars.collect())
}

/// A text; any other value as its JSON; null as none.
pub(super) struct RawText(pub(super) Option<String>);

impl<'de> Deserialize<'de> for RawText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }))
    }
}

/// A whole number, also as text; anything else as none.
pub(super) struct RawNumber(pub(super) Option<i64>);

impl<'de> Deserialize<'de> for RawNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        }))
    }
}

/// Seconds or milliseconds since 1970, also as text, or ISO 8601 with any offset, UTC where it has none;
/// anything else as none.
pub(super) struct Time(pub(super) Option<Timestamp>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => {
                text.parse::<Timestamp>().ok().or_else(|| from_epoch(text.parse().ok()?)).or_else(|| {
                    let local = text.parse::<jiff::civil::DateTime>().ok()?;
                    Some(local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
                })
            }
            serde_json::Value::Number(number) => number.as_f64().and_then(from_epoch),
            _ => None,
        }))
    }
}

/// Past the year 5138 in seconds, it is milliseconds.
fn from_epoch(number: f64) -> Option<Timestamp> {
    let seconds = if number.abs() >= 1e11 { number / 1e3 } else { number };
    // Histories are kept to the millisecond, which is what a float still holds exactly.
    #[expect(clippy::cast_possible_truncation, reason = "a float out of range saturates and is refused")]
    Timestamp::from_millisecond((seconds * 1e3).round() as i64).ok()
}
