//! What people can do to an incident.

use std::time::Duration;

use jiff::Timestamp;

use super::Incidents;
use super::schedule::later;
use super::store::{Episode, EpisodeState, Mute, ResolveRequest, StoreError};

/// A mute is never longer than this: one that is forgotten must not swallow the next bug.
pub const LONGEST_MUTE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Incidents {
    /// Holds back the alert and the updates of an incident, and returns its newest episode. `None` if there
    /// is no such incident. It goes on into a new episode, ends by itself, is lifted at ten times the
    /// failures, and holds back no resolve.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn mute(
        &self,
        incident: &str,
        pause: Duration,
        by: &str,
        reason: &str,
    ) -> Result<Option<Episode>, StoreError> {
        let until = later(self.now(), pause.min(LONGEST_MUTE));
        loop {
            let Some(episode) = self.store.newest(incident).await? else { return Ok(None) };
            let count = self.store.tally(&episode.id).await?.count;
            let mute = Mute { until, by: by.to_owned(), reason: reason.to_owned(), count };
            let muted = Episode { mute: Some(mute), ..episode };
            if let Some(muted) = self.store.replace(muted).await? {
                return Ok(Some(muted));
            }
        }
    }

    /// Has an incident resolved, and returns its newest episode. `None` if there is no such incident. The
    /// worker sends the resolve; a failure that is recorded before opens the incident again.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn resolve(&self, incident: &str, by: &str) -> Result<Option<Episode>, StoreError> {
        loop {
            let Some(episode) = self.store.newest(incident).await? else { return Ok(None) };
            if episode.state == EpisodeState::Resolved {
                return Ok(Some(episode));
            }
            let due_at = self.now();
            let resolved_by = Some(ResolveRequest { by: by.to_owned(), at: due_at });
            let resolving = Episode { resolved_by, due_at, ..episode };
            if let Some(resolving) = self.store.replace(resolving).await? {
                return Ok(Some(resolving));
            }
        }
    }

    /// Removes resolved episodes that were kept for long enough. Returns how many.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn forget(&self) -> Result<u64, StoreError> {
        let keep = i64::try_from(self.schedule.keep.as_millis()).unwrap_or(i64::MAX);
        let before = self.now().as_millisecond().saturating_sub(keep);
        self.store.forget(Timestamp::from_millisecond(before).unwrap_or(Timestamp::MIN)).await
    }
}
