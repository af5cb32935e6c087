//! The items of the table: their keys, and what they hold.
//!
//! | item | `pk` | `sk` | attributes |
//! |---|---|---|---|
//! | schema | `META` | `META` | `schema_version` |
//! | episode | `I#<incident>` | `E#<episode>` | `ver`, `body`; `due` and `due_at` while it is not resolved |
//! | its report | `I#<incident>` | `R#<episode>` | `body` |
//! | its entry in the directory | `D` | `<incident>#<episode>` | `incident`, `episode`; `removing` while it is removed |
//! | failure | `F#<hash>` | `F` | `incident`, `episode`, `routes` |
//! | its row in the list | `L#<incident>#<episode>#<shard>` | `<hash>` | `body`, `recorded_at`, `num` once it has a number; `inferred` until its history was read; `withdrawn` once it is somewhere else |
//! | inferred failure | `G` | `<recorded_at>#<hash>`, or `9999999999999#<hash>` once it is withdrawn | `body`; `incident`, `episode` until it is withdrawn |
//! | named value | `V#<name>` | `V` | `ver`, `body` |
//!
//! `<hash>` is the SHA-256 of the failure's key in hexadecimal, `<episode>` has ten digits, so that the
//! newest one sorts last. Times are in milliseconds. No attribute that an expression names is a
//! reserved word of DynamoDB.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::super::store::{
    Episode, EpisodeId, EpisodeState, FailureRow, InferredFailure, NamedValue, RecordedFailure, StoreError,
};

/// An item as the SDK has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The partition of the directory.
pub(super) const DIRECTORY: &str = "D";

/// What marks a row whose failure is somewhere else.
pub(super) const WITHDRAWN: &str = "withdrawn";

/// The partition of inferred failures.
pub(super) const INFERRED: &str = "G";

/// The partition of the index `due`, of which there is one.
pub(super) const DUE: &str = "due";

/// A partition takes 1,000 writes a second (Amazon DynamoDB, Quotas). The failures of an episode are spread
/// over so many.
pub(super) const SHARDS: u32 = 4;

/// A primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ItemKey {
    pub(super) pk: String,
    pub(super) sk: String,
}

impl ItemKey {
    pub(super) fn schema() -> Self {
        Self { pk: "META".to_owned(), sk: "META".to_owned() }
    }

    pub(super) fn episode(id: &EpisodeId) -> Self {
        Self { pk: incident(&id.incident), sk: format!("E#{:010}", id.episode) }
    }

    pub(super) fn report(id: &EpisodeId) -> Self {
        Self { pk: incident(&id.incident), sk: format!("R#{:010}", id.episode) }
    }

    pub(super) fn entry(id: &EpisodeId) -> Self {
        Self { pk: DIRECTORY.to_owned(), sk: format!("{}#{:010}", id.incident, id.episode) }
    }

    pub(super) fn failure(hash: &str) -> Self {
        Self { pk: format!("F#{hash}"), sk: "F".to_owned() }
    }

    pub(super) fn inferred(failure: &FailureRow) -> Self {
        Self::inferred_at(failure.recorded_at, &hash(&failure.failure))
    }

    /// Sorts behind all times, and is read first.
    pub(super) fn withdrawn(failure: &FailureRow) -> Self {
        Self { pk: INFERRED.to_owned(), sk: format!("9999999999999#{}", hash(&failure.failure)) }
    }

    pub(super) fn inferred_at(recorded_at: Timestamp, hash: &str) -> Self {
        Self { pk: INFERRED.to_owned(), sk: format!("{:013}#{hash}", recorded_at.as_millisecond()) }
    }

    pub(super) fn named(name: &str) -> Self {
        Self { pk: format!("V#{name}"), sk: "V".to_owned() }
    }

    pub(super) fn row(id: &EpisodeId, hash: &str) -> Self {
        let digit = hash.chars().next().and_then(|digit| digit.to_digit(16)).unwrap_or(0);
        Self { pk: shard(id, digit % SHARDS), sk: hash.to_owned() }
    }

    /// The key alone, as an item.
    pub(super) fn item(&self) -> Item {
        [("pk".to_owned(), text(&self.pk)), ("sk".to_owned(), text(&self.sk))].into()
    }

    pub(super) fn of(item: &Item) -> Result<Self, StoreError> {
        Ok(Self { pk: read_text(item, "pk")?.to_owned(), sk: read_text(item, "sk")?.to_owned() })
    }

    /// The episode whose item this is the key of.
    pub(super) fn episode_id(&self) -> Result<EpisodeId, StoreError> {
        let incident = self.pk.strip_prefix("I#");
        let episode = self.sk.strip_prefix("E#").and_then(|episode| episode.parse().ok());
        let both = incident.zip(episode);
        let (incident, episode) = both.ok_or_else(|| damaged(&self.pk, &self.sk, "no key of an episode"))?;
        Ok(EpisodeId { incident: incident.to_owned(), episode })
    }
}

/// The partition of an incident's episodes.
pub(super) fn incident(incident: &str) -> String {
    format!("I#{incident}")
}

/// One of the partitions of an episode's rows.
pub(super) fn shard(id: &EpisodeId, shard: u32) -> String {
    format!("L#{}#{:010}#{shard}", id.incident, id.episode)
}

/// What stands for a failure in keys, which may have 1,024 bytes only.
pub(super) fn hash(failure: &str) -> String {
    Sha256::digest(failure).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A row of an episode's list, with or without its body.
#[derive(Debug)]
pub(super) struct ListedRow {
    pub(super) hash: String,
    pub(super) recorded_at: Timestamp,
    pub(super) number: Option<u32>,
    pub(super) is_inferred: bool,
    /// It is somewhere else by now, and only counts as having been here.
    pub(super) is_withdrawn: bool,
}

impl ListedRow {
    pub(super) fn of(item: &Item) -> Result<Self, StoreError> {
        let number = item.contains_key("num").then(|| read_number(item, "num")).transpose()?;
        Ok(Self {
            hash: read_text(item, "sk")?.to_owned(),
            recorded_at: Timestamp::from_millisecond(read_number(item, "recorded_at")?).unwrap_or_default(),
            number,
            is_inferred: item.contains_key("inferred"),
            is_withdrawn: item.contains_key(WITHDRAWN),
        })
    }
}

pub(super) fn schema_item(version: u32) -> Item {
    with(ItemKey::schema(), [("schema_version", number(version))])
}

pub(super) fn episode_item(episode: &Episode) -> Item {
    let mut item = with(
        ItemKey::episode(&episode.id),
        [("ver", number(episode.version)), ("body", text(&json(episode)))],
    );
    // The index `due` has only items with both attributes.
    if episode.state != EpisodeState::Resolved {
        item.insert("due".to_owned(), text(DUE));
        item.insert("due_at".to_owned(), number(episode.due_at.as_millisecond()));
    }
    item
}

pub(super) fn read_episode(item: &Item) -> Result<Episode, StoreError> {
    let id = ItemKey::of(item)?.episode_id()?;
    let episode: Episode = read_json(item, "body")?;
    Ok(Episode { id, version: read_number(item, "ver")?, ..episode })
}

pub(super) fn report_item(id: &EpisodeId, report: &str) -> Item {
    with(ItemKey::report(id), [("body", text(report))])
}

pub(super) fn entry_item(id: &EpisodeId) -> Item {
    with(ItemKey::entry(id), place(id))
}

pub(super) fn failure_item(id: &EpisodeId, failure: &FailureRow) -> Item {
    let mut item = with(ItemKey::failure(&hash(&failure.failure)), place(id));
    item.insert("routes".to_owned(), text(&json(&failure.routes)));
    item
}

pub(super) fn read_failure(item: &Item) -> Result<RecordedFailure, StoreError> {
    Ok(RecordedFailure { episode: read_place(item)?, routes: read_json(item, "routes")? })
}

pub(super) fn row_item(id: &EpisodeId, failure: &FailureRow) -> Item {
    let recorded_at = number(failure.recorded_at.as_millisecond());
    let attributes = [("recorded_at", recorded_at), ("body", text(&json(failure)))];
    let mut item = with(ItemKey::row(id, &hash(&failure.failure)), attributes);
    if failure.inferred_by.is_some() {
        item.insert("inferred".to_owned(), number(1));
    }
    item
}

pub(super) fn inferred_item(id: &EpisodeId, failure: &FailureRow) -> Item {
    let mut item = with(ItemKey::inferred(failure), place(id));
    item.insert("body".to_owned(), text(&json(failure)));
    item
}

pub(super) fn withdrawn_item(failure: &FailureRow) -> Item {
    with(ItemKey::withdrawn(failure), [("body", text(&json(failure)))])
}

pub(super) fn read_inferred(item: &Item) -> Result<InferredFailure, StoreError> {
    let episode = item.contains_key("incident").then(|| read_place(item)).transpose()?;
    Ok(InferredFailure { row: read_json(item, "body")?, episode })
}

/// The body of a row.
pub(super) fn body(failure: &FailureRow) -> AttributeValue {
    text(&json(failure))
}

pub(super) fn read_row(item: &Item) -> Result<FailureRow, StoreError> {
    let row: FailureRow = read_json(item, "body")?;
    Ok(FailureRow { number: ListedRow::of(item)?.number, ..row })
}

pub(super) fn named_item(value: &NamedValue) -> Item {
    with(ItemKey::named(&value.name), [("ver", number(value.version)), ("body", text(&value.value))])
}

pub(super) fn read_named(name: &str, item: &Item) -> Result<NamedValue, StoreError> {
    Ok(NamedValue {
        name: name.to_owned(),
        version: read_number(item, "ver")?,
        value: read_text(item, "body")?.to_owned(),
    })
}

fn place(id: &EpisodeId) -> [(&'static str, AttributeValue); 2] {
    [("incident", text(&id.incident)), ("episode", number(id.episode))]
}

/// The episode that an item names.
pub(super) fn read_place(item: &Item) -> Result<EpisodeId, StoreError> {
    Ok(EpisodeId {
        incident: read_text(item, "incident")?.to_owned(),
        episode: read_number(item, "episode")?,
    })
}

fn with<const N: usize>(key: ItemKey, attributes: [(&'static str, AttributeValue); N]) -> Item {
    let mut item = key.item();
    item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
    item
}

pub(super) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub(super) fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn read_text<'i>(item: &'i Item, name: &str) -> Result<&'i str, StoreError> {
    let found = item.get(name).and_then(|value| value.as_s().ok());
    found.map(String::as_str).ok_or_else(|| lacks(item, name))
}

pub(super) fn read_number<T: std::str::FromStr>(item: &Item, name: &str) -> Result<T, StoreError> {
    let found = item.get(name).and_then(|value| value.as_n().ok());
    found.and_then(|number| number.parse().ok()).ok_or_else(|| lacks(item, name))
}

fn read_json<T: DeserializeOwned>(item: &Item, name: &str) -> Result<T, StoreError> {
    serde_json::from_str(read_text(item, name)?).map_err(|error| {
        let of = |name| read_text(item, name).unwrap_or_default();
        damaged(of("pk"), of("sk"), &format!("{name}: {error}"))
    })
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("it has only text keys")
}

fn lacks(item: &Item, name: &str) -> StoreError {
    let of = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map_or("?", String::as_str);
    damaged(of("pk"), of("sk"), &format!("no usable attribute {name}"))
}

fn damaged(pk: &str, sk: &str, why: &str) -> StoreError {
    StoreError::Unusable(format!("the item {pk} / {sk} was not written by misstep: {why}"))
}
