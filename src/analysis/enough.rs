//! Whether the newest events of a history are enough for the same answer as the whole history.
//!
//! The answer is the failed state with its path and attempts, and the root cause. All of them lie
//! on chains of `previousEventId` that lead back from the event that ended the execution: from
//! there to the state's entry, from the entry outwards to the containers, and for a Fail state to
//! what it reports. [`missing`] walks these chains and names the first event that is not there.

use crate::history::{EventType, HistoryEvent, StateType};

use super::blame::{MOST_HANDLERS, named_in, ran_out_of_events};

/// What is missing for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The event of this id, and what lies between.
    Event(i64),
    /// Unknown: everything is needed.
    Everything,
}

/// What is missing to answer for the end at this event, looking events up by their id.
///
/// # Errors
/// `Err` has what is missing; `Ok` means that nothing is.
pub fn missing<'a>(
    end: &'a HistoryEvent,
    get: &dyn Fn(i64) -> Option<&'a HistoryEvent>,
) -> Result<(), Missing> {
    // Only the whole history shows what was in flight.
    if end.event_type != EventType::ExecutionFailed {
        return Err(Missing::Everything);
    }
    if ran_out_of_events(end) {
        return Ok(());
    }
    let known = KnownStates { get };
    let mut failed = known.failed(end)?;
    if failed.event_type != EventType::StateEntered(StateType::Fail)
        && let Some(named) = known.named(end.details.cause.as_deref())?
        && named.id != failed.id
    {
        return Err(Missing::Everything);
    }
    // What a Fail state reports may be a Fail state again.
    while failed.event_type == EventType::StateEntered(StateType::Fail) {
        let Some(exited) = known.caught(failed)? else { break };
        failed = known.failed(exited)?;
    }
    Ok(())
}

/// The events that are there.
struct KnownStates<'a, 'b> {
    get: &'b dyn Fn(i64) -> Option<&'a HistoryEvent>,
}

/// The event that the end leads to over the containers that failed.
struct ReadLeaf<'a> {
    event: &'a HistoryEvent,
    containers: usize,
}

impl<'a> KnownStates<'a, '_> {
    fn event(&self, id: i64) -> Result<&'a HistoryEvent, Missing> {
        (self.get)(id).ok_or(Missing::Event(id))
    }

    /// The event before one on its chain, as if those of unknown types were not there; `None` at
    /// the beginning.
    fn before(&self, event: &HistoryEvent) -> Result<Option<&'a HistoryEvent>, Missing> {
        let mut id = event.id;
        let mut previous = event.previous_event_id;
        loop {
            if previous <= 0 {
                return Ok(None);
            }
            if previous >= id {
                return Err(Missing::Everything);
            }
            let before = self.event(previous)?;
            match &before.event_type {
                EventType::Unknown(_) => (id, previous) = (before.id, before.previous_event_id),
                EventType::ExecutionStarted => return Ok(None),
                // Behind a redrive the chain may be torn.
                EventType::ExecutionRedriven => return Err(Missing::Everything),
                ended if ended.end().is_some() => return Err(Missing::Everything),
                _ => return Ok(Some(before)),
            }
        }
    }

    /// The event before one that has to have one.
    fn must(&self, event: &HistoryEvent) -> Result<&'a HistoryEvent, Missing> {
        self.before(event)?.ok_or(Missing::Everything)
    }

    fn leaf(&self, end: &HistoryEvent) -> Result<ReadLeaf<'a>, Missing> {
        let mut containers = 0;
        let mut event = self.must(end)?;
        loop {
            match &event.event_type {
                EventType::MapStateFailed | EventType::ParallelStateFailed => containers += 1,
                fallen if fallen.only_follows_a_failure() => {}
                _ => return Ok(ReadLeaf { event, containers }),
            }
            event = self.must(event)?;
        }
    }

    /// The entry into the state whose failure led to this event. Everything that tells where that
    /// is is there too: as many containers as failed with it, or all up to the body.
    fn failed(&self, end: &HistoryEvent) -> Result<&'a HistoryEvent, Missing> {
        let leaf = self.leaf(end)?;
        let entered = self.entry(leaf.event)?;
        let is_fail = leaf.event.event_type == EventType::StateEntered(StateType::Fail);
        let depth = (is_fail || leaf.event.event_type.is_failure()).then(|| match &entered.event_type {
            EventType::StateEntered(StateType::Map | StateType::Parallel) => {
                leaf.containers.saturating_sub(1)
            }
            _ => leaf.containers,
        });
        self.outwards(entered, depth)?;
        Ok(entered)
    }

    /// The entry that a cause of AWS's names.
    fn named(&self, cause: Option<&str>) -> Result<Option<&'a HistoryEvent>, Missing> {
        for (name, id) in cause.into_iter().flat_map(named_in) {
            let event = self.event(id)?;
            if matches!(event.event_type, EventType::StateEntered(_))
                && event.details.name.as_deref() == Some(name)
            {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// The entry into the state that an event of its work or its Map run belongs to.
    fn entry(&self, event: &'a HistoryEvent) -> Result<&'a HistoryEvent, Missing> {
        let mut event = event;
        loop {
            match &event.event_type {
                EventType::StateEntered(_) => return Ok(event),
                EventType::EvaluationFailed => {
                    return self.named(event.details.cause.as_deref())?.ok_or(Missing::Everything);
                }
                EventType::MapRunFailed
                | EventType::MapRunStarted
                | EventType::MapRunRedriven
                | EventType::MapStateStarted => {}
                work if work.work().is_some() => {}
                _ => return Err(Missing::Everything),
            }
            event = self.must(event)?;
        }
    }

    /// From an entry outwards over so many containers, or to the body of the state machine.
    fn outwards(&self, entered: &'a HistoryEvent, depth: Option<usize>) -> Result<(), Missing> {
        let mut left = depth;
        let mut entered = entered;
        while left != Some(0) {
            let Some(event) = self.beginning(entered)? else { return Ok(()) };
            left = left.map(|left| left - 1);
            entered = match &event.event_type {
                // An iteration names its Map; more is only asked for what is around that.
                EventType::MapIterationStarted if left == Some(0) => return Ok(()),
                EventType::MapIterationStarted => {
                    let before = self.must(event)?;
                    self.entry_of(before, event.details.name.as_deref().ok_or(Missing::Everything)?)?
                }
                // After a retry, this follows what failed inside, and its entry is far.
                _ => {
                    let before = self.must(event)?;
                    let is_entry = before.event_type == EventType::StateEntered(StateType::Parallel);
                    if !is_entry {
                        return Err(Missing::Everything);
                    }
                    before
                }
            };
        }
        Ok(())
    }

    /// The beginning of the iteration or the branch in which a state was entered; `None` for the
    /// body of the state machine.
    fn beginning(&self, entered: &'a HistoryEvent) -> Result<Option<&'a HistoryEvent>, Missing> {
        let mut at = entered;
        loop {
            let Some(event) = self.before(at)? else { return Ok(None) };
            at = match &event.event_type {
                EventType::MapIterationStarted | EventType::ParallelStateStarted => return Ok(Some(event)),
                EventType::StateEntered(_) => event,
                EventType::StateExited(_) => {
                    let name = event.details.name.as_deref().ok_or(Missing::Everything)?;
                    let before = self.must(event)?;
                    self.entry_of(before, name)?
                }
                _ => return Err(Missing::Everything),
            };
        }
    }

    /// From inside a state back to its entry. An expression that failed follows what was before
    /// its state, and names the entry itself.
    fn entry_of(&self, from: &'a HistoryEvent, name: &str) -> Result<&'a HistoryEvent, Missing> {
        let mut event = from;
        loop {
            let named = |name_of: &Option<String>| name_of.as_deref() == Some(name);
            match &event.event_type {
                EventType::StateEntered(_) if named(&event.details.name) => return Ok(event),
                EventType::EvaluationFailed if named(&event.details.state) => return self.entry(event),
                _ => event = self.must(event)?,
            }
        }
    }

    /// For a Fail state's entry: back over the states that may have handled an error to where one was
    /// caught. What lies behind a Map or a Parallel is not asked for: all of that would have to be read.
    fn caught(&self, entered: &'a HistoryEvent) -> Result<Option<&'a HistoryEvent>, Missing> {
        let mut at = entered;
        let mut handlers = 0;
        loop {
            let Some(exited) = self.before(at)? else { return Ok(None) };
            let EventType::StateExited(state_type) = &exited.event_type else { return Ok(None) };
            let before = self.must(exited)?;
            match &before.event_type {
                EventType::MapStateFailed | EventType::ParallelStateFailed => {
                    return Ok(Some(exited));
                }
                failure if failure.is_failure() => return Ok(Some(exited)),
                _ => {}
            }
            match state_type {
                StateType::Pass | StateType::Choice => {}
                StateType::Task | StateType::Wait if handlers < MOST_HANDLERS => handlers += 1,
                _ => return Ok(None),
            }
            let name = exited.details.name.as_deref().ok_or(Missing::Everything)?;
            at = self.entry_of(before, name)?;
        }
    }
}
