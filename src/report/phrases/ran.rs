//! Where a step ran, and the last lines of its log, in sentences.

use super::{MESSAGE, NAME, Sentence, page, words};
use crate::analysis::resources::Resource;
use crate::logs::LogLine;
use crate::report::Report;
use crate::report::value::{clock, harmless, short};

/// What a state called, and where that writes its log.
#[derive(Debug)]
pub(in crate::report) struct Ran {
    /// What was called.
    pub(in crate::report) what: Sentence,
    /// Its log, by name.
    pub(in crate::report) log: Option<Sentence>,
    /// Its page.
    pub(in crate::report) console: Option<String>,
    /// The page of its log.
    pub(in crate::report) logs: Option<String>,
}

/// What the root cause's state and the failed state called.
pub(in crate::report) fn ran(report: &Report) -> Vec<Ran> {
    report.analysis.resources.iter().map(ran_in).collect()
}

fn ran_in(resource: &Resource) -> Ran {
    let state = Sentence::default().place(&resource.state, &[]).words(": ");
    Ran {
        what: Sentence(state.0.into_iter().chain(called(resource).0).collect()),
        log: log(resource),
        console: resource.console.as_deref().and_then(page),
        logs: resource.logs.as_deref().and_then(page),
    }
}

/// `Lambda function charge, request 8d2a…, 404`.
pub(in crate::report) fn called(resource: &Resource) -> Sentence {
    let (noun, run) = resource.words();
    let mut sentence = words(harmless(noun));
    match (&resource.name, &resource.operation) {
        (Some(name), _) => sentence = sentence.words(" ").name(name),
        (None, Some(operation)) => sentence = sentence.words(format!(" ({})", short(operation, NAME))),
        (None, None) => {}
    }
    if let Some(id) = resource.id.as_ref().filter(|id| Some(*id) != resource.name.as_ref()) {
        sentence = sentence.words(format!(", {run} ")).name(id);
    }
    match &resource.status {
        Some(status) => sentence.words(", ").name(status),
        None => sentence,
    }
}

/// `log /aws/batch/job, stream charge/default/1a2b`.
pub(in crate::report) fn log(resource: &Resource) -> Option<Sentence> {
    let sentence = words("log ").name(resource.log_group.as_deref()?);
    Some(match &resource.log_stream {
        Some(prefix) if prefix.ends_with('/') => sentence.words(", streams ").name(&format!("{prefix}…")),
        Some(stream) => sentence.words(", stream ").name(stream),
        None => sentence,
    })
}

/// The last lines of the log of what failed, under their title; or why there are none.
pub(in crate::report) fn logged(report: &Report) -> Option<(Sentence, Result<Vec<String>, String>)> {
    let logs = report.analysis.logs.as_ref()?;
    let mut title = words("Log");
    for name in [&logs.log_group, &logs.log_stream].into_iter().flatten() {
        title = title.words(" ").name(name);
    }
    if let Some(error) = &logs.error {
        return Some((title, Err(short(error, MESSAGE))));
    }
    let written = |line: &LogLine| {
        let at = line.at.map(|at| format!("{}  ", clock(at))).unwrap_or_default();
        format!("{at}{}", harmless(&line.text))
    };
    Some((title, Ok(logs.lines.iter().map(written).collect())))
}
