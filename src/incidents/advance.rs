//! What is due of one episode: decided, frozen, sent to each route, and noted.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Incidents;
use super::claim::{Claim, LEASE};
use super::schedule::{CHECK_EVERY, has_leapt, later};
use super::store::{
    Episode, EpisodeId, EpisodeState, FailureRow, PendingNotification, RouteProgress, SentNotification,
    StoreError, Tally,
};
use crate::failpoint::{Point, reach};
use crate::report::incident::IncidentKind;

/// When a notification that a route did not accept is tried again; each time it takes twice as long.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// And never longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// When an episode is looked at again that waits for a route which takes nothing at the moment.
const BLOCKED: Duration = Duration::from_secs(5);

/// What came of a look at an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advanced {
    /// Nothing is due, or somebody else sees to it.
    Nothing,
    /// Every route has the notification that was due.
    Announced,
    /// Not every route has it.
    Unfinished,
}

/// One notification of an episode, for one route.
#[derive(Debug, Clone)]
pub struct Announcement<'a> {
    /// The episode.
    pub episode: &'a Episode,
    /// What is announced.
    pub pending: &'a PendingNotification,
    /// The route.
    pub route: &'a str,
    /// What it is to this route: the first one is an alert.
    pub kind: IncidentKind,
    /// The failures that concern the route and that no notification to it has named.
    pub failures: &'a [FailureRow],
    /// The report on the episode's first failure, as JSON.
    pub report: &'a str,
    /// How many parts of it the route accepted before.
    pub parts: u32,
    /// How many of the failures these named.
    pub executions: u32,
}

/// What a route made of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// It accepted it.
    Accepted,
    /// It will never accept it.
    Rejected,
    /// It may accept it later, and asked to be left alone for so long.
    Later(Option<Duration>),
}

/// Sends notifications.
#[async_trait]
pub trait Announcer: Send + Sync {
    /// Whether it would make an attempt now, for all that it knows of the routes.
    fn may_send(&self, _episode: &Episode) -> bool {
        true
    }

    /// Whether it does so even before the episode is due.
    fn insists(&self) -> bool {
        false
    }

    /// Makes one attempt. What takes long extends the `claim` on the episode meanwhile.
    async fn announce(&self, announcement: &Announcement<'_>, claim: &mut Claim<'_>) -> Announced;

    /// Whether any execution of the episode's state machine succeeded after this time; `None` where that
    /// cannot be found out.
    async fn succeeded_since(&self, _episode: &Episode, _since: Timestamp) -> Option<bool> {
        None
    }
}

/// What came of sending a notification to the routes that lacked it.
enum RouteAnswers {
    /// Each accepted or rejected it.
    Complete,
    /// Some may accept it later, and asked to be left alone for so long.
    Later(Duration),
    /// The claim was lost.
    Lost,
}

/// What is due of an episode.
enum Due {
    Notification(IncidentKind),
    /// An alert for routes that joined later.
    FurtherAlert,
    LookAgain(Timestamp),
}

impl Incidents {
    /// The episodes that are to be looked at, at most so many.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn due(&self, most: usize) -> Result<Vec<EpisodeId>, StoreError> {
        self.store.due(self.now(), most).await
    }

    /// Sends what is due of an episode, if nobody else does. Whatever happens in between, the next call
    /// goes on from there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn advance(&self, id: &EpisodeId, announcer: &dyn Announcer) -> Result<Advanced, StoreError> {
        let Some(episode) = self.store.episode(id).await? else { return Ok(Advanced::Nothing) };
        let now = self.now();
        let is_claimed = episode.leased_until.is_some_and(|until| until > now);
        let is_due = episode.due_at <= now || announcer.insists();
        if episode.state == EpisodeState::Resolved || is_claimed || !is_due {
            return Ok(Advanced::Nothing);
        }
        if !announcer.may_send(&episode) {
            // Others are due, too.
            let blocked = Episode { due_at: later(now, BLOCKED), ..episode };
            self.store.replace(blocked).await?;
            return Ok(Advanced::Nothing);
        }
        let until = later(now, LEASE);
        let claimed = Episode { claim: fastrand::u64(..), leased_until: Some(until), ..episode };
        let Some(episode) = self.store.replace(claimed).await? else { return Ok(Advanced::Nothing) };
        let mut claim = Claim::taken(self, episode);
        reach(Point::IncidentClaimed).await;
        if !self.freeze(&mut claim, announcer).await? {
            return Ok(Advanced::Nothing);
        }
        let Some(pending) = claim.episode.pending.clone() else { return Ok(Advanced::Nothing) };
        reach(Point::IncidentFrozen).await;
        let answers = self.send(&mut claim, &pending, announcer).await?;
        if let RouteAnswers::Later(asked) = answers {
            let grown = TRY_AGAIN.saturating_mul(1 << claim.episode.tries.min(6));
            let again = later(self.now(), grown.max(asked).min(LONGEST_PAUSE));
            let released = |episode: &mut Episode| {
                episode.leased_until = None;
                episode.due_at = again;
                episode.tries = episode.tries.saturating_add(1);
            };
            claim.change(released).await?;
            return Ok(Advanced::Unfinished);
        }
        if matches!(answers, RouteAnswers::Lost) {
            return Ok(Advanced::Nothing);
        }
        let ended = self.finish(&mut claim, &pending).await?;
        reach(Point::IncidentFinished).await;
        Ok(if ended { Advanced::Announced } else { Advanced::Nothing })
    }

    /// Fixes what the next notification says, unless one is fixed already. `false` if none is due, or the
    /// claim was lost.
    async fn freeze(&self, claim: &mut Claim<'_>, announcer: &dyn Announcer) -> Result<bool, StoreError> {
        if claim.episode.pending.is_some() {
            return Ok(true);
        }
        let now = self.now();
        let tally = self.store.tally(&claim.episode.id).await?;
        let (kind, alerts_only) = match self.due_of(&claim.episode, &tally, now) {
            Due::Notification(kind) => (kind, false),
            Due::FurtherAlert => (IncidentKind::Update, true),
            Due::LookAgain(at) => {
                let look_again = |episode: &mut Episode| {
                    episode.leased_until = None;
                    episode.due_at = at;
                    episode.state = EpisodeState::Open;
                };
                claim.change(look_again).await?;
                return Ok(false);
            }
        };
        if kind == IncidentKind::Resolved {
            // From here on whoever records a failure opens the episode again; what was recorded before is
            // in the count that follows.
            if !claim.change(|episode| episode.state = EpisodeState::Resolving).await? {
                return Ok(false);
            }
            let ever = |tally: &Tally| tally.count + tally.withdrawn;
            if ever(&self.store.tally(&claim.episode.id).await?) > ever(&tally) {
                let open = |episode: &mut Episode| {
                    episode.state = EpisodeState::Open;
                    episode.leased_until = None;
                    episode.due_at = now;
                };
                claim.change(open).await?;
                return Ok(false);
            }
        }
        let number = claim.episode.number + 1;
        let id = claim.episode.id.clone();
        let count = loop {
            match self.store.assign_number(&id, claim.episode.version, number).await? {
                Some(count) => break count,
                None if claim.is_still_ours().await? => {}
                None => return Ok(false),
            }
        };
        let reopened = claim.episode.reopened;
        let succeeded_since = match kind {
            IncidentKind::Resolved => announcer.succeeded_since(&claim.episode, tally.newest).await,
            IncidentKind::Alert | IncidentKind::Update => None,
        };
        let asked = claim.episode.resolved_by.as_ref().filter(|asked| tally.newest <= asked.at);
        let resolved_by = asked.filter(|_| kind == IncidentKind::Resolved).map(|asked| asked.by.clone());
        let pending = PendingNotification {
            number,
            kind,
            count,
            inferred: tally.inferred,
            as_of: now,
            alerts_only,
            reopened,
            succeeded_since,
            resolved_by,
        };
        let frozen = |episode: &mut Episode| {
            if kind != IncidentKind::Resolved {
                episode.state = EpisodeState::Open;
            }
            episode.pending = Some(pending.clone());
        };
        claim.change(frozen).await
    }

    fn due_of(&self, episode: &Episode, tally: &Tally, now: Timestamp) -> Due {
        let muted = episode.is_muted(now, tally.count);
        if !muted && episode.number == 0 {
            return Due::Notification(IncidentKind::Alert);
        }
        // A route is behind that rejected an update, or was left out while others got their first alert.
        let is_behind = |route: &RouteProgress| route.number > 0 && route.number < episode.number;
        let has_grown = tally.unnamed > 0 || episode.routes.values().any(is_behind);
        let leaps = has_leapt(episode.named, tally.count);
        if !muted && has_grown && (now >= episode.update_at || leaps) {
            return Due::Notification(IncidentKind::Update);
        }
        if !muted && episode.routes.values().any(|route| route.number == 0 && !route.rejected) {
            return Due::FurtherAlert;
        }
        let quiet_from = self.schedule.quiet_from(tally);
        let is_asked_for = episode.resolved_by.as_ref().is_some_and(|asked| tally.newest <= asked.at);
        if now < quiet_from && !is_asked_for {
            let check = later(now, CHECK_EVERY).min(quiet_from);
            return Due::LookAgain(if has_grown { check.min(episode.update_at.max(now)) } else { check });
        }
        // What was not named is named before the end, even though no step of the ladder is due; while the
        // incident is muted, with the end.
        let names_first = tally.unnamed > 0 && !muted;
        Due::Notification(if names_first { IncidentKind::Update } else { IncidentKind::Resolved })
    }

    /// Sends a notification to every route that lacks it, and notes each answer.
    async fn send(
        &self,
        claim: &mut Claim<'_>,
        pending: &PendingNotification,
        announcer: &dyn Announcer,
    ) -> Result<RouteAnswers, StoreError> {
        let report = self.store.report(&claim.episode.id).await?.unwrap_or_default();
        let mut answers = RouteAnswers::Complete;
        let lacks = |progress: &RouteProgress| {
            progress.number < pending.number && (progress.number == 0 || !pending.alerts_only)
        };
        let lacking = claim.episode.routes.iter().filter(|(_, progress)| lacks(progress));
        let lacking: Vec<_> = lacking.map(|(route, progress)| (route.clone(), *progress)).collect();
        for (route, progress) in lacking {
            let failures = self.store.numbered(&claim.episode.id, progress.number, pending.number).await?;
            let concerns = |row: &FailureRow| row.routes.contains(&route);
            let failures: Vec<FailureRow> = failures.into_iter().filter(concerns).collect();
            let has_none = failures.is_empty() && pending.kind != IncidentKind::Resolved;
            if has_none && progress.number == 0 {
                // Its failure was recorded after the notification was fixed: the next one is its alert.
                continue;
            }
            if progress.rejected || progress.refused == pending.number {
                // Until a message asks for the alert again, or there is another update.
                continue;
            }
            let answer = if has_none {
                Announced::Accepted
            } else {
                if !claim.renew().await? {
                    return Ok(RouteAnswers::Lost);
                }
                let is_first = progress.number == 0 && pending.kind == IncidentKind::Update;
                let kind = if is_first { IncidentKind::Alert } else { pending.kind };
                let (episode, route) = (&claim.episode.clone(), &*route);
                let (failures, report) = (&failures, &report);
                let RouteProgress { parts, executions, .. } = progress;
                let announcement =
                    Announcement { episode, pending, route, kind, failures, report, parts, executions };
                announcer.announce(&announcement, claim).await
            };
            if let Announced::Later(asked) = answer {
                let before = if let RouteAnswers::Later(before) = answers { before } else { Duration::ZERO };
                answers = RouteAnswers::Later(before.max(asked.unwrap_or_default()));
                continue;
            }
            let accepted = answer == Announced::Accepted;
            let until = later(self.now(), LEASE);
            let noted = |episode: &mut Episode| {
                let progress = episode.routes.entry(route.clone()).or_default();
                // What it rejects of an update is named in the next one too.
                match accepted {
                    true => *progress = RouteProgress { number: pending.number, ..RouteProgress::default() },
                    false => {
                        let refused = pending.number;
                        *progress = RouteProgress { parts: 0, executions: 0, refused, ..*progress };
                    }
                }
                progress.rejected = progress.number == 0;
                episode.leased_until = Some(until);
            };
            if !claim.change(noted).await? {
                return Ok(RouteAnswers::Lost);
            }
            reach(Point::IncidentNoted).await;
        }
        Ok(answers)
    }

    /// Every route has the notification.
    async fn finish(&self, claim: &mut Claim<'_>, pending: &PendingNotification) -> Result<bool, StoreError> {
        let now = self.now();
        let update_at = later(now, self.schedule.after(pending.number));
        let &PendingNotification { number, kind, count, .. } = pending;
        claim
            .change(|episode| {
                if episode.routes.values().any(|route| route.number == number) {
                    episode.sent.push(SentNotification { number, kind, count, at: now });
                }
                episode.tries = 0;
                episode.number = pending.number;
                episode.pending = None;
                episode.leased_until = None;
                if !pending.alerts_only {
                    episode.named = pending.count;
                    episode.reopened = false;
                    episode.update_at = update_at;
                }
                let lacks_alert = episode.routes.values().any(|route| route.number == 0 && !route.rejected);
                let next = if lacks_alert { now } else { later(now, CHECK_EVERY).min(episode.update_at) };
                episode.due_at = next.max(later(now, TRY_AGAIN));
                if pending.kind == IncidentKind::Resolved {
                    episode.state = EpisodeState::Resolved;
                    episode.resolved_at = Some(now);
                    episode.resolved_by = None;
                }
            })
            .await
    }
}
