//! JSON strings that may be cut off, or hold escapes that JSON does not know.

/// The text of a JSON string with its opening quotation mark, as far as it goes. Half an escape at
/// the end is dropped; an unknown one stays as it is written.
pub(crate) fn unescape(quoted: &str) -> String {
    if let Ok(text) = serde_json::from_str::<String>(quoted) {
        return text;
    }
    let mut text = String::with_capacity(quoted.len());
    let mut chars = quoted.get(1..).unwrap_or_default().chars();
    while let Some(c) = chars.next() {
        if c == '"' {
            break;
        }
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some(same @ ('"' | '\\' | '/')) => text.push(same),
            Some('u') => match unicode_escape(&mut chars) {
                Some(c) => text.push(c),
                None => break,
            },
            Some(other) => text.extend(['\\', other]),
            None => break,
        }
    }
    text
}

/// The character after `\u`, two escapes together where they are a surrogate pair. `None` at the
/// end of the text.
fn unicode_escape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let first = hex(chars)?;
    if !(0xD800..0xDC00).contains(&first) {
        return Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    let mut ahead = chars.clone();
    if ahead.next()? != '\\' || ahead.next()? != 'u' {
        return Some(char::REPLACEMENT_CHARACTER);
    }
    let second = hex(&mut ahead)?;
    if !(0xDC00..0xE000).contains(&second) {
        return Some(char::REPLACEMENT_CHARACTER);
    }
    *chars = ahead;
    let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

fn hex(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    let mut code = 0;
    for _ in 0..4 {
        code = code * 16 + chars.next()?.to_digit(16)?;
    }
    Some(code)
}
