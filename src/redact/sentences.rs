//! Sentences about secrets: `token: invalid signature` describes an event and contains no token.
//!
//! Classifies unquoted text after `key: `. In doubt the text is not a sentence, so
//! the value is removed.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Bytes of a text that decide.
const WINDOW: usize = 64;

/// Words of a clause that are looked at.
const WORDS: usize = 12;

/// How a text begins that stands after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// A sentence: `invalid signature`, `the token has expired`, `401 Unauthorized`.
    Sentence,
    /// Two words of which the first often begins a message: `connection pool`; or `invalid_grant`.
    Message,
    /// Plain words, and a later one names an event: `execution resource retrieval failed`.
    Clause,
    /// Anything else.
    Value,
}

/// How a text begins, spaces left out.
pub(super) fn opening(text: &str) -> Opening {
    let mut end = text.len().min(WINDOW);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // What is quoted, or comes after an escape, decides nothing.
    let line = text[..end].split(['\n', '\r', '"', '\\']).next().unwrap_or_default();
    let is_cut = line.ends_with(' ') && line.len() < end;
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let Some(first) = words.next() else { return Opening::Value };
    let second = words.next();
    let part_of_second = second.and_then(|second| part(bare(second)));
    let Some(name) = plain(first) else {
        return match first {
            _ if is_status(first) && part_of_second == Some(SentencePart::Verdict) => Opening::Sentence,
            _ if names_error(bare(first)) => Opening::Sentence,
            _ if is_code(bare(first)) => Opening::Message,
            _ => Opening::Value,
        };
    };
    let ends_clause = first.len() > name.len();
    let goes_on = !ends_clause && (is_cut || second.is_some());
    match part(name) {
        _ if is_error(name) => Opening::Sentence,
        Some(SentencePart::Verdict) => Opening::Sentence,
        Some(SentencePart::Grammar) if goes_on => Opening::Sentence,
        Some(SentencePart::Noun)
            if goes_on && matches!(part_of_second, Some(SentencePart::Verdict | SentencePart::Grammar)) =>
        {
            Opening::Sentence
        }
        Some(SentencePart::Noun) if goes_on && second.is_none_or(is_word) => Opening::Message,
        _ if !ends_clause && tells(name, second, words) => Opening::Clause,
        _ => Opening::Value,
    }
}

fn is_word(word: &str) -> bool {
    plain(word).is_some() || word.starts_with(['/', '('])
}

/// Whether the text begins with a quoted sentence: `'Invalid token'`.
pub(super) fn begins_quoted(text: &str) -> bool {
    let quoted = text.trim_start_matches([' ', '\\']).strip_prefix(['\'', '"']);
    quoted
        .and_then(|quoted| quoted.split_once(' '))
        .is_some_and(|(first, _)| part(first) == Some(SentencePart::Verdict))
}

/// Whether a clause of plain words has a verdict as its third word or later: one directly after the
/// first word would speak about a value, as in `key: abc failed`.
fn tells<'a>(first: &str, second: Option<&'a str>, rest: impl Iterator<Item = &'a str>) -> bool {
    let is_small = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_second = |word: &str| {
        is_small(word) && !matches!(part(word), Some(SentencePart::Verdict | SentencePart::Grammar))
    };
    if !is_small(first) || !second.is_some_and(is_second) {
        return false;
    }
    for word in rest.take(WORDS) {
        let Some(name) = plain(word) else { return false };
        if part(name) == Some(SentencePart::Verdict) {
            return true;
        }
        if name.len() < word.len() {
            return false;
        }
    }
    false
}

/// A word of letters, without the punctuation after it.
fn plain(word: &str) -> Option<&str> {
    let name = bare(word);
    let is_letter = |char: char| char.is_alphabetic() || matches!(char, '\'' | '’' | '-');
    (name.starts_with(char::is_alphabetic) && name.chars().all(is_letter)).then_some(name)
}

fn bare(word: &str) -> &str {
    word.trim_end_matches(['.', ',', ':', ';', '!', '?', ')', ']', '}', '\''])
}

/// The role of a word in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SentencePart {
    Verdict,
    Grammar,
    Noun,
}

fn part(word: &str) -> Option<SentencePart> {
    static PARTS: LazyLock<HashMap<&str, SentencePart>> = LazyLock::new(|| {
        let lists = [
            (NOUNS, SentencePart::Noun),
            (GRAMMAR, SentencePart::Grammar),
            (VERDICTS, SentencePart::Verdict),
        ];
        lists
            .into_iter()
            .flat_map(|(list, part)| list.split_whitespace().map(move |word| (word, part)))
            .collect()
    });
    PARTS.get(word.to_ascii_lowercase().as_str()).copied()
}

/// `ResourceNotFoundException`.
fn is_error(word: &str) -> bool {
    ["Error", "Exception", "Fault"].iter().any(|end| word.ends_with(end))
}

/// `401 Unauthorized`: an HTTP status before its words.
fn is_status(word: &str) -> bool {
    matches!(bare(word).as_bytes(), [b'4' | b'5', b'0' | b'1' | b'2' | b'3', b'0'..=b'9'])
}

/// `java.io.IOException`, `AADSTS7000215`, `ORA-01017`, and Go's `x509`.
fn names_error(name: &str) -> bool {
    let in_package = name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'.') && is_error(name);
    let is_number = |number: &str| number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit());
    let numbered = ["AADSTS", "ORA-"].iter().any(|prefix| name.strip_prefix(prefix).is_some_and(is_number));
    in_package || numbered || name == "x509"
}

/// `invalid_grant`, `access_denied`.
fn is_code(name: &str) -> bool {
    let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    letters && name.split('_').any(|word| part(word) == Some(SentencePart::Verdict))
}

/// Words for an event, a state or a type.
const VERDICTS: &str = include_str!("sentences/verdicts.txt");

/// Function words.
const GRAMMAR: &str = include_str!("sentences/grammar.txt");

/// Nouns and verbs with which messages begin. One alone may be a value.
const NOUNS: &str = include_str!("sentences/nouns.txt");

#[cfg(test)]
mod tests {
    use super::{Opening, opening};

    #[test]
    fn a_value_is_not_a_sentence() {
        for value in [
            "hunter2",
            "hunter",
            "abc failed",
            "correct horse battery staple",
            "Tr0ub4dor&3",
            "server",
            "connection",
            "s3rver connection failed",
            "aB3dE-xyz",
            "123456",
            "4521 then",
            "password-of-mine",
            "p4ss is wrong",
            "hunter is wrong",
            "orders.db",
            "my_secret_value",
            "request-id-7",
            "",
        ] {
            assert_eq!(opening(value), Opening::Value, "{value}");
        }
    }

    #[test]
    fn how_sure_a_sentence_is_depends_on_its_first_words() {
        assert_eq!(opening("invalid_grant"), Opening::Message);
        assert_eq!(opening("connection refused"), Opening::Sentence);
        assert_eq!(opening("connection pool"), Opening::Message);
        assert_eq!(opening("registration handler failed: no route"), Opening::Clause);
    }
}
