//! SQS, Step Functions and the notification API in one server on 127.0.0.1.
//!
//! Messages are made as they are asked for, and every execution has the same history, whose pages are put
//! together once: the server takes a small part of what a contestant takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::history::History;

/// The queue's visibility timeout, in seconds. A change to less than that releases a message.
const VISIBILITY: u64 = 120;

/// A running endpoint.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    history: History,
    /// The pages that were asked for, by their size, their first event and their order.
    pages: Mutex<HashMap<(usize, usize, bool), Bytes>>,
    queue: Mutex<Queue>,
    more: Notify,
}

#[derive(Default)]
struct Queue {
    total: usize,
    handed_out: usize,
    /// Released, to be handed out again.
    again: Vec<usize>,
    deleted: usize,
}

impl Endpoint {
    /// An endpoint with so many messages, each of an execution with this history.
    pub(crate) async fn start(history: History, messages: usize) -> Self {
        let queue = Queue { total: messages, ..Queue::default() };
        let shared = Arc::new(Shared {
            history,
            pages: Mutex::default(),
            queue: Mutex::new(queue),
            more: Notify::new(),
        });
        let router = Router::new()
            .route("/notify", post(async |_body: Bytes| r#"{"ok":true}"#))
            .fallback(called)
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, server }
    }

    /// How many messages were worked off.
    pub(crate) fn deleted(&self) -> usize {
        self.shared.queue().deleted
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap()
    }

    async fn receive(&self, arguments: &Value) -> String {
        let most = arguments["MaxNumberOfMessages"].as_u64().unwrap_or(1) as usize;
        let wait = Duration::from_secs(arguments["WaitTimeSeconds"].as_u64().unwrap_or(0));
        let deadline = Instant::now() + wait;
        loop {
            let more = self.more.notified();
            let messages = self.queue().next(most);
            if !messages.is_empty() {
                return format!(r#"{{"Messages":[{}]}}"#, messages.join(","));
            }
            if Instant::now() >= deadline {
                return "{}".to_owned();
            }
            // Either way it is looked at again.
            let _more = timeout_at(deadline, more).await;
        }
    }

    fn settle(&self, arguments: &Value, delete: bool) -> String {
        let mut queue = self.queue();
        let mut passed = Vec::new();
        for entry in arguments["Entries"].as_array().unwrap() {
            passed.push(json!({"Id": entry["Id"]}));
            let number = entry["ReceiptHandle"].as_str().unwrap().parse().unwrap();
            if delete {
                queue.deleted += 1;
            } else if entry["VisibilityTimeout"].as_u64().is_some_and(|seconds| seconds < VISIBILITY) {
                queue.again.push(number);
            }
        }
        drop(queue);
        self.more.notify_waiters();
        json!({"Successful": passed, "Failed": []}).to_string()
    }

    fn page(&self, arguments: &Value) -> Bytes {
        let size = arguments["maxResults"].as_u64().unwrap_or(100) as usize;
        let from = arguments["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let is_reverse = arguments["reverseOrder"].as_bool().unwrap_or(false);
        let mut pages = self.pages.lock().unwrap();
        pages
            .entry((size, from, is_reverse))
            .or_insert_with(|| {
                let events = &self.history.events;
                let to = (from + size).min(events.len());
                let place = |at: usize| if is_reverse { events.len() - 1 - at } else { at };
                let page: Vec<&str> = (from..to).map(|at| events[place(at)].as_str()).collect();
                let next = if to < events.len() { format!(r#","nextToken":"{to}""#) } else { String::new() };
                format!(r#"{{"events":[{}]{next}}}"#, page.join(",")).into()
            })
            .clone()
    }

    fn describe(&self, arguments: &Value) -> String {
        json!({
            "executionArn": arguments["executionArn"],
            "stateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:orders",
            "status": "FAILED",
            "startDate": 1_772_366_400.0,
            "input": self.history.input,
        })
        .to_string()
    }
}

impl Queue {
    fn next(&mut self, most: usize) -> Vec<String> {
        let mut next: Vec<usize> = self.again.drain(..most.min(self.again.len())).collect();
        let new = self.handed_out..self.total.min(self.handed_out + most - next.len());
        self.handed_out = new.end;
        next.extend(new);
        next.into_iter().map(message).collect()
    }
}

/// A message of the queue: the event of a failed execution.
fn message(number: usize) -> String {
    let body = json!({
        "version": "0",
        "id": format!("event-{number}"),
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": "123456789012",
        "time": "2026-03-01T12:00:00Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": {
            "executionArn": format!("arn:aws:states:eu-west-1:123456789012:execution:orders:run-{number}"),
            "stateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:orders",
            "name": format!("run-{number}"),
            "status": "FAILED",
            "startDate": 1_772_366_400_000_u64,
            "stopDate": 1_772_366_402_000_u64,
            "input": null,
            "inputDetails": {"included": false},
            "output": null,
            "outputDetails": null,
        },
    });
    json!({
        "MessageId": format!("00000000-0000-4000-8000-{number:012}"),
        "ReceiptHandle": number.to_string(),
        "Body": body.to_string(),
        "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1772366402000"},
    })
    .to_string()
}

async fn called(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    let arguments: Value = serde_json::from_slice(&body).unwrap();
    let answer: Bytes = match target.split_once('.').unwrap().1 {
        "ReceiveMessage" => shared.receive(&arguments).await.into(),
        "DeleteMessageBatch" => shared.settle(&arguments, true).into(),
        "ChangeMessageVisibilityBatch" => shared.settle(&arguments, false).into(),
        "GetExecutionHistory" => shared.page(&arguments),
        "DescribeExecution" => shared.describe(&arguments).into(),
        "GetQueueAttributes" => {
            let attributes = json!({"VisibilityTimeout": VISIBILITY.to_string()});
            json!({"Attributes": attributes}).to_string().into()
        }
        unknown => panic!("nobody should call {unknown}"),
    };
    ([("content-type", "application/x-amz-json-1.0")], answer).into_response()
}
