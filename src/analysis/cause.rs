//! Causes understood.
//!
//! The cause of an error is one string, and every integration puts something else into it: a Lambda
//! function its exception as JSON, ECS a whole task, an SDK a sentence with a bracket, a nested
//! execution its description, which may be cut off. [`understand`] extracts the part for people.
//! Structure comes first: JSON and printed Python dictionaries are opened down to the
//! innermost message, and only that is read as text. A cause of an unknown form stays text, and
//! missing parts stay missing. It accepts any string, of any size and nesting.

#[cfg(test)]
mod answers;
mod called;
mod container;
mod field;
mod json;
mod kubernetes;
mod lambda;
mod markup;
mod nested;
mod partial;
mod python;
mod reader;
mod readers;
#[cfg(test)]
mod samples;
mod sentence;
mod service;
mod services;
mod stack;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aws::arn::ExecutionArn;
use crate::history::file::lenient_text;
pub use called::Called;
use field::meaningful;
use partial::Fields;
pub use reader::ReaderRow;
pub use readers::table;

/// How many wrappings are removed: JSON in a JSON string, a cause in a cause, a message that is JSON.
const MAX_WRAPPINGS: usize = 8;

/// A parsed cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParsedCause {
    /// Who wrote it.
    pub kind: CauseKind,
    /// The message for people, without ids and brackets.
    pub message: Option<String>,
    /// The type of the error with that message, as the failing program names it.
    pub error_type: Option<String>,
    /// The stack trace in lines, as the program's language prints them.
    pub stack: Option<String>,
}

/// The format of a cause.
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

impl ParsedCause {
    /// Nothing but the kind.
    fn empty(kind: CauseKind) -> Self {
        Self { kind, message: None, error_type: None, stack: None }
    }

    fn says(kind: CauseKind, message: Option<String>, error_type: Option<String>) -> Self {
        Self { kind, message, error_type, stack: None }
    }
}

/// Parses a cause. The called integration, if the history names it, selects the reader;
/// the error's name distinguishes some kinds.
pub fn understand(called: Option<&Called>, error: Option<&str>, cause: &str) -> ParsedCause {
    CauseContext { wrappings: MAX_WRAPPINGS, called, error }.read(without_location(cause.trim()))
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
        text = match nested::rethrown(&fields) {
            Some(inner) => inner.trim().to_owned(),
            None => return nested::arn(&fields),
        };
    }
    None
}

/// A text whose stack was passed on with escapes in place of line breaks, in lines.
pub(crate) fn in_lines(text: &str) -> std::borrow::Cow<'_, str> {
    stack::with_line_breaks(text)
}

/// What is known when a text is read.
#[derive(Debug, Clone, Copy)]
struct CauseContext<'a> {
    /// How many more wrappings may be removed.
    wrappings: usize,
    called: Option<&'a Called>,
    error: Option<&'a str>,
}

impl CauseContext<'_> {
    /// Reads a text: as JSON or as what Python prints where it is that, else as a sentence.
    fn read(self, cause: &str) -> ParsedCause {
        let cause = cause.trim();
        let Some(wrappings) = self.wrappings.checked_sub(1) else {
            let message = meaningful(cause).map(str::to_owned);
            return ParsedCause::says(CauseKind::Text, message, None);
        };
        let below = Self { wrappings, ..self };
        if let Some(unquoted) = unquoted(cause) {
            return below.read(&unquoted);
        }
        let json = python::json(cause);
        let structure = json.as_deref().unwrap_or(cause);
        if let Some(fields) = Fields::read(structure) {
            return below.object(&fields);
        }
        if let Ok(Value::Array(list)) = serde_json::from_str(&lenient_text(structure.as_bytes())) {
            return below.opened(json::understand_list(&list));
        }
        sentence::understand(below, cause)
    }

    /// Reads an object by the reader that fits it.
    fn object(self, fields: &Fields) -> ParsedCause {
        let parsed = readers::of(self, fields).understand(self, fields);
        self.opened(parsed)
    }

    /// Reads a cause inside another one. Its integration is unknown.
    fn inner(self, error: Option<&str>, cause: &str) -> ParsedCause {
        CauseContext { wrappings: self.wrappings, called: None, error }.read(cause)
    }

    /// Opens a message that is structure itself, or a printed stack, or has an SDK's ornament.
    fn opened(self, parsed: ParsedCause) -> ParsedCause {
        let Some(message) = parsed.message.as_deref() else { return parsed };
        let inner = self.inner(None, message);
        // It opens but is empty, or it only begins like a JSON string. Then it stays as it is.
        let says_nothing = inner.message.is_none() && meaningful(message).is_some() && inner.stack.is_none();
        let is_a_text = inner.kind == CauseKind::Text && message.trim_start().starts_with('"');
        if says_nothing || is_a_text {
            return parsed;
        }
        ParsedCause {
            kind: parsed.kind,
            message: inner.message,
            error_type: inner.error_type.or(parsed.error_type),
            stack: parsed.stack.or(inner.stack),
        }
    }
}

/// The text inside a JSON string that holds JSON, cut off or not.
fn unquoted(cause: &str) -> Option<String> {
    let text = partial::string_so_far(cause)?;
    text.trim_start().starts_with(['{', '[', '"']).then_some(text)
}

/// A cause without `An error occurred while executing the state 'X' (entered at the event id #4). `,
/// which the report shows in its own way.
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

/// The fields of a cause that is a JSON object, as far as its text goes, without a value that breaks
/// off. An object in a JSON string, or in a caught error that was thrown on whole, counts as well.
pub(super) fn fields(cause: &str) -> Option<serde_json::Map<String, Value>> {
    let mut text = Cow::Borrowed(without_location(cause.trim()));
    for _ in 0..MAX_WRAPPINGS {
        if let Some(inner) = unquoted(&text) {
            text = Cow::Owned(inner);
            continue;
        }
        if let Some(json) = python::json(&text) {
            text = Cow::Owned(json);
        }
        let mut fields = Fields::read(&text)?;
        if let Some(inner) = nested::rethrown(&fields) {
            text = Cow::Owned(inner.to_owned());
            continue;
        }
        if let Some(cut) = fields.cut.take().filter(|cut| fields.text(cut).is_some()) {
            fields.values.remove(&cut);
        }
        return Some(fields.values);
    }
    None
}
