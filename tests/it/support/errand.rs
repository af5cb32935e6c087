//! The real binary with routes of a configuration file, on stubs of SQS and Step Functions.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::support::stub::sfn::StepFunctions;
use crate::support::stub::{self, sqs::Sqs};
use crate::support::{execution, failure};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(40);

/// How often what is waited for is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A queue of failures with its dead-letter queue, their histories, and a folder.
pub(crate) struct Errand {
    pub(crate) sqs: Sqs,
    pub(crate) sfn: StepFunctions,
    queue_url: String,
    folder: TempDir,
}

/// A worker as a process; killed when dropped.
pub(crate) struct Worker {
    child: Child,
    log: PathBuf,
    stdout: PathBuf,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Errand {
    /// With so many failures on the queue, each by the error `Exception` of a Lambda function.
    pub(crate) async fn with(failures: usize) -> Self {
        let (sqs, sfn) = tokio::join!(Sqs::start(), StepFunctions::start());
        sqs.queue("dead", Duration::from_secs(30));
        let queue_url = sqs.queue("failures", Duration::from_secs(30));
        sqs.dead_letters("failures", "dead", 1_000);
        let errand = Self { sqs, sfn, queue_url, folder: tempfile::tempdir().unwrap() };
        for number in 0..failures {
            errand.add(number);
            errand.sqs.send("failures", &failure(number));
        }
        errand
    }

    /// Adds the history of the execution that the failure of this number is about.
    pub(crate) fn add(&self, number: usize) {
        let history: Value = serde_json::from_str(include_str!(
            "../../fixtures/histories/failed/retry-interval-features.json"
        ))
        .unwrap();
        self.sfn.add(&execution(number), history["events"].as_array().unwrap());
    }

    /// A place in its folder.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str], routes: &str, variables: &[(&str, &str)]) -> Command {
        let config = self.place("misstep.toml");
        std::fs::write(&config, routes).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_misstep"));
        command.args(arguments).arg("--config").arg(&config).env_clear().kill_on_drop(true);
        command.stdin(Stdio::null());
        command.envs(stub::environment("AWS_ENDPOINT_URL_SQS", self.sqs.url()));
        command.envs([
            ("AWS_ENDPOINT_URL_SFN", self.sfn.url()),
            ("MISSTEP_QUEUE_URL", &self.queue_url),
            ("MISSTEP_POLL_WAIT_SECS", "1"),
            ("MISSTEP_HISTORY_RATE", "off"),
            ("MISSTEP_ADMIN_ADDR", "off"),
        ]);
        command.envs(variables.iter().copied());
        command
    }

    /// Starts a worker.
    pub(crate) fn worker(&self, routes: &str) -> Worker {
        self.worker_with(routes, self.stdout(), &[])
    }

    /// The file that is read as what a worker printed.
    pub(crate) fn stdout(&self) -> std::fs::File {
        std::fs::File::create(self.place("stdout")).unwrap()
    }

    /// Starts a worker that has this for its standard output, and variables of its own.
    pub(crate) fn worker_with(
        &self,
        routes: &str,
        stdout: impl Into<Stdio>,
        variables: &[(&str, &str)],
    ) -> Worker {
        let (log, printed) = (self.place("log"), self.place("stdout"));
        let mut command = self.command(&["work"], routes, variables);
        command.stdout(stdout).stderr(std::fs::File::create(&log).unwrap());
        Worker { child: command.spawn().unwrap(), log, stdout: printed }
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str], routes: &str, variables: &[(&str, &str)]) -> Ended {
        let output = self.command(arguments, routes, variables).output();
        let output = tokio::time::timeout(PATIENCE, output).await.expect("it ends in time").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The one message in the dead-letter queue.
    pub(crate) fn dead(&self) -> String {
        let dead = self.sqs.messages("dead");
        assert_eq!(dead.len(), 1, "{dead:?}");
        dead[0].attributes.to_string()
    }

    /// How many messages are left, in sight or not.
    pub(crate) fn left(&self) -> usize {
        self.sqs.messages("failures").len()
    }
}

impl Worker {
    /// Waits until this holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < until, "waited in vain for {what}:\n{}", self.log());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits for a line of the log with all of these in it.
    pub(crate) async fn logs(&self, parts: &[&str]) {
        let has = |line: &str| parts.iter().all(|part| line.contains(part));
        self.until(&format!("{parts:?}"), || self.log().lines().any(has)).await;
    }

    /// Asks it to stop and returns its exit code.
    pub(crate) async fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        status.unwrap_or_else(|_| panic!("it does not end:\n{}", self.log())).unwrap().code()
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> usize {
        let tasks = format!("/proc/{}/task", self.child.id().unwrap());
        std::fs::read_dir(tasks).unwrap().count()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// What it printed.
    pub(crate) fn printed(&self) -> String {
        std::fs::read_to_string(&self.stdout).unwrap()
    }
}
