//! SQS's own move of everything in a dead-letter queue to another queue
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html>).

use aws_sdk_sqs::types::QueueAttributeName;

use super::SqsQueue;
use crate::queue::QueueError;

/// How far a move is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// `RUNNING`, `COMPLETED`, `CANCELLING`, `CANCELLED` or `FAILED`.
    pub status: String,
    /// How many messages were moved; SQS's number is approximate.
    pub moved: u64,
    /// How many there were at the start, if SQS reports it.
    pub to_move: Option<u64>,
    /// Why it failed.
    pub failure: Option<String>,
}

impl SqsQueue {
    /// Starts to move everything from this dead-letter queue to `target`, at so many messages a second,
    /// and returns the task's handle. The target is named, since SQS does not know where a message came
    /// from that was sent here, not moved.
    ///
    /// # Errors
    /// When SQS refuses: the queue is no dead-letter queue of another SQS queue, or a move is under way.
    pub async fn start_move(&self, target: &SqsQueue, rate: i32) -> Result<String, QueueError> {
        let (from, to) = (self.arn().await?, target.arn().await?);
        let call = self.client.start_message_move_task().source_arn(from).destination_arn(to);
        let call = call.max_number_of_messages_per_second(rate);
        let answer = self.call("StartMessageMoveTask", &self.url, call.send()).await?;
        answer.task_handle.ok_or_else(|| self.nothing("StartMessageMoveTask", "without a task's handle"))
    }

    /// How far the newest move from this queue is.
    ///
    /// # Errors
    /// When SQS does not answer, or has no such task.
    pub async fn newest_move(&self) -> Result<Move, QueueError> {
        let call = self.client.list_message_move_tasks().source_arn(self.arn().await?).max_results(1);
        let answer = self.call("ListMessageMoveTasks", &self.url, call.send()).await?;
        let newest = answer.results.unwrap_or_default().into_iter().next();
        let newest = newest.ok_or_else(|| self.nothing("ListMessageMoveTasks", "without any move"))?;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Move {
            status: newest.status.unwrap_or_default(),
            moved: count(newest.approximate_number_of_messages_moved),
            to_move: newest.approximate_number_of_messages_to_move.map(count),
            failure: newest.failure_reason,
        })
    }

    /// Ends a move; what was moved stays moved.
    ///
    /// # Errors
    /// When SQS refuses: the move has ended.
    pub async fn cancel_move(&self, handle: &str) -> Result<(), QueueError> {
        let call = self.client.cancel_message_move_task().task_handle(handle);
        self.call("CancelMessageMoveTask", &self.url, call.send()).await.map(drop)
    }

    async fn arn(&self) -> Result<String, QueueError> {
        let value = self.ask(&[QueueAttributeName::QueueArn]).await?;
        value(QueueAttributeName::QueueArn)
            .ok_or_else(|| self.nothing("GetQueueAttributes", "without an ARN"))
    }

    fn nothing(&self, operation: &'static str, what: &str) -> QueueError {
        QueueError::Answer { operation, queue: self.url.clone(), what: what.to_owned() }
    }
}
