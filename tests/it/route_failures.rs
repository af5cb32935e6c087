//! A route that fails, with the real binary: the other routes get theirs, the message is tried again or
//! dead-lettered by the kind of failure, and the log names route and reason.

use crate::support::errand::Errand;
use crate::support::receiver::{Answer, Receiver};
use crate::support::worker_process::WorkerProcess;

/// A route that gets its line, whatever befalls the other.
const OTHER: &str = "[[routes]]\nname = \"other\"\naudience = \"archive\"\nchannel = \"stdout\"\n";

/// A route to this receiver.
fn hook(receiver: &Receiver, more: &str) -> String {
    format!(
        "{OTHER}[[routes]]\nname = \"hook\"\naudience = \"developers\"\nchannel = \"http\"\nurl = \"{}\"\n{more}\n",
        receiver.url
    )
}

/// Waits until the other route got its line and the log says why the one did not get its own.
async fn fails(worker: &WorkerProcess, route: &str, reason: &str) {
    worker.wait_for_log(&[route, reason]).await;
    worker.until("the other route's line", || worker.printed().lines().count() == 1).await;
}

/// Waits until the message is gone, after all routes got theirs, the other one only once.
async fn recovers(errand: &Errand, mut worker: WorkerProcess) {
    worker.until("the message to be deleted", || errand.left() == 0).await;
    assert!(errand.sqs.messages("dead").is_empty());
    assert_eq!(worker.printed().lines().count(), 1, "the other was notified twice");
    assert_eq!(worker.stop().await, Some(0));
}

#[tokio::test]
async fn a_template_that_fails_on_one_message_sends_that_one_to_the_dead_letter_queue() {
    let (receiver, errand) = (Receiver::start().await, Errand::with(1).await);
    // The samples that it is tried on have other errors.
    let body =
        "body = '{% if analysis.error == \"Exception\" %}{{ analysis.nothing }}{% else %}1{% endif %}'";
    let mut worker = errand.worker(&hook(&receiver, body));
    fails(&worker, "hook", "the template fails: line 1: undefined value").await;
    worker.until("the message to be settled", || errand.left() == 0).await;
    let dead = errand.dead();
    for said in ["rejected", "hook: the template fails: line 1"] {
        assert!(dead.contains(said), "{said}: {dead}");
    }
    assert!(receiver.received().is_empty());
    assert_eq!(worker.stop().await, Some(0));
}

#[tokio::test]
async fn a_template_that_fails_where_nothing_waits_holds_nothing_up() {
    let (receiver, errand) = (Receiver::start().await, Errand::with(1).await);
    let more = "required = false\nbody = '{% if analysis.error == \"Exception\" %}{{ analysis.nothing }}{% else %}1{% endif %}'";
    let worker = errand.worker(&hook(&receiver, more));
    fails(&worker, "hook", "the template fails: line 1").await;
    recovers(&errand, worker).await;
}

#[tokio::test]
async fn a_secret_that_is_missing_holds_the_message_until_it_is_there() {
    let (receiver, errand) = (Receiver::start().await, Errand::with(1).await);
    let token = errand.place("token");
    let more = format!("bearer_token = {{ file = \"{}\" }}", token.display());
    let worker = errand.worker(&hook(&receiver, &more));
    fails(&worker, "hook", "the bearer token: the secret in").await;
    assert!(receiver.received().is_empty() && errand.left() == 1);
    std::fs::write(&token, "t0ken\n").unwrap();
    recovers(&errand, worker).await;
    assert_eq!(receiver.received()[0].header("authorization"), Some("Bearer t0ken"));
}

#[tokio::test]
async fn a_webhook_that_redirects_holds_the_message_and_nothing_goes_where_it_points() {
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    let (errand, location) = (Errand::with(1).await, elsewhere.url.clone());
    receiver.answer_by(move |_| Some(Answer::status(307).header("location", &location)));
    let worker = errand.worker(&hook(&receiver, ""));
    fails(&worker, "hook", "answered 307").await;
    assert_eq!(errand.left(), 1);
    receiver.recover();
    recovers(&errand, worker).await;
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn a_page_in_place_of_slack_holds_the_message() {
    let (receiver, errand) = (Receiver::start().await, Errand::with(1).await);
    receiver.answer_by(|_| Some(Answer::status(200).body("<html>Log in</html>")));
    let routes = format!(
        "{OTHER}[[routes]]\nname = \"on-call\"\naudience = \"on-call\"\nchannel = \"slack\"\nwebhook_url = \"{}\"\n",
        receiver.url
    );
    let worker = errand.worker(&routes);
    fails(&worker, "on-call", "but not as Slack does").await;
    assert_eq!(errand.left(), 1);
    receiver.recover();
    receiver.answer_by(|_| Some(Answer::status(200).body("ok")));
    recovers(&errand, worker).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_written_holds_the_message_until_it_can() {
    let errand = Errand::with(1).await;
    let folder = errand.place("missing");
    let file = folder.join("failures.jsonl");
    let routes = format!(
        "{OTHER}[[routes]]\nname = \"file\"\naudience = \"developers\"\nchannel = \"file\"\npath = \"{}\"\n",
        file.display()
    );
    let worker = errand.worker(&routes);
    fails(&worker, "file", "failures.jsonl cannot be written: No such file").await;
    assert_eq!(errand.left(), 1);
    std::fs::create_dir(&folder).unwrap();
    recovers(&errand, worker).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn what_a_webhook_refuses_for_good_is_dead_lettered_with_route_and_reason() {
    let (receiver, errand) = (Receiver::start().await, Errand::with(1).await);
    receiver.always(422);
    let mut worker = errand.worker(&hook(&receiver, ""));
    fails(&worker, "hook", "answered 422").await;
    worker.until("the message to be settled", || errand.left() == 0).await;
    assert!(errand.dead().contains("hook: POST"), "{}", errand.dead());
    assert_eq!(worker.stop().await, Some(0));
}
