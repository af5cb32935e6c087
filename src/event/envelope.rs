//! The wrappings of a status change, removed from the outside in.

use serde_json::Value;

use super::{NotUnderstood, StatusChange, shown};

/// The `detail-type` of a status change.
const STATUS_CHANGE: &str = "Step Functions Execution Status Change";

/// More layers than any chain of AWS services puts around an event.
const MOST_LAYERS: u32 = 8;

/// The status changes that a message's body holds: one, or several where EventBridge Pipes
/// batched them into one message.
///
/// # Errors
/// When the body, or any part of a batch, is not understood.
pub fn parse(body: &str) -> Result<Vec<StatusChange>, NotUnderstood> {
    match parse_some(body) {
        (found, None) => Ok(found),
        (_, Some(fault)) => Err(fault),
    }
}

/// The events of a body that are understood, and the first fault. There is always one of the two.
pub fn parse_some(body: &str) -> (Vec<StatusChange>, Option<NotUnderstood>) {
    let mut found = Vec::new();
    let mut fault = json(body, "the body").and_then(|value| unwrap(&value, MOST_LAYERS, &mut found)).err();
    if found.is_empty() && fault.is_none() {
        fault = Some(NotUnderstood::Shape("an empty list of events".to_owned()));
    }
    (found, fault)
}

fn json(text: &str, place: &'static str) -> Result<Value, NotUnderstood> {
    serde_json::from_str(text).map_err(|error| NotUnderstood::NotJson { place, why: error.to_string() })
}

fn unwrap(value: &Value, layers: u32, found: &mut Vec<StatusChange>) -> Result<(), NotUnderstood> {
    let Some(layers) = layers.checked_sub(1) else {
        return Err(NotUnderstood::Shape("more wrappings than any AWS service makes".to_owned()));
    };
    match value {
        // Pipes hands over a list, even of one event.
        Value::Array(items) => {
            let faults = items.iter().filter_map(|item| unwrap(item, layers, found).err());
            // All events are parsed, even if the first one is faulty.
            faults.collect::<Vec<_>>().into_iter().next().map_or(Ok(()), Err)
        }
        // An input template of Pipes can turn the event into a string.
        Value::String(text) => unwrap(&json(text, "the text in the body")?, layers, found),
        Value::Object(object) => {
            if let Some(detail) = object.get("detail") {
                found.push(event(value, detail)?);
                Ok(())
            } else if object.contains_key("executionArn") {
                found.push(StatusChange::from_detail(value)?);
                Ok(())
            } else if let Some(records) = object.get("Records") {
                unwrap(records, layers, found)
            } else if let Some(notification) = object.get("Sns") {
                unwrap(notification, layers, found)
            } else if let Some(Value::String(message)) = object.get("Message") {
                unwrap(&json(message, "the SNS notification's Message")?, layers, found)
            } else if let Some(Value::String(body)) = object.get("body") {
                unwrap(&json(body, "the record's body")?, layers, found)
            } else {
                Err(NotUnderstood::Shape(
                    "a JSON object that is neither an event nor a wrapper of one".to_owned(),
                ))
            }
        }
        _ => Err(NotUnderstood::Shape("JSON, but neither an object nor a list of events".to_owned())),
    }
}

fn event(envelope: &Value, detail: &Value) -> Result<StatusChange, NotUnderstood> {
    let detail_type = envelope["detail-type"].as_str();
    if detail_type.is_some_and(|detail_type| detail_type != STATUS_CHANGE) {
        return Err(NotUnderstood::OtherEvent {
            detail_type: shown(detail_type.unwrap_or_default()).to_owned(),
            source_name: shown(envelope["source"].as_str().unwrap_or_default()).to_owned(),
        });
    }
    StatusChange::from_detail(detail)
}
