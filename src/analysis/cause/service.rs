//! What an AWS SDK says of a call that a service refused.
//!
//! Step Functions calls other services through the Java SDK, and the SDK ends its message with what
//! it knows of the answer: `(Service: S3, Status Code: 404, Request ID: …)` in version 2,
//! `(Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException; …)` in version 1,
//! now and then followed by `(SDK Attempt Count: 1)`.

use super::{CauseKind, ParsedCause};

/// The message without the SDK's bracket. `None` for a text that does not end in one.
pub(super) fn understand(error: Option<&str>, cause: &str) -> Option<ParsedCause> {
    let cause = cause.trim();
    // `DynamoDb.ResourceNotFoundException`: the service, then the type.
    let named = error.and_then(|error| error.split_once('.')).map(|(_, kind)| kind.to_owned());
    let Some(bracket) = bracket_at(cause) else {
        // No answer came at all: the SDK's own exception.
        let client_side = named.as_deref().is_some_and(|kind| kind.ends_with("SdkClientException"));
        return client_side.then(|| parsed(Some(cause), named));
    };
    let (message, rest) = cause.split_at(bracket);
    let labels = rest.trim_start_matches("(").split_once(')').map_or(rest, |(labels, _)| labels);
    let label = |name: &str| {
        let mut labels = labels.split([',', ';']).map(str::trim_start);
        labels.find_map(|label| label.strip_prefix(name)?.strip_prefix(": ")).filter(|value| *value != "null")
    };
    let message = message.trim_end();
    let error_type = label("Error Code").map(str::to_owned).or(named);
    if !message.is_empty() {
        return Some(parsed(Some(message), error_type));
    }
    let answer = match (label("Service"), label("Status Code")) {
        (Some(service), Some(status)) => Some(format!("{service} answered {status}")),
        _ => None,
    };
    Some(parsed(answer.as_deref(), error_type))
}

/// Where the SDK's bracket starts: the last one, with nothing but the count of attempts behind it.
fn bracket_at(cause: &str) -> Option<usize> {
    let at = cause.rfind("(Service: ")?;
    let (labels, rest) = cause.get(at..)?.split_once(')')?;
    let rest = rest.trim();
    let ends = rest.is_empty() || (rest.starts_with("(SDK Attempt Count: ") && rest.ends_with(')'));
    (ends && labels.contains("Status Code: ")).then_some(at)
}

fn parsed(message: Option<&str>, error_type: Option<String>) -> ParsedCause {
    let message = message.filter(|message| !message.is_empty()).map(str::to_owned);
    ParsedCause { kind: CauseKind::AwsSdk, message, error_type, stack: None }
}
