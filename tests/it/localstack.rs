//! The real binary against a real LocalStack: executions really fail, EventBridge really sends.
//!
//! `make test` starts LocalStack for these; without it they fail and say so. Each test has state
//! machines, a stack and a receiver of its own, so that they run side by side.

mod dlq;
#[cfg(feature = "logs")]
mod log;
#[cfg(feature = "ses")]
mod mail;
mod outage;
mod own;
pub mod stage;
mod storm;
mod sweep;
mod topic;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::receiver::{Answer, Received, Receiver};
use crate::support::worker_process::run;
use stage::Stage;

/// One failure's two notifications, developers first.
fn of_execution<'a>(received: &'a [Received], execution: &str) -> Vec<&'a Received> {
    let mut found: Vec<&Received> = received
        .iter()
        .filter(|request| request.json()["data"]["event_info"]["execution_arn"] == execution)
        .collect();
    found.sort_by_key(|request| request.json()["emailType"] != "INTERNAL_ENQUIRY_ERROR");
    found
}

fn key(request: &Received) -> String {
    request.header("idempotency-key").unwrap().to_owned()
}

#[tokio::test]
async fn every_scenario_ends_in_two_notifications_and_an_empty_queue() {
    let receiver = Receiver::start().await;
    let stage = Stage::set_up("all", &[], &[]).await;
    let mut worker =
        stage.worker(&receiver.url, &[("MISSTEP_ENV", "test"), ("MISSTEP_APPLICATION_NAME", "shop")]);
    let executions = stage.run().await;
    let received = receiver.wait_for(executions.len() * 2).await;
    stage.wait_until_empty().await;
    assert_eq!(
        receiver.received().len(),
        executions.len() * 2,
        "more notifications than failures and audiences"
    );
    for (scenario, execution) in &executions {
        let scenario = &stage.scenario(scenario);
        let told = of_execution(&received, execution);
        assert_eq!(told.len(), 2, "{execution}");
        for (request, email_type, address) in [
            (told[0], "INTERNAL_ENQUIRY_ERROR", "dev-team@example.com"),
            (told[1], "ASSESTIVE_ENQUIRY_ERROR", "assist@example.com"),
        ] {
            assert_eq!(request.method.as_str(), "POST");
            assert_eq!(request.header("content-type"), Some("application/json"));
            let body = request.json();
            assert_eq!((&body["emailType"], &body["group_email"]), (&json!(email_type), &json!(address)));
            assert_eq!(body.as_object().unwrap().len(), 3);
            scenario.check(&body["data"], execution);
        }
        assert_ne!(key(told[0]), key(told[1]));
    }
    assert_eq!(stage.dead_letters().await, []);
    assert_eq!(worker.stop().await, Some(0));
}

#[tokio::test]
async fn a_worker_killed_between_notification_and_delete_notifies_again_with_the_same_key() {
    let receiver = Receiver::start().await;
    let (gate_1, answer_1) = Answer::status(200).held();
    let (gate_2, answer_2) = Answer::status(200).held();
    receiver.answer([answer_1, answer_2]);
    let stage = Stage::set_up("killed", &["catch-then-fail"], &[("VisibilityTimeoutSeconds", "5")]).await;
    let mut worker = stage.worker(&receiver.url, &[]);
    let executions = stage.run().await;
    let before = receiver.wait_for(2).await;
    worker.kill().await;
    drop((gate_1, gate_2));
    let mut next = stage.worker(&receiver.url, &[]);
    let all = receiver.wait_for(4).await;
    stage.wait_until_empty().await;
    let execution = executions.values().next().unwrap();
    let keys = |received: &[Received]| -> Vec<String> {
        of_execution(received, execution).into_iter().map(key).collect()
    };
    assert_eq!(keys(&before).len(), 2);
    assert_eq!(keys(&before), keys(&all[2..]));
    assert_eq!(next.stop().await, Some(0));
}

#[tokio::test]
async fn what_makes_no_sense_ends_in_the_dead_letter_queue_with_a_reason() {
    let receiver = Receiver::start().await;
    let stage = Stage::set_up("poison", &[], &[]).await;
    let other = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {}}).to_string();
    let bodies = ["this is not JSON", r#"{"hello": "world"}"#, &other];
    for body in bodies {
        stage.send(body, Some(("tenant", "blue"))).await;
    }
    let mut worker = stage.worker(&receiver.url, &[]);
    stage.wait_until_empty().await;
    let mut dead = stage.dead_letters().await;
    dead.sort_by_key(|letter| bodies.iter().position(|body| letter.body == *body));
    assert_eq!(dead.iter().map(|letter| letter.body.as_str()).collect::<Vec<_>>(), bodies);
    for (letter, why) in
        dead.iter().zip(["is not JSON", "neither an event", "\"Object Created\" of \"aws.s3\""])
    {
        assert!(letter.attribute("misstep.error").contains(why), "{letter:?}");
        assert_eq!(letter.attribute("misstep.reason"), "not-understood");
        assert_eq!(letter.attribute("misstep.stage"), "parse");
        assert_eq!(letter.attribute("tenant"), "blue");
    }
    assert!(receiver.received().is_empty());
    assert_eq!(worker.stop().await, Some(0));
}

#[tokio::test]
async fn a_notification_refused_for_good_ends_in_the_dead_letter_queue_with_a_reason() {
    let receiver = Receiver::start().await;
    receiver.always_when(|request| request.json()["emailType"] == "ASSESTIVE_ENQUIRY_ERROR", 422);
    let stage = Stage::set_up("refused", &["catch-then-fail"], &[]).await;
    let mut worker = stage.worker(&receiver.url, &[]);
    stage.run().await;
    receiver.wait_for(2).await;
    stage.wait_until_empty().await;
    let dead = stage.dead_letters().await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].attribute("misstep.reason"), "rejected");
    assert!(dead[0].attribute("misstep.error").contains("customer-assist"), "{:?}", dead[0]);
    assert_eq!(worker.stop().await, Some(0));
}

#[tokio::test]
async fn an_execution_that_does_not_exist_is_reported_from_its_event() {
    let receiver = Receiver::start().await;
    let stage = Stage::set_up("gone", &[], &[]).await;
    let execution = "arn:aws:states:us-east-1:000000000000:execution:orders:never-was";
    let event = json!({
        "detail-type": "Step Functions Execution Status Change", "source": "aws.states",
        "detail": {"executionArn": execution, "status": "FAILED", "input": {"order": 7}, "error": "Boom", "cause": "it broke"},
    });
    stage.send(&event.to_string(), None).await;
    let mut worker = stage.worker(&receiver.url, &[]);
    let received = receiver.wait_for(2).await;
    stage.wait_until_empty().await;
    for request in &received {
        let data = &request.json()["data"];
        assert_eq!(data["event_info"]["execution_arn"], execution);
        assert_eq!(data["event_info"]["execution_name"], "never-was");
        assert_eq!(data["event_details"], json!({"payload": r#"{"order":7}"#, "steps": []}));
        assert_eq!(
            (&data["analysis"]["error"], &data["analysis"]["cause"]),
            (&json!("Boom"), &json!("it broke"))
        );
        assert!(data["analysis"]["degraded"].as_str().unwrap().contains("does not exist"), "{data}");
        assert_eq!(data["analysis"]["failed_state"], Value::Null);
    }
    assert_eq!(stage.dead_letters().await, []);
    assert_eq!(worker.stop().await, Some(0));
}

#[tokio::test]
async fn until_empty_ends_by_itself_after_the_last_notification() {
    let receiver = Receiver::start().await;
    let stage = Stage::set_up("until-empty", &["catch-then-fail"], &[]).await;
    let executions = stage.run().await;
    stage.wait_for_messages(executions.len()).await;
    let mut worker = stage.start(&["work", "--until-empty"], &receiver.url, &[]);
    assert_eq!(worker.ended_within(Duration::from_secs(30)).await.code(), Some(0));
    assert_eq!(receiver.received().len(), 2 * executions.len());
    stage.wait_until_empty().await;
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_reported_within_ten_seconds() {
    let stage = Stage::set_up("no-queue", &[], &[]).await;
    let nowhere = stage.queue_url.replace("no-queue", "nowhere");
    let mut worker = stage.start(&["work", "--queue-url", &nowhere], "http://127.0.0.1:1/", &[]);
    assert_eq!(worker.ended_within(Duration::from_secs(10)).await.code(), Some(1));
    assert!(worker.log().contains("the queue cannot be read"), "{}", worker.log());
}

#[tokio::test]
async fn explain_shows_of_a_real_execution_what_its_notification_shows() {
    let stage = Stage::set_up("explain", &["map-fourth-item"], &[]).await;
    let executions = stage.run().await;
    let (name, execution) = executions.iter().next().unwrap();
    let explain = ["explain", execution, "--env", "test", "--application-name", "shop"];
    let ended = run(stage.command(&explain)).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    stage.scenario(name).check(&serde_json::from_str(&ended.stdout).unwrap(), execution);
}
