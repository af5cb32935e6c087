//! Keys and their values in text that is not JSON: a sentence, a header, a log line, an address, or
//! JSON that was cut off, at any depth of escaping.
//!
//! The text needs no structure: each separator (`:`, `=`, …) is checked, with the key before it.

use std::ops::Range;

use super::keys::{Key, Separator, Spacing};
use super::kind::{SecretKind, is_placeholder};
use super::names::{LONGEST, SecretName, is_header, is_name, is_password, is_value};
use super::options::CommandOption;
use super::quotes::quoted_texts;
use super::secrets::Secrets;
use super::sentences::{self, Opening};
use super::values::{TextValue, ValueShape};

/// Bytes between the two halves of `"name": "password", "value": "…"`.
const PAIRED_WITHIN: usize = 256;

/// A range of the text and its replacement.
pub(super) struct Edit {
    pub(super) place: Range<usize>,
    pub(super) new: String,
}

/// The values of secret keys.
pub(super) fn keyed(text: &str, pass: &mut dyn Secrets) -> Vec<Edit> {
    let mut edits: Vec<Edit> = Vec::new();
    let mut done = 0;
    let mut pair: Option<(usize, SecretName)> = None;
    for (at, byte) in text.bytes().enumerate() {
        if at < done || !Separator::may_begin(byte) {
            continue;
        }
        if byte == b'-'
            && let Some(option) = CommandOption::at(text, at)
            && pass.secret(option.name).is_some()
        {
            done = option.value.end;
            if pass.record_secret(&text[option.value.clone()]) {
                edits.push(Edit { place: option.value, new: SecretKind::Key.placeholder().to_owned() });
            }
            continue;
        }
        let Some(separator) = Separator::at(text, at) else { continue };
        let Some(key) = Key::before(text, &separator) else { continue };
        let secret = match pass.secret(&key.text) {
            Some(secret) => Some(secret),
            None if is_value(&key.text) => {
                pair.filter(|(named, _)| at - named < PAIRED_WITHIN).map(|(_, secret)| secret)
            }
            None => None,
        };
        let Some(secret) = secret else {
            if is_name(&key.text) {
                pair = name_after(text, separator.place.end).and_then(|name| Some((at, pass.secret(name)?)));
            }
            continue;
        };
        if tells_about(text, &separator, &key) {
            continue;
        }
        let Some(value) = TextValue::after(text, &separator, &key, is_header(&key.text)) else { continue };
        // Checked only once, whatever the result: the time stays linear.
        done = value.place.end;
        edits.extend(replaced(text, &key, value, secret, pass));
    }
    edits
}

/// Whether a sentence follows the key and its colon, rather than a value: `password: required`.
fn tells_about(text: &str, separator: &Separator, key: &Key<'_>) -> bool {
    let after = &text[separator.place.end..];
    if separator.kind != Spacing::Colon || key.quote.is_some() || !after.starts_with(' ') {
        return false;
    }
    let is_words = || key.text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b' ');
    let follows_word = || text[..key.start].trim_end().ends_with(char::is_alphanumeric);
    let is_loose = || is_words() && (key.text.contains(' ') || follows_word()) && !is_password(&key.text);
    match sentences::opening(after) {
        Opening::Sentence => true,
        Opening::Message => !is_password(&key.text),
        Opening::Clause => is_loose(),
        Opening::Value => is_loose() && sentences::begins_quoted(after),
    }
}

/// A short name after a separator, quoted or not.
fn name_after(text: &str, at: usize) -> Option<&str> {
    let bytes = text.as_bytes();
    let window = &bytes[at..bytes.len().min(at + LONGEST)];
    let around = |byte: &u8| matches!(byte, b'"' | b'\'' | b'\\' | b' ');
    let start = at + window.iter().take_while(|byte| around(byte)).count();
    let of_name = |byte: &&u8| !b"\"'\\,;&)]}>\r\n".contains(byte);
    let length = bytes[start..].iter().take(LONGEST).take_while(of_name).count();
    text.get(start..start + length)
}

fn replaced(
    text: &str,
    key: &Key<'_>,
    value: TextValue,
    secret: SecretName,
    pass: &mut dyn Secrets,
) -> Option<Edit> {
    let content = &text[value.place.clone()];
    let mark = SecretKind::Key.placeholder();
    let in_quotes = || key.quote.map_or(mark.to_owned(), |quote| quote.around(mark));
    let is_number = content.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
    let (taken, new) = match value.shape {
        ValueShape::Several => (record_secrets(content, pass), in_quotes()),
        ValueShape::Lines => (record_secrets(content, pass), mark.to_owned()),
        ValueShape::Quoted(quote) => {
            let said = quote.map_or_else(|| content.to_owned(), |quote| quote.plain(content));
            (pass.record_secret(&said), mark.to_owned())
        }
        ValueShape::Bare if says_nothing(content) || (is_number && secret == SecretName::NotNumbers) => {
            return None;
        }
        // JSON's numbers are bare; their placeholder has to be quoted.
        ValueShape::Bare => {
            (pass.record_secret(content), if is_number { in_quotes() } else { mark.to_owned() })
        }
    };
    taken.then_some(Edit { place: value.place, new })
}

/// Extends the range over brackets and the like, if there are any.
fn record_secrets(content: &str, pass: &mut dyn Secrets) -> bool {
    let is_something =
        content.bytes().any(|byte| !byte.is_ascii_whitespace() && !b"[]{}()<>\"'".contains(&byte));
    let is_something = is_something && !is_placeholder(content);
    if is_something {
        pass.record_secrets(&mut quoted_texts(content).into_iter());
    }
    is_something
}

fn says_nothing(value: &str) -> bool {
    // `unexpected token: (`
    let is_sign = value.len() <= 2 && value.bytes().all(|byte| byte.is_ascii_punctuation());
    let words = ["null", "none", "true", "false", "undefined", "nil"];
    is_sign || words.iter().any(|word| value.eq_ignore_ascii_case(word))
}
