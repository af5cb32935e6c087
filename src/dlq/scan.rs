//! Looking through a whole queue, larger than a batch and than a visibility timeout.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{DeadMessage, HOLD};
use crate::metrics::Metrics;
use crate::queue::leases::{Lease, Leases};
use crate::queue::{MOST_ENTRIES, Queue, QueueError};
use crate::telemetry::chain;

/// How long a poll waits. SQS asks all of its servers only when it waits.
const WAIT: Duration = Duration::from_secs(1);

/// So many polls in a row have to come back empty.
const EMPTY_POLLS: usize = 2;

/// What SQS says when it has handed out as many messages as it may.
const IN_FLIGHT_LIMIT: &str = "OverLimit";

/// A message and the right to it.
pub type Held = (DeadMessage, Lease);

/// Messages that are held, in the order in which they were first seen.
pub struct Scan {
    queue: Arc<dyn Queue>,
    leases: Arc<Leases>,
    held: Vec<Held>,
    renewing: CancellationToken,
    /// Whether the whole queue was seen.
    pub whole: ScanEnd,
}

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanEnd {
    /// Everything that was visible was seen.
    Yes,
    /// What was sought was found.
    Enough,
    /// It was interrupted.
    Interrupted,
    /// SQS hands out no more than 120,000 messages at a time.
    InFlightLimit,
}

/// Looks through `queue` until it is empty, `enough` says so of a message, or `stop`.
///
/// # Errors
/// When polling fails. What was held by then has been released.
pub async fn scan(
    queue: Arc<dyn Queue>,
    stop: &CancellationToken,
    mut enough: impl FnMut(&DeadMessage) -> bool,
) -> Result<Scan, QueueError> {
    let leases = Leases::new(queue.clone(), HOLD, Metrics::new());
    let renewing = CancellationToken::new();
    tokio::spawn(leases.clone().keep(renewing.clone()));
    let mut scan = Scan { queue, leases, held: Vec::new(), renewing, whole: ScanEnd::Yes };
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut empty = 0;
    while empty < EMPTY_POLLS {
        if stop.is_cancelled() {
            scan.whole = ScanEnd::Interrupted;
            break;
        }
        // To its end, whatever happens: SQS may have handed out messages already.
        let received = match scan.queue.receive(MOST_ENTRIES, WAIT).await {
            Ok(received) => received,
            Err(QueueError::Call { code: Some(code), .. }) if code.contains(IN_FLIGHT_LIMIT) => {
                scan.whole = ScanEnd::InFlightLimit;
                break;
            }
            Err(error) => {
                scan.release().await;
                return Err(error);
            }
        };
        empty = if received.is_empty() { empty + 1 } else { 0 };
        let mut found = false;
        for message in received {
            let lease = scan.leases.hold(&message);
            let letter = DeadMessage::new(message);
            found |= enough(&letter);
            match seen.get(&letter.message.id) {
                // Its lease was lost meanwhile, or SQS delivered it twice.
                Some(at) => scan.held[*at] = (letter, lease),
                None => {
                    seen.insert(letter.message.id.clone(), scan.held.len());
                    scan.held.push((letter, lease));
                }
            }
        }
        if found {
            scan.whole = ScanEnd::Enough;
            break;
        }
    }
    Ok(scan)
}

impl Scan {
    /// What is held.
    pub fn letters(&self) -> impl Iterator<Item = &DeadMessage> {
        self.held.iter().map(|(letter, _)| letter)
    }

    /// The queue that was looked through.
    pub fn queue(&self) -> &Arc<dyn Queue> {
        &self.queue
    }

    /// Takes out what is selected; whoever does so has to settle it or put it back.
    pub fn take(&mut self, selected: impl Fn(&DeadMessage) -> bool) -> Vec<Held> {
        let (taken, left) =
            std::mem::take(&mut self.held).into_iter().partition(|(letter, _)| selected(letter));
        self.held = left;
        taken
    }

    /// Puts messages back that were taken out.
    pub fn put_back(&mut self, held: impl IntoIterator<Item = Held>) {
        self.held.extend(held);
    }

    /// Counts what has come since that is `sought`, and holds all of it.
    pub async fn look_for(&mut self, sought: impl Fn(&DeadMessage) -> bool) -> usize {
        let received = match self.queue.receive(MOST_ENTRIES, Duration::ZERO).await {
            Ok(received) => received,
            Err(error) => {
                warn!(error = %chain(&error), "the dead-letter queue could not be looked at for what comes back");
                return 0;
            }
        };
        let mut found = 0;
        for message in received {
            let lease = self.leases.hold(&message);
            let letter = DeadMessage::new(message);
            found += usize::from(sought(&letter));
            self.held.push((letter, lease));
        }
        found
    }

    /// A copy of one message, to be looked at when it has been released.
    pub fn copy_of(&self, id: &str) -> Option<DeadMessage> {
        let letter = self.letters().find(|letter| letter.message.id == id)?;
        Some(DeadMessage::new(letter.message.clone()))
    }

    /// Makes everything visible again; returns how many messages that failed of, which are visible
    /// again after [`HOLD`].
    pub async fn release(self) -> usize {
        let mut receipts = Vec::new();
        for (letter, lease) in self.held {
            // One whose lease was lost is visible already, or somebody else's.
            if lease.release().await {
                receipts.push((letter.message.receipt, Duration::ZERO));
            }
        }
        let mut failed = 0;
        for changes in receipts.chunks(MOST_ENTRIES) {
            failed += match self.queue.change_visibility(changes).await {
                Ok(results) => results.iter().filter(|result| result.is_err()).count(),
                Err(error) => {
                    warn!(error = %chain(&error), messages = changes.len(), "messages could not be released");
                    changes.len()
                }
            };
        }
        self.renewing.cancel();
        failed
    }
}
