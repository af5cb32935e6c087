//! Executions that really fail, and a tenth of whose events never arrive.

use std::collections::BTreeMap;

use crate::support::receiver::{Received, Receiver};

use super::stage::Stage;

const FAILURES: usize = 24;

/// How often each execution was told of.
fn told(received: &[Received]) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for request in received {
        let body = request.json();
        let arn = body["data"]["event_info"]["execution_arn"].as_str().unwrap();
        *told.entry(arn.to_owned()).or_default() += 1;
    }
    told
}

#[tokio::test]
async fn exactly_the_failures_whose_events_were_lost_are_found_and_everybody_is_told_once() {
    let receiver = Receiver::start().await;
    let stage = Stage::set_up("lost", &["catch-then-fail", "parallel-branch"], &[]).await;
    let mut executions = Vec::new();
    while executions.len() < FAILURES {
        executions.extend(stage.run().await.into_values());
    }
    stage.wait_for_messages(executions.len()).await;
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let always = random.usize(..executions.len());
    let mut number = 0;
    let lost = stage.lose(|_body| {
        number += 1;
        number - 1 == always || random.u8(..10) == 0
    });
    let lost = lost.await;
    println!("{} of {} events lost, seed {seed}", lost.len(), executions.len());

    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("incidents.db").display());
    let machines: Vec<String> = executions
        .iter()
        .map(|arn| arn.replace(":execution:", ":stateMachine:").rsplit_once(':').unwrap().0.to_owned())
        .collect();
    let machines = machines.join(",");
    let variables = [
        ("MISSTEP_INCIDENT_STORE", store.as_str()),
        ("MISSTEP_SWEEP_EVERY", "3s"),
        ("MISSTEP_STEP_FUNCTION_ARNS", &machines),
    ];
    let mut worker = stage.worker(&receiver.url, &variables);
    receiver.wait_for(executions.len() * 2).await;
    stage.wait_until_empty().await;
    // One more pass, which finds nothing.
    worker.wait_for_log(&["looked for failures whose events never arrived", "\"found\":0"]).await;
    assert_eq!(worker.stop().await, Some(0));
    let once_to_each: BTreeMap<String, usize> = executions.iter().map(|arn| (arn.clone(), 2)).collect();
    assert_eq!(told(&receiver.received()), once_to_each, "seed {seed}");
    let log = worker.log();
    let found = log.lines().filter(|line| line.contains("were put into the queue"));
    let found: usize = found
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            usize::try_from(line["failures"].as_u64().unwrap()).unwrap()
        })
        .sum();
    assert_eq!(found, lost.len(), "seed {seed}");
    assert_eq!(stage.dead_letters().await, []);
}
