//! Dead letters: the body of a message, and attributes with the reason.

use super::{AttributeValue, LARGEST_MESSAGE, LARGEST_MESSAGE_BEFORE, Message};

/// A message may have ten attributes at most.
const MOST_ATTRIBUTES: usize = 10;

/// No attribute of ours is longer than this, in characters.
const LONGEST_VALUE: usize = 1_000;

/// Why a message can never be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterReason {
    /// Where it stopped: `parse` or `notify`.
    pub stage: &'static str,
    /// What is wrong with it, in a word: `not-understood`, `rejected`.
    pub reason: &'static str,
    /// The error in full.
    pub error: String,
}

/// A message ready for the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The body of the original, cut if it is too large.
    pub body: String,
    /// The original's attributes and ours, within SQS's limits.
    pub attributes: Vec<(String, AttributeValue)>,
    /// The original's `AWSTraceHeader`, which continues the trace.
    pub trace: Option<String>,
}

impl DeadLetter {
    /// Makes a dead letter of `message` for a queue that accepts messages of `largest` bytes, if that is
    /// known. `now_ms` is the time in milliseconds since 1970.
    ///
    /// Ours are `misstep.reason`, `misstep.stage`, `misstep.error`, `misstep.dead_lettered_at`,
    /// `misstep.first_sent_at` (both RFC 3339), `misstep.receives` and `misstep.message_id`. If
    /// there are too many attributes, or body and attributes are too large, the original's attributes are
    /// dropped first, then ours from the last to the first. The reason stays: if it does not fit beside the
    /// body, the body is cut, and `misstep.body_bytes` is its full length.
    pub fn new(message: &Message, reason: &DeadLetterReason, now_ms: u64, largest: Option<usize>) -> Self {
        let mut attributes = vec![
            ours("reason", reason.reason),
            ours("stage", reason.stage),
            ours("error", &reason.error),
            ours("dead_lettered_at", &rfc3339(now_ms)),
            ours("receives", &message.receives.to_string()),
            ours("message_id", &message.id),
        ];
        if let Some(sent_at_ms) = message.sent_at_ms {
            attributes.push(ours("first_sent_at", &rfc3339(sent_at_ms)));
        }
        let trace = message.trace.as_ref().map(|trace| trace.text.clone());
        let least = message.body.len() + size_of(&attributes[0]);
        let largest = largest.unwrap_or_else(|| assumed_largest(least));
        if least > largest {
            attributes.insert(1, ours("body_bytes", &message.body.len().to_string()));
            // With a very small limit, half of it is for the body.
            let attributes = fitting(attributes, largest / 2);
            let room = largest - attributes.iter().map(size_of).sum::<usize>();
            let body = message.body[..message.body.floor_char_boundary(room)].to_owned();
            return Self { body, attributes, trace };
        }
        let own = |name: &str| attributes.iter().any(|(ours, _)| ours == name);
        let mut kept: Vec<_> = message.attributes.iter().filter(|(name, _)| !own(name)).cloned().collect();
        // The number of replays goes first, because it shows that replaying does not help.
        kept.sort_by_key(|(name, _)| name != "misstep.replays");
        attributes.extend(kept);
        attributes.truncate(MOST_ATTRIBUTES);
        let attributes = fitting(attributes, largest - message.body.len());
        Self { body: message.body.clone(), attributes, trace }
    }

    /// The size that SQS compares with the queue's limit, in bytes.
    pub fn size(&self) -> usize {
        self.body.len() + self.attributes.iter().map(size_of).sum::<usize>()
    }
}

/// The limit to assume for a queue whose limit is unknown, for a message of at least so many bytes.
/// Attributes are dropped so that the message is not refused; a body is cut only if no queue would accept it.
fn assumed_largest(least: usize) -> usize {
    if least <= LARGEST_MESSAGE_BEFORE { LARGEST_MESSAGE_BEFORE } else { LARGEST_MESSAGE }
}

/// The attributes that fit into `room`, in their order.
fn fitting(mut attributes: Vec<(String, AttributeValue)>, mut room: usize) -> Vec<(String, AttributeValue)> {
    attributes.retain(|attribute| {
        let size = size_of(attribute);
        let fits = size <= room;
        if fits {
            room -= size;
        }
        fits
    });
    attributes
}

fn size_of((name, value): &(String, AttributeValue)) -> usize {
    name.len() + value.size()
}

fn ours(name: &str, value: &str) -> (String, AttributeValue) {
    // SQS accepts no empty value, and only characters that XML 1.0 allows.
    let allowed = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}');
    let value: String = value.chars().filter(allowed).take(LONGEST_VALUE).collect();
    let value = if value.is_empty() { "-".to_owned() } else { value };
    (format!("misstep.{name}"), AttributeValue::string(value))
}

fn rfc3339(millis: u64) -> String {
    i64::try_from(millis)
        .ok()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
        .map_or_else(|| millis.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::queue::ReceiptHandle;
    use crate::telemetry::trace::TraceHeader;

    fn message(body: String, attributes: Vec<(String, AttributeValue)>) -> Message {
        Message {
            id: "m-1".to_owned(),
            receipt: ReceiptHandle("r-1".to_owned()),
            body,
            receives: 2,
            sent_at_ms: Some(1_700_000_000_000),
            trace: None,
            attributes,
            received_at: Instant::now(),
        }
    }

    fn reason(error: &str) -> DeadLetterReason {
        DeadLetterReason { stage: "parse", reason: "not-understood", error: error.to_owned() }
    }

    #[test]
    fn the_attributes_have_the_reason_and_the_body_stays() {
        let original = ("tenant".to_owned(), AttributeValue::string("a"));
        let letter = DeadLetter::new(
            &message("body".to_owned(), vec![original.clone()]),
            &reason("not JSON"),
            1_700_000_001_000,
            None,
        );
        assert_eq!(letter.body, "body");
        let names: Vec<&str> = letter.attributes.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "misstep.reason",
                "misstep.stage",
                "misstep.error",
                "misstep.dead_lettered_at",
                "misstep.receives",
                "misstep.message_id",
                "misstep.first_sent_at",
                "tenant"
            ]
        );
        assert_eq!(letter.attributes[2].1, AttributeValue::string("not JSON"));
        assert_eq!(letter.attributes[3].1, AttributeValue::string("2023-11-14T22:13:21Z"));
        assert_eq!(letter.attributes[7], original);
    }

    #[test]
    fn what_sqs_would_refuse_is_left_out() {
        let many = (0..10).map(|n| (format!("a{n}"), AttributeValue::string("x"))).collect();
        let letter = DeadLetter::new(&message("body".to_owned(), many), &reason("\u{0}\u{1}"), 0, None);
        assert_eq!(letter.attributes.len(), MOST_ATTRIBUTES);
        assert_eq!(letter.attributes[2].1, AttributeValue::string("-"));
        let long =
            DeadLetter::new(&message("body".to_owned(), Vec::new()), &reason(&"é".repeat(5_000)), 0, None);
        assert_eq!(long.attributes[2].1.size(), "String".len() + 2 * LONGEST_VALUE);
    }

    #[test]
    fn a_message_keeps_to_the_limit_of_the_queue_and_its_reason() {
        let large = ("tenant".to_owned(), AttributeValue::string("x".repeat(600)));
        for largest in [Some(1_024), Some(LARGEST_MESSAGE_BEFORE), Some(LARGEST_MESSAGE), None] {
            let limit = largest.unwrap_or(LARGEST_MESSAGE);
            for room in [0, 10, 33, 34, 60, 400, 700, 1_000] {
                let body = "é".repeat((limit - room) / 2);
                let message = message(body.clone(), vec![large.clone()]);
                let letter = DeadLetter::new(&message, &reason(&"e".repeat(300)), 0, largest);
                assert!(letter.size() <= limit, "{largest:?} {room}: {}", letter.size());
                assert_eq!(letter.attributes[0], ours("reason", "not-understood"), "{largest:?} {room}");
                if body.len() + size_of(&letter.attributes[0]) <= limit {
                    assert_eq!(letter.body, body);
                } else {
                    assert_eq!(letter.attributes[1], ours("body_bytes", &body.len().to_string()));
                    assert!(
                        body.starts_with(&letter.body) && letter.size() > limit - 2,
                        "{largest:?} {room}"
                    );
                }
                let keeps_tenant = letter.attributes.iter().any(|(name, _)| name == "tenant");
                assert!(!keeps_tenant, "the original's give way first");
            }
        }
    }

    #[test]
    fn an_unknown_limit_costs_attributes_but_no_body() {
        let large = ("tenant".to_owned(), AttributeValue::string("x".repeat(600)));
        let small = message("x".repeat(LARGEST_MESSAGE_BEFORE - 700), vec![large.clone()]);
        assert!(DeadLetter::new(&small, &reason("e"), 0, None).size() <= LARGEST_MESSAGE_BEFORE);
        let large = message("x".repeat(LARGEST_MESSAGE_BEFORE), vec![large]);
        let letter = DeadLetter::new(&large, &reason("e"), 0, None);
        assert_eq!((letter.body.len(), letter.attributes.len()), (LARGEST_MESSAGE_BEFORE, 8));
    }

    #[test]
    fn the_trace_goes_on() {
        let header = "Root=1-58406520-a006649127e371903a2de979;Parent=4c721bf33e3caf8f;Sampled=1";
        let traced = Message { trace: TraceHeader::parse(header), ..message("body".to_owned(), Vec::new()) };
        assert_eq!(DeadLetter::new(&traced, &reason("e"), 0, None).trace.as_deref(), Some(header));
    }

    #[test]
    fn a_second_dead_lettering_replaces_the_attributes_of_the_first() {
        let old = ("misstep.reason".to_owned(), AttributeValue::string("old"));
        let letter = DeadLetter::new(&message("body".to_owned(), vec![old]), &reason("e"), 0, None);
        let reasons: Vec<_> = letter.attributes.iter().filter(|(name, _)| name == "misstep.reason").collect();
        assert_eq!(reasons.len(), 1);
        assert_eq!(reasons[0].1, AttributeValue::string("not-understood"));
    }
}
