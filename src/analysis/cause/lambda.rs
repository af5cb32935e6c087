//! What Lambda says of a failed invocation.
//!
//! A function that throws answers with an object, its keys in lower camel case: `errorMessage` and
//! `errorType`, and the frames as `stackTrace` (Python, Java, .NET, Ruby, Go) or `trace` (Node).
//! When the runtime itself dies or runs out of time, Lambda writes such an object in its place.

use serde_json::Map;
use serde_json::Value;

use super::partial::Fields;
use super::{CauseKind, ParsedCause, stack};

/// What Step Functions writes when an answer has no `errorType`, with the answer behind it.
const UNTYPED: &str = "because Lambda did not return an error type. Returned payload: ";

/// Whether an object is one of Lambda's.
pub(super) fn is_error(fields: &Fields) -> bool {
    let frames = || fields.has("stackTrace") || fields.has("trace") || fields.has("requestId");
    fields.text("errorMessage").is_some() || (fields.text("errorType").is_some() && frames())
}

/// The error object understood.
pub(super) fn understand(fields: &Fields) -> ParsedCause {
    let text = |key: &str| fields.text(key).filter(|text| !text.is_empty());
    ParsedCause {
        kind: CauseKind::Lambda,
        message: text("errorMessage").map(|message| without_labels(message).to_owned()),
        error_type: text("errorType").map(str::to_owned),
        stack: stack::of(&relabelled(&fields.values)),
    }
}

/// The payload that Step Functions found no error type in.
pub(super) fn untyped_payload(cause: &str) -> Option<&str> {
    let at = cause.find(UNTYPED)?;
    cause.get(at + UNTYPED.len()..)
}

/// Lambda's own messages start with what the report says elsewhere: `RequestId: … Error: `, or a
/// time and a request id.
fn without_labels(message: &str) -> &str {
    let message = message.trim();
    if let Some((id, rest)) = message.strip_prefix("RequestId: ").and_then(|rest| rest.split_once(' '))
        && is_uuid(id)
    {
        return rest.trim_start().trim_start_matches("Error: ");
    }
    let mut words = message.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some(time), Some(id), Some(rest)) if time.ends_with('Z') && time.contains('T') && is_uuid(id) => {
            rest
        }
        _ => message,
    }
}

/// The same object with the labels gone, as the trace repeats the message.
fn relabelled(values: &Map<String, Value>) -> Map<String, Value> {
    let mut values = values.clone();
    if let Some(Value::String(message)) = values.get_mut("errorMessage") {
        *message = without_labels(message).to_owned();
    }
    values
}

fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
