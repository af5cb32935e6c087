//! Reads the top level of a JSON object that may end in the middle.
//!
//! Step Functions cuts a cause at 32,768 characters, wherever that falls. What came before the cut
//! is still good: this walks the object once, without recursion, and keeps each value that it can
//! make sense of. It is also what reads an object nested too deeply, or holding raw line breaks or
//! half a surrogate pair in its strings, which a strict parser refuses. It guesses nothing: text that is not an object is
//! not read.

use serde_json::{Map, Value};

use crate::history::file::lenient_text;
use crate::json_escape::unescape;

/// The fields of one object, as far as its text goes.
#[derive(Debug)]
pub(super) struct Fields {
    /// What could be read, values that end early included.
    pub(super) values: Map<String, Value>,
    /// The field whose value the text breaks off in.
    pub(super) cut: Option<String>,
    /// Whether the object's closing brace was reached.
    pub(super) complete: bool,
}

impl Fields {
    /// Reads an object. `None` for text that is not one, or that breaks off before its first value.
    pub(super) fn read(text: &str) -> Option<Self> {
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            return match value {
                Value::Object(values) => Some(Self { values, cut: None, complete: true }),
                _ => None,
            };
        }
        let text = lenient_text(text.as_bytes());
        read_leniently(&text)
    }

    /// A field's text, whether cut or not.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key)?.as_str()
    }

    /// A field's text, unless the text breaks off in it.
    pub(super) fn whole_text(&self, key: &str) -> Option<&str> {
        if self.cut.as_deref() == Some(key) { None } else { self.text(key) }
    }

    /// Whether a field is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }
}

/// The text of a JSON string whose end may be missing. `None` for what does not start with a
/// quotation mark, or goes on after the closing one.
pub(super) fn string_so_far(text: &str) -> Option<String> {
    let text = text.trim();
    if !text.starts_with('"') {
        return None;
    }
    match end_of_string(text.as_bytes(), 0) {
        Some(end) if end < text.len() => None,
        _ => Some(unescape(text)),
    }
}

fn read_leniently(text: &str) -> Option<Fields> {
    let text = text.trim();
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'{') {
        return None;
    }
    let mut fields = Fields { values: Map::new(), cut: None, complete: false };
    let mut at = 1;
    loop {
        at = skip_space(bytes, at);
        match bytes.get(at) {
            Some(b'"') => {}
            Some(b'}') if skip_space(bytes, at + 1) == bytes.len() => {
                fields.complete = true;
                break;
            }
            None => break,
            _ => return None,
        }
        let Some(key_end) = end_of_string(bytes, at) else { break };
        let key = unescape(text.get(at..key_end)?);
        at = skip_space(bytes, key_end);
        match bytes.get(at) {
            Some(b':') => at = skip_space(bytes, at + 1),
            None => break,
            _ => return None,
        }
        let (end, whole) = end_of_value(bytes, at);
        if let Some(value) = value_of(text.get(at..end)?, whole) {
            fields.values.insert(key.clone(), value);
        }
        if !whole {
            fields.cut = Some(key);
            break;
        }
        at = skip_space(bytes, end);
        match bytes.get(at) {
            Some(b',') => at += 1,
            Some(b'}') => {}
            None => break,
            _ => return None,
        }
    }
    (!fields.values.is_empty()).then_some(fields)
}

fn value_of(text: &str, whole: bool) -> Option<Value> {
    if text.starts_with('"') {
        return Some(Value::String(unescape(text)));
    }
    if whole {
        return serde_json::from_str(text).ok();
    }
    serde_json::from_str(&closed(text)?).ok()
}

/// Closes an array or an object that breaks off: what is begun and cannot stand alone goes, open
/// strings and brackets are closed.
fn closed(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut open: Vec<u8> = Vec::new();
    // Up to where the text makes sense, and what was open there.
    let mut good = (0, 0);
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => {
                open.push(bytes[at]);
                at += 1;
                good = (at, open.len());
            }
            b'}' | b']' => {
                open.pop()?;
                at += 1;
                good = (at, open.len());
            }
            b'"' => {
                let Some(end) = end_of_string(bytes, at) else {
                    // A cut text in a list still tells something; a cut key or field does not.
                    if open.last() == Some(&b'[') {
                        let last = Value::String(unescape(text.get(at..)?)).to_string();
                        return Some(close(text.get(..at)?, Some(&last), &open));
                    }
                    break;
                };
                at = end;
                if open.last() == Some(&b'[') {
                    good = (at, open.len());
                }
            }
            // What stands before a comma is whole.
            b',' => {
                good = (at, open.len());
                at += 1;
            }
            _ => at += 1,
        }
    }
    Some(close(text.get(..good.0)?, None, open.get(..good.1)?))
}

fn close(head: &str, last: Option<&str>, open: &[u8]) -> String {
    let mut text = head.trim_end().to_owned();
    match last {
        Some(last) => text.push_str(last),
        None => text.truncate(text.trim_end_matches(',').len()),
    }
    text.extend(open.iter().rev().map(|bracket| if *bracket == b'{' { '}' } else { ']' }));
    text
}

/// The end of the value at `at`, and whether it is all there.
pub(super) fn end_of_value(bytes: &[u8], at: usize) -> (usize, bool) {
    if bytes.get(at) == Some(&b'"') {
        return end_of_string(bytes, at).map_or((bytes.len(), false), |end| (end, true));
    }
    let mut depth = 0_usize;
    let mut at = at;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => match end_of_string(bytes, at) {
                Some(end) => {
                    at = end;
                    continue;
                }
                None => return (bytes.len(), false),
            },
            b'{' | b'[' => depth += 1,
            b',' if depth == 0 => return (at, true),
            b'}' | b']' if depth == 0 => return (at, true),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return (at + 1, true);
                }
            }
            _ => {}
        }
        at += 1;
    }
    (bytes.len(), false)
}

/// The place after the closing quotation mark of the string at `at`.
fn end_of_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_up_to_where_it_breaks_off() {
        let fields = Fields::read(r#"{"a": "one", "b": [1, {"c": 2}], "d": "thr\u00e9e and \"mo"#).unwrap();
        assert_eq!(fields.text("a"), Some("one"));
        assert_eq!(fields.values["b"][1]["c"], 2);
        assert_eq!(fields.text("d"), Some("thrée and \"mo"));
        assert_eq!(fields.whole_text("d"), None);
        assert_eq!(fields.whole_text("a"), Some("one"));
        assert_eq!((fields.cut.as_deref(), fields.complete), (Some("d"), false));
    }

    #[test]
    fn a_list_that_breaks_off_keeps_what_it_has() {
        for (text, expected) in [
            (r#"{"s": ["one", "tw"#, r#"["one","tw"]"#),
            (r#"{"s": ["one", "two""#, r#"["one","two"]"#),
            (r#"{"s": ["one", "#, r#"["one"]"#),
            (r#"{"s": [["f", 1, "g"], ["h", 2"#, r#"[["f",1,"g"],["h"]]"#),
            (r#"{"s": [{"a": 1, "b": "cu"#, r#"[{"a":1}]"#),
            (r#"{"s": [{"a": 1, "b"#, r#"[{"a":1}]"#),
            (r#"{"s": [{"a": 1, "b": tr"#, r#"[{"a":1}]"#),
        ] {
            let fields = Fields::read(text).unwrap();
            assert_eq!(fields.values["s"].to_string(), expected, "{text}");
            assert_eq!(fields.cut.as_deref(), Some("s"));
        }
    }

    #[test]
    fn half_an_escape_at_the_end_is_dropped() {
        for (text, expected) in [
            (r#""ab\"#, "ab"),
            (r#""ab\u00"#, "ab"),
            (r#""ab\ud83d"#, "ab"),
            (r#""ab\ud83d\ude"#, "ab"),
            (r#""ab\ud83d\ude00c"#, "ab😀c"),
            (r#""ab\ud83dc"#, "ab\u{fffd}c"),
        ] {
            assert_eq!(string_so_far(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_object_is_not_read() {
        for text in ["", "{", "{}x", "{'a': 1}", "{a: 1}", r#"{"a" 1}"#, r#"{"a"#, r#"["a"]"#, r#""a""#, "a"]
        {
            assert!(Fields::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn raw_line_breaks_and_deep_nesting_are_no_obstacle() {
        let deep =
            format!(r#"{{"a": "x{}y", "deep": {}{}, "z": 1}}"#, '\n', "[".repeat(9000), "]".repeat(9000));
        let fields = Fields::read(&deep).unwrap();
        assert_eq!(fields.text("a"), Some("x\ny"));
        assert_eq!(fields.values["z"], 1);
        assert!(fields.complete && !fields.has("deep"));
    }
}
