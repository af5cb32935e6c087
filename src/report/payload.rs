//! Inputs and causes made readable: JSON indented, anything else in its own lines.
//!
//! Only the whitespace of JSON changes, and it is never parsed into values: long numbers keep their digits,
//! repeated keys stay, and a copy from a report has the same meaning as the original.

use serde::de::IgnoredAny;

use super::value::{self, grouped, harmless, steers};

/// Lists of plain values up to this many characters stay on one line.
const ON_ONE_LINE: usize = 72;

/// How deeply lines are indented at most.
const DEEPEST_INDENT: usize = 24;

/// A text in lines, each harmless.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Payload {
    /// The lines.
    pub(super) text: String,
    /// Whether they are JSON.
    pub(super) is_json: bool,
}

/// Makes an input or a cause readable.
pub(super) fn readable(text: &str) -> Payload {
    let text = text.trim();
    if text.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return Payload { text: indented(text), is_json: true };
    }
    let lines: Vec<String> = text.lines().map(|line| harmless(&value::indented(line))).collect();
    Payload { text: lines.join("\n"), is_json: false }
}

impl Payload {
    /// Cut after so many characters or lines, with its full length. A cut payload is not JSON any more.
    pub(super) fn cut(self, characters: usize, lines: usize) -> Self {
        let by_characters = self.text.char_indices().nth(characters).map(|(end, _)| end);
        let by_lines = self.text.match_indices('\n').nth(lines - 1).map(|(end, _)| end);
        let Some(end) = by_characters.into_iter().chain(by_lines).min() else { return self };
        let length = grouped(self.text.chars().count());
        let kept = self.text[..end].trim_end();
        Self { text: format!("{kept}\n… ({length} characters)"), is_json: false }
    }
}

/// Valid JSON, indented. Control characters and characters that reorder text are escaped as in JSON, so
/// that the value stays the same.
fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut rest = json;
    while let Some(char) = rest.chars().next() {
        let token = match char {
            '"' => string(rest),
            '{' | '[' => {
                if let Some(short) = short_list(rest) {
                    rest = &rest[short.len()..];
                    spaced(short, &mut out);
                    continue;
                }
                depth += 1;
                out.push(char);
                new_line(depth, &mut out);
                &rest[..1]
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(depth, &mut out);
                out.push(char);
                &rest[..1]
            }
            ',' => {
                out.push(',');
                new_line(depth, &mut out);
                &rest[..1]
            }
            ':' => {
                out.push_str(": ");
                &rest[..1]
            }
            _ if char.is_ascii_whitespace() => &rest[..1],
            _ => {
                out.push(char);
                &rest[..char.len_utf8()]
            }
        };
        if char == '"' {
            escaped(token, &mut out);
        }
        rest = &rest[token.len()..];
    }
    out
}

fn new_line(depth: usize, out: &mut String) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth.min(DEEPEST_INDENT)));
}

/// The string that this begins with, with its quotes.
fn string(json: &str) -> &str {
    let mut escaped = false;
    for (at, byte) in json.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return &json[..=at],
            _ => {}
        }
    }
    json
}

/// The list that this begins with, if it holds only plain values and little enough of them.
fn short_list(json: &str) -> Option<&str> {
    let mut at = 1;
    while at < json.len().min(ON_ONE_LINE) {
        match json.as_bytes()[at] {
            b'"' => at += string(&json[at..]).len(),
            b']' if json.starts_with('[') => return Some(&json[..=at]),
            b'}' if json[1..at].trim().is_empty() => return Some(&json[..=at]),
            b'[' | b'{' | b'}' => return None,
            _ => at += 1,
        }
    }
    None
}

/// A list on one line.
fn spaced(list: &str, out: &mut String) {
    let mut rest = list;
    while let Some(char) = rest.chars().next() {
        let token = if char == '"' { string(rest) } else { &rest[..char.len_utf8()] };
        match char {
            '"' => escaped(token, out),
            ',' => out.push_str(", "),
            _ if char.is_ascii_whitespace() => {}
            _ => out.push(char),
        }
        rest = &rest[token.len()..];
    }
}

fn escaped(string: &str, out: &mut String) {
    for char in string.chars() {
        if steers(char) {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(char);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_spaced_anew_and_its_values_stay_to_the_digit() {
        let json =
            r#"{"id":12345678901234567890123,"n":[1, 2 ,3],"e":{ },"a":[{"x":"a\"b, [c]"},[]],"id":1.10}"#;
        let payload = readable(json);
        assert!(payload.is_json);
        insta::assert_snapshot!(payload.text);
    }

    #[test]
    fn what_turns_text_stands_escaped_and_means_the_same() {
        let json = "{\"a\u{202e}b\":[\"\u{e0001}\"]}";
        let payload = readable(json);
        assert_eq!(payload.text, "{\n  \"a\\u202eb\": [\"\\udb40\\udc01\"]\n}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&payload.text), value(json));
    }

    #[test]
    fn what_is_no_json_keeps_its_lines() {
        let text = "first\r\n{second\u{1b}[31m\n";
        assert_eq!(readable(text), Payload { text: "first\n{second\\u{1b}[31m".into(), is_json: false });
    }

    #[test]
    fn nesting_without_end_is_indented_so_far_and_no_further() {
        let json = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(readable(&json).text.len() < 100 * json.len());
    }

    #[test]
    fn a_long_one_is_cut_by_characters_and_by_lines_and_says_its_length() {
        let cut = |text: &str| readable(text).cut(10, 3).text;
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ä".repeat(1_234)), format!("{}\n… (1,234 characters)", "ä".repeat(10)));
        assert_eq!(cut("1\n2\n3\n4"), "1\n2\n3\n… (7 characters)");
        assert_eq!(cut("1\n2\n3"), "1\n2\n3");
    }
}
