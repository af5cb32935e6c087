//! The report in Markdown, for a ticket or a chat: the answer first, then the path to the root cause,
//! the attempts and the inputs, no longer than people scroll.
//!
//! Every name is in a code span and every payload in a fenced block, so that nothing in them
//! can become a link, a mention or HTML, whatever renders it.

mod escape;

use super::Report;
use super::payload::{self, Payload};
use super::phrases::{self, MESSAGE, Part, Sentence};
use super::value::{grouped, short};
use super::{text, value};
use escape::{cell, code, fenced, prose};

/// Characters of an input or a cause.
const PAYLOAD: usize = 1_500;

/// Lines of an input, a cause or a stack trace.
const PAYLOAD_LINES: usize = 40;

/// Entries of a list before the rest is counted.
const LISTED: usize = 12;

/// Lines of the timeline.
const TIMELINE: usize = 60;

/// Renders a report.
pub fn render(report: &Report) -> String {
    let mut blocks = head(report);
    blocks.extend(incident(report));
    blocks.extend(root_cause_path(report));
    blocks.extend(ran(report));
    blocks.extend(attempts(report));
    blocks.extend(logged(report));
    blocks.extend(payloads(report));
    blocks.extend(in_flight(report));
    blocks.extend(also_failed(report));
    let timeline = text::timeline(report, TIMELINE);
    if !timeline.is_empty() {
        blocks.push("### Timeline".to_owned());
        blocks.push(fenced(&timeline.join("\n"), "text"));
    }
    blocks.extend(foot(report));
    let mut page = blocks.join("\n\n");
    page.push('\n');
    page
}

/// The answer, and where it is from.
fn head(report: &Report) -> Vec<String> {
    let (mark, status, _) = phrases::status(report);
    let answer = phrases::answer(report);
    let mut title = format!("## {mark} {status}");
    if let [first, ..] = &answer[..] {
        title.push_str(&format!(": {}", marked(first)));
    }
    let mut blocks = vec![title];
    blocks.extend(answer.iter().skip(1).map(marked));
    blocks.extend(phrases::message(report).map(|message| format!("> {}", prose(&message))));
    blocks.extend(phrases::probable_cause(report).map(|probable| format!("> {}", marked(&probable))));
    let ended = phrases::ended(report);
    let facts = [report.event_info.execution_arn.as_deref().map(|arn| code(&value::harmless(arn))), ended];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    if !facts.is_empty() {
        blocks.push(facts.join(" "));
    }
    blocks.extend(phrases::console(report).map(|page| link("AWS console", &page)));
    blocks.extend(phrases::grounds(report).iter().map(|(_, ground)| format!("_{}_", marked(ground))));
    blocks
}

fn incident(report: &Report) -> Vec<String> {
    let Some(note) = &report.analysis.incident else { return Vec::new() };
    let why = format!("Why they belong together: {}", prose(&note.reason));
    let which = marked(&phrases::incident::which(note));
    let mut blocks = vec!["### Incident".to_owned(), prose(&phrases::incident::sentence(note)), which, why];
    if !note.new_executions.is_empty() {
        blocks.push(format!("### {}", phrases::incident::title(note)));
        let executions = note.new_executions.iter().map(|one| marked(&phrases::incident::execution(one)));
        blocks.push(list(executions, 0));
    }
    blocks
}

fn root_cause_path(report: &Report) -> Vec<String> {
    let Some(way) = phrases::root_cause_path(report) else { return Vec::new() };
    let mut steps = way.hops;
    steps.push(way.root);
    let mut list = list(steps.iter().map(marked), 0);
    if let Some(elsewhere) = way.elsewhere {
        list.push_str(&format!(" {}", marked(&elsewhere)));
    }
    vec!["### Root cause".to_owned(), list]
}

fn ran(report: &Report) -> Vec<String> {
    let ran = phrases::ran(report);
    if ran.is_empty() {
        return Vec::new();
    }
    let told = ran.iter().map(|one| {
        let log = one.log.as_ref().map(marked);
        let console = one.console.as_deref().map(|page| link("console", page));
        let logs = one.logs.as_deref().map(|page| link("logs", page));
        let more = [log, console, logs].into_iter().flatten().map(|more| format!(" · {more}"));
        format!("{}{}", marked(&one.what), more.collect::<String>())
    });
    vec!["### Where it ran".to_owned(), list(told, 0)]
}

fn link(title: &str, page: &str) -> String {
    format!("[{title}](<{}>)", page.replace('&', "&amp;"))
}

fn attempts(report: &Report) -> Vec<String> {
    let Some((hidden, tries)) = phrases::tries(report, LISTED) else { return Vec::new() };
    let mut table = "| # | began | took | waited | error |\n|--:|---|--:|--:|---|".to_owned();
    if hidden > 0 {
        table.push_str(&format!("\n| | … {} earlier ones | | | |", grouped(hidden)));
    }
    for one in tries {
        let [began, took, pause] = [one.began, one.took, one.pause].map(Option::unwrap_or_default);
        let error = written(&one.error, cell);
        table.push_str(&format!("\n| {} | {began} | {took} | {pause} | {error} |", one.number));
    }
    vec!["### Failed attempts".to_owned(), table]
}

fn logged(report: &Report) -> Vec<String> {
    let Some((title, lines)) = phrases::logged(report) else { return Vec::new() };
    let text = lines.map_or_else(|why| prose(&why), |lines| fenced(&lines.join("\n"), "text"));
    vec![format!("### {}", marked(&title)), text]
}

fn payloads(report: &Report) -> Vec<String> {
    let stack = report.analysis.stack();
    let stack = stack.map(|stack| ("Stack".to_owned(), stack));
    let rest = phrases::causes(report).into_iter().chain(phrases::inputs(report));
    let rest = rest.map(|(title, text)| (marked(&title), text));
    let blocks = stack.into_iter().chain(rest);
    blocks.flat_map(|(title, text)| [format!("### {title}"), block(payload::readable(text))]).collect()
}

fn in_flight(report: &Report) -> Vec<String> {
    let states = &report.analysis.in_flight;
    if states.is_empty() {
        return Vec::new();
    }
    let told = states.iter().take(LISTED).map(|state| {
        let input = state.input.as_deref().map(|input| format!(", input {}", code(&short(input, MESSAGE))));
        format!("{}{}", marked(&phrases::in_flight(state, report)), input.unwrap_or_default())
    });
    vec!["### In flight".to_owned(), list(told, states.len().saturating_sub(LISTED))]
}

fn also_failed(report: &Report) -> Vec<String> {
    let also = &report.analysis.also_failed;
    if also.is_empty() {
        return Vec::new();
    }
    let told = also.iter().take(LISTED).map(|one| marked(&phrases::also_failed(one)));
    vec![format!("### {}", phrases::ALSO_FAILED), list(told, also.len().saturating_sub(LISTED))]
}

fn foot(report: &Report) -> Option<String> {
    let notes = phrases::notes(report);
    let lines: Vec<String> =
        notes.iter().map(marked).chain(phrases::reading(report).map(|reading| prose(&reading))).collect();
    (!lines.is_empty()).then(|| format!("---\n\n{}", list(lines.into_iter(), 0)))
}

fn list(items: impl Iterator<Item = String>, hidden: usize) -> String {
    let more = (hidden > 0).then(|| format!("… {} more", grouped(hidden)));
    let lines: Vec<String> = items.chain(more).map(|item| format!("- {item}")).collect();
    lines.join("\n")
}

fn block(payload: Payload) -> String {
    let payload = payload.cut(PAYLOAD, PAYLOAD_LINES);
    fenced(&payload.text, if payload.is_json { "json" } else { "text" })
}

/// A sentence with its names in code.
fn marked(sentence: &Sentence) -> String {
    written(sentence, code)
}

fn written(sentence: &Sentence, name: fn(&str) -> String) -> String {
    let text = sentence.written(|part| match part {
        Part::Words(words) => prose(words),
        Part::Place(_) | Part::Arn(_) | Part::Error(_) | Part::Name(_) => name(&part.plain()),
    });
    text.trim_start().to_owned()
}
