//! Stand-ins for everything around a worker, and the worker as a process that serves its health.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use super::scrape::Scrape;
use crate::support::execution;
use crate::support::receiver::Receiver;
use crate::support::stub::sfn::StepFunctions;
use crate::support::stub::{self, sqs::Sqs};
use crate::support::worker_process::{WorkerProcess, default_routes, misstep};

/// A queue with its dead-letter queue, Step Functions, and a notification API.
pub(crate) struct House {
    pub sqs: Sqs,
    pub sfn: StepFunctions,
    pub receiver: Receiver,
    queue_url: String,
}

/// A worker that serves its health.
pub(crate) struct Worker(WorkerProcess);

impl House {
    pub(crate) async fn start(visibility: Duration) -> Self {
        let (sqs, sfn, receiver) = tokio::join!(Sqs::start(), StepFunctions::start(), Receiver::start());
        sqs.queue("dead", Duration::from_secs(30));
        let queue_url = sqs.queue("failures", visibility);
        sqs.dead_letters("failures", "dead", 100);
        Self { sqs, sfn, receiver, queue_url }
    }

    /// A failure that Step Functions has a history of; returns its event.
    pub(crate) fn failure(&self, number: usize) -> String {
        let history = include_str!("../../fixtures/histories/failed/no-such-function.json");
        let history: Value = serde_json::from_str(history).unwrap();
        self.sfn.add(&execution(number), history["events"].as_array().unwrap());
        event(number, "FAILED")
    }

    /// Starts a worker that serves its health on a free port.
    pub(crate) fn worker(&self, variables: &[(&str, &str)]) -> Worker {
        Worker(WorkerProcess::start(self.command(variables)))
    }

    /// The command that starts a worker; its log goes where the test says.
    pub(crate) fn command(&self, variables: &[(&str, &str)]) -> Command {
        let mut command = misstep(&["work"]);
        command.envs(stub::environment("AWS_ENDPOINT_URL_SQS", self.sqs.url()));
        command.envs([
            ("AWS_ENDPOINT_URL_SFN", self.sfn.url()),
            ("MISSTEP_QUEUE_URL", &self.queue_url),
            ("MISSTEP_POLL_WAIT_SECS", "1"),
            ("MISSTEP_ADMIN_ADDR", "127.0.0.1:0"),
        ]);
        command.envs(default_routes(&self.receiver.url)).envs(variables.iter().copied());
        command
    }
}

impl Worker {
    /// Where it serves its health.
    pub(crate) async fn address(&self) -> String {
        self.wait_for("the address to be logged", async || {
            let lines = self.lines();
            let address = lines.iter().find_map(|line| line["admin.address"].as_str());
            address.map(str::to_owned)
        })
        .await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.address().await);
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(crate) async fn scrape(&self) -> Scrape {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200);
        Scrape::parse(&text)
    }

    /// Waits until an endpoint answers with a status, and returns what it says.
    pub(crate) async fn wait_for_status(&self, path: &str, status: u16) -> String {
        self.wait_for(&format!("{path} to answer {status}"), async || {
            let (got, text) = self.get(path).await;
            (got == status).then_some(text)
        })
        .await
    }

    /// Waits until a series has at least a value.
    pub(crate) async fn wait_for_series(&self, series: &str, least: f64) -> Scrape {
        self.wait_for(&format!("{series} to be {least}"), async || {
            let scrape = self.scrape().await;
            scrape.get(series).is_some_and(|value| value >= least).then_some(scrape)
        })
        .await
    }
}

impl Deref for Worker {
    type Target = WorkerProcess;

    fn deref(&self) -> &WorkerProcess {
        &self.0
    }
}

impl DerefMut for Worker {
    fn deref_mut(&mut self) -> &mut WorkerProcess {
        &mut self.0
    }
}

/// The event of an execution that ended five seconds ago.
pub(crate) fn event(number: usize, status: &str) -> String {
    let stopped = jiff::Timestamp::now().as_millisecond() - 5_000;
    json!({
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "detail": {
            "executionArn": execution(number),
            "stateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:orders",
            "status": status, "stopDate": stopped,
        },
    })
    .to_string()
}
