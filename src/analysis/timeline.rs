//! What happened when: every entry into a state as an instance, in its scope.
//!
//! A scope is the body of the state machine, one iteration of a Map, or one branch of a Parallel;
//! scopes nest through the Map and Parallel instances that contain them. The structure of all
//! events is kept here, payloads are not: they stay in the history, found by the event's index.

mod build;

use std::sync::Arc;

use jiff::Timestamp;

use super::answer::{Failure, Phase};
use super::cause::Called;
use crate::history::{History, HistoryEvent, StateType};

pub(super) use build::Builder;

/// A path longer than this is folded in lists; no state machine nests so deeply, but a forged
/// history may, in every one of its states.
const LONG_PATH: usize = 100;

/// All instances of states, in the order of entry, and the scopes they lie in.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// The instances; a container comes before what it contains.
    pub instances: Vec<Instance>,
    /// The scopes; the body of the state machine is the first.
    pub scopes: Vec<Scope>,
    /// The first event that was read.
    pub began: Option<Moment>,
    /// The last event that counts: the one that ended the execution, if it has ended.
    pub ended: Option<Moment>,
    /// The state whose failure ended the execution.
    pub failed: Option<InstanceId>,
    /// The last redrive. What had failed before may have gone on since.
    pub(super) seam: Option<usize>,
}

/// An index into [`Timeline::instances`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub usize);

/// An index into [`Timeline::scopes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScopeId(pub usize);

impl ScopeId {
    /// The body of the state machine.
    pub const BODY: Self = Self(0);
    /// Unknown, because the events that show it were not read.
    pub const UNREAD: Self = Self(1);
}

/// A scope, in which states run one after the other.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Its kind.
    pub kind: ScopeKind,
    /// The Map or Parallel around it.
    pub container: Option<InstanceId>,
    /// How many containers are around it.
    pub depth: usize,
    /// In which run of the container: a retried Map or Parallel begins another one.
    pub round: u32,
    /// The iteration's outcome, as recorded by the Map.
    pub ended: Option<IterationEnd>,
    /// The event that recorded it.
    pub(super) ended_at: usize,
}

/// The kind of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeKind {
    /// The body of the state machine.
    Body,
    /// Unknown, because the events that show it were not read.
    Unread,
    /// An iteration of a Map, counted from 0.
    Iteration(i64),
    /// A branch of a Parallel, in the order in which the branches began.
    Branch(usize),
}

/// How an iteration of a Map ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the events")]
pub enum IterationEnd {
    Succeeded,
    Failed,
    Aborted,
}

/// One entry into a state.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The state's name.
    pub name: Arc<str>,
    /// The state's type.
    pub state_type: StateType,
    /// Where it ran.
    pub scope: ScopeId,
    /// When it was entered; `None` if that event was not read.
    pub entered: Option<Moment>,
    /// When it was exited; `None` if it never was.
    pub exited: Option<Moment>,
    /// Its attempts, in their order. A state without work of its own has one only if it failed.
    pub attempts: Vec<Attempt>,
    /// Its outcome.
    pub outcome: StateOutcome,
    /// The Map run that it started last, for a Distributed Map.
    pub map_run: Option<String>,
    /// What it was doing last, and since when.
    pub(super) phase: (Phase, Option<Moment>),
    /// How often a Map or Parallel began its contents.
    pub(super) rounds: u32,
    /// How many branches of a Parallel began in this round.
    pub(super) branches: usize,
    /// The last that happened to it was an error.
    pub(super) failing: bool,
    /// When its final failure in this round was recorded.
    pub(super) given_up: Option<Moment>,
    /// It continued in another instance after a redrive.
    pub(super) superseded: bool,
    /// Its failure decided what became of the container around it.
    pub(super) decided: bool,
    /// The instance inside it whose failure broke its last round.
    pub(super) broken_by: Option<InstanceId>,
}

/// One attempt of a state.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it was scheduled, or began in another way.
    pub began: Option<Moment>,
    /// When its work was handed over, to be waited for.
    pub submitted: Option<Moment>,
    /// When it ended, in whichever way.
    pub ended: Option<Moment>,
    /// The error's name, if it failed.
    pub error: Option<String>,
    pub(super) failed: Option<Said>,
}

impl Attempt {
    /// Whether it failed.
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }
}

/// Where the history has the error of a failed attempt.
#[derive(Debug, Clone)]
pub(super) enum Said {
    /// In the event of this index.
    InEvent(usize),
    /// In what the error was handed on as.
    HandedOn(Failure),
    /// Nowhere: a Fail state's error is written only where it goes.
    Nowhere,
}

/// What became of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateOutcome {
    /// It was exited without an error.
    Succeeded,
    /// It failed, and its own Catch or a container's caught the error.
    Caught,
    /// It ended the execution, or contains the one that did.
    Failed,
    /// It, or a container around it, was tried again from the start.
    Retried,
    /// It was cut down with the one that failed.
    Aborted,
    /// It was in flight at the end.
    Open,
}

/// An event and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The event's id.
    pub event_id: i64,
    /// When it happened, if that is known.
    pub at: Option<Timestamp>,
    pub(super) index: usize,
}

impl Moment {
    pub(super) fn of(events: &[HistoryEvent], index: usize) -> Self {
        Self { event_id: events[index].id, at: events[index].timestamp, index }
    }
}

impl Timeline {
    /// An instance.
    pub fn instance(&self, id: InstanceId) -> &Instance {
        &self.instances[id.0]
    }

    /// The Map or Parallel that an instance lies in.
    pub fn container(&self, id: InstanceId) -> Option<InstanceId> {
        self.scopes[self.instances[id.0].scope.0].container
    }

    /// The instance's containers from the inside out, each with the scope in it.
    pub fn around(&self, id: InstanceId) -> impl Iterator<Item = (InstanceId, ScopeId)> {
        let mut scope = self.instances[id.0].scope;
        std::iter::from_fn(move || {
            let container = self.scopes[scope.0].container?;
            let inner = std::mem::replace(&mut scope, self.instances[container.0].scope);
            Some((container, inner))
        })
    }

    /// The containers around an instance from the outside in: `Orders[3]` for an iteration of a
    /// Map, a Parallel by its name.
    pub fn path(&self, id: InstanceId) -> Vec<String> {
        let mut path: Vec<String> =
            self.around(id).map(|(container, scope)| self.segment(container, scope)).collect();
        path.reverse();
        path
    }

    /// The path, with its outer part left out when it is unnaturally long.
    pub(super) fn short_path(&self, id: InstanceId) -> Vec<String> {
        let depth = self.scopes[self.instances[id.0].scope.0].depth;
        let mut path: Vec<String> = self
            .around(id)
            .take(LONG_PATH)
            .map(|(container, scope)| self.segment(container, scope))
            .collect();
        if depth > path.len() {
            path.push(format!("… {} more …", depth - path.len()));
        }
        path.reverse();
        path
    }

    fn segment(&self, container: InstanceId, scope: ScopeId) -> String {
        let name = &self.instances[container.0].name;
        match self.scopes[scope.0].kind {
            ScopeKind::Iteration(index) => format!("{name}[{index}]"),
            _ => name.to_string(),
        }
    }

    /// Whether a container has failed for good, and was not redriven since.
    pub(super) fn has_given_up(&self, id: InstanceId) -> bool {
        let given_up = self.instances[id.0].given_up.map(|given_up| given_up.index);
        given_up.is_some() && given_up > self.seam
    }

    /// When the innermost run of a container around a state ended, as far as any event says.
    pub(crate) fn surroundings_ended(&self, id: InstanceId) -> Option<Moment> {
        self.around(id).find_map(|(container, scope)| self.run_ended(container, self.scopes[scope.0].round))
    }

    /// When a run of a container, counted from 1, ended. One that was tried again ended before the
    /// next began.
    fn run_ended(&self, container: InstanceId, run: u32) -> Option<Moment> {
        let container = self.instance(container);
        let index = usize::try_from(run).ok()?;
        let attempt = index.checked_sub(1).and_then(|index| container.attempts.get(index));
        if let Some(ended) = attempt.and_then(|attempt| attempt.ended) {
            return Some(ended);
        }
        match container.attempts.get(index) {
            Some(next) => next.began,
            None => container.given_up.or(container.exited),
        }
    }

    /// Whether an iteration broke, and was not redriven since. One that succeeded has nothing left
    /// open, except on LocalStack, which records success for iterations that a timeout ended.
    pub(super) fn is_broken(&self, scope: ScopeId) -> bool {
        let scope = &self.scopes[scope.0];
        matches!(scope.ended, Some(IterationEnd::Failed | IterationEnd::Aborted))
            && Some(scope.ended_at) > self.seam
    }

    /// From a container inwards to the state whose failure broke it.
    pub(super) fn innermost_broken(&self, container: InstanceId) -> InstanceId {
        let mut id = container;
        while let Some(inner) = self.instances[id.0].broken_by.filter(|inner| *inner > id) {
            id = inner;
        }
        id
    }

    /// Whether what is around an instance is known up to the body of the state machine.
    pub(super) fn path_is_known(&self, id: InstanceId) -> bool {
        let outermost = self.around(id).last().map_or(id, |(container, _)| container);
        self.instances[outermost.0].scope != ScopeId::UNREAD
    }

    /// The input that an instance ran on.
    pub(super) fn input(&self, history: &History, id: InstanceId) -> Option<String> {
        let entered = self.instances[id.0].entered?;
        history.events()[entered.index].details.input.clone()
    }
}

impl Attempt {
    /// The error of a failed attempt, in full.
    pub(super) fn failure(&self, events: &[HistoryEvent]) -> Option<Failure> {
        Some(match self.failed.as_ref()? {
            Said::InEvent(index) => {
                let details = &events[*index].details;
                Failure { error: details.error.clone(), cause: details.cause.clone() }
            }
            Said::HandedOn(failure) => failure.clone(),
            Said::Nowhere => Failure::default(),
        })
    }

    /// The integration whose answer the error of a failed attempt is.
    pub(super) fn called(&self, events: &[HistoryEvent]) -> Option<Called> {
        let Said::InEvent(index) = self.failed.as_ref()? else { return None };
        let failed = &events[*index];
        // An expression of the state itself may fail instead.
        failed.event_type.work()?;
        let scheduled = || Called::of(&events[self.began?.index].details);
        Called::of(&failed.details).or_else(scheduled)
    }
}

impl Instance {
    /// The last attempt that failed.
    pub fn last_failed(&self) -> Option<&Attempt> {
        self.attempts.iter().rev().find(|attempt| attempt.has_failed())
    }

    /// When the final failure of a Map or Parallel was recorded.
    pub(crate) fn gave_up(&self) -> Option<Moment> {
        self.given_up
    }

    /// Whether it is a Map or a Parallel.
    pub fn is_container(&self) -> bool {
        matches!(self.state_type, StateType::Map | StateType::Parallel)
    }
}
