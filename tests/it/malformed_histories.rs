//! Histories that no service would write: cut, mangled, forged. Never a panic, never a hang, and
//! what can still be known is still known.

use std::time::Duration;

use misstep::analysis::{Analysis, Question, analyse};
use misstep::history::{Details, EventType, History, HistoryEvent, Status, file};
use misstep::investigation::Finding;
use misstep::report::format::Format;
use misstep::report::{Report, Subject};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::generated;
use crate::recorded;
use crate::support::synth;

/// Recorded and generated histories, as they are read.
fn honest() -> Vec<History> {
    let generated = (0..60).map(|seed| generated::history(&synth::random(seed).history(seed)));
    recorded::all().into_iter().chain(generated).collect()
}

/// A state by its name and path.
type State = (String, Vec<String>);

/// What must not change: the state to blame, where, and the root cause; else what is in flight.
type Blame = (Status, Option<State>, Option<Option<String>>, Vec<State>);

fn blame(analysis: &Analysis) -> Blame {
    (
        analysis.status,
        analysis.failed_state.as_ref().map(|failed| (failed.name.clone(), failed.path.clone())),
        analysis.root_cause.as_ref().map(|root| root.state.clone()),
        analysis.in_flight.iter().map(|one| (one.name.clone(), one.path.clone())).collect(),
    )
}

fn blamed(events: Vec<HistoryEvent>) -> Blame {
    blame(&analyse(&History::whole(events), &Question::default()))
}

/// Everything that can be done with a history in one go.
fn explain(history: &History) {
    let finding = Finding::of_file(history, &Question::default());
    let report = Report::new(&Subject::default(), &finding);
    let text = Format::Text.render(&report, false);
    assert!(text.lines().all(|line| !line.chars().any(char::is_control)), "{text}");
    assert!(serde_json::from_str::<serde_json::Value>(&Format::Json.render(&report, false)).is_ok());
}

#[test]
fn every_prefix_of_an_honest_history_is_explained_as_running() {
    for history in honest() {
        let events = history.events();
        for end in (0..events.len()).step_by(events.len() / 40 + 1) {
            let prefix = History::whole(events[..end].to_vec());
            let analysis = analyse(&prefix, &Question::default());
            let has_ended = events[..end].iter().any(|event| event.event_type.end().is_some());
            assert!(has_ended || analysis.status == Status::Running);
            assert!(has_ended || analysis.failed_state.is_none());
            explain(&prefix);
        }
    }
}

#[test]
fn every_suffix_of_an_honest_history_is_explained_without_contradicting_the_whole() {
    for history in honest() {
        let events = history.events();
        let whole = analyse(&history, &Question::default());
        for start in (0..events.len()).step_by(events.len() / 40 + 1) {
            let part = analyse(&History::newest(events[start..].to_vec()), &Question::default());
            // What is blamed for certain is what the whole history blames.
            if let (Some(part), Some(whole)) = (&part.failed_state, &whole.failed_state)
                && part.confidence == misstep::analysis::answer::Confidence::Exact
            {
                assert_eq!((&part.name, &part.path), (&whole.name, &whole.path), "from {start} on");
            }
            explain(&History::newest(events[start..].to_vec()));
        }
    }
}

#[test]
fn dropped_payloads_do_not_change_the_blame() {
    for history in honest() {
        let mut events = history.events().to_vec();
        for event in &mut events {
            event.details.input = None;
            event.details.output = None;
        }
        assert_eq!(blamed(events), blamed(history.events().to_vec()));
    }
}

#[test]
fn unknown_types_strewn_in_do_not_change_the_blame() {
    for (seed, history) in honest().into_iter().enumerate() {
        let mut strewn = Vec::new();
        for (at, event) in history.events().iter().enumerate() {
            let mut event = event.clone();
            // Room for one event between any two.
            let doubled = event.previous_event_id * 2;
            event.id *= 2;
            event.previous_event_id = doubled;
            event.details.cause = event.details.cause.as_deref().map(doubled_ids);
            let unknown = HistoryEvent {
                id: event.id - 1,
                previous_event_id: doubled,
                timestamp: event.timestamp,
                event_type: EventType::parse("LoopTurned"),
                details: Details { name: Some("Loop".into()), ..Details::default() },
            };
            match (at + seed) % 3 {
                // On the chain, beside it, not at all.
                0 if doubled > 0 => {
                    event.previous_event_id = unknown.id;
                    strewn.push(unknown);
                }
                1 => strewn.push(unknown),
                _ => {}
            }
            strewn.push(event);
        }
        assert_eq!(blamed(strewn), blamed(history.events().to_vec()), "history {seed}");
    }
}

/// `#14` becomes `#28`.
fn doubled_ids(cause: &str) -> String {
    let Some((before, after)) = cause.split_once("(entered at the event id #") else { return cause.into() };
    let (id, rest) = after.split_once(')').unwrap();
    let Ok(id) = id.parse::<i64>() else { return cause.into() };
    format!("{before}(entered at the event id #{}){rest}", id * 2)
}

#[test]
fn a_deeply_nested_history_is_explained_in_time() {
    // Every state a Parallel in the one before, and a Task at the bottom that fails.
    let depth = 10_000;
    let mut events = vec![event(1, 0, "ExecutionStarted", Details::default())];
    let mut id = 1;
    for level in 0..depth {
        let name = Details { name: Some(format!("P{level}")), ..Details::default() };
        let before = if level == 0 { 0 } else { id };
        events.push(event(id + 1, before, "ParallelStateEntered", name));
        events.push(event(id + 2, id + 1, "ParallelStateStarted", Details::default()));
        id += 2;
    }
    let name = Details { name: Some("Deepest".into()), ..Details::default() };
    let error = Details { error: Some("E".into()), ..Details::default() };
    events.push(event(id + 1, id, "TaskStateEntered", name));
    events.push(event(id + 2, id + 1, "TaskScheduled", Details::default()));
    events.push(event(id + 3, id + 2, "TaskFailed", error.clone()));
    id += 3;
    for _ in 0..3 {
        events.push(event(id + 1, id, "ParallelStateFailed", Details::default()));
        id += 1;
    }
    events.push(event(id + 1, id, "ExecutionFailed", error));
    let analysis = in_time(|| analyse(&History::whole(events.clone()), &Question::default()));
    let failed = analysis.failed_state.unwrap();
    assert_eq!((failed.name.as_str(), failed.path.len()), ("Deepest", depth));
    in_time(|| explain(&History::whole(events)));
}

#[test]
fn chains_that_lead_in_circles_or_forwards_end() {
    for history in honest().into_iter().take(40) {
        for shift in [-1_000_000, -1, 0, 1, 2, 1_000_000] {
            let mut events = history.events().to_vec();
            for event in &mut events {
                event.previous_event_id = event.id + shift;
            }
            in_time(|| explain(&History::whole(events)));
        }
    }
}

#[test]
fn tens_of_thousands_of_forged_events_are_explained_in_time() {
    // Exits that fit nothing, all following the deepest of many open states; ends without number.
    for (filler, named) in [
        ("TaskStateExited", "P0"),
        ("MapStateExited", "nobody"),
        ("ExecutionFailed", ""),
        ("ExecutionRedriven", ""),
        ("MapStateFailed", ""),
        ("TaskScheduled", ""),
        ("EvaluationFailed", "P1"),
        ("MapIterationStarted", "P2"),
    ] {
        let mut events = Vec::new();
        for id in 1..=10_000 {
            let name = Details { name: Some(format!("P{id}")), ..Details::default() };
            let kind = if id % 2 == 0 { "MapStateEntered" } else { "ParallelStateStarted" };
            events.push(event(id, id - 1, kind, name));
        }
        for id in 10_001..=60_000 {
            let details = Details {
                name: Some(named.into()),
                state: Some(named.into()),
                index: Some(id),
                resource: Some("invoke".into()),
                ..Details::default()
            };
            events.push(event(id, if id % 2 == 0 { 10_000 } else { id - 1 }, filler, details));
        }
        in_time(|| explain(&History::whole(events)));
    }
}

#[test]
fn texts_of_a_mebibyte_are_explained() {
    let mut events = recorded::recorded("failed", "retry-interval-features").events().to_vec();
    for event in &mut events {
        let Details { name, error, cause, .. } = &mut event.details;
        for text in [name, error, cause].into_iter().flatten() {
            *text = text.repeat(1 << 20 >> text.len().ilog2());
        }
        event.details.input = event.details.input.as_ref().map(|_| "\u{1b}]0;x\u{7}\u{202e}".repeat(100_000));
    }
    in_time(|| explain(&History::whole(events)));
}

fn event(id: i64, previous_event_id: i64, event_type: &str, details: Details) -> HistoryEvent {
    HistoryEvent { id, previous_event_id, timestamp: None, event_type: EventType::parse(event_type), details }
}

/// Generous: an unoptimized build on a busy machine. What is not linear takes far longer.
fn in_time<T>(work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    assert!(began.elapsed() < Duration::from_secs(60), "took {:?}", began.elapsed());
    result
}

/// Any event, more or less.
fn any_event() -> impl Strategy<Value = HistoryEvent> {
    let entered_and_exited = ["Task", "Map", "Parallel", "Pass", "Fail", "Choice", "Wait", "New"]
        .into_iter()
        .flat_map(|state| [format!("{state}StateEntered"), format!("{state}StateExited")]);
    let types: Vec<String> =
        EventType::NAMED.iter().map(|name| (*name).to_owned()).chain(entered_and_exited).collect();
    let name =
        prop::option::of(prop::sample::select(vec!["A", "B", "C's", "' (entered at the event id #1)"]));
    let cause = prop_oneof![
        Just(None),
        Just(Some("boom".to_owned())),
        ("[A-C]", 0..40_i64).prop_map(|(name, id)| Some(format!(
            "An error occurred while executing the state '{name}' (entered at the event id #{id}). x"
        ))),
        Just(Some("The execution reached the maximum number of history events (25000).".to_owned())),
    ];
    (1..40_i64, -3..45_i64, prop::sample::select(types), name, 0..3_i64, cause, any::<bool>()).prop_map(
        |(id, previous_event_id, event_type, name, index, cause, flag)| HistoryEvent {
            id,
            previous_event_id,
            timestamp: jiff::Timestamp::from_second(1_772_366_400 + (id * 7919) % 100).ok(),
            event_type: EventType::parse(&event_type),
            details: Details {
                name: name.map(str::to_owned),
                state: name.map(str::to_owned),
                index: Some(index),
                input: flag.then(|| "{}".to_owned()),
                output: flag.then(|| r#"{"Error":"E","Cause":"C"}"#.to_owned()),
                error: cause.as_ref().map(|_| "States.Runtime".to_owned()),
                cause,
                resource: Some(if flag { "startExecution.sync" } else { "invoke" }.to_owned()),
                resource_type: Some("states".to_owned()),
                timeout_seconds: flag.then_some(index),
                heartbeat_seconds: Some(index),
                map_run_arn: Some("arn:aws:states:eu-west-1:1:mapRun:a/b:c".to_owned()),
                ..Details::default()
            },
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_events_at_all_are_explained(events in prop::collection::vec(any_event(), 0..40)) {
        explain(&History::whole(events.clone()));
        explain(&History::newest(events));
    }

    #[test]
    fn a_mangled_file_is_explained_or_refused(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let files = recorded::files();
        let mut bytes = files[which.index(files.len())].clone();
        let at = at.index(bytes.len());
        let end = (at + with.len()).min(bytes.len());
        bytes.splice(at..end, with);
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(history) = file::parse(&bytes) {
            explain(&history);
        }
    }
}
