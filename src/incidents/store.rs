//! What a store of incidents can do, in few atomic steps, and what it holds.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::report::incident::{ExecutionRole, IncidentKind};

/// The version of the data in a store. A store of a later version is refused, an earlier one is migrated.
pub const SCHEMA_VERSION: u32 = 1;

/// An episode of an incident: from its alert to its resolve. Episodes are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EpisodeId {
    /// The incident: the key of its failures.
    pub incident: String,
    /// Which of its episodes.
    pub episode: u32,
}

impl fmt::Display for EpisodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.incident, self.episode)
    }
}

/// Where an episode stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EpisodeState {
    /// Failures may come, and updates go out.
    Open,
    /// It was quiet for long enough; whoever records a failure now opens it again.
    Resolving,
    /// It is over.
    Resolved,
}

impl EpisodeState {
    /// The name in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolving => "resolving",
            Self::Resolved => "resolved",
        }
    }
}

/// An episode, without its failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// Which.
    #[serde(skip, default = "nowhere")]
    pub id: EpisodeId,
    /// Counts its changes. A change is made only to the version that it was made from.
    pub version: u64,
    /// Where it stands.
    pub state: EpisodeState,
    /// The last notification that every route has; 0 before the alert.
    pub number: u32,
    /// How many failures were named up to that.
    pub named: u64,
    /// The notification that is being sent.
    pub pending: Option<PendingNotification>,
    /// The routes that it concerns, and what each has.
    pub routes: BTreeMap<String, RouteProgress>,
    /// When it is to be looked at next.
    pub due_at: Timestamp,
    /// Until when the worker that has claimed it has it for itself.
    pub leased_until: Option<Timestamp>,
    /// Which claim that is, by a number drawn for it.
    pub claim: u64,
    /// From when on an update goes out, if the incident has grown.
    pub update_at: Timestamp,
    /// When its first failure was recorded.
    pub opened_at: Timestamp,
    /// When it was resolved last.
    pub resolved_at: Option<Timestamp>,
    /// Whether it was opened again after a resolve, and nobody has been told.
    pub reopened: bool,
    /// Until when its alert and its updates are held back.
    pub mute: Option<Mute>,
    /// The notifications that every route has.
    pub sent: Vec<SentNotification>,
    /// How often in a row a route did not accept the pending notification.
    pub tries: u32,
    /// Who asked for it to be resolved, where that has not been sent yet.
    pub resolved_by: Option<ResolveRequest>,
    /// What people see in a list.
    pub about: IncidentTitle,
}

fn nowhere() -> EpisodeId {
    EpisodeId { incident: String::new(), episode: 0 }
}

/// Somebody's wish to have an incident resolved. A failure that is recorded later makes it void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveRequest {
    /// Who asked.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What an incident is about, redacted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentTitle {
    /// The state machine of the execution that failed first in the chain, by its name.
    pub state_machine: String,
    /// Its ARN, without version and alias.
    pub state_machine_arn: Option<String>,
    /// The state that failed.
    pub state: Option<String>,
    /// Its error.
    pub error: Option<String>,
    /// Why its failures belong together, in one sentence.
    pub reason: String,
}

/// A notification that is being sent: what it says is fixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingNotification {
    /// Its number. The alert has 1.
    pub number: u32,
    /// What it is.
    pub kind: IncidentKind,
    /// How many failures there were.
    pub count: u64,
    /// Of how many of them the history has not been read.
    #[serde(default)]
    pub inferred: u64,
    /// When they were counted.
    pub as_of: Timestamp,
    /// Whether it is only for routes that have no alert yet.
    pub alerts_only: bool,
    /// Whether the incident was opened again after a resolve.
    pub reopened: bool,
    /// For a resolve, whether an execution has succeeded since the last failure, where that is known.
    pub succeeded_since: Option<bool>,
    /// For a resolve, who asked for it; `None` where it has been quiet for long enough.
    pub resolved_by: Option<String>,
}

/// A notification that every route has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentNotification {
    /// Its number.
    pub number: u32,
    /// What it is.
    pub kind: IncidentKind,
    /// How many failures there were.
    pub count: u64,
    /// When the last route accepted it.
    pub at: Timestamp,
}

/// What a route has of an episode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteProgress {
    /// The last notification that it accepted; 0 before the first.
    pub number: u32,
    /// How many parts it accepted of the next one.
    pub parts: u32,
    /// How many executions these named.
    pub executions: u32,
    /// The notification that it rejected, if that is the pending one.
    pub refused: u32,
    /// Whether it rejected its alert for good. The next message that waits for it has it sent again.
    pub rejected: bool,
}

/// A mute: it ends by itself, and holds back no resolve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// When it ends.
    pub until: Timestamp,
    /// Who muted the incident.
    pub by: String,
    /// Why.
    pub reason: String,
    /// How many failures there were. The mute is lifted at ten times as many.
    pub count: u64,
}

/// One failure. Its texts are redacted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRow {
    /// What tells it from every other failure: execution, status and redrive count.
    pub failure: String,
    /// The execution.
    pub execution_arn: String,
    /// When it ended, where that is known.
    pub ended_at: Option<Timestamp>,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Values of its input by which people know what it was for.
    pub keys: BTreeMap<String, String>,
    /// Whether the bug is in this execution, or in one that it waited for.
    pub role: ExecutionRole,
    /// The routes that it concerns.
    pub routes: Vec<String>,
    /// The pre-key by which it was put into its incident, as long as its history has
    /// not been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inferred_by: Option<String>,
    /// The first notification that names it; `None` until one does.
    #[serde(skip)]
    pub number: Option<u32>,
}

/// A failure that was put into an incident without its history, which is still to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferredFailure {
    /// Its row.
    pub row: FailureRow,
    /// Where it is; `None` once it was withdrawn from there, and is to be recorded in its own incident.
    pub episode: Option<EpisodeId>,
}

/// Where a failure was recorded before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedFailure {
    /// In which episode.
    pub episode: EpisodeId,
    /// The routes that it concerns.
    pub routes: Vec<String>,
}

/// What came of writing a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is written.
    Yes,
    /// The failure has a row already, here or in another episode.
    Known,
    /// Somebody else opened an episode meanwhile; nothing is written.
    Overtaken,
}

/// How many failures an episode has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub count: u64,
    /// Those whose history has not been read, or could not be.
    pub inferred: u64,
    /// Those that were here, and were withdrawn since they belong elsewhere; not in the count.
    pub withdrawn: u64,
    /// Those that no notification names yet.
    pub unnamed: u64,
    /// When the first was recorded.
    pub oldest: Timestamp,
    /// When the last was recorded.
    pub newest: Timestamp,
}

/// What workers share beside episodes and failures, such as how far the sweep is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedValue {
    /// Its name.
    pub name: String,
    /// Counts its changes; 0 before it is first put.
    pub version: u64,
    /// The value, as JSON.
    pub value: String,
}

/// A store that did not do what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It may work later: locked, throttled, or not to be reached.
    #[error("the incident store is not available: {0}")]
    Unavailable(String),
    /// It will not work before somebody mends it: denied, no such table, another schema.
    #[error("the incident store cannot be used: {0}")]
    Unusable(String),
}

/// Keeps incidents. Each method is one atomic step, and every read sees what was written before it.
#[async_trait]
pub trait IncidentStore: Send + Sync + 'static {
    /// What it is, for logs: `sqlite:/var/lib/misstep/incidents.db`.
    fn name(&self) -> String;

    /// Where a failure was recorded.
    async fn find(&self, failure: &str) -> Result<Option<RecordedFailure>, StoreError>;

    /// The newest episode of an incident.
    async fn newest(&self, incident: &str) -> Result<Option<Episode>, StoreError>;

    /// Opens an episode with its first failure and the report on it, if the newest is still the one before.
    async fn open(
        &self,
        episode: &Episode,
        failure: &FailureRow,
        report: &str,
    ) -> Result<Written, StoreError>;

    /// Adds a failure to an episode, whatever state that is in. One that is inferred is also among the
    /// [`inferred`](Self::inferred) from then on.
    async fn add(&self, episode: &EpisodeId, failure: &FailureRow) -> Result<Written, StoreError>;

    /// An episode.
    async fn episode(&self, id: &EpisodeId) -> Result<Option<Episode>, StoreError>;

    /// Puts an episode in the place of the version that it was made from, and returns it with its new
    /// version. `None` if somebody else has changed it, or it is gone.
    async fn replace(&self, episode: Episode) -> Result<Option<Episode>, StoreError>;

    /// Counts an episode's failures.
    async fn tally(&self, id: &EpisodeId) -> Result<Tally, StoreError>;

    /// Gives this number to every failure that was recorded before the call and has none, as long as the
    /// episode has this version. Returns how many failures have a number then; `None` if the version is
    /// another, in which case some may have got the number, and nobody has been sent it.
    async fn assign_number(
        &self,
        id: &EpisodeId,
        version: u64,
        number: u32,
    ) -> Result<Option<u64>, StoreError>;

    /// The failures with a number above `after` and up to `through`, by number and then in the order of
    /// their keys: the same list in the same order each time, since the numbers of failures do not change.
    async fn numbered(&self, id: &EpisodeId, after: u32, through: u32)
    -> Result<Vec<FailureRow>, StoreError>;

    /// All failures of an episode, the first recorded first.
    async fn failures(&self, id: &EpisodeId) -> Result<Vec<FailureRow>, StoreError>;

    /// The report on the first failure of an episode, as JSON.
    async fn report(&self, id: &EpisodeId) -> Result<Option<String>, StoreError>;

    /// Episodes that are not resolved and are to be looked at now. May leave out some that changed just now.
    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<EpisodeId>, StoreError>;

    /// All episodes, the newest first; only those that are not resolved unless `resolved`.
    async fn list(&self, resolved: bool) -> Result<Vec<Episode>, StoreError>;

    /// Removes episodes that were resolved before this time, with everything in them. Returns how many.
    async fn forget(&self, resolved_before: Timestamp) -> Result<u64, StoreError>;

    /// Failures whose history is still to be read: those first that were withdrawn, then those that were
    /// recorded last. May leave out some
    /// that were recorded just now.
    async fn inferred(&self, most: usize) -> Result<Vec<InferredFailure>, StoreError>;

    /// A failure is no longer among the inferred ones: its history was read, and it is in the incident that it
    /// belongs to; or, unless `is_read`, its history cannot be read any more. Nothing changes if it is in another
    /// episode than it is said to be, or was withdrawn meanwhile.
    async fn settle_inferred(&self, failure: &InferredFailure, is_read: bool) -> Result<(), StoreError>;

    /// Takes an inferred failure out of its episode, if that has this version. It stays among the inferred ones,
    /// in no episode. `false` if the episode has another version, or the failure is there no more.
    async fn withdraw(&self, failure: &InferredFailure, version: u64) -> Result<bool, StoreError>;

    /// The value of this name.
    async fn value(&self, name: &str) -> Result<Option<NamedValue>, StoreError>;

    /// Puts a value in the place of the version that it was made from, and returns it with its new version.
    /// `None` if somebody else has changed it.
    async fn put_value(&self, value: NamedValue) -> Result<Option<NamedValue>, StoreError>;
}
