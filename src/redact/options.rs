//! Options of commands whose value is the next word: `--password x`, also as elements of a list.

use std::borrow::Cow;
use std::ops::Range;

use super::kind::SecretKind;
use super::rules;
use super::secrets::Secrets;
use super::sentences::{Opening, opening};

/// Bytes of the longest name.
const LONGEST: usize = 64;

/// Ends of names whose value is not the secret but its location.
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
        let gap = gap(&bytes[start + length..], at.checked_sub(1).map(|before| bytes[before]));
        if length < 3 || gap == 0 || ELSEWHERE.iter().any(|end| name.ends_with(end)) {
            return None;
        }
        let value = value(bytes, start + length + gap)?;
        let said = &text[value.start..];
        (!said.starts_with('-') && opening(said) != Opening::Sentence).then_some(Self { name, value })
    }
}

/// The secrets among the arguments of a command, each with the number of its argument.
pub(super) fn of_list(arguments: &[Cow<'_, str>], pass: &mut dyn Secrets) -> Vec<(usize, Range<usize>)> {
    let mut line = String::new();
    let mut places = Vec::new();
    for argument in arguments {
        let start = line.len();
        // One argument is one word of the line.
        line.extend(
            argument.chars().map(|char| if matches!(char, ' ' | '\n' | '"' | '\'') { '_' } else { char }),
        );
        if line.len() - start != argument.len() {
            return Vec::new();
        }
        places.push(start..line.len());
        line.push(' ');
    }
    let dashes = line.match_indices('-').filter_map(|(at, _)| CommandOption::at(&line, at));
    let mut found: Vec<Range<usize>> =
        dashes.filter(|option| pass.secret(option.name).is_some()).map(|option| option.value).collect();
    found.extend(
        rules::find(&line).into_iter().filter(|one| one.kind == SecretKind::Key).map(|one| one.place),
    );
    found.sort_by_key(|place| place.start);
    let mut secrets: Vec<(usize, Range<usize>)> = Vec::new();
    for place in found {
        let Some(number) = places.iter().position(|argument| argument.contains(&place.start)) else {
            continue;
        };
        let argument = &places[number];
        let place = place.start - argument.start..place.end.min(argument.end) - argument.start;
        if secrets.last().is_none_or(|(last, _)| *last != number)
            && pass.record_secret(&arguments[number][place.clone()])
        {
            secrets.push((number, place));
        }
    }
    secrets
}

fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'.' | b'=')
}

/// Bytes between an option and its value: spaces, or, in a list, the mark that quotes the option and a
/// comma.
fn gap(bytes: &[u8], before: Option<u8>) -> usize {
    let count = |from: usize, of: u8| bytes[from..].iter().take_while(|byte| **byte == of).count();
    let escapes = count(0, b'\\');
    match bytes[escapes..] {
        [mark @ (b'\"' | b'\''), b',', ..] if before == Some(mark) => escapes + 2 + count(escapes + 2, b' '),
        _ => count(0, b' '),
    }
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
