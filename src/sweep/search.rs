//! Lists failures, and tells which of them the incident store does not know.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tracing::debug;

use super::Period;
use crate::aws::arn::{AccountRegion, is_map_run_child};
use crate::event::FailureKey;
use crate::history::{ExecutionReader, ListPage, ListedExecution, ReadError, Status};
use crate::incidents::store::{IncidentStore, StoreError};
use crate::investigation::{ExecutionRequest, InvestigationError, investigate};
use crate::memory::MemoryBudget;
use crate::queue::{EntryError, QueueError};
use crate::telemetry::chain;

/// How an execution can have failed.
const FAILED: [Status; 3] = [Status::Failed, Status::TimedOut, Status::Aborted];

/// How many failures are looked up at once.
const LOOKUPS: usize = 8;

/// Why a search, or a pass, could not go on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Step Functions did not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue did not answer.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The queue does not take an event.
    #[error("the queue does not accept an event: {0}")]
    Refused(EntryError),
    /// What the store keeps of the sweep cannot be read.
    #[error("the incident store holds a sweep that this misstep cannot read")]
    Unreadable(#[source] serde_json::Error),
}

/// A failure that the store does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingFailure {
    /// The failure. Of an earlier failure of an execution that was redriven, the status, the number of redrives and the
    /// end are those of that failure.
    pub failure: ListedExecution,
    /// When the execution ended last: as long as a period holds that, the failure is found.
    pub listed_at: Timestamp,
}

impl MissingFailure {
    /// What its event would have had for a key.
    pub fn key(&self) -> FailureKey {
        key(&self.failure)
    }
}

fn key(failure: &ListedExecution) -> FailureKey {
    FailureKey::of(&failure.execution, failure.status, failure.redrive_count)
}

/// What is on one page of a listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SearchedPage {
    /// How many failures of the period are on it.
    pub listed: usize,
    /// Those that the store does not know.
    pub missing: Vec<MissingFailure>,
}

/// Where and how failures are searched for.
#[derive(Clone)]
pub struct Search {
    /// Lists executions, within the quotas.
    pub reader: Arc<dyn ExecutionReader>,
    /// For the histories of executions that were redriven.
    pub memory: MemoryBudget,
    /// What is known; without a store, nothing is.
    pub store: Option<Arc<dyn IncidentStore>>,
    /// The state machines that are meant, by their ARNs; empty for all of `place`.
    pub state_machines: Vec<String>,
    /// The worker's own account, empty where that is not known, and region.
    pub place: AccountRegion,
}

impl Search {
    /// The state machines that are searched, in the order of their ARNs. Of those that are named, the ones in
    /// other accounts are left out: they cannot be listed from here.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn state_machines(&self) -> Result<Vec<String>, ReadError> {
        let own = |account: &str| self.place.account.is_empty() || self.place.account == account;
        let mut all = self.state_machines.clone();
        all.retain(|machine| own(&AccountRegion::of(machine).account));
        if self.state_machines.is_empty() {
            let mut token = None;
            loop {
                let ListPage { items, next_token } =
                    self.reader.state_machines(&self.place, token.as_deref()).await?;
                all.extend(items);
                token = next_token;
                if token.is_none() {
                    break;
                }
            }
        }
        all.sort();
        all.dedup();
        Ok(all)
    }

    /// Begins to search a state machine.
    pub fn of(&self, state_machine: &str, period: Period, oldest: Timestamp) -> MachineSearch<'_> {
        MachineSearch {
            search: self,
            state_machine: state_machine.to_owned(),
            period,
            oldest,
            statuses: FAILED.to_vec(),
            token: None,
        }
    }
}

/// A search through the failures of one state machine, page by page.
pub struct MachineSearch<'s> {
    search: &'s Search,
    state_machine: String,
    period: Period,
    /// Earlier failures of an execution that was redriven count from here on.
    oldest: Timestamp,
    /// Those that are left; the last one is being listed.
    statuses: Vec<Status>,
    token: Option<String>,
}

impl MachineSearch<'_> {
    /// The next page; `None` at the end.
    ///
    /// # Errors
    /// When Step Functions or the store does not answer.
    pub async fn next(&mut self) -> Result<Option<SearchedPage>, SweepError> {
        let Some(&status) = self.statuses.last() else { return Ok(None) };
        let reader = &self.search.reader;
        let ListPage { items, next_token } =
            reader.executions(&self.state_machine, status, self.token.as_deref()).await?;
        // Emulators sort by the start: one execution that ended before says nothing of the next.
        let is_over = !items.is_empty() && items.iter().all(|item| item.stopped_at < self.period.since);
        self.token = next_token.filter(|_| !is_over);
        if self.token.is_none() {
            self.statuses.pop();
        }
        let mut listed = items;
        listed.retain(|item| self.period.holds(item.stopped_at) && !is_child(item));
        let count = listed.len();
        let missing = stream::iter(listed).map(|item| self.missing_of(item)).buffered(LOOKUPS);
        let missing: Vec<Vec<MissingFailure>> = missing.try_collect().await?;
        Ok(Some(SearchedPage { listed: count, missing: missing.into_iter().flatten().collect() }))
    }

    /// The failures of a listed execution that the store does not know, the earliest first.
    async fn missing_of(&self, listed: ListedExecution) -> Result<Vec<MissingFailure>, SweepError> {
        let listed_at = listed.stopped_at;
        let mut missing = Vec::new();
        for redrives in 0..listed.redrive_count {
            let earlier = self.earlier(&listed, redrives).await?;
            missing.extend(earlier.map(|failure| MissingFailure { failure, listed_at }));
        }
        if !self.is_known(&listed).await? {
            missing.push(MissingFailure { failure: listed, listed_at });
        }
        Ok(missing)
    }

    /// The failure after so many redrives, if the store does not know it. A redrive follows a failure, of which only
    /// the history tells how it came.
    async fn earlier(
        &self,
        listed: &ListedExecution,
        redrives: u32,
    ) -> Result<Option<ListedExecution>, SweepError> {
        for status in FAILED {
            if self.is_known(&ListedExecution { status, redrive_count: redrives, ..listed.clone() }).await? {
                return Ok(None);
            }
        }
        let execution = listed.execution.clone();
        let asked = ExecutionRequest { execution, status: None, redrive_count: Some(redrives) };
        let memory = self.search.memory.report().await;
        let analysis = match investigate(&*self.search.reader, &asked, &memory).await {
            Ok(finding) => finding.analysis,
            Err(InvestigationError::Read(error)) if error.class().is_passing() => return Err(error.into()),
            Err(error) => {
                debug!(error = chain(&error), "an earlier failure of a redriven execution cannot be read");
                return Ok(None);
            }
        };
        let ended_at = analysis.timeline.ended.and_then(|end| end.at);
        let failure = ListedExecution {
            status: analysis.status,
            redrive_count: redrives,
            stopped_at: ended_at.unwrap_or(listed.stopped_at),
            ..listed.clone()
        };
        let counts = FAILED.contains(&failure.status) && failure.stopped_at >= self.oldest;
        Ok(counts.then_some(failure))
    }

    async fn is_known(&self, failure: &ListedExecution) -> Result<bool, StoreError> {
        let Some(store) = &self.search.store else { return Ok(false) };
        Ok(store.find(key(failure).as_str()).await?.is_some())
    }
}

/// Whether it is a child of a Map run, whose failure the parent's report covers.
fn is_child(listed: &ListedExecution) -> bool {
    is_map_run_child(&listed.state_machine_arn) || listed.execution.is_map_run_child()
}
