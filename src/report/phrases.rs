//! The words for people, once for all forms: sentences here, a few lines in [`brief`].
//!
//! A sentence comes in parts, each on one line and harmless, so that a form can mark up what is a
//! name and what is an error. Escaping is the form's business, of every part, words included: some
//! words quote a state's name.

pub mod brief;
pub(super) mod incident;
mod ran;

use super::value::{self, address, clock, grouped, harmless, moment, short, span};
use super::{Redrive, Report};
use crate::analysis::answer::{
    AlsoFailed, Confidence, FailedAttempt, Hop, HopKind, InFlight, LesserOutcome, Likelihood, Phase,
    TimeLimit, TimeLimitKind,
};
use crate::analysis::cause::{self, ParsedCause};
use crate::history::Status;
use crate::redact::Removed;

pub(super) use ran::{called, log, logged, ran};

/// The title of the hops from the failed state to the root cause.
pub(super) const ROOT_CAUSE_PATH: &str = "Root cause path";

/// The title of the list of other states with errors.
pub(super) const ALSO_FAILED: &str = "Also failed";

/// Between the names of a state and of the containers around it.
const INTO: &str = " > ";

/// Characters of a message or an error's name.
pub(super) const MESSAGE: usize = 300;

/// Characters of a state's name. AWS takes no more than 80.
pub(super) const NAME: usize = 200;

/// A part of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Our own words, punctuation included.
    Words(String),
    /// A state, after the containers around it from the outside in.
    Place(Vec<String>),
    /// An ARN.
    Arn(String),
    /// An error's name.
    Error(String),
    /// The name of something outside the execution.
    Name(String),
}

/// A sentence, or a line that reads like one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sentence(Vec<Part>);

impl Sentence {
    fn words(mut self, text: impl Into<String>) -> Self {
        self.0.push(Part::Words(text.into()));
        self
    }

    fn place(mut self, name: &str, path: &[String]) -> Self {
        let names = path.iter().map(String::as_str).chain([said(name).unwrap_or("(no name)")]);
        self.0.push(Part::Place(names.map(|name| short(name, NAME)).collect()));
        self
    }

    fn arn(mut self, arn: &str) -> Self {
        self.0.push(Part::Arn(harmless(arn)));
        self
    }

    fn name(mut self, name: &str) -> Self {
        self.0.push(Part::Name(short(name, MESSAGE)));
        self
    }

    fn error(mut self, error: &str) -> Self {
        self.0.push(Part::Error(short(error, MESSAGE)));
        self
    }

    fn error_or_none(self, error: Option<&str>) -> Self {
        match error.and_then(said) {
            Some(error) => self.error(error),
            None => self.words("no error name"),
        }
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// The sentence, each part written by the form.
    pub(super) fn written(&self, part: impl FnMut(&Part) -> String) -> String {
        self.0.iter().map(part).collect()
    }

    /// The sentence without marks.
    pub(super) fn plain(&self) -> String {
        self.written(Part::plain)
    }
}

impl Part {
    /// The part without marks: a place as `Orders[3] > Charge`.
    pub(super) fn plain(&self) -> String {
        match self {
            Self::Words(text) | Self::Arn(text) | Self::Error(text) | Self::Name(text) => text.clone(),
            Self::Place(names) => names.join(INTO),
        }
    }
}

/// A text that is not empty.
fn said(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.trim().is_empty())
}

/// Our own words alone.
fn words(text: impl Into<String>) -> Sentence {
    Sentence::default().words(text)
}

/// How good or bad a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Odd,
    Bad,
    Faint,
}

/// How the execution ended.
pub(super) fn status(report: &Report) -> (&'static str, &'static str, Tone) {
    if is_unknown(report) {
        return ("?", "STATUS UNKNOWN", Tone::Odd);
    }
    let word = report.analysis.status.map_or("ended", Status::as_str);
    match report.analysis.status {
        Some(Status::Succeeded) => ("✓", word, Tone::Good),
        Some(Status::Running) => ("…", word, Tone::Odd),
        _ => ("✗", word, Tone::Bad),
    }
}

/// Whether only a part of the history is there, without its end.
fn is_unknown(report: &Report) -> bool {
    report.analysis.status.is_none() && report.analysis.degraded.is_none()
}

/// `2026-03-01 12:00:00.137 UTC after 4.2 s`; by the event's times where there is no history.
pub(super) fn ended(report: &Report) -> Option<String> {
    let read = |at: &Option<String>| at.as_deref()?.parse().ok();
    let (began, ended) = match &report.timeline {
        Some(timeline) => (timeline.began?.at?, timeline.ended?.at?),
        None => (read(&report.analysis.started_at)?, read(&report.analysis.ended_at)?),
    };
    let said = format!("{} after {}", moment(ended), span(began, ended));
    Some(if is_unknown(report) { format!("last event {said}") } else { said })
}

/// Which state failed, or what is known instead.
pub(super) fn answer(report: &Report) -> Vec<Sentence> {
    let analysis = &report.analysis;
    if let Some(failed) = &analysis.failed_state {
        let kind = failed.r#type.as_ref().map(|kind| format!(" ({})", harmless(kind.as_str())));
        let tries = match failed.attempts.len() {
            0 | 1 => String::new(),
            tries => format!(", {} failed attempts", grouped(tries)),
        };
        let kind = kind.unwrap_or_default();
        let sentence = Sentence::default().place(&failed.name, &failed.path);
        let sentence = sentence.words(format!("{kind} failed{tries}: "));
        return vec![sentence.error_or_none(failed.error.as_deref())];
    }
    if !analysis.busiest_states.is_empty() {
        let mut list = words("  ");
        for (at, state) in analysis.busiest_states.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            list = list.words(comma).place(&state.name, &[]);
            list = list.words(format!(" ({} times)", grouped(state.entered)));
        }
        let why = "No state failed: the execution ran out of events. States entered most often:";
        return vec![words(why), list];
    }
    let mut answer = Vec::new();
    if is_unknown(report) {
        answer.push(words(
            "This is a part of a history. Its end is not there, so how the execution ended is not known.",
        ));
    }
    if let Some(first) = analysis.in_flight.first() {
        let then = if is_unknown(report) { "In flight at the last event: " } else { "In flight: " };
        let mut sentence = words(then);
        sentence.0.extend(in_flight(first, report).0);
        let more = analysis.in_flight.len() - 1;
        answer.push(if more > 0 {
            sentence.words(format!(", and {} more", grouped(more)))
        } else {
            sentence
        });
    }
    if !answer.is_empty() {
        return answer;
    }
    match analysis.status {
        Some(Status::Succeeded) if !analysis.also_failed.is_empty() => {
            let count = grouped(analysis.also_failed.len());
            vec![words(format!("Nothing failed in the end; errors that were caught or retried: {count}"))]
        }
        Some(Status::Failed) if analysis.degraded.is_none() => {
            vec![words("The history does not show which state failed.")]
        }
        _ => Vec::new(),
    }
}

/// The deepest cause for people, and its state if that is not the failed state.
pub(super) fn message(report: &Report) -> Option<String> {
    let message = deepest_message(report);
    let Some(root) = report.analysis.root_cause.as_ref().filter(|root| !root.via.is_empty()) else {
        return message;
    };
    let whose = [&root.state, &root.error].map(|name| name.as_deref().and_then(said));
    let whose = whose.into_iter().flatten().map(|name| short(name, NAME));
    let parts: Vec<String> = whose.chain(message).collect();
    Some(format!("Root cause: {}", parts.join(": ")))
}

/// The caught error that a Fail state probably reports, with its message.
pub(super) fn probable_cause(report: &Report) -> Option<Sentence> {
    let probable = report.analysis.probable_cause.as_ref()?;
    let sentence = words(format!("{}: ", cause_label(probable.confidence)))
        .place(&probable.state, &probable.path)
        .words(" failed: ");
    let sentence = sentence.error_or_none(probable.error.as_deref());
    let parsed = probable.parsed.as_ref().and_then(told);
    Some(match parsed.or(probable.cause.as_deref().and_then(said).map(str::to_owned)) {
        Some(message) => sentence.words(format!(": {}", value::message(&message, MESSAGE))),
        None => sentence,
    })
}

/// What a caught error is called that a Fail state probably reports.
fn cause_label(confidence: Likelihood) -> &'static str {
    match confidence {
        Likelihood::Likely => "Probable cause",
        Likelihood::Possible => "Possible cause",
    }
}

/// The same within a sentence.
pub(super) fn probably(confidence: Likelihood) -> &'static str {
    match confidence {
        Likelihood::Likely => "probably",
        Likelihood::Possible => "possibly",
    }
}

/// The message of a cause for people; its type if it has no message.
fn told(parsed: &ParsedCause) -> Option<String> {
    let kind = || parsed.error_type.as_ref().map(|kind| format!("{kind}, without a message"));
    parsed.message.clone().or_else(kind)
}

/// What a task ran into that ended for want of time.
fn ran_out_of_time(limit: TimeLimit) -> String {
    match limit {
        TimeLimit { limit: TimeLimitKind::Heartbeat, seconds } => {
            format!("No heartbeat came within {seconds} s.")
        }
        TimeLimit { limit: TimeLimitKind::Timeout, seconds } => {
            format!("It did not end within its {seconds} s.")
        }
    }
}

fn deepest_message(report: &Report) -> Option<String> {
    let analysis = &report.analysis;
    if analysis.failed_state.is_none() && !analysis.busiest_states.is_empty() {
        return None;
    }
    let (error, cause) = analysis
        .root_cause
        .as_ref()
        .map_or((&analysis.error, &analysis.cause), |root| (&root.error, &root.cause));
    let (error, cause) = (error.as_deref().and_then(said), cause.as_deref().and_then(said));
    let message = analysis
        .deepest_cause()
        .and_then(told)
        .or_else(|| cause.map(str::to_owned))
        .or_else(|| analysis.time_limit.map(ran_out_of_time))
        .or_else(|| error.filter(|_| analysis.failed_state.is_none()).map(str::to_owned));
    let nothing = || {
        (analysis.failed_state.is_some() && error.is_none())
            .then_some("Neither an error nor a cause was given.")
    };
    message.or_else(|| nothing().map(str::to_owned)).map(|message| value::message(&message, MESSAGE))
}

/// What the answer rests on.
pub(super) fn grounds(report: &Report) -> Vec<(Tone, Sentence)> {
    let analysis = &report.analysis;
    let mut grounds = Vec::new();
    if let Some(why) = &analysis.degraded {
        grounds.push((Tone::Odd, words(format!("From the event alone: {}", harmless(why)))));
    }
    if let Some(since) = &analysis.since {
        grounds.push((Tone::Odd, words(harmless(since))));
    }
    if let Some(failed) = &analysis.failed_state {
        let sure = match failed.confidence {
            Confidence::Exact => "Certain",
            Confidence::Inferred => "Inferred",
        };
        grounds.push((Tone::Faint, words(format!("{sure}: {}", harmless(&failed.evidence)))));
    }
    if let Some(probable) = &analysis.probable_cause {
        let sure = match probable.confidence {
            Likelihood::Likely => "Likely",
            Likelihood::Possible => "Possible",
        };
        grounds.push((Tone::Faint, words(format!("{sure}: {}", harmless(&probable.evidence)))));
    }
    grounds.extend(redrives(report).map(|sentence| (Tone::Faint, sentence)));
    grounds
}

/// How often the execution was redriven, and whether it can be again.
fn redrives(report: &Report) -> Option<Sentence> {
    let analysis = &report.analysis;
    let before = analysis.redriven.and_then(times).map(|times| format!("Redriven {times} before this."));
    let again = analysis.redrive.as_ref().map(|redrive| match can_be_redriven(redrive) {
        Ok(()) => "It can be redriven.".to_owned(),
        Err(Some(reason)) => format!("It cannot be redriven: {}", harmless(reason)),
        Err(None) => "It cannot be redriven.".to_owned(),
    });
    let parts: Vec<String> = before.into_iter().chain(again).collect();
    (!parts.is_empty()).then(|| words(parts.join(" ")))
}

/// `once`, `3 times`; `None` for never.
fn times(count: u32) -> Option<String> {
    match count {
        0 => None,
        1 => Some("once".to_owned()),
        count => Some(format!("{count} times")),
    }
}

/// Whether an execution can be redriven, and if not, why, if Step Functions reports it.
fn can_be_redriven(redrive: &Redrive) -> Result<(), Option<&str>> {
    if redrive.possible { Ok(()) } else { Err(redrive.reason.as_deref().and_then(said)) }
}

/// `2 secret values`.
fn secret_values(removed: &Removed) -> String {
    if removed.values == 1 {
        "1 secret value".to_owned()
    } else {
        format!("{} secret values", removed.values)
    }
}

/// The hops from the failed state to the root cause.
#[derive(Debug)]
pub(super) struct RootCausePath {
    /// One entry a hop.
    pub(super) hops: Vec<Sentence>,
    /// Where it ends.
    pub(super) root: Sentence,
    /// The execution it ends in, if that is another one.
    pub(super) elsewhere: Option<Sentence>,
}

/// The root cause path, if there is more than the failed state.
pub(super) fn root_cause_path(report: &Report) -> Option<RootCausePath> {
    let root = report.analysis.root_cause.as_ref().filter(|root| !root.via.is_empty())?;
    let mut last = match &root.state {
        Some(state) => Sentence::default().place(state, &[]).words(" failed"),
        None => words("It ended without a state that failed"),
    };
    if let Some(error) = root.error.as_deref().and_then(said) {
        last = last.words(": ").error(error);
    }
    let elsewhere = root.execution_arn.as_ref();
    let elsewhere = elsewhere.filter(|arn| Some(*arn) != report.event_info.execution_arn.as_ref());
    Some(RootCausePath {
        hops: root.via.iter().map(hop).collect(),
        root: last,
        elsewhere: elsewhere.map(|arn| words("in ").arn(arn)),
    })
}

fn hop(hop: &Hop) -> Sentence {
    let state = match &hop.state {
        Some(state) => Sentence::default().place(state, &[]),
        None => words("it"),
    };
    let into = hop.into.as_deref().unwrap_or_default();
    match hop.how {
        HopKind::Caught => state.words(" reports an error that was caught"),
        HopKind::NestedExecution => state.words(" ran the execution ").arn(into),
        HopKind::MapRun => state.words(" ran the Map run ").arn(into),
    }
}

/// One failed attempt, each of its values as text.
#[derive(Debug)]
pub(super) struct Try {
    /// Counted from 1.
    pub(super) number: usize,
    /// The time of day at which it began.
    pub(super) began: Option<String>,
    /// How long it took.
    pub(super) took: Option<String>,
    /// How long after the end of the one before it began.
    pub(super) pause: Option<String>,
    /// Its error.
    pub(super) error: Sentence,
}

/// The last `most` failed attempts, and how many came before them. A single attempt is no list.
pub(super) fn tries(report: &Report, most: usize) -> Option<(usize, Vec<Try>)> {
    let failed = report.analysis.failed_state.as_ref().filter(|failed| failed.attempts.len() > 1)?;
    let hidden = failed.attempts.len().saturating_sub(most);
    let tried = |(at, attempt): (usize, &FailedAttempt)| {
        let before = at.checked_sub(1).and_then(|before| failed.attempts[before].ended_at);
        let took = attempt.started_at.zip(attempt.ended_at);
        Try {
            number: at + 1,
            began: attempt.started_at.map(clock),
            took: took.map(|(began, ended)| span(began, ended)),
            pause: before.zip(attempt.started_at).map(|(before, began)| span(before, began)),
            error: Sentence::default().error_or_none(attempt.error.as_deref()),
        }
    };
    Some((hidden, failed.attempts.iter().enumerate().skip(hidden).map(tried).collect()))
}

/// The root cause as it was written, unless the message already says it all; then the cause that the
/// failed state gave, where that is another one.
pub(super) fn causes(report: &Report) -> Vec<(Sentence, &str)> {
    let analysis = &report.analysis;
    let deepest = analysis.root_cause.as_ref().map_or(&analysis.cause, |root| &root.cause);
    let deepest = deepest.as_deref().and_then(said);
    let mut causes = Vec::new();
    let whole = deepest.filter(|cause| !says_all(analysis.deepest_cause(), cause));
    causes.extend(whole.map(|cause| (words("Cause"), cause)));
    if let Some(failed) = &analysis.failed_state
        && let Some(own) = failed.cause.as_deref().and_then(said).filter(|own| deepest != Some(*own))
    {
        causes.push((words("Cause of ").place(&failed.name, &[]), own));
    }
    if let Some(probable) = &analysis.probable_cause
        && let Some(cause) = probable.cause.as_deref().and_then(said)
        && !says_all(probable.parsed.as_ref(), cause)
    {
        causes.push((words("Cause of ").place(&probable.state, &[]), cause));
    }
    causes
}

/// Whether the message or the stack of a cause is all of it.
fn says_all(parsed: Option<&ParsedCause>, cause: &str) -> bool {
    let parts = parsed.map(|parsed| [&parsed.message, &parsed.stack]);
    let same = |part: &str| part.trim() == cause.trim() || *part == *cause::in_lines(cause.trim());
    parts.is_some_and(|parts| parts.into_iter().flatten().any(|part| same(part)))
}

/// The inputs of the failed state and of the execution, each once, as JSON text.
pub(super) fn inputs(report: &Report) -> Vec<(Sentence, &str)> {
    let failed = report.analysis.failed_state.as_ref();
    let own = failed.and_then(|failed| Some((failed, failed.input.as_deref()?)));
    let payload = report.event_details.payload.as_deref();
    let whole = payload.filter(|payload| own.is_none_or(|(_, own)| own != *payload));
    let own = own.map(|(failed, input)| (words("Input of ").place(&failed.name, &[]), input));
    own.into_iter().chain(whole.map(|payload| (words("Input of the execution"), payload))).collect()
}

/// A state in flight: what it was doing, and since when.
pub(super) fn in_flight(state: &InFlight, report: &Report) -> Sentence {
    let phase = match state.phase {
        Phase::Entered => "entered",
        Phase::Scheduled => "scheduled, not started",
        Phase::Started => "running",
        Phase::Submitted => "submitted, waiting for its end",
        Phase::Waiting => "waiting",
        Phase::Backoff => "failed, waiting for its next attempt",
    };
    let mut doing = format!(" ({}) {phase}", harmless(state.r#type.as_str()));
    if let Some(since) = state.since {
        let ended = report.timeline.as_ref().and_then(|timeline| timeline.ended).and_then(|ended| ended.at);
        let age = ended.map(|ended| format!(" for {}", span(since, ended))).unwrap_or_default();
        doing.push_str(&format!("{age} since {}", clock(since)));
    }
    let sentence = Sentence::default().place(&state.name, &state.path).words(doing);
    match state.last_error.as_ref().and_then(|last| last.error.as_deref()).and_then(said) {
        Some(error) => sentence.words(", last error ").error(error),
        None => sentence,
    }
}

/// Another state with an error, and its outcome.
pub(super) fn also_failed(one: &AlsoFailed) -> Sentence {
    let outcome = match one.outcome {
        LesserOutcome::Caught => "caught",
        LesserOutcome::Retried => "retried",
        LesserOutcome::Aborted => "aborted",
    };
    let mut sentence = Sentence::default().place(&one.name, &one.path);
    if let Some(error) = one.error.as_deref().and_then(said) {
        sentence = sentence.words(": ").error(error);
    }
    sentence.words(format!(" ({outcome})"))
}

/// What a reader should know about the grounds of the report.
pub(super) fn notes(report: &Report) -> Vec<Sentence> {
    let analysis = &report.analysis;
    let notes = analysis.notes.iter().map(|note| words(format!("note: {}", harmless(note))));
    let unread = analysis
        .unread
        .iter()
        .map(|unread| words("not read: ").arn(&unread.arn).words(format!(" ({})", harmless(&unread.why))));
    notes.chain(unread).chain(analysis.redacted.as_ref().map(removed)).collect()
}

/// That something is missing because it is secret.
fn removed(removed: &Removed) -> Sentence {
    let kinds: Vec<String> = removed
        .kinds
        .iter()
        .map(|(kind, values)| format!("{values} {}", harmless(&kind.replace('_', " "))))
        .collect();
    let values = secret_values(removed);
    words(format!("redacted: {values} removed ({})", kinds.join(", ")))
}

/// The execution's page. Anything else than an address on the web is no page.
pub(super) fn console(report: &Report) -> Option<String> {
    report.analysis.links.console.as_deref().and_then(page)
}

fn page(link: &str) -> Option<String> {
    Some(link).filter(|link| link.starts_with("https://")).map(address)
}

/// What was read for it; nothing, where the history could not be read.
pub(super) fn reading(report: &Report) -> Option<String> {
    if report.analysis.degraded.is_some() {
        return None;
    }
    let reading = &report.analysis.reading;
    let whole = if reading.complete { "the whole history" } else { "not the whole history" };
    let budget = if reading.budget_hit { ", then the budget of calls was used up" } else { "" };
    let calls = match reading.calls {
        0 => String::new(),
        1 => ", in 1 call".to_owned(),
        calls => format!(", in {calls} calls"),
    };
    Some(format!("read: {} events, {whole}{calls}{budget}", grouped(reading.events)))
}
