//! Values for people: harmless on a terminal and on a page, and no longer than people read.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

/// A text on one line. Control characters, and characters that reorder or hide text, are escaped: names and
/// causes come from the author of the state machine or the sender of its input.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if steers(char) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(char));
            }
            _ => out.push(char),
        }
    }
    out
}

/// Control characters, marks that turn the direction of text, and characters without a width.
pub(super) fn steers(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A text on one line, cut after `most` characters, with its full length.
pub(super) fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => harmless(text),
        Some((end, _)) => {
            format!("{}… ({} characters)", harmless(&text[..end]), grouped(text.chars().count()))
        }
    }
}

/// A line with its tabs as spaces: a stack stays a stack.
pub(super) fn indented(line: &str) -> Cow<'_, str> {
    if line.contains('\t') { line.replace('\t', "    ").into() } else { line.into() }
}

/// A message on one line, with a space for each line break. A message of more than `most` characters is cut
/// in the middle, with its full length, because the reason may be at either end.
pub(super) fn message(text: &str, most: usize) -> String {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let has_breaks = text.contains(['\n', '\r', '\t']);
    let line = if has_breaks { Cow::Owned(words.join(" ")) } else { Cow::Borrowed(text.trim()) };
    let length = line.chars().count();
    if length <= most {
        return harmless(&line);
    }
    let tail = most / 3;
    let head: String = line.chars().take(most - tail).collect();
    let end: String = line.chars().skip(length - tail).collect();
    format!("{}… ({} characters) …{}", harmless(&head), grouped(length), harmless(&end))
}

/// An address in the characters that addresses are made of, whatever it is written into.
pub(super) fn address(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for byte in address.bytes() {
        match byte {
            b'<' | b'>' | b'\\' | b'`' | b'"' | b'|' | 0..=b' ' | 0x7f.. => {
                let _ = write!(out, "%{byte:02X}");
            }
            _ => out.push(char::from(byte)),
        }
    }
    out
}

/// `25,000`.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `137 ms`, `4.2 s`, `3 min 5 s`, `2 h 7 min`, `4 d 3 h`. Clocks may have run backwards.
pub(super) fn span(from: Timestamp, to: Timestamp) -> String {
    let span = to.duration_since(from);
    let sign = if span.is_negative() { "-" } else { "" };
    format!("{sign}{}", positive(span.abs()))
}

fn positive(span: SignedDuration) -> String {
    let (seconds, millis) = (span.as_secs(), span.subsec_millis());
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{seconds}.{} s", millis / 100),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// `2026-03-01 12:00:00.137 UTC`.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string()
}

/// `12:00:00.137`.
pub(super) fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_written_as_its_number() {
        assert_eq!(harmless("a\u{1b}[31mb\u{202e}c\nd\u{9b}"), "a\\u{1b}[31mb\\u{202e}c\\nd\\u{9b}");
        assert_eq!(harmless("Zahlung prüfen 支払い 🙂"), "Zahlung prüfen 支払い 🙂");
    }

    #[test]
    fn an_address_has_nothing_in_it_that_could_end_it() {
        assert_eq!(address("https://x/a?b=c&d#/v2"), "https://x/a?b=c&d#/v2");
        assert_eq!(address("https://x/>a|\n<é"), "https://x/%3Ea%7C%0A%3C%C3%A9");
    }

    #[test]
    fn a_cut_text_shows_its_length() {
        assert_eq!(short(&"ä".repeat(1_234), 3), "äää… (1,234 characters)");
        assert_eq!(short("äää", 3), "äää");
    }

    #[test]
    fn spans_are_shown_in_the_units_that_matter() {
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        for (millis, text) in [
            (137, "137 ms"),
            (4_250, "4.2 s"),
            (185_000, "3 min 5 s"),
            (7_620_000, "2 h 7 min"),
            (356_400_000, "4 d 3 h"),
            (-1_500, "-1.5 s"),
        ] {
            assert_eq!(span(at(0), at(millis)), text);
        }
    }
}
