//! The report in text, as `explain` prints it.

use misstep::analysis::Question;
use misstep::arn::ExecutionArn;
use misstep::history::Status;
use misstep::investigation::Finding;
use misstep::report::format::Format;
use misstep::report::{Report, Subject};

use crate::recorded::recorded;

fn explained(kind: &str, name: &str) -> String {
    let finding = Finding::of_file(&recorded(kind, name), &Question::default());
    Format::Text.render(&Report::new(&Subject::default(), &finding), false)
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
fn colours_come_only_when_asked_for() {
    let finding = Finding::of_file(&recorded("failed", "retry-interval-features"), &Question::default());
    let report = Report::new(&Subject::default(), &finding);
    assert!(!Format::Text.render(&report, false).contains('\u{1b}'));
    assert!(Format::Text.render(&report, true).contains("\u{1b}[31;1m"));
}
