//! A dead-letter queue that takes its time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use misstep::queue::{
    DeadLetter, EntryResults, Message, Queue, QueueAttributes, QueueCounts, QueueError, ReceiptHandle,
};

use super::{Plan, Run, on_paused_time};
use crate::model::Event;
use crate::model::queue::ModelQueue;

/// How long the dead-letter queue takes for a message.
const TAKES: Duration = Duration::from_secs(60);

struct SlowBurials(ModelQueue);

#[async_trait]
impl Queue for SlowBurials {
    async fn attributes(&self) -> Result<QueueAttributes, QueueError> {
        self.0.attributes().await
    }

    async fn counts(&self) -> Result<QueueCounts, QueueError> {
        self.0.counts().await
    }

    async fn receive(&self, most: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        self.0.receive(most, wait).await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults, QueueError> {
        self.0.delete(receipts).await
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<EntryResults, QueueError> {
        self.0.change_visibility(changes).await
    }

    async fn dead_letter(&self, url: &str, letter: &DeadLetter) -> Result<(), QueueError> {
        tokio::time::sleep(TAKES).await;
        self.0.dead_letter(url, letter).await
    }
}

#[test]
fn a_message_is_leased_until_the_dead_letter_queue_has_taken_it() {
    on_paused_time(async {
        let plan = Plan {
            visibility_timeout: Duration::from_secs(4),
            wrap_queue: |queue| Arc::new(SlowBurials(queue)),
            ..Plan::default()
        };
        let mut run = Run::start(&plan);
        let poison = run.queue.send("not json".to_owned());
        run.settled().await;
        run.stop().await;
        run.check();
        let count = |wanted: fn(&Event) -> bool| run.record.count(wanted);
        assert_eq!(count(|event| matches!(event, Event::Received { .. })), 1, "it came back meanwhile");
        assert_eq!(run.record.count(|event| *event == Event::DeadLettered { message: poison }), 1);
        // No renewal comes after the delete.
        assert_eq!(count(|event| matches!(event, Event::Visibility { effective: false, .. })), 0);
    });
}
