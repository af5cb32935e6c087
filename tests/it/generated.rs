//! Generated histories, each against the truth that it was made from.

use misstep::analysis::answer::{AlsoFailed, FailedState, Failure, InFlight, LesserOutcome};
use misstep::analysis::{Analysis, Question, analyse};
use misstep::history::{History, Status, file};

use crate::support::synth::{self, Fate, Truth};

pub(crate) fn history(generated: &synth::History) -> History {
    file::parse(generated.json().to_string().as_bytes()).unwrap()
}

fn question(truth: &Truth, ending: usize) -> Question {
    if truth.terminal_event_id.is_none() {
        return Question::default();
    }
    Question { status: Status::parse(truth.status), redrive_count: Some(u32::try_from(ending).unwrap()) }
}

/// What an analysis and the truth are compared by, in one notation.
#[derive(Debug, PartialEq)]
struct Compared {
    status: String,
    error: Option<String>,
    cause: Option<String>,
    failed_state: Option<(String, Vec<Failure>)>,
    root_cause: Option<(String, Option<String>, Option<String>)>,
    in_flight: Vec<(String, String)>,
    also_failed: Vec<String>,
}

fn also(path: &[String], name: &str, error: Option<&str>, cause: Option<&str>, outcome: &str) -> String {
    format!("{} > {name}: {error:?} {cause:?} {outcome}", path.join(" > "))
}

fn found(analysis: &Analysis) -> Compared {
    let failed = |failed: &FailedState| {
        let attempts = failed
            .attempts
            .iter()
            .map(|one| Failure { error: one.error.clone(), cause: one.cause.clone() })
            .collect();
        let FailedState { name, r#type, path, input, entered_event_id, .. } = failed;
        let kind = r#type.as_ref().unwrap().as_str();
        let entered = entered_event_id.unwrap();
        (format!("{path:?} {name} {kind} {} #{entered}", input.as_deref().unwrap()), attempts)
    };
    let flight = |one: &InFlight| {
        let InFlight { name, r#type, path, input, phase, .. } = one;
        let phase = serde_json::to_value(phase).unwrap().as_str().unwrap().to_owned();
        (format!("{path:?} {name} {} {}", r#type.as_str(), input.as_deref().unwrap()), phase)
    };
    let lesser = |one: &AlsoFailed| {
        let outcome = match one.outcome {
            LesserOutcome::Caught => "caught",
            LesserOutcome::Retried => "retried",
            LesserOutcome::Aborted => "aborted",
        };
        also(&one.path, &one.name, one.error.as_deref(), one.cause.as_deref(), outcome)
    };
    let had_error = |one: &&AlsoFailed| {
        one.outcome != LesserOutcome::Aborted || one.error.is_some() || one.cause.is_some()
    };
    let mut also_failed: Vec<String> = analysis.also_failed.iter().filter(had_error).map(lesser).collect();
    also_failed.sort();
    Compared {
        status: analysis.status.as_str().to_owned(),
        error: analysis.failure.error.clone(),
        cause: analysis.failure.cause.clone(),
        failed_state: analysis.failed_state.as_ref().map(failed),
        root_cause: analysis
            .root_cause
            .as_ref()
            .map(|root| (root.state.clone().unwrap(), root.error.clone(), root.cause.clone())),
        in_flight: analysis.in_flight.iter().map(flight).collect(),
        also_failed,
    }
}

fn expected(truth: &Truth) -> Compared {
    let failed = |one: &synth::Instance| {
        let attempts = one
            .attempts
            .iter()
            .map(|one| Failure { error: one.error.clone(), cause: one.cause.clone() })
            .collect();
        let synth::Instance { path, name, kind, input, entered_event_id, .. } = one;
        (format!("{path:?} {name} {kind} {input} #{entered_event_id}"), attempts)
    };
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let root = truth.caught_before.as_ref().or(truth.failed_state.as_ref());
    let flight = |one: &synth::Instance| {
        let phase = format!("{:?}", one.phase.unwrap()).to_lowercase();
        (format!("{:?} {} {} {}", one.path, one.name, one.kind, one.input), phase)
    };
    let lesser = |(one, fate): &(synth::Instance, Fate)| {
        let outcome = match fate {
            Fate::Caught => "caught",
            Fate::Retried => "retried",
            Fate::AlsoFailed | Fate::Aborted => "aborted",
        };
        // A Fail state's error is written where it goes, and a retry writes it nowhere.
        let is_unwritten = one.kind == "Fail" && *fate != Fate::Caught;
        let (error, cause) = if is_unwritten { (None, None) } else { (one.error(), one.cause()) };
        also(&one.path, &one.name, error, cause, outcome)
    };
    // What fell without an error of its own is listed where it fell with the whole execution.
    let had_error = |(one, fate): &&(synth::Instance, Fate)| {
        !matches!(fate, Fate::AlsoFailed | Fate::Aborted) || one.error().is_some() || one.cause().is_some()
    };
    // What fell and was redriven is in the truth twice: for the run and for the redrive.
    let redriven = |(one, fate): &&(synth::Instance, Fate)| {
        let again = |(other, fate): &(synth::Instance, Fate)| {
            other.entered_event_id == one.entered_event_id && *fate == Fate::Retried
        };
        let failed =
            truth.failed_state.as_ref().is_some_and(|failed| failed.entered_event_id == one.entered_event_id);
        !failed && (*fate == Fate::Retried || !truth.others.iter().any(again))
    };
    let mut seen = std::collections::HashSet::new();
    let mut also_failed: Vec<String> = truth
        .others
        .iter()
        .filter(had_error)
        .filter(redriven)
        .filter(|(one, _)| seen.insert(one.entered_event_id))
        .map(lesser)
        .collect();
    also_failed.sort();
    Compared {
        status: truth.status.to_owned(),
        error: truth.error.clone(),
        cause: truth.cause.clone(),
        failed_state: truth.failed_state.as_ref().map(failed),
        root_cause: root.map(|root| (root.name.clone(), owned(root.error()), owned(root.cause()))),
        in_flight: truth.in_flight.iter().map(flight).collect(),
        also_failed,
    }
}

/// The lines that only one of them has.
fn difference(what: &str, found: &Compared, expected: &Compared) -> String {
    let (found, expected) = (format!("{found:#?}"), format!("{expected:#?}"));
    let only = |one: &str, other: &str, sign: &str| {
        let other: std::collections::HashSet<&str> = other.lines().collect();
        one.lines()
            .filter(|line| !other.contains(line))
            .map(|line| format!("\n{sign}{line}"))
            .collect::<String>()
    };
    format!("{what}{}{}", only(&found, &expected, "+"), only(&expected, &found, "-"))
}

#[test]
fn random_executions_are_explained_as_they_were_made_however_their_branches_interleave() {
    let (mut endings, mut not_told, mut wrong) = (0, 0, Vec::new());
    for seed in 0..300 {
        for interleaving in [seed, seed + 1_000_003] {
            let generated = synth::random(seed).history(interleaving);
            let history = history(&generated);
            for (ending, truth) in generated.truths.iter().enumerate() {
                endings += 1;
                let found = found(&analyse(&history, &question(truth, ending)));
                let expected = expected(truth);
                // After a redrive that tears the chain, two states that make the same call cannot
                // be told apart: then no state is blamed.
                if ending > 0 && found.failed_state.is_none() && expected.failed_state.is_some() {
                    not_told += 1;
                } else if found != expected {
                    let what = format!("seed {seed}, interleaving {interleaving}, ending {ending}");
                    wrong.push(difference(&what, &found, &expected));
                }
            }
        }
    }
    println!(
        "{} of {endings} endings of random executions explained as they were made, {not_told} left open, {} wrong",
        endings - not_told - wrong.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "the first ones wrong:\n{}", wrong[..wrong.len().min(5)].join("\n\n"));
    assert!(not_told * 100 < endings, "{not_told} left open");
}

#[test]
fn an_execution_that_ran_out_of_events_blames_no_state_and_names_the_busiest() {
    let generated = synth::endless().history(1);
    let analysis = analyse(&history(&generated), &Question::default());
    assert_eq!(analysis.status, Status::Failed);
    assert!(analysis.failed_state.is_none());
    assert!(analysis.root_cause.is_none());
    let busiest: Vec<_> = analysis.busiest.iter().map(|state| (state.name.as_str(), state.entered)).collect();
    assert_eq!(busiest[..3], [("Done?", 2776), ("Poll", 2776), ("Pause", 2776)]);
}

#[test]
fn siblings_that_fell_with_the_failed_state_are_listed() {
    let generated = synth::big_map(1_000).history(1);
    let truth = generated.truth();
    let analysis = analyse(&history(&generated), &Question::default());
    let fell = truth.others.iter().filter(|(_, fate)| *fate == Fate::Aborted).count();
    assert!(fell > 1);
    let listed = analysis.also_failed.iter().filter(|one| one.outcome == LesserOutcome::Aborted);
    assert!(listed.clone().all(|one| one.name == "Charge" && one.path[0].starts_with("Orders[")));
    assert_eq!(listed.count(), fell);
}

#[test]
fn a_redriven_execution_answers_for_the_end_that_was_asked_about() {
    let redriven = (0..200).map(|seed| synth::random(seed).history(seed)).filter(|one| one.truths.len() > 1);
    let mut asked = 0;
    for generated in redriven {
        let history = history(&generated);
        let first = Question { status: Some(Status::Failed), redrive_count: Some(0) };
        let analysis = analyse(&history, &first);
        let truth = &generated.truths[0];
        assert_eq!(
            analysis.failed_state.map(|failed| failed.name),
            truth.failed_state.as_ref().map(|failed| failed.name.clone())
        );
        assert!(analysis.since.unwrap().starts_with("The execution was redriven since and is now "));
        let third = Question { status: None, redrive_count: Some(2) };
        assert_eq!(analyse(&history, &third).status, Status::Running, "there is no third end");
        asked += 1;
    }
    assert!(asked > 20, "{asked}");
}
