//! What an error of AWS means for the notification and for the route.

use std::error::Error;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use super::NotifyError;
use crate::aws::error::ErrorClass;
use crate::telemetry::chain;

/// Judges an error of a channel through AWS. `settings` are words that AWS's message has where it
/// rejects the route's own settings, whatever the code: an address, a topic.
pub(super) fn classify<E>(call: &str, error: &SdkError<E>, settings: &[&str]) -> NotifyError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let message = error.message().unwrap_or_default();
    let what = match error.code() {
        Some(code) => format!("{call}: {code}: {message}"),
        None => format!("{call}: {}", chain(error)),
    };
    match ErrorClass::of(error) {
        ErrorClass::Throttled | ErrorClass::Unavailable | ErrorClass::Unreachable => {
            NotifyError::Transient { what, retry_after: None }
        }
        // The client renews credentials that expired.
        ErrorClass::Credentials if error.code().is_none_or(|code| code.contains("Expired")) => {
            NotifyError::Transient { what, retry_after: None }
        }
        ErrorClass::Invalid if !settings.iter().any(|word| message.contains(word)) => {
            NotifyError::Rejected { what }
        }
        _ => NotifyError::Misconfigured { what },
    }
}
