//! Reads histories from files: pages of `aws stepfunctions get-execution-history`, and exports of a state
//! machine's log from CloudWatch Logs.
//!
//! A history may come as one page, as several one after the other or in a list, as a list of its events, or
//! as JSON Lines; a log as the AWS CLI, Logs Insights, a subscription or an export to S3 writes it. gzip,
//! UTF-16 and byte order marks are accepted. A file that was cut off or is damaged still gives the events
//! before the damage, with a note; a text without any events is an error with what it seems to be, and how to
//! get the right file.

mod document;
mod executions;
mod layout;
mod other;
mod raw;
mod text;

use std::borrow::Cow;

use super::{EventType, History, HistoryEvent, HistoryPage, StateType};
use crate::aws::arn::ExecutionArn;
pub use executions::{Executions, Recorded, SelectError, Selected};
pub use text::lenient_text;

/// Why a file is not a history.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FileError {
    /// There is nothing in it.
    #[error("it is empty; {}", other::EXPECTED)]
    Empty,
    /// It can be read, but is something else.
    #[error("it holds {found}; {advice}")]
    SomethingElse {
        /// What it holds instead.
        found: String,
        /// What is expected, or how to get it.
        advice: &'static str,
    },
    /// It is not JSON, or its first event already is broken.
    #[error("{why}; {}", other::EXPECTED)]
    NotJson {
        /// What is wrong, and where.
        why: String,
    },
    /// Packed data that cannot be unpacked.
    #[error("it is packed with gzip and cannot be unpacked: {why}; fetch it again")]
    Gzip {
        /// What is wrong.
        why: String,
    },
    /// Packed data that becomes too large.
    #[error("it unpacks to more than {most} bytes; unpack it first, and pass only the execution's events")]
    TooLarge {
        /// The most bytes that are unpacked.
        most: u64,
    },
    /// Pages of different executions.
    #[error("it holds histories of more than one execution, which do not name them; pass one at a time")]
    Mixed,
}

/// A file as text.
#[derive(Debug)]
pub struct FileText {
    text: String,
    /// The first byte that is not UTF-8.
    damaged: Option<usize>,
}

impl FileText {
    /// Unpacks and decodes a file.
    ///
    /// # Errors
    /// When it is packed and cannot be unpacked within bounds.
    pub fn of(bytes: Vec<u8>) -> Result<Self, FileError> {
        let bytes = match text::unpacked(&bytes)? {
            Cow::Owned(unpacked) => unpacked,
            Cow::Borrowed(_) => bytes,
        };
        let (text, damaged) = match text::decoded(&bytes) {
            // Sound text, the most common and the largest, is not copied.
            (Cow::Borrowed(text), damaged) if text.len() == bytes.len() => (None, damaged),
            (text, damaged) => (Some(text.into_owned()), damaged),
        };
        let text = text.unwrap_or_else(|| String::from_utf8(bytes).expect("it was borrowed as a whole"));
        Ok(Self { text, damaged })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The executions in it.
    ///
    /// # Errors
    /// When it holds no event of an execution.
    pub fn executions(&self) -> Result<Executions, FileError> {
        executions(self)
    }
}

/// Reads the history of a file that holds one execution.
///
/// # Errors
/// When the file holds no history at all.
pub fn parse(bytes: &[u8]) -> Result<History, FileError> {
    let Executions(mut all) = FileText::of(bytes.to_vec())?.executions()?;
    if all.len() > 1 {
        return Err(FileError::Mixed);
    }
    Ok(all.remove(0).history)
}

fn executions(file: &FileText) -> Result<Executions, FileError> {
    if file.text.trim().is_empty() {
        return Err(FileError::Empty);
    }
    let mut found = document::FoundHistory::default();
    let faults = layout::read(&file.text, &mut found);
    if found.is_empty() {
        return Err(nothing(&file.text, found, faults));
    }
    let without_last_page = found.next_token.is_some() && !found.last_page;
    let mut notes = Vec::new();
    if let Some(byte) = file.damaged {
        notes.push(format!(
            "The file is not UTF-8 from byte {byte} on; what could not be read stands as \u{FFFD}."
        ));
    }
    if found.without_id > 0 {
        notes.push(format!("{} entries have no event id and were left out.", found.without_id));
    }
    if found.other_messages > 0 {
        notes.push(format!("{} lines of the log are not events and were left out.", found.other_messages));
    }
    let recorded = |document::Events { arn, events }: document::Events| {
        let execution = arn.as_deref().and_then(|arn| ExecutionArn::parse(arn).ok());
        let is_log = arn.is_some();
        if !is_log && are_mixed(&events) {
            return Err(FileError::Mixed);
        }
        let last = events.iter().map(|event| event.id).max().unwrap_or_default();
        let mut history = History::whole(events);
        history = notes.iter().fold(history, |history, note| history.noted(note));
        if let Some(note) = what_is_missing(&faults, last) {
            history = history.incomplete(note);
        } else if without_last_page {
            history = history.incomplete("The file holds a part of the history: it names a next page.");
        }
        let history = if is_log { of_log(history) } else { history };
        Ok(Recorded { execution, history })
    };
    found.executions.into_iter().map(recorded).collect::<Result<_, _>>().map(Executions)
}

/// Why a text holds no events.
fn nothing(text: &str, found: document::FoundHistory, faults: layout::Faults) -> FileError {
    let kind = match (other::OtherKind::of_text(text), faults.first, found.something_else) {
        (Some(kind), _, _) | (None, None, Some(kind)) => kind,
        (None, Some(error), _) => return FileError::NotJson { why: error.to_string() },
        (None, None, None) if found.empty_list => other::OtherKind::named("a history without events"),
        (None, None, None) if found.other_messages > 0 => {
            other::OtherKind::named("a log without events of an execution")
        }
        (None, None, None) => other::OtherKind::named("text without JSON"),
    };
    FileError::SomethingElse { found: kind.what, advice: kind.advice }
}

/// The part of a file that could not be read.
fn what_is_missing(faults: &layout::Faults, last: i64) -> Option<String> {
    let error = faults.first.as_ref()?;
    Some(if faults.resumed {
        format!("A part of the file could not be read, and its events are missing: {error}.")
    } else if error.is_eof() {
        format!("The file is cut off after event {last}; what follows is unknown.")
    } else {
        format!("The file could be read up to event {last} only: {error}.")
    })
}

/// Whether the events are of more than one execution: each begins with event 1.
fn are_mixed(events: &[HistoryEvent]) -> bool {
    let mut starts = events.iter().filter(|event| event.event_type == EventType::ExecutionStarted);
    starts.next().is_some_and(|first| starts.any(|other| other != first))
}

/// Notes what the log of a state machine leaves out.
fn of_log(history: History) -> History {
    let events = history.events();
    let enters = |event: &&HistoryEvent| {
        matches!(event.event_type, EventType::ExecutionStarted | EventType::StateEntered(_))
    };
    let mut entered = events.iter().filter(enters).peekable();
    let no_inputs = entered.peek().is_some() && entered.all(|event| event.details.input.is_none());
    let no_entries = !events.iter().any(
        |event| matches!(&event.event_type, EventType::StateEntered(state) if *state != StateType::Fail),
    );
    let no_end = !events.iter().any(|event| event.event_type.end().is_some());
    let has_gaps = !history.is_complete();
    let mut history = history;
    if has_gaps && no_entries {
        history = history.noted(
            "With the level ERROR or FATAL, a state machine logs errors only, and they name no states but Fail states. The level ALL logs every event.",
        );
    } else if has_gaps {
        history = history.noted("The log does not hold every event of the execution.");
    }
    if no_inputs {
        history = history.noted(
            "The log holds no inputs: the state machine logs without execution data (includeExecutionData).",
        );
    }
    if no_end {
        history = history.incomplete(
            "The end of the execution is not in the log: it had not ended, or the export does not reach it.",
        );
    }
    history
}

/// Why the body of an answer is not a page of a history.
#[derive(Debug, thiserror::Error)]
#[error("the answer is not a page of a history: {why}")]
pub struct PageError {
    why: String,
}

/// The page in the body of a GetExecutionHistory answer: its events in the order of the answer, and
/// the token of the next page. Damaged text is read leniently.
///
/// # Errors
/// When the body is not JSON, is cut off, or has no list of events.
pub fn page_of_answer(body: &[u8]) -> Result<HistoryPage, PageError> {
    let mut found = document::FoundHistory::default();
    let text = lenient_text(body);
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    document::read(&mut found, &mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| PageError { why: error.to_string() })?;
    match found.something_else {
        Some(kind) if found.executions.is_empty() => {
            Err(PageError { why: format!("it holds {}", kind.what) })
        }
        _ if !found.last_page && found.next_token.is_none() => {
            Err(PageError { why: "it has no list of events".to_owned() })
        }
        _ => Ok(HistoryPage {
            events: found.executions.into_iter().flat_map(|one| one.events).collect(),
            next_token: found.next_token,
            bytes: body.len() as u64,
        }),
    }
}

#[cfg(test)]
mod tests;
