//! SQS as a worker uses it: long polls that really wait, visibility that really ends, dead letters.
//!
//! Standard queues only. A message is received in the order in which it became visible, a receipt
//! handle is good until its message is received again, and after `maxReceiveCount` receives the
//! next one moves the message to the dead-letter queue, as on AWS.

mod queue;

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Answering, Operations, Refusal, Service, md5};
use queue::{Counts, Message, Queue};

const NOT_THERE: &str = "AWS.SimpleQueueService.NonExistentQueue";
const ACCOUNT: &str = "000000000000";

/// The largest message that a queue takes by default, in bytes.
const LARGEST: usize = 1_048_576;

/// The stand-in.
pub(crate) struct Sqs {
    service: Service,
    world: Arc<World>,
}

#[derive(Default)]
struct World {
    known: Mutex<Known>,
    /// Something may have become visible.
    changed: Notify,
}

#[derive(Default)]
struct Known {
    /// Where the service is, for the queues' addresses.
    url: String,
    queues: HashMap<String, Queue>,
    /// How many receipt handles and messages there were.
    numbers: u64,
    /// For each batch operation, how many entries are to fail, and how.
    failing_entries: HashMap<String, (usize, String)>,
}

impl Deref for Sqs {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl Sqs {
    pub(crate) async fn start() -> Self {
        let world = Arc::new(World::default());
        let service = Service::start(world.clone()).await;
        world.known().url = service.url().to_owned();
        Self { service, world }
    }

    /// The real client, pointed here, that tries each call once.
    pub(crate) fn client(&self) -> aws_sdk_sqs::Client {
        let credentials = aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "stub");
        let config = aws_sdk_sqs::Config::builder()
            .endpoint_url(self.url())
            .region(aws_sdk_sqs::config::Region::new("eu-west-1"))
            .credentials_provider(credentials)
            .retry_config(aws_sdk_sqs::config::retry::RetryConfig::disabled())
            .build();
        aws_sdk_sqs::Client::from_conf(config)
    }

    /// Makes a queue, and returns its address.
    pub(crate) fn queue(&self, name: &str, visibility: Duration) -> String {
        let mut known = self.world.known();
        let (messages, deleted) = (Vec::new(), Vec::new());
        let queue = Queue { messages, visibility, largest: LARGEST, dead_letters: None, deleted };
        known.queues.insert(name.to_owned(), queue);
        known.address(name)
    }

    /// What a queue's messages have been received so often without being deleted goes to another.
    pub(crate) fn dead_letters(&self, name: &str, to: &str, max_receives: u64) {
        let mut known = self.world.known();
        assert!(known.queues.contains_key(to), "{to} is not a queue");
        known.queue_mut(name).dead_letters = Some((to.to_owned(), max_receives));
    }

    /// A queue takes no message from now on that is larger than this, in bytes.
    pub(crate) fn set_largest(&self, name: &str, largest: usize) {
        self.world.known().queue_mut(name).largest = largest;
    }

    /// Puts a message into a queue, and returns its id.
    pub(crate) fn send(&self, name: &str, body: &str) -> String {
        let id = self.world.known().put(name, body, json!({}), Duration::ZERO);
        self.world.changed.notify_waiters();
        id
    }

    /// Puts a message into a queue whose sender was traced.
    pub(crate) fn send_traced(&self, name: &str, body: &str, header: &str) -> String {
        let id = {
            let mut known = self.world.known();
            let id = known.put(name, body, json!({}), Duration::ZERO);
            let sent = known.queue_mut(name).messages.last_mut().expect("it was just put there");
            sent.trace = Some(header.to_owned());
            id
        };
        self.world.changed.notify_waiters();
        id
    }

    /// The messages of a queue, visible or not.
    pub(crate) fn messages(&self, name: &str) -> Vec<Message> {
        self.world.known().queue_mut(name).messages.clone()
    }

    /// The ids of the messages that were deleted, in the order of their deletion.
    pub(crate) fn deleted(&self, name: &str) -> Vec<String> {
        self.world.known().queue_mut(name).deleted.clone()
    }

    pub(crate) fn counts(&self, name: &str) -> Counts {
        self.world.known().queue_mut(name).counts(Instant::now())
    }

    /// The next so many entries of a batch operation fail with a code, the others of the same batch
    /// do not.
    pub(crate) fn fail_entries(&self, operation: &str, entries: usize, code: &str) {
        self.world.known().failing_entries.insert(operation.to_owned(), (entries, code.to_owned()));
    }
}

impl World {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no test panics with the queues in hand")
    }

    async fn receive(&self, name: &str, arguments: &Value) -> Result<Value, Refusal> {
        let max = within(arguments, "MaxNumberOfMessages", 1, 1..=10)? as usize;
        let wait = within(arguments, "WaitTimeSeconds", 0, 0..=20)?;
        let deadline = Instant::now() + Duration::from_secs(wait);
        loop {
            // Asked for before looking, so that nothing sent in between is missed.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let next = {
                let mut known = self.known();
                let received = known.receive(name, arguments, max)?;
                if !received.is_empty() {
                    return Ok(json!({"Messages": received}));
                }
                known.queue_mut(name).next_visible()
            };
            let now = Instant::now();
            if now >= deadline {
                // SQS leaves the key out.
                return Ok(json!({}));
            }
            let until = next.map_or(deadline, |next| next.min(deadline));
            let _ = tokio::time::timeout_at(until, changed).await;
        }
    }
}

impl Operations for World {
    fn answer(self: Arc<Self>, operation: String, arguments: Value) -> Answering {
        Box::pin(async move {
            if operation == "GetQueueUrl" {
                let known = self.known();
                let name = arguments["QueueName"].as_str().unwrap_or_default();
                known.queues.get(name).ok_or_else(not_there)?;
                return Ok(json!({"QueueUrl": known.address(name)}));
            }
            let name = self.known().name(&arguments)?;
            if operation == "ReceiveMessage" {
                return self.receive(&name, &arguments).await;
            }
            let answer = self.known().change(&name, &operation, &arguments);
            self.changed.notify_waiters();
            answer
        })
    }
}

impl Known {
    fn address(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.url)
    }

    /// The queue that a call is about. Whatever host the address names, the path counts.
    fn name(&self, arguments: &Value) -> Result<String, Refusal> {
        let url = arguments["QueueUrl"].as_str().unwrap_or_default();
        let name = url.rsplit('/').next().unwrap_or_default();
        self.queues.contains_key(name).then(|| name.to_owned()).ok_or_else(not_there)
    }

    fn queue_mut(&mut self, name: &str) -> &mut Queue {
        self.queues.get_mut(name).unwrap_or_else(|| panic!("{name} is not a queue"))
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn change(&mut self, name: &str, operation: &str, arguments: &Value) -> Result<Value, Refusal> {
        match operation {
            "SendMessage" => self.send(name, arguments),
            "SendMessageBatch" => self.batch(operation, arguments, |known, entry| known.send(name, entry)),
            "DeleteMessage" => self.delete(name, arguments).map(|()| json!({})),
            "ChangeMessageVisibility" => self.change_visibility(name, arguments).map(|()| json!({})),
            "DeleteMessageBatch" => {
                self.batch(operation, arguments, |known, entry| known.delete(name, entry).map(|()| json!({})))
            }
            "ChangeMessageVisibilityBatch" => self.batch(operation, arguments, |known, entry| {
                known.change_visibility(name, entry).map(|()| json!({}))
            }),
            "GetQueueAttributes" => Ok(self.attributes(name, arguments)),
            other => Err(Refusal::new(400, "AWS.SimpleQueueService.UnsupportedOperation", other)),
        }
    }

    fn send(&mut self, name: &str, arguments: &Value) -> Result<Value, Refusal> {
        let body = arguments["MessageBody"].as_str().unwrap_or_default();
        if body.is_empty() {
            let what = "The request must contain the parameter MessageBody.";
            return Err(Refusal::new(400, "MissingParameter", what));
        }
        let (attributes, largest) = (&arguments["MessageAttributes"], self.queue_mut(name).largest);
        if body.len() + attributes_size(attributes) > largest {
            let what = format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {largest} bytes."
            );
            return Err(Refusal::new(400, "InvalidParameterValue", what));
        }
        let delay = Duration::from_secs(within(arguments, "DelaySeconds", 0, 0..=900)?);
        let id = self.put(name, body, attributes.clone(), delay);
        let trace = arguments["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"].as_str();
        self.queue_mut(name).messages.last_mut().expect("it was just put there").trace =
            trace.map(str::to_owned);
        Ok(json!({"MessageId": id, "MD5OfMessageBody": md5::hex(body.as_bytes())}))
    }

    fn put(&mut self, name: &str, body: &str, attributes: Value, delay: Duration) -> String {
        let id = format!("00000000-0000-4000-8000-{:012}", self.number());
        let message = Message {
            id: id.clone(),
            body: body.to_owned(),
            attributes,
            trace: None,
            receives: 0,
            visible_at: Instant::now() + delay,
            receipt: None,
            sent_ms: jiff::Timestamp::now().as_millisecond(),
            first_received_ms: None,
        };
        self.queue_mut(name).messages.push(message);
        id
    }

    fn receive(&mut self, name: &str, arguments: &Value, max: usize) -> Result<Vec<Value>, Refusal> {
        let now = Instant::now();
        self.bury(name, now);
        let default = self.queue_mut(name).visibility.as_secs();
        let visibility = Duration::from_secs(within(arguments, "VisibilityTimeout", default, 0..=43_200)?);
        let mut visible: Vec<usize> = (0..self.queue_mut(name).messages.len()).collect();
        let messages = &self.queue_mut(name).messages;
        visible.retain(|at| messages[*at].visible_at <= now);
        visible.sort_by_key(|at| messages[*at].visible_at);
        let mut received = Vec::new();
        for at in visible.into_iter().take(max) {
            let receipt = format!("receipt-{}", self.number());
            let message = &mut self.queue_mut(name).messages[at];
            message.receives += 1;
            message.visible_at = now + visibility;
            message.receipt = Some(receipt);
            message.first_received_ms.get_or_insert(jiff::Timestamp::now().as_millisecond());
            received.push(message.shown(arguments));
        }
        Ok(received)
    }

    /// Moves what was received too often to the dead-letter queue, as SQS does on the next receive.
    fn bury(&mut self, name: &str, now: Instant) {
        let queue = self.queue_mut(name);
        let Some((to, max)) = queue.dead_letters.clone() else { return };
        let is_dead = |message: &Message| message.visible_at <= now && message.receives >= max;
        let (dead, alive) = std::mem::take(&mut queue.messages).into_iter().partition(is_dead);
        queue.messages = alive;
        let dead: Vec<Message> = dead;
        self.queue_mut(&to)
            .messages
            .extend(dead.into_iter().map(|message| Message { receipt: None, ..message }));
    }

    fn delete(&mut self, name: &str, arguments: &Value) -> Result<(), Refusal> {
        let receipt = receipt(arguments)?;
        let queue = self.queue_mut(name);
        // A receipt whose message is gone, or was received again since, deletes nothing, and SQS does
        // not mind.
        if let Some(at) =
            queue.messages.iter().position(|message| message.receipt.as_deref() == Some(receipt))
        {
            let message = queue.messages.remove(at);
            queue.deleted.push(message.id);
        }
        Ok(())
    }

    fn change_visibility(&mut self, name: &str, arguments: &Value) -> Result<(), Refusal> {
        let receipt = receipt(arguments)?;
        let seconds = within(arguments, "VisibilityTimeout", 0, 0..=43_200)?;
        let now = Instant::now();
        let mut messages = self.queue_mut(name).messages.iter_mut();
        let message =
            messages.find(|message| message.receipt.as_deref() == Some(receipt) && message.visible_at > now);
        let message = message.ok_or_else(|| {
            let code = "AWS.SimpleQueueService.MessageNotInflight";
            Refusal::new(400, code, "The specified message isn't in flight.")
        })?;
        message.visible_at = now + Duration::from_secs(seconds);
        Ok(())
    }

    fn batch(
        &mut self,
        operation: &str,
        arguments: &Value,
        mut one: impl FnMut(&mut Self, &Value) -> Result<Value, Refusal>,
    ) -> Result<Value, Refusal> {
        let entries = arguments["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
        let refuse =
            |code: &str| Err(Refusal::new(400, &format!("AWS.SimpleQueueService.{code}"), "a faulty batch"));
        let mut ids: Vec<&str> = entries.iter().filter_map(|entry| entry["Id"].as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        match entries.len() {
            0 => return refuse("EmptyBatchRequest"),
            11.. => return refuse("TooManyEntriesInBatchRequest"),
            count if ids.len() < count => return refuse("BatchEntryIdsNotDistinct"),
            _ => {}
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            let planned = match self.failing_entries.get_mut(operation) {
                Some((left, code)) if *left > 0 => {
                    *left -= 1;
                    Err(Refusal::new(500, code, "planned by the test"))
                }
                _ => Ok(()),
            };
            match planned.and_then(|()| one(self, entry)) {
                Ok(mut said) => {
                    said["Id"] = entry["Id"].clone();
                    successful.push(said);
                }
                Err(refusal) => failed.push(json!({
                    "Id": entry["Id"], "Code": refusal.code, "Message": refusal.message,
                    "SenderFault": refusal.status < 500,
                })),
            }
        }
        Ok(json!({"Successful": successful, "Failed": failed}))
    }

    fn attributes(&mut self, name: &str, arguments: &Value) -> Value {
        let queue = self.queue_mut(name);
        let counts = queue.counts(Instant::now());
        let mut all = Map::new();
        let mut say = |name: &str, value: String| all.insert(name.to_owned(), json!(value));
        say("ApproximateNumberOfMessages", counts.visible.to_string());
        say("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string());
        say("ApproximateNumberOfMessagesDelayed", counts.delayed.to_string());
        say("VisibilityTimeout", queue.visibility.as_secs().to_string());
        say("MaximumMessageSize", queue.largest.to_string());
        say("QueueArn", arn(name));
        if let Some((to, max)) = &queue.dead_letters {
            let policy = json!({"deadLetterTargetArn": arn(to), "maxReceiveCount": max});
            say("RedrivePolicy", policy.to_string());
        }
        let wanted = arguments["AttributeNames"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.retain(|name, _| wanted.iter().any(|wanted| wanted == "All" || wanted == name.as_str()));
        json!({"Attributes": all})
    }
}

/// What a message's attributes count towards its size: names, types and values.
fn attributes_size(attributes: &Value) -> usize {
    let attributes = attributes.as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or(0, str::len);
    attributes.map(|(name, value)| name.len() + text(&value["DataType"]) + text(&value["StringValue"])).sum()
}

fn arn(name: &str) -> String {
    format!("arn:aws:sqs:eu-west-1:{ACCOUNT}:{name}")
}

fn not_there() -> Refusal {
    Refusal::new(400, NOT_THERE, "The specified queue does not exist.")
}

fn receipt(arguments: &Value) -> Result<&str, Refusal> {
    let receipt = arguments["ReceiptHandle"].as_str().unwrap_or_default();
    if receipt.starts_with("receipt-") {
        return Ok(receipt);
    }
    let message = format!("The input receipt handle \"{receipt}\" is not a valid receipt handle.");
    Err(Refusal::new(400, "ReceiptHandleIsInvalid", message))
}

fn within(
    arguments: &Value,
    key: &str,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, Refusal> {
    let value = match &arguments[key] {
        Value::Null => default,
        value => value.as_u64().unwrap_or(u64::MAX),
    };
    let message = || format!("Value {} for parameter {key} is invalid.", arguments[key]);
    range
        .contains(&value)
        .then_some(value)
        .ok_or_else(|| Refusal::new(400, "InvalidParameterValue", message()))
}

#[cfg(test)]
mod tests;
