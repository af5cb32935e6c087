//! One message, readable.

use std::fmt::Write as _;

use serde_json::Value;

use super::DeadMessage;
use crate::queue::AttributeValue;
use crate::report::value::harmless;

/// What the attributes that EventBridge adds mean.
const EVENTBRIDGE: &[(&str, &str)] = &[
    ("ERROR_CODE", "why EventBridge could not deliver it"),
    ("ERROR_MESSAGE", "the target's answer"),
    ("EXHAUSTED_RETRY_CONDITION", "what ended the tries: their number or the event's age"),
    ("RETRY_ATTEMPTS", "how often delivery was tried"),
    ("RULE_ARN", "the rule that matched"),
    ("TARGET_ARN", "where it was to go"),
];

/// For a person.
pub fn text(letter: &DeadMessage) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _infallible = writeln!(text, "{name:<16}{}", harmless(value));
    };
    line("message", &letter.message.id);
    line("why it is here", &letter.reason);
    if let Some(error) = &letter.error {
        line("", error);
    } else if !letter.was_not_delivered() {
        line("", "SQS moved it here after maxReceiveCount receives without a delete");
    }
    for change in &letter.changes {
        line("execution", change.execution.as_str());
        line("", change.status.as_str());
    }
    if let Some(at) = letter.first_sent_at {
        line("first sent", &at.to_string());
    }
    if let Some(at) = letter.dead_lettered_at {
        line("dead-lettered", &at.to_string());
    }
    line("receives", &format!("{}, this one included", letter.message.receives));
    for (name, value) in &letter.message.attributes {
        let value = match value {
            AttributeValue::Text { value, .. } => value.clone(),
            AttributeValue::Bytes { value, .. } => format!("{} bytes", value.len()),
        };
        line("attribute", &format!("{name} = {value}"));
        if let Some((_, meaning)) = EVENTBRIDGE.iter().find(|(known, _)| known == name) {
            line("", &format!("  ({meaning})"));
        }
    }
    text.push_str("\nbody\n");
    for body in body(letter).lines() {
        let _infallible = writeln!(text, "  {}", harmless(body));
    }
    text
}

/// For a program.
pub fn json(letter: &DeadMessage) -> Value {
    let mut json = letter.outline();
    let attributes = letter.message.attributes.iter().map(|(name, value)| match value {
        AttributeValue::Text { value, .. } => (name.clone(), Value::from(value.clone())),
        AttributeValue::Bytes { value, .. } => (name.clone(), Value::from(format!("{} bytes", value.len()))),
    });
    json["attributes"] = attributes.collect();
    json["body"] = letter.message.body.clone().into();
    json
}

/// Indented where it is JSON.
fn body(letter: &DeadMessage) -> String {
    serde_json::from_str::<Value>(&letter.message.body)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| letter.message.body.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::tests::letter;

    #[test]
    fn everything_is_there_and_explained() {
        let undelivered = text(&letter("b", "orders", 7, &[("ERROR_CODE", "NO_PERMISSIONS")]));
        for part in [
            "message         b\n",
            "why it is here  not-delivered: NO_PERMISSIONS\n",
            "execution       arn:aws:states:eu-west-1:123456789012:execution:orders:run-b\n",
            "first sent      1970-01-01T00:00:07Z\n",
            "attribute       ERROR_CODE = NO_PERMISSIONS\n",
            "why EventBridge could not deliver it",
            "    \"status\": \"FAILED\"\n",
        ] {
            assert!(undelivered.contains(part), "{part:?} is not in\n{undelivered}");
        }
        assert!(text(&letter("c", "orders", 7, &[])).contains("after maxReceiveCount receives"));
        assert_eq!(json(&letter("c", "orders", 7, &[("tenant", "blue")]))["attributes"]["tenant"], "blue");
    }
}
