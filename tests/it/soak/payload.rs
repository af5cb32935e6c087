//! A history with large payloads, as a pipeline that hands its whole state on from step to step has.

use serde_json::{Value, json};

/// The events of an execution of so many states, each of which takes and gives `bytes` of payload. The
/// last one, `Start`, fails.
pub(super) fn history(states: usize, bytes: usize) -> Vec<Value> {
    let payload = payload(bytes);
    let mut events: Vec<Value> = Vec::new();
    let mut add = |event_type: &str, details: Value| {
        let id = events.len() + 1;
        let mut event = json!({
            "timestamp": 1_772_366_400.0 + id as f64, "type": event_type, "id": id, "previousEventId": id - 1,
        });
        if let Some(details) = details.as_object() {
            event.as_object_mut().unwrap().extend(details.clone());
        }
        events.push(event);
    };
    add(
        "ExecutionStarted",
        json!({"executionStartedEventDetails": {"input": payload, "roleArn": "arn:aws:iam::123456789012:role/r"}}),
    );
    for state in 1..=states {
        let last = state == states;
        let name = if last { "Start".to_owned() } else { format!("Step{state}") };
        let task = json!({"resourceType": "lambda", "resource": "invoke"});
        let with = |more: Value| {
            let mut details = task.as_object().unwrap().clone();
            details.extend(more.as_object().unwrap().clone());
            Value::Object(details)
        };
        add("TaskStateEntered", json!({"stateEnteredEventDetails": {"name": name, "input": payload}}));
        let scheduled = with(json!({"region": "eu-west-1", "parameters": payload}));
        add("TaskScheduled", json!({"taskScheduledEventDetails": scheduled}));
        add("TaskStarted", json!({"taskStartedEventDetails": task}));
        if last {
            let failed = with(json!({"error": "Declined", "cause": "no such order"}));
            add("TaskFailed", json!({"taskFailedEventDetails": failed}));
            let failed = json!({"error": "Declined", "cause": "no such order"});
            add("ExecutionFailed", json!({"executionFailedEventDetails": failed}));
        } else {
            add("TaskSucceeded", json!({"taskSucceededEventDetails": with(json!({"output": payload}))}));
            add("TaskStateExited", json!({"stateExitedEventDetails": {"name": name, "output": payload}}));
        }
    }
    events
}

/// JSON text of this size, at most.
fn payload(bytes: usize) -> String {
    const ITEM: &str = r#"{"sku":"A-1042","quantity":3,"note":"leave it at the door, please"}"#;
    let items = vec![ITEM; bytes / (ITEM.len() + 1) - 1];
    format!(r#"{{"items":[{}]}}"#, items.join(","))
}
