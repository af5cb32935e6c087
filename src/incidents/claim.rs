//! The claim on an episode: one worker at a time sends what is due of it.

use std::time::Duration;

use super::Incidents;
use super::schedule::later;
use super::store::{Episode, StoreError};

/// How long a worker has an episode for itself, from the last time that it extended its claim. After a crash
/// another worker takes over when this time is over.
pub const LEASE: Duration = Duration::from_secs(30);

/// An episode that is claimed by this worker.
pub struct Claim<'i> {
    incidents: &'i Incidents,
    pub(super) episode: Episode,
    /// Once it is lost, nothing is changed any more.
    is_lost: bool,
}

impl<'i> Claim<'i> {
    /// The claim on an episode that was just taken.
    pub(super) fn taken(incidents: &'i Incidents, episode: Episode) -> Self {
        Self { incidents, episode, is_lost: false }
    }

    /// Extends the claim. `false` if it was lost.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn renew(&mut self) -> Result<bool, StoreError> {
        let until = later(self.incidents.now(), LEASE);
        self.change(|episode| episode.leased_until = Some(until)).await
    }

    /// Notes that a route accepted so many parts of the pending notification, which name so many executions,
    /// and extends the claim. `false` if it was lost: then nothing more may be sent.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn accepted(&mut self, route: &str, parts: u32, executions: u32) -> Result<bool, StoreError> {
        let until = later(self.incidents.now(), LEASE);
        let noted = |episode: &mut Episode| {
            let progress = episode.routes.entry(route.to_owned()).or_default();
            (progress.parts, progress.executions) = (parts, executions);
            episode.leased_until = Some(until);
        };
        self.change(noted).await
    }

    /// Waits for a call, and extends the claim as long as that takes.
    pub async fn hold<T>(&mut self, call: impl Future<Output = T>) -> T {
        tokio::pin!(call);
        loop {
            match tokio::time::timeout(LEASE / 3, &mut call).await {
                Ok(answer) => return answer,
                // A claim that is lost shows in the next change; what is being sent cannot be taken back.
                Err(_elapsed) => drop(self.renew().await),
            }
        }
    }

    /// Changes the episode. `false` if the claim was lost. That others changed it meanwhile, who have no
    /// claim, loses nothing: a route was added, or somebody muted it.
    pub(super) async fn change(&mut self, change: impl Fn(&mut Episode)) -> Result<bool, StoreError> {
        while !self.is_lost {
            let mut changed = self.episode.clone();
            change(&mut changed);
            match self.incidents.store.replace(changed).await? {
                Some(episode) => {
                    self.episode = episode;
                    return Ok(true);
                }
                None => self.is_lost = !self.is_still_ours().await?,
            }
        }
        Ok(false)
    }

    /// Reads the episode again, and whether it is still claimed by this worker, and for the same thing.
    pub(super) async fn is_still_ours(&mut self) -> Result<bool, StoreError> {
        let Some(episode) = self.incidents.store.episode(&self.episode.id).await? else { return Ok(false) };
        let Episode { claim, state, pending, .. } = &self.episode;
        let ours = episode.claim == *claim && episode.state == *state && episode.pending == *pending;
        self.episode = episode;
        Ok(ours)
    }
}
