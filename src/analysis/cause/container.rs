//! What ECS and AWS Batch say of a container that stopped.

use serde_json::{Map, Value};

use super::partial::Fields;
use super::{CauseKind, ParsedCause};

/// How many containers a message names.
const MAX_NAMED: usize = 5;

/// Whether an object describes a stopped ECS task.
pub(super) fn is_task(fields: &Fields) -> bool {
    fields.text("StoppedReason").is_some()
        || (fields.has("Containers")
            && (fields.has("StopCode") || fields.has("TaskArn") || fields.has("ClusterArn")))
}

/// The stopped task understood: why it stopped, and which containers exited how.
pub(super) fn understand(fields: &Fields) -> ParsedCause {
    let list = fields.values.get("Containers").and_then(Value::as_array);
    let mut parts: Vec<String> = fields.text("StoppedReason").map(sentence).into_iter().collect();
    let all = list.into_iter().flatten().filter_map(Value::as_object);
    parts.extend(all.filter_map(exit).take(MAX_NAMED));
    ParsedCause {
        kind: CauseKind::Ecs,
        message: (!parts.is_empty()).then(|| parts.join("; ")),
        error_type: fields.text("StopCode").map(str::to_owned),
        stack: None,
    }
}

/// What a Batch job's container adds to the job's own reason.
pub(super) fn batch_exit(fields: &Fields) -> Option<String> {
    exit(fields.values.get("Container")?.as_object()?)
}

/// `container app exited with code 137 (killed, often for lack of memory): OutOfMemoryError: …`.
/// `None` for one that went well, or says nothing.
fn exit(container: &Map<String, Value>) -> Option<String> {
    let reason = container.get("Reason").and_then(Value::as_str).map(sentence);
    let code = match container.get("ExitCode") {
        Some(Value::Number(code)) => code.as_i64(),
        Some(Value::String(code)) => code.parse().ok(),
        _ => None,
    };
    let ended = match code {
        Some(0) | None => reason.as_ref().map(|_| "stopped".to_owned())?,
        Some(code) => format!("exited with code {code}{}", meaning(code)),
    };
    let name = match container.get("Name").and_then(Value::as_str) {
        Some(name) => format!("container {name}"),
        None => "the container".to_owned(),
    };
    Some(match reason {
        Some(reason) => format!("{name} {ended}: {reason}"),
        None => format!("{name} {ended}"),
    })
}

/// Exit codes above 128 are a signal's number plus 128.
fn meaning(code: i64) -> &'static str {
    match code {
        126 => " (the command could not be run)",
        127 => " (command not found)",
        134 => " (aborted itself)",
        137 => " (killed, often for lack of memory)",
        139 => " (segmentation fault)",
        143 => " (told to stop)",
        _ => "",
    }
}

fn sentence(text: &str) -> String {
    text.trim().trim_end_matches('.').to_owned()
}
