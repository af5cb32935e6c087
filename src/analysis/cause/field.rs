//! Fields of objects by the names that services give them, however they are spelled.
//!
//! Step Functions spells the fields of an answer as `StatusReason`, an SDK in a function as
//! `statusReason` or `status_reason`: all of them are one name.

use serde_json::{Map, Value};

/// How many objects a path leads to at most.
const MAX_OBJECTS: usize = 10_000;

/// A text with a meaning: neither empty nor a language's word for null.
pub(super) fn meaningful(text: &str) -> Option<&str> {
    const NOTHING: [&str; 9] =
        ["null", "none", "undefined", "nil", "<nil>", "nan", "[object object]", "{}", "[]"];
    let text = text.trim();
    let is_nothing = text.is_empty() || NOTHING.iter().any(|nothing| text.eq_ignore_ascii_case(nothing));
    (!is_nothing).then_some(text)
}

/// Whether two names are one: case, `_` and `-` do not count.
pub(super) fn is_named(key: &str, name: &str) -> bool {
    plain(key).eq(plain(name))
}

fn plain(name: &str) -> impl Iterator<Item = u8> {
    let letters = name.bytes().filter(|byte| !matches!(byte, b'_' | b'-'));
    letters.map(|byte| byte.to_ascii_lowercase())
}

/// The value of a field.
pub(super) fn value<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| is_named(key, name)).map(|(_, value)| value))
}

/// The text of a field, if it has a meaning.
pub(super) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    meaningful(value(object, name)?.as_str()?)
}

/// A number, also where it is written as a text.
pub(super) fn number(object: &Map<String, Value>, name: &str) -> Option<i64> {
    match value(object, name)? {
        Value::Number(number) => number.as_i64(),
        Value::String(number) => number.trim().parse().ok(),
        _ => None,
    }
}

/// The objects that a path of names leads to: `Status.FailureDetails`, and through a list to each of
/// its objects. The empty path is the object itself.
pub(super) fn objects<'a>(object: &'a Map<String, Value>, path: &str) -> Vec<&'a Map<String, Value>> {
    let mut found = vec![object];
    for name in path.split('.').filter(|name| !name.is_empty()) {
        let values = found.iter().filter_map(|object| value(object, name));
        let below = values.flat_map(|value| match value {
            Value::Object(object) => vec![object],
            Value::Array(list) => list.iter().filter_map(Value::as_object).collect(),
            _ => Vec::new(),
        });
        found = below.take(MAX_OBJECTS).collect();
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_found_however_it_is_spelled() {
        for key in ["StatusReason", "statusReason", "status_reason", "STATUS-REASON"] {
            let object = json!({"Status": "x", key: " late "});
            assert_eq!(text(object.as_object().unwrap(), "StatusReason"), Some("late"), "{key}");
        }
    }

    #[test]
    fn words_for_null_have_no_meaning() {
        for nothing in ["", " ", "null", "None", "undefined", "NULL", "{}"] {
            assert_eq!(meaningful(nothing), None, "{nothing}");
        }
        assert_eq!(meaningful(" none of them "), Some("none of them"));
    }

    #[test]
    fn a_path_leads_through_lists() {
        let object =
            json!({"Phases": [{"Contexts": [{"Message": "a"}]}, {"Contexts": [{"Message": "b"}, 7]}, {}]});
        let found = objects(object.as_object().unwrap(), "Phases.Contexts");
        let messages: Vec<_> = found.iter().filter_map(|object| text(object, "Message")).collect();
        assert_eq!(messages, ["a", "b"]);
        assert_eq!(objects(object.as_object().unwrap(), "Phases.Nothing").len(), 0);
    }
}
