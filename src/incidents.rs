//! Incidents: the failures of one bug under one alert.
//!
//! Each failure is a row in a [`store`](store::IncidentStore). Rows of the same [bug](crate::report::Bug) belong to
//! one incident, and an incident lives through episodes: from an alert, over updates, to a resolve after it was
//! quiet for long enough. [`Incidents`] has the two halves:
//!
//! - [`record`](Incidents::record): the row is written before anything is decided, so that a failure whose
//!   message is deleted is never lost.
//! - [`advance`](Incidents::advance): one worker at a time claims an episode, freezes what the next
//!   notification says, sends it to each route, and notes each route by itself. How a notification is
//!   made, split into parts and sent is in [`pipeline`](crate::pipeline), `pipeline/announce.rs`.
//!
//! Why nothing is lost, whatever crashes when:
//!
//! - The failures of an episode are a set of rows, and a count is a number of rows: a message that comes
//!   back, or is replayed, adds nothing.
//! - Who records writes the row first and reads the episode afterwards; who resolves writes `Resolving` first
//!   and counts afterwards. One of the two sees the other.
//! - Every change of an episode is conditional on its version. A worker that was paused for too long changes
//!   nothing.
//! - What a notification names is frozen under its number before it is sent: rows get the number of the
//!   notification that names them. So one idempotency key has one content, whoever sends it again.
//! - A number that was given up is never used again.

mod advance;
mod claim;
mod command;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
mod infer;
pub mod location;
mod record;
pub mod schedule;
pub mod show;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod store;

use std::sync::Arc;

use jiff::Timestamp;

pub use advance::{Advanced, Announced, Announcement, Announcer};
pub use claim::{Claim, LEASE};
pub use command::LONGEST_MUTE;
pub use infer::Verified;
pub use record::{NewFailure, Standing};
use schedule::Schedule;
use store::IncidentStore;

/// What time it is. Tests have a clock of their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The incidents of one store.
#[derive(Clone)]
pub struct Incidents {
    store: Arc<dyn IncidentStore>,
    schedule: Schedule,
    clock: Clock,
}

impl Incidents {
    /// The incidents in `store`, by the clock of this machine.
    pub fn new(store: Arc<dyn IncidentStore>, schedule: Schedule) -> Self {
        Self::with_clock(store, schedule, Arc::new(Timestamp::now))
    }

    /// The same by another clock.
    pub fn with_clock(store: Arc<dyn IncidentStore>, schedule: Schedule, clock: Clock) -> Self {
        Self { store, schedule, clock }
    }

    /// Where they are kept.
    pub fn store(&self) -> &dyn IncidentStore {
        &*self.store
    }

    /// Now, to the millisecond: stores keep no more.
    fn now(&self) -> Timestamp {
        let now = (self.clock)();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}
