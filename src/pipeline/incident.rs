//! Failures that go into incidents: recorded, and notified of as alerts, updates and resolves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::deliver::stays;
use super::{Handled, MessageAttempt, Pipeline};
use crate::aws::arn::{ExecutionArn, state_machine_name};
use crate::breaker::Breaker;
use crate::event::StatusChange;
use crate::failpoint::{Point, Recipient, reach};
use crate::history::{ExecutionReader as _, Status};
use crate::incidents::store::{Episode, FailureRow, IncidentTitle, RecordedFailure, StoreError};
use crate::incidents::{
    Advanced, Announced, Announcement, Announcer, Claim, Incidents, LEASE, NewFailure, Standing,
};
use crate::investigation::{ExecutionRequest, investigate};
use crate::notify::{Grouping, Notification, NotifyError, Route, idempotency_key, incident_key};
use crate::outcome::{Outcome, of_answers};
use crate::redact::{Redactor, Rules};
use crate::report::incident::{ExecutionRole, IncidentKind, IncidentNote, NewExecution};
use crate::report::notice::Notice;
use crate::report::{Bug, Report, Subject, summary};
use crate::retry::Policy;
use crate::telemetry::chain;

/// What an answer of the store is called, beside those of the routes.
pub(super) const NAME: &str = "incidents";

/// The key of an input under which Step Functions' optimized integration names the execution that started
/// this one.
const STARTED_BY: &str = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID";

/// Bytes of the report that an incident keeps of its first failure.
const KEPT_REPORT: usize = 128 * 1024;

/// For so long failures wait for a store that does not answer; then they are notified of one by one.
const LONGEST_OUTAGE: Duration = Duration::from_secs(10 * 60);

/// For so long a message waits for an alert that another worker is sending.
const LONGEST_WAIT: Duration = LEASE.saturating_mul(4);

/// How often the worker looks for incidents that are due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many incidents are seen to at once.
const AT_ONCE: usize = 8;

/// How often resolved incidents that are old enough are removed.
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);

/// What the pipeline needs for incidents.
pub(super) struct IncidentDelivery {
    incidents: Incidents,
    redactor: Redactor,
    /// The keys of inputs that any route shows.
    input_keys: Vec<String>,
    /// Since when the store has not answered.
    away_since: Mutex<Option<Instant>>,
}

impl IncidentDelivery {
    pub(super) fn new<'r>(
        incidents: Incidents,
        rules: &Rules,
        routes: impl Iterator<Item = &'r Route>,
    ) -> Self {
        let mut input_keys: Vec<String> =
            routes.filter_map(|route| route.grouping.input_keys()).flatten().cloned().collect();
        input_keys.sort();
        input_keys.dedup();
        let redactor = Redactor::new(&Rules { on: true, ..rules.clone() });
        Self { incidents, redactor, input_keys, away_since: Mutex::default() }
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
                incident_key(failure.as_str(), 0, 0, "", 0).trim_start_matches("misstep-")[..16].to_owned(),
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
        let texts = title.state.iter_mut().chain(&mut title.error).chain([&mut title.reason]);
        texts.for_each(|text| drop(self.redactor.redact(text)));
        let mut redacted = report.clone().redacted(&self.redactor);
        let payload = redacted.event_details.payload.as_deref();
        let failed_on = || redacted.analysis.failed_state.as_ref()?.input.as_deref();
        let keys = payload.or_else(failed_on).map(|input| summary::keyed_values(input, &self.input_keys));
        let mut notice = Notice::failure(&redacted);
        let size = |notice: &Notice<'_>| notice.data().to_string().len();
        if size(&notice) > KEPT_REPORT {
            crate::notify::truncate::truncate(&mut notice, KEPT_REPORT, size);
            redacted = notice.report().clone();
        }
        NewFailure {
            incident,
            about: title,
            report: serde_json::to_string(&redacted).expect("a report has only text keys"),
            row: FailureRow {
                failure: failure.as_str().to_owned(),
                execution_arn: change.execution.to_string(),
                ended_at: change.stopped_at,
                recorded_at: Timestamp::UNIX_EPOCH,
                keys: keys.unwrap_or_default(),
                role,
                routes,
                number: None,
            },
        }
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

    /// The bug of the execution that started this one and ended before it: one that was aborted fell with
    /// what waited for it, and has none of its own. `None` where that is not so, or not known.
    pub(super) async fn bug_of_parent(&self, change: &StatusChange) -> Option<Bug> {
        let input = change.input.as_deref().filter(|_| change.status == Status::Aborted)?;
        let started_by = summary::keyed_values(input, &[STARTED_BY.to_owned()]);
        let execution = ExecutionArn::parse(started_by.values().next()?).ok()?;
        let asked = ExecutionRequest { execution: execution.clone(), status: None, redrive_count: None };
        let memory = self.memory.report().await;
        let finding = investigate(&self.reader, &asked, &memory).await.ok()?;
        let has_failed =
            matches!(finding.analysis.status, Status::Failed | Status::TimedOut | Status::Aborted);
        let subject = Subject { execution: Some(execution), ..Subject::default() };
        Report::new(&subject, &finding).bug.filter(|_| has_failed)
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
        let answer = self.alerted(delivery, &recorded, change, attempt).await;
        Some(of_answers(vec![(NAME.into(), answer)]))
    }

    /// Records a failure and waits until the routes that it concerns have the alert of its incident. Where
    /// the store is away for long, or this is the last receive, it is notified of by itself.
    pub(super) async fn record_in_incident(
        &self,
        delivery: &IncidentDelivery,
        failure: &NewFailure,
        change: &StatusChange,
        attempt: MessageAttempt,
    ) -> Vec<(Arc<str>, Result<(), NotifyError>)> {
        let mut pauses = Policy::PROBE.start().until(attempt.until);
        loop {
            let error = match delivery.incidents.record(failure).await {
                Ok(recorded) => {
                    self.store_answered(delivery, true);
                    reach(Point::Recorded).await;
                    return vec![(NAME.into(), self.alerted(delivery, &recorded, change, attempt).await)];
                }
                Err(error) => error,
            };
            let away = self.store_answered(delivery, false);
            warn!(
                error = chain(&error),
                away_s = away.as_secs(),
                "a failure could not be recorded in an incident"
            );
            if attempt.last || away >= LONGEST_OUTAGE {
                return self.singly(failure, change, attempt).await;
            }
            if !pauses.wait(None).await {
                return vec![(NAME.into(), Err(transient(&error)))];
            }
        }
    }

    /// Notes whether the store answered, and returns how long it has not.
    fn store_answered(&self, delivery: &IncidentDelivery, answered: bool) -> Duration {
        self.metrics.incident_store_away(!answered);
        delivery.away(answered)
    }

    /// Waits until the routes that a recorded failure concerns have the alert of its incident.
    pub(super) async fn alerted(
        &self,
        delivery: &IncidentDelivery,
        recorded: &RecordedFailure,
        change: &StatusChange,
        attempt: MessageAttempt,
    ) -> Result<(), NotifyError> {
        let mut pauses = Policy::IN_HAND.start().until(attempt.until);
        let mut probing = None;
        let waiting_since = Instant::now();
        delivery.incidents.ask_again(recorded).await.map_err(|error| transient(&error))?;
        loop {
            let sending = async {
                let mut advanced = Advanced::Nothing;
                if let Standing::Unalerted(_) = delivery.incidents.standing(recorded).await? {
                    let announcer = IncidentAnnouncer { pipeline: self, attempt: Some(attempt) };
                    advanced = delivery.incidents.advance(&recorded.episode, &announcer).await?;
                }
                Ok((delivery.incidents.standing(recorded).await?, advanced))
            };
            let sent = sending.await;
            self.store_answered(delivery, sent.is_ok());
            let (standing, advanced) = sent.map_err(|error| transient(&error))?;
            let unalerted = match standing {
                Standing::Settled => {
                    self.remember(recorded, change);
                    return Ok(());
                }
                Standing::Rejected(route) => {
                    let what = format!("{route} rejected the alert of the incident {}", recorded.episode);
                    return Err(NotifyError::Rejected { what });
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
                return Err(NotifyError::Transient { what, retry_after: None });
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
    async fn singly(
        &self,
        failure: &NewFailure,
        change: &StatusChange,
        attempt: MessageAttempt,
    ) -> Vec<(Arc<str>, Result<(), NotifyError>)> {
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
                let composed = route.compose(&report.clone().redacted(&route.redactor), &key);
                optional.deliver(composed, &self.optional_tasks, &self.metrics);
            }
        }
        join_all(answers).await
    }

    /// Sees to incidents that are due, until `stop`.
    pub async fn tend_incidents(&self, stop: CancellationToken) {
        let Some(delivery) = &self.incidents else { return };
        let announcer = IncidentAnnouncer { pipeline: self, attempt: None };
        let mut forgotten = Instant::now();
        while !stop.is_cancelled() {
            match delivery.incidents.due(AT_ONCE * 8).await {
                Ok(due) => {
                    let (incidents, announcer) = (&delivery.incidents, &announcer);
                    let advances = stream::iter(due)
                        .map(|episode| async move { incidents.advance(&episode, announcer).await });
                    let mut advances = std::pin::pin!(advances.buffer_unordered(AT_ONCE));
                    while let Some(advanced) = advances.next().await {
                        if let Err(error) = advanced {
                            warn!(error = chain(&error), "an incident could not be seen to");
                        }
                    }
                }
                Err(error) => warn!(error = chain(&error), "the incident store cannot be read"),
            }
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
}

/// What is remembered of a failure that is recorded.
fn recorded_key(change: &StatusChange) -> String {
    format!("recorded {}", change.failure_key().as_str())
}

fn transient(error: &StoreError) -> NotifyError {
    NotifyError::Transient { what: error.to_string(), retry_after: None }
}

/// Sends the notifications of incidents through the pipeline's routes.
struct IncidentAnnouncer<'p> {
    pipeline: &'p Pipeline,
    /// The attempt of the message that waits for it, if one does.
    attempt: Option<MessageAttempt>,
}

#[async_trait]
impl Announcer for IncidentAnnouncer<'_> {
    async fn succeeded_since(&self, episode: &Episode, since: Timestamp) -> Option<bool> {
        let machine = episode.about.state_machine_arn.as_deref()?;
        match self.pipeline.reader.last_success(machine).await {
            Ok(last) => Some(last.is_some_and(|at| at > since)),
            Err(error) => {
                debug!(error = chain(&error), "whether executions have succeeded since is not known");
                None
            }
        }
    }

    async fn announce(&self, announcement: &Announcement<'_>, claim: &mut Claim<'_>) -> Announced {
        let name = announcement.route;
        let Pipeline { required, optional, metrics, optional_tasks, .. } = self.pipeline;
        if let Some(optional) = optional.iter().find(|route| *route.route().name == *name) {
            for part in parts(announcement, optional.route()) {
                optional.deliver(part, optional_tasks, metrics);
            }
            return Announced::Accepted;
        }
        let Some((route, breaker)) = required.iter().find(|(route, _)| *route.name == *name) else {
            // The settings have changed since.
            info!(route = name, incident = %announcement.episode.id, "an incident concerns a route that is gone");
            return Announced::Accepted;
        };
        let is_forced = self.attempt.is_some_and(|attempt| attempt.last || attempt.half_open);
        let probe = breaker.is_open().then(|| breaker.probe(is_forced));
        if matches!(probe, Some(None)) {
            return Announced::Later;
        }
        for part in parts(announcement, route) {
            let recipient = Recipient::of(route.audience.name());
            reach(Point::NotificationSending(recipient)).await;
            let answer = match part {
                Ok(notification) => claim.hold(route.notifier.notify(&notification)).await,
                Err(error) => Err(error),
            };
            metrics.notification(&route.name, (&answer).into());
            let Err(error) = answer else {
                reach(Point::NotificationAnswered(recipient)).await;
                breaker.passed();
                continue;
            };
            warn!(route = name, incident = %announcement.episode.id, %error, "a notification of an incident was not accepted");
            match &error {
                NotifyError::Rejected { .. } => {
                    breaker.passed();
                    return Announced::Rejected;
                }
                NotifyError::Transient { .. } => breaker.failed(false, &error),
                NotifyError::Misconfigured { .. } => breaker.failed(true, &error),
            }
            return Announced::Later;
        }
        let Announcement { episode, pending, kind, failures, .. } = announcement;
        metrics.incident(kind.name());
        info!(route = name, incident = %episode.id, number = pending.number, kind = kind.name(), failures = failures.len(), "incident notified");
        Announced::Accepted
    }
}

/// The notifications of an announcement: one, or several where one cannot name all executions.
fn parts(
    announcement: &Announcement<'_>,
    route: &Route,
) -> impl Iterator<Item = Result<Notification, NotifyError>> {
    let report = serde_json::from_str::<Report>(announcement.report);
    let report = report.map(|report| report.redacted(&route.redactor));
    let executions = announcement.failures.iter().map(|row| execution(row, &route.grouping)).collect();
    let parts = packed(executions, route.notifier.room_for_executions());
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let note = note(announcement);
    let (id, number, name) =
        (announcement.episode.id.clone(), announcement.pending.number, route.name.clone());
    let route = route.clone();
    parts.into_iter().zip(1_u32..).map(move |(new_executions, part)| {
        let mut report = report
            .as_ref()
            .map_err(|error| NotifyError::Rejected {
                what: format!("the report that the incident keeps cannot be read: {error}"),
            })?
            .clone();
        report.analysis.incident = Some(IncidentNote { new_executions, part, parts: count, ..note.clone() });
        route.compose(&report, &incident_key(&id.incident, id.episode, number, &name, part))
    })
}

fn note(announcement: &Announcement<'_>) -> IncidentNote {
    let Announcement { episode, pending, kind, .. } = announcement;
    IncidentNote {
        id: episode.id.incident.clone(),
        episode: episode.id.episode,
        number: pending.number,
        kind: *kind,
        count: pending.count,
        since: episode.opened_at.to_string(),
        as_of: pending.as_of.to_string(),
        reason: episode.about.reason.clone(),
        reopened: pending.reopened && *kind == IncidentKind::Update,
        succeeded_since: pending.succeeded_since,
        new_executions: Vec::new(),
        part: 1,
        parts: 1,
    }
}

fn execution(row: &FailureRow, grouping: &Grouping) -> NewExecution {
    let shown = grouping.input_keys().unwrap_or_default();
    let is_shown = |key: &str| shown.iter().any(|shown| shown.eq_ignore_ascii_case(key));
    let keys = row.keys.iter().filter(|(key, _)| is_shown(key));
    NewExecution {
        execution_arn: row.execution_arn.clone(),
        name: row.execution_arn.rsplit(':').next().unwrap_or_default().to_owned(),
        keys: keys.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>(),
        role: row.role,
    }
}

/// Executions in as few parts as hold so many bytes each; one part at least. The same executions are always
/// packed in the same way.
fn packed(executions: Vec<NewExecution>, bytes: usize) -> Vec<Vec<NewExecution>> {
    let mut parts = vec![Vec::new()];
    let mut size = 0;
    for execution in executions {
        let its = serde_json::to_string(&execution).map_or(0, |text| text.len() + 1);
        let part = parts.last_mut().expect("there is one");
        if !part.is_empty() && size + its > bytes {
            parts.push(vec![execution]);
            size = its;
        } else {
            part.push(execution);
            size += its;
        }
    }
    parts
}
