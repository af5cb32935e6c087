//! What goes to the dead-letter queue: the body unchanged, and attributes that say why.

use super::{AttributeValue, Message};

/// A message may have ten attributes at most, whoever set them.
const MOST_ATTRIBUTES: usize = 10;

/// SQS's largest message, attributes included, in bytes.
const LARGEST_MESSAGE: usize = 1_048_576;

/// No attribute of ours is longer than this, in characters.
const LONGEST_VALUE: usize = 1_000;

/// Why a message can never pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
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
    /// The body of the original.
    pub body: String,
    /// The original's attributes and ours, within SQS's limits.
    pub attributes: Vec<(String, AttributeValue)>,
}

impl DeadLetter {
    /// Addresses `message` to the dead-letter queue. `now_ms` is the time in milliseconds since
    /// 1970.
    ///
    /// Ours are `misstep.reason`, `misstep.stage`, `misstep.error`, `misstep.dead_lettered_at`,
    /// `misstep.first_sent_at` (both RFC 3339), `misstep.receives` and `misstep.message_id`. Where
    /// body and attributes together are too many or too large, the original's attributes give way
    /// first, then ours from the last to the first.
    pub fn new(message: &Message, reason: &Reason, now_ms: u64) -> Self {
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
        let own = |name: &str| attributes.iter().any(|(ours, _)| ours == name);
        let mut kept: Vec<_> = message.attributes.iter().filter(|(name, _)| !own(name)).cloned().collect();
        // First among them how often it was replayed, which says that replaying does not help.
        kept.sort_by_key(|(name, _)| name != "misstep.replays");
        attributes.extend(kept);
        attributes.truncate(MOST_ATTRIBUTES);
        let mut room = LARGEST_MESSAGE.saturating_sub(message.body.len());
        attributes.retain(|(name, value)| {
            let size = name.len() + value.size();
            let fits = size <= room;
            if fits {
                room -= size;
            }
            fits
        });
        Self { body: message.body.clone(), attributes }
    }
}

fn ours(name: &str, value: &str) -> (String, AttributeValue) {
    // SQS takes no empty value and only characters that XML 1.0 allows.
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

    fn reason(error: &str) -> Reason {
        Reason { stage: "parse", reason: "not-understood", error: error.to_owned() }
    }

    #[test]
    fn the_attributes_say_why_and_the_body_stays() {
        let original = ("tenant".to_owned(), AttributeValue::string("a"));
        let letter = DeadLetter::new(
            &message("body".to_owned(), vec![original.clone()]),
            &reason("not JSON"),
            1_700_000_001_000,
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
        let letter = DeadLetter::new(&message("body".to_owned(), many), &reason("\u{0}\u{1}"), 0);
        assert_eq!(letter.attributes.len(), MOST_ATTRIBUTES);
        assert_eq!(letter.attributes[2].1, AttributeValue::string("-"));
        let long = DeadLetter::new(&message("body".to_owned(), Vec::new()), &reason(&"é".repeat(5_000)), 0);
        assert_eq!(long.attributes[2].1.size(), "String".len() + 2 * LONGEST_VALUE);
    }

    #[test]
    fn a_body_of_the_largest_size_goes_without_attributes() {
        let full = DeadLetter::new(&message("x".repeat(LARGEST_MESSAGE), Vec::new()), &reason("e"), 0);
        assert!(full.attributes.is_empty());
        let nearly = DeadLetter::new(&message("x".repeat(LARGEST_MESSAGE - 60), Vec::new()), &reason("e"), 0);
        assert_eq!(nearly.attributes[0].0, "misstep.reason");
    }

    #[test]
    fn a_second_dead_lettering_replaces_the_attributes_of_the_first() {
        let old = ("misstep.reason".to_owned(), AttributeValue::string("old"));
        let letter = DeadLetter::new(&message("body".to_owned(), vec![old]), &reason("e"), 0);
        let reasons: Vec<_> = letter.attributes.iter().filter(|(name, _)| name == "misstep.reason").collect();
        assert_eq!(reasons.len(), 1);
        assert_eq!(reasons[0].1, AttributeValue::string("not-understood"));
    }
}
