//! The report: the finding in the form that people and programs get.

pub mod fields;
mod fingerprint;
pub mod format;
pub mod html;
pub mod incident;
pub mod markdown;
pub mod notice;
mod outline;
mod payload;
pub mod phrases;
mod redacted;
pub mod summary;
pub mod text;
pub(crate) mod value;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::analysis::answer::{
    AlsoFailed, Busy, Confidence, FailedState, Failure, InFlight, ProbableCause, RootCause, Step, TimeLimit,
};
use crate::analysis::cause::{self, Called, ParsedCause};
use crate::analysis::named_state;
use crate::analysis::resources::Resource;
use crate::analysis::timeline::{Moment, Timeline};
use crate::aws::arn::ExecutionArn;
use crate::history::Status;
use crate::investigation::{Finding, Reading, Unread};
use crate::logs::Logs;
use crate::redact::Removed;
pub use fingerprint::bug::Bug;
use incident::IncidentNote;

/// The name of this shape of a report.
const SCHEMA: &str = "misstep.report/1";

/// What is known about an execution without its history: from its event and the settings.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// Which execution; unknown for a file.
    pub execution: Option<ExecutionArn>,
    /// Its state machine, where the event names it.
    pub state_machine_arn: Option<String>,
    /// The environment named in notifications.
    pub env: String,
    /// The application, from the settings.
    pub application: Option<String>,
    /// How it ended.
    pub status: Option<Status>,
    /// The error it ended with.
    pub error: Option<String>,
    /// That error's cause.
    pub cause: Option<String>,
    /// Its input, as JSON text.
    pub input: Option<String>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How often it had been redriven.
    pub redriven: Option<u32>,
    /// Whether it can be redriven.
    pub redrive: Option<Redrive>,
}

/// Whether an execution can be redriven, as Step Functions reported at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redrive {
    /// Whether it can be.
    pub possible: bool,
    /// Why not.
    pub reason: Option<String>,
}

impl Redrive {
    /// Reads the `redriveStatus` and the `redriveStatusReason` of an event. `None` for a status that is
    /// not known, or not given.
    pub fn of(status: Option<&str>, reason: Option<&str>) -> Option<Self> {
        let possible = match status? {
            "REDRIVABLE" => true,
            "NOT_REDRIVABLE" => false,
            _ => return None,
        };
        Some(Self { possible, reason: reason.map(str::to_owned) })
    }
}

/// A report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Which execution.
    pub event_info: EventInfo,
    /// What it ran on, and what failed.
    pub event_details: EventDetails,
    /// Everything else that is known.
    pub analysis: Explanation,
    /// What happened when; for those who draw it.
    #[serde(skip)]
    pub timeline: Option<Timeline>,
    /// The bug that it is of, before anything is removed; `None` where too little is known.
    #[serde(skip)]
    pub bug: Option<Bug>,
}

/// Which execution a report is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the contract")]
pub struct EventInfo {
    pub execution_arn: Option<String>,
    pub state_machine_arn: Option<String>,
    pub execution_name: Option<String>,
    pub env: String,
}

/// What an execution ran on, and what failed in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventDetails {
    /// The execution's input, as JSON text.
    pub payload: Option<String>,
    /// One entry for each state name that had an error, in the order of first errors.
    pub steps: Vec<Step>,
}

/// The `analysis` of a report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    /// The name of this shape: `misstep.report/1`.
    #[serde(skip_deserializing, default = "schema")]
    pub schema: &'static str,
    /// The application, from the settings.
    pub application: Option<String>,
    /// How the execution ended; null where only a part of its history is there, without the end.
    pub status: Option<Status>,
    /// How often it was redriven before this end; null where that is not known.
    pub redriven: Option<u32>,
    /// Whether it can be redriven; null where that is not known.
    pub redrive: Option<Redrive>,
    /// When it began, as far as its history was read.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// The error of its last event.
    pub error: Option<String>,
    /// That error's cause.
    pub cause: Option<String>,
    /// The state whose failure ended it.
    pub failed_state: Option<FailedState>,
    /// The deepest cause known.
    pub root_cause: Option<RootCause>,
    /// For a Fail state behind handlers of a caught error: that error.
    pub probable_cause: Option<ProbableCause>,
    /// The limit of time that the root cause's state ran into.
    pub time_limit: Option<TimeLimit>,
    /// What the root cause's state and the failed state called, innermost first, and where that logs.
    pub resources: Vec<Resource>,
    /// The last lines of the log of the innermost of these, where they were asked for.
    pub logs: Option<Logs>,
    /// The innermost states in flight at a timeout or an abort.
    pub in_flight: Vec<InFlight>,
    /// Other state instances with errors that did not end the execution.
    pub also_failed: Vec<AlsoFailed>,
    /// The error's cause, understood.
    pub parsed_cause: Option<ParsedCause>,
    /// The root cause's, where that is another one.
    pub parsed_root_cause: Option<ParsedCause>,
    /// What was read.
    pub reading: Reading,
    /// Why the history could not be read.
    pub degraded: Option<String>,
    /// The fields that were cut to fit.
    pub truncated: Vec<String>,
    /// Where to look further.
    pub links: Links,
    /// The states entered most often, where the execution ran out of events.
    pub busiest_states: Vec<Busy>,
    /// What happened to the execution after the end that this is about.
    pub since: Option<String>,
    /// What was not read, though the cause may lie there.
    pub unread: Vec<Unread>,
    /// What a reader should know about the grounds of this.
    pub notes: Vec<String>,
    /// The same for all failures of one bug; null for what has not failed.
    pub fingerprint: Option<String>,
    /// What was removed because it is secret.
    pub redacted: Option<Removed>,
    /// The incident that it belongs to; null on routes that get each failure by itself.
    pub incident: Option<IncidentNote>,
}

/// Where to look further.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Links {
    /// The execution's page in the AWS console.
    pub console: Option<String>,
}

impl Explanation {
    /// The deepest cause, understood.
    pub fn deepest_cause(&self) -> Option<&ParsedCause> {
        self.parsed_root_cause.as_ref().or(self.parsed_cause.as_ref())
    }

    /// The stack of the deepest cause, or of the probable one.
    pub fn stack(&self) -> Option<&str> {
        let probable = || self.probable_cause.as_ref()?.parsed.as_ref()?.stack.as_deref();
        self.deepest_cause().and_then(|parsed| parsed.stack.as_deref()).or_else(probable)
    }
}

impl Report {
    /// A report on what was found.
    pub fn new(subject: &Subject, finding: &Finding) -> Self {
        let analysis = &finding.analysis;
        let deeper = finding
            .root_cause
            .as_ref()
            .map(|root| {
                (root.called.as_ref(), Failure { error: root.error.clone(), cause: root.cause.clone() })
            })
            .filter(|(_, root)| *root != analysis.failure);
        let own = analysis.failed_state.as_ref().filter(|failed| {
            failed.error == analysis.failure.error && failed.cause == analysis.failure.cause
        });
        let mut report = Self::about(subject);
        report.event_details.payload = analysis.payload.clone().or_else(|| subject.input.clone());
        report.event_details.steps.clone_from(&analysis.steps);
        report.timeline = Some(analysis.timeline.clone());
        report.analysis = Explanation {
            status: (!analysis.open_ended).then_some(analysis.status),
            redriven: analysis.redriven.or(subject.redriven),
            started_at: time(analysis.timeline.began).or(report.analysis.started_at),
            ended_at: time(analysis.timeline.ended)
                .or(report.analysis.ended_at)
                .filter(|_| analysis.status != Status::Running),
            error: analysis.failure.error.clone(),
            cause: analysis.failure.cause.clone(),
            failed_state: analysis.failed_state.clone(),
            root_cause: finding.root_cause.clone(),
            probable_cause: analysis.probable_cause.clone(),
            time_limit: analysis.time_limit,
            resources: finding.resources.clone(),
            in_flight: analysis.in_flight.clone(),
            also_failed: analysis.also_failed.clone(),
            parsed_cause: understood(own.and_then(|own| own.called.as_ref()), &analysis.failure),
            parsed_root_cause: deeper.as_ref().and_then(|(called, failure)| understood(*called, failure)),
            reading: finding.reading,
            busiest_states: analysis.busiest.clone(),
            since: analysis.since.clone(),
            unread: finding.unread.clone(),
            notes: analysis.notes.clone(),
            ..report.analysis
        };
        report.analysis.fingerprint = fingerprint::of(&report);
        report.bug = Bug::of_finding(&report, finding);
        report
    }

    /// A report from the event alone, because the history could not be read.
    pub fn degraded(subject: &Subject, reason: &str) -> Self {
        let mut report = Self::from_event(subject, reason);
        report.analysis.fingerprint = fingerprint::of(&report);
        report.bug = Bug::of_event(&report);
        report
    }

    fn from_event(subject: &Subject, reason: &str) -> Self {
        let mut report = Self::about(subject);
        report.analysis.degraded = Some(reason.to_owned());
        let cause = subject.cause.as_deref().filter(|_| subject.status == Some(Status::Failed));
        let Some((name, entered)) = cause.and_then(named_state) else { return report };
        let failure = Failure { error: subject.error.clone(), cause: subject.cause.clone() };
        report.event_details.steps =
            vec![Step { name: name.to_owned(), initial_input: None, latest_error: failure.clone() }];
        report.analysis.root_cause = Some(RootCause {
            execution_arn: report.event_info.execution_arn.clone(),
            state: Some(name.to_owned()),
            error: failure.error.clone(),
            cause: failure.cause.clone(),
            via: Vec::new(),
            called: None,
        });
        report.analysis.failed_state = Some(FailedState {
            name: name.to_owned(),
            r#type: None,
            path: Vec::new(),
            input: None,
            error: failure.error,
            cause: failure.cause,
            entered_event_id: Some(entered),
            attempts: Vec::new(),
            confidence: Confidence::Inferred,
            evidence: "The cause in the event names this state; the history was not read.".to_owned(),
            called: None,
        });
        report
    }

    fn about(subject: &Subject) -> Self {
        let execution = subject.execution.as_ref();
        let failure = Failure { error: subject.error.clone(), cause: subject.cause.clone() };
        Self {
            event_info: EventInfo {
                execution_arn: execution.map(ToString::to_string),
                state_machine_arn: subject
                    .state_machine_arn
                    .clone()
                    .or_else(|| execution.map(ExecutionArn::state_machine_arn)),
                execution_name: execution.map(|execution| execution.name().to_owned()),
                env: subject.env.clone(),
            },
            event_details: EventDetails { payload: subject.input.clone(), steps: Vec::new() },
            analysis: Explanation {
                schema: SCHEMA,
                application: subject.application.clone(),
                status: subject.status,
                redriven: subject.redriven,
                redrive: subject.redrive.clone(),
                started_at: subject.started_at.map(|at| at.to_string()),
                ended_at: subject.ended_at.map(|at| at.to_string()),
                parsed_cause: understood(None, &failure),
                parsed_root_cause: None,
                error: failure.error,
                cause: failure.cause,
                failed_state: None,
                root_cause: None,
                probable_cause: None,
                time_limit: None,
                resources: Vec::new(),
                logs: None,
                in_flight: Vec::new(),
                also_failed: Vec::new(),
                reading: Reading::default(),
                degraded: None,
                truncated: Vec::new(),
                links: Links { console: execution.and_then(ExecutionArn::console_url) },
                busiest_states: Vec::new(),
                since: None,
                unread: Vec::new(),
                notes: Vec::new(),
                fingerprint: None,
                redacted: None,
                incident: None,
            },
            timeline: None,
            bug: None,
        }
    }
}

fn understood(called: Option<&Called>, failure: &Failure) -> Option<ParsedCause> {
    Some(cause::understand(called, failure.error.as_deref(), failure.cause.as_deref()?))
}

fn time(moment: Option<Moment>) -> Option<String> {
    moment?.at.map(|at| at.to_string())
}

fn schema() -> &'static str {
    SCHEMA
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::analysis::answer::Phase;
    use crate::history::StateType;

    /// A report from the event alone, where the failed state is known all the same.
    pub(crate) fn failed_at(state: &str, subject: &Subject) -> Report {
        let named =
            format!("An error occurred while executing the state '{state}' (entered at the event id #7). ");
        let failed = Subject { cause: Some(named), status: Some(Status::Failed), ..subject.clone() };
        let mut report = Report::from_event(&failed, "a test");
        report.analysis.status = subject.status;
        let failed = report.analysis.failed_state.as_mut().expect("the cause names it");
        failed.cause.clone_from(&subject.cause);
        report.event_details.steps[0].latest_error.cause.clone_from(&subject.cause);
        report.analysis.cause.clone_from(&subject.cause);
        report.analysis.root_cause = None;
        let failure = Failure { error: subject.error.clone(), cause: subject.cause.clone() };
        report.analysis.parsed_cause = understood(None, &failure);
        report
    }

    /// One state in flight.
    pub(crate) fn waiting(state: &str) -> Vec<InFlight> {
        vec![InFlight {
            name: state.to_owned(),
            r#type: StateType::Wait,
            path: Vec::new(),
            input: None,
            phase: Phase::Waiting,
            since: None,
            last_error: None,
        }]
    }
}
