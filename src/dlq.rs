//! The dead-letter queue as a workbench: what is there and why, and the way back.
//!
//! There is no looking at a message without receiving it. So whatever is looked at is held, with a
//! short visibility timeout that is renewed, and released at the end, on an interrupt and on an
//! error; should the process be killed, all of it is visible again after [`HOLD`]. Each look counts
//! as a receive, which matters only where the dead-letter queue has a dead-letter queue itself.

pub mod dropped;
pub mod filter;
pub mod journal;
pub mod list;
pub mod replay;
pub mod scan;
pub mod show;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::event::{self, StatusChange};
use crate::queue::{AttributeValue, Message};

/// How long a message stays invisible once whoever holds it is gone.
pub const HOLD: Duration = Duration::from_secs(30);

/// A message of a dead-letter queue, understood as far as it can be.
#[derive(Debug)]
pub struct DeadMessage {
    /// The message as it was received.
    pub message: Message,
    /// Why it is here, in a word.
    pub reason: String,
    /// The reason in full, where there is more to say.
    pub error: Option<String>,
    /// When the event was first sent to the queue.
    pub first_sent_at: Option<Timestamp>,
    /// When it came here, where that was noted.
    pub dead_lettered_at: Option<Timestamp>,
    /// The executions that it is about; empty if the body is not understood.
    pub changes: Vec<StatusChange>,
}

impl DeadMessage {
    /// Reads a message: by misstep's own attributes, by those that EventBridge gives what it could
    /// not deliver
    /// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html>), or, without
    /// any, as one that was received too often.
    pub fn new(message: Message) -> Self {
        let text = |name: &str| text(&message, name);
        let time = |name: &str| text(name)?.parse::<Timestamp>().ok();
        let sent =
            message.sent_at_ms.and_then(|ms| Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok());
        let (reason, error) = match (text("misstep.reason"), text("ERROR_CODE")) {
            (Some(reason), _) => (reason, text("misstep.error")),
            (None, Some(code)) => (format!("not-delivered: {code}"), text("ERROR_MESSAGE")),
            (None, None) => ("received-too-often".to_owned(), None),
        };
        Self {
            reason,
            error,
            first_sent_at: time("misstep.first_sent_at").or(sent),
            dead_lettered_at: time("misstep.dead_lettered_at"),
            changes: event::parse_some(&message.body).0,
            message,
        }
    }

    /// An attribute's text.
    pub fn text(&self, name: &str) -> Option<String> {
        text(&self.message, name)
    }

    /// How often it was replayed before.
    pub fn replays(&self) -> u32 {
        self.text("misstep.replays").and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// The state machine's name: of the first execution, if there are several.
    pub fn state_machine(&self) -> Option<&str> {
        self.changes.first().map(|change| change.execution.state_machine())
    }

    /// Whether its body was cut when it was dead-lettered.
    pub fn is_cut(&self) -> bool {
        self.text("misstep.body_bytes").is_some_and(|bytes| bytes != self.message.body.len().to_string())
    }

    /// Whether EventBridge put it here, not SQS or misstep.
    pub fn was_not_delivered(&self) -> bool {
        self.message.attributes.iter().any(|(name, _)| name == "ERROR_CODE")
    }

    /// What a program is told of it; without body and attributes.
    pub fn outline(&self) -> Value {
        let executions: Vec<&str> = self.changes.iter().map(|change| change.execution.as_str()).collect();
        json!({
            "message_id": self.message.id,
            "reason": self.reason,
            "error": self.error,
            "state_machine": self.state_machine(),
            "executions": executions,
            "status": self.changes.first().map(|change| change.status.as_str()),
            "first_sent_at": self.first_sent_at.map(|at| at.to_string()),
            "dead_lettered_at": self.dead_lettered_at.map(|at| at.to_string()),
            "receives": self.message.receives,
            "replays": self.replays(),
        })
    }
}

fn text(message: &Message, name: &str) -> Option<String> {
    let (_, value) = message.attributes.iter().find(|(known, _)| known == name)?;
    match value {
        AttributeValue::Text { value, .. } => Some(value.clone()),
        AttributeValue::Bytes { .. } => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::queue::ReceiptHandle;

    /// A message about an execution of this state machine, sent at a second since 1970.
    pub(crate) fn letter(id: &str, machine: &str, second: u64, attributes: &[(&str, &str)]) -> DeadMessage {
        let execution = format!("arn:aws:states:eu-west-1:123456789012:execution:{machine}:run-{id}");
        DeadMessage::new(Message {
            id: id.to_owned(),
            receipt: ReceiptHandle(format!("r-{id}")),
            body: json!({"executionArn": execution, "status": "FAILED"}).to_string(),
            receives: 3,
            sent_at_ms: Some(second * 1_000),
            trace: None,
            attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), AttributeValue::string(*value)))
                .collect(),
            received_at: Instant::now(),
        })
    }

    #[test]
    fn the_reason_is_what_the_attributes_say() {
        let ours =
            letter("a", "orders", 7, &[("misstep.reason", "rejected"), ("misstep.error", "answered 422")]);
        assert_eq!((ours.reason.as_str(), ours.error.as_deref()), ("rejected", Some("answered 422")));
        let undelivered =
            letter("b", "orders", 7, &[("ERROR_CODE", "NO_PERMISSIONS"), ("ERROR_MESSAGE", "no")]);
        assert_eq!(undelivered.reason, "not-delivered: NO_PERMISSIONS");
        assert!(undelivered.was_not_delivered());
        let redriven = letter("c", "orders", 7, &[]);
        assert_eq!((redriven.reason.as_str(), redriven.error), ("received-too-often", None));
        assert_eq!(redriven.first_sent_at.unwrap().to_string(), "1970-01-01T00:00:07Z");
    }
}
