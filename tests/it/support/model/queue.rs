//! The model of a standard queue.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use misstep::aws::error::ErrorClass;
use misstep::queue::{
    AttributeValue, DeadLetter, EntryError, EntryResults, LONGEST_LEASE, Message, Queue, QueueAttributes,
    QueueCounts, QueueError, ReceiptHandle,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Chance, Event, Faults, Record};

/// How long a client waits for a reply that does not come.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// A message of the model.
#[derive(Debug, Clone)]
pub struct Stored {
    /// What it says.
    pub body: String,
    /// Invisible until then.
    pub visible_at: Instant,
    /// How often it was received.
    pub receives: u32,
    /// The newest receipt; older ones are stale.
    pub receipt: Option<String>,
    received_at: Instant,
    /// Deleted for good.
    pub deleted: bool,
    /// Moved to the dead-letter queue.
    pub dead: bool,
}

/// A queue and its dead-letter queue.
#[derive(Clone)]
pub struct ModelQueue {
    messages: Arc<Mutex<Vec<Stored>>>,
    arrived: Arc<Notify>,
    attributes: QueueAttributes,
    faults: Arc<Mutex<Faults>>,
    slowest_ms: Arc<AtomicU64>,
    dead_lettering_ms: Arc<AtomicU64>,
    deletes: Arc<AtomicUsize>,
    chance: Chance,
    record: Record,
}

impl ModelQueue {
    /// An empty queue.
    pub fn new(
        visibility_timeout: Duration,
        max_receive_count: u32,
        faults: Faults,
        chance: Chance,
        record: Record,
    ) -> Self {
        Self {
            messages: Arc::default(),
            arrived: Arc::default(),
            attributes: QueueAttributes {
                visibility_timeout,
                max_receive_count: Some(max_receive_count),
                dead_letter_url: Some("model-dlq".to_owned()),
                largest_message: None,
            },
            faults: Arc::new(Mutex::new(faults)),
            slowest_ms: Arc::new(AtomicU64::new(20)),
            dead_lettering_ms: Arc::default(),
            deletes: Arc::default(),
            chance,
            record,
        }
    }

    /// Puts a message into the queue; returns its number.
    pub fn send(&self, body: String) -> usize {
        let now = Instant::now();
        let mut messages = self.messages();
        messages.push(Stored {
            body,
            visible_at: now,
            receives: 0,
            receipt: None,
            received_at: now,
            deleted: false,
            dead: false,
        });
        let number = messages.len() - 1;
        drop(messages);
        self.arrived.notify_waiters();
        number
    }

    /// All messages as they are now.
    pub fn stored(&self) -> Vec<Stored> {
        self.messages().clone()
    }

    /// How long a received message stays invisible.
    pub fn visibility_timeout(&self) -> Duration {
        self.attributes.visibility_timeout
    }

    /// How many calls of DeleteMessageBatch came.
    pub fn delete_calls(&self) -> usize {
        self.deletes.load(Ordering::Relaxed)
    }

    /// Changes how long a call takes at most, in milliseconds.
    pub fn set_slowest(&self, millis: u64) {
        self.slowest_ms.store(millis, Ordering::Relaxed);
    }

    /// Changes how long the dead-letter queue takes for a message, whole milliseconds.
    pub fn set_dead_lettering(&self, takes: Duration) {
        self.dead_lettering_ms.store(takes.as_millis().try_into().unwrap(), Ordering::Relaxed);
    }

    /// Changes the faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock().unwrap() = faults;
    }

    fn messages(&self) -> MutexGuard<'_, Vec<Stored>> {
        self.messages.lock().unwrap()
    }

    fn faults(&self) -> Faults {
        *self.faults.lock().unwrap()
    }

    fn fault(&self, kind: &'static str, probability: f64, messages: usize) -> bool {
        let happens = self.chance.of(probability);
        if happens {
            self.record.add(Event::Fault { kind, messages });
        }
        happens
    }

    /// A fault that strikes before the call has any effect.
    async fn before(&self, operation: &'static str, messages: usize) -> Result<(), QueueError> {
        let faults = self.faults();
        if self.fault("refused", faults.refused, messages) {
            return Err(error(operation, "ServiceUnavailable"));
        }
        if self.fault("hung", faults.hung, messages) {
            tokio::time::sleep(CLIENT_TIMEOUT).await;
            return Err(error(operation, "timeout"));
        }
        tokio::time::sleep(Duration::from_millis(
            1 + self.chance.below(self.slowest_ms.load(Ordering::Relaxed)),
        ))
        .await;
        Ok(())
    }

    /// A fault that strikes after the call had its effect.
    fn after<T>(&self, operation: &'static str, messages: usize, reply: T) -> Result<T, QueueError> {
        if self.fault("reply-lost", self.faults().reply_lost, messages) {
            return Err(error(operation, "connection reset"));
        }
        Ok(reply)
    }

    /// Hands out what is visible now.
    fn hand_out(&self, most: usize) -> Vec<Message> {
        let now = Instant::now();
        let faults = self.faults();
        let mut handed = Vec::new();
        let mut messages = self.messages();
        for (number, stored) in messages.iter_mut().enumerate() {
            if stored.deleted || stored.dead || stored.visible_at > now || handed.len() == most {
                continue;
            }
            if self.attributes.max_receive_count.is_some_and(|count| stored.receives >= count) {
                stored.dead = true;
                self.record.add(Event::Redriven { message: number });
                continue;
            }
            stored.receives += 1;
            let receipt = format!("{number}#{}", stored.receives);
            stored.receipt = Some(receipt.clone());
            stored.received_at = now;
            stored.visible_at = now + self.attributes.visibility_timeout;
            if self.fault("delivered-twice", faults.delivered_twice, 1) {
                stored.visible_at = now;
            }
            self.record.add(Event::Received { message: number, receipt: receipt.clone() });
            handed.push(Message {
                id: format!("m-{number}"),
                receipt: ReceiptHandle(receipt),
                body: stored.body.clone(),
                receives: stored.receives,
                sent_at_ms: None,
                trace: None,
                attributes: Vec::new(),
                received_at: now,
            });
        }
        handed
    }

    fn next_visible(&self) -> Option<Instant> {
        self.messages()
            .iter()
            .filter(|stored| !stored.deleted && !stored.dead)
            .map(|stored| stored.visible_at)
            .min()
    }

    fn entries<T>(&self, entries: &[T], mut one: impl FnMut(&T) -> Result<(), EntryError>) -> EntryResults {
        assert!((1..=10).contains(&entries.len()), "a batch of {} entries", entries.len());
        entries
            .iter()
            .map(|entry| {
                if self.fault("entry-failed", self.faults().entry_failed, 1) {
                    return Err(EntryError {
                        code: "InternalError".to_owned(),
                        message: "try again".to_owned(),
                        lost: false,
                    });
                }
                one(entry)
            })
            .collect()
    }
}

fn number(receipt: &str) -> usize {
    receipt.split('#').next().and_then(|number| number.parse().ok()).unwrap()
}

fn error(operation: &'static str, what: &str) -> QueueError {
    QueueError::Call {
        operation,
        queue: "model".to_owned(),
        class: ErrorClass::of_answer(Some(what), 500),
        code: Some(what.to_owned()),
        source: what.into(),
    }
}

fn lost(message: &str) -> EntryError {
    EntryError { code: "InvalidParameterValue".to_owned(), message: message.to_owned(), lost: true }
}

/// Tells when a poll is dropped before its end, and takes a message with it, as SQS does.
struct Poll<'a> {
    queue: &'a ModelQueue,
    ended: bool,
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.queue.record.add(Event::PollDropped);
            self.queue.hand_out(1);
        }
    }
}

#[async_trait]
impl Queue for ModelQueue {
    async fn attributes(&self) -> Result<QueueAttributes, QueueError> {
        Ok(self.attributes.clone())
    }

    async fn counts(&self) -> Result<QueueCounts, QueueError> {
        let now = Instant::now();
        let mut counts = QueueCounts::default();
        for stored in self.messages().iter().filter(|stored| !stored.deleted && !stored.dead) {
            if stored.visible_at <= now {
                counts.visible += 1;
            } else {
                counts.in_flight += 1;
            }
        }
        Ok(counts)
    }

    async fn receive(&self, most: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        assert!((1..=10).contains(&most), "a poll for {most} messages");
        self.record.add(Event::PollBegan);
        let mut poll = Poll { queue: self, ended: false };
        let until = Instant::now() + wait;
        let polled = async {
            self.before("ReceiveMessage", 0).await?;
            loop {
                let handed = self.hand_out(most);
                if !handed.is_empty() || Instant::now() >= until {
                    return self.after("ReceiveMessage", handed.len(), handed);
                }
                let next = self.next_visible().map_or(until, |next| next.min(until));
                tokio::select! {
                    biased;
                    () = self.arrived.notified() => {}
                    () = tokio::time::sleep_until(next.max(Instant::now() + Duration::from_millis(1))) => {}
                }
            }
        }
        .await;
        poll.ended = true;
        polled
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults, QueueError> {
        self.deletes.fetch_add(1, Ordering::Relaxed);
        self.before("DeleteMessageBatch", receipts.len()).await?;
        let results = self.entries(receipts, |ReceiptHandle(receipt)| {
            let message = number(receipt);
            let mut messages = self.messages();
            let stored = &mut messages[message];
            let effective = stored.receipt.as_deref() == Some(receipt) && !stored.deleted && !stored.dead;
            self.record.add(Event::Deleted { message, receipt: receipt.clone(), effective });
            if effective {
                if self.fault("back-after-delete", self.faults().back_after_delete, 1) {
                    stored.visible_at = Instant::now() + Duration::from_secs(1);
                } else {
                    stored.deleted = true;
                }
            }
            // A stale receipt handle is no error on a standard queue.
            Ok(())
        });
        self.after("DeleteMessageBatch", receipts.len(), results)
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<EntryResults, QueueError> {
        self.before("ChangeMessageVisibilityBatch", changes.len()).await?;
        let results = self.entries(changes, |(ReceiptHandle(receipt), timeout)| {
            let now = Instant::now();
            let message = number(receipt);
            let mut messages = self.messages();
            let stored = &mut messages[message];
            let ours = stored.receipt.as_deref() == Some(receipt) && !stored.deleted && !stored.dead;
            let in_flight = stored.visible_at > now;
            let allowed = now + *timeout <= stored.received_at + LONGEST_LEASE;
            let effective = ours && in_flight && allowed;
            self.record.add(Event::Visibility {
                message,
                receipt: receipt.clone(),
                seconds: timeout.as_secs(),
                effective,
            });
            if !effective {
                return Err(lost(
                    "the message does not exist or is not available for visibility timeout change",
                ));
            }
            stored.visible_at = now + *timeout;
            Ok(())
        });
        self.arrived.notify_waiters();
        self.after("ChangeMessageVisibilityBatch", changes.len(), results)
    }

    async fn dead_letter(&self, url: &str, letter: &DeadLetter) -> Result<(), QueueError> {
        assert_eq!(url, "model-dlq");
        if let takes @ 1.. = self.dead_lettering_ms.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(takes)).await;
        }
        self.before("SendMessage", 1).await?;
        // The largest bodies leave no room for the attribute.
        let id = letter.attributes.iter().find(|(name, _)| name == "misstep.message_id");
        let by_id = id.and_then(|(_, id)| match id {
            AttributeValue::Text { value, .. } => value.strip_prefix("m-")?.parse().ok(),
            AttributeValue::Bytes { .. } => None,
        });
        let by_body = || self.messages().iter().position(|stored| stored.body == letter.body);
        let message = by_id.or_else(by_body).unwrap();
        self.record.add(Event::DeadLettered { message });
        self.after("SendMessage", 1, ())
    }
}
