//! Options of commands whose value is the next word: `--password x`.

use std::ops::Range;

use super::sentences;

/// Bytes of the longest name.
const LONGEST: usize = 64;

/// Ends of names whose value is not the secret but says where it is.
const ELSEWHERE: &[&str] = &["-stdin", "-file", "-path", "-from", "-env", "-prompt"];

/// An option and the word after it.
pub(super) struct CommandOption<'a> {
    pub(super) name: &'a str,
    pub(super) value: Range<usize>,
}

impl<'a> CommandOption<'a> {
    /// The option that begins here, if a value follows: not another option, and not a sentence.
    pub(super) fn at(text: &'a str, at: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        let begins = at.checked_sub(1).is_none_or(|before| !is_in_word(bytes[before]));
        let dashes = bytes[at..].iter().take(3).take_while(|byte| **byte == b'-').count();
        if !begins || dashes > 2 {
            return None;
        }
        let start = at + dashes;
        let of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let length = bytes[start..].iter().take(LONGEST).take_while(of_name).count();
        let name = &text[start..start + length];
        let spaces = bytes[start + length..].iter().take_while(|byte| **byte == b' ').count();
        if length < 3 || spaces == 0 || ELSEWHERE.iter().any(|end| name.ends_with(end)) {
            return None;
        }
        let value = value(bytes, start + length + spaces)?;
        let said = &text[value.start..];
        (!said.starts_with('-') && !sentences::begins(said, true)).then_some(Self { name, value })
    }
}

fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'.' | b'=')
}

/// The word here, without its quotation marks.
fn value(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let escapes = bytes[at..].iter().take_while(|byte| **byte == b'\\').count();
    let start = at + escapes + 1;
    let range = match bytes.get(at + escapes) {
        Some(mark @ (b'"' | b'\'')) => {
            let inside = &bytes[start..];
            let end = inside.iter().position(|byte| byte == mark || matches!(byte, b'\n' | b'\r'));
            let inside = &inside[..end.unwrap_or(inside.len())];
            let escapes = inside.iter().rev().take_while(|byte| **byte == b'\\').count();
            start..start + inside.len() - escapes
        }
        _ => {
            let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`|;<>)".contains(byte);
            let word = &bytes[at..];
            let word = &word[..word.iter().position(ends).unwrap_or(word.len())];
            let escape = word.windows(2).position(|pair| matches!(pair, [b'\\', b'n' | b'r' | b't']));
            at..at
                + escape.unwrap_or(word.len() - word.iter().rev().take_while(|byte| **byte == b'\\').count())
        }
    };
    (!range.is_empty()).then_some(range)
}
