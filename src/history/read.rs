//! The reader trait: the calls to Step Functions, and how they can fail.
//!
//! Rate limits and retries are not here: they wrap a reader.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{HistoryEvent, Status};
use crate::aws::arn::{AccountRegion, ExecutionArn, MapRunArn};
use crate::aws::error::ErrorClass;
use crate::metrics::DegradedBy;

/// Asks Step Functions about executions. Every method is one call of the API.
#[async_trait]
pub trait ExecutionReader: Send + Sync {
    /// One page of an execution's history.
    async fn history_page(
        &self,
        execution: &ExecutionArn,
        page: &PageRequest,
    ) -> Result<HistoryPage, ReadError>;

    /// An execution's status, input and error.
    async fn describe_execution(&self, execution: &ExecutionArn) -> Result<ExecutionDescription, ReadError>;

    /// A Map run's status and counts.
    async fn describe_map_run(&self, map_run: &MapRunArn) -> Result<MapRunDescription, ReadError>;

    /// Children of a Map run that ended with this status, the newest first, at most `limit`.
    async fn children(
        &self,
        map_run: &MapRunArn,
        status: Status,
        limit: u32,
    ) -> Result<Vec<ExecutionArn>, ReadError>;

    /// When the last execution of a state machine that succeeded ended; `None` where none has.
    async fn last_success(&self, state_machine_arn: &str) -> Result<Option<Timestamp>, ReadError> {
        let call = Call { operation: "ListExecutions", target: state_machine_arn.to_owned() };
        Err(ReadError::new(ErrorClass::Unsupported, call, "this reader lists no executions"))
    }

    /// One page of the standard state machines of an account and region, by their ARNs.
    async fn state_machines(
        &self,
        place: &AccountRegion,
        _token: Option<&str>,
    ) -> Result<ListPage<String>, ReadError> {
        let call = Call { operation: "ListStateMachines", target: place.to_string() };
        Err(ReadError::new(ErrorClass::Unsupported, call, "this reader lists no state machines"))
    }

    /// One page of the executions of a state machine that have this status. AWS lists those first that ended
    /// last (Step Functions API, ListExecutions); emulators may have another order.
    async fn executions(
        &self,
        state_machine_arn: &str,
        _status: Status,
        _token: Option<&str>,
    ) -> Result<ListPage<ListedExecution>, ReadError> {
        let call = Call { operation: "ListExecutions", target: state_machine_arn.to_owned() };
        Err(ReadError::new(ErrorClass::Unsupported, call, "this reader lists no executions"))
    }
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The token of the next page; `None` on the last one.
    pub next_token: Option<String>,
}

/// An execution that has ended, as ListExecutions shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedExecution {
    /// Which execution.
    pub execution: ExecutionArn,
    /// Its state machine, without version and alias.
    pub state_machine_arn: String,
    /// How it ended.
    pub status: Status,
    /// How often it was redriven before that.
    pub redrive_count: u32,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended; after a redrive, when it ended last.
    pub stopped_at: Timestamp,
    /// The version of the state machine that it was started with.
    pub version_arn: Option<String>,
    /// The alias of the state machine that it was started with.
    pub alias_arn: Option<String>,
}

/// Which page of a history is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The newest events first.
    pub newest_first: bool,
    /// The most events that the page may hold: 1 to 1,000.
    pub max_results: u32,
    /// The token of this page, from the answer with the page before.
    pub token: Option<String>,
    /// The most bytes that the answer may have; a larger one is refused as
    /// [`ErrorClass::TooLarge`], before it is read where its length is known.
    pub max_bytes: u64,
}

/// A page of a history.
#[derive(Debug, Clone, Default)]
pub struct HistoryPage {
    /// Its events, in the order asked for.
    pub events: Vec<HistoryEvent>,
    /// The token of the next page; `None` on the last one.
    pub next_token: Option<String>,
    /// How many bytes the answer had.
    pub bytes: u64,
}

/// The answer of DescribeExecution.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExecutionDescription {
    /// Its status; `None` for an unknown one.
    pub status: Option<Status>,
    /// Its input, as JSON text.
    pub input: Option<String>,
    /// The error it ended with.
    pub error: Option<String>,
    /// That error's cause.
    pub cause: Option<String>,
    /// How often it was redriven.
    pub redrive_count: Option<u32>,
}

/// The answer of DescribeMapRun.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MapRunDescription {
    /// `FAILED`, `RUNNING` and the like, in the service's words.
    pub status: String,
    /// Its child executions, counted by status.
    pub children: ChildCounts,
    /// How many items might fail before the run does.
    pub tolerated_failure_count: i64,
    /// What share of the items might fail before the run does, from 0 to 100.
    pub tolerated_failure_percentage: f32,
}

/// A Map run's child executions, counted by status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the statuses")]
pub struct ChildCounts {
    pub pending: i64,
    pub running: i64,
    pub succeeded: i64,
    pub failed: i64,
    pub timed_out: i64,
    pub aborted: i64,
    pub total: i64,
}

/// A call that was made: its operation and its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `GetExecutionHistory` and the like.
    pub operation: &'static str,
    /// The ARN asked about.
    pub target: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.operation, self.target)
    }
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed.
#[derive(Debug)]
pub struct ReadError {
    class: ErrorClass,
    call: Call,
    source: Source,
    bytes: Option<u64>,
}

impl ReadError {
    /// A failed call of a class.
    pub fn new(class: ErrorClass, call: Call, source: impl Into<Source>) -> Self {
        Self { class, call, source: source.into(), bytes: None }
    }

    /// The answer has so many bytes.
    #[must_use]
    pub fn with_bytes(self, bytes: Option<u64>) -> Self {
        Self { bytes, ..self }
    }

    /// How many bytes the answer has, where it is known.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// The same in words.
    pub fn meaning(&self) -> &'static str {
        in_words(self.class)
    }

    /// What it means for the caller.
    pub fn class(&self) -> ErrorClass {
        self.class
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, call, .. } = self;
        write!(f, "{call}: {}", self.meaning())?;
        match class {
            ErrorClass::Denied => write!(f, "; the caller needs the permission states:{}", call.operation),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

/// The class in the words of somebody who wanted to read an execution.
fn in_words(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Gone => "it does not exist, or no longer (a history is kept for 90 days by default)",
        ErrorClass::Denied => "access denied",
        ErrorClass::Kms => "the key that encrypts it refused; the caller needs kms:Decrypt on it",
        ErrorClass::Invalid => "Step Functions rejects the request",
        ErrorClass::Unsupported => "Step Functions does not support this",
        ErrorClass::Throttled => "throttled by Step Functions",
        ErrorClass::Unavailable | ErrorClass::Unreachable => "no usable answer from Step Functions",
        ErrorClass::Credentials => "the AWS credentials are missing, wrong or expired",
        ErrorClass::Unparsable => "Step Functions answered, but the answer cannot be parsed",
        ErrorClass::TooLarge => "the answer is larger than the memory budget allows",
    }
}

impl From<&ReadError> for DegradedBy {
    fn from(error: &ReadError) -> Self {
        match error.class {
            ErrorClass::Gone => Self::Gone,
            ErrorClass::Denied => Self::Denied,
            ErrorClass::Kms => Self::Kms,
            ErrorClass::Invalid | ErrorClass::Unsupported => Self::Unsupported,
            ErrorClass::Throttled => Self::Throttled,
            ErrorClass::Unavailable | ErrorClass::Unreachable => Self::Unreachable,
            ErrorClass::Credentials => Self::Credentials,
            ErrorClass::Unparsable => Self::Unparsable,
            ErrorClass::TooLarge => Self::TooLarge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_call_and_keeps_its_source() {
        let call = Call { operation: "GetExecutionHistory", target: "arn:x".into() };
        let error = ReadError::new(ErrorClass::Denied, call, "no identity-based policy allows it");
        assert_eq!(
            error.to_string(),
            "GetExecutionHistory of arn:x: access denied; the caller needs the permission states:GetExecutionHistory"
        );
        assert_eq!(
            std::error::Error::source(&error).map(ToString::to_string).as_deref(),
            Some("no identity-based policy allows it")
        );
    }
}
