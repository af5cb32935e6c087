//! Incidents in a SQLite file, for one worker or several on one machine.
//!
//! Write-ahead log, `synchronous=FULL`, and every step in a transaction that takes the write lock at its
//! start: what was answered is on the disk. SQLite's write-ahead log does not work over a network file
//! system (<https://www.sqlite.org/wal.html>), so one of those is refused.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{
    Connection, ErrorCode, OptionalExtension as _, Row, Transaction, TransactionBehavior, params,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::store::{
    Episode, EpisodeId, FailureRow, IncidentStore, InferredFailure, NamedValue, RecordedFailure,
    SCHEMA_VERSION, StoreError, Tally, Written,
};

/// How long a step waits for another process's.
const BUSY: Duration = Duration::from_secs(5);

/// A step that takes longer counts as failed.
const LONGEST_STEP: Duration = Duration::from_secs(15);

/// The tables. `version`, `state`, `due_at` and `resolved_at` repeat what is in `body`, to be searched by.
const TABLES: &str = "
CREATE TABLE episode (
    incident TEXT NOT NULL, episode INTEGER NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
    due_at INTEGER NOT NULL, opened_at INTEGER NOT NULL, resolved_at INTEGER, body TEXT NOT NULL,
    report TEXT NOT NULL, PRIMARY KEY (incident, episode)
) STRICT, WITHOUT ROWID;
CREATE INDEX episode_due ON episode (due_at) WHERE state <> 'resolved';
CREATE TABLE failure (
    failure TEXT NOT NULL PRIMARY KEY, incident TEXT NOT NULL, episode INTEGER NOT NULL, number INTEGER,
    recorded_at INTEGER NOT NULL, body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX failure_episode ON failure (incident, episode, number, failure);
";

/// Made in any file that lacks it: a misstep that does not know it is not disturbed by it.
const LATER_TABLES: &str = "
CREATE TABLE IF NOT EXISTS named_value (
    name TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL, value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inferred (
    failure TEXT NOT NULL PRIMARY KEY, recorded_at INTEGER NOT NULL, incident TEXT, episode INTEGER, body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS inferred_at ON inferred (recorded_at);
CREATE INDEX IF NOT EXISTS inferred_episode ON inferred (incident, episode);
CREATE TABLE IF NOT EXISTS unread (
    incident TEXT NOT NULL, episode INTEGER NOT NULL, failure TEXT NOT NULL,
    PRIMARY KEY (incident, episode, failure)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS withdrawn (
    incident TEXT NOT NULL, episode INTEGER NOT NULL, failure TEXT NOT NULL,
    PRIMARY KEY (incident, episode, failure)
) STRICT, WITHOUT ROWID;
";

/// File systems that are shared over a network, by their magic number in `statfs` (linux/magic.h and the
/// sources of the file systems).
const NETWORK: [(u64, &str); 5] =
    [(0x6969, "NFS"), (0xff53_4d42, "CIFS"), (0xfe53_4d42, "SMB2"), (0x517b, "SMB"), (0x00c3_6400, "Ceph")];

/// Incidents in a SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
}

impl SqliteStore {
    /// Opens the file, and creates it if it does not exist.
    ///
    /// # Errors
    /// When it cannot be opened, lies on a network file system, or was made by a later version of misstep.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let unusable = |why: &dyn Display| StoreError::Unusable(format!("{}: {why}", path.display()));
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Some(kind) = network_file_system(folder).map_err(|error| unusable(&error))? {
            let why = format!(
                "it lies on {kind}, over which SQLite's write-ahead log does not work; use a disk of this machine, or dynamodb:TABLE"
            );
            return Err(unusable(&why));
        }
        // Only for whoever runs the worker: what is in it comes from people's inputs.
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        file.map_err(|error| unusable(&error))?;
        let mut connection = Connection::open(path).map_err(|error| unusable(&error))?;
        set_up(&mut connection).map_err(|error| match error {
            SetUpError::Sqlite(error) => unusable(&error),
            SetUpError::Later(found) => unusable(&format!(
                "its data has version {found}, and this misstep knows versions up to {SCHEMA_VERSION}; use the newer misstep"
            )),
        })?;
        Ok(Self { path: path.to_owned(), connection: Arc::new(Mutex::new(connection)) })
    }

    /// One step: a transaction, off the threads that must not wait for a disk.
    async fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = self.connection.clone();
        let stepped = tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = step(&transaction)?;
            transaction.commit()?;
            Ok(done)
        });
        match tokio::time::timeout(LONGEST_STEP, stepped).await {
            Ok(Ok(done)) => done.map_err(|error: rusqlite::Error| self.error(&error)),
            Ok(Err(error)) => Err(StoreError::Unavailable(format!("{}: {error}", self.path.display()))),
            // It may take effect nevertheless, as with any answer that is lost.
            Err(_elapsed) => Err(StoreError::Unavailable(format!("{}: the disk hangs", self.path.display()))),
        }
    }

    fn error(&self, error: &rusqlite::Error) -> StoreError {
        let what = format!("{}: {error}", self.path.display());
        let passing = [
            ErrorCode::DatabaseBusy,
            ErrorCode::DatabaseLocked,
            ErrorCode::DiskFull,
            ErrorCode::SystemIoFailure,
            ErrorCode::OutOfMemory,
        ];
        match error.sqlite_error_code() {
            Some(code) if passing.contains(&code) => StoreError::Unavailable(what),
            _ => StoreError::Unusable(what),
        }
    }
}

/// The kind of network file system that a folder lies on, if it does.
///
/// # Errors
/// When the folder is not there.
pub fn network_file_system(folder: &Path) -> std::io::Result<Option<&'static str>> {
    #[cfg(target_os = "linux")]
    {
        let magic = u64::try_from(rustix::fs::statfs(folder)?.f_type).unwrap_or_default() & 0xffff_ffff;
        Ok(NETWORK.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name))
    }
    #[cfg(not(target_os = "linux"))]
    std::fs::metadata(folder).map(|_| None)
}

enum SetUpError {
    Sqlite(rusqlite::Error),
    /// The version found.
    Later(u32),
}

impl From<rusqlite::Error> for SetUpError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn set_up(connection: &mut Connection) -> Result<(), SetUpError> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match transaction.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))? {
        0 => {
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        found if found > SCHEMA_VERSION => return Err(SetUpError::Later(found)),
        _ => {}
    }
    transaction.execute_batch(LATER_TABLES)?;
    transaction.commit()?;
    Ok(())
}

#[async_trait]
impl IncidentStore for SqliteStore {
    fn name(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    async fn find(&self, failure: &str) -> Result<Option<RecordedFailure>, StoreError> {
        let failure = failure.to_owned();
        self.step(move |step| {
            let found = "SELECT incident, episode, body FROM failure WHERE failure = ?1";
            let read = |row: &Row<'_>| {
                let body: FailureRow = json(&row.get::<_, String>(2)?)?;
                Ok(RecordedFailure { episode: episode_id(row)?, routes: body.routes })
            };
            step.prepare_cached(found)?.query_row([failure], read).optional()
        })
        .await
    }

    async fn newest(&self, incident: &str) -> Result<Option<Episode>, StoreError> {
        let incident = incident.to_owned();
        self.step(move |step| {
            let newest = "SELECT incident, episode, version, body FROM episode WHERE incident = ?1 ORDER BY episode DESC LIMIT 1";
            step.prepare_cached(newest)?.query_row([incident], episode).optional()
        })
        .await
    }

    async fn open(
        &self,
        episode: &Episode,
        failure: &FailureRow,
        report: &str,
    ) -> Result<Written, StoreError> {
        let (episode, failure, report) = (episode.clone(), failure.clone(), report.to_owned());
        self.step(move |step| {
            let id = &episode.id;
            let newest = "SELECT coalesce(max(episode), 0) FROM episode WHERE incident = ?1";
            let newest: u32 = step.prepare_cached(newest)?.query_row([&id.incident], |row| row.get(0))?;
            if newest + 1 != id.episode {
                return Ok(Written::Overtaken);
            }
            if insert(step, id, &failure)? == Written::Known {
                return Ok(Written::Known);
            }
            let open = "INSERT INTO episode VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            step.prepare_cached(open)?.execute(params![
                id.incident,
                id.episode,
                episode.version,
                episode.state.name(),
                episode.due_at.as_millisecond(),
                episode.opened_at.as_millisecond(),
                episode.resolved_at.map(Timestamp::as_millisecond),
                text(&episode),
                report,
            ])?;
            Ok(Written::Yes)
        })
        .await
    }

    async fn add(&self, episode: &EpisodeId, failure: &FailureRow) -> Result<Written, StoreError> {
        let (id, failure) = (episode.clone(), failure.clone());
        self.step(move |step| {
            // Removed meanwhile: whoever asked looks for the newest episode anew.
            let there = "SELECT 1 FROM episode WHERE incident = ?1 AND episode = ?2";
            if !step.prepare_cached(there)?.exists(params![id.incident, id.episode])? {
                return Ok(Written::Overtaken);
            }
            insert(step, &id, &failure)
        })
        .await
    }

    async fn episode(&self, id: &EpisodeId) -> Result<Option<Episode>, StoreError> {
        let id = id.clone();
        self.step(move |step| {
            let one =
                "SELECT incident, episode, version, body FROM episode WHERE incident = ?1 AND episode = ?2";
            step.prepare_cached(one)?.query_row(params![id.incident, id.episode], episode).optional()
        })
        .await
    }

    async fn replace(&self, mut episode: Episode) -> Result<Option<Episode>, StoreError> {
        self.step(move |step| {
            let before = episode.version;
            episode.version += 1;
            let replace =
                "UPDATE episode SET version = ?3, state = ?4, due_at = ?5, resolved_at = ?6, body = ?7
                 WHERE incident = ?1 AND episode = ?2 AND version = ?8";
            let replaced = step.prepare_cached(replace)?.execute(params![
                episode.id.incident,
                episode.id.episode,
                episode.version,
                episode.state.name(),
                episode.due_at.as_millisecond(),
                episode.resolved_at.map(Timestamp::as_millisecond),
                text(&episode),
                before,
            ])?;
            Ok((replaced == 1).then_some(episode))
        })
        .await
    }

    async fn tally(&self, id: &EpisodeId) -> Result<Tally, StoreError> {
        let id = id.clone();
        self.step(move |step| {
            let tally = "SELECT count(*), count(*) - count(number), coalesce(min(recorded_at), 0), coalesce(max(recorded_at), 0),
                 (SELECT count(*) FROM inferred WHERE incident = ?1 AND episode = ?2)
                 + (SELECT count(*) FROM unread WHERE incident = ?1 AND episode = ?2),
                 (SELECT count(*) FROM withdrawn WHERE incident = ?1 AND episode = ?2)
                 FROM failure WHERE incident = ?1 AND episode = ?2";
            step.prepare_cached(tally)?.query_row(params![id.incident, id.episode], |row| {
                Ok(Tally {
                    count: row.get(0)?,
                    unnamed: row.get(1)?,
                    oldest: time(row.get(2)?),
                    newest: time(row.get(3)?),
                    inferred: row.get(4)?,
                    withdrawn: row.get(5)?,
                })
            })
        })
        .await
    }

    async fn assign_number(
        &self,
        id: &EpisodeId,
        version: u64,
        number: u32,
    ) -> Result<Option<u64>, StoreError> {
        let id = id.clone();
        self.step(move |step| {
            let ours = "SELECT 1 FROM episode WHERE incident = ?1 AND episode = ?2 AND version = ?3";
            if !step.prepare_cached(ours)?.exists(params![id.incident, id.episode, version])? {
                return Ok(None);
            }
            let assign =
                "UPDATE failure SET number = ?3 WHERE incident = ?1 AND episode = ?2 AND number IS NULL";
            step.prepare_cached(assign)?.execute(params![id.incident, id.episode, number])?;
            let count = "SELECT count(number) FROM failure WHERE incident = ?1 AND episode = ?2";
            let count =
                step.prepare_cached(count)?.query_row(params![id.incident, id.episode], |row| row.get(0));
            count.map(Some)
        })
        .await
    }

    async fn numbered(
        &self,
        id: &EpisodeId,
        after: u32,
        through: u32,
    ) -> Result<Vec<FailureRow>, StoreError> {
        let id = id.clone();
        self.step(move |step| {
            let numbered = "SELECT number, body FROM failure
                 WHERE incident = ?1 AND episode = ?2 AND number > ?3 AND number <= ?4 ORDER BY number, failure";
            let mut rows = step.prepare_cached(numbered)?;
            rows.query_map(params![id.incident, id.episode, after, through], failure)?.collect()
        })
        .await
    }

    async fn failures(&self, id: &EpisodeId) -> Result<Vec<FailureRow>, StoreError> {
        let id = id.clone();
        self.step(move |step| {
            let all = "SELECT number, body FROM failure WHERE incident = ?1 AND episode = ?2
                 ORDER BY recorded_at, failure";
            step.prepare_cached(all)?.query_map(params![id.incident, id.episode], failure)?.collect()
        })
        .await
    }

    async fn report(&self, id: &EpisodeId) -> Result<Option<String>, StoreError> {
        let id = id.clone();
        self.step(move |step| {
            let report = "SELECT report FROM episode WHERE incident = ?1 AND episode = ?2";
            let mut report = step.prepare_cached(report)?;
            report.query_row(params![id.incident, id.episode], |row| row.get(0)).optional()
        })
        .await
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<EpisodeId>, StoreError> {
        self.step(move |step| {
            let due = "SELECT incident, episode FROM episode WHERE state <> 'resolved' AND due_at <= ?1
                 ORDER BY due_at LIMIT ?2";
            step.prepare_cached(due)?.query_map(params![now.as_millisecond(), most], episode_id)?.collect()
        })
        .await
    }

    async fn list(&self, resolved: bool) -> Result<Vec<Episode>, StoreError> {
        self.step(move |step| {
            let list = "SELECT incident, episode, version, body FROM episode WHERE ?1 OR state <> 'resolved'
                 ORDER BY opened_at DESC, incident, episode DESC";
            step.prepare_cached(list)?.query_map([resolved], episode)?.collect()
        })
        .await
    }

    async fn forget(&self, resolved_before: Timestamp) -> Result<u64, StoreError> {
        self.step(move |step| {
            let before = resolved_before.as_millisecond();
            for table in ["failure", "inferred", "unread", "withdrawn"] {
                let rows = format!(
                    "DELETE FROM {table} WHERE (incident, episode) IN
                     (SELECT incident, episode FROM episode WHERE state = 'resolved' AND resolved_at < ?1)"
                );
                step.prepare_cached(&rows)?.execute([before])?;
            }
            let episodes = "DELETE FROM episode WHERE state = 'resolved' AND resolved_at < ?1";
            let episodes = step.prepare_cached(episodes)?.execute([before])?;
            Ok(u64::try_from(episodes).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn inferred(&self, most: usize) -> Result<Vec<InferredFailure>, StoreError> {
        self.step(move |step| {
            let newest =
                "SELECT incident, episode, body FROM inferred ORDER BY incident IS NOT NULL, recorded_at DESC, failure LIMIT ?1";
            let read = |row: &Row<'_>| {
                let incident: Option<String> = row.get(0)?;
                let episode = incident.map(|_| episode_id(row)).transpose()?;
                Ok(InferredFailure { row: json(&row.get::<_, String>(2)?)?, episode })
            };
            step.prepare_cached(newest)?.query_map([most], read)?.collect()
        })
        .await
    }

    async fn settle_inferred(&self, failure: &InferredFailure, is_read: bool) -> Result<(), StoreError> {
        let row = FailureRow { inferred_by: None, ..failure.row.clone() };
        let (body, id) = (text(&row), failure.episode.clone());
        self.step(move |step| {
            let (incident, episode) = id.map(|id| (id.incident, id.episode)).unzip();
            let settle = "DELETE FROM inferred WHERE failure = ?1 AND incident IS ?2 AND episode IS ?3";
            let settled = step.prepare_cached(settle)?.execute(params![row.failure, incident, episode])?;
            // Where it was withdrawn, the row that was recorded anew is not inferred.
            if settled == 1 && incident.is_some() {
                if is_read {
                    let read = "UPDATE failure SET body = ?2 WHERE failure = ?1";
                    step.prepare_cached(read)?.execute(params![row.failure, body])?;
                } else {
                    let unread = "INSERT INTO unread VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
                    step.prepare_cached(unread)?.execute(params![incident, episode, row.failure])?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn withdraw(&self, failure: &InferredFailure, version: u64) -> Result<bool, StoreError> {
        let Some(id) = failure.episode.clone() else { return Ok(false) };
        let failure = failure.row.failure.clone();
        self.step(move |step| {
            let ours = "SELECT 1 FROM episode WHERE incident = ?1 AND episode = ?2 AND version = ?3";
            if !step.prepare_cached(ours)?.exists(params![id.incident, id.episode, version])? {
                return Ok(false);
            }
            let take = "DELETE FROM failure WHERE failure = ?1 AND incident = ?2 AND episode = ?3
                 AND EXISTS (SELECT 1 FROM inferred WHERE failure = ?1 AND incident = ?2 AND episode = ?3)";
            if step.prepare_cached(take)?.execute(params![failure, id.incident, id.episode])? == 0 {
                return Ok(false);
            }
            let keep = "UPDATE inferred SET incident = NULL, episode = NULL WHERE failure = ?1";
            step.prepare_cached(keep)?.execute([&failure])?;
            let note = "INSERT INTO withdrawn VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            step.prepare_cached(note)?.execute(params![id.incident, id.episode, failure])?;
            Ok(true)
        })
        .await
    }

    async fn value(&self, name: &str) -> Result<Option<NamedValue>, StoreError> {
        let name = name.to_owned();
        self.step(move |step| {
            let one = "SELECT version, value FROM named_value WHERE name = ?1";
            let mut one = step.prepare_cached(one)?;
            let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let found = one.query_row([&name], read).optional()?;
            Ok(found.map(|(version, value)| NamedValue { name, version, value }))
        })
        .await
    }

    async fn put_value(&self, mut value: NamedValue) -> Result<Option<NamedValue>, StoreError> {
        self.step(move |step| {
            let put = if value.version == 0 {
                "INSERT INTO named_value VALUES (?1, 1, ?2) ON CONFLICT DO NOTHING"
            } else {
                "UPDATE named_value SET version = version + 1, value = ?2 WHERE name = ?1 AND version = ?3"
            };
            let mut put = step.prepare_cached(put)?;
            let changed = match value.version {
                0 => put.execute(params![value.name, value.value])?,
                before => put.execute(params![value.name, value.value, before])?,
            };
            value.version += 1;
            Ok((changed == 1).then_some(value))
        })
        .await
    }
}

fn insert(step: &Transaction<'_>, id: &EpisodeId, failure: &FailureRow) -> rusqlite::Result<Written> {
    let insert = "INSERT INTO failure VALUES (?1, ?2, ?3, NULL, ?4, ?5) ON CONFLICT DO NOTHING";
    let inserted = step.prepare_cached(insert)?.execute(params![
        failure.failure,
        id.incident,
        id.episode,
        failure.recorded_at.as_millisecond(),
        text(failure),
    ])?;
    if inserted == 0 {
        return Ok(Written::Known);
    }
    if failure.inferred_by.is_some() {
        let inferred = "INSERT OR REPLACE INTO inferred VALUES (?1, ?2, ?3, ?4, ?5)";
        step.prepare_cached(inferred)?.execute(params![
            failure.failure,
            failure.recorded_at.as_millisecond(),
            id.incident,
            id.episode,
            text(failure),
        ])?;
    }
    Ok(Written::Yes)
}

fn episode_id(row: &Row<'_>) -> rusqlite::Result<EpisodeId> {
    Ok(EpisodeId { incident: row.get(0)?, episode: row.get(1)? })
}

fn episode(row: &Row<'_>) -> rusqlite::Result<Episode> {
    let episode: Episode = json(&row.get::<_, String>(3)?)?;
    Ok(Episode { id: episode_id(row)?, version: row.get(2)?, ..episode })
}

fn failure(row: &Row<'_>) -> rusqlite::Result<FailureRow> {
    let failure: FailureRow = json(&row.get::<_, String>(1)?)?;
    Ok(FailureRow { number: row.get(0)?, ..failure })
}

fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default()
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("it has only text keys")
}

fn json<T: DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    let damaged =
        |error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error));
    serde_json::from_str(text).map_err(damaged)
}
