//! A store of incidents in memory: the model that other stores are compared with. Each method is one step
//! of a scheduler, and one of several mistakes can be built in.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use async_trait::async_trait;
use jiff::Timestamp;
use misstep::incidents::store::{
    Episode, EpisodeId, EpisodeState, FailureRow, IncidentStore, InferredFailure, NamedValue,
    RecordedFailure, StoreError, Tally, Written,
};

/// A mistake of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// An episode is replaced whatever version the new one was made from.
    NoVersion,
    /// Nobody sees that an episode is claimed.
    NoLease,
    /// What is recorded while an episode is being resolved is not counted.
    NoRecount,
    /// A failure that is recorded again is counted again.
    Counter,
    /// The failures of a notification are not fixed: it names those that there are when it is sent.
    NoSnapshot,
    /// The number of a notification that was given up is used again.
    NumberReused,
    /// Failures get the number of a notification by the time at which they were recorded.
    TimeCursor,
    /// What waits to be sent is forgotten by a crash.
    NoPending,
    /// That a failure was withdrawn is forgotten.
    WithdrawnLost,
}

#[derive(Default)]
struct Data {
    episodes: BTreeMap<EpisodeId, (Episode, String)>,
    rows: BTreeMap<String, (EpisodeId, FailureRow)>,
    values: BTreeMap<String, NamedValue>,
    inferred: BTreeMap<String, InferredFailure>,
    withdrawn: BTreeSet<(EpisodeId, String)>,
    counted_twice: BTreeMap<EpisodeId, u64>,
    resolving_count: BTreeMap<EpisodeId, u64>,
}

/// What happens at each step, besides the step itself.
pub trait Steps: Send + Sync {
    /// Whether this step fails, and whether it takes effect nevertheless.
    fn fails(&self) -> Option<bool> {
        None
    }
}

/// Nothing.
pub struct NoFaults;

impl Steps for NoFaults {}

/// The store.
#[derive(Clone)]
pub struct ModelStore {
    data: Arc<Mutex<Data>>,
    steps: Arc<dyn Steps>,
    mistake: Option<Mistake>,
}

/// Lets the scheduler choose who goes on.
pub async fn step() {
    let mut waited = false;
    poll_fn(|context| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl ModelStore {
    pub fn new(steps: Arc<dyn Steps>, mistake: Option<Mistake>) -> Self {
        Self { data: Arc::default(), steps, mistake }
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap()
    }

    fn has(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    async fn step<T>(&self, step_taken: impl FnOnce(&mut Data) -> T) -> Result<T, StoreError> {
        step().await;
        let failed = || StoreError::Unavailable("as asked for".to_owned());
        match self.steps.fails() {
            Some(false) => Err(failed()),
            Some(true) => {
                step_taken(&mut self.data());
                Err(failed())
            }
            None => Ok(step_taken(&mut self.data())),
        }
    }

    fn seen(&self, episode: &Episode) -> Episode {
        let mut episode = episode.clone();
        if self.has(Mistake::NoLease) {
            episode.leased_until = None;
        }
        if self.has(Mistake::NoPending) {
            episode.pending = None;
        }
        episode
    }

    /// Every row, with where it is.
    pub fn rows(&self) -> Vec<(EpisodeId, FailureRow)> {
        self.data().rows.values().cloned().collect()
    }

    /// How many failures are inferred, and not read.
    pub fn inferred_failures(&self) -> usize {
        self.data().inferred.len()
    }

    /// How many failures were withdrawn from an episode.
    pub fn withdrawn(&self, id: &EpisodeId) -> u64 {
        self.data().withdrawn.iter().filter(|(its, _)| its == id).count() as u64
    }

    /// Every episode.
    pub fn episodes(&self) -> Vec<Episode> {
        self.data().episodes.values().map(|(episode, _)| episode.clone()).collect()
    }
}

impl Data {
    fn insert(&mut self, id: &EpisodeId, failure: &FailureRow) -> Written {
        if self.rows.contains_key(&failure.failure) {
            *self.counted_twice.entry(id.clone()).or_default() += 1;
            return Written::Known;
        }
        self.rows.insert(failure.failure.clone(), (id.clone(), failure.clone()));
        if failure.inferred_by.is_some() {
            let inferred = InferredFailure { row: failure.clone(), episode: Some(id.clone()) };
            self.inferred.insert(failure.failure.clone(), inferred);
        }
        Written::Yes
    }

    fn of<'d>(&'d self, id: &'d EpisodeId) -> impl Iterator<Item = &'d FailureRow> {
        self.rows.values().filter(move |(its, _)| its == id).map(|(_, row)| row)
    }
}

#[async_trait]
impl IncidentStore for ModelStore {
    fn name(&self) -> String {
        "model".to_owned()
    }

    async fn find(&self, failure: &str) -> Result<Option<RecordedFailure>, StoreError> {
        self.step(|data| {
            let (episode, row) = data.rows.get(failure)?;
            Some(RecordedFailure { episode: episode.clone(), routes: row.routes.clone() })
        })
        .await
    }

    async fn newest(&self, incident: &str) -> Result<Option<Episode>, StoreError> {
        self.step(|data| {
            let mut its = data.episodes.values().filter(|(episode, _)| episode.id.incident == incident);
            its.next_back().map(|(episode, _)| self.seen(episode))
        })
        .await
    }

    async fn open(
        &self,
        episode: &Episode,
        failure: &FailureRow,
        report: &str,
    ) -> Result<Written, StoreError> {
        self.step(|data| {
            let its = data.episodes.keys().filter(|id| id.incident == episode.id.incident);
            if its.map(|id| id.episode).max().unwrap_or(0) + 1 != episode.id.episode {
                return Written::Overtaken;
            }
            let written = data.insert(&episode.id, failure);
            if written == Written::Yes {
                data.episodes.insert(episode.id.clone(), (episode.clone(), report.to_owned()));
            }
            written
        })
        .await
    }

    async fn add(&self, episode: &EpisodeId, failure: &FailureRow) -> Result<Written, StoreError> {
        self.step(|data| {
            if data.episodes.contains_key(episode) {
                data.insert(episode, failure)
            } else {
                Written::Overtaken
            }
        })
        .await
    }

    async fn episode(&self, id: &EpisodeId) -> Result<Option<Episode>, StoreError> {
        self.step(|data| data.episodes.get(id).map(|(episode, _)| self.seen(episode))).await
    }

    async fn replace(&self, mut episode: Episode) -> Result<Option<Episode>, StoreError> {
        self.step(|data| {
            let (stored, _) = data.episodes.get_mut(&episode.id)?;
            if stored.version != episode.version && !self.has(Mistake::NoVersion) {
                return None;
            }
            if self.has(Mistake::NumberReused)
                && stored.state == EpisodeState::Resolving
                && let (EpisodeState::Open, Some(pending)) = (episode.state, &stored.pending)
            {
                episode.number = pending.number - 1;
            }
            episode.version = stored.version + 1;
            *stored = episode.clone();
            let resolving = episode.state == EpisodeState::Resolving;
            let count = data.of(&episode.id).count() as u64;
            if resolving {
                data.resolving_count.entry(episode.id.clone()).or_insert(count);
            } else {
                data.resolving_count.remove(&episode.id);
            }
            Some(episode)
        })
        .await
    }

    async fn tally(&self, id: &EpisodeId) -> Result<Tally, StoreError> {
        self.step(|data| {
            let times = || data.of(id).map(|row| row.recorded_at);
            let mut tally = Tally {
                count: data.of(id).count() as u64,
                unnamed: data.of(id).filter(|row| row.number.is_none()).count() as u64,
                oldest: times().min().unwrap_or_default(),
                newest: times().max().unwrap_or_default(),
                inferred: data.of(id).filter(|row| row.inferred_by.is_some()).count() as u64,
                withdrawn: data.withdrawn.iter().filter(|(its, _)| its == id).count() as u64,
            };
            if self.has(Mistake::Counter) {
                tally.count += data.counted_twice.get(id).copied().unwrap_or(0);
            }
            if self.has(Mistake::NoRecount) {
                if let Some(count) = data.resolving_count.get(id) {
                    tally.count = tally.count.min(*count);
                }
                let is_over =
                    data.episodes.get(id).is_some_and(|(its, _)| its.state == EpisodeState::Resolved);
                if is_over {
                    tally.unnamed = 0;
                }
            }
            tally
        })
        .await
    }

    async fn assign_number(
        &self,
        id: &EpisodeId,
        version: u64,
        number: u32,
    ) -> Result<Option<u64>, StoreError> {
        // Some at a time, as a store does that can change only so many in one step.
        let mut left: Vec<String> = self
            .step(|data| {
                let unnamed = data.of(id).filter(|row| row.number.is_none());
                unnamed.map(|row| row.failure.clone()).collect()
            })
            .await?;
        let cut = self.data().of(id).filter(|row| row.number.is_some()).map(|row| row.recorded_at).max();
        loop {
            let some: Vec<String> = left.drain(..left.len().min(2)).collect();
            let fenced = self
                .step(|data| {
                    let ours = data.episodes.get(id).is_some_and(|(its, _)| its.version == version);
                    if !ours {
                        return false;
                    }
                    for failure in &some {
                        // Withdrawn meanwhile.
                        let here = data.rows.get_mut(failure).filter(|(its, _)| its == id);
                        let Some((_, row)) = here else { continue };
                        // Already named by whoever claimed the episode meanwhile.
                        if row.number.is_none() {
                            row.number = Some(number);
                        }
                        if self.has(Mistake::TimeCursor) && cut.is_some_and(|cut| row.recorded_at <= cut) {
                            row.number = Some(0);
                        }
                    }
                    ours
                })
                .await?;
            if !fenced {
                return Ok(None);
            }
            if left.is_empty() {
                break;
            }
        }
        self.step(|data| {
            let twice = data.counted_twice.get(id).filter(|_| self.has(Mistake::Counter));
            let named = data.of(id).filter(|row| row.number.is_some()).count() as u64;
            Some(named + twice.copied().unwrap_or(0))
        })
        .await
    }

    async fn numbered(
        &self,
        id: &EpisodeId,
        after: u32,
        through: u32,
    ) -> Result<Vec<FailureRow>, StoreError> {
        self.step(|data| {
            let is_named = |row: &&FailureRow| match row.number {
                Some(number) => after < number && number <= through,
                None => self.has(Mistake::NoSnapshot),
            };
            let mut rows: Vec<FailureRow> = data.of(id).filter(is_named).cloned().collect();
            rows.sort_by(|a, b| (a.number, &a.failure).cmp(&(b.number, &b.failure)));
            rows
        })
        .await
    }

    async fn failures(&self, id: &EpisodeId) -> Result<Vec<FailureRow>, StoreError> {
        self.step(|data| {
            let mut rows: Vec<FailureRow> = data.of(id).cloned().collect();
            rows.sort_by(|a, b| (a.recorded_at, &a.failure).cmp(&(b.recorded_at, &b.failure)));
            rows
        })
        .await
    }

    async fn report(&self, id: &EpisodeId) -> Result<Option<String>, StoreError> {
        self.step(|data| data.episodes.get(id).map(|(_, report)| report.clone())).await
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<EpisodeId>, StoreError> {
        self.step(|data| {
            let due = |episode: &&Episode| episode.state != EpisodeState::Resolved && episode.due_at <= now;
            let mut all: Vec<&Episode> =
                data.episodes.values().map(|(episode, _)| episode).filter(due).collect();
            all.sort_by_key(|episode| episode.due_at);
            all.into_iter().take(most).map(|episode| episode.id.clone()).collect()
        })
        .await
    }

    async fn list(&self, resolved: bool) -> Result<Vec<Episode>, StoreError> {
        self.step(|data| {
            let listed = |episode: &&Episode| resolved || episode.state != EpisodeState::Resolved;
            let all = data.episodes.values().map(|(episode, _)| episode).filter(listed);
            let mut all: Vec<Episode> = all.map(|episode| self.seen(episode)).collect();
            all.sort_by(|a, b| {
                (b.opened_at, &a.id.incident, b.id.episode).cmp(&(a.opened_at, &b.id.incident, a.id.episode))
            });
            all
        })
        .await
    }

    async fn forget(&self, resolved_before: Timestamp) -> Result<u64, StoreError> {
        self.step(|data| {
            let over: Vec<EpisodeId> = data
                .episodes
                .values()
                .map(|(episode, _)| episode)
                .filter(|episode| {
                    let resolved = episode.resolved_at.filter(|_| episode.state == EpisodeState::Resolved);
                    resolved.is_some_and(|at| at < resolved_before)
                })
                .map(|episode| episode.id.clone())
                .collect();
            data.rows.retain(|_, (id, _)| !over.contains(id));
            data.inferred.retain(|_, known| known.episode.as_ref().is_none_or(|id| !over.contains(id)));
            data.withdrawn.retain(|(id, _)| !over.contains(id));
            over.iter().for_each(|id| drop(data.episodes.remove(id)));
            over.len() as u64
        })
        .await
    }

    async fn inferred(&self, most: usize) -> Result<Vec<InferredFailure>, StoreError> {
        self.step(|data| {
            let mut all: Vec<InferredFailure> = data.inferred.values().cloned().collect();
            let place = |one: &InferredFailure| {
                (one.episode.is_some(), Reverse(one.row.recorded_at), one.row.failure.clone())
            };
            all.sort_by_key(place);
            all.truncate(most);
            all
        })
        .await
    }

    async fn settle_inferred(&self, failure: &InferredFailure, is_read: bool) -> Result<(), StoreError> {
        self.step(|data| {
            let key = &failure.row.failure;
            if data.inferred.get(key).is_none_or(|known| known.episode != failure.episode) {
                return;
            }
            data.inferred.remove(key);
            if let (true, Some(_), Some((_, row))) = (is_read, &failure.episode, data.rows.get_mut(key)) {
                row.inferred_by = None;
            }
        })
        .await
    }

    async fn withdraw(&self, failure: &InferredFailure, version: u64) -> Result<bool, StoreError> {
        self.step(|data| {
            let (key, Some(id)) = (&failure.row.failure, &failure.episode) else { return false };
            let ours = data.episodes.get(id).is_some_and(|(its, _)| its.version == version);
            let there = data.inferred.get(key).is_some_and(|known| known.episode.as_ref() == Some(id));
            if !there || !ours {
                return false;
            }
            data.rows.remove(key);
            if self.has(Mistake::WithdrawnLost) {
                data.inferred.remove(key);
            } else if let Some(known) = data.inferred.get_mut(key) {
                known.episode = None;
            }
            data.withdrawn.insert((id.clone(), key.clone()));
            true
        })
        .await
    }

    async fn value(&self, name: &str) -> Result<Option<NamedValue>, StoreError> {
        self.step(|data| data.values.get(name).cloned()).await
    }

    async fn put_value(&self, mut value: NamedValue) -> Result<Option<NamedValue>, StoreError> {
        self.step(|data| {
            if data.values.get(&value.name).map_or(0, |known| known.version) != value.version {
                return None;
            }
            value.version += 1;
            data.values.insert(value.name.clone(), value.clone());
            Some(value)
        })
        .await
    }
}
