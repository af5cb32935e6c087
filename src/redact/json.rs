//! JSON text edited in place: all bytes that are not removed stay the same.
//!
//! For text that a parser has accepted. The walk does not recurse into nested values, only
//! into JSON in strings, which its caller limits.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::names::{SecretName, is_name, is_value};
use super::options;
use super::secrets::Secrets;
use crate::json_escape::unescape;

/// Strings of a list that are read as a command and its arguments.
const ARGUMENTS: usize = 64;

/// An object or a list that the walk is in.
#[derive(Clone, Copy, Default)]
struct Nesting {
    /// The object is `{"name": "DB_PASSWORD", …}`: its value is secret.
    pair: Option<SecretName>,
}

/// Valid JSON without secrets; `None` if it stays as it is.
pub(super) fn rewrite(text: &str, pass: &mut dyn Secrets, depth: usize) -> Option<String> {
    let mut edits = Edits { text, out: String::new(), copied: 0 };
    let bytes = text.as_bytes();
    let mut frames: Vec<Nesting> = Vec::new();
    // Where strings begin that hold the secret arguments of a command.
    let mut arguments: BTreeMap<usize, Range<usize>> = BTreeMap::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let end = end_of_string(bytes, at);
                if let Some(secret) = arguments.remove(&at) {
                    let mut argument = content(&text[at..end]).into_owned();
                    argument.replace_range(secret, super::kind::SecretKind::Key.placeholder());
                    edits.replace(at, end, &quoted(&argument));
                    at = end;
                    continue;
                }
                let after = skip_space(bytes, end);
                if bytes.get(after) != Some(&b':') {
                    if let Some(new) = pass.text(&content(&text[at..end]), depth + 1) {
                        edits.replace(at, end, &quoted(&new));
                    }
                    at = end;
                    continue;
                }
                let key = content(&text[at..end]);
                let value = skip_space(bytes, after + 1);
                at = value;
                let frame = frames.last_mut();
                let pair = frame.as_ref().and_then(|frame| frame.pair);
                let secret = pass.secret(&key).or(pair.filter(|_| is_value(&key)));
                if let Some(secret) = secret {
                    let end = end_of_value(bytes, value);
                    if take(&text[value..end], secret, pass) {
                        edits.replace(value, end, &quoted(super::kind::SecretKind::Key.placeholder()));
                        at = end;
                    }
                } else if let Some(frame) = frame.filter(|_| is_name(&key))
                    && bytes.get(value) == Some(&b'"')
                {
                    let end = end_of_string(bytes, value);
                    frame.pair = pass.secret(&content(&text[value..end]));
                }
            }
            b'{' | b'[' => {
                if bytes[at] == b'[' && pass.is_finding() {
                    let (starts, strings): (Vec<usize>, Vec<_>) =
                        strings_of_list(text, at).into_iter().unzip();
                    if strings.len() > 1 {
                        let secrets = options::of_list(&strings, pass);
                        arguments
                            .extend(secrets.into_iter().map(|(number, secret)| (starts[number], secret)));
                    }
                }
                frames.push(Nesting::default());
                at += 1;
            }
            b'}' | b']' => {
                frames.pop();
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let end = end_of_value(bytes, at);
                if let Some(new) = pass.number(&text[at..end]) {
                    edits.replace(at, end, &quoted(&new));
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    edits.done()
}

/// Whether the value of a secret key has to be removed; if so, it is counted and remembered.
fn take(value: &str, secret: SecretName, pass: &mut dyn Secrets) -> bool {
    match value.as_bytes().first() {
        None | Some(b'n' | b't' | b'f') => false,
        Some(b'"') => pass.record_secret(&content(value)),
        Some(b'{' | b'[') => {
            // An empty list has no secret.
            let is_empty = value[1..value.len() - 1].trim().is_empty();
            if !is_empty {
                pass.record_secrets(&mut strings(value).iter().map(AsRef::as_ref));
            }
            !is_empty
        }
        Some(_) => secret == SecretName::Any && pass.record_secret(value),
    }
}

/// The strings with which a list begins, and where each does.
fn strings_of_list(text: &str, list: usize) -> Vec<(usize, Cow<'_, str>)> {
    let bytes = text.as_bytes();
    let mut strings = Vec::new();
    let mut at = skip_space(bytes, list + 1);
    while bytes.get(at) == Some(&b'"') && strings.len() < ARGUMENTS {
        let end = end_of_string(bytes, at);
        strings.push((at, content(&text[at..end])));
        let comma = skip_space(bytes, end);
        at = if bytes.get(comma) == Some(&b',') { skip_space(bytes, comma + 1) } else { bytes.len() };
    }
    strings
}

/// The strings and numbers in a value, keys left out.
fn strings(json: &str) -> Vec<Cow<'_, str>> {
    let bytes = json.as_bytes();
    let mut strings = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let end = end_of_string(bytes, at);
                if bytes.get(skip_space(bytes, end)) != Some(&b':') {
                    strings.push(content(&json[at..end]));
                }
                at = end;
            }
            b'-' | b'0'..=b'9' => {
                let end = end_of_value(bytes, at);
                strings.push(Cow::Borrowed(&json[at..end]));
                at = end;
            }
            _ => at += 1,
        }
    }
    strings
}

struct Edits<'a> {
    text: &'a str,
    out: String,
    copied: usize,
}

impl Edits<'_> {
    fn replace(&mut self, from: usize, to: usize, with: &str) {
        self.out.push_str(&self.text[self.copied..from]);
        self.out.push_str(with);
        self.copied = to;
    }

    fn done(mut self) -> Option<String> {
        (self.copied > 0).then(|| {
            self.out.push_str(&self.text[self.copied..]);
            self.out
        })
    }
}

/// The text of a JSON string.
fn content(quoted: &str) -> Cow<'_, str> {
    if quoted.contains('\\') {
        Cow::Owned(unescape(quoted))
    } else {
        Cow::Borrowed(quoted[1..].strip_suffix('"').unwrap_or(&quoted[1..]))
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

fn end_of_value(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = at;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(bytes, at);
                if depth == 0 {
                    return at.min(bytes.len());
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' if depth == 0 => return at,
            byte if depth == 0 && byte.is_ascii_whitespace() => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}
