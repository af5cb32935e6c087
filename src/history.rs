//! The history of an execution in our own types, and the trait that reads it.
//!
//! Every way of getting a history ([`mod@file`], [`sfn`]) ends in [`HistoryEvent`]s, so that the
//! analysis knows neither a client nor a file format. An event keeps only the details that the analysis
//! needs. An unknown event type keeps its name, and the analysis skips it.

pub mod event_type;
pub mod file;
pub mod limiter;
mod prune;
pub mod read;
pub mod sfn;
pub mod target;
pub mod throttled;

use jiff::Timestamp;

pub use event_type::{EventType, StateType, Work};
pub use prune::InputPruner;
pub use read::{
    Call, ChildCounts, ExecutionDescription, ExecutionReader, HistoryPage, ListPage, ListedExecution,
    MapRunDescription, PageRequest, ReadError,
};
pub use target::CallTarget;

/// The status of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// It has not ended.
    Running,
    /// It ended as meant.
    Succeeded,
    /// An error ended it.
    Failed,
    /// Its state machine's timeout ended it.
    TimedOut,
    /// Somebody or something stopped it.
    Aborted,
}

impl Status {
    /// Reads the name that AWS gives it: `TIMED_OUT`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "RUNNING" | "PENDING_REDRIVE" => Self::Running,
            "SUCCEEDED" => Self::Succeeded,
            "FAILED" => Self::Failed,
            "TIMED_OUT" => Self::TimedOut,
            "ABORTED" => Self::Aborted,
            _ => return None,
        })
    }

    /// The name that AWS gives it: `TIMED_OUT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Aborted => "ABORTED",
        }
    }
}

/// One event of a history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEvent {
    /// Its number, counted from 1 without gaps in a whole history.
    pub id: i64,
    /// The event that it followed in its own branch; 0 for none. For some types it has another
    /// meaning: see the analysis.
    pub previous_event_id: i64,
    /// When it happened; unknown if the source has no readable time.
    pub timestamp: Option<Timestamp>,
    /// What happened.
    pub event_type: EventType,
    /// The particulars that the analysis needs.
    pub details: Details,
}

/// The particulars of an event, whatever its type. What its type does not have is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details {
    /// The name of the state, or of the Map for an iteration's events.
    pub name: Option<String>,
    /// Which iteration of a Map, counted from 0.
    pub index: Option<i64>,
    /// The input of the execution or of the state, as JSON text.
    pub input: Option<String>,
    /// What a submitted task answered, as JSON text: it names a nested execution. Or the error
    /// that a Map or Parallel handed on to its Catch.
    pub output: Option<String>,
    /// The error's name.
    pub error: Option<String>,
    /// The error's cause.
    pub cause: Option<String>,
    /// The state that an expression failed in.
    pub state: Option<String>,
    /// The field whose expression failed.
    pub location: Option<String>,
    /// What a task calls.
    pub resource: Option<String>,
    /// A fingerprint of what a task is called with: the same for the same text.
    pub called_with: Option<u64>,
    /// The names of what a task calls, from its parameters or from the first answer.
    pub target: Option<Box<CallTarget>>,
    /// The service that a task calls.
    pub resource_type: Option<String>,
    /// A scheduled task's timeout, in seconds.
    pub timeout_seconds: Option<i64>,
    /// A scheduled task's heartbeat, in seconds.
    pub heartbeat_seconds: Option<i64>,
    /// The Map run that a Distributed Map started.
    pub map_run_arn: Option<String>,
    /// How often the execution or the Map run was redriven.
    pub redrive_count: Option<i64>,
}

impl Details {
    /// Keeps the needed part of a task's parameters.
    fn call_with(&mut self, parameters: &str, region: Option<&str>) {
        self.called_with = Some(fingerprint(parameters));
        self.target = CallTarget::read(parameters, region);
    }

    /// Drops the payloads that the analysis does not need: they are most of a history's bytes.
    fn keep_needed(&mut self, event_type: &EventType) {
        if !matches!(event_type, EventType::ExecutionStarted | EventType::StateEntered(_)) {
            self.input = None;
        }
        if *event_type == EventType::TaskSubmitted {
            self.target = self.output.as_deref().and_then(|output| CallTarget::read(output, None));
        }
        let hands_on_an_error =
            || self.output.as_deref().is_some_and(|output| output.starts_with("{\"Error\""));
        self.output = match event_type {
            EventType::TaskSubmitted if self.resource_type.as_deref() == Some("states") => self.output.take(),
            EventType::StateExited(StateType::Map | StateType::Parallel) if hands_on_an_error() => {
                self.output.take()
            }
            _ => None,
        };
    }
}

/// A fingerprint of a text, to compare it with another.
fn fingerprint(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The events of one execution, in the order of their ids, each id once.
#[derive(Debug, Clone, Default)]
pub struct History {
    events: Vec<HistoryEvent>,
    complete: bool,
    /// More may follow the last event.
    open_ended: bool,
    notes: Vec<String>,
}

impl History {
    /// A history of all given events. Gaps and repeated ids are noted, and gaps make the
    /// history incomplete.
    pub fn whole(events: Vec<HistoryEvent>) -> Self {
        let mut history = Self { complete: true, ..Self::default() };
        let read = events.len();
        history.events = in_order(events);
        if history.events.len() < read {
            let twice = read - history.events.len();
            history.notes.push(format!("{twice} events repeated an id; the first of each was taken."));
        }
        let (gaps, first) = gaps(&history.events);
        if let Some((from, to)) = first {
            history.complete = false;
            history.open_ended = true;
            let more =
                if gaps > 1 { format!(", and there are {} more gaps", gaps - 1) } else { String::new() };
            history.notes.push(format!("Events {from} to {to} are missing{more}."));
        }
        history
    }

    /// The newest events of a history whose older events were not read.
    pub fn newest(events: Vec<HistoryEvent>) -> Self {
        Self { events: in_order(events), complete: false, open_ended: false, notes: Vec::new() }
    }

    /// Marks the history as incomplete, with the reason.
    #[must_use]
    pub fn incomplete(mut self, note: impl Into<String>) -> Self {
        self.complete = false;
        self.open_ended = true;
        self.notes.push(note.into());
        self
    }

    /// Adds a note for the reader of the report.
    #[must_use]
    pub fn noted(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The events, in the order of their ids.
    pub fn events(&self) -> &[HistoryEvent] {
        &self.events
    }

    /// Whether this is the whole history up to its last event.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether more events may follow the last one that is there, as in a part of a history.
    pub fn is_open_ended(&self) -> bool {
        self.open_ended
    }

    /// What its reader should know: why it is not complete, what was repaired.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Sorted by id and not by time: several events share a millisecond.
fn in_order(mut events: Vec<HistoryEvent>) -> Vec<HistoryEvent> {
    if !events.is_sorted_by(|a, b| a.id < b.id) {
        events.sort_by_key(|event| event.id);
        events.dedup_by_key(|event| event.id);
    }
    events
}

/// How many runs of ids are missing, and the first of them.
fn gaps(events: &[HistoryEvent]) -> (usize, Option<(i64, i64)>) {
    let (mut count, mut first, mut expected) = (0, None, 1);
    for event in events {
        if event.id > expected {
            count += 1;
            first.get_or_insert((expected, event.id - 1));
        }
        expected = event.id.saturating_add(1);
    }
    (count, first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: i64) -> HistoryEvent {
        HistoryEvent {
            id,
            previous_event_id: id - 1,
            timestamp: None,
            event_type: EventType::parse("TaskStarted"),
            details: Details::default(),
        }
    }

    #[test]
    fn events_are_put_in_the_order_of_their_ids() {
        let history = History::whole(vec![event(3), event(1), event(2)]);
        assert!(history.is_complete());
        assert!(history.events().iter().map(|event| event.id).eq(1..=3));
    }

    #[test]
    fn a_gap_makes_a_history_incomplete_and_is_named() {
        let history = History::whole(vec![event(3), event(4), event(9)]);
        assert!(!history.is_complete());
        assert_eq!(history.notes(), ["Events 1 to 2 are missing, and there are 1 more gaps."]);
    }

    #[test]
    fn a_repeated_id_is_kept_once_and_noted() {
        let history = History::whole(vec![event(1), event(2), event(2)]);
        assert!(history.is_complete());
        assert_eq!(history.events().len(), 2);
        assert_eq!(history.notes(), ["1 events repeated an id; the first of each was taken."]);
    }
}
