//! The AWS clients as they are set up: no retries of their own, and no call that hangs for ever.

use std::time::Duration;

use misstep::aws::arn::ExecutionArn;
use misstep::aws::error::ErrorClass;
use misstep::history::sfn::SfnReader;
use misstep::history::{ExecutionReader, PageRequest};
use misstep::queue::sqs::SqsQueue;
use misstep::queue::{Queue, ReceiptHandle};
use tokio::time::Instant;

use crate::support::configured;
use crate::support::stub::sfn::StepFunctions;
use crate::support::stub::sqs::Sqs;
use crate::support::stub::{Fault, Refusal, session};

#[tokio::test]
async fn a_failed_call_of_the_queue_is_one_call() {
    let stub = Sqs::start().await;
    let url = stub.queue("failures", Duration::from_secs(30));
    let queue = SqsQueue::new(&session(stub.url()), &url);
    let receipts = [ReceiptHandle("r".to_owned())];
    for operation in
        ["ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "GetQueueAttributes"]
    {
        stub.refuse(operation, Refusal::new(500, "InternalFailure", "try again"));
    }
    queue.receive(1, Duration::ZERO).await.unwrap_err();
    queue.delete(&receipts).await.unwrap_err();
    queue.change_visibility(&[(receipts[0].clone(), Duration::ZERO)]).await.unwrap_err();
    queue.attributes().await.unwrap_err();
    assert_eq!(stub.calls().len(), 4);
}

#[tokio::test]
async fn a_failed_reading_is_one_call() {
    let stub = StepFunctions::start().await;
    stub.refuse("GetExecutionHistory", Refusal::new(400, "ThrottlingException", "Rate exceeded"));
    let reader = SfnReader::new(&session(stub.url()));
    let execution =
        ExecutionArn::parse("arn:aws:states:eu-west-1:123456789012:execution:orders:run").unwrap();
    let page = PageRequest { newest_first: true, max_results: 1_000, token: None, max_bytes: u64::MAX };
    let error = reader.history_page(&execution, &page).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Throttled);
    assert_eq!(stub.calls().len(), 1);
}

#[tokio::test]
async fn a_poll_that_nobody_answers_ends_soon_after_its_wait() {
    let stub = Sqs::start().await;
    let url = stub.queue("failures", Duration::from_secs(30));
    let queue = SqsQueue::new(&session(stub.url()), &url);
    stub.plan("ReceiveMessage", [Some(Fault::Silence)]);
    let began = Instant::now();
    queue.receive(1, Duration::from_secs(1)).await.unwrap_err();
    assert!((10..=13).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_long_poll_is_not_cut_short() {
    let stub = Sqs::start().await;
    let url = stub.queue("failures", Duration::from_secs(30));
    let queue = SqsQueue::new(&session(stub.url()), &url);
    let began = Instant::now();
    assert!(queue.receive(1, Duration::from_secs(12)).await.unwrap().is_empty());
    assert!(began.elapsed() >= Duration::from_secs(12), "{:?}", began.elapsed());
}

#[test]
fn a_message_to_a_topic_fits_its_limit() {
    let limit = |max_bytes: &str, all: &str| {
        let text = format!(
            "{all}\n[[routes]]\nname = \"topic\"\naudience = \"ops\"\nchannel = \"sns\"\ntopic_arn = \"arn:aws:sns:eu-west-1:123456789012:failures\"\n{max_bytes}\n"
        );
        configured::settings_of(&text, &[]).map(|_| configured::route(&text, &[]).notifier.limit())
    };
    assert_eq!(limit("", ""), Ok(262_144));
    // What all channels may send does not say what this topic takes; the route's own setting does.
    assert_eq!(limit("", "max_notification_bytes = 1048576"), Ok(262_144));
    assert_eq!(limit("max_bytes = 1048576", ""), Ok(1_048_576));
    assert_eq!(limit("max_bytes = 8192", "max_notification_bytes = 1048576"), Ok(8_192));
    let faults = limit("max_bytes = 1048577", "").unwrap_err();
    assert!(faults.len() == 1 && faults[0].contains("max_bytes"), "{faults:?}");
}
