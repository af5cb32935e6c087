//! What the analysis answers: the fixed fields of the report, in the report's words and order.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cause::{Called, ParsedCause};
use crate::history::StateType;

/// An error as Step Functions holds it. Both may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The error's name.
    pub error: Option<String>,
    /// The error's cause.
    pub cause: Option<String>,
}

impl Failure {
    /// Whether neither is known.
    pub fn is_empty(&self) -> bool {
        self.error.is_none() && self.cause.is_none()
    }
}

/// How sure an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The history proves it.
    Exact,
    /// Nothing else fits, but the history does not prove it.
    Inferred,
}

/// The state whose failure ended the execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedState {
    /// Its name.
    pub name: String,
    /// Its type; `None` when it was named by a cause alone.
    pub r#type: Option<StateType>,
    /// The containers around it, from the outside in.
    pub path: Vec<String>,
    /// The input it ran on, as JSON text.
    pub input: Option<String>,
    /// The error's name.
    pub error: Option<String>,
    /// The error's cause.
    pub cause: Option<String>,
    /// The event that entered it.
    pub entered_event_id: Option<i64>,
    /// Its failed attempts, in their order.
    pub attempts: Vec<FailedAttempt>,
    /// How sure the blame is.
    pub confidence: Confidence,
    /// The evidence for the blame, in one sentence.
    pub evidence: String,
    /// The integration whose answer the cause is.
    #[serde(skip)]
    pub called: Option<Called>,
}

/// One failed attempt of a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// When it began.
    #[serde(serialize_with = "time", deserialize_with = "read_time")]
    pub started_at: Option<Timestamp>,
    /// When it failed.
    #[serde(serialize_with = "time", deserialize_with = "read_time")]
    pub ended_at: Option<Timestamp>,
    /// The error's name.
    pub error: Option<String>,
    /// The error's cause.
    pub cause: Option<String>,
}

/// The deepest cause that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootCause {
    /// The execution it lies in; `None` for a history without an ARN.
    pub execution_arn: Option<String>,
    /// The name of the state that failed there.
    pub state: Option<String>,
    /// The error's name.
    pub error: Option<String>,
    /// The error's cause.
    pub cause: Option<String>,
    /// The hops from the failed state to the root cause.
    pub via: Vec<Hop>,
    /// The integration whose answer the cause is.
    #[serde(skip)]
    pub called: Option<Called>,
}

/// A caught error that a Fail state probably reports, with other states between: a Catch, a
/// notification, then Fail. The history does not prove that one led to the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbableCause {
    /// The state whose error was caught.
    pub state: String,
    /// The containers around it, from the outside in.
    pub path: Vec<String>,
    /// The error's name.
    pub error: Option<String>,
    /// The error's cause.
    pub cause: Option<String>,
    /// That cause, understood.
    pub parsed: Option<ParsedCause>,
    /// How sure it is.
    pub confidence: Likelihood,
    /// The evidence, in one sentence.
    pub evidence: String,
}

/// How sure a probable cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Likelihood {
    /// Little ran between the Catch and the Fail state, or the Fail state repeats the error.
    Likely,
    /// So much ran between that the two may be unrelated.
    Possible,
}

/// A limit of time that a task ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeLimit {
    /// Which limit.
    pub limit: TimeLimitKind,
    /// How many seconds it allows.
    pub seconds: i64,
}

/// A limit of time of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeLimitKind {
    /// The time between two heartbeats.
    Heartbeat,
    /// The time for the whole task.
    Timeout,
}

/// A step down towards the root cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// How this state leads further down.
    pub how: HopKind,
    /// The state that leads further down.
    pub state: Option<String>,
    /// The execution that this state belongs to.
    pub execution_arn: Option<String>,
    /// The child execution or Map run that it leads into.
    pub into: Option<String>,
}

/// How a state leads further down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HopKind {
    /// It reports what was caught from another state of the same execution.
    Caught,
    /// It ran another execution, which failed.
    NestedExecution,
    /// It is a Distributed Map whose children failed.
    MapRun,
}

/// What a state in flight was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It was entered, and its work has not begun.
    Entered,
    /// Its work was scheduled and had not started.
    Scheduled,
    /// Its work ran.
    Started,
    /// Its work was handed over, and its end was waited for.
    Submitted,
    /// It waited for a time to come.
    Waiting,
    /// It had failed and waited for its next attempt.
    Backoff,
}

/// An innermost state that was entered and not exited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InFlight {
    /// Its name.
    pub name: String,
    /// Its type.
    pub r#type: StateType,
    /// The containers around it, from the outside in.
    pub path: Vec<String>,
    /// The input it ran on, as JSON text.
    pub input: Option<String>,
    /// What it was doing.
    pub phase: Phase,
    /// Since when.
    #[serde(serialize_with = "time", deserialize_with = "read_time")]
    pub since: Option<Timestamp>,
    /// The error of its last failed attempt.
    pub last_error: Option<Failure>,
}

/// Another state with an error, or one that was aborted with the failed one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlsoFailed {
    /// Its name.
    pub name: String,
    /// The containers around it, from the outside in.
    pub path: Vec<String>,
    /// The name of its last error.
    pub error: Option<String>,
    /// That error's cause.
    pub cause: Option<String>,
    /// What became of it.
    pub outcome: LesserOutcome,
}

/// What became of an error that did not end the execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LesserOutcome {
    /// A Catch caught it.
    Caught,
    /// The state, or a container around it, was tried again.
    Retried,
    /// The state was cut down with the one that failed.
    Aborted,
}

/// A state name that had an error: `event_details.steps` of the notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The state's name.
    pub name: String,
    /// The input it ran on when it had its last error, as JSON text.
    pub initial_input: Option<String>,
    /// Its last error.
    pub latest_error: Failure,
}

/// How often a state was entered: named where an execution ran out of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Busy {
    /// The state's name.
    pub name: String,
    /// How often it was entered.
    pub entered: usize,
}

#[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
pub(crate) fn time<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

pub(crate) fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}
