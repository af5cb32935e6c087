//! Recording a failure, and what its message still waits for.

use std::collections::BTreeMap;

use super::Incidents;
use super::schedule::later;
use super::store::{
    Episode, EpisodeId, EpisodeState, FailureRow, IncidentTitle, RecordedFailure, RouteProgress, StoreError,
    Written,
};

/// A failure to record.
#[derive(Debug, Clone)]
pub struct NewFailure {
    /// The incident that it belongs to.
    pub incident: String,
    /// What a list shows of the incident, if this is its first failure.
    pub about: IncidentTitle,
    /// The report, as JSON, if this is its first failure: redacted, and of a bounded size.
    pub report: String,
    /// What its event looks like, if its history was read and others may be inferred from it.
    pub pre_key: Option<String>,
    /// The row. When it is recorded is filled in.
    pub row: FailureRow,
}

/// What a message still waits for, whose failure is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing: every route that its failure concerns has the alert, or the incident is muted.
    Settled,
    /// These routes do not have the alert yet.
    Unalerted(Vec<String>),
    /// This route rejected the alert for good.
    Rejected(String),
}

impl Incidents {
    /// Where a failure was recorded before.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn find(&self, failure: &str) -> Result<Option<RecordedFailure>, StoreError> {
        self.store.find(failure).await
    }

    /// Records a failure, once.
    ///
    /// # Errors
    /// When the store does not answer. Whether the failure is recorded is not known then; trying again does
    /// no harm.
    pub async fn record(&self, failure: &NewFailure) -> Result<RecordedFailure, StoreError> {
        let now = self.now();
        let row = FailureRow { recorded_at: now, ..failure.row.clone() };
        let is_over = |newest: &Episode| {
            let resolved = newest.resolved_at.filter(|_| newest.state == EpisodeState::Resolved);
            resolved.is_some_and(|at| now >= later(at, self.schedule.reopen))
        };
        loop {
            if let Some(known) = self.store.find(&row.failure).await? {
                return Ok(known);
            }
            let (id, written) = match self.store.newest(&failure.incident).await? {
                Some(newest) if !is_over(&newest) => {
                    let written = self.store.add(&newest.id, &row).await?;
                    (newest.id, written)
                }
                before => {
                    let episode = self.first_of(failure, before.as_ref());
                    let written = self.store.open(&episode, &row, &failure.report).await?;
                    (episode.id, written)
                }
            };
            if written == Written::Yes {
                if let Some(pre_key) = &failure.pre_key {
                    // Without it, more is read than need be.
                    drop(self.learn(pre_key, failure).await);
                }
                return Ok(RecordedFailure { episode: id, routes: row.routes });
            }
        }
    }

    /// A new episode. A mute goes on into it.
    fn first_of(&self, failure: &NewFailure, before: Option<&Episode>) -> Episode {
        let now = self.now();
        let routes = failure.row.routes.iter().map(|route| (route.clone(), RouteProgress::default()));
        let episode = before.map_or(0, |before| before.id.episode).saturating_add(1);
        Episode {
            id: EpisodeId { incident: failure.incident.clone(), episode },
            version: 0,
            state: EpisodeState::Open,
            number: 0,
            named: 0,
            pending: None,
            routes: routes.collect(),
            due_at: now,
            leased_until: None,
            claim: 0,
            update_at: now,
            opened_at: now,
            resolved_at: None,
            reopened: false,
            mute: before.and_then(|before| before.mute.clone()).filter(|mute| mute.holds(now, 1)),
            sent: Vec::new(),
            tries: 0,
            resolved_by: None,
            about: failure.about.clone(),
        }
    }

    /// Has the alert sent again to routes that rejected it, for a message that waits for one of them.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn ask_again(&self, recorded: &RecordedFailure) -> Result<(), StoreError> {
        loop {
            let Some(mut episode) = self.store.episode(&recorded.episode).await? else { return Ok(()) };
            let waits_for = |name: &String| recorded.routes.contains(name);
            let rejected = episode.routes.iter_mut().filter(|(name, its)| its.rejected && waits_for(name));
            let asked_again = rejected.map(|(_, progress)| progress.rejected = false).count();
            if asked_again == 0 {
                return Ok(());
            }
            episode.due_at = self.now();
            if self.store.replace(episode).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// What the message of a recorded failure still waits for. Sees to it that the episode is open, and
    /// will be looked at, where a notification has yet to name the failure.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn standing(&self, recorded: &RecordedFailure) -> Result<Standing, StoreError> {
        let episode = loop {
            let Some(episode) = self.store.episode(&recorded.episode).await? else {
                // Removed long after its resolve, with everything in it.
                return Ok(Standing::Settled);
            };
            let Some(changed) = self.reopened(&episode, recorded).await? else { break episode };
            if let Some(changed) = self.store.replace(changed).await? {
                break changed;
            }
        };
        let progress = |route: &String| episode.routes.get(route).copied().unwrap_or_default();
        if let Some(route) = recorded.routes.iter().find(|route| progress(route).rejected) {
            return Ok(Standing::Rejected(route.clone()));
        }
        let unalerted = recorded.routes.iter().filter(|route| progress(route).number == 0);
        let unalerted: Vec<String> = unalerted.cloned().collect();
        if unalerted.is_empty() || episode.is_muted(self.now(), 1) {
            return Ok(Standing::Settled);
        }
        Ok(Standing::Unalerted(unalerted))
    }

    /// The episode as it has to become for a failure that was recorded in it: open, and with every route
    /// that the failure concerns. `None` where it is so already.
    async fn reopened(
        &self,
        episode: &Episode,
        recorded: &RecordedFailure,
    ) -> Result<Option<Episode>, StoreError> {
        let now = self.now();
        let mut changed = episode.clone();
        let missing = recorded.routes.iter().filter(|route| !episode.routes.contains_key(*route));
        let missing: BTreeMap<String, RouteProgress> =
            missing.map(|route| (route.clone(), RouteProgress::default())).collect();
        // A message that was dead-lettered since a route rejected the alert may be replayed much later.
        let lacks =
            |route: &String| episode.routes.get(route).is_some_and(|its| its.number == 0 && !its.rejected);
        let lacks_alert = recorded.routes.iter().any(lacks);
        // The recorder's half of the agreement with whoever resolves: its row is written before it looks.
        let is_open = match episode.state {
            EpisodeState::Open => true,
            EpisodeState::Resolving => false,
            EpisodeState::Resolved => {
                missing.is_empty() && !lacks_alert && self.store.tally(&episode.id).await?.unnamed == 0
            }
        };
        if !is_open {
            // What was being sent may have arrived somewhere: its number is not used again.
            let resolving = episode.pending.as_ref();
            changed.number = resolving.map_or(episode.number, |pending| pending.number);
            changed.reopened |= episode.state == EpisodeState::Resolved || resolving.is_some();
            changed.state = EpisodeState::Open;
            changed.pending = None;
            for progress in changed.routes.values_mut() {
                // What comes next has other parts.
                (progress.parts, progress.executions) = (0, 0);
            }
            changed.leased_until = None;
            changed.claim = 0;
            changed.resolved_by = None;
            changed.update_at = now;
        }
        changed.routes.extend(missing);
        if changed == *episode {
            return Ok(None);
        }
        changed.due_at = now;
        Ok(Some(changed))
    }
}
