//! What became of every state: caught, retried, cut down, in flight.

use std::collections::HashMap;

use super::answer::{AlsoFailed, Failure, InFlight, LesserOutcome, Phase, Step};
use super::timeline::{InstanceId, StateOutcome, Timeline};
use crate::history::{History, HistoryEvent, StateType};

/// What became of what was entered and never exited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It may still run.
    Alive,
    /// Its iteration or a container around it broke, and nothing came of that.
    Broken,
    /// Its failure went out to a container that was caught.
    Caught,
    /// It was tried again, or its failure went out to a container that was.
    Retried,
    /// It was cut down by a sibling's failure that was caught or tried again.
    Fell,
    /// A container around it was exited as if nothing had happened.
    Over,
}

/// The innermost states that may still run, in the order of entry.
pub(super) fn in_flight(timeline: &Timeline) -> Vec<InstanceId> {
    // A Fail state has nothing left to do: what is in flight is the container that it broke.
    innermost(timeline, |id, fate| {
        let breaks = timeline.instance(id).state_type == StateType::Fail && timeline.container(id).is_some();
        fate == Fate::Alive && !breaks
    })
}

/// The innermost states that were cut down together with the one that failed.
pub(super) fn cut_down(timeline: &Timeline) -> Vec<InstanceId> {
    innermost(timeline, |id, fate| {
        let instance = timeline.instance(id);
        matches!(fate, Fate::Alive | Fate::Broken) && instance.outcome != StateOutcome::Failed
    })
}

/// Those of the wanted instances that hold no other wanted one, in the order of entry.
fn innermost(timeline: &Timeline, wanted: impl Fn(InstanceId, Fate) -> bool) -> Vec<InstanceId> {
    let fates = fates(timeline);
    let wanted: Vec<bool> = fates
        .iter()
        .enumerate()
        .map(|(index, fate)| fate.is_some_and(|fate| wanted(InstanceId(index), fate)))
        .collect();
    let mut holds_another = vec![false; fates.len()];
    for index in (0..fates.len()).filter(|index| wanted[*index]) {
        if let Some(container) = timeline.container(InstanceId(index)) {
            holds_another[container.0] = true;
        }
    }
    (0..fates.len()).filter(|index| wanted[*index] && !holds_another[*index]).map(InstanceId).collect()
}

/// The fate of each instance that was not exited. A container comes before what it contains.
fn fates(timeline: &Timeline) -> Vec<Option<Fate>> {
    let mut fates: Vec<Option<Fate>> = Vec::with_capacity(timeline.instances.len());
    for instance in &timeline.instances {
        if instance.exited.is_some() {
            fates.push(None);
            continue;
        }
        let scope = &timeline.scopes[instance.scope.0];
        let decisive = |fate| if instance.decided { fate } else { Fate::Fell };
        fates.push(Some(match scope.container.map(|container| (container, timeline.instance(container))) {
            _ if instance.superseded => Fate::Retried,
            None => Fate::Alive,
            Some((_, outer)) if outer.superseded || scope.round < outer.rounds => decisive(Fate::Retried),
            Some((container, outer)) => match fates[container.0] {
                None if outer.outcome == StateOutcome::Caught => decisive(Fate::Caught),
                None => Fate::Over,
                Some(Fate::Alive)
                    if timeline.has_given_up(container) || timeline.is_broken(instance.scope) =>
                {
                    Fate::Broken
                }
                Some(fate @ (Fate::Caught | Fate::Retried)) => decisive(fate),
                Some(fate) => fate,
            },
        }));
    }
    fates
}

/// Gives every instance its outcome. `open` says that what is alive was in flight at the end, and
/// did not fall with a state that failed.
pub(super) fn settle(timeline: &mut Timeline, open: bool) {
    let fates = fates(timeline);
    for (index, fate) in fates.into_iter().enumerate() {
        let instance = &mut timeline.instances[index];
        let Some(fate) = fate else { continue };
        instance.outcome = match fate {
            Fate::Alive if open => StateOutcome::Open,
            Fate::Alive | Fate::Broken | Fate::Fell | Fate::Over => StateOutcome::Aborted,
            Fate::Retried => StateOutcome::Retried,
            Fate::Caught => StateOutcome::Caught,
        };
    }
    let mut failed = timeline.failed;
    while let Some(id) = failed {
        timeline.instances[id.0].outcome = StateOutcome::Failed;
        failed = timeline.container(id);
    }
}

/// The other instances that had errors, and those that were cut down with the failed one.
pub(super) fn also_failed(
    timeline: &Timeline,
    events: &[HistoryEvent],
    cut_down: &[InstanceId],
) -> Vec<AlsoFailed> {
    let mut cut_down = cut_down.iter().copied().peekable();
    let mut list = Vec::new();
    for (index, instance) in timeline.instances.iter().enumerate() {
        let id = InstanceId(index);
        let fell = cut_down.next_if_eq(&id).is_some();
        let last = instance.last_failed();
        // What waits for its next attempt is in flight, with its last error.
        let waits = instance.outcome == StateOutcome::Open && instance.failing;
        if Some(id) == timeline.failed || waits || (last.is_none() && !fell) {
            continue;
        }
        let Failure { error, cause } = last.and_then(|attempt| attempt.failure(events)).unwrap_or_default();
        let outcome = match instance.outcome {
            StateOutcome::Caught => LesserOutcome::Caught,
            // In flight, it had failed before and been tried again, or was about to be.
            StateOutcome::Succeeded | StateOutcome::Retried | StateOutcome::Open => LesserOutcome::Retried,
            StateOutcome::Aborted | StateOutcome::Failed => LesserOutcome::Aborted,
        };
        let name = instance.name.to_string();
        list.push(AlsoFailed { name, path: timeline.short_path(id), error, cause, outcome });
    }
    list
}

/// One entry for each name of a state that had an error, in the order of first errors.
///
/// The failure that ended the execution is the last error of its name, wherever siblings that fell
/// in the same moment wrote theirs.
pub(super) fn steps(timeline: &Timeline, history: &History) -> Vec<Step> {
    struct Errors {
        first: usize,
        last: (bool, usize),
        instance: InstanceId,
        attempt: usize,
    }
    let mut by_name: HashMap<&str, Errors> = HashMap::new();
    for (index, instance) in timeline.instances.iter().enumerate() {
        let id = InstanceId(index);
        for (attempt, of) in instance.attempts.iter().enumerate() {
            let Some(ended) = of.ended.filter(|_| of.has_failed()) else { continue };
            let at = (Some(id) == timeline.failed, ended.index);
            let errors = by_name.entry(&instance.name).or_insert(Errors {
                first: ended.index,
                last: at,
                instance: id,
                attempt,
            });
            errors.first = errors.first.min(ended.index);
            if at >= errors.last {
                (errors.last, errors.instance, errors.attempt) = (at, id, attempt);
            }
        }
    }
    let mut in_order: Vec<_> = by_name.into_iter().collect();
    in_order.sort_by_key(|(_, errors)| errors.first);
    in_order
        .into_iter()
        .map(|(name, errors)| Step {
            name: name.to_owned(),
            initial_input: timeline.input(history, errors.instance),
            latest_error: timeline.instance(errors.instance).attempts[errors.attempt]
                .failure(history.events())
                .unwrap_or_default(),
        })
        .collect()
}

/// The states in flight as the report shows them.
pub(super) fn describe(timeline: &Timeline, history: &History, in_flight: &[InstanceId]) -> Vec<InFlight> {
    in_flight
        .iter()
        .map(|id| {
            let instance = timeline.instance(*id);
            let broken_by = timeline.innermost_broken(*id);
            let (phase, since) = instance.phase;
            let failed = match phase {
                Phase::Backoff => timeline.instance(broken_by).last_failed(),
                _ => instance.last_failed(),
            };
            InFlight {
                name: instance.name.to_string(),
                r#type: instance.state_type.clone(),
                path: timeline.short_path(*id),
                input: timeline.input(history, *id),
                phase,
                since: since.and_then(|since| since.at),
                last_error: failed.and_then(|attempt| attempt.failure(history.events())),
            }
        })
        .collect()
}
