//! The JSON of a file, value by value: events of a history or of a log, and whatever they are wrapped in.
//!
//! Events are handed over as soon as each is complete, so that those before a cut are kept. An event of
//! a log is JSON in the `message` of a log event, and names its execution.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::other;
use super::raw::{DetailsOf, RawNumber, RawText, Time};
use crate::history::{Details, EventType, HistoryEvent};

/// What was found so far.
#[derive(Default)]
pub(super) struct FoundHistory {
    /// The events of each execution, in the order in which the executions first appear.
    pub(super) executions: Vec<Events>,
    events: usize,
    by_arn: HashMap<Option<String>, usize>,
    /// Entries of a list of events that are objects, but lack an id or a type.
    pub(super) without_id: usize,
    /// Log messages that are not an event of an execution.
    pub(super) other_messages: usize,
    /// The token of the next page, by the last page that has one.
    pub(super) next_token: Option<String>,
    /// Whether a list without entries was found.
    pub(super) empty_list: bool,
    /// Whether a page without a token was found.
    pub(super) last_page: bool,
    /// What the first document without events holds instead.
    pub(super) something_else: Option<other::OtherKind>,
}

/// The events of one execution.
pub(super) struct Events {
    /// Its ARN, where the events name it.
    pub(super) arn: Option<String>,
    pub(super) events: Vec<HistoryEvent>,
}

impl FoundHistory {
    pub(super) fn is_empty(&self) -> bool {
        self.executions.is_empty()
    }

    /// Reads a log message: the JSON of one event.
    pub(super) fn message(&mut self, text: &str) {
        let before = self.events;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = HistoryItem { found: self, place: DocumentPlace::Message }.deserialize(&mut deserializer);
        if read.is_err() || self.events == before {
            self.other_messages += 1;
        }
    }

    fn push(&mut self, arn: Option<String>, event: HistoryEvent) {
        let next = self.executions.len();
        let at = *self.by_arn.entry(arn).or_insert_with_key(|arn| {
            self.executions.push(Events { arn: arn.clone(), events: Vec::new() });
            next
        });
        self.executions[at].events.push(event);
        self.events += 1;
    }

    fn is(&mut self, kind: other::OtherKind) {
        self.something_else.get_or_insert(kind);
    }
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DocumentPlace {
    /// It is a whole document.
    Document,
    /// It is an entry of a list.
    Entry,
    /// It is a log event's message. A message in a message is not read.
    Message,
}

/// Reads one document.
pub(super) fn read<'de, D: Deserializer<'de>>(
    found: &mut FoundHistory,
    deserializer: D,
) -> Result<(), D::Error> {
    HistoryItem { found, place: DocumentPlace::Document }.deserialize(deserializer)
}

/// Any value: an event, or something that holds events.
struct HistoryItem<'a> {
    found: &'a mut FoundHistory,
    place: DocumentPlace,
}

impl HistoryItem<'_> {
    fn scalar<E>(self, what: &str) -> Result<(), E> {
        if self.place == DocumentPlace::Document {
            self.found.is(other::OtherKind::named(what));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for HistoryItem<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for HistoryItem<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a history")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { found, place } = self;
        let (mut id, mut previous, mut timestamp, mut event_type) = (None, None, None, None);
        let (mut arn, mut field) = (None, None);
        let mut details = Details::default();
        let mut holds_events = false;
        let (mut is_page, mut token) = (false, None);
        let mut keys = other::Keys::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match key.as_ref() {
                "id" => id = map.next_value::<RawNumber>()?.0,
                "previousEventId" | "previous_event_id" => previous = map.next_value::<RawNumber>()?.0,
                "timestamp" | "event_timestamp" => timestamp = map.next_value::<Time>()?.0,
                "type" => event_type = map.next_value::<RawText>()?.0,
                "execution_arn" => arn = map.next_value::<RawText>()?.0,
                "details" => {
                    let json = map.next_value::<&RawValue>()?.get();
                    if json.starts_with('{') {
                        let mut deserializer = serde_json::Deserializer::from_str(json);
                        DetailsOf(&mut details)
                            .deserialize(&mut deserializer)
                            .map_err(serde::de::Error::custom)?;
                    }
                }
                key if key.ends_with("EventDetails") => map.next_value_seed(DetailsOf(&mut details))?,
                "events" | "logEvents" | "results" => {
                    holds_events = true;
                    is_page |= key == "events";
                    map.next_value_seed(List { found, key: Some(&key) })?;
                }
                "message" | "@message" if place != DocumentPlace::Message => {
                    holds_events = true;
                    map.next_value_seed(HistoryItem { found, place: DocumentPlace::Message })?;
                }
                // A cell of a row of Logs Insights.
                "field" => field = map.next_value::<RawText>()?.0,
                "value" if field.as_deref() == Some("@message") => {
                    holds_events = true;
                    map.next_value_seed(HistoryItem { found, place: DocumentPlace::Message })?;
                }
                "nextToken" | "NextToken" => token = map.next_value::<RawText>()?.0,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            keys.add(&key);
        }
        if is_page {
            found.last_page |= token.is_none();
            found.next_token = token.or(found.next_token.take());
        }
        if let (Some(id), Some(event_type)) = (id, event_type) {
            let event_type = EventType::parse(&event_type);
            details.keep_needed(&event_type);
            let previous_event_id = previous.unwrap_or(0);
            found.push(arn, HistoryEvent { id, previous_event_id, timestamp, event_type, details });
        } else if !holds_events && field.is_none() {
            match place {
                DocumentPlace::Document => found.is(keys.kind()),
                DocumentPlace::Entry => {
                    found.without_id += 1;
                    found.is(keys.kind_of_list());
                }
                DocumentPlace::Message => {}
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        List { found: self.found, key: None }.visit_seq(seq)
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let holds_json = text.trim_start().starts_with('{');
        match self.place {
            DocumentPlace::Message if !holds_json => self.found.other_messages += 1,
            // What `jq '.events[].message'` prints is a text a line.
            _ if holds_json => self.found.message(text),
            _ => return self.scalar("a text"),
        }
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.scalar("a number")
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.scalar("a number")
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.scalar("a number")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.scalar("true or false")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.scalar("null")
    }
}

/// A list of values, and the key under which it stands.
struct List<'a, 'k> {
    found: &'a mut FoundHistory,
    key: Option<&'k str>,
}

impl List<'_, '_> {
    fn no_list<E>(self) -> Result<(), E> {
        let key = self.key.unwrap_or_default();
        self.found.is(other::OtherKind::named(&format!("\"{key}\" that is no list")));
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut entries = 0_usize;
        while seq.next_element_seed(HistoryItem { found: self.found, place: DocumentPlace::Entry })?.is_some()
        {
            entries += 1;
        }
        if entries > 0 && self.found.is_empty() && self.found.other_messages == 0 {
            self.found.is(other::OtherKind::named("a list of something else than events"));
        }
        self.found.empty_list |= entries == 0;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.no_list()
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.no_list()
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.no_list()
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.no_list()
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.no_list()
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.no_list()
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.no_list()
    }
}
