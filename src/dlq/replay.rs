//! Sending messages back to the queue they came from, each deleted only after exactly its own send
//! succeeded.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::DeadMessage;
use super::journal::{Journal, JournalError, JournalState};
use super::scan::{Held, Scan};
use crate::queue::sqs::SqsQueue;
use crate::queue::{AttributeValue, DeadLetter, LARGEST_MESSAGE_BEFORE, MOST_ENTRIES, Queue, QueueError};
use crate::telemetry::chain;

/// How often a message was replayed, an attribute of its own.
const REPLAYS: &str = "misstep.replays";

/// What EventBridge adds to what it cannot deliver.
const EVENTBRIDGE: [&str; 6] =
    ["ERROR_CODE", "ERROR_MESSAGE", "EXHAUSTED_RETRY_CONDITION", "RETRY_ATTEMPTS", "RULE_ARN", "TARGET_ARN"];

/// A message may have ten attributes at most.
const MOST_ATTRIBUTES: usize = 10;

/// How a replay goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Messages a second.
    pub rate: f64,
    /// So many replayed messages that come back end it.
    pub bounce_limit: usize,
}

/// What a replay did.
#[derive(Debug, Default)]
pub struct ReplaySummary {
    /// Sent back and deleted from the dead-letter queue.
    pub replayed: usize,
    /// Sent by an earlier replay, and deleted by this one.
    pub only_deleted: usize,
    /// Sent again, since an earlier replay ended before it knew whether it had sent them.
    pub maybe_twice: usize,
    /// Sent, but still in the dead-letter queue; the journal knows.
    pub not_deleted: usize,
    /// What SQS refused, with its words.
    pub refused: Vec<(String, String)>,
    /// Replayed messages that came back.
    pub bounced: usize,
    /// Why it ended before its end.
    pub cut_short: Option<CutShort>,
}

/// Why a replay ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum CutShort {
    /// Somebody interrupted it.
    #[error("interrupted")]
    Interrupted,
    /// Too many replayed messages came back.
    #[error("{0} replayed messages came back to the dead-letter queue: what made them fail is not mended")]
    Bounced(usize),
    /// What it did cannot be written down.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// SQS did not answer a batch.
    #[error(
        "{}; the last {messages} messages may have been sent: replayed again, they may be told twice, with the same Idempotency-Key",
        chain(error)
    )]
    Send {
        /// What the queue met.
        error: QueueError,
        /// How many messages the batch had.
        messages: usize,
    },
}

/// Sends the messages of `scan` that `selected` takes back to `target`.
pub async fn replay(
    scan: &mut Scan,
    target: &SqsQueue,
    journal: &mut Journal,
    pace: Pace,
    stop: &CancellationToken,
    selected: impl Fn(&DeadMessage) -> bool,
    progress: impl Fn(usize),
) -> ReplaySummary {
    let mut done = ReplaySummary::default();
    let chosen = scan.take(selected);
    let (cut, chosen): (Vec<Held>, Vec<Held>) = chosen.into_iter().partition(|(letter, _)| letter.is_cut());
    done.refused.extend(cut.iter().map(|(letter, _)| cut_body(letter)));
    scan.put_back(cut);
    let queue = scan.queue().clone();
    let largest = largest_message(target).await;
    let mut batches = batches(chosen, largest).into_iter();
    while let Some(batch) = batches.next() {
        let next = Instant::now() + Duration::from_secs_f64(batch.len() as f64 / pace.rate);
        if stop.is_cancelled() {
            done.cut_short = Some(CutShort::Interrupted);
        } else if done.bounced >= pace.bounce_limit {
            done.cut_short = Some(CutShort::Bounced(done.bounced));
        }
        if done.cut_short.is_some() {
            scan.put_back(batch.into_iter().chain(batches.by_ref().flatten()));
            break;
        }
        let count = batch.len();
        match one_batch(batch, &queue, target, largest, journal, &mut done).await {
            Ok(kept) => scan.put_back(kept),
            Err((kept, why)) => {
                done.cut_short = Some(why);
                scan.put_back(kept.into_iter().chain(batches.by_ref().flatten()));
                break;
            }
        }
        progress(count);
        done.bounced += scan.look_for(|letter| came_back(letter, journal)).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep_until(next) => {}
        }
    }
    done
}

/// Sends messages that are in no queue any more to `target`; the journal keeps any from being sent
/// twice.
pub async fn send_again(
    letters: Vec<DeadMessage>,
    target: &SqsQueue,
    journal: &mut Journal,
    pace: Pace,
    stop: &CancellationToken,
    progress: impl Fn(usize),
) -> ReplaySummary {
    let mut done = ReplaySummary::default();
    let (before, letters): (Vec<DeadMessage>, Vec<DeadMessage>) = letters.into_iter().partition(|letter| {
        matches!(journal.state(&letter.message.id), Some(JournalState::Sent | JournalState::Done))
    });
    done.only_deleted = before.len();
    let (cut, letters): (Vec<DeadMessage>, Vec<DeadMessage>) =
        letters.into_iter().partition(DeadMessage::is_cut);
    done.refused.extend(cut.iter().map(cut_body));
    let largest = largest_message(target).await;
    let mut left = letters.into_iter().peekable();
    while left.peek().is_some() {
        if stop.is_cancelled() {
            done.cut_short = Some(CutShort::Interrupted);
            break;
        }
        // One at a time where they are large: SQS bounds the batch.
        let mut batch: Vec<DeadMessage> = Vec::new();
        let mut room = largest;
        while let Some(letter) = left.next_if(|letter| {
            batch.is_empty() || (batch.len() < MOST_ENTRIES && returned(letter, largest).size() <= room)
        }) {
            room = room.saturating_sub(returned(&letter, largest).size());
            batch.push(letter);
        }
        let next = Instant::now() + Duration::from_secs_f64(batch.len() as f64 / pace.rate);
        let (_, why) = send(&batch.iter().collect::<Vec<_>>(), target, largest, journal, &mut done).await;
        if why.is_some() {
            done.cut_short = why;
            break;
        }
        progress(batch.len());
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep_until(next) => {}
        }
    }
    done
}

/// Sends a batch; says of each whether it was surely sent, and why no more can be done.
async fn send(
    batch: &[&DeadMessage],
    target: &SqsQueue,
    largest: usize,
    journal: &mut Journal,
    done: &mut ReplaySummary,
) -> (Vec<bool>, Option<CutShort>) {
    let nothing = vec![false; batch.len()];
    if batch.is_empty() {
        return (nothing, None);
    }
    let ids: Vec<String> = batch.iter().map(|letter| letter.message.id.clone()).collect();
    let unsure = ids.iter().filter(|id| journal.state(id) == Some(JournalState::Unknown)).count();
    if let Err(why) = journal.sending(ids.clone()) {
        return (nothing, Some(why.into()));
    }
    let copies: Vec<DeadLetter> = batch.iter().map(|letter| returned(letter, largest)).collect();
    let results = match target.send(&copies).await {
        Ok(results) => results,
        Err(error) => return (nothing, Some(CutShort::Send { error, messages: batch.len() })),
    };
    done.maybe_twice += unsure;
    let (mut sent, mut why) = (Vec::new(), None);
    for (id, result) in ids.into_iter().zip(results) {
        sent.push(result.is_ok());
        let noted = match result {
            Ok(sent_as) => {
                done.replayed += 1;
                journal.sent(&id, &sent_as)
            }
            Err(error) => {
                let noted = journal.not_sent(&id);
                done.refused.push((id, error.to_string()));
                noted
            }
        };
        why = why.or(noted.err().map(CutShort::from));
    }
    (sent, why)
}

/// Returns the messages that are to stay, or those and why no more can be done.
async fn one_batch(
    batch: Vec<Held>,
    queue: &Arc<dyn Queue>,
    target: &SqsQueue,
    largest: usize,
    journal: &mut Journal,
    done: &mut ReplaySummary,
) -> Result<Vec<Held>, (Vec<Held>, CutShort)> {
    let (sent_before, to_send): (Vec<Held>, Vec<Held>) = batch.into_iter().partition(|(letter, _)| {
        matches!(journal.state(&letter.message.id), Some(JournalState::Sent | JournalState::Done))
    });
    done.only_deleted += sent_before.len();
    let letters: Vec<&DeadMessage> = to_send.iter().map(|(letter, _)| letter).collect();
    let (sent, mut cut_short) = send(&letters, target, largest, journal, done).await;
    let (mut kept, mut to_delete) = (Vec::new(), sent_before);
    for (held, sent) in to_send.into_iter().zip(sent) {
        if sent { to_delete.push(held) } else { kept.push(held) }
    }
    let deleted = delete(queue, to_delete).await;
    done.not_deleted += deleted.failed;
    if !deleted.ids.is_empty() {
        cut_short = cut_short.or(journal.deleted(deleted.ids).err().map(CutShort::from));
    }
    match cut_short {
        None => Ok(kept),
        Some(why) => Err((kept, why)),
    }
}

/// What became of messages that were to be deleted.
#[derive(Debug, Default)]
pub struct Deleted {
    /// The ids of those that were.
    pub ids: Vec<String>,
    /// How many were not.
    pub failed: usize,
}

/// Deletes up to ten messages, those whose leases still hold.
pub async fn delete(queue: &Arc<dyn Queue>, held: Vec<Held>) -> Deleted {
    let mut deleted = Deleted::default();
    let (mut ids, mut receipts) = (Vec::new(), Vec::new());
    for (letter, lease) in held {
        if lease.release().await {
            ids.push(letter.message.id);
            receipts.push(letter.message.receipt);
        } else {
            deleted.failed += 1;
        }
    }
    if receipts.is_empty() {
        return deleted;
    }
    match queue.delete(&receipts).await {
        Ok(results) => {
            let passed = ids.into_iter().zip(results).filter(|(_, result)| result.is_ok());
            deleted.ids = passed.map(|(id, _)| id).collect();
            deleted.failed += receipts.len() - deleted.ids.len();
        }
        Err(error) => {
            tracing::warn!(error = %chain(&error), messages = receipts.len(), "messages could not be deleted");
            deleted.failed += receipts.len();
        }
    }
    deleted
}

/// The largest message that the queue takes, in bytes; the smaller of SQS's defaults where that cannot be
/// read. SQS bounds a batch by no less.
async fn largest_message(target: &SqsQueue) -> usize {
    let attributes = target.attributes().await.inspect_err(|error| {
        tracing::debug!(error = chain(error), "the largest message that the queue takes could not be read");
    });
    attributes.ok().and_then(|attributes| attributes.largest_message).unwrap_or(LARGEST_MESSAGE_BEFORE)
}

/// Why a message cannot be sent back whose body is no longer whole.
fn cut_body(letter: &DeadMessage) -> (String, String) {
    let why = "its body was cut when it was dead-lettered, and is no event any more".to_owned();
    (letter.message.id.clone(), why)
}

/// A copy for a queue that takes messages of `largest` bytes: without what its dead-lettering added, with
/// the number of its replays where there is room for it.
pub fn returned(letter: &DeadMessage, largest: usize) -> DeadLetter {
    let added = |name: &str| {
        name.starts_with("misstep.") || (letter.was_not_delivered() && EVENTBRIDGE.contains(&name))
    };
    let own = letter.message.attributes.iter().filter(|(name, _)| !added(name)).cloned();
    let replays = (letter.replays() + 1).to_string();
    let replays = AttributeValue::Text { data_type: "Number".to_owned(), value: replays };
    let trace = letter.message.trace.as_ref().map(|trace| trace.text.clone());
    let body = letter.message.body.clone();
    let mut copy = DeadLetter { body, attributes: own.take(MOST_ATTRIBUTES).collect(), trace };
    // Without the count the replay still works: the journal knows what was sent.
    let room = largest.saturating_sub(copy.size());
    if copy.attributes.len() < MOST_ATTRIBUTES && REPLAYS.len() + replays.size() <= room {
        copy.attributes.insert(0, (REPLAYS.to_owned(), replays));
    }
    copy
}

/// Whether a message is one that this replay sent: SQS keeps its id when it moves it, misstep notes it.
fn came_back(letter: &DeadMessage, journal: &Journal) -> bool {
    journal.has_sent(&letter.message.id)
        || letter.text("misstep.message_id").is_some_and(|id| journal.has_sent(&id))
}

/// In batches of ten at most that SQS takes.
fn batches(held: Vec<Held>, largest: usize) -> Vec<Vec<Held>> {
    let mut batches: Vec<Vec<Held>> = Vec::new();
    let mut room = 0;
    for one in held {
        let size = returned(&one.0, largest).size();
        match batches.last_mut() {
            Some(last) if last.len() < MOST_ENTRIES && size <= room => {
                room -= size;
                last.push(one);
            }
            _ => {
                room = largest.saturating_sub(size);
                batches.push(vec![one]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::tests::letter;

    fn attributes(letter: &DeadMessage) -> Vec<(String, String)> {
        let value = |value: AttributeValue| match value {
            AttributeValue::Text { value, .. } => value,
            AttributeValue::Bytes { .. } => unreachable!(),
        };
        returned(letter, LARGEST_MESSAGE_BEFORE)
            .attributes
            .into_iter()
            .map(|(name, text)| (name, value(text)))
            .collect()
    }

    #[test]
    fn a_copy_has_its_own_attributes_and_a_count() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let ours = letter("a", "orders", 7, &[("misstep.reason", "rejected"), ("tenant", "blue")]);
        assert_eq!(attributes(&ours), [pair(REPLAYS, "1"), pair("tenant", "blue")]);
        let again = letter("a", "orders", 7, &[(REPLAYS, "4")]);
        assert_eq!(attributes(&again), [pair(REPLAYS, "5")]);
        let undelivered = letter("a", "orders", 7, &[("ERROR_CODE", "X"), ("RULE_ARN", "r")]);
        assert_eq!(attributes(&undelivered), [pair(REPLAYS, "1")]);
        let names: Vec<String> = (0..10).map(|number| format!("a{number}")).collect();
        let full: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        assert_eq!(attributes(&letter("a", "orders", 7, &full)).len(), 10);
    }
}
