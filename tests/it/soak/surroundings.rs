//! All that is around the worker, as lean as can be: it keeps a few bytes of each message, so that
//! hundreds of thousands pass through without the surroundings being what is measured.
//!
//! Messages are made as they are asked for. Every execution has the same history, which the stub of
//! Step Functions answers once for each way of asking.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::support::failure;
use crate::support::loopback::Loopback;
use crate::support::stub::sfn::StepFunctions;

const TEMPLATE: &str = "arn:aws:states:eu-west-1:123456789012:execution:orders:template";

/// The queue's visibility timeout, in seconds. A change to less than that releases a message.
const VISIBILITY: u64 = 120;

/// A queue, Step Functions and a notification API.
pub(super) struct Surroundings {
    shared: Arc<Shared>,
    server: Loopback,
}

struct Shared {
    sfn: StepFunctions,
    histories: tokio::sync::Mutex<HashMap<String, String>>,
    queue: Mutex<Queue>,
    more: Notify,
}

#[derive(Default)]
struct Queue {
    /// How many messages there are to be, and how many were handed out.
    total: usize,
    handed_out: usize,
    in_flight: HashSet<usize>,
    /// Given back, to be handed out again from then on.
    again: Vec<(Instant, usize)>,
    deleted: usize,
    /// How often each audience was notified: developers, CustomerAssist.
    told: Vec<[u8; 2]>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) in_flight: usize,
    pub(super) deleted: usize,
    pub(super) notifications: usize,
}

impl Surroundings {
    pub(super) async fn start() -> Self {
        let history: Value =
            serde_json::from_str(include_str!("../../fixtures/histories/failed/no-such-function.json"))
                .unwrap();
        Self::with(history["events"].as_array().unwrap()).await
    }

    /// Where every execution has this history.
    pub(super) async fn with(history: &[Value]) -> Self {
        let sfn = StepFunctions::start().await;
        sfn.add(TEMPLATE, history);
        let shared =
            Shared { sfn, histories: Default::default(), queue: Mutex::default(), more: Notify::new() };
        let shared = Arc::new(shared);
        let router =
            Router::new().route("/notify", post(notified)).fallback(called).with_state(shared.clone());
        Self { shared, server: Loopback::serve(router).await }
    }

    /// Where AWS is.
    pub(super) fn url(&self) -> &str {
        &self.server.url
    }

    /// So many failures more are on the queue.
    pub(super) fn send(&self, count: usize) {
        let mut queue = self.shared.queue();
        queue.total += count;
        let total = queue.total;
        queue.told.resize(total, [0; 2]);
        self.shared.more.notify_waiters();
    }

    pub(super) fn progress(&self) -> Progress {
        let queue = self.shared.queue();
        let told = queue.told.iter().flatten().map(|times| usize::from(*times));
        Progress { in_flight: queue.in_flight.len(), deleted: queue.deleted, notifications: told.sum() }
    }

    /// Messages of which an audience was not notified exactly once.
    pub(super) fn not_told_once(&self) -> Vec<(usize, [u8; 2])> {
        let queue = self.shared.queue();
        let told = queue.told.iter().copied().enumerate();
        told.filter(|(_, times)| *times != [1, 1]).collect()
    }
}

impl Queue {
    /// Hands out messages that were released long enough ago, or new ones; says when there will be
    /// another.
    fn next(&mut self, max: usize) -> (Vec<usize>, Option<Instant>) {
        let now = Instant::now();
        let mut next: Vec<usize> =
            self.again.extract_if(.., |(due, _)| *due <= now).map(|(_, it)| it).collect();
        let new = self.handed_out..self.total.min(self.handed_out + max.saturating_sub(next.len()));
        self.handed_out = new.end;
        next.extend(new);
        for released in next.drain(max.min(next.len())..) {
            self.again.push((now, released));
        }
        self.in_flight.extend(&next);
        (next, self.again.iter().map(|(due, _)| *due).min())
    }
}

impl Shared {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().expect("no test panics with the queue in hand")
    }

    async fn receive(&self, arguments: &Value) -> Value {
        let max = arguments["MaxNumberOfMessages"].as_u64().unwrap_or(1) as usize;
        let wait = Duration::from_secs(arguments["WaitTimeSeconds"].as_u64().unwrap_or(0));
        let deadline = Instant::now() + wait;
        loop {
            let more = self.more.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            let (next, due) = self.queue().next(max);
            if !next.is_empty() {
                return json!({"Messages": next.into_iter().map(message).collect::<Vec<_>>()});
            }
            if Instant::now() >= deadline {
                return json!({});
            }
            // Either way it is looked at again.
            let _more = timeout_at(due.map_or(deadline, |due| due.min(deadline)), more).await;
        }
    }

    /// Settles the entries of a batch; one that is not in flight is refused.
    fn settle(&self, arguments: &Value, delete: bool) -> Value {
        let mut queue = self.queue();
        let (mut passed, mut failed) = (Vec::new(), Vec::new());
        for entry in arguments["Entries"].as_array().expect("a batch has entries") {
            let number = entry["ReceiptHandle"].as_str().and_then(|handle| handle.parse().ok());
            let number: usize = number.expect("a handle of ours");
            if !queue.in_flight.contains(&number) {
                failed
                    .push(json!({"Id": entry["Id"], "Code": "ReceiptHandleIsInvalid", "SenderFault": true}));
                continue;
            }
            passed.push(json!({"Id": entry["Id"]}));
            if delete {
                queue.in_flight.remove(&number);
                queue.deleted += 1;
            } else if let Some(seconds @ 0..VISIBILITY) = entry["VisibilityTimeout"].as_u64() {
                queue.in_flight.remove(&number);
                queue.again.push((Instant::now() + Duration::from_secs(seconds), number));
            }
        }
        drop(queue);
        self.more.notify_waiters();
        json!({"Successful": passed, "Failed": failed})
    }

    /// What Step Functions says: the same of every execution.
    async fn history(&self, target: &str, mut arguments: Value) -> String {
        let execution = std::mem::replace(&mut arguments["executionArn"], TEMPLATE.into());
        let mut histories = self.histories.lock().await;
        let key = format!("{target} {arguments}");
        if !histories.contains_key(&key) {
            let asked = reqwest::Client::new().post(self.sfn.url()).header("x-amz-target", target);
            let answer = asked.body(arguments.to_string()).send().await.unwrap();
            assert!(answer.status().is_success(), "{key}");
            histories.insert(key.clone(), answer.text().await.unwrap());
        }
        histories[&key].replace(TEMPLATE, execution.as_str().expect("an ARN"))
    }
}

fn message(number: usize) -> Value {
    json!({
        "MessageId": format!("00000000-0000-4000-8000-{number:012}"),
        "ReceiptHandle": number.to_string(),
        "Body": failure(number),
        "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1790000000000"},
    })
}

async fn called(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers["x-amz-target"].to_str().expect("an operation").to_owned();
    let arguments: Value = serde_json::from_slice(&body).expect("the body is JSON");
    let answer = match target.split_once('.').expect("a service and an operation").1 {
        "ReceiveMessage" => shared.receive(&arguments).await.to_string(),
        "DeleteMessageBatch" => shared.settle(&arguments, true).to_string(),
        "ChangeMessageVisibilityBatch" => shared.settle(&arguments, false).to_string(),
        "GetQueueAttributes" => json!({"Attributes": {
            "VisibilityTimeout": VISIBILITY.to_string(),
            "RedrivePolicy": r#"{"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:dead", "maxReceiveCount": 5}"#,
        }})
        .to_string(),
        "GetQueueUrl" => json!({"QueueUrl": "http://127.0.0.1/dead"}).to_string(),
        _ => shared.history(&target, arguments).await,
    };
    ([("content-type", "application/x-amz-json-1.0")], answer).into_response()
}

/// Reads no more of a notification than whom it is for and which execution it is about.
async fn notified(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    let body = std::str::from_utf8(&body).expect("JSON is UTF-8");
    let audience = usize::from(!body.contains(r#""emailType":"INTERNAL_ENQUIRY_ERROR""#));
    let (_, name) = body.split_once(r#""execution_name":"run-"#).expect("an execution of ours");
    let number = name[..name.find('"').expect("a string ends")].parse::<usize>().expect("a number");
    assert!(body.contains(r#""failed_state":{"name":"Start""#), "it was read and analysed: {body}");
    shared.queue().told[number][audience] += 1;
    StatusCode::NO_CONTENT
}
