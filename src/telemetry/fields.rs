//! The fields of spans in lines of JSON.
//!
//! `JsonFields` parses and writes all fields of a span again for each that is recorded later, and a
//! message's span gets four. Here later ones are appended; of a field recorded twice, the line shows
//! the last value.

use std::fmt;

use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::{FormatFields, JsonFields, Writer};

/// Writes the fields of a span as a JSON object.
#[derive(Debug, Default)]
pub(super) struct SpanFields(JsonFields);

impl<'writer> FormatFields<'writer> for SpanFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        self.0.format_fields(writer, fields)
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut added = String::new();
        self.0.format_fields(Writer::new(&mut added), fields)?;
        append(&mut current.fields, &added);
        Ok(())
    }
}

/// Appends the fields of one object to another.
fn append(object: &mut String, added: &str) {
    match (object.strip_suffix('}'), added.strip_prefix('{')) {
        (_, Some("}") | None) => {}
        (None | Some("{"), Some(_)) => added.clone_into(object),
        (Some(_), Some(fields)) => {
            object.pop();
            object.push(',');
            object.push_str(fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_to_an_object_makes_one_object() {
        let appended = |object: &str, added: &str| {
            let mut object = object.to_owned();
            append(&mut object, added);
            object
        };
        assert_eq!(appended(r#"{"a":1}"#, r#"{"b":"}"}"#), r#"{"a":1,"b":"}"}"#);
        assert_eq!(appended("{}", r#"{"b":2}"#), r#"{"b":2}"#);
        assert_eq!(appended("", r#"{"b":2}"#), r#"{"b":2}"#);
        assert_eq!(appended(r#"{"a":1}"#, "{}"), r#"{"a":1}"#);
        let twice: serde_json::Value =
            serde_json::from_str(&appended(r#"{"a":1,"b":2}"#, r#"{"a":3}"#)).unwrap();
        assert_eq!(twice, serde_json::json!({"a": 3, "b": 2}));
    }
}
