//! Notifications of incidents: made of what the store keeps, split into parts where one cannot name all
//! executions, and sent through the pipeline's routes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use tracing::{debug, info, warn};

use super::{MessageAttempt, Pipeline};
use crate::aws::arn::ExecutionArn;
use crate::failpoint::{Point, Recipient, reach};
use crate::history::{ExecutionReader as _, Status};
use crate::incidents::store::{Episode, FailureRow};
use crate::incidents::{Announced, Announcement, Announcer, Claim};
use crate::notify::{Grouping, Notification, NotifyError, Route, incident_key};
use crate::report::incident::{IncidentKind, IncidentNote, NewExecution};
use crate::report::{Report, Subject};
use crate::telemetry::chain;

/// Who sends, where a breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sends {
    /// Whoever gets a probe of the breaker: the worker's own look at what is due.
    Ticker,
    /// A message that gets a probe even if another one has it.
    Forced,
    /// A message that has a probe.
    Probing,
}

impl Sends {
    pub(super) fn of(attempt: MessageAttempt) -> Self {
        if attempt.last || attempt.half_open { Self::Forced } else { Self::Ticker }
    }
}

/// Sends the notifications of incidents through the pipeline's routes.
pub(super) struct IncidentAnnouncer<'p> {
    pub(super) pipeline: &'p Pipeline,
    pub(super) sends: Sends,
}

#[async_trait]
impl Announcer for IncidentAnnouncer<'_> {
    /// An attempt that a breaker would not let through must not keep the message from it that probes.
    fn may_send(&self, episode: &Episode) -> bool {
        let concerned =
            self.pipeline.required.iter().filter(|(route, _)| episode.routes.contains_key(&*route.name));
        let open = concerned.map(|(_, breaker)| breaker).filter(|breaker| breaker.is_open());
        match self.sends {
            Sends::Ticker => open.into_iter().all(|breaker| breaker.probe(false).is_some()),
            Sends::Forced | Sends::Probing => true,
        }
    }

    fn insists(&self) -> bool {
        self.sends != Sends::Ticker
    }

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
                optional.deliver(part.notification, optional_tasks, metrics);
            }
            return Announced::Accepted;
        }
        let Some((route, breaker)) = required.iter().find(|(route, _)| *route.name == *name) else {
            // The settings have changed since.
            info!(route = name, incident = %announcement.episode.id, "an incident concerns a route that is gone");
            return Announced::Accepted;
        };
        let needs_probe = breaker.is_open() && self.sends != Sends::Probing;
        let probe = needs_probe.then(|| breaker.probe(self.sends == Sends::Forced));
        if matches!(probe, Some(None)) {
            return Announced::Later(None);
        }
        for AnnouncementPart { number: part, executions, notification } in parts(announcement, route) {
            let recipient = Recipient::of(route.audience.name());
            reach(Point::NotificationSending(recipient)).await;
            let answer = match notification {
                Ok(notification) => claim.hold(route.notifier.notify(&notification)).await,
                Err(error) => Err(error),
            };
            metrics.notification(&route.name, (&answer).into());
            let Err(error) = answer else {
                reach(Point::NotificationAnswered(recipient)).await;
                breaker.passed();
                match claim.accepted(name, part, executions).await {
                    Ok(true) => continue,
                    // Whoever has the claim now goes on.
                    Ok(false) | Err(_) => return Announced::Later(None),
                }
            };
            warn!(route = name, incident = %announcement.episode.id, part, %error, "a notification of an incident was not accepted");
            return match &error {
                NotifyError::Rejected { .. } => {
                    breaker.passed();
                    Announced::Rejected
                }
                NotifyError::Transient { retry_after, .. } => {
                    breaker.failed(false, &error);
                    Announced::Later(*retry_after)
                }
                NotifyError::Misconfigured { .. } => {
                    breaker.failed(true, &error);
                    Announced::Later(None)
                }
            };
        }
        let Announcement { episode, pending, kind, failures, .. } = announcement;
        metrics.incident(kind.name());
        info!(route = name, incident = %episode.id, number = pending.number, kind = kind.name(), failures = failures.len(), "incident notified");
        Announced::Accepted
    }
}

/// One notification of an announcement.
struct AnnouncementPart {
    /// Its number, from 1 on.
    number: u32,
    /// How many executions are named up to its end.
    executions: u32,
    notification: Result<Notification, NotifyError>,
}

/// The notifications of an announcement that the route has not accepted yet: one, or several where one cannot
/// name all executions. They are packed from the first execution that is not named yet, so that none is left
/// out where the route's limit has changed meanwhile.
fn parts(announcement: &Announcement<'_>, route: &Route) -> impl Iterator<Item = AnnouncementPart> + use<> {
    let report = report(announcement, route);
    let Announcement { failures, parts: before, executions: mut named, .. } = *announcement;
    let left = failures.iter().skip(usize::try_from(named).unwrap_or(usize::MAX));
    let left: Vec<NewExecution> = left.map(|row| execution(row, &route.grouping)).collect();
    let is_complete = before > 0 && left.is_empty();
    let parts = if is_complete { Vec::new() } else { packed(left, route.notifier.room_for_executions()) };
    let count = before.saturating_add(u32::try_from(parts.len()).unwrap_or(u32::MAX));
    let note = note(announcement);
    let Announcement { episode, pending, .. } = announcement;
    let started = format!("{} {}", episode.id, episode.opened_at.as_millisecond());
    let (number, route) = (pending.number, route.clone());
    parts.into_iter().zip(before + 1..).map(move |(new_executions, part)| {
        named = named.saturating_add(u32::try_from(new_executions.len()).unwrap_or(u32::MAX));
        let key = incident_key(&started, number, &route.name, part);
        let composed = report.clone().and_then(|mut report| {
            report.analysis.incident =
                Some(IncidentNote { new_executions, part, parts: count, ..note.clone() });
            route.compose(&report.redacted(&route.redactor), &key)
        });
        AnnouncementPart { number: part, executions: named, notification: composed }
    })
}

/// The report that a notification shows: on the episode's first failure, as far as the route may see that.
fn report(announcement: &Announcement<'_>, route: &Route) -> Result<Report, NotifyError> {
    let kept = serde_json::from_str::<Report>(announcement.report).map_err(|error| {
        NotifyError::Rejected { what: format!("the report that the incident keeps cannot be read: {error}") }
    })?;
    let own = announcement.failures.first().and_then(|row| ExecutionArn::parse(&row.execution_arn).ok());
    match own.filter(|_| !route.filter.takes(&kept)) {
        None => Ok(kept),
        Some(execution) => {
            let subject = Subject {
                execution: Some(execution),
                env: kept.event_info.env,
                application: kept.analysis.application,
                status: Some(Status::Failed),
                ..Subject::default()
            };
            let why = "the incident began with an execution that this route does not get reports on";
            Ok(Report::degraded(&subject, why))
        }
    }
}

fn note(announcement: &Announcement<'_>) -> IncidentNote {
    let Announcement { episode, pending, kind, .. } = announcement;
    IncidentNote {
        id: episode.id.incident.clone(),
        episode: episode.id.episode,
        number: pending.number,
        kind: *kind,
        count: pending.count,
        read: pending.count.saturating_sub(pending.inferred),
        since: episode.opened_at.to_string(),
        as_of: pending.as_of.to_string(),
        reason: episode.about.reason.clone(),
        reopened: pending.reopened && *kind == IncidentKind::Update,
        succeeded_since: pending.succeeded_since,
        resolved_by: pending.resolved_by.clone(),
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
