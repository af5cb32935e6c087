//! What a test against LocalStack plays on: state machines, a stack, and workers as processes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::Instant;

use crate::support::stub;
use crate::support::worker_process::{WorkerProcess, default_routes, misstep};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// State machines and a stack of a test's own.
pub struct Stage {
    prefix: String,
    scenarios: Vec<String>,
    variables: Vec<(String, String)>,
    sqs: aws_sdk_sqs::Client,
    pub queue_url: String,
    dead_letter_url: String,
}

/// A message in the dead-letter queue.
#[derive(Debug, PartialEq, Eq)]
pub struct Dead {
    pub body: String,
    attributes: BTreeMap<String, String>,
}

impl Dead {
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// A scenario and what is expected of it.
pub struct Scenario {
    prefix: String,
    name: String,
    about: Value,
}

impl Stage {
    /// Makes state machines for these scenarios (all of them, if none is named) and a stack that
    /// watches no others.
    pub async fn set_up(test: &str, scenarios: &[&str], parameters: &[(&str, &str)]) -> Self {
        let variables = [("AWS_ENDPOINT_URL".to_owned(), endpoint())];
        Self::set_up_on(&variables, test, scenarios, parameters).await
    }

    /// The same on the LocalStack that these environment variables lead to.
    pub async fn set_up_on(
        variables: &[(String, String)],
        test: &str,
        scenarios: &[&str],
        parameters: &[(&str, &str)],
    ) -> Self {
        let prefix = format!("{test}-{}", std::process::id());
        let create = [&["create", "--prefix", &prefix][..], scenarios].concat();
        let machines = python(variables, &create).await;
        let machines: Vec<&str> =
            machines.as_object().unwrap().values().map(|arn| arn.as_str().unwrap()).collect();
        let arns = machines.join(",");
        let set: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut deploy = vec!["deploy", "--stack", &prefix, "--arns", &arns];
        for pair in &set {
            deploy.extend(["--set", pair]);
        }
        let outputs = python(variables, &deploy).await;
        Self {
            scenarios: scenarios.iter().map(|name| (*name).to_owned()).collect(),
            sqs: aws_sdk_sqs::Client::new(&leading_to(&endpoint_of(variables)).await),
            queue_url: outputs["QueueUrl"].as_str().unwrap().to_owned(),
            dead_letter_url: outputs["DeadLetterQueueUrl"].as_str().unwrap().to_owned(),
            variables: variables.to_vec(),
            prefix,
        }
    }

    /// Where its LocalStack is.
    pub fn endpoint(&self) -> String {
        endpoint_of(&self.variables)
    }

    /// Runs every scenario until it has failed; returns the executions' ARNs, those of children
    /// included.
    pub async fn run(&self) -> BTreeMap<String, String> {
        let names = self.scenarios.iter().map(String::as_str);
        let start: Vec<&str> = ["start", "--prefix", &self.prefix].into_iter().chain(names).collect();
        let started = python(&self.variables, &start).await;
        let started = started.as_object().unwrap().iter();
        started.map(|(name, arn)| (name.clone(), arn.as_str().unwrap().to_owned())).collect()
    }

    pub fn scenario(&self, name: &str) -> Scenario {
        let all: Value =
            serde_json::from_str(include_str!("../../../localstack/scenarios/scenarios.json")).unwrap();
        Scenario { prefix: self.prefix.clone(), name: name.to_owned(), about: all[name].clone() }
    }

    /// The binary, on this LocalStack.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = misstep(arguments);
        command.envs(stub::environment("AWS_ENDPOINT_URL", &self.endpoint()));
        command.env("AWS_REGION", "us-east-1").env("MISSTEP_QUEUE_URL", &self.queue_url);
        command
    }

    pub fn worker(&self, api: &str, variables: &[(&str, &str)]) -> WorkerProcess {
        self.start(&["work"], api, variables)
    }

    pub fn start(&self, arguments: &[&str], api: &str, variables: &[(&str, &str)]) -> WorkerProcess {
        let mut command = self.command(arguments);
        command.envs(default_routes(api)).envs([
            ("MISSTEP_ADMIN_ADDR", "off"),
            ("MISSTEP_POLL_WAIT_SECS", "1"),
            ("MISSTEP_LOG", "info,misstep=debug"),
        ]);
        command.envs(variables.iter().copied());
        WorkerProcess::start(command)
    }

    pub async fn send(&self, body: &str, attribute: Option<(&str, &str)>) {
        let mut send = self.sqs.send_message().queue_url(&self.queue_url).message_body(body);
        if let Some((name, value)) = attribute {
            let value =
                MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap();
            send = send.message_attributes(name, value);
        }
        send.send().await.unwrap();
    }

    /// Waits until the queue holds nothing: neither visible, nor in flight, nor delayed.
    pub async fn wait_until_empty(&self) {
        self.wait_until_empty_for(PATIENCE).await;
    }

    pub async fn wait_until_empty_for(&self, patience: Duration) {
        let empty = |counts: &[usize; 3]| counts.iter().all(|count| *count == 0);
        self.wait_for("the queue to be empty", patience, empty).await;
    }

    /// Waits until so many messages are visible.
    pub async fn wait_for_messages(&self, count: usize) {
        self.wait_for("the messages", PATIENCE, |counts| counts[0] == count).await;
    }

    async fn wait_for(&self, what: &str, patience: Duration, holds: impl Fn(&[usize; 3]) -> bool) {
        let until = Instant::now() + patience;
        loop {
            let counts = self.counts().await;
            if holds(&counts) {
                return;
            }
            assert!(
                Instant::now() < until,
                "waited in vain for {what}: visible, in flight, delayed are {counts:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How many messages the dead-letter queue has visible, in flight and delayed.
    pub async fn dead_letter_counts(&self) -> [usize; 3] {
        self.counts_of(&self.dead_letter_url).await
    }

    /// Receives everything on the queue again and again without a delete, as a consumer does that
    /// always dies, until SQS has moved all of it.
    pub async fn receive_in_vain(&self) {
        while self.counts().await != [0; 3] {
            let asked = self.sqs.receive_message().queue_url(&self.queue_url).max_number_of_messages(10);
            asked.visibility_timeout(0).send().await.unwrap();
        }
    }

    /// Takes messages from the queue for good, those that are chosen, and returns their bodies.
    pub async fn lose(&self, mut is_lost: impl FnMut(&str) -> bool) -> Vec<String> {
        let (mut lost, mut kept) = (Vec::new(), Vec::new());
        loop {
            let asked = self.sqs.receive_message().queue_url(&self.queue_url).max_number_of_messages(10);
            let messages = asked.visibility_timeout(60).send().await.unwrap().messages.unwrap_or_default();
            if messages.is_empty() {
                break;
            }
            for message in messages {
                let (body, receipt) = (message.body.unwrap(), message.receipt_handle.unwrap());
                if is_lost(&body) {
                    let delete = self.sqs.delete_message().queue_url(&self.queue_url);
                    delete.receipt_handle(receipt).send().await.unwrap();
                    lost.push(body);
                } else {
                    kept.push(receipt);
                }
            }
        }
        for receipt in kept {
            let release = self.sqs.change_message_visibility().queue_url(&self.queue_url);
            release.receipt_handle(receipt).visibility_timeout(0).send().await.unwrap();
        }
        lost
    }

    async fn counts(&self) -> [usize; 3] {
        self.counts_of(&self.queue_url).await
    }

    async fn counts_of(&self, url: &str) -> [usize; 3] {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let asked = self.sqs.get_queue_attributes().queue_url(url);
        let answer = asked.set_attribute_names(Some(names.to_vec())).send().await.unwrap();
        let attributes = answer.attributes.unwrap();
        names.map(|name| attributes[&name].parse().unwrap())
    }

    /// What is in the dead-letter queue, taken out of sight for a while.
    pub async fn dead_letters(&self) -> Vec<Dead> {
        let asked = self.sqs.receive_message().queue_url(&self.dead_letter_url).max_number_of_messages(10);
        let answer = asked.message_attribute_names("All").send().await.unwrap();
        let dead = answer.messages.unwrap_or_default().into_iter().map(|message| Dead {
            body: message.body.unwrap(),
            attributes: message
                .message_attributes
                .unwrap_or_default()
                .into_iter()
                .map(|(name, value)| (name, value.string_value.unwrap_or_default()))
                .collect(),
        });
        dead.collect()
    }
}

impl Scenario {
    /// Compares a notification's data, or a report, with what is expected.
    pub fn check(&self, data: &Value, execution: &str) {
        let expected = &self.about["expected"];
        let machine = execution.rsplit(':').nth(1).unwrap();
        assert_eq!(machine, format!("{}-{}", self.prefix, self.name));
        assert_eq!(data["event_info"]["execution_arn"], execution);
        assert_eq!(data["event_info"]["execution_name"], execution.rsplit(':').next().unwrap());
        assert_eq!(
            data["event_info"]["state_machine_arn"],
            execution.replace(":execution:", ":stateMachine:").rsplit_once(':').unwrap().0
        );
        assert_eq!(data["event_info"]["env"], "test");
        let analysis = &data["analysis"];
        assert_eq!(analysis["schema"], "misstep.report/1");
        assert_eq!(analysis["application"], "shop");
        assert_eq!(analysis["degraded"], Value::Null);
        assert_eq!(data["event_info"].as_object().unwrap().len(), 4);
        assert_eq!(data["event_details"].as_object().unwrap().len(), 2);
        if let Some(input) = self.about.get("input") {
            same(&data["event_details"]["payload"], input, &format!("{}: payload", self.name));
        }
        same(data, expected, &self.name);
    }
}

/// Compares what is there with what is expected of it: of an object, the fields that are expected;
/// of a list, each element; of JSON text, what it says.
fn same(there: &Value, expected: &Value, place: &str) {
    match (there, expected) {
        (Value::Object(there), Value::Object(expected)) => {
            for (key, expected) in expected {
                same(there.get(key).unwrap_or(&Value::Null), expected, &format!("{place}.{key}"));
            }
        }
        (Value::Array(there), Value::Array(expected)) => {
            assert_eq!(there.len(), expected.len(), "{place}: {there:#?}");
            for (index, (there, expected)) in there.iter().zip(expected).enumerate() {
                same(there, expected, &format!("{place}[{index}]"));
            }
        }
        (Value::String(text), Value::Object(_) | Value::Array(_)) => {
            let there =
                serde_json::from_str(text).unwrap_or_else(|_| panic!("{place} is no JSON text: {text}"));
            same(&there, expected, place);
        }
        _ => assert_eq!(there, expected, "{place}"),
    }
}

pub fn endpoint() -> String {
    std::env::var("MISSTEP_TEST_LOCALSTACK").expect("these tests need LocalStack: run `make test`")
}

fn endpoint_of(variables: &[(String, String)]) -> String {
    let (_, url) =
        variables.iter().find(|(name, _)| name == "AWS_ENDPOINT_URL").expect("a LocalStack's address");
    url.clone()
}

/// Leads to LocalStack.
pub async fn aws() -> SdkConfig {
    leading_to(&endpoint()).await
}

async fn leading_to(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest()).endpoint_url(endpoint).load().await
}

/// Runs `localstack/scenarios.py` and returns what it prints.
async fn python(variables: &[(String, String)], arguments: &[&str]) -> Value {
    let python = std::env::var("MISSTEP_TEST_PYTHON").expect("`make test` names the Python of LocalStack");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("localstack/scenarios.py");
    let output = Command::new(python)
        .arg(script)
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
