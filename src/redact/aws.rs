//! AWS secret access keys: they have no prefix, only a length and an alphabet.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters of a key.
const LENGTH: usize = 40;

/// Secret access keys: 40 characters of base64 that are neither a digest nor a path, nor a text.
pub(super) fn secret_keys(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(window) = bytes.get(at..at + LENGTH) {
            // A key needs as many bytes of its alphabet in one piece; after the last other one it may begin.
            if let Some(last) = window.iter().rposition(|byte| !may_be_of_it(byte)) {
                at += last + 1;
                continue;
            }
            let (start, end, length) = run(bytes, at);
            at = end + 1;
            if length == LENGTH
                && !matches!(bytes.get(end), Some(b'_' | b'-'))
                && is_random(&plain(&bytes[start..end]))
            {
                return Some(start..end);
            }
        }
        None
    })
}

/// A run of base64 from here, how many characters it has, and what belongs to its surroundings
/// left out: the letter of an escape, a slash at either end.
fn run(bytes: &[u8], at: usize) -> (usize, usize, usize) {
    let (mut start, mut end, mut length) = (at, at, 0);
    while let Some(step) = step(&bytes[end..]) {
        end += step;
        length += 1;
    }
    let is_escaped =
        start > 0 && bytes[start - 1] == b'\\' && matches!(bytes[start..end], [b'n' | b'r' | b't', ..]);
    if length > LENGTH && (is_escaped || bytes[start] == b'/') {
        (start, length) = (start + 1, length - 1);
    }
    if length > LENGTH && bytes[end - 1] == b'/' {
        (end, length) = (end - 1, length - 1);
    }
    (start, end, length)
}

/// Whether a byte may belong to a character of base64, escaped or not.
fn may_be_of_it(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'%')
}

/// How long a character of base64 is here, which may be escaped for an address.
fn step(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'+', ..] => Some(1),
        [b'%', b'2', b'F' | b'f' | b'B' | b'b', ..] => Some(3),
        _ => None,
    }
}

fn plain(run: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(run.len());
    let mut rest = run;
    while let [first, ..] = rest {
        let escaped = if rest.starts_with(b"%2B") || rest.starts_with(b"%2b") { b'+' } else { b'/' };
        plain.push(if *first == b'%' { escaped } else { *first });
        rest = &rest[step(rest).unwrap_or(1)..];
    }
    plain
}

fn is_random(run: &[u8]) -> bool {
    let class = |byte: &u8| match byte {
        b'A'..=b'Z' => 0,
        b'a'..=b'z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let mut counts = [0_usize; 4];
    for byte in run {
        counts[class(byte)] += 1;
    }
    let turns = run.windows(2).filter(|pair| class(&pair[0]) != class(&pair[1])).count();
    let digits = if counts[3] > 0 { 1 } else { 3 };
    let looks_so = counts[0] >= 5 && counts[1] >= 5 && counts[2] >= digits && turns >= 13;
    looks_so && !is_text(run)
}

/// Whether it is a text in base64.
fn is_text(run: &[u8]) -> bool {
    let printed = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    STANDARD.decode(run).is_ok_and(|text| text.iter().all(printed))
}
