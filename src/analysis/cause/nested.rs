//! What Step Functions says of a child execution that failed under `startExecution.sync`.
//!
//! The cause is the child's description as JSON, keys in Pascal case and in any order: `Cause`,
//! `Error`, `ExecutionArn`, `Input`, `InputDetails`, `Name`, `StartDate`, `StateMachineArn`,
//! `Status`, `StopDate`. With a large input or a long cause it is cut off at 32,768 characters and
//! no longer parses. The child's input is text inside the text and may hold an `ExecutionArn` of
//! its own, so only the outermost fields count.

use super::partial::Fields;
use super::{CauseKind, ParsedCause};
use crate::arn::ExecutionArn;

/// Fields of the description other than the child's ARN.
const OTHERS: [&str; 9] =
    ["Cause", "Error", "Input", "InputDetails", "Name", "StartDate", "StateMachineArn", "Status", "StopDate"];

/// Whether an object describes a child execution. One that is cut off may end before the ARN: then
/// the error says it.
pub(super) fn is_child(error: Option<&str>, fields: &Fields) -> bool {
    if fields.text("ExecutionArn").is_some() {
        return OTHERS.iter().any(|key| fields.has(key));
    }
    let known = || fields.values.keys().all(|key| OTHERS.contains(&key.as_str()));
    !fields.complete && error == Some("States.TaskFailed") && fields.has("Cause") && known()
}

/// The child's ARN, unless the text breaks off in it.
pub(super) fn arn(fields: &Fields) -> Option<ExecutionArn> {
    if !OTHERS.iter().any(|key| fields.has(key)) {
        return None;
    }
    ExecutionArn::parse(fields.whole_text("ExecutionArn")?).ok()
}

/// The child's failure, with what its own cause says (`inner`).
pub(super) fn understand(fields: &Fields, inner: Option<ParsedCause>) -> ParsedCause {
    let text = |key: &str| fields.text(key).filter(|text| !text.is_empty());
    let error = fields.whole_text("Error").filter(|error| !error.is_empty());
    let inner =
        inner.unwrap_or(ParsedCause { kind: CauseKind::Text, message: None, error_type: None, stack: None });
    let without_cause = || {
        let name =
            text("Name").map_or_else(|| "the child execution".to_owned(), |name| format!("execution {name}"));
        text("Status").map(|status| format!("{name} ended {status}"))
    };
    ParsedCause {
        kind: CauseKind::NestedExecution,
        message: inner.message.or_else(without_cause),
        error_type: error.map(str::to_owned).or(inner.error_type),
        stack: inner.stack,
    }
}
