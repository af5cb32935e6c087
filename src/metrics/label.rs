//! The labels, and the values that they may have.

use tracing::{Span, debug_span};

use crate::telemetry::STAGES;

/// A label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) name: &'static str,
    pub(super) values: Values,
}

/// The possible values of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// One of these; anything else is counted as [`OTHER`].
    Listed(&'static [&'static str]),
    /// A name; what bounds the names.
    Named(&'static str),
}

/// What is counted for a value that is not listed.
pub(super) const OTHER: &str = "other";

const fn listed(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values: Values::Listed(values) }
}

const fn named(name: &'static str, bound: &'static str) -> Label {
    Label { name, values: Values::Named(bound) }
}

/// What becomes of a message.
pub(super) const OUTCOMES: &[&str] = &[
    "notified",
    "running",
    "succeeded",
    "unlisted",
    "folded-child",
    "unrouted",
    "released",
    "dead-lettered",
    "lease-lost",
    "panicked",
    OTHER,
];

/// The states of a message on a queue, as SQS counts them.
pub(super) const MESSAGE_STATES: &[&str] = &["visible", "in_flight", "delayed"];

pub(super) const OUTCOME: Label = listed("outcome", OUTCOMES);
pub(super) const STAGE: Label = listed("stage", Stage::NAMES);
pub(super) const RETRIED_OPERATION: Label = listed("stage", RetriedOperation::NAMES);
pub(super) const RETRY_REASON: Label = listed("reason", RetryReason::NAMES);
pub(super) const SERVICE: Label = listed("service", Service::NAMES);
pub(super) const OPERATION: Label = named("operation", "the API's operations that misstep calls");
pub(super) const RESULT: Label = listed("result", CallResult::NAMES);
pub(super) const ROUTE: Label = named("route", "the routes of the configuration");
pub(super) const NOTIFICATION_RESULT: Label = listed("result", SendResult::NAMES);
pub(super) const BREAKER: Label =
    named("breaker", "`step-functions` and the required routes of the configuration");
pub(super) const DEAD_LETTER_REASON: Label = named(
    "reason",
    "the attribute `misstep.reason` of the message there, such as `not-understood` and `rejected`",
);
pub(super) const MESSAGE_STATE: Label = listed("state", MESSAGE_STATES);
pub(super) const REPORT_KIND: Label = listed("kind", &[FULL, DEGRADED]);
pub(super) const REPORT_REASON: Label = listed("reason", REPORT_REASONS);
pub(super) const INCIDENT_KIND: Label = listed("kind", &["alert", "update", "resolved"]);
pub(super) const VERSION: Label = named("version", "one");

/// The kind of a report on a history that was read.
pub(super) const FULL: &str = "full";
/// The kind of a report on the event alone.
pub(super) const DEGRADED: &str = "degraded";
/// The reason of a full report, which needs none.
pub(super) const NO_REASON: &str = "none";

const REPORT_REASONS: &[&str] = &{
    let mut reasons = [NO_REASON; 1 + DegradedBy::NAMES.len()];
    let mut index = 0;
    while index < DegradedBy::NAMES.len() {
        reasons[index + 1] = DegradedBy::NAMES[index];
        index += 1;
    }
    reasons
};

/// An enum whose variants are the values of a label.
macro_rules! values {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// All values.
            pub(super) const NAMES: &[&str] = &[$($value,)+];

            /// The label's value.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $value,)+ }
            }
        }
    };
}

values! {
    /// A part of the work on a message.
    Stage {
        /// The history is read and analysed.
        Analyse = "analyse",
        /// Notifications are delivered.
        Notify = "notify",
        /// The message is deleted, released or dead-lettered.
        Settle = "settle",
    }
}

values! {
    /// What is tried again.
    RetriedOperation {
        /// A poll for messages.
        Poll = "poll",
        /// A reading of a history, or of what belongs to it.
        History = "history",
        /// A notification.
        Notify = "notify",
        /// A delete, a visibility change, or a message for the dead-letter queue.
        Settle = "settle",
    }
}

values! {
    /// Why something is tried again.
    RetryReason {
        /// Too many calls of AWS.
        Throttled = "throttled",
        /// No usable answer: a broken connection, a timeout.
        Unreachable = "unreachable",
        /// AWS answered that it cannot at the moment.
        Unavailable = "unavailable",
        /// Not allowed, or not there.
        Refused = "refused",
        /// Credentials are missing, wrong or expired.
        Credentials = "credentials",
        /// The history does not show the end yet.
        NotEnded = "not-ended",
        /// A route did not accept a notification for now: busy, broken, or unreachable.
        Transient = "transient",
        /// A route's address or credentials are wrong.
        Misconfigured = "misconfigured",
        /// One entry of a batch failed.
        Entry = "entry",
    }
}

values! {
    /// A service of AWS.
    Service {
        /// Amazon SQS.
        Sqs = "sqs",
        /// AWS Step Functions.
        Sfn = "sfn",
        /// Amazon CloudWatch Logs.
        Logs = "logs",
        /// Amazon SNS.
        Sns = "sns",
        /// Amazon SES.
        Ses = "ses",
        /// Amazon DynamoDB.
        Dynamodb = "dynamodb",
    }
}

values! {
    /// What a call of AWS came to.
    CallResult {
        /// It was answered.
        Ok = "ok",
        /// It was one too many.
        Throttled = "throttled",
        /// The caller may not make it, or not use the key that it needs; told apart for Step Functions only.
        Denied = "denied",
        /// Anything else.
        Error = "error",
    }
}

values! {
    /// Why a report rests on the event alone.
    DegradedBy {
        /// The execution does not exist, or no longer.
        Gone = "gone",
        /// The worker may not read it.
        Denied = "denied",
        /// The key that encrypts it refused.
        Kms = "kms",
        /// Step Functions rejects the question.
        Unsupported = "unsupported",
        /// It is an Express execution, which has no history to read.
        Express = "express",
        /// The history did not show the end of the execution in time.
        NotEnded = "not-ended",
        /// Step Functions throttled the calls up to the last receive of the message.
        Throttled = "throttled",
        /// Step Functions gave no usable answer up to the last receive of the message.
        Unreachable = "unreachable",
        /// AWS refused the credentials up to the last receive of the message.
        Credentials = "credentials",
        /// Step Functions answered with something that no client can parse.
        Unparsable = "unparsable",
        /// The answer is larger than the worker's limit.
        TooLarge = "too-large",
    }
}

values! {
    /// What a route made of an attempt at a notification.
    SendResult {
        /// It accepted the notification.
        Accepted = "accepted",
        /// Not now.
        Transient = "transient",
        /// Never this one.
        Rejected = "rejected",
        /// The route's address or credentials are wrong.
        Misconfigured = "misconfigured",
        /// An optional route that was given up.
        Dropped = "dropped",
    }
}

impl Stage {
    /// The span of the stage, within the message's.
    pub(super) fn span(self) -> Span {
        match self {
            Self::Analyse => debug_span!(target: STAGES, "analyse"),
            Self::Notify => debug_span!(target: STAGES, "notify"),
            Self::Settle => debug_span!(target: STAGES, "settle"),
        }
    }

    /// The field of the message's span that holds its duration.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Analyse => "analyse_ms",
            Self::Notify => "notify_ms",
            Self::Settle => "settle_ms",
        }
    }
}
