//! The messages in hand and how long SQS keeps them invisible for us.
//!
//! One table ordered by the time of the next renewal, one ticker: [`Leases::keep`] renews what is
//! due, up to ten messages a call, at half of the queue's visibility timeout. A lease that cannot
//! be renewed until it ends is lost, and so is one whose receipt handle SQS no longer accepts: its
//! token is cancelled, and the work on that message stops. No lease outlives twelve hours
//! from its receipt, SQS's own limit.
//!
//! # Who changes what, and when
//!
//! The table has a lock of its own, which is never held across an await. Each lease has a second
//! lock, its *renewal*, held either by the renewal that is under way or by the release of the lease.
//!
//! 1. **Every lease in the table is in `due`, under the time that its entry says**, whenever the
//!    table is unlocked. `LeaseTable::schedule` and `LeaseTable::remove` change both together. The only
//!    exception lies within `Leases::take_due`, which puts each lease that it takes out of `due` back
//!    before it unlocks the table, at the latest under the lease's end. So a lease is renewed in time, or
//!    found at its end and declared lost, even if the renewal that was to schedule it panics or hangs.
//! 2. **A lease that is due and locked is being released, or is being renewed until its end.** A
//!    renewal that has its answer schedules its leases again, unlocks them, and unlocks the table last
//!    (`Leases::renew`). So nobody finds a lease due that is still locked by a renewal which is over.
//! 3. **A release waits for a renewal that is under way**, and takes the lease out of the table before
//!    it unlocks the renewal. So no renewal is sent once a release has returned. A renewal that the client
//!    gave up waiting for may still reach SQS later: it finds the message deleted, or keeps it invisible a
//!    while longer.
//! 4. Nobody waits for a renewal's lock while the table is locked (`Leases::take_due` only tries it),
//!    so the two locks cannot deadlock.

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
    table: Mutex<LeaseTable>,
    changed: Notify,
    metrics: Metrics,
}

#[derive(Default)]
struct LeaseTable {
    next_key: u64,
    /// When each lease has to be looked at next.
    due: BTreeSet<(Instant, u64)>,
    entries: HashMap<u64, LeaseEntry>,
}

struct LeaseEntry {
    receipt: ReceiptHandle,
    message_id: String,
    received_at: Instant,
    ends: Instant,
    /// The time under which `due` holds it.
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
#[derive(Default)]
struct Renewal {
    keys: Vec<u64>,
    changes: Vec<(ReceiptHandle, Duration)>,
    under_way: Vec<OwnedMutexGuard<()>>,
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
            LeaseEntry {
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
        let is_next = table.due.first() == Some(&(due, key));
        drop(table);
        // Whoever waits for an earlier one looks at this one after it.
        if is_next {
            self.changed.notify_one();
        }
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
        let mut renewal = Renewal::default();
        let mut taken = Vec::new();
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
            // Until its renewal schedules it again.
            entry.due = entry.ends;
            taken.push((entry.due, key));
            let left = (LONGEST_LEASE - MARGIN).saturating_sub(now - entry.received_at);
            let timeout = Duration::from_secs(self.length.min(left).as_secs());
            if timeout.is_zero() {
                continue;
            }
            // Being released, or being renewed until its end.
            let Ok(under_way) = entry.renewal.clone().try_lock_owned() else { continue };
            renewal.keys.push(key);
            renewal.changes.push((entry.receipt.clone(), timeout));
            renewal.under_way.push(under_way);
        }
        // Not before the loop has ended: their end may be soon as well.
        table.due.extend(taken);
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
        // In this order: these leases are due again, and whoever finds them so must find them unlocked.
        drop(renewal);
        drop(table);
        self.changed.notify_one();
    }

    fn lose(&self, table: &mut LeaseTable, key: u64, why: &str) {
        if let Some(entry) = table.remove(key) {
            warn!(
                message.id = entry.message_id,
                why, "lost the lease of a message: the work on it stops, and the message comes back"
            );
            self.metrics.lease_lost();
            self.metrics.in_hand(table.entries.len());
            entry.lost.cancel();
        }
    }

    fn let_go(&self, key: u64) {
        let mut table = self.table();
        if table.remove(key).is_some() {
            self.metrics.in_hand(table.entries.len());
        }
    }

    fn table(&self) -> MutexGuard<'_, LeaseTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeaseTable {
    fn renewed(&mut self, key: u64, asked_at: Instant, timeout: Duration) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.ends = asked_at + timeout;
            self.schedule(key, asked_at + timeout / 2);
        }
    }

    /// Soon again, and at the latest when the lease ends, which is then noticed.
    fn try_again(&mut self, key: u64, length: Duration) {
        if let Some(entry) = self.entries.get_mut(&key) {
            let pause = (length / 10).clamp(Duration::from_millis(100), Duration::from_secs(5));
            let due = (Instant::now() + pause).min(entry.ends);
            self.schedule(key, due);
        }
    }

    fn schedule(&mut self, key: u64, due: Instant) {
        if let Some(entry) = self.entries.get_mut(&key) {
            self.due.remove(&(entry.due, key));
            entry.due = due;
            self.due.insert((due, key));
        }
    }

    fn remove(&mut self, key: u64) -> Option<LeaseEntry> {
        let entry = self.entries.remove(&key)?;
        self.due.remove(&(entry.due, key));
        Some(entry)
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

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Wake, Waker};

    use async_trait::async_trait;

    use super::*;
    use crate::queue::{DeadLetter, EntryError, EntryResults, QueueAttributes, QueueCounts, QueueError};

    /// Renews every lease at the second attempt.
    #[derive(Default)]
    struct Reluctant(Mutex<HashMap<String, usize>>);

    impl Reluctant {
        fn attempts(&self, receipt: &str) -> usize {
            self.0.lock().unwrap().get(receipt).copied().unwrap_or(0)
        }
    }

    #[async_trait]
    impl Queue for Reluctant {
        async fn change_visibility(
            &self,
            changes: &[(ReceiptHandle, Duration)],
        ) -> Result<EntryResults, QueueError> {
            let mut attempts = self.0.lock().unwrap();
            let answer = |(receipt, _): &(ReceiptHandle, Duration)| {
                let attempts = attempts.entry(receipt.0.clone()).or_default();
                *attempts += 1;
                if attempts.is_multiple_of(2) {
                    return Ok(());
                }
                let (code, message) = ("InternalError".to_owned(), "try again".to_owned());
                Err(EntryError { code, message, lost: false })
            };
            Ok(changes.iter().map(answer).collect())
        }

        async fn attributes(&self) -> Result<QueueAttributes, QueueError> {
            unreachable!("leases only change visibility")
        }

        async fn counts(&self) -> Result<QueueCounts, QueueError> {
            unreachable!("leases only change visibility")
        }

        async fn receive(&self, _most: usize, _wait: Duration) -> Result<Vec<Message>, QueueError> {
            unreachable!("leases only change visibility")
        }

        async fn delete(&self, _receipts: &[ReceiptHandle]) -> Result<EntryResults, QueueError> {
            unreachable!("leases only change visibility")
        }

        async fn dead_letter(&self, _url: &str, _letter: &DeadLetter) -> Result<(), QueueError> {
            unreachable!("leases only change visibility")
        }
    }

    fn message(number: usize, received_at: Instant) -> Message {
        Message {
            id: format!("m-{number}"),
            receipt: ReceiptHandle(format!("r-{number}")),
            body: String::new(),
            receives: 1,
            sent_at_ms: None,
            trace: None,
            attributes: Vec::new(),
            received_at,
        }
    }

    /// Does something in the moment in which it is woken.
    struct Woken(Box<dyn Fn() + Send + Sync>);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            (self.0)();
        }
    }

    /// Another thread looks for what is due in the moment in which a renewal says that it has changed the
    /// table, and before it does anything else.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_lease_is_not_forgotten_by_whoever_looks_while_its_renewal_ends() {
        const LENGTH: Duration = Duration::from_secs(1);
        let queue = Arc::new(Reluctant::default());
        let leases = Leases::new(queue.clone(), LENGTH, Metrics::new());
        let due = Instant::now() - LENGTH / 2;
        let lease = leases.hold(&message(0, due));
        let ending = leases.take_due().expect("it is due");
        // Due as well, so that whoever looks has something to do.
        let _other = leases.hold(&message(1, due));
        leases.changed.notified().await;

        let (found, looked) = mpsc::channel();
        let looking = leases.clone();
        let look = Woken(Box::new(move || {
            let (looking, found) = (looking.clone(), found.clone());
            let looker = std::thread::spawn(move || found.send(looking.take_due()));
            looker.join().unwrap().unwrap();
        }));
        let waker = Waker::from(Arc::new(look));
        let mut changed = pin!(leases.changed.notified());
        assert!(changed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        leases.clone().renew(ending).await;
        let seen = looked.try_recv().expect("the other thread has looked").expect("one is due");
        leases.clone().renew(seen).await;

        // From here on as a worker does it: its lease is renewed, or ends and is declared lost.
        let stop = CancellationToken::new();
        let keeping = tokio::spawn(leases.clone().keep(stop.clone()));
        let settled = tokio::time::timeout(3 * LENGTH, async {
            while !lease.lost().is_cancelled() && queue.attempts("r-0") < 2 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(settled.await.is_ok(), "it was neither renewed again nor declared lost");
        stop.cancel();
        keeping.await.unwrap();
    }
}
