//! The last lines of a log in a real LocalStack, as `misstep explain --logs` shows them.

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::stage::{aws, endpoint};
use crate::support::stub::environment;
use crate::support::worker_process::{misstep, run};

const REQUEST: &str = "8d2ae1d0-0ad1-4c6b-9f1c-3f9a4f1d2b11";

/// Writes lines to a stream, a tenth of a second apart from `at` on.
async fn write(client: &Client, group: &str, stream: &str, at: Timestamp, lines: &[&str]) {
    client.create_log_stream().log_group_name(group).log_stream_name(stream).send().await.unwrap();
    let events = (0..).zip(lines).map(|(number, line)| {
        let event = InputLogEvent::builder().timestamp(at.as_millisecond() + 100 * number).message(*line);
        event.build().unwrap()
    });
    let put = client.put_log_events().log_group_name(group).log_stream_name(stream);
    put.set_log_events(Some(events.collect())).send().await.unwrap();
}

/// The history of a function that failed by that request, a second after `at`.
fn history(function: &str, at: Timestamp) -> Value {
    let event = |id: i64, kind: &str, details: &str, of: Value| {
        let time = at.checked_add(SignedDuration::from_millis(250 * id)).unwrap();
        json!({"id": id, "previousEventId": if id == 2 { 0 } else { id - 1 }, "type": kind,
            "timestamp": time.to_string(), (details): of})
    };
    let cause = json!({"errorType": "E", "errorMessage": "boom", "requestId": REQUEST}).to_string();
    let parameters = json!({"FunctionName": function}).to_string();
    let called = json!({"resourceType": "lambda", "resource": "invoke", "region": "us-east-1", "parameters": parameters});
    let failed = json!({"resourceType": "lambda", "resource": "invoke", "error": "E", "cause": cause});
    json!({"events": [
        event(1, "ExecutionStarted", "executionStartedEventDetails", json!({"input": "{}"})),
        event(2, "TaskStateEntered", "stateEnteredEventDetails", json!({"name": "Charge", "input": "{}"})),
        event(3, "TaskScheduled", "taskScheduledEventDetails", called),
        event(4, "TaskFailed", "taskFailedEventDetails", failed),
        event(5, "ExecutionFailed", "executionFailedEventDetails", json!({"error": "E", "cause": cause})),
    ]})
}

async fn explained(history: &Value) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.json");
    std::fs::write(&file, history.to_string()).unwrap();
    let mut command = misstep(&["explain", "--logs", "--format", "json"]);
    command.arg(&file).envs(environment("AWS_ENDPOINT_URL", &endpoint())).env("AWS_REGION", "us-east-1");
    let ended = run(command).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test]
async fn the_lines_of_a_request_are_found_in_its_stream() {
    let client = Client::new(&aws().await);
    let function = format!("charge-{}", std::process::id());
    let group = format!("/aws/lambda/{function}");
    // LocalStack takes no lines that are older than two weeks.
    let at = Timestamp::now().checked_sub(SignedDuration::from_secs(60)).unwrap();
    client.create_log_group().log_group_name(&group).send().await.unwrap();
    write(&client, &group, "2026/03/01/[$LATEST]other", at, &["START RequestId: another", "not this"]).await;
    let start = format!("START RequestId: {REQUEST}");
    let end = format!("END RequestId: {REQUEST}");
    let lines = ["END RequestId: before", &start, "about to charge", &end, "START RequestId: after"];
    write(&client, &group, "2026/03/01/[$LATEST]own", at, &lines).await;
    let data = explained(&history(&function, at)).await;
    let logs = &data["analysis"]["logs"];
    let texts: Vec<&str> =
        logs["lines"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, [start.as_str(), "about to charge", end.as_str()], "{logs:#}");
    assert_eq!(logs["log_stream"], "2026/03/01/[$LATEST]own");
    let gone = explained(&history("never-made", at)).await;
    assert_eq!(
        gone["analysis"]["logs"]["error"],
        "/aws/lambda/never-made or the stream in it does not exist"
    );
    client.delete_log_group().log_group_name(&group).send().await.unwrap();
}
