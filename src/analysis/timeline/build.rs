//! Builds the timeline event by event, in the order of the ids.
//!
//! Every event gets a place: the instance that it happened in, and the scope that the next event
//! on its chain belongs to. An event's `previousEventId` leads to the place that it continues, so
//! each is placed in constant time, however deeply scopes nest; an id that points forwards, or to
//! itself, leads nowhere.
//!
//! Some events are misleading. `TaskStateAborted` and similar events follow the event that
//! failed, not their own state. `EvaluationFailed` follows what came before its state. After a
//! redrive the chain may be torn.

mod containers;
mod failures;
mod work;

use std::collections::HashMap;
use std::sync::Arc;

use super::{
    Attempt, Instance, InstanceId, IterationEnd, Moment, Said, Scope, ScopeId, ScopeKind, StateOutcome,
    Timeline,
};
use crate::analysis::answer::Phase;
use crate::history::{EventType, HistoryEvent, StateType, Work};

/// How far outwards an instance is sought. Exiting a container leaves nothing open inside it, so
/// in an honest history it is at hand; a forged one must not make every event search for long.
const FARTHEST: usize = 1_000;

/// Where an event happened.
#[derive(Debug, Clone, Copy)]
pub(in crate::analysis) struct Place {
    /// The innermost instance that it happened in.
    pub(in crate::analysis) inside: Option<InstanceId>,
    /// Where the next event of its chain happens.
    pub(in crate::analysis) scope: ScopeId,
    /// The instance that it exited.
    pub(in crate::analysis) exited: Option<InstanceId>,
    /// A state entered next begins a branch of the Parallel that this is inside of.
    opens_branch: bool,
}

impl Place {
    const BODY: Self = Self { inside: None, scope: ScopeId::BODY, exited: None, opens_branch: false };
    const UNREAD: Self = Self { inside: None, scope: ScopeId::UNREAD, exited: None, opens_branch: false };
}

/// What an event follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Nothing: it is the first of its chain, also after a redrive.
    Start,
    /// The event of this index.
    After(usize),
    /// An event that is not there.
    Lost,
}

/// A timeline being built.
pub(in crate::analysis) struct Builder<'a> {
    pub(in crate::analysis) events: &'a [HistoryEvent],
    pub(in crate::analysis) places: Vec<Place>,
    pub(in crate::analysis) timeline: Timeline,
    names: HashMap<&'a str, Arc<str>>,
    /// The last entry into each state.
    latest: HashMap<&'a str, InstanceId>,
    /// The entry into a state after an event.
    entered_after: HashMap<(i64, &'a str), InstanceId>,
    iterations: HashMap<(InstanceId, i64), ScopeId>,
    /// The instances that made a call.
    calling: HashMap<(&'a str, Option<u64>), Vec<InstanceId>>,
    /// How many states that are no containers were entered and not exited.
    left_open: usize,
    /// What events of unknown types follow.
    passed_over: HashMap<usize, Origin>,
    /// The state that ended the execution before it was redriven.
    fell: Option<InstanceId>,
}

impl<'a> Builder<'a> {
    pub(in crate::analysis) fn new(events: &'a [HistoryEvent]) -> Self {
        let scope = |kind| Scope { kind, container: None, depth: 0, round: 0, ended: None, ended_at: 0 };
        let timeline = Timeline {
            instances: Vec::new(),
            scopes: vec![scope(ScopeKind::Body), scope(ScopeKind::Unread)],
            began: (!events.is_empty()).then(|| Moment::of(events, 0)),
            ended: None,
            failed: None,
            seam: None,
        };
        Self {
            events,
            places: Vec::with_capacity(events.len()),
            timeline,
            names: HashMap::new(),
            latest: HashMap::new(),
            entered_after: HashMap::new(),
            iterations: HashMap::new(),
            calling: HashMap::new(),
            left_open: 0,
            passed_over: HashMap::new(),
            fell: None,
        }
    }

    /// Processes the next event.
    pub(in crate::analysis) fn push(&mut self, index: usize) {
        let events = self.events;
        let event = &events[index];
        let origin = self.origin(event);
        let here = match origin {
            Origin::Start => Place::BODY,
            Origin::After(index) => Place { exited: None, ..self.places[index] },
            Origin::Lost => Place::UNREAD,
        };
        let now = Moment::of(events, index);
        let place = match &event.event_type {
            EventType::StateEntered(state_type) => self.entered(now, state_type, origin, here),
            EventType::StateExited(state_type) => self.exited(now, state_type, origin, here),
            EventType::MapStateStarted => self.contents_began(now, &StateType::Map, here),
            EventType::ParallelStateStarted => self.contents_began(now, &StateType::Parallel, here),
            EventType::MapIterationStarted => self.iteration_began(now, here),
            EventType::MapIterationSucceeded => self.iteration_ended(now, IterationEnd::Succeeded, here),
            EventType::MapIterationFailed => self.iteration_ended(now, IterationEnd::Failed, here),
            EventType::MapIterationAborted => self.iteration_ended(now, IterationEnd::Aborted, here),
            EventType::MapStateFailed => self.container_failed(now, &StateType::Map, here),
            EventType::ParallelStateFailed => self.container_failed(now, &StateType::Parallel, here),
            EventType::MapStateSucceeded | EventType::MapRunSucceeded => self.at(&StateType::Map, here),
            EventType::ParallelStateSucceeded => self.at(&StateType::Parallel, here),
            EventType::MapRunStarted | EventType::MapRunRedriven => self.map_run_began(now, here),
            EventType::MapRunFailed => self.map_run_failed(now, here),
            EventType::EvaluationFailed => self.evaluation_failed(now, here),
            EventType::ExecutionFailed => self.execution_failed(now),
            ended if ended.end().is_some() => Place::BODY,
            EventType::ExecutionStarted => Place::BODY,
            EventType::ExecutionRedriven => {
                self.timeline.seam = Some(index);
                Place::BODY
            }
            EventType::Unknown(_) => {
                self.passed_over.insert(index, origin);
                here
            }
            other => match other.work() {
                Some(work) => self.work(now, work, here),
                None => here,
            },
        };
        self.places.push(place);
    }

    /// The index of the event with this id among those processed.
    pub(in crate::analysis) fn index_of(&self, id: i64) -> Option<usize> {
        let taken = &self.events[..self.places.len()];
        // If no id is missing, the index follows from the id.
        let guess = usize::try_from(id.checked_sub(taken.first()?.id)?).ok()?;
        if taken.get(guess).is_some_and(|event| event.id == id) {
            return Some(guess);
        }
        taken.binary_search_by_key(&id, |event| event.id).ok()
    }

    /// The index of the event that one follows, as if those of unknown types were not there.
    pub(in crate::analysis) fn before(&self, index: usize) -> Option<usize> {
        match self.origin(&self.events[index]) {
            Origin::After(before) => Some(before).filter(|before| *before < index),
            Origin::Start | Origin::Lost => None,
        }
    }

    fn origin(&self, event: &HistoryEvent) -> Origin {
        if event.previous_event_id <= 0 {
            return Origin::Start;
        }
        match self.index_of(event.previous_event_id) {
            Some(index) => match &self.events[index].event_type {
                EventType::Unknown(_) => self.passed_over.get(&index).copied().unwrap_or(Origin::Lost),
                EventType::ExecutionStarted | EventType::ExecutionRedriven => Origin::Start,
                ended if ended.end().is_some() => Origin::Start,
                _ => Origin::After(index),
            },
            None => Origin::Lost,
        }
    }

    /// Whether a place is where a redrive tore the chain: then states that had not ended go on
    /// without following anything of their own.
    fn is_torn(&self, here: Place) -> bool {
        here.inside.is_none() && here.scope == ScopeId::BODY && self.timeline.seam.is_some()
    }

    /// From an instance outwards, the first that is as wanted.
    fn outwards(&self, from: Option<InstanceId>, wanted: impl Fn(&Instance) -> bool) -> Option<InstanceId> {
        let mut next = from;
        for _ in 0..FARTHEST {
            let id = next?;
            if wanted(self.timeline.instance(id)) {
                return Some(id);
            }
            next = self.timeline.container(id);
        }
        None
    }

    fn instance_mut(&mut self, id: InstanceId) -> &mut Instance {
        &mut self.timeline.instances[id.0]
    }

    fn inside(&self, id: InstanceId) -> Place {
        Place { inside: Some(id), scope: self.timeline.instance(id).scope, exited: None, opens_branch: false }
    }

    fn name(&mut self, name: &'a str) -> Arc<str> {
        Arc::clone(self.names.entry(name).or_insert_with(|| Arc::from(name)))
    }

    fn add(
        &mut self,
        name: &'a str,
        state_type: &StateType,
        scope: ScopeId,
        entered: Option<Moment>,
    ) -> InstanceId {
        let id = InstanceId(self.timeline.instances.len());
        let name_of = self.name(name);
        self.timeline.instances.push(Instance {
            name: name_of,
            state_type: state_type.clone(),
            scope,
            entered,
            exited: None,
            attempts: Vec::new(),
            outcome: StateOutcome::Open,
            map_run: None,
            phase: (if *state_type == StateType::Wait { Phase::Waiting } else { Phase::Entered }, entered),
            rounds: 0,
            branches: 0,
            failing: false,
            given_up: None,
            superseded: false,
            decided: false,
            broken_by: None,
        });
        self.latest.insert(name, id);
        id
    }

    fn add_scope(&mut self, kind: ScopeKind, container: InstanceId) -> ScopeId {
        let depth = self.timeline.scopes[self.timeline.instance(container).scope.0].depth + 1;
        let round = self.timeline.instance(container).rounds;
        let id = ScopeId(self.timeline.scopes.len());
        self.timeline.scopes.push(Scope {
            kind,
            container: Some(container),
            depth,
            round,
            ended: None,
            ended_at: 0,
        });
        id
    }

    fn entered(&mut self, now: Moment, state_type: &StateType, origin: Origin, here: Place) -> Place {
        let event = &self.events[now.index];
        let name = event.details.name.as_deref().unwrap_or_default();
        let mut scope = here.scope;
        match origin {
            Origin::After(_) if here.opens_branch => {
                if let Some(parallel) = here.inside {
                    let instance = self.instance_mut(parallel);
                    let branch = ScopeKind::Branch(instance.branches);
                    instance.branches += 1;
                    scope = self.add_scope(branch, parallel);
                }
            }
            // Entered again after a redrive: it runs where it ran before.
            Origin::Start if self.is_torn(here) => {
                if let Some(&before) = self.latest.get(name)
                    && self.timeline.instance(before).exited.is_none()
                {
                    scope = self.timeline.instance(before).scope;
                    self.instance_mut(before).superseded = true;
                    let counted = !self.timeline.instance(before).is_container();
                    self.left_open = self.left_open.saturating_sub(usize::from(counted));
                }
            }
            _ => {}
        }
        let id = self.add(name, state_type, scope, Some(now));
        self.left_open += usize::from(!self.timeline.instance(id).is_container());
        self.entered_after.insert((event.previous_event_id, name), id);
        if *state_type == StateType::Fail {
            self.fail(id, now, Said::Nowhere);
            // A Fail state inside a Map or Parallel breaks it at once.
            if let Some(container) = self.timeline.container(id) {
                self.broken(container, id, now);
            }
        }
        self.inside(id)
    }

    fn exited(&mut self, now: Moment, state_type: &StateType, origin: Origin, here: Place) -> Place {
        let event = &self.events[now.index];
        let name = event.details.name.as_deref().unwrap_or_default();
        let open = |instance: &Instance| instance.exited.is_none() && *instance.name == *name;
        let id = self
            .outwards(here.inside, open)
            .or_else(|| {
                let latest = *self.latest.get(name)?;
                (self.is_torn(here) && open(self.timeline.instance(latest))).then_some(latest)
            })
            .unwrap_or_else(|| self.add(name, state_type, here.scope, None));
        // A redriven state may have failed in events that could not be attributed to it.
        let follows = match origin {
            Origin::After(before) => Some(&self.events[before].event_type),
            Origin::Start | Origin::Lost => None,
        };
        let caught = match follows {
            Some(EventType::MapStateFailed | EventType::ParallelStateFailed) => true,
            Some(before) if before.is_failure() => true,
            Some(before) if before.work() == Some(Work::Succeeded) => false,
            _ => self.timeline.instance(id).failing,
        };
        let instance = self.instance_mut(id);
        instance.exited = Some(now);
        let was_open = instance.entered.is_some() && !instance.superseded && !instance.is_container();
        instance.outcome = if caught { StateOutcome::Caught } else { StateOutcome::Succeeded };
        self.left_open = self.left_open.saturating_sub(usize::from(was_open));
        if caught {
            self.hand_on(id, event);
        }
        let scope = self.timeline.instance(id).scope;
        Place { inside: self.timeline.container(id), scope, exited: Some(id), opens_branch: false }
    }
}

impl Instance {
    fn begin(&mut self, now: Moment) {
        self.attempts.push(Attempt {
            began: Some(now),
            submitted: None,
            ended: None,
            error: None,
            failed: None,
        });
        self.phase = (Phase::Started, Some(now));
    }
}
