//! `misstep sweep`: what it lists, and what it changes.

use serde_json::Value;

use super::{config, fail_all_but};
use crate::support::errand::Errand;
use crate::support::execution;
use crate::support::receiver::Receiver;
use crate::support::stub::Refusal;
use crate::support::worker_process::Ended;

/// A route, and no incidents.
fn without_store(url: &str) -> String {
    format!(
        "[[routes]]\nname = \"developers\"\naudience = \"developers\"\nchannel = \"http\"\nurl = \"{url}\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn it_lists_what_has_not_arrived_and_puts_it_into_the_queue_when_told_to() {
    let (errand, receiver) = tokio::join!(Errand::with(0), Receiver::start());
    fail_all_but(&errand, 5, &[1, 4]);
    let config = config(&errand, &receiver.url).replace("every = \"2s\"", "every = \"2h\"");
    let worker = errand.run(&["work", "--until-empty"], &config, &[]).await;
    assert_eq!(worker.code, Some(0), "{}", worker.stderr);
    // Ten seconds after their ends, no event is on its way any more.
    let sweep = async |arguments: &[&str]| {
        let arguments = [&["sweep", "--sweep-every", "30s"][..], arguments].concat();
        let Ended { code, stdout, stderr } = errand.run(&arguments, &config, &[]).await;
        assert_eq!(code, Some(0), "{stderr}");
        stdout
    };
    let text = sweep(&[]).await;
    println!("{text}");
    assert!(text.contains(&execution(1)) && text.contains(&execution(4)), "{text}");
    assert!(text.contains("2 not in sqlite:") && text.contains("of 5 failures from"), "{text}");
    assert!(text.contains("nothing was changed"), "{text}");
    assert!(errand.sqs.messages("failures").is_empty());

    let json: Value = serde_json::from_str(&sweep(&["--format", "json", "--since", "1h"]).await).unwrap();
    assert_eq!((json["listed"].as_u64(), json["put_into_queue"].as_u64()), (Some(5), None));
    let missing = json["missing"].as_array().unwrap();
    assert_eq!((missing.len(), missing[0]["status"].as_str()), (2, Some("FAILED")));

    let text = sweep(&["--yes"]).await;
    assert!(text.contains("2 failures put into the queue; 0 were put there before"), "{text}");
    let sent = errand.sqs.messages("failures");
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|message| message.attributes.to_string().contains("misstep.source")));
    let text = sweep(&["--yes"]).await;
    assert!(text.contains("0 failures put into the queue; 2 were put there before"), "{text}");
    assert_eq!(errand.sqs.messages("failures").len(), 2);

    let worker = errand.run(&["work", "--until-empty"], &config, &[]).await;
    assert_eq!(worker.code, Some(0), "{}", worker.stderr);
    assert!(sweep(&[]).await.contains("0 not in sqlite:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_store_it_only_lists_and_says_why() {
    let (errand, receiver) = tokio::join!(Errand::with(0), Receiver::start());
    fail_all_but(&errand, 3, &[]);
    let config = without_store(&receiver.url);
    let Ended { code, stdout, stderr } =
        errand.run(&["sweep", "--sweep-every", "off", "--since", "1h"], &config, &[]).await;
    assert_eq!(code, Some(0), "{stderr}");
    // Five minutes have not passed since they failed.
    assert!(stdout.contains("0 failures") && stdout.contains("there is no incident store"), "{stdout}");
    let Ended { code, stderr, .. } = errand.run(&["sweep", "--yes"], &config, &[]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("--yes needs an incident store"), "{stderr}");
    let Ended { code, stderr, .. } = errand.run(&["work"], &config, &[("MISSTEP_SWEEP_EVERY", "5m")]).await;
    assert_eq!(code, Some(64));
    assert!(stderr.contains("MISSTEP_SWEEP_EVERY needs an incident store"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_machine_that_may_not_be_listed_is_named() {
    let (errand, receiver) = tokio::join!(Errand::with(0), Receiver::start());
    fail_all_but(&errand, 1, &[]);
    errand.sfn.refuse("ListExecutions", Refusal::new(400, "AccessDeniedException", "not authorized"));
    let Ended { code, stderr, .. } = errand.run(&["sweep"], &without_store(&receiver.url), &[]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("stateMachine:orders could not be listed"), "{stderr}");
    assert!(stderr.contains("states:ListExecutions"), "{stderr}");
}
