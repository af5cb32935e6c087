//! Maps and Parallels: their runs, their iterations, and what breaks them.

use super::{Builder, FARTHEST, Place};
use crate::analysis::answer::{Failure, Phase};
use crate::analysis::timeline::{Instance, InstanceId, IterationEnd, Moment, Said, ScopeKind};
use crate::history::{EventType, HistoryEvent, StateType};

impl Builder<'_> {
    /// What a Catch gives to the next state is the only place where the error of a Fail state
    /// inside a Map or Parallel is written.
    pub(super) fn hand_on(&mut self, container: InstanceId, exited: &HistoryEvent) {
        let id = self.timeline.innermost_broken(container);
        if let Some(attempt) = self.instance_mut(id).attempts.last_mut()
            && matches!(attempt.failed, Some(Said::Nowhere))
            && let Some(failure) = exited.details.output.as_deref().and_then(handed_on)
        {
            attempt.error.clone_from(&failure.error);
            attempt.failed = Some(Said::HandedOn(failure));
        }
    }

    pub(super) fn contents_began(&mut self, now: Moment, state_type: &StateType, here: Place) -> Place {
        let again = |instance: &Instance| instance.state_type == *state_type && instance.exited.is_none();
        let id = self
            .outwards(here.inside, |instance| again(instance) && instance.given_up.is_none())
            .or_else(|| self.outwards(self.fell.filter(|_| self.is_torn(here)), again));
        let Some(id) = id else { return here };
        if let Some(inner) = here.inside.filter(|inner| *inner != id) {
            self.decided(inner, Some(id));
        }
        let instance = self.instance_mut(id);
        instance.broken_by = None;
        instance.rounds += 1;
        instance.branches = 0;
        instance.failing = false;
        instance.given_up = None;
        instance.begin(now);
        Place { opens_branch: *state_type == StateType::Parallel, ..self.inside(id) }
    }

    pub(super) fn iteration_began(&mut self, now: Moment, here: Place) -> Place {
        let details = &self.events[now.index].details;
        let name = details.name.as_deref().unwrap_or_default();
        let open = |instance: &Instance| instance.exited.is_none() && *instance.name == *name;
        let map = self.outwards(here.inside, open).or_else(|| {
            let latest = *self.latest.get(name)?;
            (here.inside.is_none() && open(self.timeline.instance(latest))).then_some(latest)
        });
        // A Map entered before what was read is known by its iterations.
        let map = map.unwrap_or_else(|| self.add(name, &StateType::Map, here.scope, None));
        let index = details.index.unwrap_or_default();
        let scope = self.add_scope(ScopeKind::Iteration(index), map);
        if let Some(before) = self.iterations.insert((map, index), scope) {
            let before = &mut self.timeline.scopes[before.0];
            before.ended.get_or_insert(IterationEnd::Failed);
            before.ended_at = now.index;
        }
        Place { scope, ..self.inside(map) }
    }

    pub(super) fn iteration_ended(&mut self, now: Moment, how: IterationEnd, here: Place) -> Place {
        let details = &self.events[now.index].details;
        let name = details.name.as_deref().unwrap_or_default();
        let Some(map) = self.outwards(here.inside, |instance| *instance.name == *name) else { return here };
        if let Some(scope) = self.iterations.get(&(map, details.index.unwrap_or_default())) {
            let scope = &mut self.timeline.scopes[scope.0];
            scope.ended = Some(how);
            scope.ended_at = now.index;
        }
        if how == IterationEnd::Failed
            && let Some(inner) = here.inside.filter(|inner| *inner != map)
        {
            self.broken(map, inner, now);
        }
        self.inside(map)
    }

    /// A failure decided what became of everything around it, up to a container. Others inside may
    /// have failed in the same moment.
    pub(super) fn decided(&mut self, by: InstanceId, up_to: Option<InstanceId>) {
        let mut next = Some(by);
        for _ in 0..FARTHEST {
            let Some(id) = next.filter(|_| next != up_to) else { break };
            self.instance_mut(id).decided = true;
            next = self.timeline.container(id);
        }
    }

    /// As far as is known yet, a container waits for its next run, or to fail.
    pub(super) fn broken(&mut self, container: InstanceId, by: InstanceId, now: Moment) {
        let instance = self.instance_mut(container);
        instance.broken_by = Some(by);
        instance.phase = (Phase::Backoff, Some(now));
    }

    pub(super) fn container_failed(&mut self, now: Moment, state_type: &StateType, here: Place) -> Place {
        let seam = self.timeline.seam;
        let Some(id) = self.outwards(here.inside, |instance| {
            instance.state_type == *state_type
                && instance.exited.is_none()
                && instance.given_up.is_none_or(|given_up| Some(given_up.index) <= seam)
        }) else {
            return here;
        };
        if let Some(inner) = here.inside.filter(|inner| *inner != id) {
            self.instance_mut(id).broken_by = Some(inner);
        }
        if let Some(inner) = self.timeline.instance(id).broken_by {
            self.decided(inner, Some(id));
        }
        let instance = self.instance_mut(id);
        instance.given_up = Some(now);
        instance.failing = true;
        self.inside(id)
    }

    /// The nearest open container of a type.
    pub(super) fn at(&self, state_type: &StateType, here: Place) -> Place {
        let open = |instance: &Instance| instance.state_type == *state_type && instance.exited.is_none();
        self.outwards(here.inside, open).map_or(here, |id| self.inside(id))
    }

    pub(super) fn map_run_began(&mut self, now: Moment, here: Place) -> Place {
        let open = |instance: &Instance| instance.state_type == StateType::Map && instance.exited.is_none();
        let Some(id) = self
            .outwards(here.inside, open)
            .or_else(|| self.outwards(self.fell.filter(|_| self.is_torn(here)), open))
        else {
            return here;
        };
        let details = &self.events[now.index].details;
        let redriven = self.events[now.index].event_type == EventType::MapRunRedriven;
        let instance = self.instance_mut(id);
        if let Some(arn) = &details.map_run_arn {
            instance.map_run = Some(arn.clone());
        }
        if redriven {
            instance.failing = false;
            instance.given_up = None;
            instance.begin(now);
        }
        instance.phase = (Phase::Started, Some(now));
        self.inside(id)
    }

    pub(super) fn map_run_failed(&mut self, now: Moment, here: Place) -> Place {
        let place = self.at(&StateType::Map, here);
        if let Some(id) = place.inside {
            self.fail(id, now, Said::InEvent(now.index));
        }
        place
    }
}

/// The error in what a Catch hands on: an object with nothing but `Error` and `Cause` in it.
fn handed_on(output: &str) -> Option<Failure> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "PascalCase")]
    struct HandedOn {
        error: String,
        cause: Option<String>,
    }
    let HandedOn { error, cause } = serde_json::from_str(output).ok()?;
    Some(Failure { error: Some(error), cause })
}
