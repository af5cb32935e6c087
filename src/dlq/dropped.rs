//! A file of messages that were dropped, one JSON line each, from which they can be sent again.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::DeadMessage;
use crate::queue::{AttributeValue, Message, ReceiptHandle};
use crate::telemetry::trace::TraceHeader;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DroppedLine {
    message_id: String,
    sent_at_ms: Option<u64>,
    receives: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    attributes: Vec<Attribute>,
    body: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attribute {
    name: String,
    data_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// A file of dropped messages that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum DroppedFileError {
    /// The file exists already, or cannot be written.
    #[error("{} cannot be written", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A line holds something else.
    #[error("line {line} of {} is not a dropped message", path.display())]
    NotAMessage {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// An attribute has no value, or one that is not base64.
    #[error("line {line} of {} has a damaged attribute", path.display())]
    DamagedAttribute {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
    },
}

/// Writes messages to a new file; they are on the disk when this returns.
///
/// # Errors
/// When the file is there already, or cannot be written.
pub fn write<'a>(
    path: &Path,
    letters: impl Iterator<Item = &'a DeadMessage>,
) -> Result<(), DroppedFileError> {
    let cannot = |source| DroppedFileError::Unwritable { path: path.to_owned(), source };
    // Never over what an earlier drop kept.
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(cannot)?;
    for letter in letters {
        let Message { id, body, receives, sent_at_ms, trace, attributes, .. } = &letter.message;
        let line = DroppedLine {
            message_id: id.clone(),
            sent_at_ms: *sent_at_ms,
            receives: *receives,
            trace: trace.as_ref().map(|trace| trace.text.clone()),
            attributes: attributes.iter().map(attribute).collect(),
            body: body.clone(),
        };
        let mut line = serde_json::to_string(&line).expect("a line has only text keys");
        line.push('\n');
        file.write_all(line.as_bytes()).map_err(cannot)?;
    }
    file.sync_all().map_err(cannot)
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// Names the file and the line that is none of those.
pub fn read(path: &Path) -> Result<Vec<DeadMessage>, DroppedFileError> {
    let cannot = |source| DroppedFileError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut letters = Vec::new();
    for (number, text) in (1..).zip(BufReader::new(file).lines()) {
        let line: DroppedLine = serde_json::from_str(&text.map_err(cannot)?).map_err(|source| {
            DroppedFileError::NotAMessage { path: path.to_owned(), line: number, source }
        })?;
        let attributes: Option<Vec<_>> = line.attributes.into_iter().map(value).collect();
        let damaged = || DroppedFileError::DamagedAttribute { path: path.to_owned(), line: number };
        letters.push(DeadMessage::new(Message {
            id: line.message_id,
            receipt: ReceiptHandle(String::new()),
            body: line.body,
            receives: line.receives,
            sent_at_ms: line.sent_at_ms,
            trace: line.trace.as_deref().and_then(TraceHeader::parse),
            attributes: attributes.ok_or_else(damaged)?,
            received_at: Instant::now(),
        }));
    }
    Ok(letters)
}

fn attribute((name, value): &(String, AttributeValue)) -> Attribute {
    let (data_type, text, base64) = match value {
        AttributeValue::Text { data_type, value } => (data_type, Some(value.clone()), None),
        AttributeValue::Bytes { data_type, value } => (data_type, None, Some(STANDARD.encode(value))),
    };
    Attribute { name: name.clone(), data_type: data_type.clone(), text, base64 }
}

fn value(attribute: Attribute) -> Option<(String, AttributeValue)> {
    let Attribute { name, data_type, text, base64 } = attribute;
    let value = match (text, base64) {
        (Some(value), None) => AttributeValue::Text { data_type, value },
        (None, Some(base64)) => AttributeValue::Bytes { data_type, value: STANDARD.decode(base64).ok()? },
        _ => return None,
    };
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::tests::letter;

    #[test]
    fn what_was_dropped_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dropped");
        let mut first = letter("a", "orders", 7, &[("tenant", "blue")]);
        let bytes = AttributeValue::Bytes { data_type: "Binary".to_owned(), value: vec![0, 255] };
        first.message.attributes.push(("raw".to_owned(), bytes));
        let header = "Root=1-58406520-a006649127e371903a2de979;Sampled=1";
        first.message.trace = TraceHeader::parse(header);
        write(&path, [&first].into_iter()).unwrap();
        let read_again = read(&path).unwrap();
        assert_eq!(read_again[0].message.id, "a");
        assert_eq!(read_again[0].message.body, first.message.body);
        assert_eq!(read_again[0].message.attributes, first.message.attributes);
        assert_eq!(read_again[0].message.trace, first.message.trace);
        let again = write(&path, [&first].into_iter());
        assert!(matches!(again, Err(DroppedFileError::Unwritable { .. })), "{again:?}");
        std::fs::write(&path, "{}\n").unwrap();
        assert!(matches!(read(&path), Err(DroppedFileError::NotAMessage { line: 1, .. })));
    }
}
