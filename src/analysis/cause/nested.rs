//! The cause that Step Functions writes for a child execution that failed under `startExecution.sync`.
//!
//! The cause is the child's description as JSON, keys in Pascal case and in any order: `Cause`,
//! `Error`, `ExecutionArn`, `Input`, `InputDetails`, `Name`, `RedriveCount`, `StartDate`,
//! `StateMachineArn`, `Status`, `StopDate` and more. With a large input or a long cause it is cut off
//! at 32,768 characters and no longer parses. The child's input is text inside the text and may hold
//! an `ExecutionArn` of its own, so only the outermost fields count.
//!
//! Somebody's own code, or a Fail state, may throw a caught error on whole: `{"Error": …, "Cause": …}`.

use super::field::meaningful;
use super::partial::Fields;
use super::reader::Own;
use super::{CauseContext, CauseKind, ParsedCause};
use crate::aws::arn::ExecutionArn;

/// Fields of the description other than the child's ARN.
const OTHERS: [&str; 20] = [
    "Cause",
    "Error",
    "Input",
    "InputDetails",
    "MapRunArn",
    "Name",
    "Output",
    "OutputDetails",
    "RedriveCount",
    "RedriveDate",
    "RedriveStatus",
    "RedriveStatusReason",
    "StartDate",
    "StateMachineAliasArn",
    "StateMachineArn",
    "StateMachineVersionArn",
    "Status",
    "StopDate",
    "TraceHeader",
    "BillingDetails",
];

pub(super) static CHILD: Own = Own {
    name: "AWS Step Functions",
    called: &["states:startExecution", "aws-sdk:sfn:startSyncExecution"],
    fits: |reading, fields| is_child(reading.error, fields),
    understand,
    reads: "`Cause` with `Error` of the child, the cause opened in its turn; else `Status`",
};

pub(super) static RETHROWN: Own = Own {
    name: "A caught error, thrown on",
    called: &[],
    fits: |_, fields| rethrown(fields).is_some(),
    understand: |reading, fields| {
        let inner = reading.inner(fields.text("Error"), rethrown(fields).unwrap_or_default());
        let error = fields.text("Error").and_then(meaningful).map(str::to_owned);
        ParsedCause { error_type: inner.error_type.or(error), ..inner }
    },
    reads: "`Cause`, opened in its turn, with `Error`",
};

/// Whether an object describes a child execution. One that is cut off may end before the ARN: then
/// the error says it.
fn is_child(error: Option<&str>, fields: &Fields) -> bool {
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

/// The cause inside a caught error that somebody threw on whole.
pub(super) fn rethrown(fields: &Fields) -> Option<&str> {
    let only_those = fields.values.keys().all(|key| key == "Error" || key == "Cause");
    if fields.complete && only_those { fields.text("Cause") } else { None }
}

/// The child's failure, with what its own cause says. The error's name is that beside the message:
/// of a child of the child, where the message is that one's.
fn understand(reading: CauseContext<'_>, fields: &Fields) -> ParsedCause {
    let text = |key: &str| fields.text(key).and_then(meaningful);
    let error = fields.whole_text("Error").and_then(meaningful);
    let inner = match text("Cause") {
        Some(cause) => reading.inner(fields.text("Error"), cause),
        None => ParsedCause::empty(CauseKind::Text),
    };
    let without_cause = || {
        let name =
            text("Name").map_or_else(|| "the child execution".to_owned(), |name| format!("execution {name}"));
        text("Status").map(|status| format!("{name} ended {status}"))
    };
    ParsedCause {
        kind: CauseKind::NestedExecution,
        message: inner.message.or_else(without_cause),
        error_type: inner.error_type.or_else(|| error.map(str::to_owned)),
        stack: inner.stack,
    }
}
