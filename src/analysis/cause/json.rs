//! The message in JSON of no known kind: whatever somebody's own code sends, or a service that is not
//! in the table.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::field::{self, is_named};
use super::partial::Fields;
use super::reader::Own;
use super::{CauseContext, CauseKind, ParsedCause, stack};

pub(super) static READER: Own = Own {
    name: "Anything else",
    called: &[],
    fits: |_, _| true,
    understand,
    reads: "the first field that is named like a message, outer objects before inner ones, with the one beside it that is named like a code; an SDK's sentence; else any text, its stack apart",
};

/// How many values are looked at.
const MAX_LOOKED_AT: usize = 20_000;

/// Names of fields that hold a message, the most specific first.
const MESSAGES: [&str; 29] = [
    "ErrorMessage",
    "FailureReason",
    "FailureMessage",
    "LastFailureMessage",
    "StateChangeReason",
    "StatusReason",
    "StackStatusReason",
    "StoppedReason",
    "StopReason",
    "StatusMessage",
    "StateDetails",
    "StateDetail",
    "StatusDetails",
    "ExitMessage",
    "ErrorDescription",
    "ErrorReason",
    "ErrorDetails",
    "FaultString",
    "ErrMsg",
    "ErrorMsg",
    "Message",
    "Msg",
    "Reason",
    "Detail",
    "Error",
    "Err",
    "Exception",
    "Cause",
    "Fault",
];

/// Names of fields that may hold a message, where nothing else does.
const LESSER: [&str; 7] = ["Description", "Title", "Details", "Body", "ResponseBody", "Response", "Payload"];

/// Names of fields that hold the code of an error.
const CODES: [&str; 8] =
    ["ErrorCode", "ErrorType", "ExceptionType", "ExceptionClass", "Code", "StatusCode", "Error", "Errno"];

/// Names of fields that hold one only where it looks like it.
const PERHAPS: [&str; 4] = ["Type", "Name", "Reason", "FailureReason"];

/// Fields with the request and with names, which never have the reason of a failure.
const NOT_WHY: [&str; 27] = [
    "Annotations",
    "Arguments",
    "Attachments",
    "Command",
    "Config",
    "Configuration",
    "DefaultArguments",
    "Env",
    "Environment",
    "EnvironmentVariables",
    "Event",
    "Headers",
    "HyperParameters",
    "Input",
    "InputDetails",
    "JobParameters",
    "Labels",
    "Metadata",
    "Parameters",
    "Request",
    "RequestBody",
    "RequestHeaders",
    "Spec",
    "Tags",
    "TagSet",
    "Overrides",
    "Context",
];

/// The object parsed by the names of its fields.
fn understand(reading: CauseContext<'_>, fields: &Fields) -> ParsedCause {
    let found = find(below(&fields.values), &fields.values).or_else(|| Some((known(reading, fields)?, None)));
    let (message, error_type) = found.unzip();
    let stack = stack::of(&fields.values);
    ParsedCause { stack, ..ParsedCause::says(CauseKind::Json, message, error_type.flatten()) }
}

/// What is known where there is no message: a code, how it ended, or what a web service answered.
fn known(reading: CauseContext<'_>, fields: &Fields) -> Option<String> {
    let state =
        |name: &&String| ["status", "state"].iter().any(|end| name.to_ascii_lowercase().ends_with(end));
    let state = fields.values.keys().filter(state).find_map(|name| field::text(&fields.values, name));
    let code = ["ErrorCode", "ErrorType", "Code"].iter().find_map(|name| field::text(&fields.values, name));
    let how = || state.and_then(|state| ended("it", state, None));
    code.map(str::to_owned).or_else(how).or_else(|| answered(reading.error?))
}

/// How something ended without a reason: `the Glue job run timed out (TIMEOUT)`. `None` where it did
/// not fail.
pub(super) fn ended(what: &str, state: &str, limit: Option<&str>) -> Option<String> {
    let plain: String = state.chars().filter(char::is_ascii_alphabetic).collect();
    let plain = plain.to_ascii_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| plain.contains(word));
    if is(&["timeout", "timedout"]) {
        let limit = limit.map(|limit| format!(" after its limit{limit}")).unwrap_or_default();
        return Some(format!("{what} timed out{limit} ({state})"));
    }
    if is(&["cancel"]) {
        return Some(format!("{what} was cancelled ({state})"));
    }
    if is(&["stop", "abort", "terminat", "interrupt"]) {
        return Some(format!("{what} was stopped ({state})"));
    }
    let failed = ["fail", "error", "fault", "expired", "rollback", "unhealthy", "incomplete"];
    is(&failed).then(|| format!("{what} ended as {state}, without a reason"))
}

/// `States.Http.StatusCode.404`, `ApiGateway.404`: what the other side answered.
pub(super) fn answered(error: &str) -> Option<String> {
    let (service, status) = error.rsplit_once('.')?;
    let is_status = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    let who = match service {
        "States.Http.StatusCode" => "the endpoint",
        "ApiGateway" => "the API",
        _ => return None,
    };
    is_status.then(|| format!("{who} answered {status}"))
}

/// The message under a name that says that it is one.
pub(super) fn strong(fields: &Fields) -> Option<(String, Option<String>)> {
    search(below(&fields.values), &fields.values, &MESSAGES)
}

/// The same for a list.
pub(super) fn understand_list(list: &[Value]) -> ParsedCause {
    let (message, error_type) = find(list.iter(), &Map::new()).unzip();
    ParsedCause::says(CauseKind::Json, message, error_type.flatten())
}

/// The first message, outer objects before inner ones, with the type that stands beside it.
fn find<'a>(
    inner: impl Iterator<Item = &'a Value> + Clone,
    outer: &Map<String, Value>,
) -> Option<(String, Option<String>)> {
    search(inner.clone(), outer, &MESSAGES).or_else(|| search(inner, outer, &LESSER))
}

fn search<'a>(
    inner: impl Iterator<Item = &'a Value>,
    outer: &Map<String, Value>,
    names: &[&str],
) -> Option<(String, Option<String>)> {
    if let Some(found) = in_object(outer, names) {
        return Some(found);
    }
    let mut queue: VecDeque<&Value> = inner.take(MAX_LOOKED_AT).collect();
    let mut looked_at = 0;
    while let Some(value) = queue.pop_front() {
        looked_at += 1;
        let room = MAX_LOOKED_AT.saturating_sub(looked_at + queue.len());
        match value {
            Value::Object(object) => {
                if let Some(found) = in_object(object, names) {
                    return Some(found);
                }
                queue.extend(below(object).take(room));
            }
            Value::Array(list) => queue.extend(list.iter().take(room)),
            _ => {}
        }
    }
    None
}

/// The values of an object among which the reason may be.
fn below(object: &Map<String, Value>) -> impl Iterator<Item = &Value> + Clone {
    let may_say_why = |(key, _): &(&String, &Value)| !NOT_WHY.iter().any(|name| is_named(key, name));
    object.iter().filter(may_say_why).map(|(_, value)| value)
}

fn in_object(object: &Map<String, Value>, names: &[&str]) -> Option<(String, Option<String>)> {
    let (name, message) = names.iter().find_map(|name| Some((*name, field::text(object, name)?)))?;
    // What AWS's own protocols name it.
    let type_of = object.get("__type").and_then(Value::as_str).and_then(|text| text.rsplit('#').next());
    let code = type_of.map(str::to_owned);
    let code =
        code.or_else(|| CODES.iter().filter(|code| **code != name).find_map(|code| code_of(object, code)));
    let perhaps = || {
        let others = PERHAPS.iter().filter(|other| **other != name);
        others.filter_map(|other| field::text(object, other)).find(|text| looks_like_a_type(text))
    };
    let code = code.or_else(|| perhaps().map(str::to_owned));
    Some((message.to_owned(), code))
}

/// A code, which may be a number; a sentence is none.
pub(super) fn code_of(object: &Map<String, Value>, name: &str) -> Option<String> {
    let code = field::text(object, name).filter(|code| !code.contains(char::is_whitespace));
    code.map(str::to_owned).or_else(|| field::number(object, name).map(|number| number.to_string()))
}

/// `TypeError`, `card_error`, `BackoffLimitExceeded`, `USER_ERROR`; not a name that somebody gave to a
/// thing.
fn looks_like_a_type(text: &str) -> bool {
    const ENDS: [&str; 9] =
        ["error", "exception", "fault", "exceeded", "failed", "failure", "denied", "timeout", "killed"];
    let text = text.to_ascii_lowercase();
    !text.contains(char::is_whitespace) && ENDS.iter().any(|end| text.ends_with(end))
}
