//! Keys and their values in text that is no JSON: a sentence, a header, a log line, an address, or
//! JSON that was cut off, at whichever depth of escaping.
//!
//! Nothing has to line up: each `:` and `=` is looked at, with the key before it. A quotation mark
//! escaped n times has 2ⁿ − 1 backslashes before it, so a value ends at the mark with as many as it
//! began with.

use std::ops::Range;

use super::json::{is_name, is_value};
use super::names::Secret;
use super::patterns::Kind;
use super::sweep::Sweep;
use crate::analysis::cause::unescape;

/// Bytes before a separator in which its key is looked for.
const LONGEST_KEY: usize = 128;

/// Bytes between the two halves of `"name": "password", "value": "…"`.
const PAIRED_WITHIN: usize = 256;

/// How deeply escaped a text may be.
const DEEPEST: u32 = 12;

/// A place in the text and what is to stand there.
pub(super) struct Edit {
    pub(super) place: Range<usize>,
    pub(super) new: String,
}

/// The values of secret keys.
pub(super) fn keyed(text: &str, sweep: &mut Sweep<'_>) -> Vec<Edit> {
    let bytes = text.as_bytes();
    let mut edits: Vec<Edit> = Vec::new();
    let mut done = 0;
    let mut pair: Option<(usize, Secret)> = None;
    for (at, byte) in bytes.iter().enumerate() {
        if at < done || !matches!(byte, b':' | b'=' | b'>') {
            continue;
        }
        let Some(key) = key_before(text, at, *byte) else { continue };
        let secret = match sweep.secret(key.text) {
            Some(secret) => Some(secret),
            None if is_value(key.text) => {
                pair.filter(|(named, _)| at - named < PAIRED_WITHIN).map(|(_, secret)| secret)
            }
            None => None,
        };
        let Some(secret) = secret else {
            if is_name(key.text) && key.quote.is_some() {
                pair = quoted_after(text, at + 1).and_then(|name| Some((at, sweep.secret(name)?)));
            }
            continue;
        };
        let Some(value) = value_after(text, at + 1, &key) else { continue };
        // Looked at once, whatever becomes of it: the time stays linear.
        done = value.place.end;
        edits.extend(replaced(text, &key, value, secret, sweep));
    }
    edits
}

/// A quotation mark and the backslashes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quote {
    mark: u8,
    backslashes: usize,
}

struct Key<'a> {
    text: &'a str,
    quote: Option<Quote>,
    is_element: bool,
}

struct Value {
    place: Range<usize>,
    quote: Option<Quote>,
    is_nested: bool,
}

fn key_before(text: &str, separator: usize, byte: u8) -> Option<Key<'_>> {
    let bytes = text.as_bytes();
    // `=>` is one, `>=` and `a > b` are not.
    let end = match byte {
        b'>' if bytes[..separator].last() == Some(&b'=') => separator - 1,
        b'>' => return element_before(text, separator),
        b'=' if matches!(bytes.get(separator + 1), Some(b'=' | b'>')) => return None,
        _ => separator,
    };
    let from = separator.saturating_sub(LONGEST_KEY);
    let window = &bytes[from..end];
    let end = from + window.trim_ascii_end().len();
    if separator - end > 4 {
        return None;
    }
    let last = *bytes.get(end.checked_sub(1)?)?;
    if matches!(last, b'"' | b'\'') {
        let backslashes = bytes[from..end - 1].iter().rev().take_while(|byte| **byte == b'\\').count();
        let inner = end - 1 - backslashes;
        let start = from + bytes.get(from..inner)?.iter().rposition(|byte| *byte == last)? + 1;
        let quote = Some(Quote { mark: last, backslashes });
        return Some(Key { text: text.get(start..inner)?, quote, is_element: false });
    }
    let of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let word = |end: usize| end - bytes[from..end].iter().rev().take_while(|byte| of_word(byte)).count();
    let mut start = word(end);
    // An ARN's parts are not keys: `arn:aws:secretsmanager:…:secret:name`.
    if start == end || (start > 0 && bytes[start - 1] == b':' && byte == b':') {
        return None;
    }
    // An escape's letter is no part of a word.
    if start > 0 && bytes[start - 1] == b'\\' && matches!(bytes[start], b'n' | b'r' | b't') {
        start += 1;
    } else if start > from && bytes[start - 1] == b' ' && byte == b':' {
        // `api key: …`
        start = word(start - 1);
    }
    Some(Key { text: text.get(start..end)?, quote: None, is_element: false })
}

/// `<password>`, `<ns:password type="plain">`.
fn element_before(text: &str, end: usize) -> Option<Key<'_>> {
    let bytes = text.as_bytes();
    let from = end.saturating_sub(LONGEST_KEY);
    let start = from + bytes[from..end].iter().rposition(|byte| *byte == b'<')? + 1;
    let tag = text.get(start..end).filter(|tag| !tag.starts_with(['/', '!', '?']) && !tag.ends_with('/'))?;
    Some(Key { text: tag.split_whitespace().next()?, quote: None, is_element: true })
}

fn value_after(text: &str, at: usize, key: &Key<'_>) -> Option<Value> {
    if key.is_element {
        let end = text[at..].find('<').map_or(text.len(), |length| at + length);
        return Some(Value { place: at..end, quote: None, is_nested: false });
    }
    let bytes = text.as_bytes();
    let space = bytes[at..].iter().take(8).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let at = at + space;
    let backslashes = bytes[at..].iter().take_while(|byte| **byte == b'\\').count();
    let start = at + backslashes;
    match *bytes.get(start)? {
        mark @ (b'"' | b'\'') => {
            let quote = Quote { mark, backslashes };
            let place = start + 1..end_of_quoted(bytes, start + 1, quote);
            Some(Value { place, quote: Some(quote), is_nested: false })
        }
        b'{' | b'[' if backslashes == 0 && !text[start..].starts_with("[redacted") => {
            let place = start..end_of_nested(bytes, start, key.quote);
            Some(Value { place, quote: None, is_nested: true })
        }
        _ if backslashes > 0 => None,
        _ => Some(Value { place: start..end_of_bare(text, start), quote: None, is_nested: false }),
    }
}

/// Where a quoted text ends, without the backslashes of the mark that ends it.
fn end_of_quoted(bytes: &[u8], start: usize, quote: Quote) -> usize {
    let mut run = 0;
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'\\' => run += 1,
            _ if *byte == quote.mark && ends(run, quote) => return at - run.min(quote.backslashes),
            _ => run = 0,
        }
    }
    bytes.len()
}

/// Whether a mark after so many backslashes is on the level of this one, or further out.
fn ends(run: usize, quote: Quote) -> bool {
    run < quote.backslashes || run % (2 * (quote.backslashes + 1)) == quote.backslashes
}

fn end_of_nested(bytes: &[u8], start: usize, key: Option<Quote>) -> usize {
    let quote = key.unwrap_or(Quote { mark: b'"', backslashes: 0 });
    let (mut run, mut depth, mut in_string) = (0, 0_usize, false);
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'\\' => {
                run += 1;
                continue;
            }
            _ if *byte == quote.mark && run < quote.backslashes => return at - run,
            _ if *byte == quote.mark && ends(run, quote) => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => {
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

/// A short quoted text after a separator.
fn quoted_after(text: &str, at: usize) -> Option<&str> {
    let bytes = text.as_bytes();
    let window = &bytes[at..bytes.len().min(at + LONGEST_KEY)];
    let open = window.iter().position(|byte| matches!(byte, b'"' | b'\''))?;
    let rest = &window[open + 1..];
    let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\'' | b'\\'))?;
    text.get(at + open + 1..at + open + 1 + length)
}

/// What stands between quotation marks, at whichever level.
fn quoted_texts(text: &str) -> Vec<&str> {
    text.split(['"', '\'']).map(|part| part.trim_end_matches('\\')).collect()
}

fn end_of_bare(text: &str, start: usize) -> usize {
    let stops = |char: char| char.is_whitespace() || ",;&)]}\"'<>\\".contains(char);
    let word = |from: usize| text[from..].find(stops).map_or(text.len(), |length| from + length);
    let end = word(start);
    let schemes = ["bearer", "basic", "digest", "token", "apikey", "negotiate"];
    let is_scheme = schemes.iter().any(|scheme| text[start..end].eq_ignore_ascii_case(scheme));
    if is_scheme && text[end..].starts_with(' ') { word(end + 1) } else { end }
}

fn replaced(text: &str, key: &Key<'_>, value: Value, secret: Secret, sweep: &mut Sweep<'_>) -> Option<Edit> {
    let content = &text[value.place.clone()];
    let mark = Kind::Key.mark();
    if value.is_nested {
        if content.get(1..content.len() - 1).is_some_and(|inside| inside.trim().is_empty()) {
            return None;
        }
        let quote = key.quote.map_or(String::new(), |quote| {
            format!("{}{}", "\\".repeat(quote.backslashes), char::from(quote.mark))
        });
        sweep.take_all(quoted_texts(content));
        return Some(Edit { place: value.place, new: format!("{quote}{mark}{quote}") });
    }
    let is_bare = value.quote.is_none();
    let says_nothing = ["null", "none", "true", "false", "undefined", "nil"]
        .iter()
        .any(|word| content.eq_ignore_ascii_case(word));
    let is_number = content.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
    if is_bare && (says_nothing || (is_number && secret == Secret::NotNumbers)) {
        return None;
    }
    let said = value.quote.map_or_else(|| content.to_owned(), |quote| plain(content, quote));
    // JSON's numbers are bare; what stands there instead has to be quoted.
    let new = match key.quote.filter(|_| is_bare && is_number) {
        Some(quote) => {
            let quote = format!("{}{}", "\\".repeat(quote.backslashes), char::from(quote.mark));
            format!("{quote}{mark}{quote}")
        }
        None => mark.to_owned(),
    };
    sweep.take(&said).then_some(Edit { place: value.place, new })
}

/// What a text says that is escaped as often as its quotation mark is.
fn plain(content: &str, quote: Quote) -> String {
    let mut text = content.to_owned();
    if quote.mark == b'"' && text.contains('\\') {
        let levels = (quote.backslashes + 1).ilog2().min(DEEPEST) + 1;
        for _ in 0..levels {
            text = unescape(&format!("\"{text}\""));
        }
    }
    text
}
