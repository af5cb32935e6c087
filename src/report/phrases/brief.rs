//! A notice in a few lines, for a subject, a chat or a mail.

use std::slice;

use super::{INTO, can_be_redriven, cause_label, incident, probably, secret_values, times};
use crate::analysis::answer::{FailedState, RootCause};
use crate::analysis::resources::Resource;
use crate::aws::arn::state_machine_name;
use crate::history::Status;
use crate::logs::Logs;
use crate::report::incident::IncidentKind;
use crate::report::notice::Notice;
use crate::report::{Redrive, Report, summary};

/// Characters of a name in a subject.
const NAME: usize = 80;

/// Characters of a subject.
const SUBJECT: usize = 250;

/// Characters of a log's last lines.
const LOG: usize = 690;

/// One thing to know about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is called.
    pub label: &'static str,
    /// What it is.
    pub text: String,
    /// Whether it is code: an input, an error's name.
    pub code: bool,
}

/// What failed, in one line: `[prod] orders failed at Charge: PaymentDeclined`.
pub fn subject(notice: &Notice<'_>) -> String {
    let report = notice.report();
    let analysis = &report.analysis;
    let env = format!("[{}] ", report.event_info.env);
    let env = if report.event_info.env.is_empty() { "" } else { &env };
    let application = analysis.application.as_deref().and_then(filled);
    let application = application.map(|name| format!("{} ", one_line(name, NAME))).unwrap_or_default();
    let machine = one_line(machine(report).unwrap_or("an execution"), NAME);
    let failed = analysis.failed_state.as_ref().map(|failed| &*failed.name).and_then(filled);
    let failed = failed.or_else(|| filled(&analysis.in_flight.first()?.name));
    let place = |word| failed.map(|state| format!(" {word} {}", one_line(state, NAME))).unwrap_or_default();
    let what = match analysis.status {
        Some(Status::TimedOut) => format!("timed out{}", place("in")),
        Some(Status::Aborted) => format!("was aborted{}", place("in")),
        Some(Status::Succeeded) => "succeeded".to_owned(),
        Some(Status::Running) => "is running".to_owned(),
        None if !analysis.reading.complete && analysis.degraded.is_none() => {
            "has an end that is not known".to_owned()
        }
        Some(Status::Failed) | None => format!("failed{}", place("at")),
    };
    let root = analysis.root_cause.as_ref().and_then(|root| root.error.as_deref()).and_then(filled);
    let error = root.or(analysis.error.as_deref().and_then(filled));
    let error = error.map(|error| format!(": {}", one_line(error, NAME))).unwrap_or_default();
    let caught = analysis.probable_cause.as_ref().map(|probable| {
        let parts = [Some(&*probable.state), probable.error.as_deref()].into_iter().flatten();
        let parts: Vec<String> = parts.filter_map(filled).map(|part| one_line(part, NAME)).collect();
        format!(" ({} {})", probably(probable.confidence), parts.join(": "))
    });
    let incident = analysis.incident.as_ref().map(incident::prefix).unwrap_or_default();
    let caught = caught.unwrap_or_default();
    one_line(&format!("{env}{incident}{application}{machine} {what}{error}{caught}"), SUBJECT)
}

/// What happened, in one or two sentences.
pub fn sentence(notice: &Notice<'_>) -> String {
    notice.sentence().map_or_else(|| summary::sentence(notice.report()), str::to_owned)
}

/// What there is to know besides, the most important first. What is long stays long.
pub fn facts(notice: &Notice<'_>) -> Vec<Fact> {
    let report = notice.report();
    let (info, analysis) = (&report.event_info, &report.analysis);
    let failed = analysis.failed_state.as_ref();
    let waiting = &analysis.in_flight;
    let mut facts = Vec::new();
    let mut add = |label, text: Option<String>, code| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            facts.push(Fact { label, text, code });
        }
    };
    let state = |failed: &FailedState| [&*failed.path, slice::from_ref(&failed.name)].concat().join(INTO);
    let note = analysis.incident.as_ref();
    add("Incident", note.map(|note| incident::which(note).plain()), false);
    add("Why they belong together", note.map(|note| note.reason.clone()), false);
    add("State", failed.map(state), false);
    let names: Vec<&str> = waiting.iter().filter_map(|state| filled(&state.name)).collect();
    add("In flight", Some(names.join(", ")), false);
    let own = failed.and_then(|failed| failed.error.as_deref()).and_then(filled);
    add("Error", own.or(analysis.error.as_deref()).map(str::to_owned), true);
    let own = failed.and_then(|failed| failed.cause.as_deref()).and_then(filled);
    add("Cause", own.or(analysis.cause.as_deref()).map(str::to_owned), true);
    let deeper = analysis.root_cause.as_ref().filter(|root| {
        let of_failed = failed.map(|failed| (Some(&failed.name), failed.error.as_ref()));
        (root.state.as_ref(), root.error.as_ref()) != of_failed.unwrap_or_default()
    });
    let parts = |parts: [Option<&str>; 3]| {
        parts.into_iter().flatten().filter_map(filled).collect::<Vec<_>>().join(": ")
    };
    let root =
        |root: &RootCause| parts([root.state.as_deref(), root.error.as_deref(), root.cause.as_deref()]);
    add("Root cause", deeper.map(root), true);
    if let Some(probable) = &analysis.probable_cause {
        let message = probable.parsed.as_ref().and_then(|parsed| parsed.message.as_deref());
        add(
            cause_label(probable.confidence),
            Some(parts([Some(&probable.state), probable.error.as_deref(), message])),
            true,
        );
    }
    if note.is_some_and(|note| note.kind != IncidentKind::Alert) {
        // It is about many executions; what follows is about the first.
        return facts;
    }
    let ran: Vec<String> = analysis.resources.iter().map(ran).collect();
    add("Where it ran", Some(ran.join("\n")), false);
    add("Log", analysis.logs.as_ref().map(logged), true);
    let input = failed.and_then(|failed| failed.input.as_deref()).and_then(filled);
    let input = input.or_else(|| waiting.first()?.input.as_deref().and_then(filled));
    add("Input", input.map(str::to_owned), true);
    let payload = report.event_details.payload.as_deref().filter(|payload| Some(*payload) != input);
    add("Execution's input", payload.map(str::to_owned), true);
    add("Execution", info.execution_name.clone(), true);
    add("State machine", machine(report).map(str::to_owned), true);
    add("Ended", analysis.ended_at.clone(), false);
    add("Redriven before", analysis.redriven.and_then(times), false);
    let redrive = |redrive: &Redrive| match can_be_redriven(redrive) {
        Ok(()) => "possible".to_owned(),
        Err(Some(reason)) => format!("not possible: {reason}"),
        Err(None) => "not possible".to_owned(),
    };
    add("Redrive", analysis.redrive.as_ref().map(redrive), false);
    add("Not read", analysis.degraded.clone(), false);
    add("Removed", analysis.redacted.as_ref().map(secret_values), false);
    add("Cut to fit", Some(analysis.truncated.join(", ")), false);
    facts
}

/// The failed executions that the notification names, one a line, and what the list is called.
pub fn executions(notice: &Notice<'_>) -> Option<(String, Vec<String>)> {
    let note = notice.report().analysis.incident.as_ref()?;
    let lines = note.new_executions.iter().map(|one| incident::execution(one).plain());
    (!note.new_executions.is_empty()).then(|| (incident::title(note), lines.collect()))
}

fn ran(resource: &Resource) -> String {
    let log = super::log(resource).map(|log| format!(", {}", log.plain())).unwrap_or_default();
    format!("{}{log}", super::called(resource).plain())
}

/// The last lines of a log, as many as people read here, or why there are none.
fn logged(logs: &Logs) -> String {
    if let Some(error) = logs.error.as_deref().and_then(filled) {
        return error.to_owned();
    }
    let lines: Vec<&str> = logs.lines.iter().filter_map(|line| filled(&line.text)).collect();
    let text = lines.join("\n");
    match text.chars().count().saturating_sub(LOG) {
        0 => text,
        more => format!("…{}", text.chars().skip(more).collect::<String>()),
    }
}

/// The page of the innermost log that is known.
pub fn logs(report: &Report) -> Option<&str> {
    report.analysis.resources.iter().find_map(|resource| filled(resource.logs.as_deref()?))
}

/// The execution's page in the console.
pub fn link(report: &Report) -> Option<&str> {
    filled(report.analysis.links.console.as_deref()?)
}

/// The state machine's name.
pub fn machine(report: &Report) -> Option<&str> {
    state_machine_name(report.event_info.state_machine_arn.as_deref()?)
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// A text in one line of so many characters at most, without what controls a terminal.
fn one_line(text: &str, most: usize) -> String {
    let line = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Removed;
    use crate::report::Subject;
    use crate::report::tests::{failed_at, waiting};

    fn report() -> Report {
        let subject = Subject {
            state_machine_arn: Some("arn:aws:states:eu-west-1:1:stateMachine:orders".to_owned()),
            env: "prod".to_owned(),
            status: Some(Status::Failed),
            error: Some("States.TaskFailed".to_owned()),
            cause: Some("it failed".to_owned()),
            input: Some("{\"a\":1}".to_owned()),
            ..Subject::default()
        };
        let mut report = failed_at("Charge\nit", &subject);
        report.event_info.execution_name = Some("run-7".to_owned());
        let analysis = &mut report.analysis;
        let failed = analysis.failed_state.as_mut().unwrap();
        failed.path = vec!["Orders[3]".to_owned()];
        failed.cause = Some("c".to_owned());
        failed.input = Some("{\"b\":2}".to_owned());
        analysis.root_cause = Some(RootCause {
            state: Some("Pay".to_owned()),
            error: Some("Declined".to_owned()),
            cause: Some("no money".to_owned()),
            ..RootCause::default()
        });
        analysis.truncated = vec!["event_details.payload".to_owned()];
        analysis.redacted = Some(Removed { values: 2, ..Removed::default() });
        analysis.degraded = None;
        report
    }

    #[test]
    fn the_subject_is_one_line_with_what_failed_where_and_why() {
        let subject = |report: &Report| subject(&Notice::failure(report));
        assert_eq!(subject(&report()), "[prod] orders failed at Charge it: Declined");
        let mut waits = report();
        waits.analysis.status = Some(Status::TimedOut);
        waits.analysis.application = Some("shop".to_owned());
        waits.analysis.failed_state = None;
        waits.analysis.root_cause = None;
        waits.analysis.error = None;
        waits.analysis.in_flight = waiting("Wait");
        assert_eq!(subject(&waits), "[prod] shop orders timed out in Wait");
        assert_eq!(subject(&Report::degraded(&Subject::default(), "why")), "an execution failed");
        let mut long = report();
        long.analysis.failed_state.as_mut().unwrap().name = "x".repeat(10_000);
        assert!(subject(&long).len() < 300);
    }

    #[test]
    fn the_facts_begin_with_where_and_why() {
        let facts: Vec<String> = facts(&Notice::failure(&report()))
            .into_iter()
            .map(|fact| format!("{}: {}", fact.label, fact.text))
            .collect();
        assert_eq!(
            facts,
            [
                "State: Orders[3] > Charge\nit",
                "Error: States.TaskFailed",
                "Cause: c",
                "Root cause: Pay: Declined: no money",
                "Input: {\"b\":2}",
                "Execution's input: {\"a\":1}",
                "Execution: run-7",
                "State machine: orders",
                "Removed: 2 secret values",
                "Cut to fit: event_details.payload",
            ]
        );
    }
}
