//! `misstep dlq` as a process, on a queue that the stub of SQS stands in for: what it shows and
//! sends back, and that it leaves everything else as it was.

mod changes;
mod terminal;

use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::failure;
use crate::support::stub::sfn::StepFunctions;
use crate::support::stub::sqs::Sqs;
use crate::support::stub::{self, Fault};
use crate::support::worker_process::{misstep, signal};

/// A queue with a dead-letter queue, and Step Functions.
struct Bench {
    sqs: Sqs,
    sfn: StepFunctions,
    queue_url: String,
}

impl Bench {
    async fn start() -> Self {
        let (sqs, sfn) = tokio::join!(Sqs::start(), StepFunctions::start());
        sqs.queue("dead", Duration::from_secs(60));
        let queue_url = sqs.queue("failures", Duration::from_secs(30));
        sqs.dead_letters("failures", "dead", 3);
        Self { sqs, sfn, queue_url }
    }

    /// Puts messages of three kinds into the dead-letter queue; returns the id of the one that was
    /// rejected.
    async fn fill(&self, redriven: usize) -> String {
        for number in 0..redriven {
            self.sqs.send("dead", &failure(number));
        }
        self.sqs.send("dead", "this is not JSON");
        let reason = |name: &str, value: &str| {
            let value = aws_sdk_sqs::types::MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .unwrap();
            (name.to_owned(), value)
        };
        let attributes = [reason("misstep.reason", "rejected"), reason("misstep.error", "answered 422")];
        let sent = self.sqs.client().send_message().queue_url(self.queue_url.replace("failures", "dead"));
        let body = failure(7).replace("orders", "refunds");
        let sent = sent.message_body(body).set_message_attributes(Some(attributes.into()));
        sent.send().await.unwrap().message_id.unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = misstep(&[&["dlq"], arguments].concat());
        command.envs(stub::environment("AWS_ENDPOINT_URL_SQS", self.sqs.url()));
        command.env("AWS_ENDPOINT_URL_SFN", self.sfn.url()).env("MISSTEP_QUEUE_URL", &self.queue_url);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().await.unwrap()
    }

    async fn list(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["list", "--format", "json"], arguments].concat()).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Everything is where it was, and nobody holds it.
    fn nothing_is_held(&self, messages: usize) {
        let counts = self.sqs.counts("dead");
        assert_eq!((counts.visible, counts.in_flight, counts.delayed), (messages, 0, 0));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn the_whole_queue_is_listed_and_released() {
    let bench = Bench::start().await;
    let rejected = bench.fill(45).await;
    let output = bench.run(&["list"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    assert_eq!(rows[0], ["COUNT", "REASON", "STATE"]);
    assert_eq!(rows[1], ["45", "received-too-often", "orders"]);
    assert!(rows.contains(&vec!["1", "rejected", "refunds"]), "{table}");
    assert!(rows.contains(&vec!["1", "received-too-often", "-"]), "{table}");
    bench.nothing_is_held(47);

    assert_eq!(bench.list(&["--state-machine", "orders"]).await["count"], 45);
    assert_eq!(bench.list(&["--execution", "run-9"]).await["count"], 1);
    assert_eq!(bench.list(&["--status", "ABORTED"]).await, json!({"count": 0, "groups": []}));
    assert_eq!(bench.list(&["--older-than", "1h"]).await["count"], 0);
    assert_eq!(bench.list(&["--newer-than", "1h", "--limit", "4"]).await["count"], 4);
    let found = bench.list(&["--reason", "4[0-9]2", "--messages"]).await;
    assert_eq!(found["messages"][0]["message_id"], rejected.as_str());
    assert_eq!(
        found["messages"][0]["executions"][0],
        "arn:aws:states:eu-west-1:123456789012:execution:refunds:run-7"
    );
    bench.nothing_is_held(47);
}

#[tokio::test]
async fn one_message_is_shown_and_explained() {
    let bench = Bench::start().await;
    let rejected = bench.fill(12).await;
    let history: Value =
        serde_json::from_str(include_str!("../fixtures/histories/failed/no-such-function.json")).unwrap();
    let execution = "arn:aws:states:eu-west-1:123456789012:execution:refunds:run-7";
    bench.sfn.add(execution, history["events"].as_array().unwrap());
    let output = bench.run(&["show", &rejected, "--explain"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for part in [&rejected, "rejected", "answered 422", execution, "misstep.reason", "Start (Task) failed"] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    let output = bench.run(&["show", &rejected, "--format", "json", "--explain"]).await;
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["explained"][0]["analysis"]["failed_state"]["name"], "Start");
    assert_eq!(shown["attributes"]["misstep.error"], "answered 422");
    bench.nothing_is_held(14);
}

#[tokio::test]
async fn bad_input_is_reported_clearly_and_changes_nothing() {
    let bench = Bench::start().await;
    bench.fill(1).await;
    let told = async |arguments: &[&str], code: i32, what: &str| {
        let output = bench.run(arguments).await;
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(what), "{arguments:?}: {error}");
    };
    told(&["list", "--reason", "("], 2, "not a regular expression").await;
    told(&["list", "--older-than", "soon"], 2, "write 30m, 2h or 7d").await;
    told(&["list", "--limit", "many"], 2, "--limit").await;
    told(&["show", "no-such-id"], 1, "no message no-such-id among the 3 messages").await;
    told(&["list", "--queue-url", "https://sqs.eu-west-1.amazonaws.com/1/orders.fifo"], 64, "FIFO").await;
    told(&["replay", "--dlq-url", &bench.queue_url], 64, "the same queue").await;
    let dead = bench.queue_url.replace("failures", "dead");
    told(&["list", "--queue-url", &dead], 1, "name it with --dlq-url").await;
    told(&["list", "--dlq-url", &dead.replace("dead", "nowhere")], 1, "cannot be read").await;
    bench.nothing_is_held(3);
}

#[tokio::test]
async fn a_network_that_breaks_in_the_middle_leaves_nothing_invisible() {
    let bench = Bench::start().await;
    bench.fill(25).await;
    bench.sqs.plan("ReceiveMessage", [None, None, Some(Fault::internal())]);
    let output = bench.run(&["list"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("what had been received was released"), "{}", text(&output.stderr));
    bench.nothing_is_held(27);
}

#[tokio::test]
async fn an_interrupt_releases_what_is_held() {
    let bench = Bench::start().await;
    bench.fill(25).await;
    let (gate, held) = Fault::held();
    bench.sqs.plan("ReceiveMessage", [None, Some(held)]);
    let listing = bench.command(&["list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bench.sqs.wait_for("ReceiveMessage", 2).await;
    signal(&listing, "-INT").await;
    drop(gate);
    let output = listing.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("interrupted"), "{}", text(&output.stderr));
    bench.nothing_is_held(27);
}
