//! Lambda's answer to a failed invocation.
//!
//! A function that throws answers with an object, its keys in lower camel case: `errorMessage` and
//! `errorType`, and the frames as `stackTrace` (Python, Java, .NET, Ruby, Go) or `trace` (Node).
//! When the runtime itself dies or runs out of time, Lambda writes such an object in its place.

use serde_json::Map;
use serde_json::Value;

use super::field::meaningful;
use super::partial::Fields;
use super::reader::Own;
use super::{CauseContext, CauseKind, ParsedCause, stack};

/// What Step Functions writes when an answer has no `errorType`, with the answer behind it.
const UNTYPED: &str = "because Lambda did not return an error type. Returned payload:";

pub(super) static READER: Own = Own {
    name: "AWS Lambda",
    called: &["lambda:invoke"],
    fits: |_, fields| is_error(fields),
    understand,
    reads: "`errorMessage` with `errorType`, opened where it is JSON itself; the stack in the language's own lines; the payload of an answer without an error type",
};

/// Whether an object is one of Lambda's.
fn is_error(fields: &Fields) -> bool {
    let frames = || fields.has("stackTrace") || fields.has("trace") || fields.has("requestId");
    fields.text("errorMessage").is_some() || (fields.text("errorType").is_some() && frames())
}

/// The error object understood. An exception without a message may have one below it that has.
fn understand(_: CauseContext<'_>, fields: &Fields) -> ParsedCause {
    let mut exception = Some(&fields.values);
    let mut said = None;
    for _ in 0..stack::MAX_CHAIN {
        let Some(object) = exception else { break };
        let text = |key: &str| object.get(key).and_then(Value::as_str).and_then(meaningful);
        let kind = || text("errorType").map(str::to_owned);
        said = text("errorMessage").map(|message| (without_labels(message).to_owned(), kind()));
        if said.is_some() {
            break;
        }
        exception = object.get("cause").and_then(Value::as_object);
    }
    let (message, error_type) = said.unzip();
    let own_type = || fields.text("errorType").and_then(meaningful).map(str::to_owned);
    ParsedCause {
        kind: CauseKind::Lambda,
        message,
        error_type: error_type.unwrap_or_else(own_type),
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
pub(super) fn without_labels(message: &str) -> &str {
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
