//! What every implementation of the queue keeps: one suite, run against the model, against a stub
//! that speaks SQS's protocol, and against LocalStack.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use misstep::aws::Session;
use misstep::metrics::Metrics;
use misstep::queue::sqs::SqsQueue;
use misstep::queue::{Message, Queue, ReceiptHandle};

use crate::localstack::stage::Stage;
use crate::support::model::queue::ModelQueue;
use crate::support::model::{Chance, Faults, Record};
use crate::support::on_paused_time;
use crate::support::stub::session;
use crate::support::stub::sqs::Sqs;

const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_RECEIVE_COUNT: u32 = 50;

type Sent = Pin<Box<dyn Future<Output = ()>>>;

/// A queue, and a way to put messages into it.
struct Subject {
    queue: Arc<dyn Queue>,
    send: Box<dyn Fn(String) -> Sent>,
}

impl Subject {
    async fn send(&self, count: usize) {
        for number in 0..count {
            (self.send)(format!("body {number}")).await;
        }
    }

    /// Receives until so many came; polls as SQS wants it, since one poll need not bring all.
    async fn receive(&self, count: usize) -> Vec<Message> {
        let mut received = Vec::new();
        for _ in 0..20 {
            let most = (count - received.len()).min(10);
            received.extend(self.queue.receive(most, Duration::from_secs(1)).await.unwrap());
            if received.len() == count {
                return received;
            }
        }
        panic!("only {} of {count} messages came", received.len());
    }

    async fn nothing_comes(&self) {
        assert!(self.queue.receive(10, Duration::ZERO).await.unwrap().is_empty());
    }
}

fn receipts(messages: &[Message]) -> Vec<ReceiptHandle> {
    messages.iter().map(|message| message.receipt.clone()).collect()
}

async fn keeps_the_contract(subject: Subject) {
    let queue = &subject.queue;

    // What it is set to can be read.
    let attributes = queue.attributes().await.unwrap();
    assert_eq!(attributes.visibility_timeout, VISIBILITY_TIMEOUT);
    assert_eq!(attributes.max_receive_count, Some(MAX_RECEIVE_COUNT));
    assert!(attributes.dead_letter_url.is_some());
    assert!(queue.counts().await.unwrap().is_empty());

    // A received message is invisible, and comes back with a new receipt when its time is over.
    subject.send(1).await;
    let first = subject.receive(1).await;
    assert_eq!((first[0].body.as_str(), first[0].receives), ("body 0", 1));
    subject.nothing_comes().await;
    assert_eq!(queue.counts().await.unwrap().in_flight, 1);
    tokio::time::sleep(VISIBILITY_TIMEOUT).await;
    let second = subject.receive(1).await;
    assert_eq!((second[0].id.as_str(), second[0].receives), (first[0].id.as_str(), 2));
    assert_ne!(second[0].receipt, first[0].receipt);

    // Its lease can be lengthened beyond the first timeout.
    let later = [(second[0].receipt.clone(), VISIBILITY_TIMEOUT * 2)];
    assert_eq!(queue.change_visibility(&later).await.unwrap(), [Ok(())]);
    tokio::time::sleep(VISIBILITY_TIMEOUT + Duration::from_millis(500)).await;
    subject.nothing_comes().await;

    // Given back with zero, it is there at once.
    let now = [(second[0].receipt.clone(), Duration::ZERO)];
    assert_eq!(queue.change_visibility(&now).await.unwrap(), [Ok(())]);
    let third = subject.receive(1).await;
    assert_eq!(third[0].receives, 3);

    // A stale receipt handle is no error; the newest one deletes.
    assert_eq!(queue.delete(&receipts(&third)).await.unwrap(), [Ok(())]);
    assert_eq!(queue.delete(&receipts(&first)).await.unwrap(), [Ok(())]);
    assert!(queue.counts().await.unwrap().is_empty());

    // What was deleted has no visibility any more, and says that it is lost for good; the others
    // of its batch are not touched by that.
    subject.send(2).await;
    let two = subject.receive(2).await;
    assert_eq!(queue.delete(&receipts(&two[..1])).await.unwrap(), [Ok(())]);
    let both: Vec<_> = receipts(&two).into_iter().map(|receipt| (receipt, Duration::ZERO)).collect();
    let results = queue.change_visibility(&both).await.unwrap();
    assert!(results[0].as_ref().is_err_and(|error| error.lost), "{results:?}");
    assert_eq!(results[1], Ok(()));

    // Ten at a time, and no more than asked for.
    subject.send(19).await;
    let all = subject.receive(20).await;
    for ten in all.chunks(10) {
        assert_eq!(queue.delete(&receipts(ten)).await.unwrap(), vec![Ok(()); 10]);
    }
    assert!(queue.counts().await.unwrap().is_empty());
}

#[test]
fn the_model_keeps_the_contract() {
    on_paused_time(async {
        let (chance, record) = (Chance::new(0), Record::default());
        let queue = ModelQueue::new(VISIBILITY_TIMEOUT, MAX_RECEIVE_COUNT, Faults::default(), chance, record);
        let sending = queue.clone();
        let send: Box<dyn Fn(String) -> Sent> = Box::new(move |body| {
            sending.send(body);
            Box::pin(std::future::ready(()))
        });
        keeps_the_contract(Subject { queue: Arc::new(queue), send }).await;
    });
}

#[tokio::test]
async fn the_stub_keeps_the_contract() {
    let stub = Arc::new(Sqs::start().await);
    stub.queue("dead", Duration::from_secs(30));
    let url = stub.queue("failures", VISIBILITY_TIMEOUT);
    stub.dead_letters("failures", "dead", MAX_RECEIVE_COUNT.into());
    let queue = SqsQueue::new(&session(stub.url()), &url);
    let send: Box<dyn Fn(String) -> Sent> = Box::new(move |body| {
        stub.send("failures", &body);
        Box::pin(std::future::ready(()))
    });
    keeps_the_contract(Subject { queue: Arc::new(queue), send }).await;
}

#[tokio::test]
async fn localstack_keeps_the_contract() {
    let parameters = [("VisibilityTimeoutSeconds", "3"), ("MaxReceiveCount", "50")];
    let stage = Arc::new(Stage::set_up("contract", &[], &parameters).await);
    let queue =
        SqsQueue::new(&Session::new(crate::localstack::stage::aws().await, Metrics::new()), &stage.queue_url);
    let send: Box<dyn Fn(String) -> Sent> = Box::new(move |body| {
        let stage = stage.clone();
        Box::pin(async move { stage.send(&body, None).await })
    });
    keeps_the_contract(Subject { queue: Arc::new(queue), send }).await;
}
