//! The report as a page: one file that loads nothing, with the answer on top, the timeline drawn,
//! and inputs and causes folded.
//!
//! maud escapes every text, except the style and the script, which are constants. The page's
//! Content-Security-Policy allows nothing else. Without the script only the copy buttons are missing.

mod scale;
mod timeline;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::Report;
use super::payload::{self, Payload};
use super::phrases::{self, Part, Sentence, Tone};
use super::value::{address, grouped, harmless};
use crate::aws::arn::ExecutionArn;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// Characters of an input or a cause; AWS allows 256 KiB.
const PAYLOAD: usize = 262_144;

/// Characters of the input of one of many states in flight.
const LESSER_PAYLOAD: usize = 2_000;

/// Lines of any of them.
const LINES: usize = 20_000;

/// Entries of a list before the rest is folded.
const LISTED: usize = 8;

/// Entries of a list, folded ones included, before the rest is counted.
const LISTED_AT_ALL: usize = 100;

/// Attempts in the table before the earlier ones are counted.
const ATTEMPTS: usize = 50;

/// Lines of a stack trace that is shown unfolded.
const SHORT_STACK: usize = 15;

/// Renders a report.
pub fn render(report: &Report) -> String {
    let answer = phrases::answer(report);
    let (mark, status, tone) = phrases::status(report);
    let title = answer.first().map_or_else(|| status.to_owned(), Sentence::plain);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                meta name="generator" content=(concat!("misstep ", env!("CARGO_PKG_VERSION")));
                title { (mark) " " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header.(class(tone)) { (head(report, &answer)) }
                main {
                    (incident(report))
                    (root_cause_path(report))
                    (ran(report))
                    @if let Some(timeline) = &report.timeline { (timeline::section(timeline)) }
                    (attempts(report))
                    (logged(report))
                    (payloads(report))
                    (in_flight(report))
                    (also_failed(report))
                }
                footer { (foot(report)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    let mut page = page.into_string();
    page.push('\n');
    page
}

/// Nothing is loaded, and nothing runs but the style and the script that were written here.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

fn head(report: &Report, answer: &[Sentence]) -> Markup {
    let (mark, status, tone) = phrases::status(report);
    let info = &report.event_info;
    let facts = [
        ("Execution", info.execution_arn.as_deref()),
        ("State machine", info.state_machine_arn.as_deref()),
        ("Application", report.analysis.application.as_deref()),
        ("Environment", Some(info.env.as_str()).filter(|env| !env.is_empty())),
    ];
    html! {
        p.status {
            span.chip.(class(tone)) { span aria-hidden="true" { (mark) } " " (status) }
            @if let Some(ended) = phrases::ended(report) { " " span.when { (ended) } }
        }
        @if let [first, rest @ ..] = answer {
            h1 { (told(first)) }
            @for sentence in rest { p { (told(sentence)) } }
        } @else {
            h1 { "The execution " (status) }
        }
        @if let Some(message) = phrases::message(report) {
            p.message dir="auto" { (message) }
        }
        @if let Some(probable) = phrases::probable_cause(report) {
            p.message dir="auto" { (told(&probable)) }
        }
        @for (tone, ground) in phrases::grounds(report) {
            p.ground.(class(tone)) { (told(&ground)) }
        }
        @if facts.iter().any(|(_, fact)| fact.is_some()) {
            dl {
                @for (name, fact) in facts {
                    @if let Some(fact) = fact { div { dt { (name) } dd { bdi { (harmless(fact)) } } } }
                }
            }
        }
        @if let Some(page) = phrases::console(report) {
            p { a.console href=(page) rel="noreferrer noopener" { "Open in the AWS console" } }
        }
    }
}

fn root_cause_path(report: &Report) -> Markup {
    let Some(way) = phrases::root_cause_path(report) else { return html! {} };
    html! {
        section aria-labelledby="root" {
            h2 #root { "Root cause" }
            ol.way {
                @for hop in &way.hops { li { (told(hop)) } }
                li.root {
                    (told(&way.root))
                    @if let Some(elsewhere) = &way.elsewhere { div { (told(elsewhere)) } }
                }
            }
        }
    }
}

fn ran(report: &Report) -> Markup {
    let ran = phrases::ran(report);
    if ran.is_empty() {
        return html! {};
    }
    html! {
        section aria-labelledby="ran" {
            h2 #ran { "Where it ran" }
            ul.states {
                @for one in &ran {
                    li {
                        (told(&one.what))
                        @if let Some(log) = &one.log { div { (told(log)) } }
                        @if one.console.is_some() || one.logs.is_some() {
                            div {
                                @for (title, page) in [("Logs", &one.logs), ("Console", &one.console)] {
                                    @if let Some(page) = page { (link(title, page)) " " }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn link(title: &str, page: &str) -> Markup {
    html! { a href=(page) rel="noreferrer noopener" { (title) } }
}

fn attempts(report: &Report) -> Markup {
    let Some((hidden, tries)) = phrases::tries(report, ATTEMPTS) else { return html! {} };
    html! {
        section aria-labelledby="attempts" {
            h2 #attempts { "Failed attempts" }
            (more(hidden, "earlier ones"))
            table {
                thead {
                    tr {
                        th.number scope="col" { "#" }
                        th scope="col" { "Began" }
                        th.number scope="col" { "Took" }
                        th.number scope="col" { "Waited" }
                        th scope="col" { "Error" }
                    }
                }
                tbody {
                    @for one in &tries {
                        tr {
                            td.number { (one.number) }
                            td { @if let Some(began) = &one.began { (began) } }
                            td.number { @if let Some(took) = &one.took { (took) } }
                            td.number { @if let Some(pause) = &one.pause { (pause) } }
                            td { (told(&one.error)) }
                        }
                    }
                }
            }
        }
    }
}

fn logged(report: &Report) -> Markup {
    let Some((title, lines)) = phrases::logged(report) else { return html! {} };
    html! {
        section aria-labelledby="log" {
            h2 #log { (told(&title)) }
            @match lines {
                Ok(lines) => { div.payload { pre dir="auto" tabindex="0" { (lines.join("\n")) } } }
                Err(why) => { p { (why) } }
            }
        }
    }
}

fn payloads(report: &Report) -> Markup {
    let stack = report.analysis.stack();
    let causes = phrases::causes(report);
    let inputs = phrases::inputs(report);
    if stack.is_none() && causes.is_empty() && inputs.is_empty() {
        return html! {};
    }
    html! {
        section aria-labelledby="payloads" {
            h2 #payloads { "Cause and input" }
            @if let Some(stack) = stack {
                (folded(html! { "Stack" }, stack, PAYLOAD, stack.lines().count() <= SHORT_STACK))
            }
            @for (title, text) in causes.iter().chain(&inputs) {
                (folded(told(title), text, PAYLOAD, false))
            }
        }
    }
}

fn in_flight(report: &Report) -> Markup {
    let states = &report.analysis.in_flight;
    if states.is_empty() {
        return html! {};
    }
    html! {
        section aria-labelledby="flight" {
            h2 #flight { "In flight" span.count { (grouped(states.len())) } }
            (listed(states, |state| html! {
                (told(&phrases::in_flight(state, report)))
                @if let Some(input) = &state.input {
                    (folded(html! { "Input" }, input, LESSER_PAYLOAD, false))
                }
            }))
        }
    }
}

fn also_failed(report: &Report) -> Markup {
    let also = &report.analysis.also_failed;
    if also.is_empty() {
        return html! {};
    }
    html! {
        section aria-labelledby="also" {
            h2 #also { (phrases::ALSO_FAILED) span.count { (grouped(also.len())) } }
            (listed(also, |one| told(&phrases::also_failed(one))))
        }
    }
}

/// A list of which all but the first are folded.
fn listed<T>(all: &[T], entry: impl Fn(&T) -> Markup) -> Markup {
    let (shown, rest) = all.split_at(all.len().min(LISTED));
    let listed = &rest[..rest.len().min(LISTED_AT_ALL - LISTED)];
    html! {
        ul.states { @for one in shown { li { (entry(one)) } } }
        @if !rest.is_empty() {
            details.rest {
                summary { (grouped(rest.len())) " more" }
                ul.states { @for one in listed { li { (entry(one)) } } }
                (more(rest.len() - listed.len(), "more"))
            }
        }
    }
}

fn incident(report: &Report) -> Markup {
    let Some(note) = &report.analysis.incident else { return html! {} };
    html! {
        section {
            h2 { "Incident" }
            p { (phrases::incident::sentence(note)) }
            p { (told(&phrases::incident::which(note))) }
            p dir="auto" { "Why they belong together: " (note.reason) }
            @if !note.new_executions.is_empty() {
                h3 { (phrases::incident::title(note)) }
                ul { @for one in &note.new_executions { li { (told(&phrases::incident::execution(one))) } } }
            }
        }
    }
}

fn foot(report: &Report) -> Markup {
    html! {
        @for note in phrases::notes(report) { p { (told(&note)) } }
        p {
            @if let Some(reading) = phrases::reading(report) { (reading) ". " }
            "Explained by misstep " (env!("CARGO_PKG_VERSION")) "."
        }
    }
}

fn more(hidden: usize, of: &str) -> Markup {
    html! { @if hidden > 0 { p.more { "… " (grouped(hidden)) " " (of) } } }
}

/// A text that may be long, under its title.
fn folded(title: Markup, text: &str, most: usize, is_open: bool) -> Markup {
    let length = text.chars().count();
    let Payload { text, is_json } = payload::readable(text).cut(most, LINES);
    let kind = if is_json { "JSON, " } else { "" };
    html! {
        details open[is_open] {
            summary { span.title { (title) } " " span.size { (kind) (grouped(length)) " characters" } }
            div.payload {
                pre dir=(if is_json { "ltr" } else { "auto" }) tabindex="0" { (text) }
            }
        }
    }
}

/// A sentence with its names marked, each kept from turning the text around it.
fn told(sentence: &Sentence) -> Markup {
    html! {
        @for part in sentence.parts() {
            @match part {
                Part::Words(words) => (words),
                Part::Place(names) => span.place {
                    @for (at, name) in names.iter().enumerate() {
                        @if at > 0 { span.within { " > " } }
                        bdi { (name) }
                    }
                },
                Part::Arn(arn) => code { (linked(arn)) },
                Part::Error(error) => code.error { bdi { (error) } },
                Part::Name(name) => code { bdi { (name) } },
            }
        }
    }
}

/// An ARN, as a link where it is an execution's.
fn linked(arn: &str) -> Markup {
    html! {
        @if let Some(page) = ExecutionArn::parse(arn).ok().and_then(|execution| execution.console_url()) {
            a href=(address(&page)) rel="noreferrer noopener" { bdi { (arn) } }
        } @else {
            bdi { (arn) }
        }
    }
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Odd => "odd",
        Tone::Bad => "bad",
        Tone::Faint => "faint",
    }
}
