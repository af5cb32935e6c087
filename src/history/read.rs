//! The reading seam: what misstep asks Step Functions, and how such a question can fail.
//!
//! Limits on the rate of calls and retries are not here: whoever needs them wraps a reader.

use std::fmt;

use async_trait::async_trait;

use super::{HistoryEvent, Status};
use crate::arn::{ExecutionArn, MapRunArn};

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
}

/// Which page of a history is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The newest events first.
    pub newest_first: bool,
    /// The most events that the page may hold: 1 to 1,000.
    pub max_results: u32,
    /// Where the last page said that the next one begins.
    pub token: Option<String>,
    /// The most bytes that the answer may have; a larger one is refused as
    /// [`ReadClass::TooLarge`], before it is read where its length is known.
    pub max_bytes: u64,
}

/// A page of a history.
#[derive(Debug, Clone, Default)]
pub struct HistoryPage {
    /// Its events, in the order asked for.
    pub events: Vec<HistoryEvent>,
    /// Where the next page begins; `None` on the last one.
    pub next_token: Option<String>,
    /// How many bytes the answer had.
    pub bytes: u64,
}

/// What Step Functions says about an execution without its history.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExecutionDescription {
    /// How it stands or ended; `None` for a status that is not known.
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

/// What Step Functions says about a Map run.
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

/// A call that was made: the API's name of it, and about what.
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

/// What a failed call means for whoever made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadClass {
    /// What was asked about does not exist, or no longer.
    Gone,
    /// The caller may not read it.
    Denied,
    /// It is encrypted with a key that refused.
    Kms,
    /// It cannot be asked: an Express execution, an ARN that the service rejects.
    Unsupported,
    /// Too many calls at the moment.
    Throttled,
    /// No usable answer: the service or the way to it is broken at the moment.
    Unreachable,
    /// The caller's own credentials are missing, wrong or expired.
    Credentials,
    /// The service answered this question with something that no client can parse. That says
    /// nothing about its other answers.
    Unparsable,
    /// The answer is larger than the request allows.
    TooLarge,
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call brought no answer.
#[derive(Debug)]
pub struct ReadError {
    class: ReadClass,
    call: Call,
    source: Source,
    bytes: Option<u64>,
}

impl ReadError {
    /// A failed call of a class.
    pub fn new(class: ReadClass, call: Call, source: impl Into<Source>) -> Self {
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

    /// What it means for whoever made the call.
    pub fn class(&self) -> ReadClass {
        self.class
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, call, .. } = self;
        write!(f, "{call}: {class}")?;
        match class {
            ReadClass::Denied => write!(f, "; the caller needs the permission states:{}", call.operation),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

impl fmt::Display for ReadClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "it does not exist, or no longer (a history is kept for 90 days by default)",
            Self::Denied => "access denied",
            Self::Kms => "the key that encrypts it refused; the caller needs kms:Decrypt on it",
            Self::Unsupported => "Step Functions does not support this",
            Self::Throttled => "throttled by Step Functions",
            Self::Unreachable => "no usable answer from Step Functions",
            Self::Credentials => "the AWS credentials are missing, wrong or expired",
            Self::Unparsable => "Step Functions answered, but the answer cannot be parsed",
            Self::TooLarge => "the answer is larger than the memory budget allows",
        })
    }
}

impl ReadClass {
    /// Whether the same question may be answered later, without a change to anything but the
    /// service, the network or the credentials.
    pub fn is_passing(self) -> bool {
        match self {
            Self::Throttled | Self::Unreachable | Self::Credentials => true,
            Self::Gone | Self::Denied | Self::Kms | Self::Unsupported | Self::Unparsable | Self::TooLarge => {
                false
            }
        }
    }

    /// The class of an answer by the error code in it, else by its HTTP status. Throttling is not
    /// a modelled exception of Step Functions, so nothing but its code tells it apart. An answer
    /// without a code is not AWS's, but that of a proxy or of a wrong endpoint: it says nothing of
    /// the execution.
    pub fn of_answer(code: Option<&str>, http_status: u16) -> Self {
        let Some(code) = code else {
            return if http_status == 429 { Self::Throttled } else { Self::Unreachable };
        };
        // Some front ends write the code with a namespace before it.
        match code.rsplit('#').next().unwrap_or(code) {
            "ExecutionDoesNotExist"
            | "StateMachineDoesNotExist"
            | "ResourceNotFound"
            | "ResourceNotFoundException" => Self::Gone,
            "KmsThrottlingException" => Self::Throttled,
            "KmsAccessDeniedException" | "KmsInvalidStateException" => Self::Kms,
            "AccessDenied"
            | "AccessDeniedException"
            | "UnauthorizedOperation"
            | "NotAuthorized"
            | "AuthorizationError"
            | "OptInRequired" => Self::Denied,
            "InvalidArn"
            | "StateMachineTypeNotSupported"
            | "ValidationException"
            | "ValidationError"
            | "UnknownOperationException" => Self::Unsupported,
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "TooManyRequests"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RateExceeded"
            | "SlowDown"
            | "LimitExceededException" => Self::Throttled,
            "ExpiredToken"
            | "ExpiredTokenException"
            | "UnrecognizedClientException"
            | "UnrecognizedClient"
            | "InvalidClientTokenId"
            | "InvalidSignature"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "InvalidAccessKeyId"
            | "AuthFailure"
            | "RequestExpired" => Self::Credentials,
            // A page token that expired: reading from the start may work.
            "InvalidToken" => Self::Unreachable,
            _ => match http_status {
                401 => Self::Credentials,
                403 => Self::Denied,
                404 => Self::Gone,
                429 => Self::Throttled,
                400..500 if http_status != 408 => Self::Unsupported,
                _ => Self::Unreachable,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_classed_by_their_code() {
        for (code, class) in [
            ("ExecutionDoesNotExist", ReadClass::Gone),
            ("ResourceNotFound", ReadClass::Gone),
            ("AccessDeniedException", ReadClass::Denied),
            ("KmsAccessDeniedException", ReadClass::Kms),
            ("KmsInvalidStateException", ReadClass::Kms),
            ("KmsThrottlingException", ReadClass::Throttled),
            ("InvalidArn", ReadClass::Unsupported),
            ("StateMachineTypeNotSupported", ReadClass::Unsupported),
            ("ThrottlingException", ReadClass::Throttled),
            ("com.amazon.coral.availability#ThrottlingException", ReadClass::Throttled),
            ("TooManyRequestsException", ReadClass::Throttled),
            ("RequestLimitExceeded", ReadClass::Throttled),
            ("InvalidToken", ReadClass::Unreachable),
            ("ExpiredTokenException", ReadClass::Credentials),
            ("UnrecognizedClientException", ReadClass::Credentials),
            ("InvalidSignatureException", ReadClass::Credentials),
            ("MissingAuthenticationTokenException", ReadClass::Credentials),
        ] {
            assert_eq!(ReadClass::of_answer(Some(code), 400), class, "{code}");
        }
    }

    #[test]
    fn answers_without_a_known_code_are_classed_by_their_http_status() {
        for (status, class) in [
            (429, ReadClass::Throttled),
            (403, ReadClass::Denied),
            (408, ReadClass::Unreachable),
            (500, ReadClass::Unreachable),
            (503, ReadClass::Unreachable),
            (200, ReadClass::Unreachable),
            (400, ReadClass::Unsupported),
        ] {
            assert_eq!(ReadClass::of_answer(Some("Novel"), status), class, "{status}");
        }
        for status in [400, 401, 403, 404, 500, 200] {
            assert_eq!(ReadClass::of_answer(None, status), ReadClass::Unreachable, "{status}");
        }
        assert_eq!(ReadClass::of_answer(None, 429), ReadClass::Throttled);
    }

    #[test]
    fn an_error_says_what_was_asked_and_keeps_its_source() {
        let call = Call { operation: "GetExecutionHistory", target: "arn:x".into() };
        let error = ReadError::new(ReadClass::Denied, call, "no identity-based policy allows it");
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
