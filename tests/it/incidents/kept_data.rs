//! What a store keeps: no secrets, and what an earlier version of it kept can be read.

use misstep::incidents::sqlite::SqliteStore;
use misstep::incidents::store::{Episode, FailureRow, IncidentStore as _};
use misstep::report::Report;
use serde_json::{Value, json};

use crate::support::errand::Errand;
use crate::support::receiver::Receiver;
use crate::support::synth::Machine;
use crate::support::synth::steps::task;
use crate::support::{execution, failure};

const SECRETS: [&str; 3] = ["geheim-4711", "geheim-4712", "geheim-4713"];

/// Names the folder that what a store keeps today is written to, for a new version of the data.
const WRITE_TO: &str = "KEPT_DATA";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_stored_and_none_is_listed() {
    let (errand, receiver) = tokio::join!(Errand::with(0), Receiver::start());
    let input = json!({"order_id": "O-1", "password": SECRETS[0], "customer": {"api_key": SECRETS[1]}});
    let cause = format!(r#"{{"errorMessage": "refused", "token": "{}"}}"#, SECRETS[2]);
    let machine = Machine::new(vec![task("Charge").fails(("Declined", &*cause))]).input(input.clone());
    errand.sfn.add(&execution(0), &machine.history(1).events);
    let mut event: Value = serde_json::from_str(&failure(0)).unwrap();
    event["detail"]["input"] = json!(input.to_string());
    errand.sqs.send("failures", &event.to_string());
    let config = errand.incidents_at(&receiver.url, "");
    // Not even for a route that has redaction off: what it gets comes from the store.
    let config =
        format!("{config}\nredaction = \"off\"\ninput_keys = [\"order_id\", \"password\", \"api_key\"]\n");
    let worked = errand.run(&["work", "--until-empty"], &config, &[]).await;
    assert_eq!(worked.code, Some(0), "{}", worked.stderr);
    let told = receiver.received()[0].json().to_string();

    let path = errand.place("incidents.db");
    let mut stored = Vec::new();
    for ending in ["", "-wal", "-shm"] {
        stored.extend(std::fs::read(format!("{}{ending}", path.display())).unwrap_or_default());
    }
    let stored = String::from_utf8_lossy(&stored);
    assert!(stored.contains("O-1") && stored.contains("refused"), "the failure is there");
    let store = SqliteStore::open(&path).unwrap();
    let [episode] = &store.list(true).await.unwrap()[..] else { panic!("one incident") };
    let mut all = vec![("the notification", told), ("the file", stored.into_owned())];
    for format in ["text", "json", "csv"] {
        let shown = ["incidents", "show", &episode.id.incident, "--format", format];
        let shown = errand.run(&shown, &config, &[]).await;
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        all.push((format, shown.stdout));
    }
    for (place, text) in all {
        assert!(text.contains("O-1"), "{place}");
        for secret in SECRETS {
            assert!(!text.contains(secret), "{place} has {secret}");
        }
    }
    if let Ok(folder) = std::env::var(WRITE_TO) {
        let keep = |name: &str, text: String| std::fs::write(format!("{folder}/{name}.json"), text).unwrap();
        let row = &store.failures(&episode.id).await.unwrap()[0];
        keep("episode", serde_json::to_string_pretty(episode).unwrap());
        keep("failure", serde_json::to_string_pretty(row).unwrap());
        let report: Value = serde_json::from_str(&store.report(&episode.id).await.unwrap().unwrap()).unwrap();
        keep("report", format!("{report:#}"));
    }
}

/// Written by the first version of the data. A later misstep reads it, or has a later version and migrates it.
#[test]
fn what_the_first_version_stored_can_be_read() {
    let episode = include_str!("../../fixtures/incident-store/1/episode.json");
    let episode: Episode = serde_json::from_str(episode).unwrap();
    assert_eq!((episode.number, episode.about.state.as_deref()), (1, Some("Charge")));
    let row = include_str!("../../fixtures/incident-store/1/failure.json");
    let row: FailureRow = serde_json::from_str(row).unwrap();
    assert_eq!(row.execution_arn, execution(0));
    let report = include_str!("../../fixtures/incident-store/1/report.json");
    let report: Report = serde_json::from_str(report).unwrap();
    assert_eq!(report.analysis.failed_state.unwrap().name, "Charge");
}
