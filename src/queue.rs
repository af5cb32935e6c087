//! The queue, as the worker sees it: [`Queue`] and what travels through it.
//!
//! The contract of every implementation is that of an SQS standard queue, no more: a received
//! message is invisible to others until its visibility timeout ends, then it comes back with a
//! new receipt handle; a message may come twice; a delete with a stale receipt handle may succeed
//! without deleting. [`sqs`] is the real one and the only module that names the SQS client.

pub mod backlog;
pub mod dead_letter;
pub mod leases;
pub mod settle;
pub mod sqs;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::aws::error::ErrorClass;
use crate::telemetry::trace::TraceHeader;
pub use dead_letter::DeadLetter;

/// The most entries a batch may have, in any of SQS's batch calls.
pub const MOST_ENTRIES: usize = 10;

/// The largest message that any queue accepts, attributes included, in bytes: the highest
/// `MaximumMessageSize`, and its default since August 2025
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>).
pub const LARGEST_MESSAGE: usize = 1_048_576;

/// The default limit of queues made before August 2025, or by tools that still set the default of that
/// time, in bytes.
pub const LARGEST_MESSAGE_BEFORE: usize = 262_144;

/// The longest that SQS keeps a received message invisible, counted from its receipt.
pub const LONGEST_LEASE: Duration = Duration::from_secs(12 * 60 * 60);

/// How long after its receipt a message is released at the latest, while its lease can still be
/// trusted: SQS counts by its own clock.
pub const LONGEST_WORK: Duration = Duration::from_secs(12 * 60 * 60 - 300);

/// Stands for one receipt of one message; SQS changes and deletes messages by it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceiptHandle(pub String);

impl fmt::Debug for ReceiptHandle {
    /// Shortened: the whole handle is enough to delete the message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceiptHandle({}…)", self.0.chars().take(8).collect::<String>())
    }
}

/// A value of one of a message's own attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// `String` or `Number`, with the data type's full name (`Number.int` is one too).
    Text {
        /// The data type.
        data_type: String,
        /// The value.
        value: String,
    },
    /// `Binary`.
    Bytes {
        /// The data type.
        data_type: String,
        /// The value.
        value: Vec<u8>,
    },
}

impl AttributeValue {
    /// A value of data type `String`.
    pub fn string(value: impl Into<String>) -> Self {
        Self::Text { data_type: "String".to_owned(), value: value.into() }
    }

    /// Its share of the message's size.
    pub fn size(&self) -> usize {
        match self {
            Self::Text { data_type, value } => data_type.len() + value.len(),
            Self::Bytes { data_type, value } => data_type.len() + value.len(),
        }
    }
}

/// A received message.
#[derive(Clone)]
pub struct Message {
    /// Its id in SQS; a copy sent back from the dead-letter queue has another one.
    pub id: String,
    /// Stands for this receipt.
    pub receipt: ReceiptHandle,
    /// The body as it was sent.
    pub body: String,
    /// How often it was received, this time included.
    pub receives: u32,
    /// When it was sent, in milliseconds since 1970.
    pub sent_at_ms: Option<u64>,
    /// The trace that it belongs to, where its sender was traced.
    pub trace: Option<TraceHeader>,
    /// Its own attributes.
    pub attributes: Vec<(String, AttributeValue)>,
    /// When the call that brought it returned; its visibility timeout began shortly before.
    pub received_at: Instant,
}

impl fmt::Debug for Message {
    /// Without the body: it holds other people's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("receives", &self.receives)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What the worker needs to know of the queue it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueAttributes {
    /// How long a received message stays invisible.
    pub visibility_timeout: Duration,
    /// After how many receives SQS moves a message to the dead-letter queue; `None` without one.
    pub max_receive_count: Option<u32>,
    /// The URL of the dead-letter queue.
    pub dead_letter_url: Option<String>,
    /// The largest message that it accepts, attributes included, in bytes; `None` if SQS does not report it.
    pub largest_message: Option<usize>,
}

/// The account that a queue's URL names: `https://sqs.eu-west-1.amazonaws.com/123456789012/failures`.
pub fn account_in_url(url: &str) -> Option<&str> {
    let is_account = |part: &&str| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_digit());
    url.rsplit('/').nth(1).filter(is_account)
}

/// How many messages a queue holds; SQS's numbers are approximate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueCounts {
    /// Ready to be received.
    pub visible: u64,
    /// Received by somebody and not settled.
    pub in_flight: u64,
    /// Sent with a delay that has not ended.
    pub delayed: u64,
}

impl QueueCounts {
    /// All messages, in whatever state.
    pub fn all(self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }

    /// Whether the queue holds nothing at all.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Why a call to the queue failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The call as a whole failed: nothing is known of its effect.
    #[error("{operation} on {queue} failed{}", .code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Call {
        /// The API operation.
        operation: &'static str,
        /// The queue's URL.
        queue: String,
        /// What it means for the caller.
        class: ErrorClass,
        /// AWS's error code, where it gave one.
        code: Option<String>,
        /// The client's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer that makes no sense.
    #[error("{operation} on {queue} answered {what}")]
    Answer {
        /// The API operation.
        operation: &'static str,
        /// The queue's URL.
        queue: String,
        /// What was wrong with the answer.
        what: String,
    },
}

impl QueueError {
    /// What it means for the caller.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Call { class, .. } => *class,
            Self::Answer { .. } => ErrorClass::Unavailable,
        }
    }

    /// Whether the queue refuses all calls: it does not exist, or access is denied.
    pub fn is_refusal(&self) -> bool {
        matches!(self.class(), ErrorClass::Gone | ErrorClass::Denied)
    }
}

/// Why one entry of a batch failed while others may have passed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct EntryError {
    /// AWS's error code.
    pub code: String,
    /// AWS's message.
    pub message: String,
    /// Whether trying the same again cannot help: the receipt handle is no longer valid.
    pub lost: bool,
}

/// The result of each entry of a batch, in the order of the entries.
pub type EntryResults = Vec<Result<(), EntryError>>;

/// An SQS standard queue together with its dead-letter queue.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// The queue's settings.
    async fn attributes(&self) -> Result<QueueAttributes, QueueError>;

    /// How many messages it holds.
    async fn counts(&self) -> Result<QueueCounts, QueueError>;

    /// Up to `most` messages (1 to 10), waiting up to `wait` for the first. The future must be
    /// awaited to its end: SQS may already have handed out messages to a call that is dropped.
    async fn receive(&self, most: usize, wait: Duration) -> Result<Vec<Message>, QueueError>;

    /// Deletes up to ten messages.
    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults, QueueError>;

    /// Changes the visibility timeout of up to ten messages, counted from now; zero gives a
    /// message back at once.
    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<EntryResults, QueueError>;

    /// Sends a copy of a message to the dead-letter queue at `url`.
    async fn dead_letter(&self, url: &str, letter: &DeadLetter) -> Result<(), QueueError>;
}
