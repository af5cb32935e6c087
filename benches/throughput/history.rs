//! Histories of the sizes that are measured, as Step Functions answers with them.

use serde_json::{Value, json};

/// What the executions look like.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// So many events: passes, then a Lambda task that is retried once and fails.
    Chain(usize),
    /// A Map with so many iterations at once, the last of which fails.
    Map(usize),
}

/// The events of an execution, each as JSON, and its input.
pub(crate) struct History {
    pub(crate) events: Vec<String>,
    pub(crate) input: String,
}

const SMALL: &str = r#"{"orderId":4711,"customer":{"id":"c-17","tier":"gold"},"items":[{"sku":"A-1","qty":2},{"sku":"B-9","qty":1}]}"#;

impl Shape {
    /// Its history, the inputs of the execution and of the failed state of about so many bytes.
    pub(crate) fn history(self, bytes: usize) -> History {
        let input = input(bytes);
        let mut history = History { events: Vec::new(), input: input.clone() };
        let started = json!({"input": input, "roleArn": "arn:aws:iam::123456789012:role/r"});
        history.add("ExecutionStarted", 0, "executionStartedEventDetails", started);
        let last = match self {
            Self::Chain(events) => {
                let mut last = 0;
                while events - history.events.len() > 9 {
                    let name = format!("Step {}", history.events.len());
                    last = history.enter("Pass", last, &name, SMALL);
                    let exited = json!({"name": name, "output": SMALL});
                    last = history.add("PassStateExited", last, "stateExitedEventDetails", exited);
                }
                let entered = history.enter("Task", last, "Charge", &input);
                let first = history.attempt(entered);
                history.attempt(first)
            }
            Self::Map(iterations) => {
                let map = history.enter("Map", 0, "Each", &input);
                let length = json!({"length": iterations});
                let started = history.add("MapStateStarted", map, "mapStateStartedEventDetails", length);
                let iteration = |index: usize| json!({"name": "Each", "index": index});
                let begun: Vec<usize> = (0..iterations)
                    .map(|index| {
                        let details = "mapIterationStartedEventDetails";
                        history.add("MapIterationStarted", started, details, iteration(index))
                    })
                    .collect();
                let entered: Vec<usize> =
                    begun.iter().map(|begun| history.enter("Task", *begun, "Charge", SMALL)).collect();
                let failed = history.attempt(entered[iterations - 1]);
                let details = "mapIterationFailedEventDetails";
                let failed = history.add("MapIterationFailed", failed, details, iteration(iterations - 1));
                history.add("MapStateFailed", failed, "", Value::Null)
            }
        };
        let failed = json!({"error": "PaymentDeclined", "cause": cause()});
        history.add("ExecutionFailed", last, "executionFailedEventDetails", failed);
        history
    }
}

impl History {
    /// Adds an event, and returns its id.
    fn add(&mut self, event_type: &str, previous: usize, details: &str, content: Value) -> usize {
        let id = self.events.len() + 1;
        let timestamp = 1_772_366_400.0 + id as f64 * 0.137;
        let mut event =
            json!({"timestamp": timestamp, "type": event_type, "id": id, "previousEventId": previous});
        if !details.is_empty() {
            event[details] = content;
        }
        self.events.push(event.to_string());
        id
    }

    fn enter(&mut self, state_type: &str, previous: usize, name: &str, input: &str) -> usize {
        let entered = json!({"name": name, "input": input, "inputDetails": {"truncated": false}});
        self.add(&format!("{state_type}StateEntered"), previous, "stateEnteredEventDetails", entered)
    }

    /// An attempt at a Lambda function, which fails.
    fn attempt(&mut self, previous: usize) -> usize {
        let invoke = json!({"resourceType": "lambda", "resource": "invoke"});
        let with = |more: Value| {
            let mut details = invoke.clone();
            details.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            details
        };
        let parameters = with(json!({"region": "eu-west-1", "parameters": SMALL}));
        let scheduled = self.add("TaskScheduled", previous, "taskScheduledEventDetails", parameters);
        let started = self.add("TaskStarted", scheduled, "taskStartedEventDetails", invoke.clone());
        let failed = with(json!({"error": "PaymentDeclined", "cause": cause()}));
        self.add("TaskFailed", started, "taskFailedEventDetails", failed)
    }
}

fn cause() -> String {
    json!({
        "errorMessage": "card declined",
        "errorType": "PaymentDeclined",
        "requestId": "0f3c",
        "stackTrace": ["  File \"/var/task/app.py\", line 12, in handler\n    charge(order)\n"],
    })
    .to_string()
}

/// An order with as many items as fit.
fn input(bytes: usize) -> String {
    const ITEM: &str = r#"{"sku":"A-1042","quantity":3,"price":{"value":7.95,"currency":"EUR"},"note":"leave it at the door, please"}"#;
    if bytes <= SMALL.len() {
        return SMALL.to_owned();
    }
    let items = vec![ITEM; (bytes / (ITEM.len() + 1)).max(2) - 1];
    format!(r#"{{"orderId":4711,"items":[{}]}}"#, items.join(","))
}
