//! Thousands of failures of three bugs, and two workers on one store that are killed again and again: the
//! real binary, on stubs of SQS and Step Functions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::support::errand::Errand;
use crate::support::execution;
use crate::support::failure;
use crate::support::receiver::Receiver;
use crate::support::synth::Machine;
use crate::support::synth::steps::{pass, task};

const BUGS: [(&str, &str, &str); 3] = [
    ("Charge", "Declined", "card expired"),
    ("Charge", "States.TaskFailed", "no such customer"),
    ("Ship", "Declined", "card expired"),
];
const KILLS: usize = 6;

fn failures() -> usize {
    std::env::var("INCIDENT_STORM").map_or(450, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_bugs_are_three_alerts_and_every_failure_is_named_whoever_is_killed() {
    let failures = failures();
    let (errand, receiver) =
        tokio::join!(Errand::visible_again_after(Duration::from_secs(5), 0), Receiver::start());
    let histories = BUGS.map(|(state, error, cause)| {
        Machine::new(vec![pass("Prepare"), task(state).fails((error, cause))]).history(1).events
    });
    for number in 0..failures {
        errand.sfn.add(&execution(number), &histories[number % BUGS.len()]);
        errand.sqs.send("failures", &failure(number));
    }
    let route = |name: &str, form: &str| {
        format!(
            r#"
            [[routes]]
            name = "{name}"
            audience = "{name}"
            channel = "http"
            url = "{}{name}"
            form = "{form}"
            grouping = "incident"
            "#,
            receiver.url
        )
    };
    let config = format!(
        r#"
        [incidents]
        store = "sqlite:{}"
        ladder = ["2s"]
        quiet = "6s"
        {}{}
        "#,
        errand.place("incidents.db").display(),
        route("developers", "full"),
        route("support", "summary"),
    );
    let began = Instant::now();
    let mut workers = [errand.worker(&config), errand.worker(&config)];
    for kill in 0..KILLS {
        let left = failures - failures * (kill + 1) / (KILLS + 2);
        workers[kill % 2].until("some failures to be recorded", || errand.left() <= left).await;
        workers[kill % 2].kill().await;
        workers[kill % 2] = errand.worker(&config);
    }
    let taken = |kind: &str| {
        let mut ids: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for (route, note, key) in notes(&receiver) {
            if note["kind"] == kind {
                let id = note["id"].as_str().unwrap().to_owned();
                ids.entry((route, id)).or_default().insert(key);
            }
        }
        ids
    };
    let named = || {
        let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (route, note, _) in notes(&receiver) {
            let executions = note["new_executions"].as_array().unwrap();
            let names = executions.iter().map(|one| one["execution_arn"].as_str().unwrap().to_owned());
            named.entry(route).or_default().extend(names);
        }
        named
    };
    let everybody: BTreeSet<String> = (0..failures).map(execution).collect();
    let are_all_named = || named().values().filter(|named| **named == everybody).count() == 2;
    // What a killed worker had in hand comes back when its visibility timeout has ended.
    let deadline = Instant::now() + Duration::from_secs(300);
    while errand.left() > 0 || taken("resolved").len() < 2 * BUGS.len() || !are_all_named() {
        let (left, resolves) = (errand.left(), taken("resolved").len());
        let missing: Vec<_> =
            named().into_iter().map(|(route, named)| (route, everybody.len() - named.len())).collect();
        assert!(
            Instant::now() < deadline,
            "{left} messages left, {resolves} resolves, not named: {missing:?}"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let took = began.elapsed();
    for worker in &mut workers {
        assert_eq!(worker.stop().await, Some(0));
    }
    let alerts = taken("alert");
    assert_eq!(alerts.len(), 2 * BUGS.len(), "{alerts:?}");
    assert!(
        alerts.values().all(|keys| keys.len() == 1),
        "an alert that is sent again has its key: {alerts:?}"
    );
    assert_eq!(errand.sqs.messages("dead").len(), 0);
    let all = notes(&receiver);
    let keys: BTreeSet<&String> = all.iter().map(|(_, _, key)| key).collect();
    println!(
        "{failures} failures of {} bugs, {KILLS} kills: {} notifications, {} of them sent again, in {:.1} s",
        BUGS.len(),
        all.len(),
        all.len() - keys.len(),
        took.as_secs_f64()
    );
}

/// Route, `analysis.incident` and key of each notification.
fn notes(receiver: &Receiver) -> Vec<(String, Value, String)> {
    let received = receiver.received();
    let notes = received.iter().map(|received| {
        let note = received.json()["data"]["analysis"]["incident"].clone();
        let route = received.path.rsplit('/').next().unwrap().to_owned();
        (route, note, received.header("idempotency-key").unwrap().to_owned())
    });
    notes.collect()
}
