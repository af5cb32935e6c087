use serde_json::json;

use super::*;

const AWS_2019: &str = include_str!("../../tests/fixtures/events/aws-2019.json");
const AWS_2024: &str = include_str!("../../tests/fixtures/events/aws-2024.json");
const LOCALSTACK: &str = include_str!("../../tests/fixtures/events/localstack.json");

fn one(body: &str) -> StatusChange {
    let mut changes = parse(body).unwrap();
    assert_eq!(changes.len(), 1);
    changes.remove(0)
}

#[test]
fn the_shape_of_2019_is_read() {
    let change = one(AWS_2019);
    assert_eq!(change.execution.name(), "execution-name");
    assert_eq!(change.state_machine_arn, "arn:aws:states:us-east-1:012345678912:stateMachine:state-machine");
    assert_eq!(change.status, Status::Failed);
    assert_eq!((change.redrive_count, change.error, change.cause), (None, None, None));
    assert_eq!(change.input.as_deref(), Some("{}"));
}

#[test]
fn the_shape_of_today_is_read() {
    let change = one(AWS_2024);
    assert_eq!(change.status, Status::TimedOut);
    assert_eq!(change.redrive_count, Some(1));
    assert_eq!(change.error.as_deref(), Some("States.Timeout"));
    assert_eq!(change.input.as_deref(), Some(r#"{"order": 7}"#));
    assert_eq!(change.stopped_at, "2024-02-07T11:02:40.123Z".parse().ok());
}

#[test]
fn the_shape_of_localstack_is_read() {
    let change = one(LOCALSTACK);
    assert_eq!(change.status, Status::Aborted);
    assert_eq!(change.input.as_deref(), Some("{}"));
    assert_eq!(change.stopped_at, "2026-11-22T10:00:00.5Z".parse().ok());
    assert_eq!(change.cause.as_deref(), Some("wrong order"));
}

#[test]
fn every_wrapping_is_removed() {
    let plain: Value = serde_json::from_str(AWS_2024).unwrap();
    let sns = json!({"Type": "Notification", "MessageId": "1", "TopicArn": "t", "Message": AWS_2024});
    let wrapped = [
        sns.clone(),
        json!([plain]),
        json!([{"messageId": "1", "eventSource": "aws:sqs", "body": AWS_2024}]),
        json!([{"messageId": "1", "eventSource": "aws:sqs", "body": sns.to_string()}]),
        json!({"Records": [{"EventSource": "aws:sns", "Sns": sns}]}),
        plain["detail"].clone(),
        json!(AWS_2024),
    ];
    for body in wrapped {
        assert_eq!(one(&body.to_string()), one(AWS_2024), "{body}");
    }
}

#[test]
fn a_batch_of_pipes_holds_several() {
    let events: Vec<Value> = [AWS_2019, AWS_2024].map(|text| serde_json::from_str(text).unwrap()).into();
    assert_eq!(parse(&json!(events).to_string()).unwrap().len(), 2);
}

#[test]
fn only_the_execution_and_the_status_are_needed_and_other_fields_may_have_any_type() {
    let execution = "arn:aws:states:eu-west-1:1:execution:orders:run";
    let least = one(&json!({"detail": {"executionArn": execution, "status": "FAILED"}}).to_string());
    assert_eq!(least.state_machine_arn, "arn:aws:states:eu-west-1:1:stateMachine:orders");
    let odd = one(
        &json!({"time": 7, "detail": {"executionArn": execution, "status": "FAILED", "stateMachineArn": [],
            "redriveCount": "many", "startDate": {}, "stopDate": true, "error": 5, "cause": {"a": 1}}})
        .to_string(),
    );
    assert_eq!((odd.redrive_count, odd.stopped_at), (None, None));
    assert_eq!((odd.error.as_deref(), odd.cause.as_deref()), (Some("5"), Some(r#"{"a":1}"#)));
}

#[test]
fn what_is_not_understood_says_why_without_repeating_it() {
    let deep = "[".repeat(100_000);
    let layered = (0..10).fold(AWS_2024.to_owned(), |inner, _| json!({ "Message": inner }).to_string());
    for (body, expected) in [
        ("not json", "the body is not JSON"),
        ("", "the body is not JSON"),
        (&deep, "the body is not JSON"),
        (&layered, "more wrappings"),
        ("[]", "an empty list"),
        ("{}", "neither an event nor a wrapper"),
        ("7", "neither an object nor a list"),
        (r#"{"Message": "secret words"}"#, "the SNS notification's Message is not JSON"),
        (r#"{"detail": {"status": "FAILED"}}"#, "names no executionArn"),
        (r#"{"detail": {"executionArn": "arn:aws:states:eu-west-1:1:execution:a:b"}}"#, "names no status"),
        (
            r#"{"detail": {"executionArn": "arn:aws:states:eu-west-1:1:execution:a:b", "status": "SAD"}}"#,
            "no status",
        ),
        (
            r#"{"detail": {"executionArn": "arn:aws:s3:::bucket", "status": "FAILED"}}"#,
            "its executionArn is none: expected arn:",
        ),
        (r#"{"detail": {"executionArn": "secret words", "status": "FAILED"}}"#, "its executionArn is none"),
        (
            r#"{"detail": {"executionArn": "arn:aws:states:eu-west-1:1:execution:a:b", "status": "password=secret"}}"#,
            "(not a name)",
        ),
        (r#"{"detail-type": "password=secret", "source": "secret:", "detail": {}}"#, "(not a name)"),
        (
            r#"{"detail-type": "Object Created", "source": "aws.s3", "detail": {}}"#,
            "\"Object Created\" of \"aws.s3\"",
        ),
    ] {
        let error = parse(body).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_redriven_execution_that_fails_again_is_another_failure() {
    let first = one(AWS_2024);
    let again = StatusChange { redrive_count: Some(2), ..first.clone() };
    assert_eq!(first.failure_key(), one(AWS_2024).failure_key());
    assert_ne!(first.failure_key(), again.failure_key());
}
