//! Ten thousand bodies that nobody should send.

use serde_json::{Value, json};

use super::{Plan, Run};
use crate::support::{failure, on_paused_time};

/// How many are sent.
const BODIES: usize = 10_000;

/// The largest body that SQS takes, in bytes.
const LARGEST: usize = 1_048_576;

/// A body of the kind that `number` stands for.
fn body(number: usize, chance: &mut fastrand::Rng) -> String {
    let good = failure(number);
    match number % 10 {
        0 => good[..chance.usize(..good.len())].to_owned(),
        1 => wrong_types(&good, chance),
        2 => other_event(chance),
        3 => String::from_utf8_lossy(&(0..200).map(|_| chance.u8(..)).collect::<Vec<u8>>()).into_owned(),
        4 => json!([serde_json::from_str::<Value>(&good).unwrap(), 7]).to_string(),
        5 => json!({"Type": "Notification", "Message": &good[..chance.usize(..good.len())]}).to_string(),
        6 => good.replace("FAILED", ["RUNNING", "SUCCEEDED", "failed", ""][chance.usize(..4)]),
        7 => good
            .replace("eu-west-1", ["", "eu-west-1/evil.example.com", "mars", "EU-WEST-1"][chance.usize(..4)]),
        8 => failure(chance.usize(..100)),
        // Few of these: they are large.
        _ if number % 500 == 9 => "[".repeat(10_000),
        _ if number % 500 == 19 => format!("{number:08}{}", "x".repeat(LARGEST - 8)),
        _ if number % 500 == 29 => {
            good.replace("\"FAILED\"", &format!("\"FAILED\",\"input\":\"{}\"", "i".repeat(LARGEST - 600)))
        }
        _ => String::from_utf8(vec![chance.u8(32..127); chance.usize(..100)]).unwrap(),
    }
}

/// One field of the event, or of its detail, holds a value of another type.
fn wrong_types(good: &str, chance: &mut fastrand::Rng) -> String {
    let mut event: Value = serde_json::from_str(good).unwrap();
    let odd = [json!(null), json!(7), json!(-1.5e300), json!([]), json!({}), json!(true), json!("\u{0}")];
    let fields = [
        "detail",
        "detail-type",
        "source",
        "executionArn",
        "status",
        "stateMachineArn",
        "redriveCount",
        "input",
        "error",
        "cause",
        "stopDate",
    ];
    let field = fields[chance.usize(..fields.len())];
    let place =
        if field.starts_with("detail") || field == "source" { &mut event } else { &mut event["detail"] };
    place[field] = odd[chance.usize(..odd.len())].clone();
    event.to_string()
}

fn other_event(chance: &mut fastrand::Rng) -> String {
    let kinds = [
        ("aws.s3", "Object Created"),
        ("aws.ec2", "EC2 Instance State-change Notification"),
        ("aws.states", "Step Functions Map Run Status Change"),
    ];
    let (source, kind) = kinds[chance.usize(..kinds.len())];
    json!({"version": "0", "source": source, "detail-type": kind, "detail": {"state": "x"}}).to_string()
}

#[test]
fn ten_thousand_odd_bodies_end_in_the_dead_letter_queue_or_are_acknowledged() {
    let (notified, dead, deleted) = on_paused_time(async {
        let mut run = Run::start(&Plan { concurrency: 100, ..Plan::default() });
        let mut chance = fastrand::Rng::with_seed(7);
        for number in 0..BODIES {
            run.queue.send(body(number, &mut chance));
        }
        run.settled().await;
        run.stop().await;
        let stored = run.queue.stored();
        run.check();
        (run.notified(), run.dead(), stored.iter().filter(|stored| stored.deleted).count())
    });
    println!(
        "{BODIES} bodies: {notified} notifications, {dead} dead-lettered with a reason, {deleted} deleted, 0 panics"
    );
    assert_eq!(deleted, BODIES, "what is dead-lettered is deleted as well");
    assert!(dead > BODIES / 2 && notified >= 200, "{dead} {notified}");
}
