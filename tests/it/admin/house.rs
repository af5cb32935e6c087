//! Stand-ins for everything around a worker, and the worker as a process that serves its health.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::scrape::Scrape;
use crate::support::execution;
use crate::support::receiver::Receiver;
use crate::support::stub::sfn::StepFunctions;
use crate::support::stub::{self, sqs::Sqs};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often what is waited for is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A queue with its dead-letter queue, Step Functions, and a notification API.
pub struct House {
    pub sqs: Sqs,
    pub sfn: StepFunctions,
    pub receiver: Receiver,
    queue_url: String,
}

/// A worker as a process; killed when dropped.
pub struct Worker {
    pub child: Child,
    log: PathBuf,
    _folder: TempDir,
}

impl House {
    pub async fn start(visibility: Duration) -> Self {
        let (sqs, sfn, receiver) = tokio::join!(Sqs::start(), StepFunctions::start(), Receiver::start());
        sqs.queue("dead", Duration::from_secs(30));
        let queue_url = sqs.queue("failures", visibility);
        sqs.dead_letters("failures", "dead", 100);
        Self { sqs, sfn, receiver, queue_url }
    }

    /// A failure that Step Functions has a history of; returns its event.
    pub fn failure(&self, number: usize) -> String {
        let history = include_str!("../../fixtures/histories/failed/no-such-function.json");
        let history: Value = serde_json::from_str(history).unwrap();
        self.sfn.add(&execution(number), history["events"].as_array().unwrap());
        event(number, "FAILED")
    }

    /// Starts a worker that serves its health on a free port.
    pub fn worker(&self, variables: &[(&str, &str)]) -> Worker {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = self.command(variables);
        command.stderr(std::fs::File::create(&log).unwrap());
        Worker { child: command.spawn().unwrap(), log, _folder: folder }
    }

    /// The command that starts a worker; its log goes where the test says.
    pub fn command(&self, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_misstep"));
        command.arg("work").env_clear().kill_on_drop(true).stdout(Stdio::null());
        command.envs(stub::environment("AWS_ENDPOINT_URL_SQS", self.sqs.url()));
        command.envs([
            ("AWS_ENDPOINT_URL_SFN", self.sfn.url()),
            ("MISSTEP_QUEUE_URL", &self.queue_url),
            ("MISSTEP_NOTIFICATION_API", &self.receiver.url),
            ("MISSTEP_INTERNAL_GROUP_EMAIL", "dev-team@example.com"),
            ("MISSTEP_EXTERNAL_GROUP_EMAIL", "assist@example.com"),
            ("MISSTEP_POLL_WAIT_SECS", "1"),
            ("MISSTEP_ADMIN_ADDR", "127.0.0.1:0"),
        ]);
        command.envs(variables.iter().copied());
        command
    }
}

impl Worker {
    /// Where it serves its health.
    pub async fn address(&self) -> String {
        self.wait("the address to be logged", async || {
            let lines = self.lines();
            let address = lines.iter().find_map(|line| line["admin.address"].as_str());
            address.map(str::to_owned)
        })
        .await
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.address().await);
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub async fn scrape(&self) -> Scrape {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200);
        Scrape::parse(&text)
    }

    /// Waits until an endpoint answers with a status, and returns what it says.
    pub async fn wait_for_status(&self, path: &str, status: u16) -> String {
        self.wait(&format!("{path} to answer {status}"), async || {
            let (got, text) = self.get(path).await;
            (got == status).then_some(text)
        })
        .await
    }

    /// Waits until a series has at least a value.
    pub async fn wait_for_series(&self, series: &str, least: f64) -> Scrape {
        self.wait(&format!("{series} to be {least}"), async || {
            let scrape = self.scrape().await;
            scrape.get(series).is_some_and(|value| value >= least).then_some(scrape)
        })
        .await
    }

    async fn wait<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(Instant::now() < until, "waited in vain for {what}:\n{}", self.log());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Asks it to stop.
    pub async fn terminate(&self) {
        let pid = self.child.id().unwrap_or_else(|| panic!("it has ended:\n{}", self.log())).to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    }

    /// Waits for its end and returns its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        status.unwrap_or_else(|_| panic!("it does not end:\n{}", self.log())).unwrap().code()
    }

    /// Its log, of whose lines each must be a JSON object; one that is being written does not count.
    pub fn lines(&self) -> Vec<Value> {
        let log = self.log();
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

/// The event of an execution that ended five seconds ago.
pub fn event(number: usize, status: &str) -> String {
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
