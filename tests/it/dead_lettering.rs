//! What the worker sends to the dead-letter queue, and what a replay sends back: within the queue's own
//! limit, in the trace of the original.

use std::time::Duration;

use serde_json::Value;

use crate::support::errand::Errand;
use crate::support::failure;

/// What queues take by default where Terraform made them, in bytes.
const LARGEST: usize = 262_144;

const TRACE: &str = "Root=1-58406520-a006649127e371903a2de979;Parent=4c721bf33e3caf8f;Sampled=1";

/// An optional route, so that the worker starts.
const ROUTE: &str =
    "[[routes]]\nname = \"log\"\naudience = \"operations\"\nchannel = \"stdout\"\nrequired = false\n";

fn size(body: &str, attributes: &Value) -> usize {
    let attributes = attributes.as_object().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().len();
    body.len()
        + attributes
            .map(|(name, value)| name.len() + text(&value["DataType"]) + text(&value["StringValue"]))
            .sum::<usize>()
}

#[tokio::test]
async fn a_message_is_cut_to_the_limit_of_the_dead_letter_queue_and_keeps_its_reason() {
    // A body with room for some attributes, for the reason alone, for nothing, and one that is too large.
    for length in [LARGEST - 300, LARGEST - 60, LARGEST, LARGEST + 100_000] {
        let errand = Errand::with(0).await;
        errand.sqs.set_largest("dead", LARGEST);
        let body = "é".repeat(length / 2);
        errand.sqs.send("failures", &body);
        let ended = errand.run(&["work", "--until-empty"], ROUTE, &[]).await;
        assert_eq!((ended.code, errand.left()), (Some(0), 0), "{length}: {}", ended.stderr);
        let dead = errand.sqs.messages("dead");
        let [dead] = &dead[..] else { panic!("{} messages", dead.len()) };
        assert_eq!(dead.attributes["misstep.reason"]["StringValue"], "not-understood", "{length}");
        let size = size(&dead.body, &dead.attributes);
        assert!((LARGEST - 300..=LARGEST).contains(&size), "{length}: {size}");
        let whole = dead.attributes.get("misstep.body_bytes").map(|bytes| bytes["StringValue"].clone());
        match whole {
            None => assert_eq!(dead.body, body, "{length}"),
            Some(bytes) => {
                assert_eq!(bytes, body.len().to_string());
                assert!(length >= LARGEST && body.starts_with(&dead.body), "{length}");
                assert!(dead.attributes.get("misstep.message_id").is_some(), "{length}");
            }
        }
    }
}

#[tokio::test]
async fn a_trace_goes_on_through_the_dead_letter_queue_a_drop_and_a_replay() {
    let errand = Errand::with(0).await;
    errand.sqs.send_traced("failures", "no event at all", TRACE);
    let ended = errand.run(&["work", "--until-empty"], ROUTE, &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let trace = |queue: &str| errand.sqs.messages(queue)[0].trace.clone();
    assert_eq!(trace("dead").as_deref(), Some(TRACE));
    let journal = errand.place("journal").display().to_string();
    let replay = ["dlq", "replay", "--yes", "--journal", &journal];
    let ended = errand.run(&replay, "", &[]).await;
    assert_eq!((ended.code, errand.left()), (Some(0), 1), "{}", ended.stderr);
    assert_eq!(trace("failures").as_deref(), Some(TRACE));

    let ended = errand.run(&["work", "--until-empty"], ROUTE, &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let dropped = errand.place("dropped").display().to_string();
    let ended = errand.run(&["dlq", "drop", "--yes", "--output", &dropped], "", &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let journal = errand.place("another").display().to_string();
    let again = ["dlq", "replay", "--yes", "--from", &dropped, "--journal", &journal];
    let ended = errand.run(&again, "", &[]).await;
    assert_eq!((ended.code, errand.left()), (Some(0), 1), "{}", ended.stderr);
    assert_eq!(trace("failures").as_deref(), Some(TRACE));
}

#[tokio::test]
async fn a_replay_sends_what_fits_the_queue_and_reports_the_rest() {
    let errand = Errand::with(0).await;
    errand.sqs.set_largest("failures", LARGEST);
    let padded = |number: usize, length: usize| {
        let body = failure(number);
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    // One without room for the count of its replays, one that the queue never takes, and a small one.
    errand.sqs.send("dead", &padded(0, LARGEST - 5));
    let too_large = errand.sqs.send("dead", &padded(1, LARGEST + 1));
    errand.sqs.send("dead", &failure(2));
    let journal = errand.place("journal").display().to_string();
    let replay = ["dlq", "replay", "--yes", "--rate", "1000", "--journal", &journal];
    let ended = errand.run(&replay, "", &[]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stdout.contains("2 messages sent back"), "{}", ended.stdout);
    let refused = format!("{too_large} was refused and stays: ");
    assert!(ended.stdout.contains(&refused) && ended.stdout.contains("262144 bytes"), "{}", ended.stdout);
    let back = errand.sqs.messages("failures");
    let sizes: Vec<usize> = back.iter().map(|message| message.body.len()).collect();
    assert_eq!(sizes, [LARGEST - 5, failure(2).len()]);
    assert_eq!(back[1].attributes["misstep.replays"]["StringValue"], "1");
    let left = errand.sqs.messages("dead");
    assert_eq!(left.iter().map(|message| &message.id).collect::<Vec<_>>(), [&too_large]);
}

#[tokio::test]
async fn a_message_whose_body_was_cut_is_not_sent_back() {
    let errand = Errand::with(0).await;
    errand.sqs.set_largest("dead", LARGEST);
    errand.sqs.send("failures", &"x".repeat(LARGEST + 1));
    let ended = errand.run(&["work", "--until-empty"], ROUTE, &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let journal = errand.place("journal").display().to_string();
    let ended = errand.run(&["dlq", "replay", "--yes", "--journal", &journal], "", &[]).await;
    assert_eq!((ended.code, errand.left()), (Some(1), 0), "{}", ended.stderr);
    assert!(ended.stdout.contains("its body was cut"), "{}", ended.stdout);
    // It is visible again at once.
    let left = tokio::time::timeout(Duration::from_secs(5), async {
        while errand.sqs.counts("dead").visible < 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(left.await.is_ok());
}
