//! Where a word begins and ends in text that is escaped, once or several times.

use std::ops::Range;

/// A place without the letter of an escape that it begins with.
pub(super) fn past_escape(text: &str, place: Range<usize>) -> Range<usize> {
    let escaped = text[place.clone()].starts_with(['n', 'r', 't']) && text[..place.start].ends_with('\\');
    place.start + usize::from(escaped)..place.end
}

/// Whether a word begins here: at a boundary, or after an escape like `\n`, `\u0022` or `%3D`.
pub(super) fn at_token_start(text: &str, at: usize) -> bool {
    let before = &text.as_bytes()[..at];
    match before {
        [] => true,
        [.., byte] if !byte.is_ascii_alphanumeric() => true,
        [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] => true,
        [.., b'\\', b'u', _, _, _, _] => true,
        [.., b'%', b'2'..=b'7', code] => code.is_ascii_hexdigit(),
        _ => false,
    }
}
