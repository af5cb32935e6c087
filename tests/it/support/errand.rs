//! The real binary with routes of a configuration file, on stubs of SQS and Step Functions.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::stub::sfn::StepFunctions;
use crate::support::stub::{self, sqs::Sqs};
use crate::support::worker_process::{Ended, WorkerProcess, misstep, run};
use crate::support::{execution, failure};

/// A queue of failures with its dead-letter queue, their histories, and a folder.
pub(crate) struct Errand {
    pub(crate) sqs: Sqs,
    pub(crate) sfn: StepFunctions,
    queue_url: String,
    folder: TempDir,
}

impl Errand {
    /// With so many failures on the queue, each by the error `Exception` of a Lambda function.
    pub(crate) async fn with(failures: usize) -> Self {
        Self::visible_again_after(Duration::from_secs(30), failures).await
    }

    /// The same; what a dead worker had in hand comes back after this time.
    pub(crate) async fn visible_again_after(visibility: Duration, failures: usize) -> Self {
        let (sqs, sfn) = tokio::join!(Sqs::start(), StepFunctions::start());
        sqs.queue("dead", Duration::from_secs(30));
        let queue_url = sqs.queue("failures", visibility);
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
        let mut command = misstep(arguments);
        command.arg("--config").arg(&config);
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

    /// A configuration with one route, which gets incidents; `schedule` goes into `[incidents]`.
    pub(crate) fn incidents_at(&self, url: &str, schedule: &str) -> String {
        format!(
            r#"
            [incidents]
            store = "sqlite:{}"
            {schedule}
            [[routes]]
            name = "developers"
            audience = "developers"
            channel = "http"
            url = "{url}"
            grouping = "incident"
            "#,
            self.place("incidents.db").display(),
        )
    }

    /// Starts a worker.
    pub(crate) fn worker(&self, routes: &str) -> WorkerProcess {
        self.worker_with(routes, &[])
    }

    /// Starts a worker with variables of its own.
    pub(crate) fn worker_with(&self, routes: &str, variables: &[(&str, &str)]) -> WorkerProcess {
        WorkerProcess::start(self.command(&["work"], routes, variables))
    }

    /// The same with another standard output.
    pub(crate) fn worker_printing_to(
        &self,
        stdout: impl Into<Stdio>,
        routes: &str,
        variables: &[(&str, &str)],
    ) -> WorkerProcess {
        WorkerProcess::start_with_stdout(self.command(&["work"], routes, variables), stdout)
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str], routes: &str, variables: &[(&str, &str)]) -> Ended {
        run(self.command(arguments, routes, variables)).await
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
