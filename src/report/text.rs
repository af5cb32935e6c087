//! The report in text, for someone paged at night: the answer in the first three lines, then the
//! way down to it, what was tried, what it ran on, and what happened when.

mod paint;
mod tree;
mod value;

use super::Report;
use crate::analysis::answer::{Confidence, Hop, HopKind, InFlight, Phase};
use crate::history::Status;
use paint::Paint;
use value::{clock, grouped, harmless, moment, short, span};

/// Characters of a message in the answer itself.
const MESSAGE: usize = 300;

/// Characters of an input or a cause further down.
const PAYLOAD: usize = 1_000;

/// Lines of a stack trace.
const STACK: usize = 15;

/// Entries of a list before the rest is counted.
const LISTED: usize = 12;

/// Renders a report.
pub fn render(report: &Report, colour: bool) -> String {
    let mut page = Page { lines: Vec::new(), paint: Paint { colour } };
    page.headline(report);
    page.answer(report);
    page.grounds(report);
    page.way_down(report);
    page.attempts(report);
    page.cause(report);
    page.inputs(report);
    page.in_flight(report);
    page.also_failed(report);
    page.timeline(report);
    page.foot(report);
    let mut text = page.lines.join("\n");
    text.push('\n');
    text
}

struct Page {
    lines: Vec<String>,
    paint: Paint,
}

impl Page {
    fn line(&mut self, text: impl Into<String>) {
        self.lines.push(text.into());
    }

    fn section(&mut self, title: &str) {
        let title = self.paint.strong(title);
        self.line("");
        self.line(title);
    }

    fn item(&mut self, text: impl AsRef<str>) {
        self.line(format!("  {}", text.as_ref()));
    }

    fn headline(&mut self, report: &Report) {
        let paint = self.paint;
        let analysis = &report.analysis;
        let status = analysis.status.map_or("ended", Status::as_str);
        let marked = match analysis.status {
            Some(Status::Succeeded) => paint.good(format!("✓ {status}")),
            Some(Status::Running) => paint.odd(format!("… {status}")),
            _ => paint.bad(format!("✗ {status}")),
        };
        let mut line = marked;
        if let Some(arn) = &report.event_info.execution_arn {
            line.push_str(&format!("  {}", paint.strong(harmless(arn))));
        }
        if let Some(times) = report.timeline.as_ref().and_then(|timeline| timeline.began.zip(timeline.ended))
            && let (Some(began), Some(ended)) = (times.0.at, times.1.at)
        {
            line.push_str(&format!("  {} after {}", moment(ended), span(began, ended)));
        }
        self.line(line);
    }

    /// The second and third line: which state, and why.
    fn answer(&mut self, report: &Report) {
        let analysis = &report.analysis;
        if let Some(failed) = &analysis.failed_state {
            let place = place(&failed.name, &failed.path);
            let kind = failed.r#type.as_ref().map(|kind| format!(" ({kind})")).unwrap_or_default();
            let tries = match failed.attempts.len() {
                0 | 1 => String::new(),
                tries => format!(", {} failed attempts", grouped(tries)),
            };
            let error =
                failed.error.as_deref().map_or_else(|| "no error name".into(), |error| short(error, MESSAGE));
            let (place, error) = (self.paint.bad(place), self.paint.strong(error));
            self.line(format!("  {place}{kind} failed{tries}: {error}"));
        } else if !analysis.busiest_states.is_empty() {
            self.line("  No state failed: the execution ran out of events. States entered most often:");
            let busiest: Vec<String> = analysis
                .busiest_states
                .iter()
                .map(|state| format!("{} ({} times)", harmless(&state.name), grouped(state.entered)))
                .collect();
            self.item(format!("  {}", busiest.join(", ")));
            return;
        } else if let Some(first) = analysis.in_flight.first() {
            let more = match analysis.in_flight.len() - 1 {
                0 => String::new(),
                more => format!(" and {} more", grouped(more)),
            };
            let line = format!("  In flight: {}{more}", in_flight(first, report));
            self.line(line);
        } else if analysis.status == Some(Status::Succeeded) && !analysis.also_failed.is_empty() {
            let count = grouped(analysis.also_failed.len());
            self.item(format!("Nothing failed in the end; errors that were caught or retried: {count}"));
        } else if analysis.status == Some(Status::Failed) && analysis.degraded.is_none() {
            self.line("  Which state failed cannot be told from the history.");
        }
        let said = analysis
            .root_cause
            .as_ref()
            .map_or((&analysis.error, &analysis.cause), |root| (&root.error, &root.cause));
        let message = analysis
            .deepest_cause()
            .and_then(|parsed| parsed.message.as_deref())
            .or(said.1.as_deref())
            .or(if analysis.failed_state.is_none() { said.0.as_deref() } else { None });
        if let Some(message) = message {
            self.item(short(message.trim(), MESSAGE));
        }
    }

    fn grounds(&mut self, report: &Report) {
        let analysis = &report.analysis;
        if let Some(why) = &analysis.degraded {
            let line = self.paint.odd(format!("  From the event alone: {}", harmless(why)));
            self.line(line);
        }
        if let Some(since) = &analysis.since {
            let line = self.paint.odd(format!("  {}", harmless(since)));
            self.line(line);
        }
        if let Some(failed) = &analysis.failed_state {
            let sure = match failed.confidence {
                Confidence::Exact => "Certain",
                Confidence::Inferred => "Inferred",
            };
            let line = self.paint.faint(format!("  {sure}: {}", harmless(&failed.evidence)));
            self.line(line);
        }
    }

    fn way_down(&mut self, report: &Report) {
        let Some(root) = report.analysis.root_cause.as_ref().filter(|root| !root.via.is_empty()) else {
            return;
        };
        self.section("Root cause");
        for hop in &root.via {
            self.item(way(hop));
        }
        let mut line = root.state.as_deref().map_or_else(|| "No state to name".to_owned(), harmless);
        if let Some(error) = &root.error {
            line.push_str(&format!(": {}", short(error, MESSAGE)));
        }
        let line = self.paint.bad(line);
        self.item(line);
        let elsewhere =
            root.execution_arn.as_ref().filter(|arn| Some(*arn) != report.event_info.execution_arn.as_ref());
        if let Some(arn) = elsewhere {
            self.item(format!("in {}", harmless(arn)));
        }
    }

    fn attempts(&mut self, report: &Report) {
        let Some(failed) = report.analysis.failed_state.as_ref().filter(|failed| failed.attempts.len() > 1)
        else {
            return;
        };
        self.section("Failed attempts");
        let hidden = failed.attempts.len().saturating_sub(LISTED);
        if hidden > 0 {
            self.item(format!("… {} earlier ones", grouped(hidden)));
        }
        let mut before = hidden.checked_sub(1).and_then(|last| failed.attempts[last].ended_at);
        for (number, attempt) in failed.attempts.iter().enumerate().skip(hidden) {
            let mut line = format!("{}.", number + 1);
            if let Some(started) = attempt.started_at {
                line.push_str(&format!("  {}", clock(started)));
                if let Some(ended) = attempt.ended_at {
                    line.push_str(&format!("  {}", span(started, ended)));
                }
                if let Some(before) = before {
                    line.push_str(&format!("  {} after the one before", span(before, started)));
                }
            }
            before = attempt.ended_at;
            line.push_str(&format!(
                "  {}",
                attempt
                    .error
                    .as_deref()
                    .map_or_else(|| "no error name".into(), |error| short(error, MESSAGE))
            ));
            self.item(line);
        }
    }

    fn cause(&mut self, report: &Report) {
        let analysis = &report.analysis;
        let Some(parsed) = analysis.deepest_cause() else { return };
        if let Some(stack) = &parsed.stack {
            self.section("Stack");
            let lines: Vec<&str> = stack.lines().collect();
            for line in lines.iter().take(STACK) {
                self.item(short(line, 200));
            }
            if lines.len() > STACK {
                self.item(format!("… {} more lines", grouped(lines.len() - STACK)));
            }
        }
        let said = analysis.root_cause.as_ref().map_or(&analysis.cause, |root| &root.cause);
        if let Some(cause) = said.as_deref().filter(|cause| parsed.message.as_deref() != Some(*cause)) {
            self.section("Cause");
            self.item(short(cause, PAYLOAD));
        }
    }

    fn inputs(&mut self, report: &Report) {
        let failed = report.analysis.failed_state.as_ref();
        let own = failed.and_then(|failed| failed.input.as_deref());
        if let Some((failed, input)) = failed.zip(own) {
            self.section(&format!("Input of {}", harmless(&failed.name)));
            self.item(short(input, PAYLOAD));
        }
        if let Some(payload) = report.event_details.payload.as_deref().filter(|payload| Some(*payload) != own)
        {
            self.section("Input of the execution");
            self.item(short(payload, PAYLOAD));
        }
    }

    fn in_flight(&mut self, report: &Report) {
        let states = &report.analysis.in_flight;
        if states.is_empty() {
            return;
        }
        self.section("In flight");
        for state in states.iter().take(LISTED) {
            self.item(in_flight(state, report));
            if let Some(input) = &state.input {
                self.item(format!("  input {}", short(input, MESSAGE)));
            }
        }
        if states.len() > LISTED {
            self.item(format!("… {} more", grouped(states.len() - LISTED)));
        }
    }

    fn also_failed(&mut self, report: &Report) {
        let also = &report.analysis.also_failed;
        if also.is_empty() {
            return;
        }
        self.section("Also failed");
        for one in also.iter().take(LISTED) {
            let error =
                one.error.as_deref().map(|error| format!(": {}", short(error, MESSAGE))).unwrap_or_default();
            let outcome = match one.outcome {
                crate::analysis::answer::LesserOutcome::Caught => "caught",
                crate::analysis::answer::LesserOutcome::Retried => "retried",
                crate::analysis::answer::LesserOutcome::Aborted => "aborted with it",
            };
            self.item(format!("{}{error} ({outcome})", place(&one.name, &one.path)));
        }
        if also.len() > LISTED {
            self.item(format!("… {} more", grouped(also.len() - LISTED)));
        }
    }

    fn timeline(&mut self, report: &Report) {
        let Some(timeline) = &report.timeline else { return };
        self.section("Timeline");
        for line in tree::tree(timeline, self.paint) {
            self.item(line);
        }
    }

    fn foot(&mut self, report: &Report) {
        let analysis = &report.analysis;
        self.line("");
        for note in &analysis.notes {
            self.line(format!("note: {}", harmless(note)));
        }
        for unread in &analysis.unread {
            self.line(format!("not read: {} ({})", harmless(&unread.arn), harmless(&unread.why)));
        }
        let reading = &analysis.reading;
        if analysis.degraded.is_none() {
            let whole = if reading.complete { "the whole history" } else { "not the whole history" };
            let budget = if reading.budget_hit { ", then the budget of calls was used up" } else { "" };
            let line = format!(
                "read: {} events, {whole}, in {} calls{budget}",
                grouped(reading.events),
                reading.calls
            );
            let line = self.paint.faint(line);
            self.line(line);
        }
        if let Some(console) = &analysis.links.console {
            self.line(harmless(console));
        }
    }
}

/// `Orders[3] > Charge`.
fn place(name: &str, path: &[String]) -> String {
    let parts: Vec<String> = path.iter().map(String::as_str).chain([name]).map(harmless).collect();
    parts.join(" > ")
}

fn way(hop: &Hop) -> String {
    let state = hop.state.as_deref().map_or_else(|| "it".to_owned(), harmless);
    let into = hop.into.as_deref().map(harmless).unwrap_or_default();
    match hop.how {
        HopKind::Caught => format!("{state} reports what was caught from"),
        HopKind::NestedExecution => format!("{state} ran the execution {into}, where failed"),
        HopKind::MapRun => format!("{state} ran the Map run {into}, in a child of which failed"),
    }
}

fn in_flight(state: &InFlight, report: &Report) -> String {
    let phase = match state.phase {
        Phase::Entered => "entered",
        Phase::Scheduled => "scheduled, not started",
        Phase::Started => "running",
        Phase::Submitted => "submitted, waiting for its end",
        Phase::Waiting => "waiting",
        Phase::Backoff => "failed, waiting for its next attempt",
    };
    let mut line = format!("{} ({}) {phase}", place(&state.name, &state.path), state.r#type);
    if let Some(since) = state.since {
        let ended = report.timeline.as_ref().and_then(|timeline| timeline.ended).and_then(|ended| ended.at);
        let age = ended.map(|ended| format!(" for {}", span(since, ended))).unwrap_or_default();
        line.push_str(&format!("{age} since {}", clock(since)));
    }
    if let Some(error) = state.last_error.as_ref().and_then(|last| last.error.as_deref()) {
        line.push_str(&format!(", last error {}", short(error, MESSAGE)));
    }
    line
}
