//! Receiving messages: how many polls, for how many messages, and what happens when they fail.
//!
//! One poll while the queue is quiet. Each poll that comes back full asks for one more at a time,
//! up to the concurrency; an empty one goes back to one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Worker, health};
use crate::breaker::Admission;
use crate::failpoint::{Point, reach};
use crate::metrics::RetriedOperation;
use crate::queue::{MOST_ENTRIES, Message, QueueError};
use crate::retry::{Pauses, Policy};
use crate::telemetry::chain;

/// How long a poll waits for more than one permit: receiving one message at a time would cost ten times
/// the calls.
const BATCH_WINDOW: Duration = Duration::from_millis(5);

/// How long an empty queue is left alone where polls do not wait by themselves.
const SHORT_POLLS_APART: Duration = Duration::from_secs(1);

/// How often a failure to poll is logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The result of a poll, and the permits that it held.
struct Polled {
    result: Result<Vec<Message>, QueueError>,
    permits: Vec<OwnedSemaphorePermit>,
    half_open: bool,
}

/// The state of polling.
struct Intake {
    polls: JoinSet<Polled>,
    /// How many polls may be under way.
    wanted: usize,
    /// No poll begins before this.
    not_before: Instant,
    /// Whether a poll has ever worked.
    has_polled: bool,
    backoff: Option<PollBackoff>,
}

/// The pauses between polls that keep failing.
struct PollBackoff {
    pauses: Pauses,
    logged_at: Instant,
}

impl Worker {
    /// Polls until `stop`, until the queue is empty, or until the queue refuses the first poll.
    /// Returns what must still be awaited as well: the polls that are under way, whose messages are
    /// released.
    pub(super) async fn take_in(
        self: &Arc<Self>,
        stop: &CancellationToken,
    ) -> (Result<(), QueueError>, impl Future<Output = ()> + use<>) {
        let mut intake = Intake {
            polls: JoinSet::new(),
            wanted: 1,
            not_before: Instant::now(),
            has_polled: false,
            backoff: None,
        };
        let ended = self.poll_on(&mut intake, stop).await;
        let worker = self.clone();
        let last_polls = async move {
            while let Some(polled) = intake.polls.join_next().await {
                if let Ok(Polled { result: Ok(messages), permits, .. }) = polled {
                    worker.release_unread(messages, permits).await;
                }
            }
        };
        (ended, last_polls)
    }

    async fn poll_on(
        self: &Arc<Self>,
        intake: &mut Intake,
        stop: &CancellationToken,
    ) -> Result<(), QueueError> {
        let breakers = self.pipeline.breakers();
        loop {
            self.health.beat();
            let not_before = intake.not_before;
            let next = async move {
                tokio::time::sleep_until(not_before).await;
                match breakers.admission() {
                    Admission::All => (self.acquire_permits().await, false),
                    Admission::One => (Vec::new(), true),
                    Admission::NotBefore(at) => {
                        tokio::time::sleep_until(at).await;
                        (Vec::new(), true)
                    }
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(polled) = intake.polls.join_next() => match polled {
                    Ok(polled) => {
                        let empty = self.polled(intake, polled)?;
                        if empty && self.settings.until_empty && self.is_finished(intake).await {
                            return Ok(());
                        }
                    }
                    Err(panic) => error!(%panic, "a poll ended without an answer"),
                },
                () = tokio::time::sleep(health::BEAT) => {}
                // The loop asks for admission again.
                () = breakers.changed() => {}
                (permits, half_open) = next, if intake.polls.len() < intake.wanted => {
                    // A breaker may have opened while the permits were being acquired.
                    if half_open || breakers.admission() == Admission::All {
                        self.poll(&mut intake.polls, permits, half_open);
                    }
                }
            }
        }
    }

    /// Begins to work on the messages of a poll; returns whether the poll came back empty.
    fn polled(
        self: &Arc<Self>,
        intake: &mut Intake,
        Polled { result, permits, half_open }: Polled,
    ) -> Result<bool, QueueError> {
        match result {
            Ok(messages) => {
                intake.has_polled = true;
                self.metrics.polled();
                if intake.backoff.take().is_some() {
                    info!("polling works again");
                }
                let most = self.settings.concurrency.div_ceil(MOST_ENTRIES);
                intake.wanted = match messages.len() {
                    0 => 1,
                    got if got == permits.len() => (intake.wanted + 1).min(most),
                    _ => intake.wanted,
                };
                let empty = messages.is_empty();
                // A poll that was under way when a breaker opened brings half-open messages as well:
                // releasing them would use up one more of their receives.
                let half_open = half_open || self.pipeline.breakers().admission() != Admission::All;
                let mut permits = permits.into_iter();
                for message in messages {
                    self.begin(message, permits.next(), half_open);
                }
                if empty && self.settings.poll_wait.is_zero() {
                    intake.not_before = Instant::now() + SHORT_POLLS_APART;
                }
                Ok(empty)
            }
            Err(error) if !intake.has_polled && error.is_refusal() => Err(error),
            Err(error) => {
                intake.wanted = 1;
                self.metrics.retry(RetriedOperation::Poll, error.class().into());
                let pause = intake.backoff.get_or_insert_with(|| PollBackoff::begin(&error)).pause(&error);
                intake.not_before = Instant::now() + pause;
                Ok(false)
            }
        }
    }

    fn poll(
        self: &Arc<Self>,
        polls: &mut JoinSet<Polled>,
        permits: Vec<OwnedSemaphorePermit>,
        half_open: bool,
    ) {
        if half_open {
            self.pipeline.breakers().half_open_began();
        }
        let queue = self.queue.clone();
        let wait = self.settings.poll_wait;
        polls.spawn(async move {
            // A half-open message needs no permit: messages in hand may hold them all and wait for its result.
            let result = queue.receive(permits.len().max(1), wait).await;
            reach(Point::Received).await;
            Polled { result, permits, half_open }
        });
    }

    /// Waits for a permit, and for a moment for more of them.
    async fn acquire_permits(&self) -> Vec<OwnedSemaphorePermit> {
        let closed = "the permits are never closed";
        let mut permits = vec![self.permits.clone().acquire_owned().await.expect(closed)];
        let more = MOST_ENTRIES.min(self.settings.concurrency) - 1;
        // Asked for together, they wake the loop once and not one by one.
        let all = self.permits.clone().acquire_many_owned(u32::try_from(more).unwrap_or(0));
        match tokio::time::timeout(BATCH_WINDOW, all).await {
            Ok(all) => {
                let mut all = all.expect(closed);
                permits.extend((0..more).filter_map(|_| all.split(1)));
            }
            Err(_elapsed) => {
                let free = (0..more).map_while(|_| self.permits.clone().try_acquire_owned().ok());
                permits.extend(free);
            }
        }
        permits
    }

    /// Whether nothing is in hand, on its way, or left on the queue.
    async fn is_finished(&self, intake: &Intake) -> bool {
        if !self.tasks.is_empty() || !intake.polls.is_empty() {
            return false;
        }
        match self.queue.counts().await {
            Ok(counts) => counts.is_empty(),
            Err(error) => {
                warn!(error = chain(&error), "could not count the messages of the queue; polling on");
                false
            }
        }
    }

    /// Releases the messages that a poll brought after the stop, except those on their last receive: these
    /// would go to the dead-letter queue unread, so they are processed while the grace period lasts.
    async fn release_unread(self: &Arc<Self>, messages: Vec<Message>, permits: Vec<OwnedSemaphorePermit>) {
        let (last, others): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|message| self.is_last_receive(message));
        let mut permits = permits.into_iter();
        for message in last {
            self.begin(message, permits.next(), false);
        }
        join_all(others.into_iter().map(|message| async move {
            if let Err(error) = self.settler.release(message.receipt, Duration::ZERO).await {
                warn!(message.id = message.id, error = chain(&error), "could not release a message");
            }
        }))
        .await;
    }
}

impl PollBackoff {
    fn begin(error: &QueueError) -> Self {
        warn!(error = chain(error), "polling failed; trying again with growing pauses");
        Self { pauses: Policy::POLL.start(), logged_at: Instant::now() }
    }

    /// How long to wait before the next poll.
    fn pause(&mut self, error: &QueueError) -> Duration {
        if self.logged_at.elapsed() >= LOG_EVERY {
            warn!(error = chain(error), attempts = self.pauses.attempts(), "polling still fails");
            self.logged_at = Instant::now();
        }
        self.pauses.next_pause(None).unwrap_or(Policy::POLL.cap)
    }
}
