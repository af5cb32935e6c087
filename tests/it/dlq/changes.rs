//! Replaying and dropping: what is sent, what is deleted, and what happens when either fails.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::{Bench, text};
use crate::support::failure;
use crate::support::stub::Fault;
use crate::support::worker_process::signal;

/// Runs a replay with its journal in this folder; returns exit code, output and errors.
async fn replay(bench: &Bench, folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output =
        bench.command(&[&["replay"], arguments].concat()).current_dir(folder).output().await.unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Fast enough for a test.
const YES: [&str; 3] = ["--yes", "--rate", "1000"];

#[tokio::test]
async fn without_yes_nothing_is_changed() {
    let bench = Bench::start().await;
    bench.fill(3).await;
    let folder = tempfile::tempdir().unwrap();
    for command in ["replay", "drop"] {
        let output = bench.command(&[command]).current_dir(folder.path()).output().await.unwrap();
        assert_eq!(output.status.code(), Some(0));
        let told = text(&output.stdout);
        assert!(told.contains("Dry run: nothing was changed.") && told.contains("5 messages"), "{told}");
        bench.nothing_is_held(5);
    }
    assert!(bench.sqs.messages("failures").is_empty());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn the_selected_messages_are_sent_back_with_a_count_and_the_others_stay() {
    let bench = Bench::start().await;
    let rejected = bench.fill(25).await;
    let folder = tempfile::tempdir().unwrap();
    let (code, told, error) =
        replay(&bench, folder.path(), &[&YES[..], &["--state-machine", "refunds"]].concat()).await;
    assert_eq!((code, told.lines().last()), (0, Some("1 message sent back")), "{error}");
    let back = bench.sqs.messages("failures");
    assert_eq!(back.len(), 1);
    assert_eq!(back[0].body, failure(7).replace("orders", "refunds"));
    let attributes = back[0].attributes.as_object().unwrap();
    assert_eq!(attributes.keys().collect::<Vec<_>>(), ["misstep.replays"]);
    assert_eq!(attributes["misstep.replays"]["StringValue"], "1");
    assert_eq!(bench.sqs.deleted("dead"), [rejected]);
    bench.nothing_is_held(26);

    let (code, told, error) = replay(&bench, folder.path(), &[&YES[..], &["--limit", "12"]].concat()).await;
    assert_eq!((code, told.lines().last()), (0, Some("12 messages sent back")), "{error}");
    bench.nothing_is_held(14);
    let (code, told, _) = replay(&bench, folder.path(), &[&YES[..], &["--status", "ABORTED"]].concat()).await;
    assert_eq!((code, told.as_str()), (0, "no messages\n"));
}

#[tokio::test]
async fn what_sqs_refuses_or_does_not_delete_is_neither_lost_nor_sent_twice() {
    let bench = Bench::start().await;
    bench.fill(10).await;
    let folder = tempfile::tempdir().unwrap();
    bench.sqs.fail_entries("SendMessageBatch", 2, "InternalError");
    bench.sqs.fail_entries("DeleteMessageBatch", 3, "InternalError");
    let (code, told, error) = replay(&bench, folder.path(), &YES).await;
    assert_eq!(code, 1, "{told}");
    assert!(error.contains("2 messages could not be sent"), "{error}");
    assert!(told.contains("10 messages sent back\n3 messages sent but not yet deleted here"), "{told}");
    assert_eq!((bench.sqs.messages("failures").len(), bench.sqs.messages("dead").len()), (10, 5));
    // What could not be deleted is held until its hold ends; the rest is visible at once.
    tokio::time::timeout(Duration::from_secs(40), async {
        while bench.sqs.counts("dead").visible < 5 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("what is held comes back");
    let (code, told, error) = replay(&bench, folder.path(), &YES).await;
    assert_eq!(code, 0, "{error}");
    assert!(
        told.contains("2 messages sent back\n3 messages sent by an earlier replay: not sent again"),
        "{told}"
    );
    assert_eq!((bench.sqs.messages("failures").len(), bench.sqs.messages("dead").len()), (12, 0));
}

#[tokio::test]
async fn a_send_whose_answer_is_lost_is_reported_and_repeated_by_the_next_replay() {
    let bench = Bench::start().await;
    bench.fill(3).await;
    let folder = tempfile::tempdir().unwrap();
    bench.sqs.plan("SendMessageBatch", [Some(Fault::Reset)]);
    let (code, _, error) = replay(&bench, folder.path(), &YES).await;
    assert_eq!(code, 1);
    assert!(error.contains("the last 5 messages may have been sent"), "{error}");
    bench.nothing_is_held(5);
    let (code, told, error) = replay(&bench, folder.path(), &YES).await;
    assert_eq!(code, 0, "{error}");
    assert!(
        told.contains("5 messages sent back\n5 messages sent again, since an earlier replay ended"),
        "{told}"
    );
    assert_eq!(bench.sqs.messages("dead").len(), 0);
}

#[tokio::test]
async fn a_replay_that_was_killed_goes_on_without_sending_twice_what_was_sent() {
    let bench = Bench::start().await;
    bench.fill(18).await;
    let folder = tempfile::tempdir().unwrap();
    let (gate, held) = Fault::held();
    bench.sqs.plan("DeleteMessageBatch", [Some(held)]);
    let mut command = bench.command(&[&["replay"], &YES[..]].concat());
    let mut killed = command.current_dir(folder.path()).stdout(Stdio::null()).spawn().unwrap();
    // Ten were sent and none was deleted.
    bench.sqs.wait_for("DeleteMessageBatch", 1).await;
    killed.kill().await.unwrap();
    bench.sqs.plan("DeleteMessageBatch", [Some(Fault::internal())]);
    drop(gate);
    tokio::time::timeout(Duration::from_secs(60), async {
        while bench.sqs.counts("dead").in_flight > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("what is held comes back");
    bench.sqs.recover("DeleteMessageBatch");
    let (code, told, error) = replay(&bench, folder.path(), &YES).await;
    assert_eq!(code, 0, "{error}");
    assert!(told.contains("10 messages sent back"), "{told}");
    let mut bodies: Vec<String> =
        bench.sqs.messages("failures").into_iter().map(|message| message.body).collect();
    assert_eq!((bodies.len(), bench.sqs.messages("dead").len()), (20, 0));
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 20, "none was sent twice");
}

#[tokio::test]
async fn messages_that_come_back_end_the_replay() {
    let bench = Bench::start().await;
    bench.fill(38).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = bench.command(&["replay", "--yes", "--rate", "10", "--bounce-limit", "1"]);
    let replaying =
        command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bench.sqs.wait_for("SendMessageBatch", 1).await;
    bench.sqs.wait_for("DeleteMessageBatch", 1).await;
    let replayed = bench.sqs.messages("failures")[0].id.clone();
    let back =
        aws_sdk_sqs::types::MessageAttributeValue::builder().data_type("String").string_value(&replayed);
    let sent = bench.sqs.client().send_message().queue_url(bench.queue_url.replace("failures", "dead"));
    let sent = sent.message_body("again").message_attributes("misstep.message_id", back.build().unwrap());
    sent.send().await.unwrap();
    let output = replaying.wait_with_output().await.unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("1 replayed messages came back"), "{error}");
    let left = bench.sqs.messages("dead").len();
    assert!(left > 10, "it stopped early, but {left} are left");
    bench.nothing_is_held(left);
}

#[tokio::test]
async fn what_was_dropped_is_kept_and_can_be_sent_again_once() {
    let bench = Bench::start().await;
    bench.fill(12).await;
    let folder = tempfile::tempdir().unwrap();
    let drop = ["drop", "--yes", "--state-machine", "orders", "--output", "kept"];
    let output = bench.command(&drop).current_dir(folder.path()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("12 messages dropped"));
    bench.nothing_is_held(2);
    let again = bench
        .command(&["drop", "--yes", "--output", "kept"])
        .current_dir(folder.path())
        .output()
        .await
        .unwrap();
    assert_eq!(again.status.code(), Some(1), "a file that is there is not written over");
    bench.nothing_is_held(2);

    let from = [&YES[..], &["--from", "kept"]].concat();
    let (code, told, error) = replay(&bench, folder.path(), &from).await;
    assert_eq!((code, told.lines().last()), (0, Some("12 messages sent back")), "{error}");
    assert_eq!(bench.sqs.messages("failures").len(), 12);
    let (code, told, _) = replay(&bench, folder.path(), &from).await;
    assert_eq!(code, 0);
    assert!(told.contains("12 messages sent by an earlier replay: not sent again"), "{told}");
    assert_eq!(bench.sqs.messages("failures").len(), 12);
    bench.nothing_is_held(2);
}

#[tokio::test]
async fn a_journal_of_another_queue_is_refused() {
    let bench = Bench::start().await;
    bench.fill(1).await;
    let folder = tempfile::tempdir().unwrap();
    let journal = [&YES[..], &["--journal", "j"]].concat();
    assert_eq!(replay(&bench, folder.path(), &journal).await.0, 0);
    bench.fill(1).await;
    let other = bench.queue_url.replace("failures", "others");
    bench.sqs.queue("others", Duration::from_secs(30));
    let dead = bench.queue_url.replace("failures", "dead");
    let arguments = [&journal[..], &["--queue-url", &other, "--dlq-url", &dead]].concat();
    let (code, _, error) = replay(&bench, folder.path(), &arguments).await;
    assert_eq!(code, 1);
    assert!(error.contains("name another one with --journal"), "{error}");
    bench.nothing_is_held(3);
    let first: Value = serde_json::from_str(
        std::fs::read_to_string(folder.path().join("j")).unwrap().lines().next().unwrap(),
    )
    .unwrap();
    assert_eq!(first["replay"]["to"], bench.queue_url);
}

#[tokio::test]
async fn what_eventbridge_could_not_deliver_is_sent_to_the_queue() {
    let bench = Bench::start().await;
    bench.sqs.queue("target-dead", Duration::from_secs(30));
    let url = bench.queue_url.replace("failures", "target-dead");
    let code = aws_sdk_sqs::types::MessageAttributeValue::builder().data_type("String");
    let code = code.string_value("NO_PERMISSIONS").build().unwrap();
    let sent = bench.sqs.client().send_message().queue_url(&url).message_body(failure(1));
    sent.message_attributes("ERROR_CODE", code).send().await.unwrap();
    let listed = bench.list(&["--dlq-url", &url]).await;
    assert_eq!(listed["groups"][0]["reason"], "not-delivered: NO_PERMISSIONS");
    let folder = tempfile::tempdir().unwrap();
    let (code, _, error) = replay(&bench, folder.path(), &[&YES[..], &["--dlq-url", &url]].concat()).await;
    assert_eq!(code, 0, "{error}");
    let back = bench.sqs.messages("failures");
    assert_eq!((back.len(), bench.sqs.messages("target-dead").len()), (1, 0));
    assert_eq!(back[0].attributes.as_object().unwrap().keys().collect::<Vec<_>>(), ["misstep.replays"]);
}

#[tokio::test]
async fn executions_whose_histories_are_gone_are_warned_of() {
    let bench = Bench::start().await;
    let mut event: Value = serde_json::from_str(&failure(1)).unwrap();
    event["detail"]["stopDate"] = 1_700_000_000_000_u64.into();
    bench.sqs.send("dead", &event.to_string());
    bench.sqs.send("dead", &failure(2));
    let folder = tempfile::tempdir().unwrap();
    let (code, told, _) = replay(&bench, folder.path(), &[]).await;
    assert_eq!(code, 0);
    assert!(told.contains("1 message about executions that ended more than 90 days ago"), "{told}");
}

#[tokio::test]
async fn an_interrupted_replay_releases_what_it_has_not_sent() {
    let bench = Bench::start().await;
    bench.fill(28).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = bench.command(&["replay", "--yes", "--rate", "1"]);
    let replaying =
        command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bench.sqs.wait_for("DeleteMessageBatch", 1).await;
    signal(&replaying, "-INT").await;
    let output = replaying.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (told, error) = (text(&output.stdout), text(&output.stderr));
    assert!(told.contains("10 messages sent back"), "{told}");
    assert!(error.contains("the replay ended early: interrupted"), "{error}");
    assert_eq!(bench.sqs.messages("failures").len(), 10);
    bench.nothing_is_held(20);
}
