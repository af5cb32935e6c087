//! The JSON of a history, event by event.
//!
//! Events are handed over as soon as each is complete, so that those before a cut are kept. An
//! event has one member `*EventDetails`, whose fields do not clash between types: all of them are
//! read by one visitor.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::history::{Details, EventType, HistoryEvent, fingerprint};

/// What was found so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) events: Vec<HistoryEvent>,
    /// Entries of the list that are objects, but have no id.
    pub(super) without_id: usize,
    /// The token of the next page.
    pub(super) next_token: Option<String>,
    /// What the document holds, when that is no history.
    pub(super) something_else: Option<String>,
}

/// The whole document.
pub(super) struct Document<'a>(pub(super) &'a mut Found);

impl Document<'_> {
    fn is<E>(self, what: &str) -> Result<(), E> {
        self.0.something_else = Some(what.to_owned());
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a history")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = Vec::new();
        let mut events = false;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match key.as_ref() {
                "events" => {
                    events = true;
                    map.next_value_seed(Events(self.0))?;
                }
                "nextToken" | "NextToken" => {
                    self.0.next_token = map.next_value::<Text>()?.0;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    if keys.len() < 6 {
                        keys.push(format!("\"{}\"", key.chars().take(40).collect::<String>()));
                    }
                }
            }
        }
        if !events {
            let keys = if keys.is_empty() { "nothing in it".into() } else { keys.join(", ") };
            self.0.something_else = Some(format!("an object with {keys}"));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        Events(self.0).visit_seq(seq)
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.is("a text")
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.is("a number")
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.is("a number")
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.is("a number")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.is("true or false")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.is("null")
    }
}

/// The list of events.
struct Events<'a>(&'a mut Found);

impl<'de> DeserializeSeed<'de> for Events<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Events<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut entries = 0_usize;
        while let Some(entry) = seq.next_element::<Entry>()? {
            entries += 1;
            match entry {
                Entry::Event(event) => self.0.events.push(*event),
                Entry::WithoutId => self.0.without_id += 1,
                Entry::Other => {}
            }
        }
        if entries > 0 && self.0.events.is_empty() {
            self.0.something_else = Some("a list of something else than events".into());
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.0.something_else = Some("\"events\" that is no list".into());
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.something_else = Some("\"events\" that is no list".into());
        Ok(())
    }
}

enum Entry {
    Event(Box<HistoryEvent>),
    WithoutId,
    Other,
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let (mut id, mut previous, mut timestamp, mut event_type) = (None, None, None, None);
        let mut details = Details::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match key.as_ref() {
                "id" => id = map.next_value::<Number>()?.0,
                "previousEventId" => previous = map.next_value::<Number>()?.0,
                "timestamp" => timestamp = map.next_value::<Time>()?.0,
                "type" => event_type = map.next_value::<Text>()?.0,
                key if key.ends_with("EventDetails") => {
                    map.next_value_seed(DetailsOf(&mut details))?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let (Some(id), Some(event_type)) = (id, event_type) else { return Ok(Entry::WithoutId) };
        let event_type = EventType::parse(&event_type);
        details.keep_needed(&event_type);
        let previous_event_id = previous.unwrap_or(0);
        Ok(Entry::Event(Box::new(HistoryEvent { id, previous_event_id, timestamp, event_type, details })))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entry, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Entry::Other)
    }
    fn visit_str<E>(self, _: &str) -> Result<Entry, E> {
        Ok(Entry::Other)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Entry, E> {
        Ok(Entry::Other)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Entry, E> {
        Ok(Entry::Other)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Entry, E> {
        Ok(Entry::Other)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Entry, E> {
        Ok(Entry::Other)
    }
    fn visit_unit<E>(self) -> Result<Entry, E> {
        Ok(Entry::Other)
    }
}

struct DetailsOf<'a>(&'a mut Details);

impl<'de> DeserializeSeed<'de> for DetailsOf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for DetailsOf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event's details")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let details = self.0;
        let mut parameters = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match key.as_ref() {
                "name" => details.name = map.next_value::<Text>()?.0,
                "index" => details.index = map.next_value::<Number>()?.0,
                "input" => details.input = map.next_value::<Text>()?.0,
                "parameters" => parameters = map.next_value::<Text>()?.0,
                "output" => details.output = map.next_value::<Text>()?.0,
                "error" => details.error = map.next_value::<Text>()?.0,
                "cause" => details.cause = map.next_value::<Text>()?.0,
                "state" => details.state = map.next_value::<Text>()?.0,
                "location" => details.location = map.next_value::<Text>()?.0,
                "resource" => details.resource = map.next_value::<Text>()?.0,
                "resourceType" => details.resource_type = map.next_value::<Text>()?.0,
                "timeoutInSeconds" => details.timeout_seconds = map.next_value::<Number>()?.0,
                "heartbeatInSeconds" => details.heartbeat_seconds = map.next_value::<Number>()?.0,
                "mapRunArn" => details.map_run_arn = map.next_value::<Text>()?.0,
                "redriveCount" => details.redrive_count = map.next_value::<Number>()?.0,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        // A task is called with parameters, a function or an activity with an input.
        details.called_with = parameters
            .or_else(|| details.resource.as_ref().and(details.input.clone()))
            .as_deref()
            .map(fingerprint);
        Ok(())
    }
}

/// A text; any other value as its JSON; null as none.
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }))
    }
}

/// A whole number; anything else as none.
struct Number(Option<i64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(serde_json::Value::deserialize(deserializer)?.as_i64()))
    }
}

/// Seconds since 1970, or ISO 8601 with any offset, UTC where it has none; anything else as none.
struct Time(Option<Timestamp>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text.parse::<Timestamp>().ok().or_else(|| {
                let local = text.parse::<jiff::civil::DateTime>().ok()?;
                Some(local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
            }),
            serde_json::Value::Number(number) => number.as_f64().and_then(from_epoch),
            _ => None,
        }))
    }
}

/// Past the year 5138 in seconds, it is milliseconds.
fn from_epoch(number: f64) -> Option<Timestamp> {
    let seconds = if number.abs() >= 1e11 { number / 1e3 } else { number };
    // Histories are kept to the millisecond, which is what a float still holds exactly.
    #[expect(clippy::cast_possible_truncation, reason = "a float out of range saturates and is refused")]
    Timestamp::from_millisecond((seconds * 1e3).round() as i64).ok()
}
