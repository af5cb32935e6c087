//! The floor: a loop that makes the worker's calls with the same clients, and does nothing else. It loses
//! messages when anything fails, and sends what it reads as it is.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};

/// The environment variable that makes this program the bare loop.
pub(crate) const MODE: &str = "BENCH_IS_BARE_LOOP";

/// Messages a poll brings at the most.
const BATCH: usize = 10;

/// Works until it is killed.
pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
        let bare = Loop {
            sqs: aws_sdk_sqs::Client::new(&aws),
            sfn: aws_sdk_sfn::Client::new(&aws),
            http: reqwest::Client::new(),
            queue: variable("MISSTEP_QUEUE_URL"),
            api: variable("MISSTEP_NOTIFICATION_API"),
        };
        let in_hand: usize = variable("MISSTEP_CONCURRENCY").parse().unwrap();
        let polls = (0..in_hand.div_ceil(BATCH)).map(|_| tokio::spawn(bare.clone().polls()));
        join_all(polls).await;
    });
}

#[derive(Clone)]
struct Loop {
    sqs: aws_sdk_sqs::Client,
    sfn: aws_sdk_sfn::Client,
    http: reqwest::Client,
    queue: String,
    api: String,
}

impl Loop {
    async fn polls(self) {
        loop {
            let poll = self.sqs.receive_message().queue_url(&self.queue).max_number_of_messages(10);
            let messages = poll.wait_time_seconds(5).send().await.unwrap().messages.unwrap_or_default();
            if messages.is_empty() {
                continue;
            }
            let work = messages.iter().map(|message| {
                let (this, body) = (self.clone(), message.body.clone().unwrap());
                tokio::spawn(async move { this.notify_of(&body).await })
            });
            join_all(work).await;
            let entries = messages.iter().enumerate().map(|(number, message)| {
                let handle = message.receipt_handle.as_deref().unwrap();
                let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
                entry.receipt_handle(handle).build().unwrap()
            });
            let entries = Some(entries.collect());
            self.sqs.delete_message_batch().queue_url(&self.queue).set_entries(entries).send().await.unwrap();
        }
    }

    async fn notify_of(&self, body: &str) {
        let event: Value = serde_json::from_str(body).unwrap();
        let execution = event["detail"]["executionArn"].as_str().unwrap();
        let asked = self.sfn.get_execution_history().execution_arn(execution);
        let history = asked.max_results(1_000).reverse_order(true).send().await.unwrap().events;
        let of = |id: i64| history.iter().find(|event| event.id == id).unwrap();
        let failed =
            history.iter().find_map(|event| Some((event, event.task_failed_event_details.as_ref()?)));
        let (failed, failure) = failed.unwrap();
        let mut before = of(failed.previous_event_id);
        while before.state_entered_event_details.is_none() {
            before = of(before.previous_event_id);
        }
        let state = before.state_entered_event_details.as_ref().unwrap();
        let started = history.iter().find_map(|event| event.execution_started_event_details.as_ref());
        let data = json!({
            "event_info": {"execution_arn": execution, "state_machine_arn": event["detail"]["stateMachineArn"]},
            "event_details": {
                "payload": started.and_then(|started| started.input.as_deref()),
                "steps": [{
                    "name": state.name,
                    "initial_input": state.input,
                    "latest_error": {"error": failure.error, "cause": failure.cause},
                }],
            },
        });
        let post = |kind: &str, to: &str| {
            let body = json!({"emailType": kind, "group_email": to, "data": data}).to_string();
            let request = self.http.post(&self.api).header("content-type", "application/json").body(body);
            async {
                let answer = request.timeout(Duration::from_secs(10)).send().await.unwrap();
                assert!(answer.status().is_success(), "{}", answer.status());
                answer.bytes().await.unwrap()
            }
        };
        let developers = post("INTERNAL_ENQUIRY_ERROR", "developers@example.com");
        join(developers, post("ASSESTIVE_ENQUIRY_ERROR", "assist@example.com")).await;
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}
