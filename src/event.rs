//! The failure event: what EventBridge puts into the queue when an execution changes its status.
//!
//! [`parse`] reads the body of a message and returns the status changes in it. It accepts
//! the present format of AWS and that of 2019, LocalStack's, and all wrappings: SNS
//! notifications, Pipes arrays and records, and a target that passes only `$.detail`. Only the
//! execution's ARN and its status are required; any other field that is missing, or of another type
//! than expected, is left out.

mod envelope;

use jiff::Timestamp;
use serde_json::Value;

use crate::aws::arn::ExecutionArn;
use crate::history::Status;
pub use envelope::{parse, parse_some};

/// Why a body is not a status change of an execution. Shows only the body's shape, and texts that
/// look like a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotUnderstood {
    /// The body, or the content of a wrapper, is not JSON.
    #[error("{place} is not JSON: {why}")]
    NotJson {
        /// Which part: the body, or the text inside a wrapper.
        place: &'static str,
        /// The parser's error.
        why: String,
    },
    /// JSON of another shape.
    #[error("{0}")]
    Shape(String),
    /// An event of another kind.
    #[error("an event {detail_type:?} of {source_name:?}, not a status change of a Step Functions execution")]
    OtherEvent {
        /// The envelope's `detail-type`.
        detail_type: String,
        /// The envelope's `source`.
        source_name: String,
    },
}

/// A change of an execution's status.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusChange {
    /// The execution.
    pub execution: ExecutionArn,
    /// Its state machine, without version or alias; derived from the execution if the event
    /// does not name it.
    pub state_machine_arn: String,
    /// The version of the state machine that the execution was started with, where that is one.
    pub version_arn: Option<String>,
    /// What it changed to.
    pub status: Status,
    /// How often the execution had been redriven; unknown in events from before that existed.
    pub redrive_count: Option<u32>,
    /// The execution's error, if it had one.
    pub error: Option<String>,
    /// The error's cause.
    pub cause: Option<String>,
    /// The execution's input as JSON text; EventBridge leaves out what is larger than 248 KB.
    pub input: Option<String>,
    /// When the execution began.
    pub started_at: Option<Timestamp>,
    /// When the execution ended.
    pub stopped_at: Option<Timestamp>,
    /// Whether the execution can be redriven: `REDRIVABLE`, `NOT_REDRIVABLE`.
    pub redrive_status: Option<String>,
    /// Why it cannot be redriven.
    pub redrive_status_reason: Option<String>,
}

impl StatusChange {
    /// What the same failure always has in common, and two failures never: the execution, its
    /// status, and how often it was redriven before. A message's id would not do (a redrive from
    /// the dead-letter queue gives a new one), nor the ARN alone (a redriven execution keeps it).
    pub fn failure_key(&self) -> FailureKey {
        FailureKey::of(&self.execution, self.status, self.redrive_count.unwrap_or(0))
    }

    fn from_detail(detail: &Value) -> Result<Self, NotUnderstood> {
        let shape = |text: &str| NotUnderstood::Shape(text.to_owned());
        let execution =
            detail["executionArn"].as_str().ok_or_else(|| shape("the event names no executionArn"))?;
        let execution = ExecutionArn::parse(execution)
            .map_err(|error| shape(&format!("its executionArn is none: {}", error.why())))?;
        let status = detail["status"].as_str().ok_or_else(|| shape("the event names no status"))?;
        let status = Status::parse(status)
            .ok_or_else(|| NotUnderstood::Shape(format!("no status of an execution: {:?}", shown(status))))?;
        let state_machine_arn =
            detail["stateMachineArn"].as_str().map_or_else(|| execution.state_machine_arn(), str::to_owned);
        Ok(Self {
            state_machine_arn,
            version_arn: text(&detail["stateMachineVersionArn"]),
            status,
            redrive_count: detail["redriveCount"].as_u64().and_then(|count| u32::try_from(count).ok()),
            error: text(&detail["error"]),
            cause: text(&detail["cause"]),
            input: text(&detail["input"]),
            started_at: time(&detail["startDate"]),
            stopped_at: time(&detail["stopDate"]),
            redrive_status: text(&detail["redriveStatus"]),
            redrive_status_reason: text(&detail["redriveStatusReason"]),
            execution,
        })
    }
}

/// Identifies a failure across redeliveries; see [`StatusChange::failure_key`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FailureKey(String);

impl FailureKey {
    /// The key of the failure with this status after so many redrives.
    pub fn of(execution: &ExecutionArn, status: Status, redrive_count: u32) -> Self {
        Self(format!("{execution} {} {redrive_count}", status.as_str()))
    }

    /// The execution, the status and the number of redrives that a key was made of.
    pub fn parts(key: &str) -> Option<(ExecutionArn, Status, u32)> {
        let mut parts = key.rsplitn(3, ' ');
        let redrive_count = parts.next()?.parse().ok()?;
        let status = Status::parse(parts.next()?)?;
        Some((ExecutionArn::parse(parts.next()?).ok()?, status, redrive_count))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A string as it is, anything but null as JSON text: LocalStack sends an empty input as the
/// object `{}`, AWS always as a string.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// AWS sends epoch milliseconds as a number, LocalStack an ISO 8601 string.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => {
            let millis = number.as_i64().or_else(|| number.as_f64().map(|millis| millis as i64))?;
            Timestamp::from_millisecond(millis).ok()
        }
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// The text, if it looks like an identifier and may be logged. Anything else could be payload data.
fn shown(text: &str) -> &str {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, ' ' | '.' | '-' | '_' | '/');
    if text.len() <= 60 && text.chars().all(is_plain) { text } else { "(not a name)" }
}

#[cfg(test)]
mod tests;
