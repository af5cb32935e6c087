//! The worker broken on purpose, to see that the checker would notice.
//!
//! Each mutant is a wrapper that makes the worker as wrong as if the mistake were in its own code.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use misstep::notify::{Content, Notification, Notifier, NotifyError, TemplateError};
use misstep::queue::{
    DeadLetter, EntryResults, Message, Queue, QueueAttributes, QueueCounts, QueueError, ReceiptHandle,
};

use super::{Plan, Run};
use crate::support::model::Faults;
use crate::support::model::api::{ModelApi, Mood, routes};
use crate::support::model::queue::ModelQueue;
use crate::support::on_paused_time;

/// What is wrong with the worker's use of the queue.
#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    IgnoresFailedEntries,
    DoesNotRenew,
    CancelsPolls,
}

struct Mistaken(ModelQueue, Mistake);

#[async_trait]
impl Queue for Mistaken {
    async fn attributes(&self) -> Result<QueueAttributes, QueueError> {
        self.0.attributes().await
    }

    async fn counts(&self) -> Result<QueueCounts, QueueError> {
        self.0.counts().await
    }

    async fn receive(&self, most: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        let poll = self.0.receive(most, wait);
        if self.1 == Mistake::CancelsPolls {
            return tokio::time::timeout(Duration::from_secs(2), poll).await.unwrap_or(Ok(Vec::new()));
        }
        poll.await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults, QueueError> {
        let results = self.0.delete(receipts).await?;
        Ok(if self.1 == Mistake::IgnoresFailedEntries { vec![Ok(()); results.len()] } else { results })
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<EntryResults, QueueError> {
        if self.1 == Mistake::DoesNotRenew {
            return Ok(vec![Ok(()); changes.len()]);
        }
        self.0.change_visibility(changes).await
    }

    async fn dead_letter(&self, url: &str, letter: &DeadLetter) -> Result<(), QueueError> {
        self.0.dead_letter(url, letter).await
    }
}

/// Says that an audience was notified before it was: the delete overtakes the notification.
struct TellsLater(ModelApi);

#[async_trait]
impl Notifier for TellsLater {
    fn limit(&self) -> usize {
        self.0.limit()
    }

    fn compose(&self, content: &Content<'_>) -> Result<Notification, TemplateError> {
        self.0.compose(content)
    }

    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError> {
        let (api, notification) = (self.0.clone(), notification.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            api.notify(&notification).await
        });
        Ok(())
    }
}

/// Runs a mutant for a quarter of an hour, stops it, and returns what the checker says.
fn caught(plan: Plan, mood: Mood) -> String {
    on_paused_time(async {
        let mut run = Run::start(&plan);
        run.api.set_mood(mood);
        run.send_failures(20);
        tokio::time::sleep(Duration::from_secs(900)).await;
        run.stop().await;
        run.broken().join("\n")
    })
}

const QUICK: Mood = Mood::Up(Duration::from_millis(20));

#[test]
fn the_worker_without_a_mistake_is_not_accused() {
    let faults = Faults { entry_failed: 0.2, ..Faults::default() };
    let plan = || Plan { visibility_timeout: Duration::from_secs(10), faults, ..Plan::default() };
    assert_eq!(caught(plan(), QUICK), "");
    assert_eq!(caught(plan(), Mood::Up(Duration::from_secs(25))), "");
}

#[test]
fn deleting_before_notifying_is_caught() {
    let said = caught(Plan { routes: |api| routes(Arc::new(TellsLater(api))), ..Plan::default() }, QUICK);
    assert!(said.contains("was deleted before both audiences were notified"), "{said}");
}

#[test]
fn ignoring_the_failed_entries_of_a_batch_is_caught() {
    let faults = Faults { entry_failed: 0.2, ..Faults::default() };
    let wrap_queue = |queue| -> Arc<dyn Queue> { Arc::new(Mistaken(queue, Mistake::IgnoresFailedEntries)) };
    let said = caught(Plan { faults, wrap_queue, ..Plan::default() }, QUICK);
    assert!(said.contains("received"), "{said}");
}

#[test]
fn not_renewing_leases_is_caught() {
    let wrap_queue = |queue| -> Arc<dyn Queue> { Arc::new(Mistaken(queue, Mistake::DoesNotRenew)) };
    let plan = Plan { visibility_timeout: Duration::from_secs(10), wrap_queue, ..Plan::default() };
    let said = caught(plan, Mood::Up(Duration::from_secs(25)));
    assert!(said.contains("received"), "{said}");
}

#[test]
fn cancelling_a_poll_is_caught() {
    let wrap_queue = |queue| -> Arc<dyn Queue> { Arc::new(Mistaken(queue, Mistake::CancelsPolls)) };
    let said = caught(Plan { wrap_queue, ..Plan::default() }, QUICK);
    assert!(said.contains("a poll was dropped"), "{said}");
}

#[test]
fn ignoring_the_stop_is_caught() {
    let said = on_paused_time(async {
        let run = Run::start(&Plan { hears_stop: false, ..Plan::default() });
        run.send_failures(3);
        run.ask_to_stop();
        tokio::time::sleep(Duration::from_secs(60)).await;
        run.broken().join("\n")
    });
    assert!(said.contains("a poll began after the stop was asked for"), "{said}");
}
