//! The sizes of the queue and of its dead-letter queue, read every half minute.

use std::sync::Arc;
use std::time::Duration;

use tracing::debug;

use super::{Queue, QueueCounts};
use crate::metrics::Metrics;
use crate::telemetry::chain;

/// How often the queues are asked.
pub const EVERY: Duration = Duration::from_secs(30);

/// Reads the counts of both queues again and again, and never returns. What cannot be read is
/// absent from the metrics until it can: an old number would look like a queue that does not move.
pub async fn watch(queue: Arc<dyn Queue>, dead_letters: Option<Arc<dyn Queue>>, metrics: Metrics) {
    loop {
        let backlog = counts(queue.as_ref()).await;
        metrics.backlog(backlog.map(|counts| [counts.visible, counts.in_flight, counts.delayed]));
        if let Some(queue) = &dead_letters {
            metrics.dead_letter_queue(counts(queue.as_ref()).await.map(QueueCounts::all));
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn counts(queue: &dyn Queue) -> Option<QueueCounts> {
    match queue.counts().await {
        Ok(counts) => Some(counts),
        Err(error) => {
            debug!(error = chain(&error), "could not count the messages of a queue");
            None
        }
    }
}
