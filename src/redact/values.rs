//! The value after a separator, and where it ends: quoted, in brackets, or bare.

use std::ops::Range;

use super::blocks::{self, newline};
use super::is_scheme;
use super::keys::{Key, Separator, Spacing};
use super::quotes::{Quote, backslashes, end_of_nested, is_plain};

/// Bytes in which brackets in a bare value have to close, and smart quotation marks.
const GROUP: usize = 256;

/// Bytes in which an element with others in it has to end.
const ELEMENT: usize = 2048;

/// Bytes in which the rest of a mark, `: JWT]`, is.
const MARK: usize = 24;

/// A value in a text.
pub(super) struct TextValue {
    pub(super) place: Range<usize>,
    pub(super) shape: ValueShape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueShape {
    /// One word, or a line.
    Bare,
    /// The text between two such marks, or between other marks that nothing escapes.
    Quoted(Option<Quote>),
    /// A list, an object, a call: texts with punctuation around them.
    Several,
    /// Texts on the lines after the key.
    Lines,
}

impl TextValue {
    fn new(place: Range<usize>, shape: ValueShape) -> Self {
        Self { place, shape }
    }

    /// The value of a key; a header's is the whole line.
    pub(super) fn after(text: &str, separator: &Separator, key: &Key<'_>, is_header: bool) -> Option<Self> {
        let at = separator.place.end;
        if let Some(element) = key.element {
            let open = separator.kind.tag();
            // `List<Token>` opens nothing.
            let is_type = text[..key.start - open.len()].ends_with(char::is_alphanumeric);
            let value = in_element(text, at, element, open);
            // `AUTH <password> called …` names a placeholder.
            let is_named_only = text[at..].starts_with(' ');
            let closes = text[value.place.end..].strip_prefix(open).is_some_and(|rest| rest.starts_with('/'));
            return (closes || !(is_type || is_named_only)).then_some(value);
        }
        let at = skip_marks(text, skip_space(text, at));
        let bytes = text.as_bytes();
        let at = next_line(text, at, separator.kind == Spacing::Arrow);
        if let Some(place) = blocks::after(text, at, key.start) {
            return Some(Self::new(place, ValueShape::Lines));
        }
        if let Some(end) = mark_at(text, at) {
            return Some(Self::new(at..end, ValueShape::Bare));
        }
        if let Some((quote, start)) = Quote::at(bytes, at) {
            return Some(quoted(bytes, quote, start));
        }
        if let Some(place) = between_smart(text, at) {
            return Some(Self::new(place, ValueShape::Quoted(None)));
        }
        match *bytes.get(at)? {
            b'{' | b'[' => Some(Self::new(at..end_of_nested(bytes, at, key.quote), ValueShape::Several)),
            b'\\' if newline(bytes, at).is_some() => None,
            _ if is_header && key.quote.is_none() => {
                let end = end_of_line(text, at, separator.kind == Spacing::Equals);
                Some(Self::new(at..end, ValueShape::Bare))
            }
            _ => Some(bare(text, at, key)),
        }
    }
}

/// Past spaces of all kinds on the same line.
fn skip_space(text: &str, at: usize) -> usize {
    let is_space = |char: char| char.is_whitespace() && !matches!(char, '\n' | '\r');
    text.len() - text[at..].trim_start_matches(is_space).len()
}

/// Past the end of the line, if something quoted or in brackets follows there, or a value has to.
fn next_line(text: &str, at: usize, has_to: bool) -> usize {
    let bytes = text.as_bytes();
    let mut next = at;
    while let Some(line) = newline(bytes, next) {
        next = skip_space(text, line);
    }
    let begins = match Quote::at(bytes, next) {
        // Where line ends are escaped, marks are, too.
        Some((quote, _)) => bytes[at] != b'\\' || quote.backslashes > 0,
        None => has_to || matches!(bytes.get(next), Some(b'[' | b'{')),
    };
    if next > at && begins { next } else { at }
}

/// Past YAML's anchors and tags: `&name`, `!!str`.
fn skip_marks(text: &str, at: usize) -> usize {
    let mut at = at;
    while text[at..].starts_with(['&', '!']) {
        let rest = &text[at..];
        let other = |char: char| !char.is_ascii_alphanumeric() && !"&!_-".contains(char);
        match rest.find(other) {
            Some(length) if length > 1 && rest[length..].starts_with(' ') => {
                at = skip_space(text, at + length)
            }
            _ => break,
        }
    }
    at
}

/// The end of a placeholder that is already here; cut or not.
fn mark_at(text: &str, at: usize) -> Option<usize> {
    let rest = text[at..].strip_prefix("[redacted")?;
    let closes = rest.bytes().take(MARK).position(|byte| byte == b']').map(|at| at + 1);
    let end = closes.or((rest.len() < MARK).then_some(rest.len()))?;
    (rest.is_empty() || rest.starts_with([':', ']'])).then_some(text.len() - rest.len() + end)
}

fn quoted(bytes: &[u8], quote: Quote, start: usize) -> TextValue {
    let mark = quote.mark;
    // '''three of them'''
    if quote.backslashes == 0 && bytes[start..].starts_with(&[mark; 2]) && bytes.len() > start + 2 {
        let inside = &bytes[start + 2..];
        let end = inside.windows(3).position(|three| three == [mark; 3]).unwrap_or(inside.len());
        return TextValue::new(start + 2..start + 2 + end, ValueShape::Quoted(Some(quote)));
    }
    TextValue::new(start..quote.end(bytes, start), ValueShape::Quoted(Some(quote)))
}

/// The text between `“` and `”` and the like here.
fn between_smart(text: &str, at: usize) -> Option<Range<usize>> {
    let open = text[at..].chars().next()?;
    let close = match open {
        '“' | '„' => ['”', '“'],
        '‘' | '‚' => ['’', '‘'],
        '«' => ['»'; 2],
        '「' => ['」'; 2],
        '`' => ['`', '\''],
        _ => return None,
    };
    let start = at + open.len_utf8();
    let length = text[start..].char_indices().take(GROUP).find(|(_, char)| close.contains(char))?.0;
    Some(start..start + length)
}

/// The content of an element: up to the next tag, or to its own end if others are in it.
fn in_element(text: &str, at: usize, name: &str, open: &str) -> TextValue {
    let rest = &text[at..];
    let next = rest.find(open).unwrap_or(rest.len());
    let inside = &rest[next..];
    let closes = inside[open.len().min(inside.len())..].starts_with('/');
    let end = if let Some(data) = inside.strip_prefix("<![CDATA[") {
        data.find("]]>").map_or(rest.len(), |end| rest.len() - data.len() + end + 3)
    } else if closes || inside.is_empty() {
        next
    } else {
        next + own_end(inside, name, open).unwrap_or(0)
    };
    let shape = if end == next { ValueShape::Bare } else { ValueShape::Several };
    TextValue::new(at..at + end, shape)
}

/// Where an element with others in it ends, if it does so soon and before another of its name.
fn own_end(inside: &str, name: &str, open: &str) -> Option<usize> {
    let tags = inside.match_indices(open).take_while(|(at, _)| *at < ELEMENT);
    let mut own = tags.filter_map(|(at, _)| {
        let tag = &inside[at + open.len()..];
        let closes = tag.starts_with('/');
        tag[usize::from(closes)..].starts_with(name).then_some((at, closes))
    });
    own.next().and_then(|(at, closes)| closes.then_some(at))
}

/// A word, with what is written around the texts in it: `b'…'`, `Some("…")`.
fn bare(text: &str, start: usize, key: &Key<'_>) -> TextValue {
    let bytes = text.as_bytes();
    let (end, shape) = word(text, start, key);
    let next = skip_space(text, end);
    if next == end {
        return TextValue::new(start..end, shape);
    }
    let said = &text[start..end];
    let names_type = said.bytes().all(|byte| byte.is_ascii_alphanumeric()) || said.ends_with(')');
    let (end, shape) = if names_type && Quote::at(bytes, next).is_some() {
        // Haskell's `Just "…"`, PHP's `string(10) "…"`.
        (end_with_mark(bytes, next).unwrap_or(end), ValueShape::Several)
    } else if names_type && bytes.get(next) == Some(&b'{') {
        // Rust's `Secret { inner: … }`.
        (end_of_nested(bytes, next, key.quote), ValueShape::Several)
    } else if is_scheme(said) || said == "new" {
        word(text, next, key)
    } else {
        (end, shape)
    };
    TextValue::new(start..end, shape)
}

fn word(text: &str, start: usize, key: &Key<'_>) -> (usize, ValueShape) {
    let bytes = text.as_bytes();
    if let Some(end) = end_of_prefixed(bytes, start) {
        return (end, ValueShape::Several);
    }
    let (mut at, mut shape, mut groups) = (start, ValueShape::Bare, true);
    while at < bytes.len() {
        let opens = groups && matches!(bytes[at], b'(' | b'[' | b'{');
        if let Some(end) = opens.then(|| end_of_group(bytes, at, key.quote)).flatten() {
            (at, shape) = (end, ValueShape::Several);
        } else if let Some(next) = goes_on(text, at) {
            (at, groups) = (next, groups && !opens);
        } else {
            break;
        }
    }
    (at, shape)
}

/// Where a quoted text ends, its mark included.
fn end_with_mark(bytes: &[u8], at: usize) -> Option<usize> {
    let (quote, start) = Quote::at(bytes, at)?;
    let end = quoted(bytes, quote, start).place.end;
    let marks = bytes[end..].iter().take_while(|byte| **byte == b'\\' || **byte == quote.mark);
    Some(
        end + marks
            .take(quote.backslashes + if end > start && bytes[start] == quote.mark { 3 } else { 1 })
            .count(),
    )
}

/// Where `b'…'`, `u"…"` and `N'…'` end.
fn end_of_prefixed(bytes: &[u8], at: usize) -> Option<usize> {
    let letters = bytes[at..].iter().take_while(|byte| b"bBfFrRuUNELq@$&*".contains(byte)).take(2).count();
    let (_, start) = Quote::at(bytes, at + letters)?;
    (letters > 0 && begins_text(bytes, start)).then(|| end_with_mark(bytes, at + letters))?
}

/// Whether what stands after a quotation mark may be quoted by it.
fn begins_text(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(|byte| !byte.is_ascii_whitespace() && !b",;:)]}>\\".contains(byte))
}

/// Where brackets in a value close, if they do so soon or what they hold is quoted.
fn end_of_group(bytes: &[u8], at: usize, key: Option<Quote>) -> Option<usize> {
    let inside = &bytes[at + 1..];
    let begins_line = inside.first().is_some_and(|byte| matches!(byte, b'\n' | b'\r'));
    if begins_line || matches!(inside.trim_ascii_start().first(), Some(b'"' | b'\'')) {
        return Some(end_of_nested(bytes, at, key));
    }
    let window = &bytes[..bytes.len().min(at + GROUP)];
    let end = end_of_nested(window, at, key);
    let closes = matches!(bytes[end - 1], b')' | b']' | b'}') && end > at + 1;
    (closes && !bytes[at..end].contains(&b'\n')).then_some(end)
}

/// Where a bare value continues after the punctuation here, if it does: punctuation is part of it
/// between two characters, unless another key follows.
fn goes_on(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let past = |of: &[u8]| at + bytes[at..].iter().take_while(|byte| of.contains(byte)).count();
    let is_text = |at: usize| {
        let of_it =
            |byte: &u8| byte.is_ascii_graphic() && !b",;&)]}\"'<>\\".contains(byte) || !byte.is_ascii();
        bytes.get(at).is_some_and(of_it) && !bytes[at..].starts_with(b"[redacted")
    };
    let is_word = |at: usize| bytes.get(at).is_some_and(is_plain);
    let (next, goes_on) = match bytes[at] {
        b',' | b';' | b'&' => {
            let next = if bytes[at..].starts_with(b"&amp;") { at + 5 } else { past(b",;&") };
            (next, is_text(next) && !key_follows(bytes, next))
        }
        b')' | b']' | b'}' | b'>' => {
            let next = past(b")]}>");
            (next, is_text(next))
        }
        b'"' | b'\'' => (at + 1, is_word(at + 1)),
        b'<' => (at + 1, is_text(at + 1) && !matches!(bytes[at + 1], b'/' | b'!' | b'?')),
        b'\\' => {
            let next = past(b"\\");
            let after = next
                + match bytes.get(next) {
                    Some(b'n' | b'r' | b't') => 1,
                    Some(b'u') => 5,
                    _ => 0,
                };
            let is_mark = matches!(bytes.get(next), Some(b'"' | b'\''));
            let goes_on = is_text(after) && (after == next || !key_follows(bytes, after));
            (next, goes_on || (is_mark && is_word(next + 1)))
        }
        b'%' if bytes[at..].starts_with(b"%26") => (at + 3, !key_follows(bytes, at + 3)),
        _ => {
            let char = text[at..].chars().next()?;
            (at + char.len_utf8(), !char.is_whitespace())
        }
    };
    goes_on.then_some(next)
}

/// Whether `key=`, `key:` or `key%3D` stands here.
fn key_follows(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    let of_key = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-.$[]".contains(byte);
    let length = rest.iter().take(64).take_while(of_key).count();
    let begins = rest.first().is_some_and(|byte| byte.is_ascii_alphabetic() || b"_$".contains(byte));
    let after = &rest[length..];
    let value = |after: &[u8]| after.first().is_some_and(|byte| *byte != b'=' && !byte.is_ascii_whitespace());
    begins
        && match after {
            [b'=', value_of @ ..] => value(value_of),
            [b':', ..] => rest[..length].iter().all(u8::is_ascii_alphabetic),
            _ => after.starts_with(b"%3D") || after.starts_with(b"%3d"),
        }
}

/// Where a header's value ends: with the line, or with the text it is quoted in. One after `=` ends
/// with what surrounds it too.
fn end_of_line(text: &str, start: usize, is_item: bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = start;
    while at < bytes.len() && !(bytes[at] != b'\t' && bytes[at].is_ascii_control()) {
        let run = backslashes(bytes, at);
        let quote = Quote::at(bytes, at);
        let ends = match (&bytes[at..], quote) {
            // The padding of base64 may stand before the mark that ends it all.
            (_, Some((_, start))) if bytes[at - 1] != b'=' || !begins_text(bytes, start) => true,
            (_, Some(_)) => {
                at = end_with_mark(bytes, at).unwrap_or(bytes.len());
                continue;
            }
            (_, None) if run > 0 => newline(bytes, at).is_some(),
            ([b'<', b'/', ..], None) => true,
            ([b'&', ..], None) => is_item && key_follows(bytes, at + 1),
            ([b' ' | b'\t', ..], None) => is_item && bytes[at - 1] != b';' && key_follows(bytes, at + 1),
            ([b',', b' ', ..] | [b'}' | b')', ..], None) => is_item,
            _ => false,
        };
        if ends {
            break;
        }
        at += run.max(1);
    }
    while !text.is_char_boundary(at) {
        at += 1;
    }
    start + text[start..at].trim_end().len()
}
