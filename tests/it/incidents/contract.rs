//! What every store of incidents does alike: the model, SQLite, SQLite shared by processes that are
//! killed, and DynamoDB in an emulator.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use misstep::incidents::sqlite::SqliteStore;
use misstep::incidents::store::{
    Episode, EpisodeId, EpisodeState, FailureRow, IncidentStore, IncidentTitle, InferredFailure, NamedValue,
    RouteProgress, StoreError, Tally, Written,
};
use misstep::report::incident::ExecutionRole;
use tokio::time::Instant;

use crate::support::incident_store::{ModelStore, NoFaults};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn id(incident: &str, episode: u32) -> EpisodeId {
    EpisodeId { incident: incident.to_owned(), episode }
}

pub(super) fn episode(incident: &str, number: u32) -> Episode {
    Episode {
        id: id(incident, number),
        version: 0,
        state: EpisodeState::Open,
        number: 0,
        named: 0,
        pending: None,
        routes: [("pager".to_owned(), RouteProgress::default())].into(),
        due_at: at(10),
        leased_until: None,
        claim: 0,
        update_at: at(10),
        opened_at: at(i64::from(number)),
        resolved_at: None,
        reopened: false,
        mute: None,
        sent: Vec::new(),
        tries: 0,
        resolved_by: None,
        about: IncidentTitle { state_machine: "orders".to_owned(), ..IncidentTitle::default() },
    }
}

pub(super) fn row(failure: &str, second: i64) -> FailureRow {
    FailureRow {
        failure: failure.to_owned(),
        execution_arn: format!("arn:{failure}"),
        ended_at: Some(at(second)),
        recorded_at: at(second),
        keys: [("order_id".to_owned(), "O-7 “é”".to_owned())].into(),
        role: ExecutionRole::Parent,
        routes: vec!["pager".to_owned()],
        inferred_by: None,
        number: None,
    }
}

/// A value is put in the place of the version that it was made from, the first one too.
async fn named_values(store: &dyn IncidentStore) {
    let new = |value: &str| NamedValue {
        name: "sweep".to_owned(),
        version: 0,
        value: format!("{{\"é\": {value}}}"),
    };
    assert_eq!(store.value("sweep").await, Ok(None));
    let first = store.put_value(new("1")).await.unwrap().unwrap();
    assert_eq!(store.put_value(new("2")).await, Ok(None));
    assert_eq!(store.value("sweep").await, Ok(Some(first.clone())));
    let changed = NamedValue { value: new("3").value, ..first.clone() };
    let second = store.put_value(changed.clone()).await.unwrap().unwrap();
    assert!(second.version > first.version);
    assert_eq!(store.put_value(changed).await, Ok(None));
    assert_eq!(store.value("sweep").await, Ok(Some(second)));
    assert_eq!(store.value("another").await, Ok(None));
}

/// An inferred failure is one until it is settled, also while it is in no episode.
async fn inferred(store: &dyn IncidentStore) {
    let one = id("i", 1);
    let guessed =
        |failure: &str, second| FailureRow { inferred_by: Some("look".to_owned()), ..row(failure, second) };
    assert_eq!(store.open(&episode("i", 1), &row("i0", 1), "{}").await, Ok(Written::Yes));
    for (failure, second) in [("i1", 2), ("i2", 3), ("i3", 4)] {
        assert_eq!(store.add(&one, &guessed(failure, second)).await, Ok(Written::Yes));
    }
    let all = store.inferred(9).await.unwrap();
    let names: Vec<&str> = all.iter().map(|inferred| &*inferred.row.failure).collect();
    assert_eq!(names, ["i3", "i2", "i1"], "those first that were recorded last");
    assert_eq!(all[0], InferredFailure { row: guessed("i3", 4), episode: Some(one.clone()) });
    assert_eq!(store.inferred(2).await.unwrap(), all[..2]);
    let counts = async || {
        let Tally { count, inferred, withdrawn, unnamed, .. } = store.tally(&one).await.unwrap();
        [count, inferred, withdrawn, unnamed]
    };
    assert_eq!(counts().await, [4, 3, 0, 4]);

    // Read, and right.
    store.settle_inferred(&all[0], true).await.unwrap();
    assert_eq!(counts().await, [4, 2, 0, 4]);
    assert_eq!(store.failures(&one).await.unwrap()[3], row("i3", 4));

    // Read, and wrong: withdrawn from the version that was read, once.
    let version = store.episode(&one).await.unwrap().unwrap().version;
    assert_eq!(store.withdraw(&all[1], version + 1).await, Ok(false));
    assert_eq!(store.withdraw(&all[1], version).await, Ok(true));
    assert_eq!(store.withdraw(&all[1], version).await, Ok(false));
    assert_eq!(counts().await, [3, 1, 1, 3]);
    assert_eq!(store.find("i2").await, Ok(None));
    assert_eq!(store.assign_number(&one, version, 1).await, Ok(Some(3)), "it gets no number here");
    assert_eq!(store.failures(&one).await.unwrap().len(), 3);
    // Whoever has not seen it settles nothing.
    store.settle_inferred(&all[1], true).await.unwrap();
    let withdrawn = InferredFailure { episode: None, ..all[1].clone() };
    assert_eq!(store.inferred(9).await.unwrap(), [withdrawn.clone(), all[2].clone()]);
    assert_eq!(store.open(&episode("j", 1), &row("i2", 5), "{}").await, Ok(Written::Yes));
    store.settle_inferred(&withdrawn, true).await.unwrap();
    assert_eq!(store.failures(&id("j", 1)).await.unwrap(), [row("i2", 5)]);

    // Never read.
    store.settle_inferred(&all[2], false).await.unwrap();
    assert_eq!(store.inferred(9).await, Ok(Vec::new()));
    assert_eq!(counts().await, [3, 1, 1, 0], "it still counts as not read");

    // Gone with its episode, and what was withdrawn from it stays where it is.
    assert_eq!(store.add(&one, &guessed("i4", 6)).await, Ok(Written::Yes));
    let open = store.episode(&one).await.unwrap().unwrap();
    let over = Episode { state: EpisodeState::Resolved, resolved_at: Some(at(50)), ..open };
    assert!(store.replace(over).await.unwrap().is_some());
    assert_eq!(store.forget(at(51)).await, Ok(1));
    assert_eq!(store.inferred(9).await, Ok(Vec::new()));
    assert!(store.find("i2").await.unwrap().is_some());
    let open = store.episode(&id("j", 1)).await.unwrap().unwrap();
    let over = Episode { state: EpisodeState::Resolved, resolved_at: Some(at(52)), ..open };
    assert!(store.replace(over).await.unwrap().is_some());
    assert_eq!(store.forget(at(53)).await, Ok(1));
    assert_eq!(store.find("i2").await, Ok(None));
}

pub(super) async fn contract(store: &dyn IncidentStore) {
    named_values(store).await;
    inferred(store).await;
    let one = id("a", 1);
    assert_eq!(store.find("x").await, Ok(None));
    assert_eq!(store.newest("a").await, Ok(None));
    assert_eq!(store.add(&one, &row("x", 1)).await, Ok(Written::Overtaken), "there is no such episode");

    // Opened once, whoever tries.
    assert_eq!(store.open(&episode("a", 1), &row("x", 1), "{\"é\": 1}").await, Ok(Written::Yes));
    assert_eq!(store.open(&episode("a", 1), &row("y", 1), "").await, Ok(Written::Overtaken));
    assert_eq!(store.open(&episode("a", 2), &row("x", 1), "").await, Ok(Written::Known));
    assert_eq!(store.open(&episode("b", 1), &row("x", 1), "").await, Ok(Written::Known));
    assert_eq!(store.newest("a").await, Ok(Some(episode("a", 1))));
    assert_eq!(store.newest("b").await, Ok(None), "nothing is left of a refused step");
    assert_eq!(store.report(&one).await, Ok(Some("{\"é\": 1}".to_owned())));
    let found = store.find("x").await.unwrap().unwrap();
    assert_eq!((found.episode, found.routes), (one.clone(), vec!["pager".to_owned()]));

    // A failure counts once.
    assert_eq!(store.add(&one, &row("y", 5)).await, Ok(Written::Yes));
    assert_eq!(store.add(&one, &row("y", 6)).await, Ok(Written::Known));
    let tally = store.tally(&one).await.unwrap();
    assert_eq!((tally.count, tally.unnamed, tally.oldest, tally.newest), (2, 2, at(1), at(5)));

    // A change is made to the version that it was made from.
    let first = store.episode(&one).await.unwrap().unwrap();
    let changed = Episode { number: 7, due_at: at(20), ..first.clone() };
    let second = store.replace(changed).await.unwrap().unwrap();
    assert!(second.version > first.version);
    assert_eq!(store.replace(first.clone()).await, Ok(None));
    assert_eq!(store.episode(&one).await, Ok(Some(second.clone())));

    // Numbers are given by the one who holds the newest version.
    assert_eq!(store.assign_number(&one, first.version, 1).await, Ok(None));
    assert_eq!(store.assign_number(&one, second.version, 1).await, Ok(Some(2)));
    assert_eq!(store.add(&one, &row("w", 7)).await, Ok(Written::Yes));
    assert_eq!(store.tally(&one).await.unwrap().unnamed, 1);
    assert_eq!(store.assign_number(&one, second.version, 2).await, Ok(Some(3)));
    let names = |rows: Vec<FailureRow>| rows.into_iter().map(|row| row.failure).collect::<Vec<_>>();
    assert_eq!(names(store.numbered(&one, 0, 1).await.unwrap()), ["x", "y"]);
    assert_eq!(names(store.numbered(&one, 1, 2).await.unwrap()), ["w"]);
    assert_eq!(names(store.numbered(&one, 0, 9).await.unwrap()), ["x", "y", "w"]);
    let all = store.failures(&one).await.unwrap();
    assert_eq!(all[1], FailureRow { number: Some(1), ..row("y", 5) });
    assert_eq!(names(all), ["x", "y", "w"]);

    // Due, listed, and removed when it was resolved for long enough.
    assert_eq!(store.due(at(19), 9).await, Ok(vec![]));
    assert_eq!(store.due(at(20), 9).await, Ok(vec![one.clone()]));
    store.open(&episode("c", 1), &row("z", 3), "").await.unwrap();
    assert_eq!(store.due(at(20), 1).await, Ok(vec![id("c", 1)]), "the longest due comes first");
    let resolved = Episode { state: EpisodeState::Resolved, resolved_at: Some(at(30)), ..second };
    let resolved = store.replace(resolved).await.unwrap().unwrap();
    assert_eq!(store.due(at(40), 9).await, Ok(vec![id("c", 1)]));
    assert_eq!(store.list(false).await, Ok(vec![episode("c", 1)]));
    assert_eq!(store.list(true).await, Ok(vec![resolved, episode("c", 1)]));
    assert_eq!(store.open(&episode("a", 2), &row("v", 50), "").await, Ok(Written::Yes));
    assert_eq!(store.newest("a").await.unwrap().unwrap().id, id("a", 2));
    assert_eq!(store.forget(at(30)).await, Ok(0));
    assert_eq!(store.forget(at(31)).await, Ok(1));
    assert_eq!((store.episode(&one).await, store.find("x").await), (Ok(None), Ok(None)));
    assert_eq!(store.find("v").await.unwrap().unwrap().episode, id("a", 2));
}

/// Eight at once, each with the same failures: every one of them counts once, and one opens.
pub(super) async fn race(store: Arc<dyn IncidentStore>) {
    let writers = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut opened = 0;
            for failure in 0..50 {
                let row = row(&failure.to_string(), failure);
                let written = match store.newest("r").await.unwrap() {
                    None => store.open(&episode("r", 1), &row, "").await.unwrap(),
                    Some(newest) => store.add(&newest.id, &row).await.unwrap(),
                };
                opened += u64::from(written == Written::Yes);
            }
            opened
        })
    });
    let mut written = 0;
    for writer in writers.collect::<Vec<_>>() {
        written += writer.await.unwrap();
    }
    let tally = store.tally(&id("r", 1)).await.unwrap();
    // Whoever lost the race to open wrote nothing for that failure; others did.
    assert_eq!((tally.count, written), (50, 50));
}

#[tokio::test]
async fn the_model_keeps_the_contract() {
    contract(&ModelStore::new(Arc::new(NoFaults), None)).await;
    race(Arc::new(ModelStore::new(Arc::new(NoFaults), None))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract(&SqliteStore::open(&folder.path().join("one.db")).unwrap()).await;
    race(Arc::new(SqliteStore::open(&folder.path().join("race.db")).unwrap())).await;
}

#[tokio::test]
async fn sqlite_goes_on_where_it_was_and_refuses_data_of_a_later_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("incidents.db");
    let store = SqliteStore::open(&path).unwrap();
    store.open(&episode("a", 1), &row("x", 1), "").await.unwrap();
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.tally(&id("a", 1)).await.unwrap().count, 1);
    drop(store);
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let refused = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(&refused, StoreError::Unusable(why) if why.contains("version 99")), "{refused}");
    let nowhere = SqliteStore::open(Path::new("/nowhere/incidents.db")).unwrap_err();
    assert!(nowhere.to_string().contains("/nowhere/incidents.db"), "{nowhere}");
}

/// What a process of the next test does, until it is killed.
#[tokio::test]
#[ignore = "a process of sqlite_is_shared_by_processes_that_are_killed"]
async fn sqlite_writer() {
    let Ok(path) = std::env::var("INCIDENTS_DB") else { return };
    let store = SqliteStore::open(Path::new(&path)).unwrap();
    for failure in 0..200 {
        let row = row(&failure.to_string(), failure);
        match store.newest("p").await.unwrap() {
            None => store.open(&episode("p", 1), &row, "").await.unwrap(),
            Some(newest) => store.add(&newest.id, &row).await.unwrap(),
        };
        println!("{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_is_shared_by_processes_that_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("incidents.db");
    let store = SqliteStore::open(&path).unwrap();
    let start = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "incidents::contract::sqlite_writer", "--ignored", "--nocapture"]);
        command.env("INCIDENTS_DB", &path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut writers: Vec<_> = (0..8).map(|_| start()).collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    // Two are killed once there is something to lose.
    while store.tally(&id("p", 1)).await.unwrap().count < 20 {
        assert!(Instant::now() < deadline, "nobody writes");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for writer in &mut writers[..2] {
        writer.kill().unwrap();
    }
    let ended = writers.iter_mut().map(|writer| writer.wait().unwrap().success()).collect::<Vec<_>>();
    assert!(ended[2..].iter().all(|ended| *ended), "{ended:?}");
    let all = store.failures(&id("p", 1)).await.unwrap();
    let distinct: BTreeSet<&str> = all.iter().map(|row| &*row.failure).collect();
    assert_eq!((all.len(), distinct.len()), (200, 200));
    let raw = rusqlite::Connection::open(&path).unwrap();
    let integrity: String = raw.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
}

/// Of an incident with very many failures, what an update needs takes no longer than people notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_failures_are_counted_and_numbered_in_seconds() {
    const FAILURES: usize = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("incidents.db");
    let store = SqliteStore::open(&path).unwrap();
    let opened = episode("a", 1);
    store.open(&opened, &row("first", 0), "").await.unwrap();
    let mut raw = rusqlite::Connection::open(&path).unwrap();
    let step = raw.transaction().unwrap();
    for failure in 1..FAILURES {
        let row = row(&format!("failure {failure}"), 1);
        let values = rusqlite::params![row.failure, serde_json::to_string(&row).unwrap()];
        step.execute("INSERT INTO failure VALUES (?1, 'a', 1, NULL, 1000, ?2)", values).unwrap();
    }
    step.commit().unwrap();
    let one = id("a", 1);
    let began = Instant::now();
    assert_eq!(store.tally(&one).await.unwrap().count, FAILURES as u64);
    let counted = began.elapsed();
    assert_eq!(store.assign_number(&one, 0, 1).await, Ok(Some(FAILURES as u64)));
    let numbered = began.elapsed();
    assert_eq!(store.numbered(&one, 0, 1).await.unwrap().len(), FAILURES);
    let read = began.elapsed();
    println!(
        "{FAILURES} failures: counted after {counted:?}, numbered after {numbered:?}, read after {read:?}"
    );
    assert!(read < Duration::from_secs(30), "{read:?}");
}
