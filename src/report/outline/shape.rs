//! What lies in what, and where something went wrong: which states and lanes are shown.

use super::{Fold, Item, outcomes};
use crate::analysis::timeline::{InstanceId, Outcome, ScopeId, Timeline};
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
    pub(super) fn states(&self, timeline: &Timeline, scope: ScopeId) -> Vec<Item> {
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
            |hidden| Fold {
                said: format!(
                    "… {} more states{}",
                    grouped(hidden.len()),
                    outcomes(timeline, hidden.iter().copied())
                ),
            },
        )
    }

    /// The iterations or branches in a state: those in which something went wrong, else the first.
    pub(super) fn scopes(&self, timeline: &Timeline, id: InstanceId) -> Vec<Item> {
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
                Fold { said: format!("… {} more{}", grouped(hidden.len()), outcomes(timeline, inside)) }
            },
        )
    }
}

/// The shown ones as items, with each run of hidden ones as one.
fn folded<T>(all: &[T], shown: &[bool], item: impl Fn(&T) -> Item, fold: impl Fn(&[T]) -> Fold) -> Vec<Item> {
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
