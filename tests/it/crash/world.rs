//! What surrounds the worker in one cell, and the worker as a process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::receiver::{Received, Receiver};
use crate::support::stub::sfn::StepFunctions;
use crate::support::stub::{self, sqs::Sqs};
use crate::support::worker_process::{WorkerProcess, default_routes, misstep, wait_until};
use crate::support::{execution, failure};

/// Short, so that what a dead process had in hand is soon back.
const VISIBILITY: Duration = Duration::from_secs(3);

/// Who is notified, by the names that the notification API knows.
pub(super) const AUDIENCES: [&str; 2] = ["INTERNAL_ENQUIRY_ERROR", "ASSESTIVE_ENQUIRY_ERROR"];

/// A queue with its dead-letter queue, Step Functions, and a notification API.
pub(super) struct World {
    pub(super) sqs: Sqs,
    pub(super) receiver: Receiver,
    sfn: StepFunctions,
    queue_url: String,
    /// The idempotency keys of notifications that were refused.
    refused: Arc<Mutex<Vec<String>>>,
}

/// A notification as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Told {
    pub(super) execution: String,
    pub(super) audience: String,
    pub(super) key: String,
}

impl World {
    /// With so many failures on the queue, whose histories have two pages.
    pub(super) async fn start(failures: usize) -> Self {
        let (sqs, sfn, receiver) = tokio::join!(Sqs::start(), StepFunctions::start(), Receiver::start());
        sqs.queue("dead", Duration::from_secs(30));
        let queue_url = sqs.queue("failures", VISIBILITY);
        sqs.dead_letters("failures", "dead", 1_000);
        let history: Value =
            serde_json::from_str(include_str!("../../fixtures/histories/failed/no-such-function.json"))
                .unwrap();
        let events = history["events"].as_array().unwrap();
        sfn.limit_pages(events.len() / 2);
        for number in 0..failures {
            sfn.add(&execution(number), events);
            sqs.send("failures", &failure(number));
        }
        Self { sqs, receiver, sfn, queue_url, refused: Arc::default() }
    }

    /// Starts a worker, with a failpoint or without.
    pub(super) fn worker(&self, failpoint: Option<&str>) -> WorkerProcess {
        let mut command = misstep(&["work"]);
        command.envs(stub::environment("AWS_ENDPOINT_URL_SQS", self.sqs.url()));
        command.envs([
            ("PATH", "/usr/bin:/bin"),
            ("AWS_ENDPOINT_URL_SFN", self.sfn.url()),
            ("MISSTEP_QUEUE_URL", &self.queue_url),
            ("MISSTEP_POLL_WAIT_SECS", "1"),
            ("MISSTEP_HISTORY_RATE", "off"),
            ("MISSTEP_ADMIN_ADDR", "off"),
        ]);
        command.envs(default_routes(&self.receiver.url));
        command.envs(failpoint.map(|failpoint| (super::VARIABLE, failpoint)));
        WorkerProcess::start(command)
    }

    /// Until the receiver is told otherwise, the developers' notifications of all failures but the
    /// first are refused as if the route were misconfigured.
    pub(super) fn refuse_developers(&self) {
        let refused = self.refused.clone();
        let applies = move |received: &Received| {
            let told = Told::of(received);
            let is_refused = told.audience == AUDIENCES[0] && told.execution != execution(0);
            if is_refused {
                refused.lock().unwrap().push(told.key);
            }
            is_refused
        };
        self.receiver.always_when(applies, 401);
    }

    /// The notifications that came and were not refused, sorted.
    pub(super) fn told(&self) -> Vec<Told> {
        let mut refused = self.refused.lock().unwrap().clone();
        let mut told: Vec<Told> = self.receiver.received().iter().map(Told::of).collect();
        // Of a key, those that were refused came first.
        told.retain(|told| match refused.iter().position(|key| *key == told.key) {
            Some(at) => {
                refused.swap_remove(at);
                false
            }
            None => true,
        });
        told.sort();
        told
    }

    /// Waits until nothing is left on the queue, in flight or not.
    pub(super) async fn wait_until_empty(&self) {
        let is_empty = wait_until(|| self.sqs.messages("failures").is_empty()).await;
        assert!(is_empty, "the queue still holds {:#?}", self.sqs.messages("failures"));
    }
}

impl Told {
    fn of(received: &Received) -> Self {
        let body = received.json();
        assert!(body["data"]["analysis"]["degraded"].is_null(), "{body}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            execution: text(&body["data"]["event_info"]["execution_arn"]),
            audience: text(&body["emailType"]),
            key: received.header("idempotency-key").unwrap().to_owned(),
        }
    }
}
