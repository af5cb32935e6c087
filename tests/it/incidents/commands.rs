//! `misstep incidents`, on a SQLite file with one incident in it.

use misstep::incidents::sqlite::SqliteStore;
use misstep::incidents::store::{EpisodeState, IncidentStore as _, IncidentTitle};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::contract::{episode, id, row};
use crate::support::errand::Errand;
use crate::support::receiver::Receiver;
use crate::support::worker_process::{Ended, misstep, run};

const INCIDENT: &str = "2212d9b65fa55866";

struct Shop {
    folder: TempDir,
    store: SqliteStore,
}

impl Shop {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("incidents.db")).unwrap();
        let mut first = episode(INCIDENT, 1);
        first.about = IncidentTitle {
            state_machine: "orders".to_owned(),
            state: Some("Charge".to_owned()),
            error: Some("=Declined\u{1b}[31m".to_owned()),
            reason: "orders failed at Charge".to_owned(),
            ..IncidentTitle::default()
        };
        store.open(&first, &row("run-1", 1), "{}").await.unwrap();
        let mut formula = row("run-2", 2);
        formula.keys.insert("order_id".to_owned(), "=1+1".to_owned());
        store.add(&id(INCIDENT, 1), &formula).await.unwrap();
        Self { folder, store }
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        let path = self.folder.path().join("incidents.db");
        let mut command = misstep(&[&["incidents"], arguments].concat());
        command.env("MISSTEP_INCIDENT_STORE", format!("sqlite:{}", path.display()));
        command.env("USER", "ana");
        run(command).await
    }

    async fn printed(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    }
}

#[tokio::test]
async fn an_incident_is_listed_and_shown_as_text_json_and_csv() {
    let shop = Shop::open().await;
    let list = shop.printed(&["list"]).await;
    assert!(
        list.starts_with(&format!("{INCIDENT}  open       2 failures, last 1970-01-01 00:00:02Z")),
        "{list}"
    );
    assert!(list.contains("orders at Charge: =Declined") && !list.contains('\u{1b}'), "{list:?}");
    let json: Value = serde_json::from_str(&shop.printed(&["list", "--format", "json"]).await).unwrap();
    assert_eq!((&json[0]["id"], &json[0]["count"]), (&json!(INCIDENT), &json!(2)));

    let text = shop.printed(&["show", "2212"]).await;
    assert!(
        text.contains("why together") && text.contains("arn:run-2") && text.contains("not named"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&shop.printed(&["show", "22", "--format", "json"]).await).unwrap();
    assert_eq!(json["executions"][0]["keys"]["order_id"], "O-7 “é”");
    let csv = shop.printed(&["show", INCIDENT, "--format", "csv"]).await;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "execution_arn,name,role,ended_at,recorded_at,notification,order_id");
    assert!(lines[2].ends_with(",'=1+1"), "a formula is text: {}", lines[2]);
    let csv = shop.printed(&["list", "--format", "csv"]).await;
    assert!(csv.contains(",'=Declined"), "{csv}");
}

#[tokio::test]
async fn an_incident_is_muted_for_a_while_and_resolved_on_request() {
    let shop = Shop::open().await;
    let said = shop.printed(&["mute", "2212", "--for", "4h", "--reason", "known"]).await;
    assert!(said.contains("is muted until"), "{said}");
    let mute = shop.store.newest(INCIDENT).await.unwrap().unwrap().mute.unwrap();
    assert_eq!((mute.by.as_str(), mute.reason.as_str(), mute.count), ("ana", "known", 2));
    assert!(shop.printed(&["list"]).await.contains("by ana: known"));
    let said = shop.printed(&["resolve", "2212"]).await;
    assert!(said.contains("will be resolved by the worker"), "{said}");
    let mut episode = shop.store.newest(INCIDENT).await.unwrap().unwrap();
    assert_eq!(episode.resolved_by.as_ref().unwrap().by, "ana");
    episode.state = EpisodeState::Resolved;
    shop.store.replace(episode).await.unwrap().unwrap();
    assert!(shop.printed(&["resolve", "2212"]).await.contains("resolved already"));
    assert_eq!(shop.printed(&["list"]).await, "no incidents\n");
    assert!(shop.printed(&["list", "--all"]).await.contains("resolved"));
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_said_and_changes_nothing() {
    let shop = Shop::open().await;
    for (arguments, code, says) in [
        (&["show", "99"][..], 1, "no incident 99"),
        (&["mute", "2212", "--for", "8d", "--reason", "x"], 1, "7 days at most"),
        (&["mute", "2212", "--for", "soon", "--reason", "x"], 1, "such as 90s"),
        (&["mute", "2212", "--for", "1h"], 2, "--reason"),
        (&["list", "--incident-store", "off"], 64, "MISSTEP_INCIDENT_STORE"),
        (&["list", "--incident-store", "sqlite:/nowhere/x.db"], 1, "there is no /nowhere/x.db"),
    ] {
        let ended = shop.run(arguments).await;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
    }
    assert_eq!(shop.store.newest(INCIDENT).await.unwrap().unwrap().mute, None);
}

#[tokio::test]
async fn a_worker_with_incidents_ends_when_the_queue_is_empty() {
    let (errand, receiver) = tokio::join!(Errand::with(2), Receiver::start());
    let config = errand.incidents_at(&receiver.url, "");
    let ended = errand.run(&["work", "--until-empty"], &config, &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let list = errand.run(&["incidents", "list"], &config, &[]).await;
    assert!(list.stdout.contains("2 failures"), "{list:?}");
    assert_eq!(receiver.received().len(), 1);
}
