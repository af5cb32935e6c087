//! A model of SQS, of a notification API and of Step Functions, with faults drawn from a seed, and
//! a record of everything that the worker did to them.
//!
//! The model is meant to be nastier than the real thing, never kinder: visibility timeouts end,
//! receipt handles go stale, a delete with a stale one "succeeds" without deleting, messages are
//! delivered twice or come back after their delete, batches fail in part, replies are lost after
//! their effect, and a poll that is dropped takes messages with it. Time is tokio's, so that tests
//! pause it; all chance comes from one seed.

pub mod api;
pub mod check;
pub mod queue;
pub mod reader;

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;

/// How likely each fault is, from 0 to 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A call to the queue is refused without any effect.
    pub refused: f64,
    /// A call to the queue hangs until its client gives up, without any effect.
    pub hung: f64,
    /// The reply to a call is lost after the call had its effect.
    pub reply_lost: f64,
    /// An entry of a batch fails although the batch passes.
    pub entry_failed: f64,
    /// A message is delivered although it was just delivered to somebody else.
    pub delivered_twice: f64,
    /// A message comes back after its delete.
    pub back_after_delete: f64,
    /// The notification API answers 503.
    pub api_busy: f64,
    /// The notification API takes a notification, and its answer is lost.
    pub api_reply_lost: f64,
    /// Step Functions throttles.
    pub throttled: f64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A poll began.
    PollBegan,
    /// A poll was dropped before its end.
    PollDropped,
    /// A message was handed out.
    Received { message: usize, receipt: String },
    /// An audience took a notification.
    Notified { key: String, execution: String, email_type: String, degraded: Option<String> },
    /// A delete; whether the message was deleted by it.
    Deleted { message: usize, receipt: String, effective: bool },
    /// A visibility timeout was changed, or was tried to be.
    Visibility { message: usize, receipt: String, seconds: u64, effective: bool },
    /// A copy of a message was sent to the dead-letter queue by the worker.
    DeadLettered { message: usize },
    /// The queue itself moved a message to the dead-letter queue.
    Redriven { message: usize },
    /// A fault, and how many messages it struck.
    Fault { kind: &'static str, messages: usize },
    /// Another worker started on the same queue.
    Started,
    /// The worker was asked to stop.
    StopAsked,
    /// The worker returned.
    Stopped,
}

/// What happened, in order, and when.
#[derive(Debug, Clone, Default)]
pub struct Record(Arc<Mutex<Vec<(Instant, Event)>>>);

impl Record {
    /// Adds an event.
    pub fn add(&self, event: Event) {
        self.lock().push((Instant::now(), event));
    }

    /// All events so far.
    pub fn events(&self) -> Vec<(Instant, Event)> {
        self.lock().clone()
    }

    /// How many events `wanted` holds for.
    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.lock().iter().filter(|(_, event)| wanted(event)).count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, Event)>> {
        self.0.lock().unwrap()
    }
}

/// Chance, from a seed.
#[derive(Debug, Clone)]
pub struct Chance(Arc<Mutex<fastrand::Rng>>);

impl Chance {
    /// Always the same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    /// Happens with this probability.
    pub fn of(&self, probability: f64) -> bool {
        probability > 0.0 && self.0.lock().unwrap().f64() < probability
    }

    /// A number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.0.lock().unwrap().u64(0..bound.max(1))
    }
}
