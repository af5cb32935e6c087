//! The loop: poll as far as there are permits, work on each message by itself, settle it, drain when stopped.
//!
//! A permit is acquired before a message is received and dropped when it is settled, so that received
//! messages never queue in memory. Messages of one batch do not wait for each other. A poll is
//! never cancelled: SQS may already have handed it messages. At a stop it ends by itself within its
//! wait, and what it brings is released at once.

pub mod health;
mod intake;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::failpoint::{Point, reach};
use crate::metrics::{Metrics, RetriedOperation, Stage};
use crate::outcome::Outcome;
use crate::pipeline::{MessageAttempt, Pipeline};

use crate::queue::dead_letter::DeadLetterReason;
use crate::queue::leases::{Lease, Leases};
use crate::queue::settle::{SettleError, Settler};
use crate::queue::{DeadLetter, LONGEST_WORK, Message, Queue, QueueAttributes, QueueError};
use crate::retry::{Policy, release_delay};
use crate::telemetry::message::{MessageSpan, Received};
use crate::telemetry::{chain, millis};
use health::Health;

/// How long releasing unfinished messages may take after the grace period.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// How the worker runs.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The queue's name, for traces.
    pub queue_name: String,
    /// Messages in hand at once.
    pub concurrency: usize,
    /// How long a poll waits for messages.
    pub poll_wait: Duration,
    /// How long a stop may drain.
    pub grace: Duration,
    /// End once the queue is empty.
    pub until_empty: bool,
    /// The queue for messages that can never be delivered.
    pub dead_letter_url: Option<String>,
    /// The largest message that the dead-letter queue accepts, in bytes, if known.
    pub largest_dead_letter: Option<usize>,
    /// After how many receives the queue itself moves a message there.
    pub max_receive_count: Option<u32>,
}

/// The worker on one queue.
pub struct Worker {
    queue: Arc<dyn Queue>,
    pipeline: Pipeline,
    settings: WorkerSettings,
    leases: Arc<Leases>,
    settler: Settler,
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    metrics: Metrics,
    health: Health,
    /// Cancelled when the grace period has ended: messages still in hand are released.
    force_stop: CancellationToken,
}

impl Worker {
    /// A worker on `queue`, whose attributes were just read. Must be called in a tokio runtime.
    pub fn new(
        queue: Arc<dyn Queue>,
        attributes: &QueueAttributes,
        pipeline: Pipeline,
        settings: WorkerSettings,
    ) -> Arc<Self> {
        let metrics = pipeline.metrics().clone();
        Arc::new(Self {
            leases: Leases::new(queue.clone(), attributes.visibility_timeout, metrics.clone()),
            settler: Settler::start(queue.clone(), metrics.clone()),
            permits: Arc::new(Semaphore::new(settings.concurrency)),
            tasks: TaskTracker::new(),
            metrics,
            health: Health::new(),
            force_stop: CancellationToken::new(),
            queue,
            pipeline,
            settings,
        })
    }

    /// Whether it is alive and ready.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Works until `stop`, or until the queue is empty with `until_empty`, and drains.
    /// When it returns, nothing is in hand, and the outcomes were logged.
    ///
    /// # Errors
    /// When the queue refuses the very first poll: polling again would not help.
    pub async fn run(self: &Arc<Self>, stop: CancellationToken) -> Result<(), QueueError> {
        let leases_end = CancellationToken::new();
        let keeping = tokio::spawn(self.leases.clone().keep(leases_end.clone()));
        self.health.relies_on(keeping.abort_handle());
        let (worker, incidents_end) = (self.clone(), stop.child_token());
        let until = incidents_end.clone();
        // Not among the tasks: those are messages, and none of them means that the queue is empty.
        let incidents = tokio::spawn(async move { worker.pipeline.advance_incidents(until).await });
        let (taken_in, last_polls) = self.take_in(&stop).await;
        incidents_end.cancel();
        self.health.drains();
        self.drain(last_polls, incidents).await;
        leases_end.cancel();
        if let Err(panic) = keeping.await {
            error!(%panic, "the renewal of leases ended early");
        }
        let (renewals, leases_lost) = self.metrics.renewed_and_lost();
        let waited_ms = millis(self.pipeline.waited());
        info!(messages = %self.metrics.messages(), renewals, leases_lost, history_waited_ms = waited_ms, "stopped");
        taken_in
    }

    /// Waits for messages in hand and for running polls until the grace period ends;
    /// then releases everything.
    async fn drain(&self, last_polls: impl Future<Output = ()>, incidents: JoinHandle<()>) {
        self.tasks.close();
        let all = async {
            last_polls.await;
            self.tasks.wait().await;
        };
        tokio::pin!(all);
        let deadline = Instant::now() + self.settings.grace;
        if tokio::time::timeout_at(deadline, &mut all).await.is_err() {
            warn!(
                in_hand = self.leases.in_hand(),
                "the grace period has ended; releasing the messages in hand"
            );
            self.force_stop.cancel();
            // A poll that is longer than the grace period still must not be cancelled.
            let longest = self.settings.poll_wait + LAST_CALLS;
            if tokio::time::timeout(longest, all).await.is_err() {
                warn!("could not release everything; it returns after its visibility timeout");
            }
        }
        let end = incidents.abort_handle();
        if tokio::time::timeout_at(deadline, incidents).await.is_err() {
            // What it was sending is sent again by the next worker, with the same keys.
            end.abort();
        }
        if tokio::time::timeout_at(deadline, self.pipeline.drain_optional()).await.is_err() {
            let left = self.pipeline.optional_in_flight();
            warn!(left, "the grace period has ended; notifications on optional routes are dropped");
        }
    }

    /// Whether the queue moves a message to its dead-letter queue when it is released once more.
    fn is_last_receive(&self, message: &Message) -> bool {
        self.settings.max_receive_count.is_some_and(|most| message.receives >= most)
    }

    /// Begins to work on a message, with a permit of its own unless it was received half-open.
    fn begin(self: &Arc<Self>, message: Message, permit: Option<OwnedSemaphorePermit>, half_open: bool) {
        let worker = self.clone();
        let lease = self.leases.hold(&message);
        let span = MessageSpan::of(&Received {
            queue: &self.settings.queue_name,
            id: &message.id,
            receives: message.receives,
            trace: message.trace.as_ref(),
        });
        let work = async move {
            worker.work_on(message, lease, half_open).await;
            if half_open {
                worker.pipeline.breakers().half_open_ended();
            }
            drop(permit);
        };
        self.tasks.spawn(span.around(work));
    }

    async fn work_on(&self, message: Message, lease: Lease, half_open: bool) {
        let last = self.is_last_receive(&message);
        let attempt = MessageAttempt { until: message.received_at + LONGEST_WORK, last, half_open };
        let work = AssertUnwindSafe(self.pipeline.process_message(&message.body, attempt)).catch_unwind();
        let worked = tokio::select! {
            biased;
            () = lease.lost().cancelled() => None,
            () = self.force_stop.cancelled() => Some(Ok(unfinished("stop", "the worker is stopping"))),
            () = tokio::time::sleep_until(attempt.until) => {
                Some(Ok(unfinished("lease", "SQS leases a message for twelve hours at most")))
            }
            worked = work => Some(worked),
        };
        let outcome = match worked {
            // The next worker that receives it processes it.
            None => return self.lost(&message),
            Some(Ok(outcome)) => outcome,
            // The panic's message was logged where it happened: telemetry::tell_panics.
            Some(Err(_panic)) => {
                self.metrics.panicked();
                unfinished("panic", "processing panicked: a defect of misstep")
            }
        };
        let is_good = matches!(outcome, Outcome::Done | Outcome::Ignore(_));
        let settling = async {
            let outcome = self.dead_letter(&message, outcome, &lease).await;
            // After the dead-letter queue has accepted it, because that may take long; before it is settled,
            // because a renewal that reached SQS afterwards would undo a release.
            let ours = lease.release().await;
            // A finished message is deleted even without the lease: that works unless another worker
            // has received it in the meantime.
            if !ours && matches!(outcome, Outcome::Retry { .. }) {
                return None;
            }
            Some((outcome.name(), self.settle(&message, outcome).await))
        };
        let Some((name, settled)) = self.metrics.timed(Stage::Settle, settling).await else {
            return self.lost(&message);
        };
        let duration_ms = self.finished(&message, name, is_good);
        match settled {
            Ok(()) => info!(outcome = name, duration_ms, "message settled"),
            Err(error) => {
                warn!(
                    outcome = name,
                    duration_ms,
                    error = chain(&error),
                    "message not settled; it may come back"
                );
            }
        }
    }

    fn lost(&self, message: &Message) {
        let duration_ms = self.finished(message, "lease-lost", false);
        info!(outcome = "lease-lost", duration_ms, "left to the next worker that receives it");
    }

    /// Records the end of a message; returns how long it was in hand, in milliseconds.
    fn finished(&self, message: &Message, outcome: &'static str, is_good: bool) -> u64 {
        let took = message.received_at.elapsed();
        self.metrics.message(outcome, took);
        MessageSpan::ends(outcome, is_good);
        millis(took)
    }

    async fn settle(&self, message: &Message, outcome: Outcome) -> Result<(), SettleError> {
        match outcome {
            Outcome::Done | Outcome::Ignore(_) | Outcome::DeadLetter(_) => {
                self.settler.delete(message.receipt.clone()).await
            }
            Outcome::Retry { stage, error, at_least } => {
                let delay = if self.force_stop.is_cancelled() {
                    Duration::ZERO
                } else {
                    release_delay(message.receives, at_least)
                };
                warn!(stage, error, delay_ms = millis(delay), "releasing the message");
                self.settler.release(message.receipt.clone(), delay).await
            }
        }
    }

    /// Sends a message that can never be delivered to the dead-letter queue, before it is deleted. Without
    /// such a queue, or if the queue does not accept it or the lease is lost first, the message is released.
    async fn dead_letter(&self, message: &Message, outcome: Outcome, lease: &Lease) -> Outcome {
        let Outcome::DeadLetter(reason) = &outcome else { return outcome };
        let DeadLetterReason { stage, reason: why, error } = reason;
        let Some(url) = &self.settings.dead_letter_url else {
            error!(
                stage,
                reason = why,
                error,
                "this message can never be delivered, and the queue has no dead-letter queue; it stays"
            );
            return unfinished(stage, "there is no dead-letter queue");
        };
        warn!(
            stage,
            reason = why,
            error,
            "this message can never be delivered; sending it to the dead-letter queue"
        );
        let letter = DeadLetter::new(message, reason, now_ms(), self.settings.largest_dead_letter);
        if letter.body.len() < message.body.len() {
            warn!(body_bytes = message.body.len(), "its body is cut to the limit of the dead-letter queue");
        }
        let mut pauses = Policy::SETTLE.start();
        reach(Point::DeadLetterSending).await;
        loop {
            if lease.lost().is_cancelled() {
                // The next worker that receives it sends it.
                return unfinished(stage, "the lease was lost before the dead-letter queue accepted it");
            }
            let Err(error) = self.queue.dead_letter(url, &letter).await else { break };
            if !pauses.wait(None).await {
                error!(error = chain(&error), "the dead-letter queue did not accept the message");
                return unfinished(stage, "the dead-letter queue did not accept it");
            }
            self.metrics.retry(RetriedOperation::Settle, error.class().into());
        }
        reach(Point::DeadLetterAnswered).await;
        self.metrics.dead_letter(why);
        outcome
    }
}

fn unfinished(stage: &'static str, why: &str) -> Outcome {
    Outcome::Retry { stage, error: why.to_owned(), at_least: Duration::ZERO }
}

fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}
