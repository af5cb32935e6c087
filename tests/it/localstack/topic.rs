//! Notifications to a topic of a real LocalStack, read from the queues that are subscribed to it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::stage::{Stage, aws};
use crate::support::receiver::Receiver;
use crate::support::worker_process::WorkerProcess;

const PATIENCE: Duration = Duration::from_secs(60);

/// The most bytes of a message with its attributes (Amazon SNS endpoints and quotas).
const MOST_BYTES: usize = 262_144;

/// A topic of a test's own.
struct Topic {
    sns: aws_sdk_sns::Client,
    sqs: aws_sdk_sqs::Client,
    name: String,
}

/// What came to a subscribed queue.
#[derive(Debug)]
struct Came {
    body: String,
    attributes: BTreeMap<String, String>,
}

impl Came {
    fn size(&self) -> usize {
        let attributes =
            self.attributes.iter().map(|(name, value)| name.len() + value.len() + "String".len());
        self.body.len() + attributes.sum::<usize>()
    }

    fn data(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Topic {
    async fn named(test: &str) -> Self {
        let aws = aws().await;
        let name = format!("{test}-{}", std::process::id());
        Self { sns: aws_sdk_sns::Client::new(&aws), sqs: aws_sdk_sqs::Client::new(&aws), name }
    }

    fn arn(&self) -> String {
        format!("arn:aws:sns:us-east-1:000000000000:{}", self.name)
    }

    async fn create(&self) {
        let made = self.sns.create_topic().name(&self.name).send().await.unwrap();
        assert_eq!(made.topic_arn, Some(self.arn()));
    }

    /// Subscribes a queue to it, to what the policy lets through; returns the queue's address.
    async fn subscribe(&self, queue: &str, policy: Option<Value>) -> String {
        let made = self.sqs.create_queue().queue_name(format!("{}-{queue}", self.name)).send().await.unwrap();
        let url = made.queue_url.unwrap();
        let arn = format!("arn:aws:sqs:us-east-1:000000000000:{}-{queue}", self.name);
        let mut subscribe = self.sns.subscribe().topic_arn(self.arn()).protocol("sqs").endpoint(arn);
        subscribe = subscribe.attributes("RawMessageDelivery", "true");
        if let Some(policy) = policy {
            subscribe = subscribe.attributes("FilterPolicy", policy.to_string());
        }
        subscribe.send().await.unwrap();
        url
    }

    /// Waits until so many messages have come to a queue.
    async fn came(&self, url: &str, count: usize) -> Vec<Came> {
        let until = Instant::now() + PATIENCE;
        let mut came = Vec::new();
        while came.len() < count {
            assert!(Instant::now() < until, "{} of {count} messages came", came.len());
            came.extend(self.receive(url, 1).await);
        }
        came
    }

    async fn receive(&self, url: &str, seconds: i32) -> Vec<Came> {
        let asked = self.sqs.receive_message().queue_url(url).max_number_of_messages(10);
        let answer = asked.message_attribute_names("All").wait_time_seconds(seconds).send().await.unwrap();
        let messages = answer.messages.unwrap_or_default().into_iter().map(|message| Came {
            body: message.body.unwrap(),
            attributes: message
                .message_attributes
                .unwrap_or_default()
                .into_iter()
                .map(|(name, value)| (name, value.string_value.unwrap_or_default()))
                .collect(),
        });
        messages.collect()
    }
}

/// A worker with a route to this topic beside those of the notification API.
fn worker(stage: &Stage, receiver: &Receiver, topic: &str, folder: &tempfile::TempDir) -> WorkerProcess {
    let config = folder.path().join("misstep.toml");
    let text = format!(
        "[[routes]]\nname = \"topic\"\naudience = \"teams\"\nchannel = \"sns\"\ntopic_arn = \"{topic}\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let variables = [
        ("MISSTEP_CONFIG", config.to_str().unwrap()),
        ("MISSTEP_APPLICATION_NAME", "shop"),
        ("MISSTEP_ENV", "test"),
    ];
    stage.worker(&receiver.url, &variables)
}

#[tokio::test]
async fn a_topic_gets_the_data_and_attributes_that_filter_policies_work_on() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let topic = Topic::named("topic").await;
    topic.create().await;
    let all = topic.subscribe("all", None).await;
    let some = topic.subscribe("some", Some(json!({"error": ["OutOfStock"], "env": ["test"]}))).await;
    let none = topic.subscribe("none", Some(json!({"env": ["prod"]}))).await;
    let stage = Stage::set_up("topic", &["catch-then-fail", "map-fourth-item"], &[]).await;
    let mut worker = worker(&stage, &receiver, &topic.arn(), &folder);
    let executions = stage.run().await;
    let came = topic.came(&all, 2).await;
    for (scenario, execution) in &executions {
        let is_of = |came: &&Came| came.data()["event_info"]["execution_arn"] == *execution;
        let came = came.iter().find(is_of).unwrap();
        let data = came.data();
        stage.scenario(scenario).check(&data, execution);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let machine = execution.rsplit(':').nth(1).unwrap();
        for (name, expected) in [
            ("audience", "teams".to_owned()),
            ("env", "test".to_owned()),
            ("application", "shop".to_owned()),
            ("state_machine", machine.to_owned()),
            ("status", "FAILED".to_owned()),
            ("error", text(&data["analysis"]["error"])),
            ("failed_state", text(&data["analysis"]["failed_state"]["name"])),
            ("fingerprint", text(&data["analysis"]["fingerprint"])),
        ] {
            assert_eq!(came.attributes[name], expected, "{name}");
        }
        assert!(came.attributes["idempotency_key"].starts_with("misstep-"));
        assert_eq!(came.attributes.len(), 9, "{:?}", came.attributes);
    }
    let filtered = topic.came(&some, 1).await;
    assert_eq!(filtered[0].data()["analysis"]["error"], "OutOfStock");
    stage.wait_until_empty().await;
    assert!(topic.receive(&some, 0).await.is_empty() && topic.receive(&none, 0).await.is_empty());
    assert_eq!(receiver.received().len(), 4);
    assert_eq!(worker.stop().await, Some(0));
}

#[tokio::test]
async fn a_report_too_large_for_a_topic_arrives_cut_and_names_the_cuts() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let topic = Topic::named("large").await;
    topic.create().await;
    let all = topic.subscribe("all", None).await;
    let stage = Stage::set_up("large", &[], &[]).await;
    // Quoted once more in the notification, each quotation mark of the input is four bytes there.
    let event = json!({
        "detail-type": "Step Functions Execution Status Change", "source": "aws.states",
        "detail": {
            "executionArn": "arn:aws:states:us-east-1:000000000000:execution:orders:never-was",
            "status": "FAILED", "error": "Boom", "cause": "it broke",
            "input": {"order_id": "ORD-7", "note": "\"".repeat(100_000)},
        },
    });
    stage.send(&event.to_string(), None).await;
    let mut worker = worker(&stage, &receiver, &topic.arn(), &folder);
    let came = topic.came(&all, 1).await;
    let size = came[0].size();
    println!("of an input of 100,000 quotation marks, {size} bytes came");
    assert!((100_000..=MOST_BYTES).contains(&size), "{size}");
    let data = came[0].data();
    assert_eq!(data["analysis"]["truncated"], json!(["event_details.payload"]));
    assert_eq!(data["analysis"]["cause"], "it broke");
    stage.wait_until_empty().await;
    assert_eq!(stage.dead_letters().await, []);
    assert_eq!(worker.stop().await, Some(0));
}

#[tokio::test]
async fn a_topic_that_is_gone_holds_the_message_and_nobody_else() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let topic = Topic::named("gone-topic").await;
    let stage = Stage::set_up("gone-topic", &["catch-then-fail"], &[]).await;
    let mut worker = worker(&stage, &receiver, &topic.arn(), &folder);
    stage.run().await;
    receiver.wait_for(2).await;
    worker.wait_for_log(&["topic", "NotFound", &topic.arn()]).await;
    assert_eq!(stage.dead_letters().await, []);
    topic.create().await;
    let all = topic.subscribe("all", None).await;
    let came = topic.came(&all, 1).await;
    assert_eq!(came[0].attributes["status"], "FAILED");
    stage.wait_until_empty().await;
    assert_eq!(receiver.received().len(), 2, "the others were notified once");
    assert_eq!(stage.dead_letters().await, []);
    assert_eq!(worker.stop().await, Some(0));
}
