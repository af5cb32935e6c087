//! The timeline as a tree: states in their Map iterations and Parallel branches.

use super::paint::Paint;
use crate::analysis::timeline::{InstanceId, StateOutcome, Timeline};
use crate::report::outline::{self, What};
use crate::report::phrases::NAME;
use crate::report::value::{clock, grouped, harmless, short, span};

/// How deeply lines are indented at most.
const DEEPEST_INDENT: usize = 24;

/// Characters of an error's name that are shown.
const ERROR: usize = 80;

pub(super) fn tree(timeline: &Timeline, most: usize, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    for row in outline::rows(timeline, most) {
        let text = match row.what {
            What::Lane(group) | What::Folded(group) => paint.faint(group.said),
            What::State(id) => state(timeline, id, paint),
        };
        lines.push(format!("{}{text}", "  ".repeat(row.depth.min(DEEPEST_INDENT))));
    }
    lines
}

fn state(timeline: &Timeline, id: InstanceId, paint: Paint) -> String {
    let instance = timeline.instance(id);
    let (name, mark) = (short(&instance.name, NAME), outline::mark(instance.outcome));
    let marked = match instance.outcome {
        StateOutcome::Succeeded => format!("{} {name}", paint.good(mark)),
        StateOutcome::Failed => format!("{} {}", paint.bad(mark), paint.bad(name)),
        StateOutcome::Caught | StateOutcome::Retried => format!("{} {name}", paint.odd(mark)),
        StateOutcome::Aborted => format!("{} {name}", paint.faint(mark)),
        StateOutcome::Open => format!("{} {}", paint.odd(mark), paint.strong(name)),
    };
    let mut line = format!("{marked}  {}", paint.faint(harmless(instance.state_type.as_str())));
    let (entered, ended) = outline::span(timeline, id);
    if let Some(entered) = entered {
        line.push_str(&format!("  {}", paint.faint(clock(entered))));
        if let Some(ended) = ended {
            line.push_str(&format!("  {}", span(entered, ended)));
        }
    }
    if instance.attempts.len() > 1 {
        line.push_str(&format!("  {} attempts", grouped(instance.attempts.len())));
    }
    let error = instance.last_failed().and_then(|attempt| attempt.error.as_deref());
    if let Some(error) = error.filter(|error| !error.trim().is_empty()) {
        line.push_str(&format!("  {}", paint.odd(short(error, ERROR))));
    }
    match instance.outcome {
        StateOutcome::Succeeded | StateOutcome::Failed => line,
        outcome => format!("{line}  {}", paint.faint(outline::word(outcome))),
    }
}
