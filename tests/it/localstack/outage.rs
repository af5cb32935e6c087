//! What is around the worker is gone for a while and comes back. Visibility timeouts are short and a
//! message may be received three times only, so that whoever lets messages go round loses them.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::of_execution;
use super::own::{Own, free_port};
use super::stage::Stage;
use crate::support::gate::Gate;
use crate::support::receiver::Receiver;
use crate::support::worker_process::WorkerProcess;

/// How long everything is gone: six visibility timeouts, twice what three receives last.
const OUTAGE: Duration = Duration::from_secs(60);

const SHORT: [(&str, &str); 2] = [("VisibilityTimeoutSeconds", "10"), ("MaxReceiveCount", "3")];

/// The notifications, a failure at a time, after so many requests.
fn told(receiver: &Receiver, from: usize, executions: &[BTreeMap<String, String>]) {
    let received = &receiver.received()[from..];
    for execution in executions.iter().flat_map(BTreeMap::values) {
        let told = of_execution(received, execution);
        assert_eq!(told.len(), 2, "{execution}: notifications, both audiences");
        assert_ne!(told[0].json()["emailType"], told[1].json()["emailType"]);
        assert_eq!(told[0].json()["data"]["analysis"]["degraded"], serde_json::Value::Null);
    }
}

/// Everything is delivered, nothing is left, nothing was given up, and the worker ends well.
async fn all_is_well(stage: &Stage, worker: &mut WorkerProcess) {
    stage.wait_until_empty().await;
    assert_eq!(stage.dead_letters().await, []);
    assert_eq!(worker.stop().await, Some(0));
}

#[tokio::test]
async fn a_minute_without_the_api_loses_nothing_and_fills_no_dead_letter_queue() {
    let receiver = Receiver::start().await;
    receiver.always(503);
    let stage = Stage::set_up("no-api", &["catch-then-fail"], &SHORT).await;
    let mut worker = stage.worker(&receiver.url, &[]);
    let first = stage.run().await;
    receiver.wait_for(2).await;
    let over = Instant::now() + OUTAGE;
    let second = stage.run().await;
    sleep_until(over).await;
    assert_eq!(stage.dead_letters().await, []);
    let during = receiver.received().len();
    assert!(during >= 16, "each route is tried until it is found broken, and probed: {during} requests");
    receiver.recover();
    all_is_well(&stage, &mut worker).await;
    told(&receiver, during, &[first, second]);
}

#[tokio::test]
async fn a_minute_without_step_functions_loses_neither_failures_nor_their_histories() {
    let receiver = Receiver::start().await;
    let stage = Stage::set_up("no-sfn", &["catch-then-fail"], &SHORT).await;
    let mut gate = Gate::before(&stage.endpoint()).await;
    gate.shut().await;
    let mut worker = stage.worker(&receiver.url, &[("AWS_ENDPOINT_URL_SFN", &gate.url())]);
    let first = stage.run().await;
    let over = Instant::now() + OUTAGE;
    let second = stage.run().await;
    sleep_until(over).await;
    assert_eq!(receiver.received().len(), 0, "no report is made without its history during the outage");
    assert_eq!(stage.dead_letters().await, []);
    gate.open();
    all_is_well(&stage, &mut worker).await;
    told(&receiver, 0, &[first, second]);
}

#[tokio::test]
async fn a_minute_without_aws_loses_nothing() {
    let receiver = Receiver::start().await;
    let (held, answer) = crate::support::receiver::Answer::status(200).held();
    receiver.answer([answer]);
    let stage = Stage::set_up("no-aws", &["catch-then-fail"], &SHORT).await;
    let mut gate = Gate::before(&stage.endpoint()).await;
    let mut worker = stage.worker(&receiver.url, &[("AWS_ENDPOINT_URL", &gate.url())]);
    // One message is in hand when everything goes.
    let first = stage.run().await;
    receiver.wait_for(2).await;
    gate.shut().await;
    let over = Instant::now() + OUTAGE;
    drop(held);
    let second = stage.run().await;
    sleep_until(over).await;
    assert_eq!(receiver.received().len(), 2);
    gate.open();
    all_is_well(&stage, &mut worker).await;
    // The first was delivered but not deleted; the worker remembers that when it comes back.
    told(&receiver, 0, &[first, second]);
    assert_eq!(receiver.received().len(), 4);
}

/// LocalStack keeps nothing when it stops. The worker delivers its messages in hand all the same as long
/// as it has the lease, and so is what fails once everything is there again.
#[tokio::test]
async fn localstack_stops_and_starts_again_under_the_worker() {
    let receiver = Receiver::start().await;
    receiver.always(503);
    let port = free_port();
    let before = Own::start(port).await;
    let stage = Stage::set_up_on(&before.variables, "restart", &["catch-then-fail"], &[]).await;
    let mut worker = stage.worker(&receiver.url, &[]);
    let first = stage.run().await;
    receiver.wait_for(2).await;
    before.stop().await;
    let during = receiver.received().len();
    receiver.recover();
    receiver.wait_for(during + 2).await;
    let after = Own::start(port).await;
    let stage = Stage::set_up_on(&after.variables, "restart", &["catch-then-fail"], &[]).await;
    let second = stage.run().await;
    receiver.wait_for(during + 4).await;
    all_is_well(&stage, &mut worker).await;
    told(&receiver, during, &[first, second]);
    after.stop().await;
}
