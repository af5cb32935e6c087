//! What a replay has done so far, kept in a file, so that one that was interrupted goes on without
//! sending twice what was sent.
//!
//! JSON lines, each on the disk before the step that it speaks of has a consequence: first the two
//! queues; then, for each message by its id, that it is about to be sent, the id it was sent as, and
//! that it was deleted. A message about to be sent of which no more is known may have been sent.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How every journal begins.
const BEGINNING: &str = r#"{"replay":{"#;

/// A replay's journal, locked as long as it is open.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    known: HashMap<String, JournalState>,
    sent_as: HashSet<String>,
}

/// A journal that cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened, locked or cut.
    #[error("the journal {} cannot be used", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("the journal {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A line cannot be written.
    #[error("the journal {} cannot be written", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Another process has the journal open.
    #[error("another replay uses the journal {}", .0.display())]
    InUse(PathBuf),
    /// The file holds something else.
    #[error(
        "{} is not a replay's journal, and stays as it is; name another one with --journal", .0.display()
    )]
    NotAJournal(PathBuf),
    /// The journal is of a replay between other places.
    #[error("the journal {} is of a replay from {from} to {to}; name another one with --journal", path.display())]
    OtherReplay {
        /// The file.
        path: PathBuf,
        /// Where that replay takes messages from.
        from: String,
        /// Where that replay sends them.
        to: String,
    },
    /// A later version wrote this line.
    #[error(
        "line {line} of the journal {} is of a kind that this version of misstep does not know; go on with the version that wrote it, or name another journal with --journal",
        path.display()
    )]
    LaterVersion {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
    },
    /// A line is not JSON.
    #[error("line {line} of the journal {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
}

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalState {
    /// It was about to be sent; whether it was, is not known.
    Unknown,
    /// It was sent, and is still in the dead-letter queue.
    Sent,
    /// It was sent and deleted.
    Done,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum JournalLine {
    Replay { from: String, to: String },
    Sending(Vec<String>),
    Sent { id: String, sent_as: String },
    NotSent { id: String },
    Deleted(Vec<String>),
}

impl Journal {
    /// Opens the journal of a replay from one place to a queue, or begins one in a file that is new or
    /// empty. A file that is not such a journal stays as it is.
    ///
    /// # Errors
    /// When the file is something else, belongs to a replay between other queues, is in use or damaged,
    /// comes from a later version, or cannot be read and written.
    pub fn open(path: &Path, from: &str, to: &str) -> Result<Self, JournalError> {
        let cannot = |source| JournalError::Unusable { path: path.to_owned(), source };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(cannot)?;
        // Reading a pipe or a terminal would wait for ever.
        if !file.metadata().map_err(cannot)?.is_file() {
            return Err(JournalError::NotAJournal(path.to_owned()));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        let begin = JournalLine::Replay { from: from.to_owned(), to: to.to_owned() };
        let content = read(&mut file, path)?;
        let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let is_new = whole == 0 && begin.text().as_bytes().starts_with(&content);
        let lines = if is_new { Vec::new() } else { lines(&content[..whole], from, to, path)? };
        // Only now is the file known to be ours. A last line without its end was being written when the
        // process died; it had no consequence.
        if whole < content.len() {
            file.set_len(whole as u64).map_err(cannot)?;
        }
        let mut journal =
            Self { file, path: path.to_owned(), known: HashMap::new(), sent_as: HashSet::new() };
        if is_new {
            journal.write(&begin)?;
        }
        lines.into_iter().for_each(|line| journal.note(line));
        Ok(journal)
    }

    /// What is known of a message; nothing, if it was never about to be sent.
    pub fn state(&self, id: &str) -> Option<JournalState> {
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
    pub fn sending(&mut self, ids: Vec<String>) -> Result<(), JournalError> {
        self.write(&JournalLine::Sending(ids))
    }

    /// A message was sent, under a new id.
    ///
    /// # Errors
    /// When that could not be written.
    pub fn sent(&mut self, id: &str, sent_as: &str) -> Result<(), JournalError> {
        self.write(&JournalLine::Sent { id: id.to_owned(), sent_as: sent_as.to_owned() })
    }

    /// A message was refused, and so surely not sent.
    ///
    /// # Errors
    /// When that could not be written.
    pub fn not_sent(&mut self, id: &str) -> Result<(), JournalError> {
        self.write(&JournalLine::NotSent { id: id.to_owned() })
    }

    /// These messages were deleted.
    ///
    /// # Errors
    /// When that could not be written.
    pub fn deleted(&mut self, ids: Vec<String>) -> Result<(), JournalError> {
        self.write(&JournalLine::Deleted(ids))
    }

    fn write(&mut self, line: &JournalLine) -> Result<(), JournalError> {
        let text = line.text();
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| JournalError::Unwritable { path: self.path.clone(), source })?;
        self.note(serde_json::from_str(&text).expect("it was written a moment ago"));
        Ok(())
    }

    fn note(&mut self, line: JournalLine) {
        match line {
            JournalLine::Replay { .. } => {}
            JournalLine::Sending(ids) => {
                self.known.extend(ids.into_iter().map(|id| (id, JournalState::Unknown)))
            }
            JournalLine::Sent { id, sent_as } => {
                self.known.insert(id, JournalState::Sent);
                self.sent_as.insert(sent_as);
            }
            JournalLine::NotSent { id } => {
                self.known.remove(&id);
            }
            JournalLine::Deleted(ids) => {
                self.known.extend(ids.into_iter().map(|id| (id, JournalState::Done)))
            }
        }
    }
}

impl JournalLine {
    /// The line with its end.
    fn text(&self) -> String {
        let mut text = serde_json::to_string(self).expect("a line has only text keys");
        text.push('\n');
        text
    }
}

/// What the file holds. Of a file that does not begin as a journal does, only the beginning is read:
/// it may be of any size.
fn read(file: &mut File, path: &Path) -> Result<Vec<u8>, JournalError> {
    let cannot = |source| JournalError::Unreadable { path: path.to_owned(), source };
    let mut content = Vec::new();
    file.take(BEGINNING.len() as u64).read_to_end(&mut content).map_err(cannot)?;
    if !BEGINNING.as_bytes().starts_with(&content) {
        return Err(JournalError::NotAJournal(path.to_owned()));
    }
    file.read_to_end(&mut content).map_err(cannot)?;
    Ok(content)
}

/// The lines of a journal after the first, which has to name these two places.
fn lines(whole: &[u8], from: &str, to: &str, path: &Path) -> Result<Vec<JournalLine>, JournalError> {
    let whole = whole.strip_suffix(b"\n").ok_or_else(|| JournalError::NotAJournal(path.to_owned()))?;
    let mut lines = whole.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    match serde_json::from_slice(first) {
        Ok(JournalLine::Replay { from: was_from, to: was_to }) if was_from == from && was_to == to => {}
        Ok(JournalLine::Replay { from: was_from, to: was_to }) => {
            return Err(JournalError::OtherReplay { path: path.to_owned(), from: was_from, to: was_to });
        }
        _ => return Err(not_understood(1, first, path)),
    }
    let numbered = lines.enumerate().map(|(index, line)| (index + 2, line));
    numbered
        .map(|(number, line)| serde_json::from_slice(line).map_err(|_| not_understood(number, line, path)))
        .collect()
}

/// Why a line cannot be used: JSON is of a later version, anything else is damaged.
fn not_understood(number: usize, text: &[u8], path: &Path) -> JournalError {
    let (path, line) = (path.to_owned(), number);
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => JournalError::LaterVersion { path, line },
        Err(source) => JournalError::Damaged { path, line, source },
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
        assert!(matches!(Journal::open(&path, "dead", "queue"), Err(JournalError::InUse(_))));
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
            let expected =
                [Some(JournalState::Done), Some(JournalState::Sent), None, Some(JournalState::Unknown), None];
            assert_eq!(states, expected);
            assert!(journal.has_sent("b2") && !journal.has_sent("b"));
        }
        let other = Journal::open(&path, "dead", "other").unwrap_err();
        assert!(other.to_string().contains("from dead to queue"), "{other}");
    }

    #[test]
    fn a_file_that_is_not_a_journal_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let header = "{\"replay\":{\"from\":\"dead\",\"to\":\"queue\"}}\n";
        let other = header.replace("dead", "elsewhere");
        let line = |text: &str| format!("{header}{text}\n").into_bytes();
        let not_ours = "is not a replay's journal";
        let contents = [
            (b"hello\n".to_vec(), not_ours),
            (b"one line without its end".to_vec(), not_ours),
            (br#"{"a":{"minified":"JSON"}}"#.to_vec(), not_ours),
            (b"\x7fELF\x00\xff\n\x00\xfe".to_vec(), not_ours),
            (b"{\"body\":\"a dropped message\"}\n{\"body\":\"another\"".to_vec(), not_ours),
            (b"\n".to_vec(), not_ours),
            (br#"{"replay":{"speed":2}}"#.to_vec(), not_ours),
            (b"{\"replay\":{\"speed\":2}}\n{\"half\":".to_vec(), "does not know"),
            (header.replace("}}", ",\"version\":2}}").into_bytes(), "does not know"),
            (line(r#"{"skipped":["a"]}"#), "line 2 of the journal"),
            (line("{\"sent\":{\"id\":\"a\",\"sent_as\":\"b\",\"at\":7}}\n{\"half\":"), "does not know"),
            (line("no JSON\n{\"half\":"), "is damaged"),
            (other.trim_end().into(), not_ours),
            (other.into_bytes(), "from elsewhere to queue"),
        ];
        for (content, expected) in contents {
            std::fs::write(&path, &content).unwrap();
            let shown = String::from_utf8_lossy(&content);
            let why = Journal::open(&path, "dead", "queue").expect_err(&shown).to_string();
            assert!(why.contains(expected), "{shown}: {why}");
            assert_eq!(std::fs::read(&path).unwrap(), content, "{shown}");
        }
    }

    #[test]
    fn a_journal_begins_in_a_file_that_is_empty_or_holds_a_part_of_its_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let header = "{\"replay\":{\"from\":\"dead\",\"to\":\"queue\"}}\n";
        for length in 0..=header.len() {
            std::fs::write(&path, &header[..length]).unwrap();
            Journal::open(&path, "dead", "queue").unwrap().sending(vec!["a".to_owned()]).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text, format!("{header}{{\"sending\":[\"a\"]}}\n"), "{length}");
        }
    }
}
