//! The message in JSON of no known kind: Batch, Glue, CodeBuild, EMR, EventBridge, or whatever
//! somebody's own code sends.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::partial::Fields;
use super::{CauseKind, ParsedCause, container, stack};

/// How many values are looked at.
const MAX_LOOKED_AT: usize = 20_000;

/// Names of fields that hold a message, the most telling first, in lower case without underscores.
const MESSAGES: [&str; 12] = [
    "errormessage",
    "failurereason",
    "statechangereason",
    "statusreason",
    "errordescription",
    "message",
    "msg",
    "reason",
    "detail",
    "description",
    "error",
    "cause",
];

/// Names of fields that hold the type of an error.
const TYPES: [&str; 6] = ["errorcode", "errortype", "code", "statuscode", "error", "name"];

/// The object understood as far as its fields' names tell.
pub(super) fn understand(fields: &Fields) -> ParsedCause {
    let found = find(fields.values.values(), &fields.values);
    let mut message = found.as_ref().map(|(message, _)| message.clone());
    if let Some(exit) = container::batch_exit(fields) {
        message = Some(message.map_or(exit.clone(), |message| format!("{message}; {exit}")));
    }
    let error_type = found.and_then(|(_, kind)| kind);
    ParsedCause { kind: CauseKind::Json, message, error_type, stack: stack::of(&fields.values) }
}

/// The same for a list.
pub(super) fn understand_list(list: &[Value]) -> ParsedCause {
    let (message, error_type) = find(list.iter(), &Map::new()).unzip();
    ParsedCause { kind: CauseKind::Json, message, error_type: error_type.flatten(), stack: None }
}

/// The first message, outer objects before inner ones, with the type that stands beside it.
fn find<'a>(
    inner: impl Iterator<Item = &'a Value>,
    outer: &Map<String, Value>,
) -> Option<(String, Option<String>)> {
    if let Some(found) = in_object(outer) {
        return Some(found);
    }
    let mut queue: VecDeque<&Value> = inner.take(MAX_LOOKED_AT).collect();
    let mut looked_at = 0;
    while let Some(value) = queue.pop_front() {
        looked_at += 1;
        let room = MAX_LOOKED_AT.saturating_sub(looked_at + queue.len());
        match value {
            Value::Object(object) => {
                if let Some(found) = in_object(object) {
                    return Some(found);
                }
                queue.extend(object.values().take(room));
            }
            Value::Array(list) => queue.extend(list.iter().take(room)),
            _ => {}
        }
    }
    None
}

fn in_object(object: &Map<String, Value>) -> Option<(String, Option<String>)> {
    let (message_key, message) = MESSAGES.iter().find_map(|name| text(object, name))?;
    let kind = TYPES.iter().filter_map(|name| text(object, name)).find(|(key, _)| *key != message_key);
    Some((message.to_owned(), kind.map(|(_, kind)| kind.to_owned())))
}

/// The text of a field by its name in lower case without underscores.
fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<(&'a str, &'a str)> {
    object.iter().find_map(|(key, value)| {
        let plain = key.bytes().filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_lowercase());
        let text = value.as_str().map(str::trim).filter(|text| !text.is_empty())?;
        plain.eq(name.bytes()).then_some((key.as_str(), text))
    })
}
