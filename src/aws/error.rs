//! What a failed AWS call means for its caller: the only module that classifies AWS's error codes.

use std::error::Error;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use crate::metrics::{CallResult, RetryReason};
use crate::telemetry::chain;

/// What a failed call means for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// What was asked about does not exist, or no longer.
    Gone,
    /// The caller may not do this.
    Denied,
    /// It is encrypted with a key that refused.
    Kms,
    /// The service rejects what was asked: an ARN, a parameter, a message.
    Invalid,
    /// The service does not do this: an Express execution's history, an unknown operation.
    Unsupported,
    /// Too many calls at the moment.
    Throttled,
    /// The service answered that it cannot at the moment.
    Unavailable,
    /// No usable answer: a broken connection, a timeout, the answer of a proxy.
    Unreachable,
    /// The caller's own credentials are missing, wrong or expired.
    Credentials,
    /// The service answered with something that no client can parse. That says nothing about its
    /// other answers.
    Unparsable,
    /// The answer is larger than the request allows.
    TooLarge,
}

impl ErrorClass {
    /// The class of a call's error. An answer that is too large or cannot be parsed is only known to
    /// whoever reads it.
    pub fn of<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E>) -> Self {
        match error {
            SdkError::ServiceError(answer) => {
                Self::of_answer(answer.err().code(), answer.raw().status().as_u16())
            }
            // The SDK has no public type for credentials that it could not find; they come as a call
            // that could not be made, with their own words in its sources.
            SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) if names_credentials(error) => {
                Self::Credentials
            }
            _ => Self::Unreachable,
        }
    }

    /// The class of an answer by the error code in it, else by its HTTP status. Codes come with and
    /// without a namespace (`com.amazon.coral.availability#`, `AWS.SimpleQueueService.`) and the ending
    /// `Exception`. An answer without a code is not AWS's, but that of a proxy or of a wrong endpoint.
    pub fn of_answer(code: Option<&str>, http_status: u16) -> Self {
        let Some(code) = code else {
            return if http_status == 429 { Self::Throttled } else { Self::Unreachable };
        };
        let name = code.rsplit(['#', '.']).next().unwrap_or(code);
        let name = name.strip_suffix("Exception").unwrap_or(name);
        // Each service has a few of these, in letters of either case.
        if name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("kms")) {
            return if name.contains("Throttl") { Self::Throttled } else { Self::Kms };
        }
        match name {
            "ExecutionDoesNotExist"
            | "StateMachineDoesNotExist"
            | "ResourceNotFound"
            | "NotFound"
            | "NonExistentQueue"
            | "QueueDoesNotExist" => Self::Gone,
            "AccessDenied"
            | "UnauthorizedOperation"
            | "NotAuthorized"
            | "AuthorizationError"
            | "OptInRequired" => Self::Denied,
            "InvalidArn"
            | "Validation"
            | "ValidationError"
            | "InvalidParameter"
            | "InvalidParameterValue"
            | "ParameterValueInvalid"
            | "MessageRejected" => Self::Invalid,
            "StateMachineTypeNotSupported" | "UnknownOperation" => Self::Unsupported,
            "Throttling"
            | "Throttled"
            | "TooManyRequests"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RateExceeded"
            | "SlowDown"
            | "LimitExceeded"
            | "ProvisionedThroughputExceeded" => Self::Throttled,
            "ExpiredToken"
            | "UnrecognizedClient"
            | "InvalidClientTokenId"
            | "InvalidSignature"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "InvalidAccessKeyId"
            | "AuthFailure"
            | "RequestExpired" => Self::Credentials,
            // A page token that expired: reading from the start may work.
            "InvalidToken" => Self::Unavailable,
            "InternalError"
            | "InternalFailure"
            | "InternalServerError"
            | "ServiceUnavailable"
            | "RequestTimeout"
            // DynamoDB is still at another request for the same items.
            | "TransactionConflict"
            | "TransactionInProgress" => Self::Unavailable,
            _ => match http_status {
                401 => Self::Credentials,
                403 => Self::Denied,
                404 => Self::Gone,
                429 => Self::Throttled,
                400..500 if http_status != 408 => Self::Unsupported,
                _ => Self::Unavailable,
            },
        }
    }

    /// Whether the same call may work later, without a change to anything but the service, the network
    /// or the credentials.
    pub fn is_passing(self) -> bool {
        match self {
            Self::Throttled | Self::Unavailable | Self::Unreachable | Self::Credentials => true,
            Self::Gone
            | Self::Denied
            | Self::Kms
            | Self::Invalid
            | Self::Unsupported
            | Self::Unparsable
            | Self::TooLarge => false,
        }
    }
}

impl From<ErrorClass> for CallResult {
    fn from(class: ErrorClass) -> Self {
        match class {
            ErrorClass::Throttled => Self::Throttled,
            ErrorClass::Denied | ErrorClass::Kms => Self::Denied,
            _ => Self::Error,
        }
    }
}

impl From<ErrorClass> for RetryReason {
    fn from(class: ErrorClass) -> Self {
        match class {
            ErrorClass::Throttled => Self::Throttled,
            ErrorClass::Credentials => Self::Credentials,
            ErrorClass::Unreachable => Self::Unreachable,
            ErrorClass::Unavailable | ErrorClass::Unparsable | ErrorClass::TooLarge => Self::Unavailable,
            ErrorClass::Gone
            | ErrorClass::Denied
            | ErrorClass::Kms
            | ErrorClass::Invalid
            | ErrorClass::Unsupported => Self::Refused,
        }
    }
}

fn names_credentials(error: &(dyn Error + 'static)) -> bool {
    chain(error).to_lowercase().contains("credential")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_classed_by_their_code() {
        for (code, class) in [
            ("ExecutionDoesNotExist", ErrorClass::Gone),
            ("ResourceNotFound", ErrorClass::Gone),
            ("AWS.SimpleQueueService.NonExistentQueue", ErrorClass::Gone),
            ("QueueDoesNotExist", ErrorClass::Gone),
            ("NotFoundException", ErrorClass::Gone),
            ("AccessDeniedException", ErrorClass::Denied),
            ("AuthorizationError", ErrorClass::Denied),
            ("KmsAccessDeniedException", ErrorClass::Kms),
            ("KmsInvalidStateException", ErrorClass::Kms),
            ("KmsThrottlingException", ErrorClass::Throttled),
            ("KMSDisabledException", ErrorClass::Kms),
            ("InvalidArn", ErrorClass::Invalid),
            ("ValidationException", ErrorClass::Invalid),
            ("InvalidParameterException", ErrorClass::Invalid),
            ("MessageRejected", ErrorClass::Invalid),
            ("StateMachineTypeNotSupported", ErrorClass::Unsupported),
            ("ThrottlingException", ErrorClass::Throttled),
            ("com.amazon.coral.availability#ThrottlingException", ErrorClass::Throttled),
            ("TooManyRequestsException", ErrorClass::Throttled),
            ("RequestLimitExceeded", ErrorClass::Throttled),
            ("InvalidToken", ErrorClass::Unavailable),
            ("InternalFailure", ErrorClass::Unavailable),
            (
                "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
                ErrorClass::Throttled,
            ),
            ("TransactionInProgressException", ErrorClass::Unavailable),
            ("ExpiredTokenException", ErrorClass::Credentials),
            ("UnrecognizedClientException", ErrorClass::Credentials),
            ("InvalidSignatureException", ErrorClass::Credentials),
            ("MissingAuthenticationTokenException", ErrorClass::Credentials),
        ] {
            assert_eq!(ErrorClass::of_answer(Some(code), 400), class, "{code}");
        }
    }

    #[test]
    fn answers_without_a_known_code_are_classed_by_their_http_status() {
        for (status, class) in [
            (429, ErrorClass::Throttled),
            (401, ErrorClass::Credentials),
            (403, ErrorClass::Denied),
            (404, ErrorClass::Gone),
            (408, ErrorClass::Unavailable),
            (500, ErrorClass::Unavailable),
            (503, ErrorClass::Unavailable),
            (200, ErrorClass::Unavailable),
            (400, ErrorClass::Unsupported),
        ] {
            assert_eq!(ErrorClass::of_answer(Some("Novel"), status), class, "{status}");
        }
        for status in [400, 401, 403, 404, 500, 200] {
            assert_eq!(ErrorClass::of_answer(None, status), ErrorClass::Unreachable, "{status}");
        }
        assert_eq!(ErrorClass::of_answer(None, 429), ErrorClass::Throttled);
    }

    #[test]
    fn the_reason_of_a_retry_and_the_result_of_a_call_follow_from_the_class() {
        for (class, reason, result) in [
            (ErrorClass::Throttled, RetryReason::Throttled, CallResult::Throttled),
            (ErrorClass::Denied, RetryReason::Refused, CallResult::Denied),
            (ErrorClass::Kms, RetryReason::Refused, CallResult::Denied),
            (ErrorClass::Gone, RetryReason::Refused, CallResult::Error),
            (ErrorClass::Credentials, RetryReason::Credentials, CallResult::Error),
            (ErrorClass::Unreachable, RetryReason::Unreachable, CallResult::Error),
            (ErrorClass::Unavailable, RetryReason::Unavailable, CallResult::Error),
        ] {
            assert_eq!((RetryReason::from(class), CallResult::from(class)), (reason, result));
        }
    }
}
