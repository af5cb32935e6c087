//! Failures that are put into an incident before their history is read.
//!
//! In a storm failures come faster than histories may be read. Failures whose events look alike (their *pre-key* is the
//! same) are mostly of one bug. So once several histories have agreed, further failures of a pre-key are recorded at once
//! as inferred, some are still read in line, and all others later. A wrong guess costs delay, never an alert:
//!
//! - An inferred failure stays among the inferred ones until its history was read, whatever crashes.
//! - Where the history says otherwise, it is withdrawn from the episode, still among the inferred ones, then recorded
//!   in its own incident, then settled: each step can be taken again.
//! - It is withdrawn only from a version of the episode in which nothing is being sent, so that what a notification
//!   names under its key does not change.
//! - From then on the pre-key is mixed: nothing is inferred from it for a day.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::schedule::later;
use super::store::{
    EpisodeState, FailureRow, InferredFailure, NamedValue, RecordedFailure, StoreError, Written,
};
use super::{Incidents, NewFailure};
use crate::report::incident::ExecutionRole;

/// One in so many is read in line at the least, however many have agreed.
const RAREST: u32 = 64;

/// How long nothing is inferred from a pre-key after two of its histories differed.
const MIXED: Duration = Duration::from_secs(24 * 60 * 60);

/// An inferred failure that is older is not read any more.
const TOO_OLD: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What the histories of one pre-key had in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Likeness {
    incident: String,
    role: ExecutionRole,
    routes: Vec<String>,
    /// How many histories agreed.
    agreed: u32,
    /// Until when nothing is inferred.
    mixed_until: Option<Timestamp>,
}

impl Likeness {
    /// One in how many failures is read in line: all until `agreeing` histories agree, then 2, 4 after twice as
    /// many, up to 64.
    fn read_one_in(&self, agreeing: u32) -> u32 {
        let doublings = (self.agreed / agreeing.max(1)).checked_ilog2().map_or(0, |log| log + 1);
        1_u32.checked_shl(doublings).unwrap_or(RAREST).min(RAREST)
    }

    fn leads_where(&self, other: &Self) -> bool {
        (&self.incident, self.role, &self.routes) == (&other.incident, other.role, &other.routes)
    }

    fn is_mixed(&self, now: Timestamp) -> bool {
        self.mixed_until.is_some_and(|until| now < until)
    }
}

/// What became of an inferred failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// It is where it belongs.
    Confirmed,
    /// It was moved to its own incident.
    Moved(RecordedFailure),
    /// Its episode is being notified of; it is to be tried again.
    Later,
}

impl Incidents {
    /// Records a failure as inferred, if enough histories of its pre-key agree and it is not one of those that
    /// are read in line. `None` if its history is to be read. `row` is made only where it is recorded.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn infer(
        &self,
        pre_key: &str,
        failure: &str,
        row: impl FnOnce() -> FailureRow + Send,
    ) -> Result<Option<RecordedFailure>, StoreError> {
        let (Some(agreeing), Some(likeness)) = (self.schedule.agreeing, self.likeness(pre_key).await?.1)
        else {
            return Ok(None);
        };
        let one_in = likeness.read_one_in(agreeing);
        // The same for the same failure, should its message come again.
        if one_in == 1 || likeness.is_mixed(self.now()) || draw(failure).is_multiple_of(u64::from(one_in)) {
            return Ok(None);
        }
        let row = FailureRow {
            recorded_at: self.now(),
            role: likeness.role,
            routes: likeness.routes,
            inferred_by: Some(pre_key.to_owned()),
            ..row()
        };
        loop {
            if let Some(known) = self.store.find(&row.failure).await? {
                return Ok(Some(known));
            }
            // An alert needs a report, so a new episode needs a history.
            let newest = self.store.newest(&likeness.incident).await?;
            let Some(open) = newest.filter(|newest| newest.state == EpisodeState::Open) else {
                return Ok(None);
            };
            if self.store.add(&open.id, &row).await? == Written::Yes {
                return Ok(Some(RecordedFailure { episode: open.id, routes: row.routes }));
            }
        }
    }

    /// Learns from a history which incident a pre-key leads to.
    pub(super) async fn learn(&self, pre_key: &str, read: &NewFailure) -> Result<(), StoreError> {
        let Some(agreeing) = self.schedule.agreeing else { return Ok(()) };
        let now = self.now();
        loop {
            let seen = Likeness {
                incident: read.incident.clone(),
                role: read.row.role,
                routes: read.row.routes.clone(),
                agreed: 1,
                mixed_until: None,
            };
            let (version, known) = self.likeness(pre_key).await?;
            let learned = match known {
                Some(known) if known.is_mixed(now) => return Ok(()),
                Some(known) if known.mixed_until.is_none() => {
                    let agrees = known.leads_where(&seen);
                    if agrees && known.agreed >= agreeing.saturating_mul(RAREST) {
                        return Ok(());
                    }
                    let agreed = if agrees { known.agreed + 1 } else { 0 };
                    let mixed_until = (!agrees).then(|| later(now, MIXED));
                    Likeness { agreed, mixed_until, ..known }
                }
                _ => seen,
            };
            let value = serde_json::to_string(&learned).expect("it has only text keys");
            let value = NamedValue { name: name(pre_key), version, value };
            if self.store.put_value(value).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// Inferred failures to read, at most so many: those of pre-keys that are mixed first, then those first that were
    /// recorded last. Those that are too old to be read are settled.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn inferred(&self, most: usize) -> Result<Vec<InferredFailure>, StoreError> {
        let now = self.now();
        let mut mixed = HashMap::new();
        let mut found = Vec::new();
        for failure in self.store.inferred(most).await? {
            if failure.episode.is_some() && later(failure.row.recorded_at, TOO_OLD) <= now {
                self.store.settle_inferred(&failure, false).await?;
                continue;
            }
            let pre_key = failure.row.inferred_by.clone().unwrap_or_default();
            if !mixed.contains_key(&pre_key) {
                let (_, likeness) = self.likeness(&pre_key).await?;
                mixed.insert(pre_key.clone(), likeness.is_some_and(|known| known.is_mixed(now)));
            }
            found.push((!mixed[&pre_key] && failure.episode.is_some(), failure));
        }
        // Stable: otherwise the order stays.
        found.sort_by_key(|(is_later, _)| *is_later);
        Ok(found.into_iter().map(|(_, failure)| failure).collect())
    }

    /// Puts an inferred failure where its history says that it belongs.
    ///
    /// # Errors
    /// When the store does not answer. Trying again does no harm.
    pub async fn verify(
        &self,
        inferred: &InferredFailure,
        actual: &NewFailure,
    ) -> Result<Verified, StoreError> {
        if let Some(pre_key) = &inferred.row.inferred_by {
            // Before it is moved, so that none is inferred any more which would have to follow.
            self.learn(pre_key, actual).await?;
        }
        if let Some(id) = &inferred.episode {
            // A route that it does not concern after all has been told of one failure more; one that it does
            // concern has to be told.
            let is_told = actual.row.routes.iter().all(|route| inferred.row.routes.contains(route));
            if id.incident == actual.incident && is_told {
                self.store.settle_inferred(inferred, true).await?;
                return Ok(Verified::Confirmed);
            }
            let Some(episode) = self.store.episode(id).await? else {
                self.store.settle_inferred(inferred, false).await?;
                return Ok(Verified::Confirmed);
            };
            if episode.pending.is_some() || !self.store.withdraw(inferred, episode.version).await? {
                return Ok(Verified::Later);
            }
        }
        let recorded = self.record(&NewFailure { pre_key: None, ..actual.clone() }).await?;
        // Sees to it that the episode is open.
        self.standing(&recorded).await?;
        let withdrawn = InferredFailure { episode: None, ..inferred.clone() };
        self.store.settle_inferred(&withdrawn, true).await?;
        Ok(Verified::Moved(recorded))
    }

    /// What is known of a pre-key, and the version of that.
    async fn likeness(&self, pre_key: &str) -> Result<(u64, Option<Likeness>), StoreError> {
        let Some(NamedValue { version, value, .. }) = self.store.value(&name(pre_key)).await? else {
            return Ok((0, None));
        };
        // What another version of misstep has written is learned anew.
        Ok((version, serde_json::from_str(&value).ok()))
    }
}

fn name(pre_key: &str) -> String {
    format!("likeness {pre_key}")
}

/// A number drawn from a text: the same for the same text.
fn draw(text: &str) -> u64 {
    let digest = Sha256::digest(text);
    u64::from_be_bytes(digest[..8].try_into().expect("a digest is longer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_histories_agree_the_fewer_are_read_in_line() {
        let one_in = |agreed| {
            let (incident, role) = (String::new(), ExecutionRole::Cause);
            Likeness { incident, role, routes: Vec::new(), agreed, mixed_until: None }.read_one_in(5)
        };
        let read = [0, 4, 5, 9, 10, 20, 40, 80, 159, 160, 10_000].map(one_in);
        assert_eq!(read, [1, 1, 2, 2, 4, 8, 16, 32, 32, 64, 64]);
    }
}
