//! What a replay has done so far, kept in a file, so that one that was interrupted goes on without
//! sending twice what was sent.
//!
//! JSON lines, each on the disk before the step that it speaks of has a consequence: first the two
//! queues; then, for each message by its id, that it is about to be sent, the id it was sent as, and
//! that it was deleted. A message about to be sent of which no more is known may have been sent.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A replay's journal, locked as long as it is open.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: String,
    known: HashMap<String, State>,
    sent_as: HashSet<String>,
}

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was about to be sent; whether it was, is not known.
    Unknown,
    /// It was sent, and is still in the dead-letter queue.
    Sent,
    /// It was sent and deleted.
    Done,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Replay { from: String, to: String },
    Sending(Vec<String>),
    Sent { id: String, sent_as: String },
    NotSent { id: String },
    Deleted(Vec<String>),
}

impl Journal {
    /// Opens the journal of a replay from one place to a queue, or begins one.
    ///
    /// # Errors
    /// Says so when it belongs to other queues, is in use, damaged, or cannot be written.
    pub fn open(path: &Path, from: &str, to: &str) -> Result<Self, String> {
        let shown = path.display().to_string();
        let cannot = |error: std::io::Error| format!("the journal {shown} cannot be used: {error}");
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(format!("another replay uses the journal {shown}")),
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(cannot)?;
        // A last line without its end was being written when the process died; it had no consequence.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).map_err(cannot)?;
        file.seek(SeekFrom::End(0)).map_err(cannot)?;
        let mut journal = Self { file, path: shown, known: HashMap::new(), sent_as: HashSet::new() };
        let mut lines = text[..whole].lines();
        match lines.next().map(serde_json::from_str::<Line>) {
            None => journal.write(&Line::Replay { from: from.to_owned(), to: to.to_owned() })?,
            Some(Ok(Line::Replay { from: was_from, to: was_to })) if was_from == from && was_to == to => {}
            Some(Ok(Line::Replay { from: was_from, to: was_to })) => {
                return Err(format!(
                    "the journal {} is of a replay from {was_from} to {was_to}; name another one with --journal",
                    journal.path
                ));
            }
            Some(_) => {
                return Err(format!(
                    "{} is not a replay's journal; name another one with --journal",
                    journal.path
                ));
            }
        }
        for (number, line) in lines.enumerate() {
            let line = serde_json::from_str(line).map_err(|error| {
                format!("line {} of the journal {} is damaged: {error}", number + 2, journal.path)
            })?;
            journal.note(line);
        }
        Ok(journal)
    }

    /// What is known of a message; nothing, if it was never about to be sent.
    pub fn state(&self, id: &str) -> Option<State> {
        self.known.get(id).copied()
    }

    /// Whether a message with this id was sent by this replay.
    pub fn has_sent(&self, id: &str) -> bool {
        self.sent_as.contains(id)
    }

    /// These messages are about to be sent.
    ///
    /// # Errors
    /// When that could not be written: then they must not be sent.
    pub fn sending(&mut self, ids: Vec<String>) -> Result<(), String> {
        self.write(&Line::Sending(ids))
    }

    /// A message was sent, under a new id.
    ///
    /// # Errors
    /// When that could not be written.
    pub fn sent(&mut self, id: &str, sent_as: &str) -> Result<(), String> {
        self.write(&Line::Sent { id: id.to_owned(), sent_as: sent_as.to_owned() })
    }

    /// A message was refused, and so surely not sent.
    ///
    /// # Errors
    /// When that could not be written.
    pub fn not_sent(&mut self, id: &str) -> Result<(), String> {
        self.write(&Line::NotSent { id: id.to_owned() })
    }

    /// These messages were deleted.
    ///
    /// # Errors
    /// When that could not be written.
    pub fn deleted(&mut self, ids: Vec<String>) -> Result<(), String> {
        self.write(&Line::Deleted(ids))
    }

    fn write(&mut self, line: &Line) -> Result<(), String> {
        let mut text = serde_json::to_string(line).expect("a line has only text keys");
        text.push('\n');
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| format!("the journal {} cannot be written: {error}", self.path))?;
        self.note(serde_json::from_str(&text).expect("it was written a moment ago"));
        Ok(())
    }

    fn note(&mut self, line: Line) {
        match line {
            Line::Replay { .. } => {}
            Line::Sending(ids) => self.known.extend(ids.into_iter().map(|id| (id, State::Unknown))),
            Line::Sent { id, sent_as } => {
                self.known.insert(id, State::Sent);
                self.sent_as.insert(sent_as);
            }
            Line::NotSent { id } => {
                self.known.remove(&id);
            }
            Line::Deleted(ids) => self.known.extend(ids.into_iter().map(|id| (id, State::Done))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_known_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path, "dead", "queue").unwrap();
        assert!(Journal::open(&path, "dead", "queue").unwrap_err().contains("another replay"));
        journal.sending(["a", "b", "c", "d"].map(str::to_owned).to_vec()).unwrap();
        journal.sent("a", "a2").unwrap();
        journal.sent("b", "b2").unwrap();
        journal.not_sent("c").unwrap();
        journal.deleted(vec!["a".to_owned()]).unwrap();
        drop(journal);
        // Killed in the middle of a line.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"deleted":["b"#).unwrap();
        drop(file);
        for _ in 0..2 {
            let journal = Journal::open(&path, "dead", "queue").unwrap();
            let states = ["a", "b", "c", "d", "e"].map(|id| journal.state(id));
            let expected = [Some(State::Done), Some(State::Sent), None, Some(State::Unknown), None];
            assert_eq!(states, expected);
            assert!(journal.has_sent("b2") && !journal.has_sent("b"));
        }
        assert!(Journal::open(&path, "dead", "other").unwrap_err().contains("from dead to queue"));
        std::fs::write(&path, "hello\n").unwrap();
        assert!(Journal::open(&path, "dead", "queue").unwrap_err().contains("is not a replay's journal"));
    }
}
