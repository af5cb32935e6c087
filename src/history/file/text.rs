//! Bytes as text that a JSON parser accepts.
//!
//! A payload that was cut in the middle of a character, or a program that writes half of a UTF-16
//! pair, must not make a whole history unreadable. What is damaged becomes U+FFFD; the rest stays.

use std::borrow::Cow;

/// The text of a JSON document. Invalid UTF-8 and escapes of unpaired surrogates (`\ud83d` alone)
/// become U+FFFD. Borrows where nothing is damaged.
pub fn lenient_text(bytes: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => paired(text),
        Cow::Owned(text) => match paired(&text) {
            Cow::Borrowed(_) => Cow::Owned(text),
            Cow::Owned(paired) => Cow::Owned(paired),
        },
    }
}

/// Six bytes, as long as the escape that it replaces: places in the text stay the same.
const REPLACEMENT: &str = "\\ufffd";

/// Replaces escapes of unpaired surrogates.
fn paired(text: &str) -> Cow<'_, str> {
    let mut unpaired = Vec::new();
    let mut rest = 0;
    while let Some(found) = text[rest..].find('\\') {
        let at = rest + found;
        rest = at
            + match (escaped_unit(text, at), escaped_unit(text, at + ESCAPE)) {
                (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => 2 * ESCAPE,
                (Some(0xD800..0xE000), _) => {
                    unpaired.push(at);
                    ESCAPE
                }
                (Some(_), _) => ESCAPE,
                // A backslash takes the character after it along, which may be a backslash or of several bytes.
                (None, _) => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
            };
    }
    if unpaired.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut whole = text.to_owned();
    for at in unpaired {
        whole.replace_range(at..at + ESCAPE, REPLACEMENT);
    }
    Cow::Owned(whole)
}

/// The length of `\u0000`, in bytes.
const ESCAPE: usize = REPLACEMENT.len();

/// The UTF-16 unit that is escaped at this place.
fn escaped_unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + ESCAPE)?.strip_prefix("\\u")?;
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| all_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &[u8]) -> String {
        serde_json::from_str(&lenient_text(json)).unwrap()
    }

    #[test]
    fn unpaired_surrogates_are_replaced_and_pairs_are_kept() {
        for (json, text) in [
            (r#""a\ud83db""#, "a\u{FFFD}b"),
            (r#""a\uDE00b""#, "a\u{FFFD}b"),
            (r#""\ud83d\ud83d\ude00""#, "\u{FFFD}\u{1F600}"),
            (r#""\ud83d\u0041""#, "\u{FFFD}A"),
            (r#""\ud83d""#, "\u{FFFD}"),
            (r#""\ud83d\n""#, "\u{FFFD}\n"),
            (r#""\ud83d\ude00""#, "\u{1F600}"),
            (r#""\\ud83d""#, r"\ud83d"),
            (r#""\\\ud83d""#, "\\\u{FFFD}"),
            ("\"\u{e9}\\u00e9\"", "\u{e9}\u{e9}"),
        ] {
            assert_eq!(read(json.as_bytes()), text, "{json}");
        }
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(read(b"\"a\xFFb\\ud83d\""), "a\u{FFFD}b\u{FFFD}");
    }

    #[test]
    fn sound_text_is_borrowed_and_broken_escapes_are_left_to_the_parser() {
        for text in [r#"{"a":"\ud83d\ude00 \\ud83d"}"#, "\\", "\\u", "\\ud8", "\\u+123", "\\\u{e9}"] {
            assert!(matches!(lenient_text(text.as_bytes()), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
