//! Finds what went wrong in a history. Pure: no I/O, no clock.
//!
//! [`analyse`] builds the [`timeline`] up to the event that ended the execution, finds the state
//! to blame, and determines the outcome of every other state. Whatever the history does not show is `None`.

pub mod answer;
mod blame;
pub mod cause;
pub mod enough;
mod outcome;
pub mod resources;
pub mod timeline;

use crate::aws::arn::{ExecutionArn, MapRunArn};
use crate::history::{EventType, History, HistoryEvent, StateType, Status};
use answer::{
    AlsoFailed, Busy, Confidence, FailedAttempt, FailedState, Failure, Hop, HopKind, InFlight, Likelihood,
    ProbableCause, RootCause, Step, TimeLimit,
};
use blame::BlameVerdict;
use resources::Resource;
use timeline::{Builder, InstanceId, Moment, Timeline};

/// How many of the most-entered states are named when an execution ran out of events.
const BUSIEST: usize = 5;

/// Which end of an execution is asked about. By default the last one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Question {
    /// How the execution ended.
    pub status: Option<Status>,
    /// How often the execution had been redriven then: every redrive is followed by another end.
    pub redrive_count: Option<u32>,
}

/// What a history says about an execution.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// How the execution ended; `Running` if the end asked about is not in the history.
    pub status: Status,
    /// The error and cause of its last event.
    pub failure: Failure,
    /// Whether the execution may have continued after the last event: then its status is unknown.
    pub open_ended: bool,
    /// How often it was redriven before this end; `None` if the history does not show it.
    pub redriven: Option<u32>,
    /// Its input, as JSON text.
    pub payload: Option<String>,
    /// The state whose failure ended it.
    pub failed_state: Option<FailedState>,
    /// The deepest cause inside this history, without the execution's ARN.
    pub root_cause: Option<RootCause>,
    /// For a Fail state behind handlers of a caught error: that error.
    pub probable_cause: Option<ProbableCause>,
    /// The limit of time that the root cause's state ran into.
    pub time_limit: Option<TimeLimit>,
    /// Where the cause lies deeper: what the root cause's state ran.
    pub lead: Option<Lead>,
    /// For a timeout or an abort: the one state in flight that ran something, and what.
    pub waited_for: Option<(String, Lead)>,
    /// What the root cause's state and the failed state called, innermost first.
    pub resources: Vec<Resource>,
    /// What the innermost states were doing when a timeout or an abort ended it.
    pub in_flight: Vec<InFlight>,
    /// Other states with errors, and those that fell with the failed one.
    pub also_failed: Vec<AlsoFailed>,
    /// One entry a name of a state with an error.
    pub steps: Vec<Step>,
    /// The states entered most often, where the execution ran out of events.
    pub busiest: Vec<Busy>,
    /// What happened to the execution after the end asked about.
    pub since: Option<String>,
    /// Notes about what the analysis is based on.
    pub notes: Vec<String>,
    /// What happened when.
    pub timeline: Timeline,
}

/// Something that a failed state ran, which has a history of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lead {
    /// Another execution.
    Execution(ExecutionArn),
    /// The children of a Map run.
    MapRun(MapRunArn),
}

/// The index of the event that ended the execution in the requested way; `None` if there is no such event
/// yet.
pub fn find_end(history: &History, question: &Question) -> Option<usize> {
    let events = history.events();
    let ends = (0..events.len()).filter_map(|index| Some((index, events[index].event_type.end()?)));
    let as_asked = |(_, end): &(usize, Status)| question.status.is_none_or(|status| status == *end);
    let end = match question.redrive_count {
        Some(count) => {
            let mut ends = ends;
            ends.nth(usize::try_from(count).ok()?).filter(as_asked)
        }
        None => ends.rev().find(as_asked),
    };
    end.map(|(index, _)| index)
}

/// Analyses a history.
pub fn analyse(history: &History, question: &Question) -> Analysis {
    analyse_to(history, find_end(history, question))
}

/// Analyses a history up to the event of this index, which ended the execution; up to its last
/// event if there is none.
pub fn analyse_to(history: &History, end: Option<usize>) -> Analysis {
    let events = history.events();
    let mut builder = Builder::new(events);
    for index in 0..end.unwrap_or(events.len()) {
        builder.push(index);
    }
    let status = end.and_then(|end| events[end].event_type.end()).unwrap_or(Status::Running);
    let in_flight = outcome::in_flight(&builder.timeline);
    let ran_out = end.is_some_and(|end| blame::ran_out_of_events(&events[end]));
    let verdict = end.filter(|_| status == Status::Failed && !ran_out).and_then(|end| {
        blame::by_cause(&builder, end)
            .or_else(|| blame::by_chain(&builder, end))
            .or_else(|| blame::by_what_is_left(&builder, end, &in_flight))
    });
    if let Some((verdict, end)) = verdict.as_ref().zip(end) {
        builder.ended_by(verdict, Moment::of(events, end));
        builder.timeline.failed = Some(verdict.instance);
    }
    let caught = verdict.as_ref().map(|verdict| caught_below(&builder, verdict.instance)).unwrap_or_default();
    let root = caught.last().copied().or(builder.timeline.failed);
    let time_limit = root.and_then(|root| blame::time_limit(&builder, root));
    let failure = end.map(|end| failure_of(&events[end])).unwrap_or_default();
    let probable_cause = root.and_then(|root| probable_cause(&builder, root, &failure));
    let mut timeline = builder.timeline;
    let last = end.or_else(|| events.len().checked_sub(1));
    timeline.ended = last.map(|last| Moment::of(events, last));
    let open = matches!(status, Status::TimedOut | Status::Aborted | Status::Running);
    outcome::settle(&mut timeline, open);

    let mut notes = history.notes().to_vec();
    if status == Status::Failed && verdict.is_none() && !ran_out {
        let left = match in_flight.len() {
            0 => "no state was in flight".to_owned(),
            left => format!("{left} states were in flight"),
        };
        notes.push(format!("Which state's failure ended the execution, no event tells: {left}."));
    }
    if ran_out && !history.is_complete() {
        notes.push(format!("The states were counted in the newest {} events.", events.len()));
    }
    let cut_down = if status == Status::Failed { outcome::cut_down(&timeline) } else { Vec::new() };
    Analysis {
        status,
        open_ended: end.is_none() && history.is_open_ended(),
        redriven: redriven(history, end),
        payload: payload(events),
        failed_state: verdict.map(|verdict| failed_state(&timeline, history, verdict)),
        root_cause: root.map(|root| root_cause(&timeline, events, root, &caught)),
        probable_cause,
        time_limit,
        lead: root.and_then(|root| lead(&timeline, events, root)),
        waited_for: if open && end.is_some() { waited_for(&timeline, events, &in_flight) } else { None },
        resources: resources::of(&timeline, events, root, if open { &in_flight } else { &[] }),
        in_flight: if open { outcome::describe(&timeline, history, &in_flight) } else { Vec::new() },
        also_failed: outcome::also_failed(&timeline, events, &cut_down),
        steps: outcome::steps(&timeline, history),
        busiest: if ran_out { busiest(&timeline) } else { Vec::new() },
        since: end.and_then(|end| since(&events[end + 1..])),
        notes,
        failure,
        timeline,
    }
}

/// The state that a cause of AWS's names, and the event that entered it, where it can be read in one
/// way only and there is no history to check it against.
pub fn named_state(cause: &str) -> Option<(&str, i64)> {
    let mut readings = blame::named_in(cause);
    readings.next().filter(|_| readings.next().is_none())
}

fn failure_of(event: &HistoryEvent) -> Failure {
    Failure { error: event.details.error.clone(), cause: event.details.cause.clone() }
}

fn payload(events: &[HistoryEvent]) -> Option<String> {
    let started = events.iter().find(|event| event.event_type == EventType::ExecutionStarted)?;
    started.details.input.clone()
}

/// From a Fail state that only reports to the state that was caught, and on if that is one again.
fn caught_below(builder: &Builder<'_>, failed: InstanceId) -> Vec<InstanceId> {
    let mut down = Vec::new();
    let mut at = failed;
    // Each step leads to an earlier entry, so this ends.
    while builder.timeline.instance(at).state_type == StateType::Fail
        && let Some(caught) = blame::caught_behind(builder, at)
        && caught.handlers.is_empty()
        && caught.state < at
    {
        down.push(caught.state);
        at = caught.state;
    }
    down
}

/// From a caught state down to what a Fail state inside it reports, whatever handled that.
fn deepest_caught(builder: &Builder<'_>, caught: InstanceId) -> InstanceId {
    let mut at = caught;
    // Each step leads to an earlier entry, so this ends.
    while builder.timeline.instance(at).state_type == StateType::Fail
        && let Some(below) = blame::caught_behind(builder, at)
        && below.state < at
    {
        at = below.state;
    }
    at
}

/// The caught error behind a Fail state, with handlers between: what a Catch notified of, most often.
fn probable_cause(builder: &Builder<'_>, fail: InstanceId, failure: &Failure) -> Option<ProbableCause> {
    let timeline = &builder.timeline;
    if timeline.instance(fail).state_type != StateType::Fail {
        return None;
    }
    let blame::Caught { state, handlers } = blame::caught_behind(builder, fail)?;
    let id = deepest_caught(builder, state);
    let instance = timeline.instance(id);
    let attempt = instance.last_failed()?;
    let Failure { error, cause } = attempt.failure(builder.events)?;
    let parsed = cause
        .as_deref()
        .map(|cause| cause::understand(attempt.called(builder.events).as_ref(), error.as_deref(), cause));
    let repeated = |text: &str| {
        text.len() > 3
            && [&failure.error, &failure.cause].into_iter().flatten().any(|said| said.contains(text))
    };
    let message = parsed.as_ref().and_then(|parsed| parsed.message.as_deref());
    let is_repeated = error.as_deref().is_some_and(repeated) || message.is_some_and(repeated);
    let is_near = handlers.len() <= blame::FEW_HANDLERS
        && !handlers.iter().any(|handler| timeline.instance(*handler).is_container());
    let between: Vec<String> = handlers
        .iter()
        .rev()
        .map(|id| timeline.instance(*id))
        .map(|handler| format!("{} ({})", handler.name, handler.state_type))
        .collect();
    let ended = attempt.ended.map(|ended| format!(" in event {}", ended.event_id)).unwrap_or_default();
    let repeats = if is_repeated { " The Fail state repeats the error." } else { "" };
    Some(ProbableCause {
        state: instance.name.to_string(),
        path: timeline.path(id),
        error,
        cause,
        parsed,
        confidence: if is_near || is_repeated { Likelihood::Likely } else { Likelihood::Possible },
        evidence: format!(
            "This state failed{ended} and was caught; {} ran between that and the Fail state.{repeats}",
            between.join(", ")
        ),
    })
}

/// How often the execution had been redriven at its end. Each redrive event has its number.
fn redriven(history: &History, end: Option<usize>) -> Option<u32> {
    let events = &history.events()[..end.unwrap_or(history.events().len())];
    let redrives = || events.iter().filter(|event| event.event_type == EventType::ExecutionRedriven);
    let numbered = redrives().next_back().and_then(|redrive| redrive.details.redrive_count);
    let counted = || history.is_complete().then(|| redrives().count());
    numbered
        .and_then(|number| u32::try_from(number).ok())
        .or_else(|| counted().and_then(|count| u32::try_from(count).ok()))
}

fn failed_state(timeline: &Timeline, history: &History, verdict: BlameVerdict) -> FailedState {
    let id = verdict.instance;
    let instance = timeline.instance(id);
    let Failure { error, cause } = failure_of(&history.events()[verdict.said_by]);
    let called = instance.last_failed().and_then(|attempt| attempt.called(history.events()));
    let attempts = instance
        .attempts
        .iter()
        .filter_map(|attempt| {
            let Failure { error, cause } = attempt.failure(history.events())?;
            let started_at = attempt.began.and_then(|began| began.at);
            Some(FailedAttempt {
                started_at,
                ended_at: attempt.ended.and_then(|ended| ended.at),
                error,
                cause,
            })
        })
        .collect();
    let path = timeline.path(id);
    let (mut confidence, mut evidence) = (verdict.confidence, verdict.evidence);
    if !timeline.path_is_known(id) && verdict.depth != Some(path.len()) {
        confidence = Confidence::Inferred;
        evidence.push_str(" What it lay in was not read.");
    }
    FailedState {
        name: instance.name.to_string(),
        r#type: Some(instance.state_type.clone()),
        path,
        input: timeline.input(history, id),
        error,
        cause,
        entered_event_id: instance.entered.map(|entered| entered.event_id),
        attempts,
        confidence,
        evidence,
        called,
    }
}

fn root_cause(
    timeline: &Timeline,
    events: &[HistoryEvent],
    root: InstanceId,
    caught: &[InstanceId],
) -> RootCause {
    let name = |id: InstanceId| Some(timeline.instance(id).name.to_string());
    let attempt = timeline.instance(root).last_failed();
    let Failure { error, cause } = attempt.and_then(|attempt| attempt.failure(events)).unwrap_or_default();
    let called = attempt.and_then(|attempt| attempt.called(events));
    let reports = timeline.failed.iter().chain(caught.iter().take(caught.len().saturating_sub(1)));
    let via = if caught.is_empty() {
        Vec::new()
    } else {
        reports
            .map(|id| Hop { how: HopKind::Caught, state: name(*id), execution_arn: None, into: None })
            .collect()
    };
    RootCause { execution_arn: None, state: name(root), error, cause, via, called }
}

/// What the root cause's state ran: a nested execution, by the failure's own words or by what the
/// task was submitted as; or a Map run, unless it failed before or after its children ran.
fn lead(timeline: &Timeline, events: &[HistoryEvent], root: InstanceId) -> Option<Lead> {
    let instance = timeline.instance(root);
    let attempt = instance.last_failed()?;
    let failed = &events[attempt.ended?.index];
    if failed.event_type == EventType::MapRunFailed {
        let own = ["States.ItemReaderFailed", "States.ResultWriterFailed"];
        if failed.details.error.as_deref().is_some_and(|error| own.contains(&error)) {
            return None;
        }
        return MapRunArn::parse(instance.map_run.as_deref()?).ok().map(Lead::MapRun);
    }
    let scheduled = attempt.began.map(|began| &events[began.index]);
    if !runs_another(failed) && !scheduled.is_some_and(runs_another) {
        return None;
    }
    let submitted = attempt.submitted.and_then(|submitted| events[submitted.index].details.output.as_deref());
    [failed.details.cause.as_deref(), submitted]
        .into_iter()
        .flatten()
        .find_map(cause::child_execution)
        .map(Lead::Execution)
}

fn runs_another(event: &HistoryEvent) -> bool {
    event.details.resource_type.as_deref() == Some("states")
        && event
            .details
            .resource
            .as_deref()
            .is_some_and(|resource| resource.starts_with("startExecution.sync"))
}

/// The one of the states in flight that ran another execution.
fn waited_for(
    timeline: &Timeline,
    events: &[HistoryEvent],
    in_flight: &[InstanceId],
) -> Option<(String, Lead)> {
    let mut waiting = in_flight.iter().filter_map(|id| {
        let instance = timeline.instance(*id);
        let attempt = instance.attempts.last().filter(|attempt| attempt.ended.is_none())?;
        let submitted = &events[attempt.submitted?.index];
        let child = cause::child_execution(submitted.details.output.as_deref()?)?;
        runs_another(submitted).then(|| (instance.name.to_string(), Lead::Execution(child)))
    });
    waiting.next().filter(|_| waiting.next().is_none())
}

fn busiest(timeline: &Timeline) -> Vec<Busy> {
    let mut entered: std::collections::HashMap<&str, (usize, usize)> = std::collections::HashMap::new();
    for (order, instance) in timeline.instances.iter().enumerate() {
        entered.entry(&instance.name).or_insert((0, order)).0 += 1;
    }
    let mut busiest: Vec<_> = entered.into_iter().collect();
    busiest.sort_by_key(|(_, (entered, order))| (std::cmp::Reverse(*entered), *order));
    busiest
        .into_iter()
        .filter(|(_, (entered, _))| *entered > 1)
        .take(BUSIEST)
        .map(|(name, (entered, _))| Busy { name: name.to_owned(), entered })
        .collect()
}

/// The outcome of an execution after the requested end, from the events after it.
fn since(later: &[HistoryEvent]) -> Option<String> {
    let redriven = later.iter().filter(|event| event.event_type == EventType::ExecutionRedriven).count();
    if redriven == 0 {
        return None;
    }
    let now = match later.iter().rev().find_map(|event| event.event_type.end()) {
        Some(end) if later.last().is_some_and(|last| last.event_type.end().is_some()) => end,
        _ => Status::Running,
    };
    let times = if redriven == 1 { "redriven".into() } else { format!("redriven {redriven} times") };
    Some(format!("The execution was {times} since and is now {}.", now.as_str()))
}
