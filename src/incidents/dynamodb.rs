//! Incidents in a DynamoDB table, for any number of workers.
//!
//! - Reads are strongly consistent, but for [`due`](IncidentStore::due), which reads an index and may be stale.
//! - What belongs together is written in a transaction. An episode is replaced by a put on the condition that
//!   its version is still the one that was read.
//! - A partition takes 1,000 writes a second, even if they are all on one item
//!   (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>). So adding
//!   a failure writes nothing to the episode, there is no counter, and the rows of an episode are in
//!   several partitions. A count is a number of rows.
//! - An item has 400 KB at most, so the report is an item of its own.
//! - Nothing has a TTL. Setting one takes a write for each item, as deleting does, and what is deleted by TTL
//!   may be found for days after; so `forget` deletes. It notes in the directory that an
//!   episode is being removed, and the next one goes on where one was cut off.
//!
//! `dynamodb/item.rs` lists the items. The table is made by the operator: `infra/` has it.

mod inspect;
mod item;
mod table;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use jiff::Timestamp;

pub use self::inspect::TableInspection;
use self::item::{Item, ItemKey, ListedRow, SHARDS, number};
use self::table::{Table, Transacted, pause};
use super::store::{
    Episode, EpisodeId, EpisodeState, FailureRow, IncidentStore, InferredFailure, NamedValue,
    RecordedFailure, SCHEMA_VERSION, StoreError, Tally, Written,
};
use crate::aws::Session;

/// A transaction has 100 items at most (Amazon DynamoDB API, TransactWriteItems). One of them checks the
/// episode's version.
const ROWS_AT_ONCE: usize = 99;

/// How often numbers are assigned again after something got in the way.
const ASSIGN_ATTEMPTS: u32 = 8;

/// What is read of a row to count it.
const COUNTED: &str = "pk, sk, recorded_at, num, inferred, withdrawn";

/// What is read of a row to list it.
const LISTED: &str = "pk, sk, recorded_at, num, inferred, withdrawn, body";

/// That an item is about an episode.
const IN_EPISODE: &str = "incident = :incident AND episode = :episode";

fn in_episode(id: &EpisodeId) -> Item {
    let incident = AttributeValue::S(id.incident.clone());
    Item::from([(":incident".to_owned(), incident), (":episode".to_owned(), number(id.episode))])
}

/// Incidents in a DynamoDB table.
#[derive(Debug, Clone)]
pub struct DynamodbStore {
    table: Table,
}

impl DynamodbStore {
    /// The store in a table, without a look at it.
    pub fn new(aws: &Session, table: &str) -> Self {
        Self { table: Table::new(aws, table) }
    }

    /// The store in a table, once the table is known to have the right keys, the index, and data of a version
    /// that this misstep knows.
    ///
    /// # Errors
    /// When it cannot be reached or used.
    pub async fn open(aws: &Session, table: &str) -> Result<Self, StoreError> {
        let store = Self::new(aws, table);
        if !store.is_set_up().await? {
            // Somebody else may be faster, with a version of their own.
            store.table.put_new(item::schema_item(SCHEMA_VERSION)).await?;
            store.is_set_up().await?;
        }
        store.due(Timestamp::MIN, 1).await?;
        Ok(store)
    }

    /// Whether the table holds data, of a version that this misstep knows.
    ///
    /// # Errors
    /// When the version is a later one, or the table cannot be read.
    pub async fn is_set_up(&self) -> Result<bool, StoreError> {
        let Some(schema) = self.table.get(&ItemKey::schema()).await? else { return Ok(false) };
        match table::schema_version(&schema)? {
            found if found > SCHEMA_VERSION => Err(StoreError::Unusable(format!(
                "{}: its data has version {found}, and this misstep knows versions up to {SCHEMA_VERSION}; run the newer misstep",
                self.table.name
            ))),
            _ => Ok(true),
        }
    }

    /// The rows of an episode, in no order.
    async fn rows(&self, id: &EpisodeId, projection: &str) -> Result<Vec<Item>, StoreError> {
        let shards: Vec<String> = (0..SHARDS).map(|shard| item::shard(id, shard)).collect();
        let shards = shards.iter().map(|shard| self.table.partition(shard, projection));
        Ok(try_join_all(shards).await?.into_iter().flatten().collect())
    }

    async fn listed(&self, id: &EpisodeId) -> Result<Vec<ListedRow>, StoreError> {
        self.rows(id, COUNTED).await?.iter().map(ListedRow::of).collect()
    }

    async fn failure_rows(&self, id: &EpisodeId) -> Result<Vec<FailureRow>, StoreError> {
        let rows = self.rows(id, LISTED).await?;
        rows.iter().filter(|row| !row.contains_key(item::WITHDRAWN)).map(item::read_row).collect()
    }

    /// The episodes of the directory, and whether each is being removed.
    async fn directory(&self) -> Result<Vec<(EpisodeId, bool)>, StoreError> {
        let entries = self.table.partition(item::DIRECTORY, "pk, sk, incident, episode, removing").await?;
        let entry = |entry: &Item| Ok((item::read_place(entry)?, entry.contains_key("removing")));
        entries.iter().map(entry).collect()
    }

    /// Removes what is left of an episode whose own item is gone.
    async fn remove(&self, id: &EpisodeId) -> Result<(), StoreError> {
        // Nobody adds to an episode that is gone, so one look is enough.
        let rows = self.listed(id).await?;
        // What was withdrawn is a failure of another episode.
        let own = || rows.iter().filter(|row| !row.is_withdrawn);
        let inferred = own().filter(|row| row.is_inferred);
        let mut keys: Vec<ItemKey> =
            inferred.map(|row| ItemKey::inferred_at(row.recorded_at, &row.hash)).collect();
        keys.extend(own().map(|row| ItemKey::failure(&row.hash)));
        // These last: whoever goes on after a crash finds the others by them.
        keys.extend(rows.iter().map(|row| ItemKey::row(id, &row.hash)));
        self.table.delete_all(&keys).await?;
        let entry = self.table.delete(&ItemKey::entry(id), Some("attribute_exists(removing)"), None);
        self.table.transact(vec![entry]).await?;
        Ok(())
    }

    /// Gives these rows a number, some at a time.
    async fn name_rows(
        &self,
        id: &EpisodeId,
        version: u64,
        its_number: u32,
        rows: &[&ListedRow],
    ) -> Result<Assigned, StoreError> {
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let values = |name: &str, value| Item::from([(name.to_owned(), value)]);
            let ours = Some(values(":ver", number(version)));
            let mut writes = vec![self.table.check(&ItemKey::episode(id), "ver = :ver", ours)];
            writes.extend(rows.iter().map(|row| {
                let unnamed =
                    "attribute_exists(pk) AND attribute_not_exists(num) AND attribute_not_exists(withdrawn)";
                let values = values(":num", number(its_number));
                self.table.update(&ItemKey::row(id, &row.hash), "SET num = :num", unnamed, values)
            }));
            match self.table.transact(writes).await? {
                Transacted::Done => {}
                Transacted::Refused(places) if places.contains(&0) => return Ok(Assigned::ClaimLost),
                // An attempt of our own whose answer was lost, or somebody at the episode.
                Transacted::Refused(_) | Transacted::Conflict => return Ok(Assigned::Disturbed),
            }
        }
        Ok(Assigned::All)
    }
}

/// What came of assigning a number.
enum Assigned {
    All,
    ClaimLost,
    Disturbed,
}

#[async_trait]
impl IncidentStore for DynamodbStore {
    fn name(&self) -> String {
        format!("dynamodb:{}", self.table.name)
    }

    async fn find(&self, failure: &str) -> Result<Option<RecordedFailure>, StoreError> {
        let found = self.table.get(&ItemKey::failure(&item::hash(failure))).await?;
        found.as_ref().map(item::read_failure).transpose()
    }

    async fn newest(&self, incident: &str) -> Result<Option<Episode>, StoreError> {
        let newest = self.table.last(&item::incident(incident), "E#").await?;
        newest.as_ref().map(item::read_episode).transpose()
    }

    async fn open(
        &self,
        episode: &Episode,
        failure: &FailureRow,
        report: &str,
    ) -> Result<Written, StoreError> {
        let id = &episode.id;
        let mut writes = vec![
            self.table.put_if_new(item::failure_item(id, failure)),
            self.table.put_if_new(item::episode_item(episode)),
            self.table.put_if_new(item::entry_item(id)),
            self.table.put_always(item::row_item(id, failure)),
            self.table.put_always(item::report_item(id, report)),
        ];
        if id.episode > 1 {
            // Episodes are removed one by one; while this one is there, nobody counts from 1 anew.
            let before = EpisodeId { incident: id.incident.clone(), episode: id.episode - 1 };
            writes.push(self.table.check(&ItemKey::episode(&before), "attribute_exists(pk)", None));
        }
        match self.table.transact(writes).await? {
            Transacted::Done => Ok(Written::Yes),
            Transacted::Refused(places) if places.contains(&0) => Ok(Written::Known),
            Transacted::Refused(places) if !places.contains(&1) && places.contains(&2) => {
                // Old, of the same number, and not removed to the end.
                self.remove(id).await?;
                Ok(Written::Overtaken)
            }
            // Another transaction at the same items is one that opens the episode, or that records this failure:
            // whoever asked looks anew.
            Transacted::Refused(_) | Transacted::Conflict => Ok(Written::Overtaken),
        }
    }

    async fn add(&self, id: &EpisodeId, failure: &FailureRow) -> Result<Written, StoreError> {
        let (known, row) = (item::failure_item(id, failure), item::row_item(id, failure));
        let mut writes = vec![self.table.put_if_new(known), self.table.put_always(row)];
        if failure.inferred_by.is_some() {
            writes.push(self.table.put_always(item::inferred_item(id, failure)));
        }
        match self.table.transact(writes).await? {
            Transacted::Done => {}
            Transacted::Refused(_) => return Ok(Written::Known),
            Transacted::Conflict => return Ok(Written::Overtaken),
        }
        // A condition on the episode would make it a hot item. It is looked at afterwards, as it is removed before
        // its rows: either it is there, or what was written goes with it.
        if self.table.get(&ItemKey::episode(id)).await?.is_some() {
            return Ok(Written::Yes);
        }
        let hash = item::hash(&failure.failure);
        let mut both = vec![ItemKey::failure(&hash), ItemKey::row(id, &hash)];
        both.extend(failure.inferred_by.as_ref().map(|_| ItemKey::inferred(failure)));
        // Whatever comes of this, whoever asked tries again; only what is written has to be both or neither.
        match self.table.transact(both.iter().map(|key| self.table.delete(key, None, None)).collect()).await?
        {
            Transacted::Done => Ok(Written::Overtaken),
            Transacted::Refused(_) | Transacted::Conflict => {
                Err(StoreError::Unavailable(format!("{}: {id} is being removed", self.table.name)))
            }
        }
    }

    async fn episode(&self, id: &EpisodeId) -> Result<Option<Episode>, StoreError> {
        self.table.get(&ItemKey::episode(id)).await?.as_ref().map(item::read_episode).transpose()
    }

    async fn replace(&self, mut episode: Episode) -> Result<Option<Episode>, StoreError> {
        let before = episode.version;
        episode.version += 1;
        let replaced = self.table.put_over(item::episode_item(&episode), before).await?;
        Ok(replaced.then_some(episode))
    }

    async fn tally(&self, id: &EpisodeId) -> Result<Tally, StoreError> {
        let (withdrawn, rows): (Vec<_>, Vec<_>) =
            self.listed(id).await?.into_iter().partition(|row| row.is_withdrawn);
        let count = |rows: usize| u64::try_from(rows).unwrap_or(u64::MAX);
        let times = || rows.iter().map(|row| row.recorded_at);
        Ok(Tally {
            count: count(rows.len()),
            inferred: count(rows.iter().filter(|row| row.is_inferred).count()),
            withdrawn: count(withdrawn.len()),
            unnamed: count(rows.iter().filter(|row| row.number.is_none()).count()),
            oldest: times().min().unwrap_or_default(),
            newest: times().max().unwrap_or_default(),
        })
    }

    async fn assign_number(
        &self,
        id: &EpisodeId,
        version: u64,
        number: u32,
    ) -> Result<Option<u64>, StoreError> {
        for attempt in 0..ASSIGN_ATTEMPTS {
            let mut rows = self.listed(id).await?;
            rows.retain(|row| !row.is_withdrawn);
            let unnamed: Vec<&ListedRow> = rows.iter().filter(|row| row.number.is_none()).collect();
            if unnamed.is_empty() {
                let ours = self.episode(id).await?.is_some_and(|episode| episode.version == version);
                return Ok(ours.then(|| u64::try_from(rows.len()).unwrap_or(u64::MAX)));
            }
            match self.name_rows(id, version, number, &unnamed).await? {
                // What was recorded meanwhile has no number yet.
                Assigned::All => return Ok(Some(u64::try_from(rows.len()).unwrap_or(u64::MAX))),
                Assigned::ClaimLost => return Ok(None),
                Assigned::Disturbed => pause(attempt).await,
            }
        }
        let why = "its rows are changed by others all the time";
        Err(StoreError::Unavailable(format!("{}: {id}: {why}", self.table.name)))
    }

    async fn numbered(
        &self,
        id: &EpisodeId,
        after: u32,
        through: u32,
    ) -> Result<Vec<FailureRow>, StoreError> {
        let mut rows = self.failure_rows(id).await?;
        rows.retain(|row| row.number.is_some_and(|number| after < number && number <= through));
        rows.sort_by(|a, b| (a.number, &a.failure).cmp(&(b.number, &b.failure)));
        Ok(rows)
    }

    async fn failures(&self, id: &EpisodeId) -> Result<Vec<FailureRow>, StoreError> {
        let mut rows = self.failure_rows(id).await?;
        rows.sort_by(|a, b| (a.recorded_at, &a.failure).cmp(&(b.recorded_at, &b.failure)));
        Ok(rows)
    }

    async fn report(&self, id: &EpisodeId) -> Result<Option<String>, StoreError> {
        let report = self.table.get(&ItemKey::report(id)).await?;
        report.as_ref().map(|report| item::read_text(report, "body").map(str::to_owned)).transpose()
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<EpisodeId>, StoreError> {
        let due = self.table.due(item::DUE, now.as_millisecond(), most).await?;
        due.iter().map(|item| ItemKey::of(item)?.episode_id()).collect()
    }

    async fn list(&self, resolved: bool) -> Result<Vec<Episode>, StoreError> {
        let directory = self.directory().await?;
        let keys: Vec<ItemKey> = directory.iter().map(|(id, _)| ItemKey::episode(id)).collect();
        let episodes = self.table.get_all(&keys).await?;
        let mut episodes =
            episodes.iter().map(item::read_episode).collect::<Result<Vec<Episode>, StoreError>>()?;
        episodes.retain(|episode| resolved || episode.state != EpisodeState::Resolved);
        episodes.sort_by(|a, b| {
            (b.opened_at, &a.id.incident, b.id.episode).cmp(&(a.opened_at, &b.id.incident, a.id.episode))
        });
        Ok(episodes)
    }

    async fn forget(&self, resolved_before: Timestamp) -> Result<u64, StoreError> {
        let is_over = |episode: &Episode| {
            let resolved = episode.resolved_at.filter(|_| episode.state == EpisodeState::Resolved);
            resolved.is_some_and(|at| at < resolved_before)
        };
        for (id, _) in self.directory().await?.iter().filter(|(_, removing)| *removing) {
            self.remove(id).await?;
        }
        let mut removed = 0;
        for Episode { id, version, .. } in self.list(true).await?.iter().filter(|episode| is_over(episode)) {
            let values = |name: &str, value| Item::from([(name.to_owned(), value)]);
            let unchanged = Some(values(":ver", number(*version)));
            let removing = values(":at", number(resolved_before.as_millisecond()));
            let writes = vec![
                self.table.delete(&ItemKey::episode(id), Some("ver = :ver"), unchanged),
                self.table.delete(&ItemKey::report(id), None, None),
                self.table.update(
                    &ItemKey::entry(id),
                    "SET removing = :at",
                    "attribute_exists(pk)",
                    removing,
                ),
            ];
            // What somebody changed meanwhile stays.
            if self.table.transact(writes).await? == Transacted::Done {
                self.remove(id).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    async fn inferred(&self, most: usize) -> Result<Vec<InferredFailure>, StoreError> {
        self.table.newest(item::INFERRED, most).await?.iter().map(item::read_inferred).collect()
    }

    async fn settle_inferred(&self, failure: &InferredFailure, is_read: bool) -> Result<(), StoreError> {
        let there = match &failure.episode {
            Some(id) => {
                self.table.delete(&ItemKey::inferred(&failure.row), Some(IN_EPISODE), Some(in_episode(id)))
            }
            None => self.table.delete(&ItemKey::withdrawn(&failure.row), None, None),
        };
        let mut writes = vec![there];
        if let (true, Some(id)) = (is_read, &failure.episode) {
            let row = ItemKey::row(id, &item::hash(&failure.row.failure));
            let read = item::body(&FailureRow { inferred_by: None, ..failure.row.clone() });
            let body = Item::from([(":body".to_owned(), read)]);
            writes.push(self.table.update(
                &row,
                "SET body = :body REMOVE inferred",
                "attribute_exists(inferred)",
                body,
            ));
        }
        match self.table.transact(writes).await? {
            Transacted::Done | Transacted::Refused(_) => Ok(()),
            Transacted::Conflict => {
                Err(StoreError::Unavailable(format!("{}: somebody else is at it", self.table.name)))
            }
        }
    }

    async fn withdraw(&self, failure: &InferredFailure, version: u64) -> Result<bool, StoreError> {
        let Some(id) = &failure.episode else { return Ok(false) };
        let hash = item::hash(&failure.row.failure);
        let ours = Item::from([(":ver".to_owned(), number(version))]);
        let one = Item::from([(":one".to_owned(), number(1))]);
        let writes = vec![
            self.table.check(&ItemKey::episode(id), "ver = :ver", Some(ours)),
            self.table.delete(&ItemKey::failure(&hash), Some(IN_EPISODE), Some(in_episode(id))),
            self.table.update(
                &ItemKey::row(id, &hash),
                "SET withdrawn = :one REMOVE inferred",
                "attribute_exists(inferred)",
                one,
            ),
            self.table.delete(&ItemKey::inferred(&failure.row), Some(IN_EPISODE), Some(in_episode(id))),
            self.table.put_always(item::withdrawn_item(&failure.row)),
        ];
        Ok(self.table.transact(writes).await? == Transacted::Done)
    }

    async fn value(&self, name: &str) -> Result<Option<NamedValue>, StoreError> {
        let found = self.table.get(&ItemKey::named(name)).await?;
        found.as_ref().map(|found| item::read_named(name, found)).transpose()
    }

    async fn put_value(&self, mut value: NamedValue) -> Result<Option<NamedValue>, StoreError> {
        let before = value.version;
        value.version += 1;
        let item = item::named_item(&value);
        let put = match before {
            0 => self.table.put_new(item).await?,
            _ => self.table.put_over(item, before).await?,
        };
        Ok(put.then_some(value))
    }
}
