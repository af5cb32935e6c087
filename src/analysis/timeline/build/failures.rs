//! Failures: where the history writes them down, and whose they are.

use super::{Builder, Place};
use crate::analysis::answer::Phase;
use crate::analysis::blame::{self, BlameVerdict};
use crate::analysis::timeline::{Attempt, InstanceId, Moment, Said};

impl Builder<'_> {
    /// The event names its state. Of several instances of it, the cause may name the one by the
    /// event that entered it; else it is the one that the event's chain leads to, or that follows
    /// the same event as this one does.
    pub(super) fn evaluation_failed(&mut self, now: Moment, here: Place) -> Place {
        let event = &self.events[now.index];
        let Some(name) = event.details.state.as_deref() else { return here };
        let open = |id: InstanceId| {
            let instance = self.timeline.instance(id);
            instance.exited.is_none() && *instance.name == *name
        };
        let named = || {
            let cause = event.details.cause.as_deref()?;
            let entered = blame::named_in(cause).find(|(state, _)| *state == name)?.1;
            self.places[self.index_of(entered)?].inside
        };
        let id = named()
            .filter(|id| open(*id))
            .or_else(|| here.inside.filter(|id| open(*id)))
            .or_else(|| {
                self.entered_after.get(&(event.previous_event_id, name)).copied().filter(|id| open(*id))
            })
            .or_else(|| self.latest.get(name).copied().filter(|id| open(*id)));
        let Some(id) = id else { return here };
        self.fail(id, now, Said::InEvent(now.index));
        self.inside(id)
    }

    /// The end of a run that was redriven later.
    pub(super) fn execution_failed(&mut self, now: Moment) -> Place {
        self.fell =
            blame::by_cause(self, now.index).or_else(|| blame::by_chain(self, now.index)).map(|verdict| {
                self.ended_by(&verdict, now);
                self.decided(verdict.instance, None);
                verdict.instance
            });
        Place::BODY
    }

    /// Writes down the failure that ended the execution, where no event of its own did.
    pub(in crate::analysis) fn ended_by(&mut self, verdict: &BlameVerdict, end: Moment) {
        match verdict.failed_at {
            Some(at) if at == verdict.said_by => {}
            Some(_) => {
                let error = self.events[end.index].details.error.clone();
                if let Some(attempt) = self.instance_mut(verdict.instance).attempts.last_mut() {
                    attempt.error = error;
                    attempt.failed = Some(Said::InEvent(verdict.said_by));
                }
            }
            None => {
                let failed = Moment::of(self.events, verdict.said_by);
                self.fail(verdict.instance, failed, Said::InEvent(verdict.said_by));
            }
        }
    }

    /// Ends the running attempt of an instance, or adds one that ran since the last, as failed.
    pub(in crate::analysis) fn fail(&mut self, id: InstanceId, now: Moment, said: Said) {
        let error = match &said {
            Said::InEvent(index) => self.events[*index].details.error.clone(),
            Said::HandedOn(failure) => failure.error.clone(),
            Said::Nowhere => None,
        };
        let instance = self.instance_mut(id);
        if instance.attempts.last().is_none_or(|attempt| attempt.ended.is_some()) {
            let began = instance.attempts.last().map_or(instance.entered, |attempt| attempt.ended);
            instance.attempts.push(Attempt {
                began,
                submitted: None,
                ended: None,
                error: None,
                failed: None,
            });
        }
        if let Some(attempt) = instance.attempts.last_mut() {
            attempt.ended = Some(now);
            attempt.error = error;
            attempt.failed = Some(said);
        }
        instance.failing = true;
        instance.broken_by = None;
        instance.phase = (Phase::Backoff, Some(now));
    }
}
