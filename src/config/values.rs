//! Readers of the values of this program's own settings.

use std::net::SocketAddr;

use crate::aws::arn::base_state_machine;
use crate::memory;
use crate::pipeline::MapRunChildren;
use crate::settings::InvalidValue;
use crate::settings::values::{api_url, number};
use crate::telemetry::{self, LogFormat};

pub(crate) fn queue_url(text: &str) -> Result<String, InvalidValue> {
    let url = api_url(text)?;
    let name = url.path_segments().and_then(Iterator::last).unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(InvalidValue::expected(
            "a queue's URL, such as https://sqs.REGION.amazonaws.com/ACCOUNT/NAME",
        ));
    }
    if name.ends_with(".fifo") {
        let why = "a FIFO queue holds up every failure behind a slow one; use a standard queue";
        return Err(InvalidValue::not_allowed(why));
    }
    Ok(text.to_owned())
}

pub(crate) fn state_machines(text: &str) -> Result<Vec<String>, InvalidValue> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let (arns, others): (Vec<&str>, Vec<&str>) =
        items.partition(|arn| match arn.split(':').collect::<Vec<_>>().as_slice() {
            ["arn", _, "states", _, _, "stateMachine", name, ..] => !name.is_empty(),
            _ => false,
        });
    if others.is_empty() {
        Ok(arns.into_iter().map(base_state_machine).collect())
    } else {
        let others: Vec<String> = others.iter().map(|other| format!("{other:?}")).collect();
        Err(InvalidValue::malformed(format!("the ARN of a state machine: {}", others.join(", "))))
    }
}

pub(crate) fn map_run_children(text: &str) -> Result<MapRunChildren, InvalidValue> {
    match text {
        "fold" => Ok(MapRunChildren::Fold),
        "notify" => Ok(MapRunChildren::Notify),
        _ => Err(InvalidValue::found("fold or notify", text)),
    }
}

pub(crate) fn log_filter(text: &str) -> Result<String, InvalidValue> {
    telemetry::check_filter(text).map_err(|error| InvalidValue::Refused(error.into()))?;
    Ok(text.to_owned())
}

pub(crate) fn log_format(text: &str) -> Result<LogFormat, InvalidValue> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(InvalidValue::found("text or json", text)),
    }
}

pub(crate) fn history_rate(text: &str) -> Result<Option<f64>, InvalidValue> {
    if text == "off" {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(rate) if (0.01..=10_000.0).contains(&rate) => Ok(Some(rate)),
        _ => Err(InvalidValue::found("calls a second from 0.01 to 10000, or off", text)),
    }
}

pub(crate) fn admin_addr(text: &str) -> Result<Option<SocketAddr>, InvalidValue> {
    if text == "off" {
        return Ok(None);
    }
    let expected = "an address with its port, such as 127.0.0.1:9108, or off";
    text.parse().map(Some).map_err(|_| InvalidValue::found(expected, text))
}

/// A budget in MiB as bytes.
pub(crate) fn memory_budget(text: &str) -> Result<u64, InvalidValue> {
    number(text, memory::SMALLEST / memory::MIB, 1_048_576).map(|mib: u64| mib * memory::MIB)
}
