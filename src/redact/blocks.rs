//! A value on the lines after its key, as YAML and others write it.

use std::ops::Range;

use super::kind::is_placeholder;
use super::names::LONGEST;
use super::quotes::backslashes;

/// Where a line ends that ends here, escaped or not.
pub(super) fn newline(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    for letter in [b'r', b'n'] {
        let run = backslashes(bytes, end);
        let control = if letter == b'r' { b'\r' } else { b'\n' };
        if bytes.get(end) == Some(&control) {
            end += 1;
        } else if run > 0 && bytes.get(end + run) == Some(&letter) {
            end += run + 1;
        }
    }
    (end > at).then_some(end)
}

/// The lines that belong to the key that begins there: those with more indentation, or the items of
/// a list; otherwise the one word of the next line.
pub(super) fn after(text: &str, at: usize, key: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let indicator = bytes[at..].iter().take_while(|byte| b"|>+-123456789".contains(byte)).count();
    let is_block = indicator > 0 && matches!(bytes[at], b'|' | b'>');
    let mut line = newline(bytes, if is_block { at + indicator } else { at })?;
    let is_escaped = bytes[line - 1] == b'n' || bytes[line - 1] == b'r';
    let outer = indent_before(bytes, key);
    let mut found: Option<Range<usize>> = None;
    while line < bytes.len() {
        let indent = bytes[line..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let start = line + indent;
        let end = end_of_line(bytes, start, is_escaped);
        let said = text[start..end].trim_start();
        let (start, said) = (end - said.len(), said.trim_end());
        let is_inside = indent > outer || (indent == outer && !is_block && said.starts_with("- "));
        // A line that already has a placeholder is not a bare value.
        let is_word = found.is_none()
            && !said.contains(char::is_whitespace)
            && !said.ends_with(':')
            && (!said.contains("[redacted") || is_placeholder(said));
        let is_trace = ["at ", "File \"", "... ", "in "].iter().any(|begin| said.starts_with(begin));
        if !said.is_empty() {
            if is_trace || !(is_inside || is_word) {
                break;
            }
            found = Some(found.map_or(start, |found| found.start)..start + said.len());
        }
        match newline(bytes, end) {
            Some(next) if said.is_empty() || is_inside => line = next,
            _ => break,
        }
    }
    found
}

fn end_of_line(bytes: &[u8], start: usize, is_escaped: bool) -> usize {
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'\n' | b'\r' => break,
            b'"' if is_escaped => break,
            b'\\' if is_escaped && newline(bytes, at).is_some() => break,
            _ => at += backslashes(bytes, at).max(1),
        }
    }
    at
}

/// The indentation of a key's line.
fn indent_before(bytes: &[u8], key: usize) -> usize {
    let before = &bytes[key.saturating_sub(LONGEST)..key];
    let before = before.strip_suffix(b"\"").or(before.strip_suffix(b"'")).unwrap_or(before);
    before.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t' | b'-')).count()
}
