//! A worker with incidents killed at each of its steps, and another that goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use misstep::failpoint::Point;
use serde_json::Value;
use tokio::time::Instant;

use super::VARIABLE;
use crate::support::errand::Errand;
use crate::support::execution;
use crate::support::receiver::Receiver;
use crate::support::worker_process::PATIENCE;

const FAILURES: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_of_an_incident_nothing_is_lost_and_a_key_has_one_content() {
    let sending = ["notification-sending-developers", "notification-answered-developers"];
    let points = Point::OF_INCIDENTS.map(Point::name).into_iter().chain(sending);
    join_all(points.map(cell)).await;
}

async fn cell(point: &str) {
    let (errand, receiver) =
        tokio::join!(Errand::visible_again_after(Duration::from_secs(3), FAILURES), Receiver::start());
    let config = errand.incidents_at(&receiver.url, "ladder = [\"1s\"]\nquiet = \"2s\"");
    let failpoint = format!("{point}=kill");
    let mut killed = errand.worker_with(&config, &[(VARIABLE, &failpoint)]);
    let status = killed.ended().await;
    assert!(status.code().is_none(), "{point}: it was to be killed: {status}");
    let mut worker = errand.worker(&config);
    let note = |body: &Value| body["data"]["analysis"]["incident"].clone();
    let everybody: BTreeSet<String> = (0..FAILURES).map(execution).collect();
    let named = || {
        let received = receiver.received();
        let lists = received.iter().map(|received| note(&received.json())["new_executions"].clone());
        let executions = lists.flat_map(|list| list.as_array().unwrap().clone());
        executions.map(|one| one["execution_arn"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    // The claim of a worker that was killed ends after a while.
    let deadline = Instant::now() + 2 * PATIENCE;
    let is_over = || {
        let is_resolved = receiver.received().iter().any(|body| note(&body.json())["kind"] == "resolved");
        errand.left() == 0 && is_resolved && named() == everybody
    };
    while !is_over() {
        assert!(
            Instant::now() < deadline,
            "{point}: {} left, named {:?}\n{}",
            errand.left(),
            named(),
            worker.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(worker.stop().await, Some(0), "{point}");
    let mut contents: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for received in receiver.received() {
        let body = received.json();
        let key = received.header("idempotency-key").unwrap().to_owned();
        contents.entry(key).or_default().insert(body.to_string());
    }
    assert!(contents.values().all(|bodies| bodies.len() == 1), "{point}: one key, several contents");
    let alerts = contents.values().flatten().filter(|body| body.contains(r#""kind":"alert""#)).count();
    assert_eq!(alerts, 1, "{point}");
    assert_eq!(errand.sqs.messages("dead").len(), 0, "{point}");
}
