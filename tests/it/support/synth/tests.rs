//! The generator checked: what AWS never breaks, no generated history breaks either; what was
//! recorded on AWS comes out event by event; and the truth fits the events.

mod cases;
mod recorded;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::steps::{Phase, callback, lambda, parallel, pass, task};
use super::*;

/// What each event may point at, after section "previousEventId" of what is known of AWS.
/// `leaf failure` and `container failure` stand for the events of those kinds.
const LINKS: &[(&str, &[&str])] = &[
    ("ExecutionStarted", &["0"]),
    ("ExecutionAborted", &["0"]),
    ("ExecutionTimedOut", &["0"]),
    ("ExecutionRedriven", &["0", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"]),
    ("ExecutionSucceeded", &["exited"]),
    ("ExecutionFailed", &["leaf failure", "container failure", "entered", "MapStateStarted", "exited"]),
    ("entered", &["0", "exited", "MapIterationStarted", "ParallelStateStarted"]),
    (
        "exited",
        &[
            "entered",
            "succeeded",
            "leaf failure",
            "container failure",
            // A Parallel's branches end without an event of their own.
            "exited",
            "MapIterationSucceeded",
            "MapRunSucceeded",
            "MapRunStarted",
            "MapRunRedriven",
            "ExecutionRedriven",
        ],
    ),
    ("MapStateStarted", &["MapStateEntered", "leaf failure", "container failure", "FailStateEntered"]),
    (
        "ParallelStateStarted",
        &["ParallelStateEntered", "leaf failure", "container failure", "FailStateEntered"],
    ),
    // MaxConcurrency 1 goes on behind the iteration before; otherwise all start at the Map.
    ("MapIterationStarted", &["MapStateStarted", "exited"]),
    ("MapIterationSucceeded", &["exited"]),
    ("MapIterationFailed", &["leaf failure", "container failure", "FailStateEntered"]),
    ("aborted", &["leaf failure", "container failure", "FailStateEntered"]),
    ("container failure", &["leaf failure", "container failure", "FailStateEntered"]),
    ("MapStateSucceeded", &["MapIterationSucceeded", "MapRunSucceeded"]),
    ("ParallelStateSucceeded", &["exited"]),
    ("MapRunStarted", &["MapStateStarted"]),
    ("MapRunRedriven", &["MapStateFailed", "MapRunStarted", "ExecutionRedriven", "MapRunRedriven"]),
    ("MapRunSucceeded", &["MapRunStarted", "MapRunRedriven"]),
    ("MapRunFailed", &["MapRunStarted", "MapRunRedriven"]),
    (
        "scheduled",
        &["TaskStateEntered", "leaf failure", "scheduled", "started", "TaskSubmitted", "ExecutionRedriven"],
    ),
    ("started", &["scheduled"]),
    ("TaskSubmitted", &["TaskStarted"]),
    ("TaskSucceeded", &["TaskStarted", "TaskSubmitted"]),
    ("LambdaFunctionSucceeded", &["LambdaFunctionStarted"]),
    ("ActivitySucceeded", &["ActivityStarted"]),
    ("schedule failed", &["TaskStateEntered", "leaf failure", "ExecutionRedriven"]),
    ("start failed", &["scheduled"]),
    ("TaskSubmitFailed", &["TaskStarted"]),
    ("failed", &["started", "TaskSubmitted"]),
    ("timed out", &["scheduled", "started", "TaskSubmitted"]),
    // Past its own state's Entered, except in a Wait.
    ("EvaluationFailed", &["0", "exited", "MapIterationStarted", "ParallelStateStarted", "WaitStateEntered"]),
];

/// The group that an event's type belongs to, as a source and as a target of a link.
fn groups(kind: &str) -> Vec<&str> {
    let mut groups = vec![kind];
    let task = ["Task", "LambdaFunction", "Activity"].iter().find_map(|prefix| kind.strip_prefix(prefix));
    match task {
        Some("Scheduled") => groups.push("scheduled"),
        Some("Started") => groups.push("started"),
        Some("Succeeded") => groups.push("succeeded"),
        Some("ScheduleFailed") => groups.extend(["schedule failed", "leaf failure"]),
        Some("StartFailed") => groups.extend(["start failed", "leaf failure"]),
        Some("SubmitFailed") => groups.push("leaf failure"),
        Some("Failed") => groups.extend(["failed", "leaf failure"]),
        Some("TimedOut") => groups.extend(["timed out", "leaf failure"]),
        _ => {}
    }
    match kind {
        _ if kind.ends_with("StateEntered") => groups.push("entered"),
        _ if kind.ends_with("StateExited") => groups.push("exited"),
        _ if kind.ends_with("StateAborted") => groups.push("aborted"),
        "MapIterationAborted" | "MapRunAborted" => groups.push("aborted"),
        "MapStateFailed" | "ParallelStateFailed" => groups.push("container failure"),
        "EvaluationFailed" | "MapRunFailed" => groups.push("leaf failure"),
        _ => {}
    }
    groups
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn previous(event: &Value) -> usize {
    event["previousEventId"].as_u64().unwrap() as usize
}

fn details(event: &Value) -> Option<(&String, &Value)> {
    event.as_object().unwrap().iter().find(|(key, _)| key.ends_with("EventDetails"))
}

/// `MapIterationFailed<7`, one after the other.
fn in_short(history: &History) -> String {
    let short = history.events.iter().map(|event| format!("{}<{}", text(event, "type"), previous(event)));
    short.collect::<Vec<_>>().join(" ")
}

/// What holds for every history.
fn check(history: &History) {
    let mut before: Option<jiff::Timestamp> = None;
    let mut open: HashMap<&str, i64> = HashMap::new();
    for (at, event) in history.events.iter().enumerate() {
        assert_eq!(event["id"].as_u64(), Some(at as u64 + 1), "ids are dense: {event}");
        let previous = previous(event);
        assert!(previous <= at, "what comes before was written before: {event}");
        let time: jiff::Timestamp = text(event, "timestamp").parse().unwrap();
        assert!(before.is_none_or(|before| before <= time), "time goes forward: {event}");
        before = Some(time);
        let kind = text(event, "type");
        let target = if previous == 0 { "0" } else { text(&history.events[previous - 1], "type") };
        let (kinds, targets) = (groups(kind), groups(target));
        let mut rules = LINKS.iter().filter(|(kind, _)| kinds.contains(kind));
        let is_allowed = rules.any(|(_, allowed)| targets.iter().any(|target| allowed.contains(target)));
        assert!(is_allowed, "{kind} does not point at {target}: {:.3000}", in_short(history));
        check_details(kind, event);
        if let Some((_, details)) = details(event) {
            match kind {
                _ if kind.ends_with("StateEntered") => *open.entry(text(details, "name")).or_default() += 1,
                _ if kind.ends_with("StateExited") => *open.entry(text(details, "name")).or_default() -= 1,
                _ => {}
            }
        }
    }
    assert!(open.values().all(|open| *open >= 0), "no state is left before it was entered");
}

fn check_details(kind: &str, event: &Value) {
    let key = details(event).map(|(key, _)| key.as_str());
    let without = ["LambdaFunctionStarted", "MapRunAborted", "MapRunSucceeded"];
    let bare = kind.ends_with("StateAborted")
        || ["MapState", "ParallelState"].iter().any(|state| {
            let rest = kind.strip_prefix(state);
            rest == Some("Failed") || rest == Some("Succeeded") || kind == "ParallelStateStarted"
        });
    if bare || without.contains(&kind) {
        assert_eq!(key, None, "{event}");
        return;
    }
    let expected = match kind {
        _ if kind.ends_with("StateEntered") => "stateEnteredEventDetails".to_owned(),
        _ if kind.ends_with("StateExited") => "stateExitedEventDetails".to_owned(),
        _ => format!("{}{}EventDetails", kind[..1].to_lowercase(), &kind[1..]),
    };
    assert_eq!(key, Some(expected.as_str()), "{event}");
}

/// The truth fits the events that it speaks of.
fn check_truth(history: &History, truth: &Truth) {
    let event = |id: u64| &history.events[id as usize - 1];
    if let Some(terminal) = truth.terminal_event_id {
        let (_, details) = details(event(terminal)).unwrap();
        let said = |key: &str| details.get(key).and_then(Value::as_str);
        assert_eq!((said("error"), said("cause")), (truth.error.as_deref(), truth.cause.as_deref()));
        let kind = match truth.status {
            "SUCCEEDED" => "ExecutionSucceeded",
            "FAILED" => "ExecutionFailed",
            "TIMED_OUT" => "ExecutionTimedOut",
            "ABORTED" => "ExecutionAborted",
            other => panic!("{other} has no terminal event"),
        };
        assert_eq!(text(event(terminal), "type"), kind);
    } else {
        assert_eq!(truth.status, "RUNNING");
    }
    let at_the_limit = truth.cause.as_deref().is_some_and(|cause| cause.contains("maximum number"));
    assert_eq!(truth.failed_state.is_none(), truth.status != "FAILED" || at_the_limit);
    let spoken_of = truth.failed_state.iter().chain(&truth.caught_before).chain(&truth.in_flight);
    for instance in spoken_of.chain(truth.others.iter().map(|(instance, _)| instance)) {
        let entered = event(instance.entered_event_id);
        assert_eq!(text(entered, "type"), format!("{}StateEntered", instance.kind));
        let details = &entered["stateEnteredEventDetails"];
        assert_eq!((text(details, "name"), text(details, "input")), (&*instance.name, &*instance.input));
        for attempt in &instance.attempts {
            if let Some(scheduled) = attempt.scheduled_event_id {
                assert!(scheduled > instance.entered_event_id && scheduled < attempt.failed_event_id);
            }
            assert!(attempt.failed_event_id >= instance.entered_event_id);
            if text(event(attempt.failed_event_id), "type") == "FailStateEntered" {
                continue;
            }
            let (_, details) = super::tests::details(event(attempt.failed_event_id)).unwrap();
            let said = |key: &str| details.get(key).and_then(Value::as_str);
            assert_eq!((said("error"), said("cause")), (attempt.error.as_deref(), attempt.cause.as_deref()));
        }
    }
    if let Some(failed) = &truth.failed_state {
        assert_eq!((failed.error(), failed.cause()), (truth.error.as_deref(), truth.cause.as_deref()));
    }
    assert!(truth.in_flight.is_sorted_by_key(|instance| instance.entered_event_id));
}

#[test]
fn every_random_history_keeps_the_rules_and_its_truth_in_every_order() {
    let mut kinds = HashSet::new();
    for seed in 0..250 {
        let machine = random(seed);
        let first = machine.history(1);
        for other in 0..3 {
            let history = machine.history(other);
            check(&history);
            assert_eq!(history.truths.len(), first.truths.len());
            for (truth, in_first) in history.truths.iter().zip(&first.truths) {
                check_truth(&history, truth);
                assert_eq!(truth.shape(), in_first.shape(), "machine {seed}, order {other}");
            }
            kinds.extend(history.events.iter().map(|event| text(event, "type").to_owned()));
        }
    }
    // Every type of event that there is.
    assert_eq!(kinds.len(), 62, "{kinds:?}");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    assert_eq!(random(7).history(3).events, random(7).history(3).events);
    assert_eq!(Random::new(5).next(), Random::new(5).next());
}

#[test]
fn branches_really_interleave() {
    let machine = Machine::new(vec![parallel("Both", vec![vec![task("A"), pass("B")], vec![lambda("C")]])]);
    let orders: HashSet<String> = (0..40).map(|seed| in_short(&machine.history(seed))).collect();
    assert!(orders.len() > 10, "only {} orders", orders.len());
}

#[test]
fn big_histories_are_as_big_as_asked_for() {
    for events in [1_000, 5_000, MAX_EVENTS] {
        let history = big_map(events).history(1);
        assert!((events * 9 / 10..=events).contains(&history.events.len()), "{}", history.events.len());
        check(&history);
        check_truth(&history, history.truth());
        let failed = history.truth().failed_state.as_ref().unwrap();
        assert_eq!(failed.name, "Charge");
        let long = long(events).history(1);
        assert_eq!(long.events.len(), events);
        check(&long);
        check_truth(&long, long.truth());
    }
}

#[test]
fn an_endless_loop_ends_with_the_last_possible_event() {
    let history = endless().history(1);
    check(&history);
    check_truth(&history, history.truth());
    assert_eq!(history.truth().failed_state, None);
    let [.., last_but_one, last] = history.events.as_slice() else { panic!("no events") };
    assert_eq!((last["id"].as_u64(), previous(last)), (Some(25_000), 24_999));
    assert!(text(last_but_one, "type").ends_with("StateExited"));
}

#[test]
fn a_history_that_has_not_ended_is_running() {
    let machine = Machine::new(vec![pass("A"), callback("B").stops(Phase::Submitted)]);
    let history = machine.history(1);
    check(&history);
    check_truth(&history, history.truth());
    assert_eq!((history.truth().status, history.truth().in_flight.len()), ("RUNNING", 1));
    assert_eq!(history.json()["events"].as_array().unwrap().len(), history.events.len());
}
