//! Quotation marks at any depth of escaping.
//!
//! A mark escaped n times has 2ⁿ − 1 backslashes before it, so a quoted text ends at the mark with as
//! many as it began with.

use crate::json_escape::unescape;

/// How deeply escaped a text may be.
const DEEPEST: u32 = 12;

/// A quotation mark and the backslashes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quote {
    pub(super) mark: u8,
    pub(super) backslashes: usize,
}

impl Quote {
    /// The one that begins here, and where what it quotes begins.
    pub(super) fn at(bytes: &[u8], at: usize) -> Option<(Self, usize)> {
        let backslashes = backslashes(bytes, at);
        let mark = *bytes.get(at + backslashes).filter(|byte| matches!(byte, b'"' | b'\''))?;
        Some((Self { mark, backslashes }, at + backslashes + 1))
    }

    /// A text between two such marks.
    pub(super) fn around(self, text: &str) -> String {
        let quote = format!("{}{}", "\\".repeat(self.backslashes), char::from(self.mark));
        format!("{quote}{text}{quote}")
    }

    /// Where the text ends that it quotes from here on, without the backslashes of the mark that
    /// ends it.
    pub(super) fn end(self, bytes: &[u8], start: usize) -> usize {
        let (mut at, mut run) = (start, 0);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\\' => run += 1,
                _ if *byte != self.mark || !self.ends(run) => run = 0,
                _ if run == 0 && at > start && doubled(bytes, at) => at += 1,
                b'\'' if run == 0 && at > start && bytes.get(at + 1).is_some_and(is_plain) => {}
                _ => return at - run.min(self.backslashes),
            }
            at += 1;
        }
        bytes.len()
    }

    /// Whether a mark after so many backslashes is on the level of this one, or further out.
    pub(super) fn ends(self, run: usize) -> bool {
        run < self.backslashes || run % (2 * (self.backslashes + 1)) == self.backslashes
    }

    /// The content of a text that is escaped as often as this mark.
    pub(super) fn plain(self, content: &str) -> String {
        let mut text = content.to_owned();
        if self.mark == b'"' && text.contains('\\') {
            let levels = (self.backslashes + 1).ilog2().min(DEEPEST) + 1;
            for _ in 0..levels {
                text = unescape(&format!("\"{text}\""));
            }
        }
        text
    }
}

/// How many backslashes stand here.
pub(super) fn backslashes(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().take_while(|byte| **byte == b'\\').count()
}

/// `'it''s one'`, as SQL writes it.
fn doubled(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at + 2..).unwrap_or_default();
    bytes.get(at + 1) == Some(&bytes[at]) && rest.trim_ascii_start().first().is_some_and(is_plain)
}

/// Whether a byte is part of a word.
pub(super) fn is_plain(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

/// Where an object or a list ends that begins here, whichever marks its strings have. A mark further
/// out than the key's ends it too.
pub(super) fn end_of_nested(bytes: &[u8], start: usize, key: Option<Quote>) -> usize {
    let (mut run, mut depth) = (0, 0_usize);
    let mut inside: Option<Quote> = None;
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'\\' => {
                run += 1;
                continue;
            }
            _ if key.is_some_and(|key| *byte == key.mark && run < key.backslashes) => return at - run,
            b'"' | b'\'' => match inside {
                Some(quote) if *byte == quote.mark && quote.ends(run) => {
                    let apostrophe = *byte == b'\'' && bytes.get(at + 1).is_some_and(is_plain);
                    inside = inside.filter(|_| apostrophe);
                }
                None if *byte == b'"' || begins_string(bytes, at - run) => {
                    inside = Some(Quote { mark: *byte, backslashes: run });
                }
                _ => {}
            },
            b'{' | b'[' | b'(' if inside.is_none() => depth += 1,
            b'}' | b']' | b')' if inside.is_none() => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        run = 0;
    }
    bytes.len()
}

/// `'a'` and `b'a'`, and not the apostrophe in `it's`.
fn begins_string(bytes: &[u8], at: usize) -> bool {
    match &bytes[..at] {
        [.., before, b'b' | b'u' | b'r' | b'N'] => !is_plain(before),
        [.., before] => !is_plain(before),
        [] => true,
    }
}

/// The text between quotation marks, brackets and tags, at any level.
pub(super) fn quoted_texts(text: &str) -> Vec<&str> {
    let parts = text.split(['"', '\'', '<', '>', '(', ')', '[', ']', '\n']);
    parts.map(|part| part.trim().trim_end_matches('\\')).collect()
}
