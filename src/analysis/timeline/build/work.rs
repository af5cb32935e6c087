//! The work of Task states: attempts, whichever integration makes them.

use super::{Builder, FARTHEST, Place};
use crate::analysis::answer::Phase;
use crate::analysis::timeline::{InstanceId, Moment, Said};
use crate::history::{HistoryEvent, Work};

impl Builder<'_> {
    pub(super) fn work(&mut self, now: Moment, work: Work, here: Place) -> Place {
        let id = here.inside.or_else(|| self.taken_up(now, work, here)).filter(|id| {
            let instance = self.timeline.instance(*id);
            instance.exited.is_none() && !instance.is_container()
        });
        let Some(id) = id else { return here };
        match work {
            Work::Scheduled => {
                let instance = self.instance_mut(id);
                instance.begin(now);
                instance.failing = false;
                instance.phase = (Phase::Scheduled, Some(now));
                if let Some(call) = call(&self.events[now.index]) {
                    let calling = self.calling.entry(call).or_default();
                    if calling.last() != Some(&id) {
                        calling.push(id);
                    }
                }
            }
            Work::Started => self.instance_mut(id).phase = (Phase::Started, Some(now)),
            Work::Submitted => {
                let instance = self.instance_mut(id);
                instance.phase = (Phase::Submitted, Some(now));
                if let Some(attempt) = instance.attempts.last_mut() {
                    attempt.submitted = Some(now);
                }
            }
            Work::Succeeded => {
                let instance = self.instance_mut(id);
                instance.failing = false;
                if let Some(attempt) = instance.attempts.last_mut() {
                    attempt.ended = Some(now);
                }
            }
            Work::Failed | Work::TimedOut => self.fail(id, now, Said::InEvent(now.index)),
        }
        self.inside(id)
    }

    /// After a redrive, states that had not ended may be scheduled again without being entered. The
    /// one of them that made the same call is meant, if there is only one.
    fn taken_up(&mut self, now: Moment, work: Work, here: Place) -> Option<InstanceId> {
        if !self.is_torn(here) {
            return None;
        }
        // An attempt that was never scheduled does not show what it would have called.
        if matches!(work, Work::Failed | Work::TimedOut) {
            return self.fell.filter(|_| self.left_open == 1);
        }
        let call = call(&self.events[now.index])?;
        let (instances, seam) = (&self.timeline.instances, self.timeline.seam);
        let calling = self.calling.get_mut(&call)?;
        while calling.last().is_some_and(|id| instances[id.0].exited.is_some()) {
            calling.pop();
        }
        let mut waiting = calling.iter().rev().take(FARTHEST).filter(|id| {
            let instance = &instances[id.0];
            let runs = instance
                .attempts
                .last()
                .and_then(|last| last.began)
                .is_some_and(|began| Some(began.index) > seam);
            instance.exited.is_none() && !instance.superseded && (instance.failing || !runs)
        });
        let only = waiting.next().copied();
        only.filter(|_| waiting.next().is_none())
    }
}

/// What a scheduled task calls, and with what.
fn call(scheduled: &HistoryEvent) -> Option<(&str, Option<u64>)> {
    Some((scheduled.details.resource.as_deref()?, scheduled.details.called_with))
}
