//! The timeline as a tree: states in their Map iterations and Parallel branches.
//!
//! What went wrong is shown, and what is around it; the rest is folded into a count, so that a
//! history of 25,000 events fits on a few screens.

use super::paint::Paint;
use super::value::{clock, grouped, harmless, short, span};
use crate::analysis::timeline::{InstanceId, Outcome, ScopeId, ScopeKind, Timeline};

/// States of one scope that are shown before some are folded.
const IN_A_ROW: usize = 12;

/// Iterations of one Map that are shown.
const ITERATIONS: usize = 4;

/// Lines of a whole tree. A tree this long has stopped being one.
const LINES: usize = 200;

/// How deeply lines are indented at most.
const DEEPEST_INDENT: usize = 24;

/// Characters of an error's name that are shown.
const ERROR: usize = 80;

enum Item {
    State(InstanceId),
    Scope(ScopeId),
    Folded(String),
}

pub(super) fn tree(timeline: &Timeline, paint: Paint) -> Vec<String> {
    let shape = Shape::of(timeline);
    let mut lines = Vec::new();
    let mut left: Vec<(usize, Item)> = Vec::new();
    for scope in [ScopeId::UNREAD, ScopeId::BODY] {
        left.extend(shape.states(timeline, scope).into_iter().rev().map(|item| (0, item)));
    }
    while let Some((depth, item)) = left.pop() {
        if lines.len() == LINES {
            lines.push(paint.faint("… and more"));
            break;
        }
        let indent = "  ".repeat(depth.min(DEEPEST_INDENT));
        match item {
            Item::Folded(text) => lines.push(format!("{indent}{}", paint.faint(text))),
            Item::Scope(scope) => {
                lines.push(format!("{indent}{}", paint.faint(label(timeline, scope))));
                left.extend(shape.states(timeline, scope).into_iter().rev().map(|item| (depth + 1, item)));
            }
            Item::State(id) => {
                lines.push(format!("{indent}{}", state(timeline, id, paint)));
                left.extend(shape.scopes(timeline, id).into_iter().rev().map(|item| (depth + 1, item)));
            }
        }
    }
    lines
}

fn label(timeline: &Timeline, scope: ScopeId) -> String {
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

fn state(timeline: &Timeline, id: InstanceId, paint: Paint) -> String {
    let instance = timeline.instance(id);
    let name = harmless(&instance.name);
    let marked = match instance.outcome {
        Outcome::Succeeded => format!("{} {name}", paint.good("✓")),
        Outcome::Failed => format!("{} {}", paint.bad("✗"), paint.bad(name)),
        Outcome::Caught => format!("{} {name}", paint.odd("↷")),
        Outcome::Retried => format!("{} {name}", paint.odd("↻")),
        Outcome::Aborted => format!("{} {name}", paint.faint("⊘")),
        Outcome::Open => format!("{} {}", paint.odd("…"), paint.strong(name)),
    };
    let mut line = format!("{marked}  {}", paint.faint(&instance.state_type));
    let entered = instance.entered.and_then(|entered| entered.at);
    let ended = instance.exited.or(timeline.ended).and_then(|ended| ended.at);
    if let Some(entered) = entered {
        line.push_str(&format!("  {}", paint.faint(clock(entered))));
        if let Some(ended) = ended {
            line.push_str(&format!("  {}", span(entered, ended)));
        }
    }
    if instance.attempts.len() > 1 {
        line.push_str(&format!("  {} attempts", grouped(instance.attempts.len())));
    }
    if let Some(error) = instance.last_failed().and_then(|attempt| attempt.error.as_deref()) {
        line.push_str(&format!("  {}", paint.odd(short(error, ERROR))));
    }
    let word = match instance.outcome {
        Outcome::Caught => "caught",
        Outcome::Retried => "retried",
        Outcome::Aborted => "aborted",
        Outcome::Open => "in flight",
        Outcome::Succeeded | Outcome::Failed => return line,
    };
    format!("{line}  {}", paint.faint(word))
}

/// What lies in what, and where something went wrong.
struct Shape {
    in_scope: Vec<Vec<InstanceId>>,
    in_state: Vec<Vec<ScopeId>>,
    went_wrong: Vec<bool>,
}

impl Shape {
    fn of(timeline: &Timeline) -> Self {
        let mut in_scope = vec![Vec::new(); timeline.scopes.len()];
        let mut in_state = vec![Vec::new(); timeline.instances.len()];
        let mut went_wrong = vec![false; timeline.instances.len()];
        for (index, scope) in timeline.scopes.iter().enumerate() {
            if let Some(container) = scope.container {
                in_state[container.0].push(ScopeId(index));
            }
        }
        for (index, instance) in timeline.instances.iter().enumerate() {
            in_scope[instance.scope.0].push(InstanceId(index));
        }
        // From the last to the first, since a container comes before what it contains.
        for index in (0..timeline.instances.len()).rev() {
            let id = InstanceId(index);
            let instance = timeline.instance(id);
            went_wrong[index] |= instance.outcome != Outcome::Succeeded || instance.last_failed().is_some();
            if went_wrong[index]
                && let Some(container) = timeline.container(id)
            {
                went_wrong[container.0] = true;
            }
        }
        Self { in_scope, in_state, went_wrong }
    }

    /// The states of a scope: those that went wrong, the first, and the ones before each.
    fn states(&self, timeline: &Timeline, scope: ScopeId) -> Vec<Item> {
        let all = &self.in_scope[scope.0];
        let mut shown = vec![all.len() <= IN_A_ROW; all.len()];
        if all.len() > IN_A_ROW {
            let wrong: Vec<usize> = (0..all.len()).filter(|at| self.went_wrong[all[*at].0]).collect();
            // The last ones matter most: the end of the execution is among them.
            for &at in wrong.iter().rev().take(IN_A_ROW) {
                shown[at.saturating_sub(1)] = true;
                shown[at] = true;
            }
            shown[0] = true;
            shown[all.len() - 1] = true;
        }
        folded(
            all,
            &shown,
            |id| Item::State(*id),
            |hidden| {
                format!(
                    "… {} more states{}",
                    grouped(hidden.len()),
                    outcomes(timeline, hidden.iter().copied())
                )
            },
        )
    }

    /// The iterations or branches in a state: those in which something went wrong, else the first.
    fn scopes(&self, timeline: &Timeline, id: InstanceId) -> Vec<Item> {
        let all = &self.in_state[id.0];
        if all.len() <= ITERATIONS {
            return all.iter().copied().map(Item::Scope).collect();
        }
        let holds = |scope: &ScopeId, outcome: fn(Outcome) -> bool| {
            self.in_scope[scope.0].iter().any(|id| outcome(timeline.instance(*id).outcome))
        };
        let mut rank: Vec<usize> = (0..all.len()).collect();
        rank.sort_by_key(|at| {
            let scope = &all[*at];
            if holds(scope, |outcome| outcome == Outcome::Failed) {
                0
            } else if self.in_scope[scope.0].iter().any(|id| self.went_wrong[id.0]) {
                if holds(scope, |outcome| outcome == Outcome::Aborted) { 2 } else { 1 }
            } else {
                3
            }
        });
        let mut shown = vec![false; all.len()];
        for at in rank.into_iter().take(ITERATIONS) {
            shown[at] = true;
        }
        folded(
            all,
            &shown,
            |scope| Item::Scope(*scope),
            |hidden| {
                let inside = hidden.iter().filter_map(|scope| self.in_scope[scope.0].last().copied());
                format!("… {} more{}", grouped(hidden.len()), outcomes(timeline, inside))
            },
        )
    }
}

/// The shown ones as items, with each run of hidden ones as one.
fn folded<T>(
    all: &[T],
    shown: &[bool],
    item: impl Fn(&T) -> Item,
    fold: impl Fn(&[T]) -> String,
) -> Vec<Item> {
    let mut items = Vec::new();
    let mut at = 0;
    while at < all.len() {
        let run = shown[at..].iter().take_while(|shown| !**shown).count();
        if run > 0 {
            items.push(Item::Folded(fold(&all[at..at + run])));
        } else {
            items.push(item(&all[at]));
        }
        at += run.max(1);
    }
    items
}

/// `: 90 succeeded, 7 aborted`, of the last state of each.
fn outcomes(timeline: &Timeline, ids: impl Iterator<Item = InstanceId>) -> String {
    let mut counts = [0_usize; 6];
    for id in ids {
        counts[match timeline.instance(id).outcome {
            Outcome::Succeeded => 0,
            Outcome::Failed => 1,
            Outcome::Caught => 2,
            Outcome::Retried => 3,
            Outcome::Aborted => 4,
            Outcome::Open => 5,
        }] += 1;
    }
    let words = ["succeeded", "failed", "caught", "retried", "aborted", "in flight"];
    let parts: Vec<String> = counts
        .iter()
        .zip(words)
        .filter(|(count, _)| **count > 0)
        .map(|(count, word)| format!("{} {word}", grouped(*count)))
        .collect();
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
}
