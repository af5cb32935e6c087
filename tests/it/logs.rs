//! The last lines of a log: which are asked for, what is said where they cannot be read, and who gets them.

use std::sync::Arc;

use async_trait::async_trait;
use misstep::analysis::resources::{Resource, ResourceRole};
use misstep::logs::{self, FoundLines, LogError, LogLine, LogQuery, LogReader, Logs};
use misstep::redact::{Redactor, Rules};
use misstep::report::Report;
use misstep::report::format::Format;
use serde_json::{Value, json};

use crate::support::configured::settings_of;
use crate::support::planted::reports;
use crate::support::stub::logs::{CloudWatchLogs, GROUP};
use crate::support::stub::{Fault, environment, session};
use crate::support::worker_process::{misstep, run};

const REQUEST: &str = "8d2ae1d0-0ad1-4c6b-9f1c-3f9a4f1d2b11";

/// 2026-03-01T12:00:00Z.
const NOON: i64 = 1_772_366_400_000;

fn reader(stub: &CloudWatchLogs) -> Arc<dyn LogReader> {
    logs::reader(&session(stub.url())).unwrap()
}

/// A function that ran for five seconds from noon on.
fn function() -> Resource {
    let some = |text: &str| Some(text.to_owned());
    Resource {
        role: ResourceRole::FailedState,
        state: "Charge".to_owned(),
        service: "lambda".to_owned(),
        operation: some("invoke"),
        name: some("charge"),
        arn: None,
        id: some(REQUEST),
        status: None,
        region: some("eu-west-1"),
        log_group: some(GROUP),
        log_stream: None,
        console: None,
        logs: None,
        started_at: "2026-03-01T12:00:00Z".parse().ok(),
        ended_at: "2026-03-01T12:00:05Z".parse().ok(),
    }
}

fn texts(logs: &Logs) -> Vec<&str> {
    logs.lines.iter().map(|line| line.text.as_str()).collect()
}

#[tokio::test]
async fn of_a_stream_the_last_lines_around_the_attempt_are_read() {
    let stub = CloudWatchLogs::start().await;
    for at in 0..80 {
        stub.write("s", NOON + at * 10, &format!("line {at}\n"));
    }
    stub.write("s", NOON + 600_000, "much later");
    let resource = Resource { log_stream: Some("s".to_owned()), ..function() };
    let logs = logs::of(&*reader(&stub), &[resource]).await;
    assert_eq!((logs.error.as_deref(), logs.log_stream.as_deref()), (None, Some("s")));
    assert_eq!((logs.lines.len(), texts(&logs)[0], texts(&logs)[49]), (50, "line 30", "line 79"));
    assert_eq!(logs.lines[49].at.unwrap().as_millisecond(), NOON + 790);
    let asked = stub.calls_of("GetLogEvents");
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (&asked[0]["startTime"], &asked[0]["endTime"]),
        (&json!(NOON - 30_000), &json!(NOON + 65_000))
    );
}

#[tokio::test]
async fn of_a_request_all_lines_between_its_first_and_its_last_are_read() {
    let stub = CloudWatchLogs::start().await;
    stub.limit_pages(1);
    for (stream, at, line) in [
        ("other", 0, "START RequestId: another"),
        ("own", -1_000, "END RequestId: before"),
        ("own", 100, &*format!("START RequestId: {REQUEST}")),
        ("own", 200, "a line without an id"),
        ("own", 300, &*format!("REPORT RequestId: {REQUEST}")),
        ("own", 400, "START RequestId: after"),
    ] {
        stub.write(stream, NOON + at, line);
    }
    let logs = logs::of(&*reader(&stub), &[function()]).await;
    assert_eq!(logs.error, None);
    let expected = [
        &*format!("START RequestId: {REQUEST}"),
        "a line without an id",
        &*format!("REPORT RequestId: {REQUEST}"),
    ];
    assert_eq!((texts(&logs), logs.log_stream.as_deref()), (expected.to_vec(), Some("own")));
    assert_eq!(stub.calls_of("FilterLogEvents").len(), 2);
    assert_eq!(stub.calls_of("FilterLogEvents")[0]["filterPattern"], format!("\"{REQUEST}\""));
}

#[tokio::test]
async fn of_streams_that_begin_alike_the_last_lines_are_read() {
    let stub = CloudWatchLogs::start().await;
    stub.limit_pages(30);
    for at in 0..100 {
        stub.write(if at % 2 == 0 { "job/algo-1" } else { "job/algo-2" }, NOON + at, &format!("{at}"));
    }
    stub.write("job-2/algo-1", NOON + 200, "another job's");
    let resource = Resource { log_stream: Some("job/".to_owned()), ..function() };
    let logs = logs::of(&*reader(&stub), &[resource]).await;
    assert_eq!((logs.lines.len(), texts(&logs)[0], texts(&logs)[49]), (50, "50", "99"));
}

#[tokio::test]
async fn why_nothing_can_be_read_is_one_sentence() {
    let stub = CloudWatchLogs::start().await;
    let reader = reader(&stub);
    let stream = |name: &str| Resource { log_stream: Some(name.to_owned()), ..function() };
    let error = async |resource: Resource| logs::of(&*reader, &[resource]).await.error.unwrap();
    assert_eq!(error(stream("gone")).await, "/aws/lambda/charge or the stream in it does not exist");
    assert_eq!(error(function()).await, "/aws/lambda/charge holds no line of the attempt");
    stub.plan(
        "GetLogEvents",
        [Some(Fault::denied()), Some(Fault::throttled()), Some(Fault::Reset), Some(Fault::Silence)],
    );
    assert_eq!(error(stream("s")).await, "/aws/lambda/charge may not be read: allow logs:GetLogEvents of it");
    assert_eq!(
        error(stream("s")).await,
        "/aws/lambda/charge could not be read: GetLogEvents answered ThrottlingException"
    );
    assert!(error(stream("s")).await.starts_with("/aws/lambda/charge could not be read: "));
    assert_eq!(stub.calls_of("GetLogEvents").len(), 4, "no call is made twice");
    // Nothing comes, ever: it is given up in time.
    let why = error(stream("s")).await;
    assert!(why.contains("could not be read"), "{why}");
    let nothing = [Resource { log_group: None, ..function() }, Resource { id: None, ..function() }];
    assert_eq!(
        logs::of(&*reader, &nothing).await.error.unwrap(),
        "no log of what failed is known, or not which part of it"
    );
}

/// A log that holds what it holds.
struct Fixed(Vec<&'static str>);

#[async_trait]
impl LogReader for Fixed {
    async fn last_lines(&self, _wanted: &LogQuery) -> Result<FoundLines, LogError> {
        let lines = self.0.iter().map(|text| LogLine { at: None, text: (*text).to_owned() });
        Ok(FoundLines { stream: Some("s".to_owned()), lines: lines.collect() })
    }
}

#[tokio::test]
async fn every_form_shows_the_lines_and_redaction_removes_secrets_from_them() {
    let mut report: Report = reports("plain").remove(0);
    let lines = vec!["the card was <declined>", "password=hunterZq77"];
    report.analysis.logs = Some(logs::of(&Fixed(lines), &[function()]).await);
    for format in [Format::Text, Format::Markdown, Format::Html, Format::Json] {
        let shown = format.render(&report, false).replace("&lt;", "<").replace('\\', "");
        assert!(
            shown.contains("the card was <declined") && shown.contains("hunterZq77"),
            "{format:?}\n{shown}"
        );
        let redacted = report.clone().redacted(&Redactor::new(&Rules::default()));
        let shown = format.render(&redacted, false);
        assert!(!shown.contains("hunterZq77"), "{format:?}\n{shown}");
    }
}

#[test]
fn a_route_shows_logs_if_configured() {
    let route = |more: &str| {
        settings_of(
            &format!("[[routes]]\nname = \"r\"\naudience = \"dev\"\nchannel = \"stdout\"\n{more}"),
            &[],
        )
    };
    assert!(!route("").unwrap()[0].logs);
    assert!(route("logs = true").unwrap()[0].logs);
    let faults = route("logs = true\nform = \"summary\"").unwrap_err();
    assert!(faults[0].contains("only the form full shows logs"), "{faults:?}");
}

/// A failed call of the function as the CLI prints it.
fn history() -> Value {
    let event = |id: i64, kind: &str, details: &str, of: Value| {
        json!({"id": id, "previousEventId": if id == 2 { 0 } else { id - 1 }, "type": kind,
            "timestamp": format!("2026-03-01T12:00:0{id}Z"), (details): of})
    };
    let cause = json!({"errorType": "E", "errorMessage": "boom", "requestId": REQUEST}).to_string();
    let parameters = json!({"FunctionName": "charge"}).to_string();
    let failed = json!({"resourceType": "lambda", "resource": "invoke", "error": "E", "cause": cause});
    json!({"events": [
        event(1, "ExecutionStarted", "executionStartedEventDetails", json!({"input": "{}"})),
        event(2, "TaskStateEntered", "stateEnteredEventDetails", json!({"name": "Charge", "input": "{}"})),
        event(3, "TaskScheduled", "taskScheduledEventDetails",
            json!({"resourceType": "lambda", "resource": "invoke", "region": "eu-west-1", "parameters": parameters})),
        event(4, "TaskFailed", "taskFailedEventDetails", failed),
        event(5, "ExecutionFailed", "executionFailedEventDetails", json!({"error": "E", "cause": cause})),
    ]})
}

#[tokio::test]
async fn explain_shows_the_log_when_asked_to() {
    let stub = CloudWatchLogs::start().await;
    stub.write("own", NOON + 3_500, &format!("{REQUEST} about to charge, password=hunterZq77"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.json");
    std::fs::write(&file, history().to_string()).unwrap();
    let explain = async |arguments: &[&str]| {
        let mut command = misstep(&["explain"]);
        command.arg(&file).args(arguments);
        command.envs(environment("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", stub.url()));
        let ended = run(command).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout
    };
    let without = explain(&["--format", "text"]).await;
    assert!(without.contains("log /aws/lambda/charge") && !without.contains("about to charge"), "{without}");
    assert!(stub.calls().is_empty());
    let with = explain(&["--format", "text", "--logs"]).await;
    assert!(with.contains("12:00:03.500") && with.contains("hunterZq77"), "{with}");
    let redacted = explain(&["--format", "json", "--logs", "--redact"]).await;
    let data: Value = serde_json::from_str(&redacted).unwrap();
    assert_eq!(data["analysis"]["logs"]["log_stream"], "own");
    let text = data["analysis"]["logs"]["lines"][0]["text"].as_str().unwrap();
    assert!(text.contains("about to charge") && !text.contains("hunterZq77"), "{text}");
    stub.refuse("FilterLogEvents", crate::support::stub::Refusal::new(400, "AccessDeniedException", "no"));
    let refused = explain(&["--format", "text", "--logs"]).await;
    assert!(
        refused.contains("/aws/lambda/charge may not be read: allow logs:FilterLogEvents of it"),
        "{refused}"
    );
}
