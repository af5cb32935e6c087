//! Reads a history from what `aws stepfunctions get-execution-history --output json` prints.
//!
//! An array of events alone is read as well. A file that was cut off, or that turns into something
//! else on the way, still gives the events before that place, and says so; text that holds no
//! events at all is an error that says what was expected.

mod raw;
mod text;

use std::borrow::Cow;

use serde::de::DeserializeSeed;

use super::{History, HistoryPage};
pub use text::lenient_text;

/// Why a text is not a history.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FileError {
    /// There is nothing in it.
    #[error("it is empty; expected {EXPECTED}")]
    Empty,
    /// It is JSON, but of something else.
    #[error("it holds {found}; expected {EXPECTED}")]
    SomethingElse {
        /// What it holds instead.
        found: String,
    },
    /// It is not JSON, or its first event already is broken.
    #[error("{why}; expected {EXPECTED}")]
    NotJson {
        /// What is wrong, and where.
        why: String,
    },
}

const EXPECTED: &str = "what `aws stepfunctions get-execution-history --output json` prints: an object with a list of \"events\", or that list alone";

/// Reads a history.
///
/// # Errors
/// When the text holds no history at all.
pub fn parse(bytes: &[u8]) -> Result<History, FileError> {
    let (text, mut notes) = decode(bytes);
    if text.trim().is_empty() {
        return Err(FileError::Empty);
    }
    let mut found = raw::Found::default();
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let read = raw::Document(&mut found).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    let mut incomplete = None;
    if let Err(error) = read {
        if found.events.is_empty() {
            return Err(FileError::NotJson { why: error.to_string() });
        }
        let last = found.events.iter().map(|event| event.id).max().unwrap_or_default();
        incomplete = Some(if error.is_eof() {
            format!("The file is cut off after event {last}; what follows is unknown.")
        } else {
            format!("The file could be read up to event {last} only: {error}.")
        });
    }
    if let Some(what) = found.something_else {
        return Err(FileError::SomethingElse { found: what });
    }
    if found.next_token.is_some() {
        incomplete.get_or_insert("The file holds a part of the history: it names a next page.".into());
    }
    if found.without_id > 0 {
        notes.push(format!("{} entries have no event id and were left out.", found.without_id));
    }
    if found.events.is_empty() {
        return Err(FileError::SomethingElse { found: "a history without events".into() });
    }
    let mut history = History::whole(found.events);
    for note in notes {
        history = history.noted(note);
    }
    Ok(match incomplete {
        Some(note) => history.incomplete(note),
        None => history,
    })
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
    let mut found = raw::Found::default();
    let text = lenient_text(body);
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    raw::Document(&mut found)
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| PageError { why: error.to_string() })?;
    match found.something_else {
        Some(what) => Err(PageError { why: format!("it holds {what}") }),
        None => {
            Ok(HistoryPage { events: found.events, next_token: found.next_token, bytes: body.len() as u64 })
        }
    }
}

/// The text, whichever way an editor or a shell wrote it.
fn decode(bytes: &[u8]) -> (Cow<'_, str>, Vec<String>) {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        Cow::Owned(String::from_utf16_lossy(&units))
    };
    match bytes {
        // What PowerShell's `>` writes.
        [0xFF, 0xFE, rest @ ..] => (utf16(rest, u16::from_le_bytes), Vec::new()),
        [0xFE, 0xFF, rest @ ..] => (utf16(rest, u16::from_be_bytes), Vec::new()),
        _ => {
            let rest = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
            match std::str::from_utf8(rest) {
                Ok(_) => (lenient_text(rest), Vec::new()),
                Err(error) => (
                    lenient_text(rest),
                    vec![format!(
                        "The file is not UTF-8 from byte {} on; what could not be read stands as \u{FFFD}.",
                        error.valid_up_to()
                    )],
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{EventType, StateType};

    const EVENTS: &str = r#"[
        {"id": 1, "previousEventId": 0, "type": "ExecutionStarted", "timestamp": "2026-03-01T12:00:00.137+00:00",
         "executionStartedEventDetails": {"input": "{}", "roleArn": "r"}},
        {"id": 2, "previousEventId": 0, "type": "TaskStateEntered", "timestamp": 1772366400.274,
         "stateEnteredEventDetails": {"name": "A", "input": "1"}},
        {"id": 3, "previousEventId": 2, "type": "TaskFailed", "timestamp": "2026-03-01 13:00:00.411000+01:00",
         "taskFailedEventDetails": {"error": "E", "cause": null, "resource": "invoke", "resourceType": "lambda"}}]"#;

    #[test]
    fn the_printed_object_and_the_list_alone_are_read_alike() {
        let list = parse(EVENTS.as_bytes()).unwrap();
        let object = parse(format!("{{\"events\": {EVENTS}}}").as_bytes()).unwrap();
        assert_eq!(list.events(), object.events());
        assert!(object.is_complete());
        assert_eq!(object.events()[1].event_type, EventType::StateEntered(StateType::Task));
        assert_eq!(object.events()[2].details.error.as_deref(), Some("E"));
        assert_eq!(object.events()[2].details.cause, None);
    }

    #[test]
    fn times_are_read_in_each_notation() {
        let history = parse(EVENTS.as_bytes()).unwrap();
        let times: Vec<_> = history.events().iter().map(|e| e.timestamp.unwrap().to_string()).collect();
        assert_eq!(
            times,
            ["2026-03-01T12:00:00.137Z", "2026-03-01T12:00:00.274Z", "2026-03-01T12:00:00.411Z"]
        );
    }

    #[test]
    fn byte_order_marks_do_not_matter() {
        let plain = parse(EVENTS.as_bytes()).unwrap();
        let utf8 = [b"\xEF\xBB\xBF", EVENTS.as_bytes()].concat();
        let utf16: Vec<u8> =
            [0xFEFF].into_iter().chain(EVENTS.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        for bytes in [utf8, utf16] {
            assert_eq!(parse(&bytes).unwrap().events(), plain.events());
        }
    }

    #[test]
    fn a_file_cut_off_anywhere_gives_the_events_before_the_cut_or_an_error() {
        let text = format!("{{\"events\": {EVENTS}}}");
        for end in 0..text.len() {
            match parse(&text.as_bytes()[..end]) {
                Ok(history) => {
                    assert!(!history.is_complete(), "cut at {end}");
                    assert!(history.notes()[0].contains("cut off after event"), "{:?}", history.notes());
                }
                Err(error) => assert!(error.to_string().contains("get-execution-history"), "{error}"),
            }
        }
    }

    #[test]
    fn other_json_is_refused_with_what_was_expected() {
        for (text, found) in [
            (
                r#"{"executionArn": "arn:x", "status": "FAILED"}"#,
                "an object with \"executionArn\", \"status\"",
            ),
            (r#"{"events": {"a": 1}}"#, "\"events\" that is no list"),
            (r#"{"events": []}"#, "a history without events"),
            ("[1, 2]", "a list of something else than events"),
            (r#"[{"a": 1}]"#, "a list of something else than events"),
            ("\"text\"", "a text"),
            ("42", "a number"),
            ("null", "null"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!(error, FileError::SomethingElse { found: found.into() }, "{text}");
        }
        assert_eq!(parse(b" \n").unwrap_err(), FileError::Empty);
        assert!(matches!(parse(b"<html>").unwrap_err(), FileError::NotJson { .. }));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced_and_said() {
        let bytes = [b"[{\"id\":1,\"type\":\"X\",\"a\":\"", &[0xFFu8][..], b"\"}]"].concat();
        let history = parse(&bytes).unwrap();
        assert!(history.notes()[0].contains("not UTF-8 from byte 25"), "{:?}", history.notes());
    }

    #[test]
    fn a_page_that_names_a_next_one_is_not_taken_for_the_whole() {
        let text = format!("{{\"events\": {EVENTS}, \"nextToken\": \"abc\"}}");
        assert!(!parse(text.as_bytes()).unwrap().is_complete());
    }

    #[test]
    fn half_of_a_surrogate_pair_does_not_make_the_file_unreadable() {
        let text = EVENTS.replace(r#""input": "1""#, r#""input": "\"\ud83d\"""#);
        assert_ne!(text, EVENTS);
        let history = parse(text.as_bytes()).unwrap();
        assert_eq!(history.events()[1].details.input.as_deref(), Some("\"\u{FFFD}\""));
        assert!(history.is_complete());
    }

    #[test]
    fn the_body_of_an_answer_is_read_as_a_page() {
        let body = r#"{"events":[
            {"id":4,"previousEventId":3,"timestamp":1772366400.274,"type":"TaskFailed",
             "taskFailedEventDetails":{"cause":"a\ud83d@","error":"E","resource":"invoke","resourceType":"lambda"}},
            {"id":3,"previousEventId":2,"timestamp":1772366400.1,"type":"TaskStarted"}],"nextToken":"abc"}"#;
        let body: Vec<u8> = body.bytes().map(|byte| if byte == b'@' { 0xFF } else { byte }).collect();
        let page = page_of_answer(&body).unwrap();
        assert_eq!(page.next_token.as_deref(), Some("abc"));
        assert!(page.events.iter().map(|event| event.id).eq([4, 3]));
        assert_eq!(page.events[0].details.cause.as_deref(), Some("a\u{FFFD}\u{FFFD}"));
        assert_eq!(page.events[0].timestamp.unwrap().to_string(), "2026-03-01T12:00:00.274Z");

        let last = page_of_answer(br#"{"events":[],"nextToken":null}"#).unwrap();
        assert!(last.events.is_empty() && last.next_token.is_none());
        for other in ["", "{}", r#"{"events":null}"#, r#"{"events":[{"id":1,"type":"X"}"#, "<html>"] {
            let error = page_of_answer(other.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("the answer is not a page of a history: "), "{error}");
        }
    }

    #[test]
    fn payloads_that_are_no_texts_are_kept_as_their_json() {
        let text = r#"[{"id":1,"type":"PassStateEntered","stateEnteredEventDetails":{"name":"A","input":{"b":[1]}}}]"#;
        let history = parse(text.as_bytes()).unwrap();
        assert_eq!(history.events()[0].details.input.as_deref(), Some(r#"{"b":[1]}"#));
    }
}
