//! What the channels through AWS have in common: how calls are bounded, and what errors mean.

use std::error::Error;
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use super::NotifyError;
use crate::metrics::{CallResult, Metrics, RetryReason, Service};
use crate::telemetry::chain;

/// Codes of errors that may pass: AWS is busy or broken, or credentials are being renewed.
const PASSING: &[&str] = &[
    "Throttl",
    "TooManyRequests",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
    "RequestTimeout",
    "RequestExpired",
    "ExpiredToken",
    "LimitExceeded",
];

/// Codes of errors that this very notification meets.
const REJECTED: &[&str] =
    &["InvalidParameter", "ParameterValueInvalid", "ValidationError", "MessageRejected"];

/// No retries by the client: each attempt is one call.
pub(super) fn no_retries() -> RetryConfig {
    RetryConfig::disabled()
}

/// Bounds one attempt.
pub(super) fn bounded_by(timeout: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3).min(timeout))
        .operation_attempt_timeout(timeout)
        .operation_timeout(timeout)
        .build()
}

/// Counts the calls of one service, once it is known where.
#[derive(Debug)]
pub(super) struct Calls {
    service: Service,
    metrics: OnceLock<Metrics>,
}

impl Calls {
    pub(super) fn of(service: Service) -> Self {
        Self { service, metrics: OnceLock::new() }
    }

    pub(super) fn measured_by(&self, metrics: &Metrics) {
        let _only_the_first = self.metrics.set(metrics.clone());
    }

    /// Makes a call, and counts it.
    pub(super) async fn counted<T, E: ProvideErrorMetadata>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, SdkError<E>> {
        let answer = call.await;
        if let Some(metrics) = self.metrics.get() {
            let result = match &answer {
                Ok(_) => CallResult::Ok,
                Err(error) => RetryReason::of_code(error.code()).into(),
            };
            metrics.aws_call(self.service, operation, result);
        }
        answer
    }
}

/// What an error means for the message and for the route. `about` is part of what AWS says where the
/// fault lies in the route's own settings, whatever the code.
pub(super) fn judge<E>(what: &str, error: &SdkError<E>, about: &[&str]) -> NotifyError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let server_error = error.raw_response().is_some_and(|response| response.status().is_server_error());
    let Some(code) = error.code().filter(|_| !server_error) else {
        return NotifyError::Transient { what: format!("{what}: {}", chain(error)), retry_after: None };
    };
    let message = error.message().unwrap_or_default();
    let what = format!("{what}: {code}: {message}");
    let is = |codes: &[&str]| codes.iter().any(|known| code.contains(known));
    if is(PASSING) {
        NotifyError::Transient { what, retry_after: None }
    } else if is(REJECTED) && !about.iter().any(|about| message.contains(about)) {
        NotifyError::Rejected { what }
    } else {
        NotifyError::Misconfigured { what }
    }
}
