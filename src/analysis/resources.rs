//! Where a state's work ran: which resource it called, where the resource logs, and links to both.
//!
//! Everything is in the history already: in the parameters and the resource of the `…Scheduled` event, in
//! the service's first answer (`TaskSubmitted`), and in the cause. Whatever the history lacks is `None`; AWS
//! is not called. A log group is the service's default unless another is named.

mod facts;
mod links;
mod services;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::answer::{read_time, time};
use super::timeline::{Attempt, InstanceId, Timeline};
use crate::history::{EventType, HistoryEvent};
use facts::{Arn, Facts, last_part};
use links::Console;
pub(crate) use links::Window;

/// How many of the states in flight are named with what they called.
const IN_FLIGHT: usize = 3;

/// Why a resource is in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceRole {
    /// The failed state called it.
    FailedState,
    /// The state of the root cause called it, where that is another state.
    RootCause,
    /// A state that was in flight at a timeout or an abort called it.
    InFlight,
}

/// What a state called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Why it is in the report.
    pub role: ResourceRole,
    /// The state that called it.
    pub state: String,
    /// The service: `lambda`, `ecs`, `batch`, …
    pub service: String,
    /// The operation: `invoke`, `runTask.sync`, `putItem`.
    pub operation: Option<String>,
    /// The function, job, queue or the like; cluster/task definition for ECS.
    pub name: Option<String>,
    /// Its ARN, or that of its run.
    pub arn: Option<String>,
    /// The id of the request, task, job or run.
    pub id: Option<String>,
    /// Its status, as the service reports it: `FAILED`, `404`.
    pub status: Option<String>,
    /// The region that it is in.
    pub region: Option<String>,
    /// The log group.
    pub log_group: Option<String>,
    /// The log stream; a prefix of streams if it ends in `/`.
    pub log_stream: Option<String>,
    /// Its page in the AWS console.
    pub console: Option<String>,
    /// Its log in the AWS console, at the time of the attempt.
    pub logs: Option<String>,
    /// When the attempt began.
    #[serde(serialize_with = "time", deserialize_with = "read_time")]
    pub started_at: Option<Timestamp>,
    /// When it ended; `None` in flight.
    #[serde(serialize_with = "time", deserialize_with = "read_time")]
    pub ended_at: Option<Timestamp>,
}

impl Resource {
    /// What is called, and what the id is the id of, in words: `Lambda function`, `request`.
    pub(crate) fn words(&self) -> (&str, &'static str) {
        services::words(&self.service).unwrap_or((&self.service, "request"))
    }
}

/// What the root cause's state and the failed state called, innermost first; without either, what the
/// states in flight called.
pub(super) fn of(
    timeline: &Timeline,
    events: &[HistoryEvent],
    root: Option<InstanceId>,
    in_flight: &[InstanceId],
) -> Vec<Resource> {
    let failed = timeline.failed;
    let deeper = root.filter(|root| Some(*root) != failed).map(|root| (ResourceRole::RootCause, root));
    let failed = failed.map(|failed| (ResourceRole::FailedState, failed));
    let waiting = in_flight.iter().take(IN_FLIGHT).map(|id| (ResourceRole::InFlight, *id));
    let waiting = waiting.filter(|_| failed.is_none());
    deeper
        .into_iter()
        .chain(failed)
        .chain(waiting)
        .filter_map(|(role, id)| called(timeline, events, role, id))
        .collect()
}

/// What one state called in its last attempt that failed, or else in its last.
fn called(
    timeline: &Timeline,
    events: &[HistoryEvent],
    role: ResourceRole,
    id: InstanceId,
) -> Option<Resource> {
    let instance = timeline.instance(id);
    let attempt = instance.last_failed().or(instance.attempts.last())?;
    let state = instance.name.to_string();
    if let Some(map_run) = &instance.map_run {
        return Some(of_map_run(role, state, map_run, attempt));
    }
    let event = |moment: Option<super::timeline::Moment>| moment.map(|moment| &events[moment.index]);
    let scheduled = event(attempt.began).filter(|event| is_scheduled(&event.event_type));
    let failed = event(attempt.ended).filter(|_| attempt.has_failed());
    let facts = Facts::new(scheduled, event(attempt.submitted), failed);
    let resource_type = [scheduled, failed].into_iter().flatten().find_map(resource_type)?;
    let (service, read) = services::service(resource_type);
    let region = facts.region();
    let partition = facts.resource.and_then(Arn::parse).map(|arn| arn.partition.to_owned());
    let console = Console::of(region.as_deref().unwrap_or_default(), partition.as_deref());
    let found = read(&facts, &console);
    let (started_at, ended_at) = times(attempt);
    let window = started_at.and_then(|began| Window::around(began, ended_at.unwrap_or(began)));
    let logs = services::log_link(&found.log, &console, window);
    // A name that ends in what separates names leaves nothing.
    let some = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    // Without a region there is no console to open.
    let in_a_region = |link: Option<String>| link.filter(|_| region.is_some() || service == "states");
    Some(Resource {
        role,
        state,
        service: service.to_owned(),
        operation: facts.resource.filter(|resource| Arn::parse(resource).is_none()).map(str::to_owned),
        name: some(found.name),
        arn: found.arn,
        id: some(found.id),
        status: some(found.status),
        console: in_a_region(found.console),
        logs: in_a_region(logs),
        region: found.log.region.or(region),
        log_group: some(found.log.group),
        log_stream: some(found.log.stream),
        started_at,
        ended_at,
    })
}

fn is_scheduled(event_type: &EventType) -> bool {
    event_type.work() == Some(crate::history::Work::Scheduled)
}

/// The type of what an event's task calls. A function and an activity are named by their ARNs alone.
fn resource_type(event: &HistoryEvent) -> Option<&str> {
    event.details.resource_type.as_deref().or_else(|| {
        let arn = Arn::parse(event.details.resource.as_deref()?)?;
        match arn.resource.split(':').next()? {
            "function" => Some("lambda"),
            "activity" => Some("activity"),
            _ => None,
        }
    })
}

fn times(attempt: &Attempt) -> (Option<Timestamp>, Option<Timestamp>) {
    (attempt.began.and_then(|began| began.at), attempt.ended.and_then(|ended| ended.at))
}

fn of_map_run(role: ResourceRole, state: String, map_run: &str, attempt: &Attempt) -> Resource {
    let (started_at, ended_at) = times(attempt);
    let arn = Arn::parse(map_run);
    let name = arn.and_then(|arn| {
        arn.resource.strip_prefix("mapRun:")?.rsplit_once(':').map(|(name, _)| name.to_owned())
    });
    Resource {
        role,
        state,
        service: "states".to_owned(),
        operation: Some("mapRun".to_owned()),
        name: name.filter(|name| !name.is_empty()),
        id: arn.map(|arn| last_part(arn.resource).to_owned()).filter(|id| !id.is_empty()),
        region: arn.map(|arn| arn.region.to_owned()),
        arn: Some(map_run.to_owned()),
        status: None,
        log_group: None,
        log_stream: None,
        console: None,
        logs: None,
        started_at,
        ended_at,
    }
}
