//! The separators between keys and values, and the keys before them.

use std::borrow::Cow;
use std::ops::Range;

use super::names::UNSEEN;
use super::names::{LONGEST, is_name};
use super::quotes::Quote;

/// Bytes of space that may stand between a key and its separator.
const SPACE: usize = 32;

/// The separator between a key and its value.
pub(super) struct Separator {
    pub(super) place: Range<usize>,
    pub(super) kind: Spacing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spacing {
    Colon,
    Equals,
    /// `=>`, `->`
    Arrow,
    /// The end of a tag: `<password>`.
    Tag,
    /// The same, escaped: `&lt;password&gt;`.
    EscapedTag,
}

impl Spacing {
    /// What tags begin with.
    pub(super) fn tag(self) -> &'static str {
        if self == Self::EscapedTag { "&lt;" } else { "<" }
    }
}

impl Separator {
    /// Whether one may begin or end with this byte, or an option of a command.
    pub(super) fn may_begin(byte: u8) -> bool {
        matches!(byte, b':' | b'=' | b'>' | b';' | b'%' | b'-' | 0xef)
    }

    /// The one that is here, or ends here.
    pub(super) fn at(text: &str, at: usize) -> Option<Self> {
        let (before, rest) = text.as_bytes().split_at(at);
        let (start, end, kind) = match rest {
            [b':', b'=', ..] => (at, at + 2, Spacing::Equals),
            // `auth::Error`; `==` and `=>` below.
            [b':', b':', ..] => return None,
            [b':', ..] if before.last() != Some(&b':') => (at, at + 1, Spacing::Colon),
            [b'=', b'=' | b'>', ..] => return None,
            [b'=', ..] => (at, at + 1, Spacing::Equals),
            [b'>', rest @ ..] => match before {
                [.., b'='] => (at - 1, at + 1, Spacing::Arrow),
                [.., b'-'] if rest.first() == Some(&b' ') => (at - 1, at + 1, Spacing::Arrow),
                _ => (at, at + 1, Spacing::Tag),
            },
            [b';', ..] if before.ends_with(b"&gt") => (at - 3, at + 1, Spacing::EscapedTag),
            [b'%', code @ ..] => {
                let again = code.chunks_exact(2).take_while(|pair| pair == b"25").count();
                let end = at + 1 + 2 * again + 2;
                match code.get(2 * again..2 * again + 2)? {
                    [b'3', b'd' | b'D'] => (at, end, Spacing::Equals),
                    [b'3', b'a' | b'A'] => (at, end, Spacing::Colon),
                    _ => return None,
                }
            }
            _ if text.get(at..)?.starts_with('：') => (at, at + 3, Spacing::Colon),
            _ if text[at..].starts_with('＝') => (at, at + 3, Spacing::Equals),
            _ => return None,
        };
        Some(Self { place: start..end, kind })
    }
}

pub(super) struct Key<'a> {
    pub(super) text: Cow<'a, str>,
    /// Where it begins.
    pub(super) start: usize,
    pub(super) quote: Option<Quote>,
    /// The name of the element whose text is the value.
    pub(super) element: Option<&'a str>,
}

impl<'a> Key<'a> {
    /// The key before a separator.
    pub(super) fn before(text: &'a str, separator: &Separator) -> Option<Self> {
        match separator.kind {
            Spacing::Tag | Spacing::EscapedTag => Self::of_element(text, separator),
            _ => Self::of_value(text, separator),
        }
    }

    fn of_value(text: &'a str, separator: &Separator) -> Option<Self> {
        let bytes = text.as_bytes();
        let before = separator.place.start;
        let from = window_before(text, before);
        let end = from + text[from..before].trim_end().len();
        if before - end > SPACE {
            return None;
        }
        // No key stands between two separators that are escaped.
        if bytes[..end].ends_with(b"%3D") || bytes[..end].ends_with(b"%3d") {
            return None;
        }
        let last = *bytes.get(end.checked_sub(1)?)?;
        if matches!(last, b'"' | b'\'') {
            let backslashes = bytes[from..end - 1].iter().rev().take_while(|byte| **byte == b'\\').count();
            let inner = end - 1 - backslashes;
            let start = from + bytes.get(from..inner)?.iter().rposition(|byte| *byte == last)? + 1;
            let quote = Some(Quote { mark: last, backslashes });
            // `Get "https://host/token": …` quotes an address.
            let key = text.get(start..inner).filter(|key| !key.contains("://"))?;
            return Some(Self { text: key.into(), start, quote, element: None });
        }
        let word = |end: usize| start_of_word(text, from, end);
        let mut start = match last {
            b']' => word(from + subscript(&text[from..end])?),
            _ => word(end),
        };
        if start == end {
            return None;
        }
        let is_colon = separator.kind == Spacing::Colon;
        let spaced = bytes.get(separator.place.end).is_none_or(u8::is_ascii_whitespace);
        // An ARN's parts are not keys: `arn:aws:secretsmanager:…:secret:name`.
        if start > 0 && bytes[start - 1] == b':' && is_colon && !spaced {
            return None;
        }
        // An escape's letter is no part of a word.
        if start > 0 && bytes[start - 1] == b'\\' && matches!(bytes[start], b'n' | b'r' | b't') {
            start += 1;
        } else if is_colon && follows_word(&text[from..start]) {
            // `api key: …`
            start = word(start - 1);
        }
        let key = text.get(start..end)?;
        let text = if key.contains('%') { last_decoded(key).into() } else { key.into() };
        Some(Self { text, start, quote: None, element: None })
    }

    /// `<password>`, `<ns:password type="plain">`, `<param name="password">`.
    fn of_element(text: &'a str, separator: &Separator) -> Option<Self> {
        let (end, open) = (separator.place.start, separator.kind.tag());
        let from = window_before(text, end);
        let start = from + text[from..end].rfind(open)? + open.len();
        let tag =
            text.get(start..end).filter(|tag| !tag.starts_with(['/', '!', '?']) && !tag.ends_with('/'))?;
        let name = tag.split_whitespace().next()?;
        let label = tag.split_whitespace().find_map(|attribute| {
            let (key, value) = attribute.split_once('=')?;
            is_name(key).then(|| value.trim_matches(['"', '\'', '\\']))
        });
        let text = label.map_or(name.into(), |label| format!("{name} {label}").into());
        Some(Self { text, start, quote: None, element: Some(name) })
    }
}

/// Where the bytes begin in which a key is looked for that ends here.
fn window_before(text: &str, end: usize) -> usize {
    let mut from = end.saturating_sub(LONGEST);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    from
}

fn of_word(char: char) -> bool {
    match char {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '%' => true,
        _ => !char.is_ascii() && (char.is_alphanumeric() || UNSEEN.contains(&char)),
    }
}

fn start_of_word(text: &str, from: usize, end: usize) -> usize {
    let is_plain = |byte: &u8| byte.is_ascii() && of_word(char::from(*byte));
    let plain = text.as_bytes()[from..end].iter().rev().take_while(|byte| is_plain(byte)).count();
    let start = end - plain;
    if start > from && !text.as_bytes()[start - 1].is_ascii() {
        return from + text[from..start].trim_end_matches(of_word).len();
    }
    start
}

/// Whether a text ends in a word and the space after it.
fn follows_word(before: &str) -> bool {
    before.strip_suffix(' ').is_some_and(|before| before.ends_with(char::is_alphanumeric))
}

/// Where the brackets begin at the end of `user[password]`, `config["password"]`.
fn subscript(key: &str) -> Option<usize> {
    let open = key.rfind('[')?;
    let inside = &key[open + 1..key.len() - 1];
    let of_it = |char: char| of_word(char) || matches!(char, '"' | '\'' | '\\' | '.' | ':');
    // A placeholder is a value, and not the brackets of `key[…]`.
    (!inside.starts_with("redacted") && inside.chars().all(of_it)).then_some(open)
}

/// The last key in a part of an address, escaped once or several times.
fn last_decoded(key: &str) -> String {
    let from = ["%3D", "%3d", "%26"].iter().filter_map(|escape| key.rfind(escape)).max();
    let key = decoded(from.map_or(key, |from| &key[from..]));
    let parts = ['?', '&', '=', '/', ';', ',', ' ', ':', '"'];
    key.rsplit(parts).find(|key| !key.is_empty()).unwrap_or("").to_owned()
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        // `%255B` is `%5B` escaped again.
        let mut code = at + 1;
        while bytes[at] == b'%' && bytes.get(code..code + 2) == Some(b"25") {
            code += 2;
        }
        let hex = text.get(code..code + 2).filter(|_| bytes[at] == b'%');
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(byte.unwrap_or(bytes[at]));
        at = if byte.is_some() { code + 2 } else { at + 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}
