//! The dead-letter queue filled in the ways that it is filled, and emptied again with `misstep dlq`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::stage::Stage;
use crate::support::receiver::{Received, Receiver};
use crate::support::worker_process::{Ended, WorkerProcess, run};

/// Refused by the API, dead-lettered by misstep.
const REFUSED: usize = 100;
/// Not understood, dead-lettered by misstep.
const GARBAGE: usize = 50;
/// Received too often, moved by SQS.
const REDRIVEN: usize = 100;

/// A failure whose execution is not there: it is reported from the event.
fn event(machine: &str, number: usize) -> String {
    json!({
        "detail-type": "Step Functions Execution Status Change", "source": "aws.states",
        "detail": {
            "executionArn": format!("arn:aws:states:us-east-1:000000000000:execution:{machine}:run-{number}"),
            "status": "FAILED", "error": "Boom",
        },
    })
    .to_string()
}

/// Runs `misstep dlq`, shows what it printed, and returns it.
async fn dlq(stage: &Stage, folder: &Path, arguments: &[&str]) -> String {
    let mut command = stage.command(&[&["dlq"], arguments].concat());
    command.current_dir(folder);
    let Ended { code, stdout, stderr } = run(command).await;
    println!("$ misstep dlq {}\n{stdout}{stderr}", arguments.join(" "));
    assert_eq!(code, Some(0), "{arguments:?}: {stdout}{stderr}");
    stdout
}

/// The executions that were told, and that each audience was notified once.
fn told(received: &[Received]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for request in received {
        let body = request.json();
        let execution = body["data"]["event_info"]["execution_arn"].as_str().unwrap();
        all.insert(format!("{execution} {}", body["emailType"].as_str().unwrap()));
    }
    assert_eq!(all.len(), received.len(), "each audience is notified once");
    all.into_iter().map(|line| line.split_once(' ').unwrap().0.to_owned()).collect()
}

async fn wait_until_nothing_is_held(stage: &Stage) {
    let released = async {
        while stage.dead_letter_counts().await[1] > 0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), released).await.expect("what is held comes back");
}

#[tokio::test]
async fn a_dead_letter_queue_is_listed_replayed_in_part_and_dropped() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::set_up("dlq", &[], &[("MaxReceiveCount", "2")]).await;
    for number in 0..REFUSED {
        stage.send(&event("orders", number), None).await;
    }
    for number in 0..GARBAGE {
        stage.send(&format!("garbage {number}"), None).await;
    }
    receiver.always(422);
    let mut worker = stage.worker(&receiver.url, &[]);
    stage.wait_until_empty().await;
    assert_eq!(worker.stop().await, Some(0));
    for number in 0..REDRIVEN {
        stage.send(&event("refunds", number), None).await;
    }
    stage.receive_in_vain().await;
    assert_eq!(stage.dead_letter_counts().await, [REFUSED + GARBAGE + REDRIVEN, 0, 0]);

    let listed = dlq(&stage, folder.path(), &["list"]).await;
    let rows: BTreeSet<Vec<&str>> =
        listed.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    for row in [
        ["100", "rejected", "orders"],
        ["100", "received-too-often", "refunds"],
        ["50", "not-understood", "-"],
    ] {
        assert!(rows.contains(row.as_slice()), "{listed}");
    }
    let one = ["list", "--messages", "--execution", "run-7", "--state-machine", "orders"];
    let listed = dlq(&stage, folder.path(), &one).await;
    let id = listed.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert!(dlq(&stage, folder.path(), &["show", &id]).await.contains("answered 422"));
    let rejected = ["replay", "--reason", "rejected"];
    assert!(dlq(&stage, folder.path(), &rejected).await.contains("Dry run"));
    assert_eq!(stage.dead_letter_counts().await, [250, 0, 0]);

    // The API is up again; the replay is killed half way and run once more.
    receiver.recover();
    let before = receiver.received().len();
    let mut worker = stage.worker(&receiver.url, &[]);
    let mut killed = stage.command(&["dlq", "replay", "--reason", "rejected", "--yes"]);
    killed.current_dir(folder.path());
    let mut killed = WorkerProcess::start(killed);
    let half = receiver.wait_until(Duration::from_secs(60), |all| all.len() >= before + REFUSED).await;
    assert!(half.is_some(), "half of them are delivered");
    killed.kill().await;
    wait_until_nothing_is_held(&stage).await;
    let left = stage.dead_letter_counts().await[0];
    assert!(left > GARBAGE + REDRIVEN && left < 250, "{left} are left: it was killed half way");
    dlq(&stage, folder.path(), &[&rejected[..], &["--yes", "--rate", "50"]].concat()).await;
    stage.wait_until_empty().await;
    let all = receiver.wait_until(Duration::from_secs(60), |all| all.len() >= before + 2 * REFUSED).await;
    let executions = told(&all.expect("all of them are delivered")[before..]);
    assert_eq!(executions.len(), REFUSED);
    assert!(executions.iter().all(|execution| execution.contains(":orders:")), "{executions:?}");
    assert_eq!(stage.dead_letter_counts().await, [GARBAGE + REDRIVEN, 0, 0]);

    // Dropped, and sent again.
    let before = receiver.received().len();
    let drop = ["drop", "--state-machine", "refunds", "--output", "refunds.jsonl", "--yes"];
    dlq(&stage, folder.path(), &drop).await;
    assert_eq!(stage.dead_letter_counts().await, [GARBAGE, 0, 0]);
    let kept = std::fs::read_to_string(folder.path().join("refunds.jsonl")).unwrap();
    assert_eq!(kept.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), REDRIVEN);
    dlq(&stage, folder.path(), &["replay", "--from", "refunds.jsonl", "--yes", "--rate", "50"]).await;
    let all = receiver.wait_until(Duration::from_secs(60), |all| all.len() >= before + 2 * REDRIVEN).await;
    assert_eq!(told(&all.expect("all of them are delivered")[before..]).len(), REDRIVEN);
    stage.wait_until_empty().await;
    assert_eq!(worker.stop().await, Some(0));

    // What is left goes back by SQS's own move.
    let native = ["replay", "--all", "--native"];
    assert!(dlq(&stage, folder.path(), &native).await.contains("Dry run"));
    let moved = dlq(&stage, folder.path(), &[&native[..], &["--yes", "--rate", "100"]].concat()).await;
    assert!(moved.contains("completed"), "{moved}");
    assert_eq!(stage.dead_letter_counts().await, [0, 0, 0]);
    stage.wait_for_messages(GARBAGE).await;
}
