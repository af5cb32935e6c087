//! The real worker, of whose events some never arrive.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{config, fail_all_but};
use crate::support::errand::Errand;
use crate::support::execution;
use crate::support::receiver::{Received, Receiver};
use crate::support::stub::Refusal;

/// The executions that notifications name, in the order that they came in.
pub(crate) fn named(received: &[Received]) -> Vec<String> {
    let lists = received.iter().map(|received| {
        received.json()["data"]["analysis"]["incident"]["new_executions"].as_array().unwrap().clone()
    });
    let arn = |one: Value| one["execution_arn"].as_str().unwrap().to_owned();
    lists.flatten().map(arn).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_whose_events_are_lost_are_told_like_all_others_and_once() {
    let (errand, receiver) = tokio::join!(Errand::with(0), Receiver::start());
    fail_all_but(&errand, 10, &[2, 3, 7]);
    let mut worker = errand.worker(&config(&errand, &receiver.url));
    let everybody: BTreeSet<String> = (0..10).map(execution).collect();
    let all_named = || named(&receiver.received()).into_iter().collect::<BTreeSet<_>>() == everybody;
    worker.until("everybody to be named", all_named).await;
    // Another pass finds nothing.
    worker.wait_for_log(&["looked for failures whose events never arrived", "\"found\":0"]).await;
    assert_eq!(worker.stop().await, Some(0));
    assert_eq!(named(&receiver.received()).len(), 10, "nobody is named twice");
    assert!(errand.sqs.messages("dead").is_empty());
    let found = worker.log().lines().filter(|line| line.contains("were put into the queue")).count();
    assert_eq!(found, 1, "{}", worker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_may_be_listed_the_worker_works_and_says_so() {
    let (errand, receiver) = tokio::join!(Errand::with(0), Receiver::start());
    fail_all_but(&errand, 2, &[1]);
    let denied = Refusal::new(400, "AccessDeniedException", "not authorized");
    errand.sfn.refuse("ListStateMachines", denied);
    let mut worker = errand.worker(&config(&errand, &receiver.url));
    worker.wait_for_log(&["missed failures could not all be looked for", "ListStateMachines"]).await;
    worker
        .until("the failure that arrived to be told", || named(&receiver.received()) == [execution(0)])
        .await;
    errand.sfn.recover("ListStateMachines");
    worker.until("the other one to be told", || named(&receiver.received()).len() == 2).await;
    assert_eq!(worker.stop().await, Some(0));
}
