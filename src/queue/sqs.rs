//! The real queue: the only module that names the SQS client.
//!
//! The settler, the leases and the intake each retry in their own way.

mod moves;

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageAttributeValue, MessageSystemAttributeName, MessageSystemAttributeNameForSends,
    MessageSystemAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry,
};
use serde_json::Value;
use tokio::time::Instant;

pub use moves::Move;

use crate::aws::error::ErrorClass;
use crate::aws::{CallCounter, Session, time_limits};
use crate::metrics::Service;
use crate::telemetry::trace::TraceHeader;

use super::{
    AttributeValue, DeadLetter, EntryError, EntryResults, Message, Queue, QueueAttributes, QueueCounts,
    QueueError, ReceiptHandle,
};

/// How long any call but a poll may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How much longer than its own wait a poll may take.
const POLL_MARGIN: Duration = Duration::from_secs(10);

/// A queue on SQS.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: aws_sdk_sqs::Client,
    url: String,
    /// The queue's visibility timeout as it was read: asked for with every receive, so that the
    /// leases still hold if somebody changes it later.
    visibility_timeout: OnceLock<Duration>,
    calls: CallCounter,
}

impl SqsQueue {
    /// The queue at `url`. Makes no call yet.
    pub fn new(aws: &Session, url: &str) -> Self {
        Self {
            client: aws_sdk_sqs::Client::new(&aws.client_config(None, CALL_TIMEOUT)),
            url: url.to_owned(),
            visibility_timeout: OnceLock::new(),
            calls: aws.counter(Service::Sqs),
        }
    }

    /// The queue at `url`, from which messages are received for as long as `visibility_timeout`,
    /// whatever the queue is set to.
    pub fn holding(aws: &Session, url: &str, visibility_timeout: Duration) -> Self {
        Self { visibility_timeout: OnceLock::from(visibility_timeout), ..Self::new(aws, url) }
    }

    /// Sends up to ten messages; returns the id of each, or why it was refused. An entry that the
    /// answer does not mention counts as refused.
    ///
    /// # Errors
    /// When the call as a whole failed: any of them may have been sent.
    pub async fn send(&self, letters: &[DeadLetter]) -> Result<Vec<Result<String, EntryError>>, QueueError> {
        let entries = letters.iter().enumerate().map(|(index, letter)| {
            let attributes = letter.attributes.iter().map(|(name, value)| (name.clone(), to_sdk(value)));
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(&letter.body)
                .set_message_attributes(Some(attributes.collect()))
                .set_message_system_attributes(trace_attribute(letter))
                .build()
                .expect("id and body are set")
        });
        let call = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries.collect()));
        let answer = self.call("SendMessageBatch", &self.url, call.send()).await?;
        let unmentioned = || EntryError {
            code: "NotMentioned".to_owned(),
            message: "SQS did not say what became of it".to_owned(),
            lost: false,
        };
        let mut results: Vec<Result<String, EntryError>> =
            letters.iter().map(|_| Err(unmentioned())).collect();
        let sent = answer.successful.into_iter().map(|entry| (entry.id, Ok(entry.message_id)));
        let refused = answer.failed.into_iter().map(|entry| (entry.id.clone(), Err(entry_error(entry))));
        for (id, result) in sent.chain(refused) {
            if let Some(place) = id.parse::<usize>().ok().and_then(|index| results.get_mut(index)) {
                *place = result;
            }
        }
        Ok(results)
    }

    /// How long the queue keeps a message.
    ///
    /// # Errors
    /// When the call failed.
    pub async fn retention(&self) -> Result<Option<Duration>, QueueError> {
        let value = self.ask(&[QueueAttributeName::MessageRetentionPeriod]).await?;
        let seconds =
            value(QueueAttributeName::MessageRetentionPeriod).and_then(|seconds| seconds.parse().ok());
        Ok(seconds.map(Duration::from_secs))
    }

    async fn ask(
        &self,
        names: &[QueueAttributeName],
    ) -> Result<impl Fn(QueueAttributeName) -> Option<String> + use<>, QueueError> {
        let call =
            self.client.get_queue_attributes().queue_url(&self.url).set_attribute_names(Some(names.to_vec()));
        let answer = self.call("GetQueueAttributes", &self.url, call.send()).await?;
        let attributes = answer.attributes.unwrap_or_default();
        Ok(move |name| attributes.get(&name).cloned())
    }

    /// Makes a call of the queue at `url`, and counts it.
    async fn call<T, E>(
        &self,
        operation: &'static str,
        url: &str,
        call: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, QueueError>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.calls.counted(operation, call).await.map_err(|error| {
            let (class, code) = (ErrorClass::of(&error), error.code().map(str::to_owned));
            QueueError::Call { operation, queue: url.to_owned(), class, code, source: Box::new(error) }
        })
    }

    /// The result of every entry, in order; an entry that SQS does not list as failed has passed.
    fn results(count: usize, failed: Vec<BatchResultErrorEntry>) -> EntryResults {
        let mut results: EntryResults = vec![Ok(()); count];
        for entry in failed {
            if let Some(result) = entry.id.parse::<usize>().ok().and_then(|index| results.get_mut(index)) {
                *result = Err(entry_error(entry));
            }
        }
        results
    }
}

/// The error codes of SQS and its stand-ins for a receipt handle that is no longer valid. SQS also answers
/// `InvalidParameterValue` for a message that "does not exist or is not available for visibility timeout
/// change"; nothing else in our entries could be invalid.
const LOST: [&str; 3] = ["ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"];

/// The codes come with and without a prefix (`AWS.SimpleQueueService.`) and the ending `Exception`.
fn entry_error(entry: BatchResultErrorEntry) -> EntryError {
    let lost = LOST.iter().any(|known| entry.code.contains(known));
    EntryError { code: entry.code, message: entry.message.unwrap_or_default(), lost }
}

fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis().div_ceil(1_000)).unwrap_or(i32::MAX)
}

#[async_trait]
impl Queue for SqsQueue {
    async fn attributes(&self) -> Result<QueueAttributes, QueueError> {
        let names = [
            QueueAttributeName::VisibilityTimeout,
            QueueAttributeName::RedrivePolicy,
            QueueAttributeName::MaximumMessageSize,
        ];
        let value = self.ask(&names).await?;
        let answer = |what: String| QueueError::Answer {
            operation: "GetQueueAttributes",
            queue: self.url.clone(),
            what,
        };
        let visibility_timeout = value(QueueAttributeName::VisibilityTimeout)
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs)
            .ok_or_else(|| answer("without a visibility timeout".to_owned()))?;
        let visibility_timeout = *self.visibility_timeout.get_or_init(|| visibility_timeout);
        let policy = match value(QueueAttributeName::RedrivePolicy) {
            Some(text) if !text.is_empty() => serde_json::from_str::<Value>(&text)
                .map_err(|error| answer(format!("with a redrive policy that is not JSON: {error}")))?,
            _ => Value::Null,
        };
        // Some tools write the count as a string; SQS accepts and returns both.
        let count = &policy["maxReceiveCount"];
        let max_receive_count = count
            .as_u64()
            .or_else(|| count.as_str()?.parse().ok())
            .and_then(|count| u32::try_from(count).ok());
        let dead_letter_url = policy["deadLetterTargetArn"].as_str().and_then(|arn| beside(&self.url, arn));
        let largest_message =
            value(QueueAttributeName::MaximumMessageSize).and_then(|size| size.parse().ok());
        Ok(QueueAttributes { visibility_timeout, max_receive_count, dead_letter_url, largest_message })
    }

    async fn counts(&self) -> Result<QueueCounts, QueueError> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let value = self.ask(&names).await?;
        let [visible, in_flight, delayed] =
            names.map(|name| value(name).and_then(|count| count.parse().ok()).unwrap_or(0));
        Ok(QueueCounts { visible, in_flight, delayed })
    }

    async fn receive(&self, most: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        let limit = time_limits(wait + POLL_MARGIN);
        let call = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(most).unwrap_or(10))
            .wait_time_seconds(whole_seconds(wait))
            .set_visibility_timeout(self.visibility_timeout.get().copied().map(whole_seconds))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::AwsTraceHeader)
            .message_attribute_names("All")
            .customize()
            .config_override(aws_sdk_sqs::Config::builder().timeout_config(limit));
        let answer = self.call("ReceiveMessage", &self.url, call.send()).await?;
        let received_at = Instant::now();
        Ok(answer
            .messages
            .unwrap_or_default()
            .into_iter()
            .filter_map(|raw| message(raw, received_at))
            .collect())
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<EntryResults, QueueError> {
        let entries = receipts.iter().enumerate().map(|(index, receipt)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&receipt.0)
                .build()
                .expect("id and receipt handle are set")
        });
        let call =
            self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries.collect()));
        let answer = self.call("DeleteMessageBatch", &self.url, call.send()).await?;
        Ok(Self::results(receipts.len(), answer.failed))
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<EntryResults, QueueError> {
        let entries = changes.iter().enumerate().map(|(index, (receipt, timeout))| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&receipt.0)
                .visibility_timeout(whole_seconds(*timeout))
                .build()
                .expect("id and receipt handle are set")
        });
        let call = self
            .client
            .change_message_visibility_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.collect()));
        let answer = self.call("ChangeMessageVisibilityBatch", &self.url, call.send()).await?;
        Ok(Self::results(changes.len(), answer.failed))
    }

    async fn dead_letter(&self, url: &str, letter: &DeadLetter) -> Result<(), QueueError> {
        let attributes =
            letter.attributes.iter().map(|(name, value)| (name.clone(), to_sdk(value))).collect();
        let call = self
            .client
            .send_message()
            .queue_url(url)
            .message_body(&letter.body)
            .set_message_attributes(Some(attributes))
            .set_message_system_attributes(trace_attribute(letter));
        self.call("SendMessage", url, call.send()).await.map(drop)
    }
}

/// The URL of the queue that `arn` names, which lies beside the one at `url`: a dead-letter queue
/// must be in the account and region of its source
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html>).
fn beside(url: &str, arn: &str) -> Option<String> {
    let name = arn.rsplit(':').next().filter(|name| !name.is_empty())?;
    let (front, _) = url.rsplit_once('/')?;
    Some(format!("{front}/{name}"))
}

/// A message without a receipt handle could be neither settled nor kept: SQS never sends one.
fn message(raw: aws_sdk_sqs::types::Message, received_at: Instant) -> Option<Message> {
    let system = raw.attributes.unwrap_or_default();
    let number = |name| system.get(&name).and_then(|value| value.parse::<u64>().ok());
    let receives = number(MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or(1);
    Some(Message {
        id: raw.message_id.unwrap_or_default(),
        receipt: ReceiptHandle(raw.receipt_handle?),
        body: raw.body.unwrap_or_default(),
        receives: u32::try_from(receives).unwrap_or(u32::MAX),
        sent_at_ms: number(MessageSystemAttributeName::SentTimestamp),
        trace: system
            .get(&MessageSystemAttributeName::AwsTraceHeader)
            .and_then(|text| TraceHeader::parse(text)),
        attributes: raw
            .message_attributes
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name, from_sdk(value)))
            .collect(),
        received_at,
    })
}

/// The trace header of a message, as SQS accepts it; it does not count towards the message's size
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>).
fn trace_attribute(
    letter: &DeadLetter,
) -> Option<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>> {
    let header =
        MessageSystemAttributeValue::builder().data_type("String").string_value(letter.trace.as_ref()?);
    let header = header.build().expect("the data type is set");
    Some(HashMap::from([(MessageSystemAttributeNameForSends::AwsTraceHeader, header)]))
}

fn from_sdk(value: MessageAttributeValue) -> AttributeValue {
    let data_type = value.data_type;
    match value.binary_value {
        Some(bytes) => AttributeValue::Bytes { data_type, value: bytes.into_inner() },
        None => AttributeValue::Text { data_type, value: value.string_value.unwrap_or_default() },
    }
}

fn to_sdk(value: &AttributeValue) -> MessageAttributeValue {
    let builder = MessageAttributeValue::builder();
    let builder = match value {
        AttributeValue::Text { data_type, value } => builder.data_type(data_type).string_value(value),
        AttributeValue::Bytes { data_type, value } => {
            builder.data_type(data_type).binary_value(Blob::new(value.clone()))
        }
    };
    builder.build().expect("the data type is set")
}
