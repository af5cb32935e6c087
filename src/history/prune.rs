//! Drops the inputs that no report shows.
//!
//! A history may have 25,000 inputs of 256 KiB each. A report shows only the inputs of states that
//! failed or were in flight. The input of a state that exited without an error is dropped while reading.

use std::collections::HashMap;

use super::{EventType, HistoryEvent, StateType};

/// Follows the exits among a history's events back to their entries. Takes events in descending
/// order of their ids.
#[derive(Debug, Default)]
pub struct InputPruner {
    /// By the id of the next event on the chain back from an exit: the exited state.
    expected: HashMap<i64, String>,
}

impl InputPruner {
    /// Processes the next older event, and drops its input if no report will show it.
    pub fn take(&mut self, event: &mut HistoryEvent) {
        if let EventType::StateExited(state_type) = &event.event_type {
            // What lies inside of these is on their chain, too.
            let holds_others =
                matches!(state_type, StateType::Map | StateType::Parallel | StateType::Other(_));
            if let Some(name) = event.details.name.clone().filter(|_| !holds_others) {
                self.expected.insert(event.previous_event_id, name);
            }
            return;
        }
        let Some(name) = self.expected.remove(&event.id) else { return };
        match &event.event_type {
            EventType::StateEntered(_) if event.details.name.as_deref() == Some(&name) => {
                event.details.input = None
            }
            // An error, or not the chain that it seemed to be: the input stays.
            failed if failed.is_failure() => {}
            EventType::StateEntered(_) => {}
            _ => {
                event.details.target = None;
                self.expected.insert(event.previous_event_id, name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Details;

    fn event(id: i64, previous_event_id: i64, event_type: &str) -> HistoryEvent {
        let details = Details { name: Some("A".into()), input: Some("{}".into()), ..Details::default() };
        HistoryEvent {
            id,
            previous_event_id,
            timestamp: None,
            event_type: EventType::parse(event_type),
            details,
        }
    }

    fn kept(mut events: Vec<HistoryEvent>) -> bool {
        let mut prune = InputPruner::default();
        events.iter_mut().rev().for_each(|event| prune.take(event));
        events[0].details.input.is_some()
    }

    #[test]
    fn the_input_of_a_state_that_was_exited_without_an_error_is_dropped() {
        assert!(!kept(vec![
            event(2, 0, "TaskStateEntered"),
            event(3, 2, "TaskScheduled"),
            event(5, 3, "TaskSucceeded"),
            event(6, 5, "TaskStateExited"),
        ]));
    }

    #[test]
    fn the_input_of_a_state_with_an_error_or_without_an_exit_is_kept() {
        let entered = || vec![event(2, 0, "TaskStateEntered"), event(3, 2, "TaskScheduled")];
        assert!(kept(entered()));
        let caught = [event(4, 3, "TaskFailed"), event(5, 4, "TaskStateExited")];
        assert!(kept(entered().into_iter().chain(caught).collect()));
        let retried = [
            event(4, 3, "TaskFailed"),
            event(5, 4, "TaskScheduled"),
            event(6, 5, "TaskSucceeded"),
            event(7, 6, "TaskStateExited"),
        ];
        assert!(kept(entered().into_iter().chain(retried).collect()));
    }
}
