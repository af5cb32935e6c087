//! The queue and its dead-letter queue.

use std::time::Duration;

use super::{CheckResult, unanswered};
use crate::aws::error::ErrorClass;
use crate::queue::sqs::SqsQueue;
use crate::queue::{Queue as _, QueueAttributes, QueueCounts, QueueError, ReceiptHandle};
use crate::telemetry::chain;

/// A visibility timeout below this is renewed so often that a short hiccup of SQS loses the lease: it
/// is renewed at its half, and one call may take ten seconds.
const SHORT: Duration = Duration::from_secs(30);

/// Beyond this, a worker's sudden end delays its messages for longer than people expect to wait.
const LONG: Duration = Duration::from_secs(3_600);

/// Fewer receives than this bring a message to the dead-letter queue after a hiccup or two.
const FEW_RECEIVES: u32 = 3;

/// No message has this receipt handle.
const NOTHING: &str = "misstep-check";

/// Looks at the queue at `url` and at its dead-letter queue, `dlq_url` where the settings name one.
/// `beside` makes a queue of another URL.
pub async fn check(
    queue: &SqsQueue,
    url: &str,
    dlq_url: Option<&str>,
    beside: impl Fn(&str) -> SqsQueue,
) -> Vec<CheckResult> {
    let (attributes, counts) = match (queue.attributes().await, queue.counts().await) {
        (Ok(attributes), Ok(counts)) => (attributes, counts),
        (Err(error), _) | (_, Err(error)) => return vec![unreadable("queue", &error, "MISSTEP_QUEUE_URL")],
    };
    let mut findings = vec![CheckResult::ok("queue", format!("{url} holds {}", held(counts)))];
    findings.push(deleting(queue).await);
    findings.push(CheckResult::ok(
        "receiving",
        "not tried, since it would count as a receive; needs sqs:ReceiveMessage",
    ));
    findings.push(CheckResult::ok(
        "burying",
        "not tried, since it would send a message; needs sqs:SendMessage on the dead-letter queue, and the queues' key",
    ));
    findings.push(visibility(attributes.visibility_timeout));
    findings.extend(dead_letters(queue, &attributes, dlq_url, beside).await);
    findings
}

/// Deleting and changing the visibility of a message that there is not.
async fn deleting(queue: &SqsQueue) -> CheckResult {
    let nothing = ReceiptHandle(NOTHING.to_owned());
    let deleted = queue.delete(std::slice::from_ref(&nothing)).await.map(drop);
    let changed = queue.change_visibility(&[(nothing, Duration::ZERO)]).await.map(drop);
    match deleted.and(changed) {
        Ok(()) => CheckResult::ok("settling", "messages may be deleted and released"),
        Err(error) => CheckResult::fail(
            "settling",
            chain(&error),
            "allow sqs:DeleteMessage and sqs:ChangeMessageVisibility on the queue",
        ),
    }
}

fn visibility(timeout: Duration) -> CheckResult {
    let found = format!(
        "{} s, renewed every {} s while a message is in hand",
        timeout.as_secs(),
        timeout.as_secs() / 2
    );
    match timeout {
        timeout if timeout.is_zero() => CheckResult::fail(
            "visibility",
            "0 s: every message would be handed out again at once",
            "set the queue's visibility timeout to 120 s",
        ),
        timeout if timeout < SHORT => CheckResult::warn(
            "visibility",
            found,
            "set the queue's visibility timeout to 30 s or more; 120 s is usual",
        ),
        timeout if timeout > LONG => CheckResult::warn(
            "visibility",
            format!("{found}; where a worker dies, its messages wait for all of that"),
            "set the queue's visibility timeout to 120 s: it is renewed for as long as the work takes",
        ),
        _ => CheckResult::ok("visibility", found),
    }
}

async fn dead_letters(
    queue: &SqsQueue,
    attributes: &QueueAttributes,
    dlq_url: Option<&str>,
    beside: impl Fn(&str) -> SqsQueue,
) -> Vec<CheckResult> {
    let mut findings = Vec::new();
    match (attributes.max_receive_count, &attributes.dead_letter_url) {
        (Some(count), Some(_)) if count < FEW_RECEIVES => findings.push(CheckResult::warn(
            "redrive",
            format!("a message goes to the dead-letter queue after {count} receives"),
            "set maxReceiveCount to 3 to 5",
        )),
        (Some(count), Some(_)) => {
            findings
                .push(CheckResult::ok("redrive", format!("after {count} receives to the dead-letter queue")));
        }
        _ => findings.push(CheckResult::warn(
            "redrive",
            "the queue has no redrive policy: a message that can never be delivered comes back until it expires",
            "give the queue a dead-letter queue, with a maxReceiveCount of 3 to 5",
        )),
    }
    if let (Some(set), Some(redrive)) = (dlq_url, attributes.dead_letter_url.as_deref())
        && account_and_name(set) != account_and_name(redrive)
    {
        findings.push(CheckResult::warn(
            "redrive",
            format!("the queue's redrive policy leads to {redrive}, and MISSTEP_DLQ_URL is {set}"),
            "leave MISSTEP_DLQ_URL out, unless two dead-letter queues are wanted",
        ));
    }
    let Some(url) = dlq_url.or(attributes.dead_letter_url.as_deref()) else { return findings };
    let dlq = beside(url);
    match dlq.counts().await {
        Ok(counts) if counts.is_empty() => {
            findings.push(CheckResult::ok("dead letters", format!("{url} holds nothing")))
        }
        Ok(counts) => findings.push(CheckResult::warn(
            "dead letters",
            format!("{url} holds {}", held(counts)),
            "see `misstep dlq list`",
        )),
        Err(error) => {
            findings.push(unreadable("dead letters", &error, "MISSTEP_DLQ_URL and the redrive policy"));
            return findings;
        }
    }
    let largest_dead = dlq.attributes().await.ok().and_then(|attributes| attributes.largest_message);
    if let (Some(largest), Some(largest_dead)) = (attributes.largest_message, largest_dead)
        && largest_dead < largest
    {
        findings.push(CheckResult::warn(
            "message size",
            format!("the queue accepts {largest} bytes, the dead-letter queue {largest_dead}"),
            "give both the same MaximumMessageSize; a larger message is cut when it is dead-lettered",
        ));
    }
    if let (Ok(Some(kept)), Ok(Some(dead))) = (queue.retention().await, dlq.retention().await) {
        let days = |time: Duration| format!("{:.1} days", time.as_secs_f64() / 86_400.0);
        let found = format!("{} in the queue, {} in the dead-letter queue", days(kept), days(dead));
        findings.push(if dead > kept {
            CheckResult::ok("retention", found)
        } else {
            // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
            CheckResult::warn(
                "retention",
                format!("{found}, where a message keeps the age that it came with"),
                "set the dead-letter queue's retention to 14 days, longer than the queue's",
            )
        });
    }
    findings
}

/// What tells two queues of a region apart, whatever host they are reached by.
fn account_and_name(url: &str) -> Vec<&str> {
    url.rsplit('/').take(2).collect()
}

fn held(QueueCounts { visible, in_flight, delayed }: QueueCounts) -> String {
    format!("{visible} visible, {in_flight} in flight, {delayed} delayed")
}

fn unreadable(check: &str, error: &QueueError, setting: &str) -> CheckResult {
    let advice = match error.class() {
        ErrorClass::Denied => format!("allow sqs:GetQueueAttributes on what {setting} names"),
        ErrorClass::Credentials => unanswered(ErrorClass::Credentials).to_owned(),
        _ if error.is_refusal() => format!("check {setting} and the region"),
        class => format!("{}, and {setting}", unanswered(class)),
    };
    CheckResult::fail(check, chain(error), advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn a_visibility_timeout_is_judged_with_numbers() {
        let verdict = |secs| visibility(Duration::from_secs(secs)).verdict;
        assert_eq!([0, 10, 30, 3_600].map(verdict), [Verdict::Fail, Verdict::Warn, Verdict::Ok, Verdict::Ok]);
        assert_eq!(verdict(43_200), Verdict::Warn);
        assert!(visibility(Duration::from_secs(120)).found.contains("120 s, renewed every 60 s"));
    }
}
