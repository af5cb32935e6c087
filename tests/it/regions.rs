//! An account, region or execution in trouble costs the others nothing: with the real binary, and a
//! server before the stub of Step Functions that answers by region and execution.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::errand::Errand;
use crate::support::failure;
use crate::support::loopback::Loopback;
use crate::support::worker_process::WorkerProcess;

/// The longest that a failure may take while another region is in trouble.
const AT_ONCE: Duration = Duration::from_secs(1);

const STDOUT: &str = "[[routes]]\nname = \"log\"\naudience = \"operations\"\nchannel = \"stdout\"\n";

/// What becomes of a call of Step Functions.
#[derive(Clone)]
enum Answer {
    /// The stub answers it.
    Stub,
    /// It is refused with this error code.
    Error(&'static str),
    /// It is never answered.
    Never,
    /// It gets this body.
    Body(Vec<u8>),
}

/// A server that decides by the region that the call is signed for and the execution's name.
async fn before(stub: &str, decide: fn(&str, &str) -> Answer) -> Loopback {
    let stub = stub.to_owned();
    let answer = move |headers: HeaderMap, body: Bytes| async move {
        let region = headers["authorization"].to_str().unwrap().split('/').nth(2).unwrap().to_owned();
        let arguments: Value = serde_json::from_slice(&body).unwrap();
        let name = arguments["executionArn"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        let json = [("content-type", "application/x-amz-json-1.0")];
        match decide(&region, &name) {
            Answer::Stub => {
                let call =
                    reqwest::Client::new().post(&stub).header("x-amz-target", &headers["x-amz-target"]);
                let answer = call.body(body).send().await.unwrap();
                (answer.status(), json, answer.bytes().await.unwrap()).into_response()
            }
            Answer::Error(code) => {
                (StatusCode::BAD_REQUEST, json, json!({"__type": code}).to_string()).into_response()
            }
            Answer::Never => std::future::pending::<Response>().await,
            Answer::Body(body) => (json, body).into_response(),
        }
    };
    Loopback::serve(Router::new().fallback(answer)).await
}

/// Of which executions the worker has notified, with what it says why the history is missing.
fn notified(worker: &WorkerProcess) -> Vec<(String, Value)> {
    let printed = worker.printed();
    let lines = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of = |line: Value| {
        let data = &line["data"];
        let name = data["event_info"]["execution_name"].as_str().unwrap().to_owned();
        (name, data["analysis"]["degraded"].clone())
    };
    lines.map(of).collect()
}

async fn until_notified(worker: &WorkerProcess, name: &str) -> (Duration, Value) {
    let began = Instant::now();
    worker.until(name, || notified(worker).iter().any(|(known, _)| known == name)).await;
    let degraded = notified(worker).into_iter().find(|(known, _)| known == name).unwrap().1;
    (began.elapsed(), degraded)
}

#[tokio::test]
async fn a_region_that_refuses_the_credentials_or_never_answers_costs_the_others_no_delay() {
    for answer in [
        |region: &str, _: &str| match region {
            "eu-west-1" => Answer::Stub,
            _ => Answer::Error("UnrecognizedClientException"),
        },
        |region: &str, _: &str| if region == "eu-west-1" { Answer::Stub } else { Answer::Never },
    ] {
        let errand = Errand::with(0).await;
        for number in 0..5 {
            errand.add(number);
        }
        let front = before(errand.sfn.url(), answer).await;
        let worker = errand.worker_with(STDOUT, &[("AWS_ENDPOINT_URL_SFN", &front.url)]);
        errand.sqs.send("failures", &failure(9).replace("eu-west-1", "af-south-1"));
        for number in 0..5 {
            sleep(Duration::from_millis(300)).await;
            errand.sqs.send("failures", &failure(number));
            let (took, degraded) = until_notified(&worker, &format!("run-{number}")).await;
            assert_eq!(degraded, Value::Null);
            // The first one waits for the worker to start.
            assert!(number == 0 || took < AT_ONCE, "{took:?}");
        }
        drop(worker);
    }
}

#[tokio::test]
async fn failures_of_a_region_that_never_worked_are_reported_from_the_event_alone() {
    let errand = Errand::with(0).await;
    let refuses = |_: &str, _: &str| Answer::Error("UnrecognizedClientException");
    let front = before(errand.sfn.url(), refuses).await;
    let mut worker = errand.worker_with(STDOUT, &[("AWS_ENDPOINT_URL_SFN", &front.url)]);
    errand.sqs.send("failures", &failure(9).replace("eu-west-1", "af-south-1"));
    let (_, degraded) = until_notified(&worker, "run-9").await;
    let degraded = degraded.as_str().unwrap();
    assert!(degraded.contains("credentials") && degraded.contains("never answered"), "{degraded}");
    assert_eq!(worker.stop().await, Some(0));
}

/// A page with one failed execution, in which this stands for the input.
fn page(input: &str) -> Vec<u8> {
    let page = r#"{"events":[
        {"timestamp":1772366403.0,"type":"ExecutionFailed","id":3,"previousEventId":2,
         "executionFailedEventDetails":{"error":"Declined","cause":"no"}},
        {"timestamp":TIME,"type":"FailStateEntered","id":2,"previousEventId":0,
         "stateEnteredEventDetails":{"name":"Refuse","input":"INPUT"}},
        {"timestamp":1772366401.0,"type":"ExecutionStarted","id":1,"previousEventId":0,
         "executionStartedEventDetails":{"input":"{}"}}]}"#;
    page.replace("TIME", "1772366402.0").replace("INPUT", input).into_bytes()
}

#[tokio::test]
async fn an_answer_that_no_client_can_parse_is_read_leniently_or_reported_from_the_event_and_delays_no_others()
 {
    let odd = |_: &str, name: &str| match name {
        "run-0" => Answer::Body(page(r"half \ud83d a pair")),
        "run-1" => {
            let mut body = page("bytes XX of no text");
            let at = body.windows(2).position(|two| two == b"XX").unwrap();
            body[at..at + 2].copy_from_slice(&[0xff, 0xfe]);
            Answer::Body(body)
        }
        "run-2" => {
            let text = String::from_utf8(page("a time that is not a time")).unwrap();
            Answer::Body(text.replace("1772366402.0", "\"yesterday\"").into_bytes())
        }
        "run-9" => Answer::Stub,
        _ => Answer::Body(br#"{"events": {"first": 1}}"#.to_vec()),
    };
    let errand = Errand::with(0).await;
    errand.add(9);
    let front = before(errand.sfn.url(), odd).await;
    let mut worker = errand.worker_with(STDOUT, &[("AWS_ENDPOINT_URL_SFN", &front.url)]);
    for number in 0..8 {
        errand.sqs.send("failures", &failure(number));
    }
    worker.until("all", || notified(&worker).len() == 8).await;
    errand.sqs.send("failures", &failure(9));
    let (took, degraded) = until_notified(&worker, "run-9").await;
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(degraded, Value::Null);
    for (name, degraded) in notified(&worker) {
        match name.as_str() {
            "run-0" | "run-1" | "run-2" | "run-9" => assert_eq!(degraded, Value::Null, "{name}"),
            _ => assert!(degraded.as_str().unwrap().contains("cannot be parsed"), "{name}: {degraded}"),
        }
    }
    let log = worker.log();
    assert!(!log.contains("keeps failing"), "{log}");
    assert_eq!(worker.stop().await, Some(0));
}
