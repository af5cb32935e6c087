//! The report in text, as `explain` prints it.

use misstep::analysis::Question;
use misstep::aws::arn::ExecutionArn;
use misstep::history::{History, Status};
use misstep::investigation::Finding;
use misstep::report::format::Format;
use misstep::report::{Report, Subject};

use crate::generated;
use crate::recorded::recorded;
use crate::support::synth::steps::{map, parallel, pass, task, wait};
use crate::support::synth::{self, Machine};

fn explained(kind: &str, name: &str) -> String {
    text(&recorded(kind, name), &Question::default())
}

fn text(history: &History, question: &Question) -> String {
    Format::Text.render(&Report::new(&Subject::default(), &Finding::of_file(history, question)), false)
}

fn generated(machine: &Machine) -> String {
    text(&generated::history(&machine.history(1)), &Question::default())
}

#[test]
fn a_retried_lambda_is_explained() {
    insta::assert_snapshot!(explained("failed", "retry-interval-features"));
}

#[test]
fn a_failure_in_handling_a_caught_error_inside_a_map_is_explained() {
    insta::assert_snapshot!(explained("failed", "map-catch-error-map-catch-error-output-with-retry"));
}

#[test]
fn a_missed_heartbeat_is_explained() {
    insta::assert_snapshot!(explained("failed", "heartbeat-path-timeout"));
}

#[test]
fn a_nested_execution_is_explained_as_far_as_a_file_goes() {
    insta::assert_snapshot!(explained("failed", "start-execution-sync-delegate-timeout"));
}

#[test]
fn a_parallel_retried_to_the_end_is_explained() {
    insta::assert_snapshot!(explained("failed", "parallel-state-retry"));
}

#[test]
fn a_success_with_caught_errors_is_explained() {
    insta::assert_snapshot!(explained("succeeded", "map-catch-error-map-catch-error-output"));
}

#[test]
fn states_in_flight_at_a_timeout_are_shown() {
    insta::assert_snapshot!(explained("localstack", "timeout-in-map"));
}

#[test]
fn a_map_of_many_iterations_is_folded_around_what_went_wrong() {
    insta::assert_snapshot!(generated(&synth::big_map(2_000)));
}

#[test]
fn an_execution_that_ran_out_of_events_names_the_busiest_states() {
    insta::assert_snapshot!(generated(&synth::endless()));
}

#[test]
fn a_redriven_execution_is_shown_with_that_end_and_its_later_outcome() {
    let failing =
        task("Charge").fails(("Declined", "card expired")).redriven().fails(("Declined", "still expired"));
    let machine = Machine::new(vec![pass("Prepare"), failing]).redriven();
    let history = generated::history(&machine.history(1));
    let first = Question { status: Some(Status::Failed), redrive_count: Some(0) };
    insta::assert_snapshot!("its_first_end", text(&history, &first));
    insta::assert_snapshot!("its_last_end", text(&history, &Question::default()));
}

#[test]
fn names_that_would_steer_a_terminal_are_harmless() {
    let inner = vec![
        wait("<b>bold</b>\n\u{1b}[2Jclear"),
        task("it's \"quoted\" \u{202e}desrever").fails(("E\u{7}", "c\r\nd")),
    ];
    let machine = Machine::new(vec![map("Zahlung prüfen 支払い", vec![vec![parallel("🙂", vec![inner])]])]);
    insta::assert_snapshot!(generated(&machine));
}

#[test]
fn an_event_without_a_history_is_explained() {
    let subject = Subject {
        execution: ExecutionArn::parse("arn:aws:states:eu-west-1:123456789012:execution:orders:run-7").ok(),
        env: "prod".into(),
        status: Some(Status::Failed),
        error: Some("States.Runtime".into()),
        cause: Some("An error occurred while executing the state 'Choose' (entered at the event id #8). Invalid path '$.kind'.".into()),
        input: Some("{\"id\":7}".into()),
        ..Subject::default()
    };
    let report = Report::degraded(&subject, "access to its history was denied");
    insta::assert_snapshot!(Format::Text.render(&report, false));
}

#[test]
fn the_documentation_shows_what_explain_prints() {
    let docs = include_str!("../../docs/explain.md");
    let name = "map-catch-error-map-catch-error-output-with-retry";
    assert!(docs.contains(&format!("failed/{name}.json")));
    assert!(docs.contains(&explained("failed", name)));
}

#[test]
fn colours_come_only_when_asked_for() {
    let finding = Finding::of_file(&recorded("failed", "retry-interval-features"), &Question::default());
    let report = Report::new(&Subject::default(), &finding);
    assert!(!Format::Text.render(&report, false).contains('\u{1b}'));
    assert!(Format::Text.render(&report, true).contains("\u{1b}[31;1m"));
}
