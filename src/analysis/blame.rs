//! Which state's failure ended the execution.
//!
//! The words of AWS come first: the cause of an interpreter's error names the state and the event
//! that entered it. Then the chain: the last event follows, over the containers that failed with
//! it, the event that failed. Where neither leads to a state, only one that is left in flight can
//! be meant.

use super::answer::{Confidence, TimeLimit, TimeLimitKind};
use super::timeline::{Builder, InstanceId};
use crate::history::{EventType, HistoryEvent, StateType, Work};

/// The longest chain that is followed back from an end, so that a forged history with many ends
/// cannot make the analysis quadratic.
const MOST_CONTAINERS: usize = 10_000;

/// The state to blame.
pub(super) struct BlameVerdict {
    pub(super) instance: InstanceId,
    /// The event that wrote the failure down for this state, if one did.
    pub(super) failed_at: Option<usize>,
    /// The event whose error and cause are those of the failure.
    pub(super) said_by: usize,
    /// How many containers lie around the state, if the chain of events shows it: each that fails
    /// with it has an event.
    pub(super) depth: Option<usize>,
    pub(super) confidence: Confidence,
    pub(super) evidence: String,
}

/// The states and entering events that a cause of AWS's may name. A state's name may hold the very
/// words that end it, so there may be several readings, of which one is true.
pub(super) fn named_in(cause: &str) -> impl Iterator<Item = (&str, i64)> {
    const BEFORE: &str = "An error occurred while executing the state '";
    const BETWEEN: &str = "' (entered at the event id #";
    let rest = cause.strip_prefix(BEFORE).unwrap_or_default();
    rest.match_indices(BETWEEN).filter_map(move |(end, _)| {
        let number = &rest[end + BETWEEN.len()..];
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        number[digits..].starts_with(").").then_some(())?;
        Some((&rest[..end], number[..digits].parse().ok()?))
    })
}

/// Whether the execution ended because it had too many events. No state is to blame for that.
pub(super) fn ran_out_of_events(end: &HistoryEvent) -> bool {
    let said =
        |cause: &String| cause.starts_with("The execution reached the maximum number of history events");
    end.details.error.as_deref() == Some("States.Runtime") && end.details.cause.as_ref().is_some_and(said)
}

/// By the words of AWS: the cause names a state and the event that entered it, and that event did.
///
/// A state that was exited is not meant: a Fail state may hand on the cause of one that was caught.
pub(super) fn by_cause(builder: &Builder<'_>, end: usize) -> Option<BlameVerdict> {
    let details = &builder.events[end].details;
    let (entered, instance) = named_in(details.cause.as_deref()?).find_map(|(name, entered)| {
        let index = builder.index_of(entered)?;
        let event = &builder.events[index];
        let is_meant = matches!(event.event_type, EventType::StateEntered(_))
            && event.details.name.as_deref() == Some(name);
        let instance = builder.places[index].inside.filter(|_| is_meant)?;
        builder.timeline.instance(instance).exited.is_none().then_some((entered, instance))
    })?;
    let chain = by_chain(builder, end);
    if let Some(other) = chain.as_ref().filter(|chain| chain.instance != instance) {
        // A Fail state or a task may repeat the cause of another state.
        let is_fail = builder.timeline.instance(other.instance).state_type == StateType::Fail;
        let said = |at: usize| builder.events[at].details.cause == details.cause;
        if is_fail || other.failed_at.is_some_and(said) {
            return None;
        }
    }
    let chain = chain.filter(|chain| chain.instance == instance);
    let depth = chain.as_ref().and_then(|chain| chain.depth);
    let failed_at = chain.and_then(|chain| chain.failed_at).filter(|at| {
        let said = &builder.events[*at].details;
        said.error == details.error && said.cause == details.cause
    });
    let name = &builder.timeline.instance(instance).name;
    Some(BlameVerdict {
        instance,
        failed_at,
        said_by: failed_at.unwrap_or(end),
        depth,
        confidence: Confidence::Exact,
        evidence: format!(
            "The cause of the last event, {}, names the state '{name}' and event {entered}, which entered it.",
            builder.events[end].id
        ),
    })
}

/// Where the chain from the last event leads.
struct Leaf {
    index: usize,
    /// The events passed on the way.
    over: Vec<i64>,
    /// How many of them were containers failing.
    containers: usize,
    /// The innermost of these.
    failing: Option<usize>,
}

/// The first event behind the end that is not one of a container failing with what is inside it.
fn leaf(builder: &Builder<'_>, end: usize) -> Option<Leaf> {
    let events = builder.events;
    let mut leaf = Leaf { index: end, over: Vec::new(), containers: 0, failing: None };
    while leaf.over.len() <= MOST_CONTAINERS {
        leaf.index = builder.before(leaf.index)?;
        match &events[leaf.index].event_type {
            EventType::MapStateFailed | EventType::ParallelStateFailed => {
                leaf.containers += 1;
                leaf.failing = Some(leaf.index);
            }
            fallen if fallen.only_follows_a_failure() => {}
            _ => return Some(leaf),
        }
        leaf.over.push(events[leaf.index].id);
    }
    None
}

/// By the chain of events: from the last one over the containers that failed to the leaf.
pub(super) fn by_chain(builder: &Builder<'_>, end: usize) -> Option<BlameVerdict> {
    let events = builder.events;
    let Leaf { index, over, containers, failing } = leaf(builder, end)?;
    let event = &events[index];
    let is_fail = event.event_type == EventType::StateEntered(StateType::Fail);
    if !is_fail && !event.event_type.is_failure() {
        return broken(builder, end, failing).or_else(|| hanging(builder, end, index));
    }
    let instance = builder.places[index].inside?;
    if builder.timeline.instance(instance).exited.is_some() {
        return None;
    }
    let is_container = builder.timeline.instance(instance).is_container();
    let said = &event.details;
    let says_nothing = said.error.is_none() && said.cause.is_none();
    let over = match over.as_slice() {
        [] => "follows".to_owned(),
        [one] => format!("leads over event {one} to"),
        [outer, .., inner] => format!("leads over events {outer} to {inner} to"),
    };
    let how = match &event.event_type {
        EventType::EvaluationFailed => "which names this state",
        EventType::StateEntered(_) => "which entered this state",
        _ => "which belongs to this state",
    };
    let mut evidence =
        format!("The last event, {}, {over} event {}, {}, {how}", events[end].id, event.id, event.event_type);
    evidence.push_str(&why_timed_out(builder, instance).unwrap_or_default());
    evidence.push('.');
    Some(BlameVerdict {
        instance,
        failed_at: Some(index),
        said_by: if says_nothing { end } else { index },
        depth: Some(if is_container { containers.saturating_sub(1) } else { containers }),
        confidence: Confidence::Exact,
        evidence,
    })
}

/// A container failed, but its event does not follow a failure: on LocalStack it follows whatever came
/// before. Then the last failure inside broke it.
fn broken(builder: &Builder<'_>, end: usize, failing: Option<usize>) -> Option<BlameVerdict> {
    let failing = failing?;
    let container = builder.places[failing].inside?;
    let instance = builder.timeline.innermost_broken(container);
    let failed_at = builder.timeline.instance(instance).last_failed()?.ended?.index;
    let said = &builder.events[failed_at].details;
    let event = &builder.events[failing];
    Some(BlameVerdict {
        instance,
        failed_at: Some(failed_at),
        said_by: if said.error.is_none() && said.cause.is_none() { end } else { failed_at },
        depth: None,
        confidence: Confidence::Inferred,
        evidence: format!(
            "The last event leads to event {}, {}, which follows no failure; this state was the last to fail inside.",
            event.id, event.event_type
        ),
    })
}

/// The last event follows one of a state that was not exited, and its cause names the state.
fn hanging(builder: &Builder<'_>, end: usize, index: usize) -> Option<BlameVerdict> {
    let (end_event, event) = (&builder.events[end], &builder.events[index]);
    let id = builder.places[index].inside?;
    let instance = builder.timeline.instance(id);
    let named = end_event.details.cause.as_deref()?.contains(&format!("'{}'", instance.name));
    (named && instance.exited.is_none()).then(|| BlameVerdict {
        instance: id,
        failed_at: None,
        said_by: end,
        depth: None,
        confidence: Confidence::Exact,
        evidence: format!(
            "The last event, {}, follows event {}, {}, of this state, which was not exited, and its cause names the state.",
            end_event.id, event.id, event.event_type
        ),
    })
}

/// The limit that a task exceeded, appended to the evidence.
fn why_timed_out(builder: &Builder<'_>, instance: InstanceId) -> Option<String> {
    let TimeLimit { limit, seconds } = time_limit(builder, instance)?;
    let scheduled = builder.timeline.instance(instance).attempts.last()?.began?;
    let timeout = builder.events[scheduled.index].details.timeout_seconds;
    Some(match (limit, timeout) {
        (TimeLimitKind::Timeout, _) => format!("; it ran into its timeout of {seconds} s"),
        (TimeLimitKind::Heartbeat, None) => format!("; it sent no heartbeat for {seconds} s"),
        (TimeLimitKind::Heartbeat, Some(timeout)) => {
            format!("; it sent no heartbeat for {seconds} s, and its timeout of {timeout} s had not passed")
        }
    })
}

/// The limit that a task ran into which timed out last. A missing heartbeat is recorded as a timeout
/// of the task. The schedule distinguishes them: with a heartbeat set, and the task's own timeout not
/// reached, it was the heartbeat.
pub(super) fn time_limit(builder: &Builder<'_>, instance: InstanceId) -> Option<TimeLimit> {
    let attempt = builder.timeline.instance(instance).attempts.last()?;
    let event = &builder.events[attempt.ended?.index];
    if event.event_type.work() != Some(Work::TimedOut) {
        return None;
    }
    let scheduled = attempt.began?;
    let schedule = &builder.events[scheduled.index].details;
    let waited = event.timestamp.zip(scheduled.at).map(|(end, start)| end.as_second() - start.as_second());
    let timed_out = |timeout: i64| waited.is_some_and(|waited| waited >= timeout);
    match (schedule.heartbeat_seconds, schedule.timeout_seconds) {
        (Some(seconds), timeout) if !timeout.is_some_and(timed_out) => {
            Some(TimeLimit { limit: TimeLimitKind::Heartbeat, seconds })
        }
        (_, timeout) => timeout.map(|seconds| TimeLimit { limit: TimeLimitKind::Timeout, seconds }),
    }
}

/// By what is left: the one state in flight, or the one of them whose last event is a failure. If
/// the failure before the end cannot be attributed to a state, no other state is blamed for it.
pub(super) fn by_what_is_left(
    builder: &Builder<'_>,
    end: usize,
    in_flight: &[InstanceId],
) -> Option<BlameVerdict> {
    if let Some(leaf) = leaf(builder, end).filter(|leaf| builder.events[leaf.index].event_type.is_failure()) {
        let &[only] = in_flight else { return None };
        let is_work = builder.events[leaf.index].event_type.work().is_some();
        if is_work && builder.timeline.instance(only).is_container() {
            return None;
        }
        let event = &builder.events[leaf.index];
        return Some(BlameVerdict {
            instance: only,
            failed_at: None,
            said_by: leaf.index,
            depth: None,
            confidence: Confidence::Inferred,
            evidence: format!(
                "The last event follows event {}, {}, which follows nothing of any state; this was the only one left in flight.",
                event.id, event.event_type
            ),
        });
    }
    let failing = |id: &&InstanceId| builder.timeline.instance(**id).failing;
    let mut failed = in_flight.iter().filter(failing);
    let (instance, evidence) = match (in_flight, failed.next(), failed.next()) {
        (&[only], ..) => (only, "It was the only state left in flight; no event leads to it."),
        (_, Some(&only), None) => {
            (only, "Of the states left in flight, only this one had failed; no event leads to it.")
        }
        _ => return None,
    };
    let last = builder.timeline.instance(instance).attempts.last();
    let failed_at = last.filter(|attempt| attempt.has_failed()).and_then(|attempt| attempt.ended);
    let failed_at = failed_at.map(|ended| ended.index);
    Some(BlameVerdict {
        instance,
        failed_at,
        said_by: failed_at.unwrap_or(end),
        depth: None,
        confidence: Confidence::Inferred,
        evidence: evidence.to_owned(),
    })
}

/// How many states may lie between a Catch and a Fail state at most.
pub(super) const MOST_HANDLERS: usize = 8;

/// So many handle an error: a notification, an update of a record, a clean-up.
pub(super) const FEW_HANDLERS: usize = 3;

/// The error that a Fail state reports.
pub(super) struct Caught {
    /// The state that was caught, the innermost one where that was a Map or Parallel.
    pub(super) state: InstanceId,
    /// The states between, other than Pass and Choice, the last first. Without any, the Fail state
    /// reports just this error.
    pub(super) handlers: Vec<InstanceId>,
}

/// From a Fail state back to the state that was caught, over the states that handled it.
pub(super) fn caught_behind(builder: &Builder<'_>, fail: InstanceId) -> Option<Caught> {
    let mut at = builder.timeline.instance(fail).entered?;
    let mut handlers = Vec::new();
    loop {
        let before = builder.before(at.index)?;
        let exited = builder.places[before].exited?;
        let instance = builder.timeline.instance(exited);
        if instance.outcome == super::timeline::StateOutcome::Caught {
            return Some(Caught { state: builder.timeline.innermost_broken(exited), handlers });
        }
        if !matches!(instance.state_type, StateType::Pass | StateType::Choice) {
            if handlers.len() == MOST_HANDLERS {
                return None;
            }
            handlers.push(exited);
        }
        at = instance.entered.filter(|entered| entered.index < before)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_names_its_state() {
        let cause =
            "An error occurred while executing the state 'Pay (now)' (entered at the event id #14). The";
        assert_eq!(named_in(cause).collect::<Vec<_>>(), [("Pay (now)", 14)]);
    }

    #[test]
    fn a_name_with_quotes_is_read_in_every_way() {
        let cause = "An error occurred while executing the state 'it's' (entered at the event id #1). x' (entered at the event id #22). The";
        assert_eq!(
            named_in(cause).collect::<Vec<_>>(),
            [("it's", 1), ("it's' (entered at the event id #1). x", 22)]
        );
    }

    #[test]
    fn a_sentence_that_does_not_begin_the_cause_is_not_the_executions_own() {
        let inner = "An error occurred while executing the state 'A' (entered at the event id #2). x";
        assert_eq!(named_in(&format!("{{\"Cause\":\"{inner}\"}}")).count(), 0);
        assert_eq!(
            named_in("An error occurred while executing the state 'A' (entered at the event id #x)").count(),
            0
        );
    }
}
