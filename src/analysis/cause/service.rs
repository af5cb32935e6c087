//! An AWS SDK's message for a call that a service refused.
//!
//! Step Functions calls other services through the Java SDK, and the SDK ends its message with what
//! it knows of the answer: `(Service: S3, Status Code: 404, Request ID: …)` in version 2,
//! `(Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException; …)` in version 1,
//! now and then followed by `(SDK Attempt Count: 1)`, or with that inside. A function that calls a
//! service passes such messages on.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::field::meaningful;
use super::{CauseContext, CauseKind, ParsedCause};

/// What the SDK adds to a message, and that S3 says its extended id once more.
static ORNAMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"\s*\((?:(?<labels>Service: [^()]*Status Code: [^()]*)|SDK Attempt Count: \d+)\)(?:, S3 Extended Request ID: \S+)?",
    )
    .expect("a constant, met by the tests")
});

/// A message without what the SDK adds to it.
pub(super) fn without_ornament(message: &str) -> Cow<'_, str> {
    ORNAMENT.replace_all(message, "")
}

/// The message of an SDK. `None` for a text that does not end in its bracket and is not said to be
/// one by the integration or the error.
pub(super) fn understand(reading: CauseContext<'_>, cause: &str) -> Option<ParsedCause> {
    let cause = cause.trim();
    // `DynamoDb.ResourceNotFoundException`: the service, then the type.
    let named = reading.error.and_then(|error| error.split_once('.'));
    let named = named.filter(|(service, _)| *service != "States").map(|(_, kind)| kind.to_owned());
    let labels = ORNAMENT.captures_iter(cause).find_map(|ornament| ornament.name("labels"));
    let is_ending = ORNAMENT.find_iter(cause).last().is_some_and(|last| last.end() == cause.len());
    // No answer came at all: the SDK's own exception.
    let client_side = named.as_deref().is_some_and(|kind| kind.ends_with("SdkClientException"));
    let said_by_history = named.is_some() && reading.called.is_some_and(super::Called::is_sdk);
    if !(labels.is_some() && is_ending || client_side || said_by_history) {
        return None;
    }
    let label = |name: &str| {
        let mut labels = labels?.as_str().split([',', ';']).map(str::trim_start);
        let value = labels.find_map(|label| label.strip_prefix(name)?.strip_prefix(": "))?;
        meaningful(value)
    };
    let message = without_ornament(cause);
    let message = meaningful(&message).map(str::to_owned).or_else(|| {
        let (service, status) = label("Service").zip(label("Status Code"))?;
        Some(format!("{service} answered {status}"))
    });
    let error_type = label("Error Code").map(str::to_owned).or(named);
    Some(ParsedCause::says(CauseKind::AwsSdk, message, error_type))
}
