//! How a file is laid out: JSON documents one after the other, lines with JSON in them, or a table.

use serde_json::error::Error;

use super::document::{self, FoundHistory};

/// What could not be read.
#[derive(Default)]
pub(super) struct Faults {
    /// The first error, and where.
    pub(super) first: Option<Error>,
    /// Whether something was read after it.
    pub(super) resumed: bool,
}

/// Reads the whole text.
pub(super) fn read(text: &str, found: &mut FoundHistory) -> Faults {
    if let Some(column) = message_column(text) {
        return table(text, column, found);
    }
    let faults = documents(text, found);
    if !found.is_empty() {
        return faults;
    }
    lines(text, found);
    if found.is_empty() { faults } else { Faults::default() }
}

/// Documents one after the other: a history, pages, JSON Lines. What is broken is left out up to the next
/// line that begins a document.
fn documents(mut text: &str, found: &mut FoundHistory) -> Faults {
    let mut faults = Faults::default();
    loop {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let error = loop {
            if deserializer.end().is_ok() {
                return faults;
            }
            if let Err(error) = document::read(found, &mut deserializer) {
                break error;
            }
            faults.resumed |= faults.first.is_some();
        };
        // Broken JSON is often noticed only at the line after it, which may be sound.
        let broken = error.line().saturating_sub(1).max(1);
        let cut_off = error.is_eof();
        faults.first.get_or_insert(error);
        match next_document(text, broken) {
            Some(rest) if !cut_off => text = rest,
            _ => return faults,
        }
    }
}

/// The text from the next document on: a line after the first `broken` ones that begins as one.
fn next_document(text: &str, broken: usize) -> Option<&str> {
    let mut lines = text.split_inclusive('\n');
    let mut at: usize = lines.by_ref().take(broken).map(str::len).sum();
    for line in lines {
        if line.starts_with(['{', '[', '"']) {
            return Some(&text[at..]);
        }
        at += line.len();
    }
    None
}

/// Lines that hold JSON behind something else: what an export to S3 writes, and what
/// `aws logs tail` prints.
fn lines(text: &str, found: &mut FoundHistory) {
    for line in text.lines() {
        if let Some(start) = line.find('{') {
            found.message(&line[start..]);
        }
    }
}

/// Which column of a table holds the log messages, if the text is such a table: what Logs Insights and
/// the console export as CSV.
fn message_column(text: &str) -> Option<usize> {
    let header = text.lines().next()?;
    if header.contains('{') {
        return None;
    }
    header.split(',').position(|name| matches!(name.trim().trim_matches('"'), "@message" | "message"))
}

fn table(text: &str, column: usize, found: &mut FoundHistory) -> Faults {
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let mut row = csv::StringRecord::new();
    // Invalid UTF-8 cannot occur in a str, nor can reading one fail.
    while rows.read_record(&mut row).unwrap_or(false) {
        if let Some(message) = row.get(column) {
            found.message(message);
        }
    }
    Faults::default()
}
