//! The timeline in rows: states in their Map iterations and Parallel branches.
//!
//! What went wrong is shown, and what is around it; the rest is folded into a count, so that a
//! history of 25,000 events fits on a few screens.

mod shape;

use jiff::Timestamp;

use super::value::grouped;
use crate::analysis::timeline::{InstanceId, ScopeId, ScopeKind, StateOutcome, Timeline};
use shape::Shape;

/// A row of the timeline.
#[derive(Debug)]
pub(super) struct OutlineRow {
    /// How many rows it lies in.
    pub(super) depth: usize,
    /// What it shows.
    pub(super) what: What,
}

/// What a row shows.
#[derive(Debug)]
pub(super) enum What {
    /// A state.
    State(InstanceId),
    /// Where the next rows lie: `[3]`, `branch 1`, `branch 1 of run 2`.
    Lane(OutlineGroup),
    /// What is not shown: `… 97 more: 90 succeeded, 7 aborted`.
    Folded(OutlineGroup),
}

/// Several states in a row of their own.
#[derive(Debug)]
pub(super) struct OutlineGroup {
    /// What it is called.
    pub(super) said: String,
    /// When each of its parts was there, as far as that is known.
    pub(super) spans: Vec<(Timestamp, Timestamp)>,
    /// Whether the state whose failure ended the execution lies in it.
    pub(super) failed: bool,
}

enum OutlineItem {
    State(InstanceId),
    Scope(ScopeId),
    Folded(OutlineGroup),
}

/// The rows, at most so many, and a last row for those left out.
pub(super) fn rows(timeline: &Timeline, most: usize) -> Vec<OutlineRow> {
    let shape = Shape::of(timeline);
    let mut rows = Vec::new();
    let mut left: Vec<(usize, OutlineItem)> = Vec::new();
    for scope in [ScopeId::UNREAD, ScopeId::BODY] {
        left.extend(shape.states(timeline, scope).into_iter().rev().map(|item| (0, item)));
    }
    while let Some((depth, item)) = left.pop() {
        if rows.len() == most {
            let rest = OutlineGroup { said: "… and more".to_owned(), spans: Vec::new(), failed: false };
            rows.push(OutlineRow { depth: 0, what: What::Folded(rest) });
            break;
        }
        let inside: Vec<OutlineItem> = match &item {
            OutlineItem::Folded(_) => Vec::new(),
            OutlineItem::Scope(scope) => shape.states(timeline, *scope),
            OutlineItem::State(id) => shape.scopes(timeline, *id),
        };
        left.extend(inside.into_iter().rev().map(|item| (depth + 1, item)));
        let what = match item {
            OutlineItem::Folded(group) => What::Folded(group),
            OutlineItem::Scope(scope) => What::Lane(shape.group(timeline, lane(timeline, scope), &[scope])),
            OutlineItem::State(id) => What::State(id),
        };
        rows.push(OutlineRow { depth, what });
    }
    rows
}

fn lane(timeline: &Timeline, scope: ScopeId) -> String {
    let of = &timeline.scopes[scope.0];
    let label = match of.kind {
        ScopeKind::Iteration(index) => format!("[{index}]"),
        ScopeKind::Branch(branch) => format!("branch {}", branch + 1),
        ScopeKind::Body | ScopeKind::Unread => String::new(),
    };
    match of.container.map(|container| timeline.instance(container).attempts.len()) {
        Some(runs) if runs > 1 => format!("{label} of run {}", of.round),
        _ => label,
    }
}

/// When a state was entered, and when it ended in whichever way: for one in flight, the end of the
/// execution. A state that failed or was cut down is never exited, but ended all the same.
pub(super) fn span(timeline: &Timeline, id: InstanceId) -> (Option<Timestamp>, Option<Timestamp>) {
    let instance = timeline.instance(id);
    let began = instance.entered.and_then(|entered| entered.at);
    let last = instance.attempts.last().and_then(|attempt| attempt.ended);
    let around = || timeline.surroundings_ended(id);
    let ended = match instance.outcome {
        StateOutcome::Open => None,
        StateOutcome::Succeeded | StateOutcome::Aborted => instance.exited.or_else(around),
        StateOutcome::Caught | StateOutcome::Failed | StateOutcome::Retried => {
            instance.exited.or(last).or(instance.gave_up()).or_else(around)
        }
    };
    (began, ended.or(timeline.ended).and_then(|ended| ended.at))
}

/// The sign of an outcome.
pub(super) fn mark(outcome: StateOutcome) -> &'static str {
    match outcome {
        StateOutcome::Succeeded => "✓",
        StateOutcome::Failed => "✗",
        StateOutcome::Caught => "↷",
        StateOutcome::Retried => "↻",
        StateOutcome::Aborted => "⊘",
        StateOutcome::Open => "…",
    }
}

/// The word for an outcome.
pub(super) fn word(outcome: StateOutcome) -> &'static str {
    match outcome {
        StateOutcome::Succeeded => "succeeded",
        StateOutcome::Failed => "failed",
        StateOutcome::Caught => "caught",
        StateOutcome::Retried => "retried",
        StateOutcome::Aborted => "aborted",
        StateOutcome::Open => "in flight",
    }
}

/// `: 90 succeeded, 7 aborted`, of the last state of each.
fn outcomes(timeline: &Timeline, ids: impl Iterator<Item = InstanceId>) -> String {
    let mut counts = [
        StateOutcome::Succeeded,
        StateOutcome::Failed,
        StateOutcome::Caught,
        StateOutcome::Retried,
        StateOutcome::Aborted,
        StateOutcome::Open,
    ]
    .map(|outcome| (outcome, 0_usize));
    for id in ids {
        let outcome = timeline.instance(id).outcome;
        for (counted, count) in &mut counts {
            *count += usize::from(*counted == outcome);
        }
    }
    let parts: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(outcome, count)| format!("{} {}", grouped(*count), word(*outcome)))
        .collect();
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
}
