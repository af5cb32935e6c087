//! Finds failures whose events never arrived.
//!
//! EventBridge delivers the events of Step Functions on a best-effort basis
//! (<https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html>): now and then one is lost.
//! So a [`Sweep`] lists the executions that failed, timed out or were aborted, looks each up in the incident store, and
//! puts those that it does not know into the worker's own queue, as the event that was lost. From there they go the way
//! of every failure, under the same keys.
//!
//! - A pass looks at a [`Period`]: from a while before the end of the last pass until some minutes ago, since
//!   younger events may be on their way. When it is over, every failure that ended before its end, and that Step
//!   Functions listed, is in the store or was put into the queue.
//! - How far the pass is stands in the store (`sweep/state.rs`). One worker at a time has a lease on it. Whatever ends
//!   a pass early, the next look goes on with the state machine that it was at.
//! - What is put into the queue is noted after it was sent. A crash in between has it sent again, under the same
//!   keys.
//!
//! What it cannot find: an execution whose event was lost, and that was redriven and succeeded before a pass saw it.

pub mod event;
pub mod pass;
pub mod search;
mod state;

use std::time::Duration;

use jiff::Timestamp;

pub use pass::Sweep;

/// How long before the end of the last pass the next one begins: Step Functions lists an execution a while after
/// it ended.
pub const OVERLAP: Duration = Duration::from_secs(15 * 60);

/// An event may take so long to be recorded, if passes are not more frequent.
const LONGEST_ON_THE_WAY: Duration = Duration::from_secs(5 * 60);

/// Which state machines are swept, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepSettings {
    /// How often a pass begins; `None` for never.
    pub every: Option<Duration>,
    /// How far the very first pass looks back.
    pub look_back: Duration,
}

impl SweepSettings {
    /// How old a failure must be before its event counts as lost.
    pub fn on_the_way(&self) -> Duration {
        self.every.map_or(LONGEST_ON_THE_WAY, |every| (every / 3).min(LONGEST_ON_THE_WAY))
    }
}

/// The time in which the failures ended that are looked at, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Period {
    /// Its beginning.
    pub since: Timestamp,
    /// Its end.
    pub until: Timestamp,
}

impl Period {
    /// From so long before `now` until failures of then have certainly arrived.
    pub fn before(now: Timestamp, look_back: Duration, settings: &SweepSettings) -> Self {
        let before = |length: Duration| now.checked_sub(length).unwrap_or(Timestamp::MIN);
        Self { since: before(look_back), until: before(settings.on_the_way()) }
    }

    /// Whether a time is in it.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.since <= at && at <= self.until
    }
}
