//! Which bug a failure is of: what tells whether two failures belong to one incident.
//!
//! It is the fingerprint of the deepest execution that failed by itself, so that a parent and the child that
//! it waited for are of one bug, in whichever order they are reported. A failure of which too little is known
//! is of no bug: it is never put together with another one.

use super::message::normal;
use super::said;
use crate::analysis::cause::ParsedCause;
use crate::aws::arn::{base_state_machine, state_machine_name};
use crate::history::Status;
use crate::investigation::Finding;
use crate::report::incident::ExecutionRole;
use crate::report::{Report, Subject};

/// Characters of a message in a sentence.
const MESSAGE: usize = 160;

/// The bug that a failure is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bug {
    /// The same for all failures of it.
    pub key: String,
    /// Whether it is in this execution.
    pub role: ExecutionRole,
    /// The state machine that it is in, by name.
    pub state_machine: String,
    /// Its ARN, without version and alias.
    pub state_machine_arn: Option<String>,
    /// The state that fails.
    pub state: Option<String>,
    /// Its error.
    pub error: Option<String>,
    /// What its failures have in common, in one sentence.
    pub reason: String,
}

impl Bug {
    /// The bug of a failure whose history was read.
    pub(in crate::report) fn of_finding(report: &Report, finding: &Finding) -> Option<Self> {
        let Some(deepest) = &finding.deepest else { return Self::in_execution(report, ExecutionRole::Cause) };
        let subject = Subject {
            execution: Some(deepest.execution.clone()),
            status: Some(deepest.analysis.status),
            ..Subject::default()
        };
        let own = Finding {
            root_cause: deepest.root_cause.clone(),
            analysis: deepest.analysis.clone(),
            resources: Vec::new(),
            reading: finding.reading,
            unread: Vec::new(),
            deepest: None,
        };
        Self::in_execution(&Report::new(&subject, &own), ExecutionRole::Parent)
    }

    /// The bug of a failure of which only the event is known: it has to say an error and why.
    pub(in crate::report) fn of_event(report: &Report) -> Option<Self> {
        let is_said = |text: Option<&str>| text.is_some_and(|text| !text.trim().is_empty());
        let analysis = &report.analysis;
        let message = analysis.parsed_cause.as_ref().and_then(|parsed| parsed.message.as_deref());
        let is_told = is_said(analysis.error.as_deref()) && is_said(message);
        if analysis.status == Some(Status::Failed) && is_told {
            Self::in_execution(report, ExecutionRole::Cause)
        } else {
            None
        }
    }

    /// The bug of a report that has its fingerprint.
    fn in_execution(report: &Report, role: ExecutionRole) -> Option<Self> {
        let analysis = &report.analysis;
        let failed = analysis.failed_state.as_ref();
        let hung = || Some(&analysis.in_flight.first()?.name);
        let busiest = || Some(&analysis.busiest_states.first()?.name);
        let state = failed.map(|failed| &failed.name).or_else(hung).or_else(busiest).cloned();
        let own = failed.and_then(|failed| failed.error.clone());
        let error = own.or_else(|| analysis.error.clone()).filter(|error| !error.trim().is_empty());
        if state.is_none() && error.is_none() && analysis.parsed_cause.is_none() {
            return None;
        }
        let machine = report.event_info.state_machine_arn.as_deref();
        let machine = machine.and_then(state_machine_name).unwrap_or_default().to_owned();
        let reason = reason(report, &machine, state.as_deref(), error.as_deref());
        let state_machine_arn = report.event_info.state_machine_arn.as_deref().map(base_state_machine);
        let key = analysis.fingerprint.clone()?;
        Some(Self { key, role, state_machine: machine, state_machine_arn, state, error, reason })
    }
}

/// What all failures with the same fingerprint have in common.
fn reason(report: &Report, machine: &str, state: Option<&str>, error: Option<&str>) -> String {
    let analysis = &report.analysis;
    let how = match analysis.status {
        Some(Status::TimedOut) => "timed out",
        Some(Status::Aborted) => "was aborted",
        _ => "failed",
    };
    let at = state.map(|state| format!(" at {state}")).unwrap_or_default();
    let with = error.map(|error| format!(" with {}", normal(error))).unwrap_or_default();
    let message = |parsed: &ParsedCause| {
        let message = normal(parsed.message.as_deref()?);
        let short = match message.char_indices().nth(MESSAGE) {
            Some((end, _)) => format!("{}…", &message[..end]),
            None => message,
        };
        (!short.is_empty()).then_some(short)
    };
    let why = analysis.deepest_cause().filter(|parsed| !said(parsed).is_empty()).and_then(message);
    let why = why.map(|why| format!(", saying the same but for ids, numbers and names in quotes: {why}"));
    format!("{machine} {how}{at}{with}{}", why.unwrap_or_default())
}
