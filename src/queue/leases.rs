//! The messages in hand and how long SQS keeps them invisible for us.
//!
//! One table ordered by the time of the next renewal, one ticker: [`Leases::keep`] renews what is
//! due, up to ten messages a call, at half of the queue's visibility timeout. A lease that cannot
//! be renewed until it ends is lost, and so is one whose receipt handle SQS no longer takes: its
//! token is cancelled, and whoever works on that message stops. No lease outlives twelve hours
//! from its receipt, SQS's own limit.
//!
//! Releasing a lease waits for a renewal of it that is on its way, so that nothing changes the
//! visibility of a message after it was settled.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{LONGEST_LEASE, MOST_ENTRIES, Message, Queue, ReceiptHandle};
use crate::failpoint::{Point, reach};
use crate::metrics::Metrics;
use crate::telemetry::chain;

/// The margin kept to SQS's twelve hours, which it counts by its own clock.
const MARGIN: Duration = Duration::from_secs(60);

/// All leases of one worker.
pub struct Leases {
    queue: Arc<dyn Queue>,
    length: Duration,
    table: Mutex<Table>,
    changed: Notify,
    metrics: Metrics,
}

#[derive(Default)]
struct Table {
    next_key: u64,
    due: BTreeSet<(Instant, u64)>,
    entries: HashMap<u64, Entry>,
}

struct Entry {
    receipt: ReceiptHandle,
    message_id: String,
    received_at: Instant,
    ends: Instant,
    due: Instant,
    lost: CancellationToken,
    renewal: Arc<AsyncMutex<()>>,
}

/// The right to work on one message. Dropping it ends the renewals.
pub struct Lease {
    leases: Arc<Leases>,
    key: u64,
    lost: CancellationToken,
    renewal: Arc<AsyncMutex<()>>,
}

/// What a renewal carries through its call: the locks keep its entries from being settled.
struct Renewal {
    keys: Vec<u64>,
    changes: Vec<(ReceiptHandle, Duration)>,
    _under_way: Vec<OwnedMutexGuard<()>>,
}

impl Leases {
    /// An empty table for messages of `queue`, each leased for `length` at a time: the queue's
    /// visibility timeout.
    pub fn new(queue: Arc<dyn Queue>, length: Duration, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { queue, length, table: Mutex::default(), changed: Notify::new(), metrics })
    }

    /// Takes a received message into the table.
    pub fn hold(self: &Arc<Self>, message: &Message) -> Lease {
        let lost = CancellationToken::new();
        let renewal = Arc::new(AsyncMutex::new(()));
        let ends = message.received_at + self.length;
        let due = message.received_at + self.length / 2;
        let mut table = self.table();
        let key = table.next_key;
        table.next_key += 1;
        table.due.insert((due, key));
        table.entries.insert(
            key,
            Entry {
                receipt: message.receipt.clone(),
                message_id: message.id.clone(),
                received_at: message.received_at,
                ends,
                due,
                lost: lost.clone(),
                renewal: renewal.clone(),
            },
        );
        self.metrics.in_hand(table.entries.len());
        drop(table);
        self.changed.notify_one();
        Lease { leases: self.clone(), key, lost, renewal }
    }

    /// How many messages are in hand.
    pub fn in_hand(&self) -> usize {
        self.table().entries.len()
    }

    /// Renews what is due until `stop`; at most one call a batch, each on its own, so that a call
    /// that hangs holds up no other batch.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let next = self.table().due.first().map(|(due, _)| *due);
            let due = async {
                match next {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                () = due => {
                    while let Some(renewal) = self.take_due() {
                        tokio::spawn(self.clone().renew(renewal));
                    }
                }
            }
        }
    }

    /// The next batch of leases to renew. What is due soon goes along, which keeps the batches
    /// full; what has ended is lost.
    fn take_due(&self) -> Option<Renewal> {
        let now = Instant::now();
        let soon = now + self.length / 10;
        let mut table = self.table();
        if table.due.first().is_none_or(|(due, _)| *due > now) {
            return None;
        }
        let mut renewal = Renewal { keys: Vec::new(), changes: Vec::new(), _under_way: Vec::new() };
        let mut ending = Vec::new();
        while let Some((due, key)) = table.due.first().copied() {
            if due > soon || renewal.keys.len() == MOST_ENTRIES {
                break;
            }
            table.due.pop_first();
            let Some(entry) = table.entries.get_mut(&key) else { continue };
            if entry.ends <= now {
                self.lose(&mut table, key, "its visibility timeout ended");
                continue;
            }
            let left = (LONGEST_LEASE - MARGIN).saturating_sub(now - entry.received_at);
            let timeout = Duration::from_secs(self.length.min(left).as_secs());
            // A lock that is taken means that the message is being settled.
            let Ok(under_way) = entry.renewal.clone().try_lock_owned() else { continue };
            if timeout.is_zero() {
                entry.due = entry.ends;
                ending.push((entry.due, key));
                continue;
            }
            renewal.keys.push(key);
            renewal.changes.push((entry.receipt.clone(), timeout));
            renewal._under_way.push(under_way);
        }
        // Not before the loop has ended: their end may be soon as well.
        table.due.extend(ending);
        Some(renewal)
    }

    async fn renew(self: Arc<Self>, renewal: Renewal) {
        if renewal.keys.is_empty() {
            return;
        }
        // SQS counts from when it handles the call, which is no earlier than now.
        let asked_at = Instant::now();
        reach(Point::RenewalSending).await;
        let answer = self.queue.change_visibility(&renewal.changes).await;
        reach(Point::RenewalAnswered).await;
        let mut table = self.table();
        match answer {
            Ok(results) => {
                for ((key, (_, timeout)), result) in renewal.keys.iter().zip(&renewal.changes).zip(results) {
                    match result {
                        Ok(()) => {
                            self.metrics.lease_renewed();
                            table.renewed(*key, asked_at, *timeout);
                        }
                        Err(error) if error.lost => self.lose(&mut table, *key, &error.to_string()),
                        Err(error) => {
                            debug!(error = %error, "a lease was not renewed; trying again");
                            table.try_again(*key, self.length);
                        }
                    }
                }
            }
            Err(error) => {
                warn!(
                    error = chain(&error),
                    messages = renewal.keys.len(),
                    "leases were not renewed; trying again"
                );
                for key in &renewal.keys {
                    table.try_again(*key, self.length);
                }
            }
        }
        drop(table);
        self.changed.notify_one();
    }

    fn lose(&self, table: &mut Table, key: u64, why: &str) {
        if let Some(entry) = table.entries.remove(&key) {
            warn!(
                message.id = entry.message_id,
                why, "lost the lease of a message: it will come back, work on it stops"
            );
            self.metrics.lease_lost();
            self.metrics.in_hand(table.entries.len());
            entry.lost.cancel();
        }
    }

    fn let_go(&self, key: u64) {
        let mut table = self.table();
        if let Some(entry) = table.entries.remove(&key) {
            table.due.remove(&(entry.due, key));
            self.metrics.in_hand(table.entries.len());
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn renewed(&mut self, key: u64, asked_at: Instant, timeout: Duration) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.ends = asked_at + timeout;
            entry.due = asked_at + timeout / 2;
            self.due.insert((entry.due, key));
        }
    }

    /// Soon again, and at the latest when the lease ends, which is then noticed.
    fn try_again(&mut self, key: u64, length: Duration) {
        if let Some(entry) = self.entries.get_mut(&key) {
            let pause = (length / 10).clamp(Duration::from_millis(100), Duration::from_secs(5));
            entry.due = (Instant::now() + pause).min(entry.ends);
            self.due.insert((entry.due, key));
        }
    }
}

impl Lease {
    /// Cancelled when the message is no longer ours.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Ends the renewals, waiting for one that is under way; to be called before settling.
    /// `false` when the lease was lost and the message is not ours to settle.
    pub async fn release(self) -> bool {
        let _no_renewal_now = self.renewal.clone().lock_owned().await;
        self.leases.let_go(self.key);
        !self.lost.is_cancelled()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.let_go(self.key);
    }
}
