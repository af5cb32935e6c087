//! Payloads in a message: objects and lists, as JSON and as programs print them.

use std::sync::LazyLock;

use regex::Regex;

use super::regex;

/// In place of a payload, or of a quoted text.
pub(super) const LEFT_OUT: char = '…';

/// The text without objects and lists in it. A bracket that is never closed is a character like any
/// other, unless a payload begins there that was cut off.
pub(super) fn without_payloads(text: &str) -> String {
    // `[Errno 13]` is a code and no list.
    static CODE: LazyLock<Regex> = LazyLock::new(|| regex(r"^\[([A-Za-z]+[ -]?-?\d+)\]$"));
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (start, end) in payloads(text) {
        out.push_str(&text[from..start]);
        match CODE.captures(&text[start..end]) {
            Some(code) => out.push_str(&code[1]),
            None => out.push(LEFT_OUT),
        }
        from = end;
    }
    out.push_str(&text[from..]);
    out
}

/// Where payloads begin and end, one after the other.
fn payloads(text: &str) -> Vec<(usize, usize)> {
    static CUT_OFF: LazyLock<Regex> = LazyLock::new(|| regex(r#"^(?:[\[{]\s*){1,8}\\?["']"#));
    let bytes = text.as_bytes();
    let mut open: Vec<usize> = Vec::new();
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    // Where no string ends any more, none begins.
    let mut strings = b"\"'".to_vec();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'{' | b'[' => open.push(at),
            b'}' | b']' => {
                if let Some(start) = open.pop() {
                    // Those inside are part of it.
                    while found.last().is_some_and(|(inner, _)| *inner > start) {
                        found.pop();
                    }
                    found.push((start, at + 1));
                }
            }
            quote if !open.is_empty() && strings.contains(quote) && begins_a_string(bytes, at) => {
                match end_of_string(bytes, at) {
                    Some(end) => at = end,
                    None => strings.retain(|known| known != quote),
                }
            }
            _ => {}
        }
        at += 1;
    }
    if let Some(start) = open.into_iter().find(|start| CUT_OFF.is_match(&text[*start..])) {
        found.retain(|(_, end)| *end <= start);
        found.push((start, text.len()));
    }
    found
}

/// Python's strings stand where a value or a key does; an apostrophe stands anywhere.
fn begins_a_string(bytes: &[u8], at: usize) -> bool {
    let before = bytes[..at].iter().rfind(|byte| !byte.is_ascii_whitespace());
    bytes[at] == b'"' || before.is_some_and(|byte| b"{[(,:=".contains(byte))
}

/// Where the string ends that begins there.
fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = bytes[start];
    let mut at = start + 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 1,
            byte if *byte == quote && (quote == b'"' || ends_a_string(bytes, at)) => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

fn ends_a_string(bytes: &[u8], at: usize) -> bool {
    let after = bytes[at + 1..].iter().find(|byte| !byte.is_ascii_whitespace());
    after.is_none_or(|byte| b",:}])".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_left_out_whatever_is_in_them() {
        for payload in [
            r#"{"a": "}", "b": [1]}"#,
            r#"{"a": "O'Neil"}"#,
            r#"{\"a\": {\"b\": 1}}"#,
            "{'b': \"it's\"}",
            "{'size': '5\" pipe'}",
            "{'name': 'O'Brien'}",
            "[1, [2, 3]]",
            "{id=1, name=it's}",
            "{\n}",
        ] {
            assert_eq!(without_payloads(&format!("bad {payload}: not paid")), "bad …: not paid", "{payload}");
        }
        assert_eq!(without_payloads("{}[1] and {'a': 1}"), "…… and …");
    }

    #[test]
    fn a_lone_bracket_is_a_character() {
        for text in [
            "value outside [0,10): limit",
            "Unexpected { in the config",
            "[ERROR it failed",
            "a } and ] of 名",
            "[0, \"b) or 'c",
            "it ends in \\",
        ] {
            assert_eq!(without_payloads(text), text);
        }
        assert_eq!(without_payloads("outside [0,10): limit of [1]"), "outside [0,10): limit of …");
        assert_eq!(without_payloads("[Errno 13] no"), "Errno 13 no");
    }

    #[test]
    fn a_payload_that_was_cut_off_is_one() {
        for payload in ["{\"a\": [1, 2", "[{'a': {'b': 1}, '名", "{\\\"a\\\": 1", "[\"a"] {
            assert_eq!(without_payloads(&format!("{{}} bad {payload}")), "… bad …", "{payload}");
        }
    }
}
