//! Bytes as text that a JSON parser accepts, whichever way a shell, an editor or gzip wrote them.
//!
//! A payload that was cut in the middle of a character, or a program that writes half of a UTF-16
//! pair, must not make a whole history unreadable. What is damaged becomes U+FFFD; the rest stays.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use super::FileError;

/// The most bytes that packed data may unpack to: 1 GiB.
const MOST_UNPACKED: u64 = 1 << 30;

/// Unpacks gzip, also several members one after the other. Other bytes stay as they are.
///
/// # Errors
/// When the packed data is damaged, or unpacks to more than 1 GiB.
pub(super) fn unpacked(bytes: &[u8]) -> Result<Cow<'_, [u8]>, FileError> {
    unpacked_within(bytes, MOST_UNPACKED)
}

fn unpacked_within(bytes: &[u8], most: u64) -> Result<Cow<'_, [u8]>, FileError> {
    if !bytes.starts_with(&[0x1F, 0x8B]) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut whole = Vec::new();
    MultiGzDecoder::new(bytes)
        .take(most + 1)
        .read_to_end(&mut whole)
        .map_err(|error| FileError::Gzip { why: error.to_string() })?;
    if whole.len() as u64 > most {
        return Err(FileError::TooLarge { most });
    }
    Ok(Cow::Owned(whole))
}

/// The text, and the first byte that is not UTF-8 where it has to be.
pub(super) fn decoded(bytes: &[u8]) -> (Cow<'_, str>, Option<usize>) {
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        let text = String::from_utf16_lossy(&units);
        match paired(&text) {
            Cow::Borrowed(_) => Cow::Owned(text),
            Cow::Owned(paired) => Cow::Owned(paired),
        }
    };
    match bytes {
        // What PowerShell's `>` writes; some programs leave out the mark.
        [0xFF, 0xFE, rest @ ..] => (utf16(rest, u16::from_le_bytes), None),
        [0xFE, 0xFF, rest @ ..] => (utf16(rest, u16::from_be_bytes), None),
        [b'{' | b'[', 0, ..] => (utf16(bytes, u16::from_le_bytes), None),
        [0, b'{' | b'[', ..] => (utf16(bytes, u16::from_be_bytes), None),
        _ => {
            let rest = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
            let damaged = std::str::from_utf8(rest).err().map(|error| error.valid_up_to());
            (lenient_text(rest), damaged)
        }
    }
}

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
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_unpacked_also_in_several_members() {
        let two = [packed(b"{} "), packed(b"[]")].concat();
        assert_eq!(unpacked(&two).unwrap().as_ref(), b"{} []");
        assert!(matches!(unpacked(b"{}").unwrap(), Cow::Borrowed(b"{}")));
    }

    #[test]
    fn damaged_gzip_and_gzip_that_unpacks_to_too_much_are_refused() {
        let bytes = packed(&[b'a'; 1_001]);
        assert_eq!(unpacked_within(&bytes, 1_001).unwrap().len(), 1_001);
        assert_eq!(unpacked_within(&bytes, 1_000), Err(FileError::TooLarge { most: 1_000 }));
        let cut = &bytes[..bytes.len() - 9];
        assert!(matches!(unpacked(cut), Err(FileError::Gzip { .. })), "{:?}", unpacked(cut));
    }

    #[test]
    fn utf16_without_a_mark_is_known_by_its_first_character() {
        let text = "{\"a\":\"\u{e9}\"}";
        for unit in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes: Vec<u8> = text.encode_utf16().flat_map(unit).collect();
            assert_eq!(decoded(&bytes), (Cow::Borrowed(text), None));
        }
    }

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
