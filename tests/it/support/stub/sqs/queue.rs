//! What a queue holds.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::stub::md5;

pub(super) struct Queue {
    pub(super) messages: Vec<Message>,
    pub(super) visibility: Duration,
    /// The largest message that it takes, in bytes.
    pub(super) largest: usize,
    /// Where messages go that were received so often.
    pub(super) dead_letters: Option<(String, u64)>,
    pub(super) deleted: Vec<String>,
}

/// A message as the test sees it.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    /// As SendMessage took them.
    pub(crate) attributes: Value,
    /// The trace of its sender.
    pub(crate) trace: Option<String>,
    /// How often it was received.
    pub(crate) receives: u64,
    pub(super) visible_at: Instant,
    /// The latest receipt, unless it was never received.
    pub(super) receipt: Option<String>,
    pub(super) sent_ms: i64,
    pub(super) first_received_ms: Option<i64>,
}

/// How many messages a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) visible: usize,
    pub(crate) in_flight: usize,
    pub(crate) delayed: usize,
}

impl Queue {
    pub(super) fn counts(&self, now: Instant) -> Counts {
        let hidden = |received: bool| {
            let messages = self.messages.iter().filter(|message| message.visible_at > now);
            messages.filter(|message| message.receipt.is_some() == received).count()
        };
        let (in_flight, delayed) = (hidden(true), hidden(false));
        Counts { visible: self.messages.len() - in_flight - delayed, in_flight, delayed }
    }

    pub(super) fn next_visible(&self) -> Option<Instant> {
        self.messages.iter().map(|message| message.visible_at).min()
    }
}

impl Message {
    pub(super) fn shown(&self, arguments: &Value) -> Value {
        let mut shown = json!({
            "MessageId": self.id, "ReceiptHandle": self.receipt, "Body": self.body,
            "MD5OfBody": md5::hex(self.body.as_bytes()),
        });
        let asks = |lists: [&str; 2], name: &str| {
            let wanted = lists.iter().filter_map(|list| arguments[*list].as_array()).flatten();
            wanted.filter_map(Value::as_str).any(|wanted| wanted == "All" || wanted == ".*" || wanted == name)
        };
        let own = [
            ("ApproximateReceiveCount", self.receives.to_string()),
            ("SentTimestamp", self.sent_ms.to_string()),
            ("ApproximateFirstReceiveTimestamp", self.first_received_ms.unwrap_or_default().to_string()),
            ("SenderId", "AIDASTUB".to_owned()),
        ];
        for (name, value) in own {
            if asks(["AttributeNames", "MessageSystemAttributeNames"], name) {
                shown["Attributes"][name] = json!(value);
            }
        }
        if let Some(trace) = &self.trace
            && asks(["AttributeNames", "MessageSystemAttributeNames"], "AWSTraceHeader")
        {
            shown["Attributes"]["AWSTraceHeader"] = json!(trace);
        }
        for (name, value) in self.attributes.as_object().into_iter().flatten() {
            if asks(["MessageAttributeNames", "MessageAttributeNames"], name) {
                shown["MessageAttributes"][name] = value.clone();
            }
        }
        shown
    }
}
