//! What Python prints of a dictionary or a list, as JSON: `{'message': 'late', 'ok': False}`.

/// The text as JSON. `None` for what does not begin as Python prints a dictionary or a list of them,
/// and for JSON. It may break off anywhere, as JSON may.
pub(super) fn json(text: &str) -> Option<String> {
    let begins =
        text.trim_start().strip_prefix(['{', '[']).map(|rest| rest.trim_start_matches(['[', '{', ' ']));
    if !begins?.starts_with('\'') {
        return None;
    }
    let mut json = String::with_capacity(text.len() + 16);
    let mut rest = text.trim();
    while let Some(char) = rest.chars().next() {
        let token = match char {
            '\'' | '"' => quoted(rest, char, &mut json),
            _ if char.is_alphabetic() || char == '_' => word(rest, &mut json),
            _ => {
                json.push(char);
                char.len_utf8()
            }
        };
        rest = &rest[token..];
    }
    Some(json)
}

/// A string in either kind of quotes, as a JSON string; its length in the text.
fn quoted(text: &str, quote: char, json: &mut String) -> usize {
    json.push('"');
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        match char {
            _ if char == quote => {
                json.push('"');
                return at + 1;
            }
            '"' => json.push_str("\\\""),
            '\n' => json.push_str("\\n"),
            '\\' => match chars.next() {
                Some((_, 'x')) => json.push_str("\\u00"),
                Some((_, '\'')) => json.push('\''),
                Some((_, escaped @ ('\\' | '"' | 'n' | 'r' | 't' | 'u'))) => json.extend(['\\', escaped]),
                Some((_, other)) => json.extend(['\\', '\\', other]),
                None => {}
            },
            _ => json.push(char),
        }
    }
    text.len()
}

/// `None`, `True` and `False`, a prefix of a string, or a call such as `datetime.datetime(2026, 3, 1)`,
/// which becomes a string; its length in the text.
fn word(text: &str, json: &mut String) -> usize {
    let end = |from: &str| {
        let is_word = |char: char| char.is_alphanumeric() || matches!(char, '_' | '.');
        from.find(|char: char| !is_word(char)).unwrap_or(from.len())
    };
    let length = end(text);
    let word = &text[..length];
    match (word, text[length..].chars().next()) {
        ("None", _) => json.push_str("null"),
        ("True", _) => json.push_str("true"),
        ("False", _) => json.push_str("false"),
        ("b" | "u" | "r", Some('\'' | '"')) => {}
        (_, Some('(')) => {
            let length = call(text, length);
            json.push_str(&serde_json::Value::String(text[..length].to_owned()).to_string());
            return length;
        }
        _ => json.push_str(word),
    }
    length
}

/// Where a call ends whose bracket opens at `open`.
fn call(text: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate().skip(open) {
        match byte {
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn read(text: &str) -> Value {
        serde_json::from_str(&super::json(text).unwrap()).unwrap()
    }

    #[test]
    fn a_dictionary_is_read_as_json() {
        assert_eq!(
            read(r#"{'a': None, 'b': [True, False, 1.5], "it's": 'say "no"', 'c': {'d': 'x\'y\\z\xe9\n'}}"#),
            json!({"a": null, "b": [true, false, 1.5], "it's": "say \"no\"", "c": {"d": "x'y\\zé\n"}})
        );
        assert_eq!(
            read("[{'at': datetime.datetime(2026, 3, 1, tzinfo=tzlocal()), 'n': Decimal('1.2'), 'b': b'x'}]"),
            json!([{"at": "datetime.datetime(2026, 3, 1, tzinfo=tzlocal())", "n": "Decimal('1.2')", "b": "x"}])
        );
    }

    #[test]
    fn what_is_no_dictionary_is_left_alone() {
        for text in ["", "{", "{\"a\": 'b'}", "{a: 'b'}", "['", "it's", "{oops"] {
            let left = super::json(text).is_none_or(|json| serde_json::from_str::<Value>(&json).is_err());
            assert!(left, "{text}");
        }
    }

    #[test]
    fn a_dictionary_that_breaks_off_is_turned_as_far_as_it_goes() {
        assert_eq!(super::json("{'a': 'b', 'c': 'd").as_deref(), Some(r#"{"a": "b", "c": "d"#));
        assert_eq!(super::json("{'a': f(1, (2").as_deref(), Some(r#"{"a": "f(1, (2""#));
        assert_eq!(super::json("{'a\\").as_deref(), Some("{\"a"));
    }
}
