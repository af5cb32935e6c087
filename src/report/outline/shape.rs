//! What lies in what, and where something went wrong: which states and lanes are shown.

use jiff::Timestamp;

use super::{OutlineGroup, OutlineItem, outcomes, span};
use crate::analysis::timeline::{InstanceId, ScopeId, StateOutcome, Timeline};
use crate::report::value::grouped;

/// States of one scope that are shown before some are folded.
const IN_A_ROW: usize = 12;

/// Iterations of one Map that are shown.
const ITERATIONS: usize = 4;

/// What lies in what, and where something went wrong.
pub(super) struct Shape {
    in_scope: Vec<Vec<InstanceId>>,
    in_state: Vec<Vec<ScopeId>>,
    went_wrong: Vec<bool>,
}

impl Shape {
    pub(super) fn of(timeline: &Timeline) -> Self {
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
            went_wrong[index] |=
                instance.outcome != StateOutcome::Succeeded || instance.last_failed().is_some();
            if went_wrong[index]
                && let Some(container) = timeline.container(id)
            {
                went_wrong[container.0] = true;
            }
        }
        Self { in_scope, in_state, went_wrong }
    }

    /// The states of a scope: those that went wrong, the first, and the ones before each.
    pub(super) fn states(&self, timeline: &Timeline, scope: ScopeId) -> Vec<OutlineItem> {
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
        let mut items = Vec::new();
        let mut at = 0;
        while at < all.len() {
            let run = shown[at..].iter().take_while(|shown| !**shown).count();
            items.push(match &all[at..at + run] {
                [] => OutlineItem::State(all[at]),
                hidden => OutlineItem::Folded(OutlineGroup {
                    said: format!(
                        "… {} more states{}",
                        grouped(hidden.len()),
                        outcomes(timeline, hidden.iter().copied())
                    ),
                    spans: hidden.iter().filter_map(|id| across(timeline, &[*id])).collect(),
                    failed: hidden.iter().any(|id| timeline.instance(*id).outcome == StateOutcome::Failed),
                }),
            });
            at += run.max(1);
        }
        items
    }

    /// The iterations or branches in a state: those in which something went wrong, else the first.
    pub(super) fn scopes(&self, timeline: &Timeline, id: InstanceId) -> Vec<OutlineItem> {
        let all = &self.in_state[id.0];
        if all.len() <= ITERATIONS {
            return all.iter().copied().map(OutlineItem::Scope).collect();
        }
        let holds = |scope: &ScopeId, outcome: fn(StateOutcome) -> bool| {
            self.in_scope[scope.0].iter().any(|id| outcome(timeline.instance(*id).outcome))
        };
        let mut rank: Vec<usize> = (0..all.len()).collect();
        rank.sort_by_key(|at| {
            let scope = &all[*at];
            if holds(scope, |outcome| outcome == StateOutcome::Failed) {
                0
            } else if self.in_scope[scope.0].iter().any(|id| self.went_wrong[id.0]) {
                if holds(scope, |outcome| outcome == StateOutcome::Aborted) { 2 } else { 1 }
            } else {
                3
            }
        });
        let (shown, hidden) = rank.split_at_mut(ITERATIONS);
        // Iterations run at once: counted together they say more than between those shown.
        shown.sort_unstable();
        hidden.sort_unstable();
        let hidden: Vec<ScopeId> = hidden.iter().map(|at| all[*at]).collect();
        let inside = hidden.iter().filter_map(|scope| self.in_scope[scope.0].last().copied());
        let said = format!("… {} more{}", grouped(hidden.len()), outcomes(timeline, inside));
        let rest = OutlineItem::Folded(self.group(timeline, said, &hidden));
        shown.iter().map(|at| OutlineItem::Scope(all[*at])).chain([rest]).collect()
    }

    /// Some scopes in a row of their own.
    pub(super) fn group(&self, timeline: &Timeline, said: String, scopes: &[ScopeId]) -> OutlineGroup {
        let inside = |scope: &ScopeId| &self.in_scope[scope.0];
        OutlineGroup {
            said,
            spans: scopes.iter().filter_map(|scope| across(timeline, inside(scope))).collect(),
            failed: scopes
                .iter()
                .flat_map(inside)
                .any(|id| timeline.instance(*id).outcome == StateOutcome::Failed),
        }
    }
}

/// From the first moment of these states to the last.
fn across(timeline: &Timeline, ids: &[InstanceId]) -> Option<(Timestamp, Timestamp)> {
    let times =
        || ids.iter().map(|id| span(timeline, *id)).flat_map(|(began, ended)| [began, ended]).flatten();
    times().min().zip(times().max())
}
