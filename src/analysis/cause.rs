//! Causes understood.
//!
//! The cause of an error is one string, and every integration puts something else into it: a Lambda
//! function its exception as JSON, ECS a whole task, an SDK a sentence with a bracket, a nested
//! execution its description, which may be cut off. [`understand`] takes out what a person wants to
//! read. It only reads the text: a cause that fits no known form stays text, and nothing is made up
//! for what is missing. Any string will do, of any size and nesting.

mod container;
mod json;
mod lambda;
mod nested;
mod partial;
#[cfg(test)]
mod samples;
mod service;
mod stack;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arn::ExecutionArn;
use partial::Fields;
pub(crate) use partial::unescape;

/// How many wrappings are taken off: JSON in a JSON string, a cause in a cause.
const MAX_WRAPPINGS: usize = 8;

/// What a cause says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParsedCause {
    /// Who wrote it.
    pub kind: CauseKind,
    /// The message for people, without ids and brackets.
    pub message: Option<String>,
    /// The type of the error as the failing program names it, where the cause tells.
    pub error_type: Option<String>,
    /// The stack trace in lines, as the program's language prints them.
    pub stack: Option<String>,
}

/// Whose words a cause is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// An error object of a Lambda function or of Lambda itself.
    Lambda,
    /// A message of an AWS SDK.
    AwsSdk,
    /// A stopped ECS task.
    Ecs,
    /// The description of a child execution.
    NestedExecution,
    /// JSON of another kind.
    Json,
    /// Anything else.
    Text,
}

/// Reads a cause. The error's name helps to tell some kinds apart.
pub fn understand(error: Option<&str>, cause: &str) -> ParsedCause {
    understand_within(MAX_WRAPPINGS, error, without_location(cause.trim()))
}

/// The child execution that a cause describes, if it does and the ARN is all there. ARNs inside the
/// child's input do not count.
pub fn child_execution(cause: &str) -> Option<ExecutionArn> {
    let mut text = cause.trim().to_owned();
    for _ in 0..MAX_WRAPPINGS {
        if let Some(unquoted) = unquoted(&text) {
            text = unquoted;
            continue;
        }
        let fields = Fields::read(&text)?;
        text = match rethrown(&fields) {
            Some(inner) => inner.trim().to_owned(),
            None => return nested::arn(&fields),
        };
    }
    None
}

fn understand_within(wrappings: usize, error: Option<&str>, cause: &str) -> ParsedCause {
    let cause = cause.trim();
    let Some(wrappings) = wrappings.checked_sub(1) else { return text(cause) };
    if let Some(unquoted) = unquoted(cause) {
        return understand_within(wrappings, error, &unquoted);
    }
    if let Some(payload) = lambda::untyped_payload(cause) {
        let inner = understand_within(wrappings, error, payload);
        return ParsedCause { kind: CauseKind::Lambda, ..inner };
    }
    if let Some(fields) = Fields::read(cause) {
        return understand_fields(wrappings, error, &fields);
    }
    if let Ok(Value::Array(list)) = serde_json::from_str(cause) {
        return json::understand_list(&list);
    }
    service::understand(error, cause).unwrap_or_else(|| text(cause))
}

fn understand_fields(wrappings: usize, error: Option<&str>, fields: &Fields) -> ParsedCause {
    if nested::is_child(error, fields) {
        let cause = fields.text("Cause").filter(|cause| !cause.trim().is_empty());
        let inner = cause.map(|cause| understand_within(wrappings, fields.text("Error"), cause));
        return nested::understand(fields, inner);
    }
    if lambda::is_error(fields) {
        return lambda::understand(fields);
    }
    if container::is_task(fields) {
        return container::understand(fields);
    }
    if let Some(cause) = rethrown(fields) {
        let inner = understand_within(wrappings, fields.text("Error"), cause);
        let error_type = inner.error_type.or_else(|| fields.text("Error").map(str::to_owned));
        return ParsedCause { error_type, ..inner };
    }
    json::understand(fields)
}

/// The cause inside a caught error that somebody threw on whole: `{"Error": …, "Cause": …}`.
fn rethrown(fields: &Fields) -> Option<&str> {
    let only_those = fields.values.keys().all(|key| key == "Error" || key == "Cause");
    if fields.complete && only_those { fields.text("Cause") } else { None }
}

/// The text inside a JSON string that holds JSON, cut off or not.
fn unquoted(cause: &str) -> Option<String> {
    let text = partial::string_so_far(cause)?;
    text.trim_start().starts_with(['{', '[', '"']).then_some(text)
}

/// A cause without `An error occurred while executing the state 'X' (entered at the event id #4). `,
/// which the report says in its own way.
fn without_location(cause: &str) -> &str {
    let Some(rest) = cause.strip_prefix("An error occurred while executing the state '") else {
        return cause;
    };
    let Some((_, rest)) = rest.split_once("' (entered at the event id #") else { return cause };
    match rest.split_once("). ") {
        Some((number, said)) if number.bytes().all(|byte| byte.is_ascii_digit()) => said,
        _ => cause,
    }
}

fn text(cause: &str) -> ParsedCause {
    let (message, error_type, stack) = match stack::in_text(cause) {
        Some((message, error_type, stack)) => (message, error_type, Some(stack)),
        None => (cause.to_owned(), None, None),
    };
    let message = (!message.is_empty()).then_some(message);
    ParsedCause { kind: CauseKind::Text, message, error_type, stack }
}
