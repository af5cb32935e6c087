//! The timeline drawn: a row for each state, with its bar in SVG.
//!
//! Every row has a drawing of its own whose places are percentages, so that the browser can lay
//! rows out for any width. How many elements there are is bounded by the rows of the outline.

use jiff::Timestamp;
use maud::{Markup, html};

use super::scale::Scale;
use crate::analysis::timeline::{Attempt, Instance, InstanceId, StateOutcome, Timeline};
use crate::history::StateType;
use crate::report::outline::{self, OutlineGroup, OutlineRow, What};
use crate::report::phrases::NAME;
use crate::report::value::{clock, grouped, harmless, short, span};

/// Rows at most.
const ROWS: usize = 200;

/// Attempts that are drawn, the last ones; the rest is counted.
const ATTEMPTS: usize = 20;

/// Columns of the drawing of what is folded.
const COLUMNS: usize = 40;

/// The height of the drawing of what is folded.
const HEIGHT: usize = 16;

/// What is narrower than this is drawn two pixels wide.
const NARROWEST: f64 = 0.004;

/// Deeper than this, rows are indented no more.
const DEEPEST: usize = 6;

/// Characters of an error's name.
const ERROR: usize = 80;

/// The section with the timeline.
pub(super) fn section(timeline: &Timeline) -> Markup {
    let rows = outline::rows(timeline, ROWS);
    let all = (0..timeline.instances.len()).map(InstanceId);
    let of_states = all.map(|id| outline::span(timeline, id)).flat_map(|(began, ended)| [began, ended]);
    let of_whole = [timeline.began, timeline.ended].map(|moment| moment.and_then(|moment| moment.at));
    let Some(scale) = Scale::over(of_states.chain(of_whole).flatten()) else {
        return drawn(timeline, &rows, None);
    };
    drawn(timeline, &rows, Some(scale))
}

fn drawn(timeline: &Timeline, rows: &[OutlineRow], scale: Option<Scale>) -> Markup {
    let marks = scale.map(Scale::marks).unwrap_or_default();
    html! {
        section aria-labelledby="timeline" {
            h2 #timeline { "Timeline" }
            svg.defs aria-hidden="true" width="0" height="0" {
                defs {
                    pattern #hatch width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                        rect width="2.5" height="6" {}
                    }
                    g #grid {
                        @for (place, _) in &marks {
                            line x1=(percent(*place)) x2=(percent(*place)) y1="-6" y2="100%" {}
                        }
                    }
                }
            }
            div.axis aria-hidden="true" {
                svg.chart {
                    @for (place, said) in &marks {
                        @let anchor = if *place > 0.93 { "end" } else if *place > 0.02 { "middle" } else { "start" };
                        text x=(percent(*place)) y="13" text-anchor=(anchor) { (said) }
                    }
                }
            }
            ol.timeline role="list" {
                @for row in rows {
                    (self::row(timeline, row, scale))
                }
            }
            (legend(timeline, rows))
        }
    }
}

fn row(timeline: &Timeline, row: &OutlineRow, scale: Option<Scale>) -> Markup {
    let depth = format!("in{}", row.depth.min(DEEPEST));
    match &row.what {
        What::State(id) => state(timeline, *id, &depth, scale),
        What::Lane(group) => html! {
            li.row.lane.way[group.failed].(depth) {
                div.label { bdi { (group.said) } }
                (chart(None, scale.map(|scale| stretch(group, scale))))
            }
        },
        What::Folded(group) => html! {
            li.row.folded.(depth) {
                div.label { (group.said) }
                (chart(Some("how many there were, over time"), scale.map(|scale| crowd(group, scale))))
            }
        },
    }
}

fn state(timeline: &Timeline, id: InstanceId, depth: &str, scale: Option<Scale>) -> Markup {
    let instance = timeline.instance(id);
    let (began, ended) = outline::span(timeline, id);
    let took = began.zip(ended).map(|(began, ended)| span(began, ended));
    let outcome = instance.outcome;
    let class = class(outcome);
    let tries = instance.attempts.len();
    let error = instance.last_failed().and_then(|attempt| attempt.error.as_deref());
    let error = error.filter(|error| !error.trim().is_empty());
    html! {
        li.row.(class).(depth) {
            div.label {
                span.mark aria-hidden="true" { (outline::mark(outcome)) }
                bdi.name { (short(&instance.name, NAME)) }
                " " span.type { (harmless(instance.state_type.as_str())) }
                @if tries > 1 { " " span.tries { (grouped(tries)) " attempts" } }
                @if outcome != StateOutcome::Succeeded { " " span.outcome { (outline::word(outcome)) } }
                @if let Some(error) = error { " " code.error { bdi { (short(error, ERROR)) } } }
            }
            @let told = told(instance, began, took.as_deref());
            (chart(Some(&told), scale.map(|scale| bar(instance, began, ended, scale))))
            div.took {
                @if let Some(took) = took { (took) @if outcome == StateOutcome::Open { "…" } }
            }
        }
    }
}

/// What a bar shows, in words.
fn told(instance: &Instance, began: Option<Timestamp>, took: Option<&str>) -> String {
    let mut told = outline::word(instance.outcome).to_owned();
    match began {
        Some(began) => told.push_str(&format!(", entered at {}", clock(began))),
        None => told.push_str(", entered at a time that is not known"),
    }
    if let Some(took) = took {
        told.push_str(&format!(", there for {took}"));
    }
    told
}

fn chart(title: Option<&str>, drawing: Option<Markup>) -> Markup {
    html! {
        @if let Some(title) = title {
            svg.chart role="img" {
                title { (title) }
                use.grid href="#grid" {}
                @if let Some(drawing) = drawing { (drawing) }
            }
        } @else {
            svg.chart aria-hidden="true" {
                use.grid href="#grid" {}
                @if let Some(drawing) = drawing { (drawing) }
            }
        }
    }
}

fn bar(instance: &Instance, began: Option<Timestamp>, ended: Option<Timestamp>, scale: Scale) -> Markup {
    let first = instance.attempts.first().and_then(|attempt| attempt.began).and_then(|began| began.at);
    let Some((from, to)) = began.or(first).or(ended).map(|from| ordered(from, ended.unwrap_or(from))) else {
        return html! {};
    };
    let (x, width) = between(from, to, scale);
    let kind = match instance.state_type {
        StateType::Map | StateType::Parallel => "around",
        _ => "bar",
    };
    let drawn = &instance.attempts[instance.attempts.len().saturating_sub(ATTEMPTS)..];
    let is_open = instance.outcome == StateOutcome::Open;
    html! {
        rect.(kind) x=(x) width=(width) y="4" height="12" rx="2" {}
        @if kind == "bar" {
            @for (from, to) in drawn.iter().filter_map(|attempt| times(attempt, to)) {
                @let (x, width) = between(from, to, scale);
                rect.try x=(x) width=(width) y="4" height="12" rx="2" {}
            }
        }
        @if instance.outcome == StateOutcome::Failed {
            rect.hatch x=(x) width=(width) y="4" height="12" rx="2" fill="url(#hatch)" {}
        }
        @for at in failures(drawn) {
            @let x = percent(scale.place(at));
            line.tick x1=(x) x2=(x) y1="1" y2="19" {}
        }
        @if is_open {
            svg.onward x=(percent(scale.place(to))) y="0" width="1" height="20" { path d="M-9 5 L-2 10 L-9 15" {} }
        }
    }
}

/// When attempts failed. One after which there is another failed, though a Map or a Parallel that
/// is tried again has no event for it; then it is the beginning of the next.
fn failures(attempts: &[Attempt]) -> impl Iterator<Item = Timestamp> {
    attempts.iter().enumerate().filter_map(|(at, attempt)| {
        let next = attempts.get(at + 1);
        let moment = match attempt.ended {
            Some(ended) if attempt.has_failed() || next.is_some() => Some(ended),
            _ => next?.began,
        };
        moment?.at
    })
}

/// From when to when an attempt ran; one without an end ran on to the end of its state.
fn times(attempt: &Attempt, to: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let began = attempt.began?.at?;
    Some(ordered(began, attempt.ended.and_then(|ended| ended.at).unwrap_or(to)))
}

/// A line from the first moment of a lane to its last.
fn stretch(group: &OutlineGroup, scale: Scale) -> Markup {
    let from = group.spans.iter().map(|(from, _)| *from).min();
    let to = group.spans.iter().map(|(_, to)| *to).max();
    html! {
        @if let Some((from, to)) = from.zip(to) {
            @let (x, width) = between(from, to, scale);
            rect.stretch x=(x) width=(width) y="9" height="2" {}
        }
    }
}

/// How many of the folded ones were there, over time.
fn crowd(group: &OutlineGroup, scale: Scale) -> Markup {
    let counts = counts(group, scale);
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let mut columns: Vec<(usize, usize, usize)> = Vec::new();
    for (at, count) in counts.into_iter().enumerate() {
        let height = (count * HEIGHT).div_ceil(most);
        match columns.last_mut() {
            Some((_, width, same)) if *same == height => *width += 1,
            _ => columns.push((at, 1, height)),
        }
    }
    html! {
        @for (at, width, height) in columns.into_iter().filter(|(_, _, height)| *height > 0) {
            rect.crowd x=(percent(share(at))) width=(percent(share(width))) y=(18 - height) height=(height) {}
        }
    }
}

fn counts(group: &OutlineGroup, scale: Scale) -> [usize; COLUMNS] {
    let mut counts = [0; COLUMNS];
    for (from, to) in &group.spans {
        let [from, to] = [from, to].map(|at| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 0 to 1 times 40"
            )]
            let column = (scale.place(*at) * columns()) as usize;
            column.min(COLUMNS - 1)
        });
        for count in &mut counts[from..=to] {
            *count += 1;
        }
    }
    counts
}

#[expect(clippy::cast_precision_loss, reason = "it is a small number")]
fn columns() -> f64 {
    COLUMNS as f64
}

#[expect(clippy::cast_precision_loss, reason = "it is a small number")]
fn share(column: usize) -> f64 {
    column as f64 / columns()
}

/// Clocks may have run backwards.
fn ordered(from: Timestamp, to: Timestamp) -> (Timestamp, Timestamp) {
    (from.min(to), from.max(to))
}

fn between(from: Timestamp, to: Timestamp, scale: Scale) -> (String, String) {
    let (from, to) = (scale.place(from), scale.place(to));
    // What took no time at all is there to be seen nevertheless.
    let width = if to - from < NARROWEST { "2".to_owned() } else { percent(to - from) };
    (percent(from), width)
}

fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn class(outcome: StateOutcome) -> &'static str {
    match outcome {
        StateOutcome::Succeeded => "succeeded",
        StateOutcome::Failed => "failed",
        StateOutcome::Caught => "caught",
        StateOutcome::Retried => "retried",
        StateOutcome::Aborted => "aborted",
        StateOutcome::Open => "open",
    }
}

/// What the marks mean, of those that are there.
fn legend(timeline: &Timeline, rows: &[OutlineRow]) -> Markup {
    let states = || {
        rows.iter().filter_map(|row| match row.what {
            What::State(id) => Some(timeline.instance(id)),
            _ => None,
        })
    };
    let has = |outcome| states().any(|instance| instance.outcome == outcome);
    let meanings = [
        (StateOutcome::Failed, "the way to the failure"),
        (StateOutcome::Succeeded, "succeeded"),
        (StateOutcome::Caught, "failed, and was caught"),
        (StateOutcome::Retried, "failed, and was tried again"),
        (StateOutcome::Aborted, "cut down with the one that failed"),
        (StateOutcome::Open, "in flight at the end"),
    ];
    let ticks = states().any(|instance| failures(&instance.attempts).next().is_some());
    let folded = rows.iter().any(|row| matches!(&row.what, What::Folded(group) if !group.spans.is_empty()));
    html! {
        p.legend {
            @for (outcome, meaning) in meanings.into_iter().filter(|(outcome, _)| has(*outcome)) {
                span.(class(outcome)) { span.mark { (outline::mark(outcome)) } " " (meaning) }
                " "
            }
            @if ticks { span { span.mark.tick { "|" } " end of a failed attempt" } " " }
            @if folded { span { span.mark { "▄" } " how many there were, over time" } }
        }
    }
}
