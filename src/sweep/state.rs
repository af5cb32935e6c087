//! How far the sweep is: kept in the incident store, and changed only by whoever has the lease.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Period;
use super::search::{MissingFailure, SweepError};
use crate::incidents::Clock;
use crate::incidents::schedule::later;
use crate::incidents::store::{IncidentStore, NamedValue};

/// Its name in the store.
const NAME: &str = "sweep";

/// How long a worker has the sweep for itself, from the last time that it extended its lease. After a crash another
/// one goes on then.
const LEASE: Duration = Duration::from_secs(30);

/// How many failures are remembered as put into the queue. What a DynamoDB item holds is limited; of more than these the
/// ones that ended first are forgotten, and may be put there again.
const MOST_REMEMBERED: usize = 5_000;

/// How far the sweep is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SweepState {
    /// Every failure that ended until then was recorded, or put into the queue.
    pub(super) complete_through: Option<Timestamp>,
    /// When the next pass begins.
    pub(super) next_at: Option<Timestamp>,
    /// The pass that has begun.
    pub(super) pass: Option<PassState>,
    /// The failures that were put into the queue, by [`id`], as long as a listing of them is looked at again: with when
    /// their execution ended last.
    pub(super) put: BTreeMap<String, Timestamp>,
    /// Until when the worker that has the lease has it.
    leased_until: Option<Timestamp>,
    /// Which lease that is, by a number drawn for it.
    claim: u64,
}

/// How far a pass is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PassState {
    /// What it looks at.
    pub(super) period: Period,
    /// The last state machine that it is done with, in the order of their ARNs.
    pub(super) after: Option<String>,
    /// How many failures it has found and put into the queue.
    pub(super) found: u64,
    /// Whether a state machine could not be listed.
    pub(super) has_gaps: bool,
}

impl SweepState {
    /// Whether a failure was put into the queue before.
    pub(super) fn has_put(&self, missing: &MissingFailure) -> bool {
        self.put.contains_key(&id(missing))
    }

    /// Remembers failures as put into the queue.
    pub(super) fn remember(&mut self, missing: &[MissingFailure]) {
        self.put.extend(missing.iter().map(|missing| (id(missing), missing.listed_at)));
        self.forget_some();
    }

    fn forget_some(&mut self) {
        if self.put.len() > MOST_REMEMBERED {
            let mut ends: Vec<Timestamp> = self.put.values().copied().collect();
            ends.sort_unstable();
            let from = ends[ends.len() - MOST_REMEMBERED];
            self.put.retain(|_, ended| *ended >= from);
        }
    }
}

/// What stands for a failure: short, since thousands of them may have to fit into one item.
fn id(missing: &MissingFailure) -> String {
    let digest = Sha256::digest(missing.key().as_str());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The state as it is in the store.
pub(super) async fn read(store: &dyn IncidentStore) -> Result<(u64, SweepState), SweepError> {
    match store.value(NAME).await? {
        None => Ok((0, SweepState::default())),
        Some(NamedValue { version, value, .. }) => {
            Ok((version, serde_json::from_str(&value).map_err(SweepError::Unreadable)?))
        }
    }
}

/// Puts a state in the place of the version that it was made from. `None` if somebody else has changed it.
async fn replace(
    store: &dyn IncidentStore,
    version: u64,
    state: &SweepState,
) -> Result<Option<u64>, SweepError> {
    let value = serde_json::to_string(state).expect("it has only text keys");
    let put = store.put_value(NamedValue { name: NAME.to_owned(), version, value }).await?;
    Ok(put.map(|put| put.version))
}

/// Changes the state, whoever has the lease.
pub(super) async fn change(
    store: &dyn IncidentStore,
    change: impl Fn(&mut SweepState),
) -> Result<(), SweepError> {
    loop {
        let (version, mut state) = read(store).await?;
        change(&mut state);
        if replace(store, version, &state).await?.is_some() {
            return Ok(());
        }
    }
}

/// The lease on the sweep, as this worker has it.
pub(super) struct SweepLease {
    store: Arc<dyn IncidentStore>,
    clock: Clock,
    version: u64,
    pub(super) state: SweepState,
}

impl SweepLease {
    /// Takes the lease, unless somebody has it or nothing is due; returns the state in that case. `begin` makes a
    /// pass where none is under way.
    pub(super) async fn take(
        store: Arc<dyn IncidentStore>,
        clock: Clock,
        begin: impl FnOnce(&SweepState, Timestamp) -> PassState,
    ) -> Result<Result<Self, SweepState>, SweepError> {
        let now = clock();
        let (version, mut state) = read(&*store).await?;
        let is_leased = state.leased_until.is_some_and(|until| until > now);
        let is_due = state.pass.is_some() || state.next_at.is_none_or(|at| at <= now);
        if is_leased || !is_due {
            return Ok(Err(state));
        }
        if state.pass.is_none() {
            state.pass = Some(begin(&state, now));
        }
        let before = state.clone();
        state.claim = fastrand::u64(..);
        state.leased_until = Some(later(now, LEASE));
        Ok(match replace(&*store, version, &state).await? {
            Some(version) => Ok(Self { store, clock, version, state }),
            None => Err(before),
        })
    }

    /// Changes the state, and extends the lease. `false` if it was lost: then nothing is changed.
    pub(super) async fn change(&mut self, change: impl Fn(&mut SweepState)) -> Result<bool, SweepError> {
        loop {
            let mut state = self.state.clone();
            state.leased_until = Some(later((self.clock)(), LEASE));
            change(&mut state);
            if let Some(version) = replace(&*self.store, self.version, &state).await? {
                (self.version, self.state) = (version, state);
                return Ok(true);
            }
            // A command may have noted what it has put into the queue.
            let (version, state) = read(&*self.store).await?;
            if state.claim != self.state.claim {
                return Ok(false);
            }
            (self.version, self.state) = (version, state);
        }
    }

    /// Waits for a call, and extends the lease as long as that takes.
    pub(super) async fn hold<T>(&mut self, call: impl Future<Output = T>) -> T {
        tokio::pin!(call);
        loop {
            match tokio::time::timeout(LEASE / 3, &mut call).await {
                Ok(answer) => return answer,
                // A lease that is lost shows in the next change.
                Err(_elapsed) => drop(self.change(|_| {}).await),
            }
        }
    }

    /// Ends the pass: everything in its period is done, but for gaps.
    pub(super) async fn complete(&mut self, every: Duration) -> Result<bool, SweepError> {
        let now = (self.clock)();
        let Some(pass) = self.state.pass.clone() else { return Ok(true) };
        let next_since = if pass.has_gaps { pass.period.since } else { overlapping(pass.period.until) };
        self.change(|state| {
            if !pass.has_gaps {
                state.complete_through = Some(pass.period.until);
            }
            state.put.retain(|_, ended| *ended >= next_since);
            state.pass = None;
            state.next_at = Some(later(now, every));
            state.leased_until = None;
        })
        .await
    }

    /// Gives the lease back.
    pub(super) async fn release(&mut self) -> Result<bool, SweepError> {
        self.change(|state| state.leased_until = None).await
    }
}

/// Where a period begins after one that ended then.
pub(super) fn overlapping(until: Timestamp) -> Timestamp {
    until.checked_sub(super::OVERLAP).unwrap_or(Timestamp::MIN)
}
