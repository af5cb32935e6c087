//! Failures that go into incidents: each is recorded, and its message waits for the alert.

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use jiff::Timestamp;
use lru::LruCache;
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::announce::{IncidentAnnouncer, Sends};
use super::deliver::stays;
use super::{Handled, MessageAttempt, Pipeline};
use crate::aws::arn::{ExecutionArn, state_machine_name};
use crate::breaker::Breaker;
use crate::event::StatusChange;
use crate::failpoint::{Point, reach};
use crate::history::Status;
use crate::incidents::store::{EpisodeId, FailureRow, IncidentTitle, RecordedFailure, StoreError};
use crate::incidents::{Advanced, Incidents, LEASE, NewFailure, Standing};
use crate::investigation::{ExecutionRequest, investigate};
use crate::notify::{Grouping, NotifyError, Route, idempotency_key, incident_of_one, truncate};
use crate::outcome::{Outcome, of_answers};
use crate::redact::{Redactor, Rules};
use crate::report::incident::ExecutionRole;
use crate::report::notice::Notice;
use crate::report::{Bug, Report, Subject, summary};
use crate::retry::Policy;
use crate::telemetry::chain;

/// What an answer of the store is called, beside those of the routes.
pub(super) const NAME: &str = "incidents";

/// Bytes of the report that an incident keeps of its first failure.
const KEPT_REPORT: usize = 128 * 1024;

/// For so long failures wait for a store that does not answer; then they are notified of one by one.
const LONGEST_OUTAGE: Duration = Duration::from_secs(10 * 60);

/// For so long a message waits for an alert that another worker is sending.
const LONGEST_WAIT: Duration = LEASE.saturating_mul(4);

/// Of so many executions that took others with them the bug is remembered: a Map may have started thousands.
const PARENTS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// And for so long: after a redrive an execution may have another bug.
const PARENT_KNOWN: Duration = Duration::from_secs(60);

/// How often the worker looks for incidents that are due.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many incidents are advanced at once.
const AT_ONCE: usize = 8;

/// How often resolved incidents that are old enough are removed.
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);

/// What routes, and the store, answered.
pub(super) type Answers = Vec<(Arc<str>, Result<(), NotifyError>)>;

/// What the pipeline needs for incidents.
pub(super) struct IncidentDelivery {
    incidents: Incidents,
    redactor: Redactor,
    /// The keys of inputs that any route shows.
    pub(super) input_keys: Vec<String>,
    /// The routes that get incidents.
    pub(super) grouped: Vec<String>,
    /// Since when the store has not answered.
    away_since: Mutex<Option<Instant>>,
    /// The bugs of executions that fell and took others with them, and when each was read.
    parents: Mutex<LruCache<String, (Bug, Instant)>>,
}

impl IncidentDelivery {
    pub(super) fn new<'r>(
        incidents: Incidents,
        rules: &Rules,
        routes: impl Iterator<Item = &'r Route>,
    ) -> Self {
        let grouped: Vec<&Route> = routes.filter(|route| route.grouping != Grouping::Each).collect();
        let input_keys = grouped.iter().filter_map(|route| route.grouping.input_keys());
        let mut input_keys: Vec<String> = input_keys.flatten().cloned().collect();
        let grouped = grouped.iter().map(|route| route.name.to_string()).collect();
        input_keys.sort();
        input_keys.dedup();
        let redactor = Redactor::new(&Rules { on: true, ..rules.clone() });
        let parents = Mutex::new(LruCache::new(PARENTS));
        Self { incidents, redactor, input_keys, grouped, away_since: Mutex::default(), parents }
    }

    /// The failure as the store keeps it: without secrets, and not larger than need be.
    pub(super) fn failure(&self, report: &Report, change: &StatusChange, routes: Vec<String>) -> NewFailure {
        let failure = change.failure_key();
        let (incident, role, mut title) = match &report.bug {
            Some(bug) => (
                bug.key.clone(),
                bug.role,
                IncidentTitle {
                    state_machine: bug.state_machine.clone(),
                    state_machine_arn: bug.state_machine_arn.clone(),
                    state: bug.state.clone(),
                    error: bug.error.clone(),
                    reason: bug.reason.clone(),
                },
            ),
            // Too little is known to put it together with another one.
            None => (
                incident_of_one(&failure),
                ExecutionRole::Cause,
                IncidentTitle {
                    state_machine: state_machine_name(&change.state_machine_arn)
                        .unwrap_or_default()
                        .to_owned(),
                    reason: "too little is known of this failure to put it together with others".to_owned(),
                    ..IncidentTitle::default()
                },
            ),
        };
        let IncidentTitle { state_machine, state_machine_arn: _, state, error, reason } = &mut title;
        let texts = state.iter_mut().chain(error).chain([state_machine, reason]);
        texts.for_each(|text| drop(self.redactor.redact(text)));
        let mut redacted = report.clone().redacted(&self.redactor);
        let payload = redacted.event_details.payload.as_deref();
        let failed_on = || redacted.analysis.failed_state.as_ref()?.input.as_deref();
        let keys = payload.or_else(failed_on).map(|input| summary::keyed_values(input, &self.input_keys));
        let mut notice = Notice::failure(&redacted);
        let size = |notice: &Notice<'_>| notice.data().to_string().len();
        if size(&notice) > KEPT_REPORT {
            truncate::truncate(&mut notice, KEPT_REPORT, size);
            redacted = notice.report().clone();
        }
        NewFailure {
            incident,
            about: title,
            report: serde_json::to_string(&redacted).expect("a report has only text keys"),
            pre_key: None,
            row: FailureRow {
                failure: failure.as_str().to_owned(),
                execution_arn: change.execution.to_string(),
                ended_at: change.stopped_at,
                recorded_at: Timestamp::UNIX_EPOCH,
                keys: keys.unwrap_or_default(),
                role,
                routes,
                inferred_by: None,
                number: None,
            },
        }
    }

    /// The incidents.
    pub(super) fn incidents(&self) -> &Incidents {
        &self.incidents
    }

    /// The bug of an execution that was read not long ago.
    fn parent(&self, execution: &str) -> Option<Bug> {
        let mut parents = self.parents.lock().unwrap_or_else(PoisonError::into_inner);
        let (bug, read) = parents.get(execution)?;
        (read.elapsed() < PARENT_KNOWN).then(|| bug.clone())
    }

    fn remember_parent(&self, execution: String, bug: Bug) {
        let mut parents = self.parents.lock().unwrap_or_else(PoisonError::into_inner);
        parents.put(execution, (bug, Instant::now()));
    }

    /// Notes whether the store answered, and returns how long it has not.
    fn away(&self, answered: bool) -> Duration {
        let mut since = self.away_since.lock().unwrap_or_else(PoisonError::into_inner);
        if answered {
            if since.take().is_some() {
                info!("the incident store answers again");
            }
            return Duration::ZERO;
        }
        since.get_or_insert_with(Instant::now).elapsed()
    }
}

impl Pipeline {
    /// Whether this process has recorded a failure and need not look again.
    pub(super) fn is_recorded(&self, change: &StatusChange) -> bool {
        self.handled().get(&recorded_key(change)).is_some()
    }

    /// The bug of the execution that started this one: one that was aborted fell with what waited for it, and
    /// has none of its own. `None` where it is not so, or not known.
    pub(super) async fn bug_of_parent(
        &self,
        delivery: &IncidentDelivery,
        change: &StatusChange,
    ) -> Option<Bug> {
        /// What the optimized integration of Step Functions puts into the input of what it starts.
        #[derive(Deserialize)]
        struct Input {
            #[serde(rename = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID")]
            started_by: String,
        }
        let input = change.input.as_deref().filter(|_| change.status == Status::Aborted)?;
        let Input { started_by } = serde_json::from_str(input).ok()?;
        if let Some(bug) = delivery.parent(&started_by) {
            return Some(bug);
        }
        let execution = ExecutionArn::parse(&started_by).ok()?;
        let asked = ExecutionRequest { execution: execution.clone(), status: None, redrive_count: None };
        let memory = self.memory.report().await;
        let finding = investigate(&*self.reader, &asked, &memory).await.ok()?;
        let has_failed =
            matches!(finding.analysis.status, Status::Failed | Status::TimedOut | Status::Aborted);
        let subject = Subject { execution: Some(execution), ..Subject::default() };
        let bug = Report::new(&subject, &finding).bug.filter(|_| has_failed)?;
        delivery.remember_parent(started_by, bug.clone());
        Some(bug)
    }

    /// The outcome of a failure that is in an incident already: its history is not read again. `None` where
    /// it is in none, or that is not known.
    pub(super) async fn known_incident(
        &self,
        delivery: &IncidentDelivery,
        change: &StatusChange,
        attempt: MessageAttempt,
    ) -> Option<Outcome> {
        let recorded = delivery.incidents.find(change.failure_key().as_str()).await.ok()??;
        let answer = self.alerted(delivery, &recorded, change, attempt).await.ok()?;
        Some(of_answers(vec![(NAME.into(), answer)]))
    }

    /// Records a failure and waits until the routes that it concerns have the alert of its incident. Where
    /// the store is away for long, or this is the last receive, it is notified of by itself; where it concerns
    /// no route, nobody waits for the store.
    pub(super) async fn record_in_incident(
        &self,
        delivery: &IncidentDelivery,
        failure: &NewFailure,
        change: &StatusChange,
        attempt: MessageAttempt,
    ) -> Answers {
        let mut pauses = Policy::PROBE.start().until(attempt.until);
        loop {
            let recording = async {
                let recorded = delivery.incidents.record(failure).await?;
                reach(Point::Recorded).await;
                self.alerted(delivery, &recorded, change, attempt).await
            };
            let error = match recording.await {
                Ok(answer) => {
                    self.store_answered(delivery, true);
                    return vec![(NAME.into(), answer)];
                }
                Err(error) => error,
            };
            let away = self.store_answered(delivery, false);
            let away_s = away.as_secs();
            warn!(error = chain(&error), away_s, "a failure could not be recorded in an incident");
            if failure.row.routes.is_empty() {
                return Vec::new();
            }
            if attempt.last || away >= LONGEST_OUTAGE {
                return self.without_incident(failure, change, attempt).await;
            }
            if !pauses.wait(None).await {
                let what = error.to_string();
                return vec![(NAME.into(), Err(NotifyError::Transient { what, retry_after: None }))];
            }
        }
    }

    /// Notes whether the store answered, and returns how long it has not.
    fn store_answered(&self, delivery: &IncidentDelivery, answered: bool) -> Duration {
        self.metrics.incident_store_away(!answered);
        delivery.away(answered)
    }

    /// Waits until the routes that a recorded failure concerns have the alert of its incident; `Ok(Err(_))`
    /// where they will not soon.
    pub(super) async fn alerted(
        &self,
        delivery: &IncidentDelivery,
        recorded: &RecordedFailure,
        change: &StatusChange,
        attempt: MessageAttempt,
    ) -> Result<Result<(), NotifyError>, StoreError> {
        let mut pauses = Policy::IN_HAND.start().until(attempt.until);
        let mut probing = None;
        let waiting_since = Instant::now();
        delivery.incidents.ask_again(recorded).await?;
        loop {
            let mut advanced = Advanced::Nothing;
            if let Standing::Unalerted(_) = delivery.incidents.standing(recorded).await? {
                let sends = if probing.is_some() { Sends::Probing } else { Sends::of(attempt) };
                let announcer = IncidentAnnouncer { pipeline: self, sends };
                advanced = delivery.incidents.advance(&recorded.episode, &announcer).await?;
            }
            let unalerted = match delivery.incidents.standing(recorded).await? {
                Standing::Settled => {
                    self.remember(recorded, change);
                    return Ok(Ok(()));
                }
                Standing::Rejected(route) => {
                    let what = format!("{route} rejected the alert of the incident {}", recorded.episode);
                    return Ok(Err(NotifyError::Rejected { what }));
                }
                Standing::Unalerted(routes) => routes,
            };
            let open = self.breakers_of(&unalerted).find(|breaker| breaker.is_open());
            let stays = match open {
                Some(breaker) => stays(&breaker, attempt, &mut probing, None).await,
                // Somebody else is sending it, and may have died meanwhile: this message need not be
                // received again to find out.
                None if advanced == Advanced::Nothing && waiting_since.elapsed() < LONGEST_WAIT => {
                    tokio::time::sleep(LOOK_EVERY).await;
                    true
                }
                None => pauses.wait(None).await,
            };
            if !stays {
                let what =
                    format!("{} has not accepted the alert of {}", unalerted.join(", "), recorded.episode);
                return Ok(Err(NotifyError::Transient { what, retry_after: None }));
            }
        }
    }

    /// A failure that is in its incident needs nothing more in this process.
    fn remember(&self, recorded: &RecordedFailure, change: &StatusChange) {
        let keys: Vec<String> = self
            .routes(change)
            .filter(|pending| recorded.routes.iter().any(|route| **route == *pending.route.name))
            .map(|pending| pending.key)
            .collect();
        let mut handled = self.handled();
        for key in keys {
            handled.put(key, Handled::Delivered);
        }
        handled.put(recorded_key(change), Handled::Delivered);
    }

    fn breakers_of(&self, routes: &[String]) -> impl Iterator<Item = Arc<Breaker>> {
        let required =
            self.required.iter().filter(|(route, _)| routes.iter().any(|name| **name == *route.name));
        required.map(|(_, breaker)| breaker.clone())
    }

    /// One notification for each route, as if there were no incidents.
    async fn without_incident(
        &self,
        failure: &NewFailure,
        change: &StatusChange,
        attempt: MessageAttempt,
    ) -> Answers {
        let report: Report = serde_json::from_str(&failure.report).expect("it was written here");
        let mut answers = Vec::new();
        for (route, breaker) in &self.required {
            let key = idempotency_key(&change.failure_key(), &route.audience, &route.name);
            let is_due = failure.row.routes.iter().any(|name| **name == *route.name);
            if !is_due || self.handled().get(&key).is_some() {
                continue;
            }
            let composed = route.compose(&report.clone().redacted(&route.redactor), &key);
            answers.push(async move {
                (route.name.clone(), self.deliver(route, breaker, composed, attempt).await)
            });
        }
        for optional in &self.optional {
            let route = optional.route();
            if failure.row.routes.iter().any(|name| **name == *route.name) {
                let key = idempotency_key(&change.failure_key(), &route.audience, &route.name);
                if self.handled().put(key.clone(), Handled::Delivered).is_none() {
                    let composed = route.compose(&report.clone().redacted(&route.redactor), &key);
                    optional.deliver(composed, &self.optional_tasks, &self.metrics);
                }
            }
        }
        join_all(answers).await
    }
}

impl Pipeline {
    /// Sends what is due of incidents, and reads the histories of inferred failures, until `stop`.
    pub async fn advance_incidents(&self, stop: CancellationToken) {
        let Some(delivery) = &self.incidents else { return stop.cancelled().await };
        tokio::join!(self.advance_all(delivery, &stop), self.read_inferred(delivery, &stop));
    }

    async fn advance_all(&self, delivery: &IncidentDelivery, stop: &CancellationToken) {
        let mut forgotten = Instant::now();
        while !stop.is_cancelled() {
            self.advance_due(delivery).await;
            if forgotten.elapsed() >= FORGET_EVERY {
                forgotten = Instant::now();
                if let Err(error) = delivery.incidents.forget().await {
                    warn!(error = chain(&error), "old incidents could not be removed");
                }
            }
            // Not all workers at the same moment.
            let pause = LOOK_EVERY.mul_f64(0.75 + fastrand::f64() / 2.0);
            drop(tokio::time::timeout(pause, stop.cancelled()).await);
        }
    }

    async fn advance_due(&self, delivery: &IncidentDelivery) {
        let due = match delivery.incidents.due(AT_ONCE).await {
            Ok(due) => due,
            Err(error) => {
                self.store_answered(delivery, false);
                return debug!(error = chain(&error), "the incident store cannot be read");
            }
        };
        let advances = stream::iter(due).map(|episode| self.advance_one(delivery, episode));
        let mut advances = pin!(advances.buffer_unordered(AT_ONCE));
        while let Some(()) = advances.next().await {}
    }

    async fn advance_one(&self, delivery: &IncidentDelivery, episode: EpisodeId) {
        let announcer = IncidentAnnouncer { pipeline: self, sends: Sends::Ticker };
        let advance = AssertUnwindSafe(delivery.incidents.advance(&episode, &announcer)).catch_unwind();
        match advance.await {
            Ok(Ok(_advanced)) => {}
            Ok(Err(error)) => {
                self.store_answered(delivery, false);
                debug!(incident = %episode, error = chain(&error), "an incident could not be advanced");
            }
            Err(_panic) => {
                self.metrics.panicked();
                error!(incident = %episode, "advancing an incident panicked: a defect of misstep");
            }
        }
    }
}

/// What is remembered of a failure that is recorded.
fn recorded_key(change: &StatusChange) -> String {
    format!("recorded {}", change.failure_key().as_str())
}
