//! Deletes and visibility changes, gathered into batches.
//!
//! What arrives within five milliseconds goes out together, ten at the most. Each entry of a batch has
//! its own fate: those that SQS refuses are tried again on their own, those whose receipt handle
//! is no longer good are reported, the others are done. The callers wait for the answer, so that
//! nothing is left unsent when the worker has drained.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::{EntryError, EntryResults, MOST_ENTRIES, Queue, QueueError, ReceiptHandle};
use crate::failpoint::{Point, reach};
use crate::metrics::{Metrics, RetriedOperation, RetryReason};
use crate::retry::Policy;
use crate::telemetry::chain;

/// How long the first entry of a batch waits for others.
const LINGER: Duration = Duration::from_millis(5);

/// Why a message could not be settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// The receipt handle is no longer good: the message is somebody else's, or will come back.
    #[error("the receipt handle is no longer valid: {0}")]
    Lost(EntryError),
    /// All attempts failed; whether one of them had its effect is not known.
    #[error("gave up after {attempts} attempts: {last}")]
    Failed {
        /// How many were made.
        attempts: u32,
        /// The last error, with its whole chain.
        last: String,
    },
}

/// Settles messages.
#[derive(Clone)]
pub struct Settler {
    deletes: mpsc::UnboundedSender<Job<ReceiptHandle>>,
    changes: mpsc::UnboundedSender<Job<(ReceiptHandle, Duration)>>,
}

struct Job<T> {
    entry: T,
    answer: oneshot::Sender<Result<(), SettleError>>,
}

impl Settler {
    /// Starts settling messages of `queue`; ends when the last clone of the settler is dropped.
    pub fn start(queue: Arc<dyn Queue>, metrics: Metrics) -> Self {
        let (deletes, delete_jobs) = mpsc::unbounded_channel();
        let (changes, change_jobs) = mpsc::unbounded_channel();
        let deleting = queue.clone();
        tokio::spawn(gather(delete_jobs, metrics.clone(), move |receipts: Vec<ReceiptHandle>| {
            let queue = deleting.clone();
            async move {
                reach(Point::DeleteSending).await;
                let answer = queue.delete(&receipts).await;
                reach(Point::DeleteAnswered).await;
                answer
            }
        }));
        tokio::spawn(gather(change_jobs, metrics, move |changes: Vec<(ReceiptHandle, Duration)>| {
            let queue = queue.clone();
            async move {
                reach(Point::ReleaseSending).await;
                let answer = queue.change_visibility(&changes).await;
                reach(Point::ReleaseAnswered).await;
                answer
            }
        }));
        Self { deletes, changes }
    }

    /// Deletes a message.
    ///
    /// # Errors
    /// When the message may still be on the queue.
    pub async fn delete(&self, receipt: ReceiptHandle) -> Result<(), SettleError> {
        reach(Point::DeleteQueued).await;
        settle(&self.deletes, receipt).await
    }

    /// Makes a message visible to everybody again after `delay`, at once if it is zero.
    ///
    /// # Errors
    /// When it may still be invisible until its visibility timeout ends.
    pub async fn release(&self, receipt: ReceiptHandle, delay: Duration) -> Result<(), SettleError> {
        settle(&self.changes, (receipt, delay)).await
    }
}

async fn settle<T>(jobs: &mpsc::UnboundedSender<Job<T>>, entry: T) -> Result<(), SettleError> {
    let (answer, answered) = oneshot::channel();
    let ended = || SettleError::Failed { attempts: 0, last: "the settler has ended".to_owned() };
    jobs.send(Job { entry, answer }).map_err(|_closed| ended())?;
    answered.await.map_err(|_dropped| ended())?
}

/// Fills batches from `jobs` and sends each with `call`, one beside the other.
async fn gather<T, C, F>(mut jobs: mpsc::UnboundedReceiver<Job<T>>, metrics: Metrics, call: C)
where
    T: Clone + Send + 'static,
    C: Fn(Vec<T>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<EntryResults, QueueError>> + Send + 'static,
{
    while let Some(first) = jobs.recv().await {
        let mut batch = vec![first];
        let full = tokio::time::sleep(LINGER);
        tokio::pin!(full);
        while batch.len() < MOST_ENTRIES {
            tokio::select! {
                biased;
                job = jobs.recv() => match job {
                    Some(job) => batch.push(job),
                    None => break,
                },
                () = &mut full => break,
            }
        }
        tokio::spawn(send(batch, metrics.clone(), call.clone()));
    }
}

/// Sends one batch until each of its entries has an answer.
async fn send<T, C, F>(mut batch: Vec<Job<T>>, metrics: Metrics, call: C)
where
    T: Clone,
    C: Fn(Vec<T>) -> F,
    F: Future<Output = Result<EntryResults, QueueError>>,
{
    let mut pauses = Policy::SETTLE.start();
    loop {
        let answer = call(batch.iter().map(|job| job.entry.clone()).collect()).await;
        let mut again = Vec::new();
        let mut last = String::new();
        let mut cause = RetryReason::Entry;
        match answer {
            Ok(results) => {
                for (job, result) in batch.into_iter().zip(results) {
                    match result {
                        Ok(()) => reply(job, Ok(())),
                        Err(error) if error.lost => reply(job, Err(SettleError::Lost(error))),
                        Err(error) => {
                            last = error.to_string();
                            again.push(job);
                        }
                    }
                }
            }
            Err(error) => {
                last = chain(&error);
                cause = error.class().into();
                again = batch;
            }
        }
        if again.is_empty() {
            return;
        }
        if !pauses.wait(None).await {
            let attempts = pauses.attempts();
            for job in again {
                reply(job, Err(SettleError::Failed { attempts, last: last.clone() }));
            }
            return;
        }
        metrics.retry(RetriedOperation::Settle, cause);
        batch = again;
    }
}

fn reply<T>(job: Job<T>, result: Result<(), SettleError>) {
    // If the work was cancelled in the meantime, nobody waits for the answer; the effect stays.
    let _nobody_waits = job.answer.send(result);
}
