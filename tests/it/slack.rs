//! The channel `slack` against a stand-in that takes nothing which Slack would refuse.

use std::time::Duration;

use misstep::analysis::answer::{AlsoFailed, LesserOutcome};
use misstep::metrics::SendResult;
use misstep::notify::{NotifyError, Route, sample};
use misstep::report::Report;
use serde_json::{Value, json};

use crate::support::configured::route;
use crate::support::planted::{planted_reports, reports};
use crate::support::receiver::{Answer, Receiver};

/// What is wrong with a webhook's message by the limits of the Block Kit reference.
fn refusal(message: &Value) -> Result<(), String> {
    text(&message["text"], 40_000)?;
    let blocks = message["blocks"].as_array().ok_or("no blocks")?;
    if !(1..=50).contains(&blocks.len()) {
        return Err(format!("{} blocks", blocks.len()));
    }
    for block in blocks {
        let right = match block["type"].as_str() {
            Some("header") => {
                only(block, &["type", "text"])?;
                text_object(&block["text"], &["plain_text"], 150)
            }
            Some("section") => {
                only(block, &["type", "text"])?;
                text_object(&block["text"], &["mrkdwn", "plain_text"], 3_000)
            }
            Some("actions") => actions(block),
            other => Err(format!("a block of type {other:?}")),
        };
        right.map_err(|why| format!("{why}: {block}"))?;
    }
    Ok(())
}

fn actions(block: &Value) -> Result<(), String> {
    only(block, &["type", "elements"])?;
    let elements = block["elements"].as_array().ok_or("no elements")?;
    if !(1..=25).contains(&elements.len()) {
        return Err(format!("{} elements", elements.len()));
    }
    for button in elements {
        only(button, &["type", "text", "url"])?;
        text_object(&button["text"], &["plain_text"], 75)?;
        let address = button["url"].as_str().ok_or("no url")?;
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"');
        if address.len() > 3_000 || !address.starts_with("https://") || address.contains(odd) {
            return Err("no usable url".to_owned());
        }
    }
    Ok(())
}

fn text_object(object: &Value, types: &[&str], most: usize) -> Result<(), String> {
    let kind = object["type"].as_str().filter(|kind| types.contains(kind)).ok_or("a wrong type of text")?;
    let keys: &[&str] = if kind == "plain_text" { &["type", "text", "emoji"] } else { &["type", "text"] };
    only(object, keys)?;
    // `<` begins a link or a mention, and nothing in a report may make one.
    let said = text(&object["text"], most)?;
    if kind == "mrkdwn" && said.contains(['<', '>']) {
        return Err("markup that was not meant".to_owned());
    }
    Ok(())
}

fn text(value: &Value, most: usize) -> Result<&str, String> {
    let text = value.as_str().ok_or("no text")?;
    match text.chars().count() {
        _ if text.trim().is_empty() => Err("an empty text".to_owned()),
        length if length > most => Err(format!("{length} characters of {most}")),
        _ => Ok(text),
    }
}

fn only(object: &Value, keys: &[&str]) -> Result<(), String> {
    let mut fields = object.as_object().ok_or("no object")?.keys();
    fields.find(|key| !keys.contains(&key.as_str())).map_or(Ok(()), |key| Err(format!("unknown key {key}")))
}

fn slack(url: &str, more: &str) -> Route {
    route(
        &format!(
            "[[routes]]\nname = \"on-call\"\naudience = \"on-call\"\nchannel = \"slack\"\nwebhook_url = \"{url}\"\n{more}"
        ),
        &[],
    )
}

/// The three ways of saying it: all that is known, the summary, and words of one's own.
fn forms(url: &str) -> [Route; 3] {
    let own = "subject = '{{ event_info.execution_name }}'\nbody = '{{ analysis }}'";
    ["", "form = \"summary\"", own].map(|more| slack(url, more))
}

fn message(route: &Route, report: &Report) -> Value {
    let composed = route.compose(report, "key").unwrap();
    serde_json::from_slice(&composed.body).unwrap()
}

#[test]
fn the_checker_refuses_what_slack_refuses() {
    let section = |text: &str| json!({"type": "section", "text": {"type": "mrkdwn", "text": text}});
    let header = |text: &str| json!({"type": "header", "text": {"type": "plain_text", "text": text}});
    let refused = |block: Value| refusal(&json!({"text": "t", "blocks": [block]})).is_err();
    assert!(
        !refused(section("a")) && !refused(header(&"é".repeat(150))) && !refused(section(&"é".repeat(3_000)))
    );
    for block in [
        section(""),
        section(" \n"),
        section("<!channel>"),
        section(&"é".repeat(3_001)),
        header(&"x".repeat(151)),
        json!({"type": "hero"}),
        json!({"type": "header", "text": {"type": "mrkdwn", "text": "a"}}),
        json!({"type": "actions", "elements": []}),
    ] {
        assert!(refused(block.clone()), "{block}");
    }
    assert!(refusal(&json!({"text": "t", "blocks": vec![section("a"); 51]})).is_err());
    assert!(refusal(&json!({"text": "", "blocks": [section("a")]})).is_err());
}

#[test]
fn whatever_a_report_holds_slack_can_take() {
    let long = "lang & breit <b> ".repeat(200);
    let short = ["", " ", "\u{200b}", "```", "<!channel> <@U123> <https://evil.example|here>"];
    let plants = short.iter().copied().chain([long.as_str()]);
    let others: Vec<Report> = plants.flat_map(reports).collect();
    let planted = planted_reports().iter().flat_map(|(_, reports)| reports);
    let mut checked = 0;
    // Every fifth: there are 31 of each plant, so that over all plants each report has its turn.
    for report in planted.chain(&others).step_by(5) {
        for route in &forms("http://127.0.0.1:1/") {
            let message = message(route, report);
            refusal(&message).unwrap_or_else(|why| panic!("{why}\n{message:#}"));
            checked += 1;
        }
    }
    assert!(checked > 400, "{checked}");
}

#[test]
fn no_message_is_larger_than_the_settings_allow() {
    let route = slack("http://127.0.0.1:1/", "max_bytes = 4096");
    let long = "<&> lang & breit ".repeat(1_000);
    for report in reports(&long) {
        let size = route.compose(&report, "key").unwrap().size();
        assert!(size <= 4_096, "{size}");
    }
}

#[test]
fn a_report_too_large_for_a_template_is_cut_until_it_is_not() {
    let mut report = sample::test("test", None);
    let sibling = AlsoFailed {
        name: "Ship".to_owned(),
        path: Vec::new(),
        error: Some("E".to_owned()),
        cause: Some("x".repeat(32_768)),
        outcome: LesserOutcome::Aborted,
    };
    report.analysis.also_failed = vec![sibling; 500];
    let body =
        "body = '{{ analysis.failed_state.name if analysis.failed_state }} {{ analysis.also_failed }}'";
    let route = slack("http://127.0.0.1:1/", body);
    let composed = route.compose(&report, "key").unwrap();
    let message = serde_json::from_slice::<Value>(&composed.body).unwrap();
    refusal(&message).unwrap();
    assert!(message["blocks"][1]["text"]["text"].as_str().unwrap().starts_with("Test step [{"), "{message}");
}

#[test]
fn a_template_that_makes_nothing_is_no_empty_text() {
    let route = slack("http://127.0.0.1:1/", "subject = ''\nbody = '{% if false %}x{% endif %}'");
    let composed = route.compose(&sample::test("test", None), "key").unwrap();
    refusal(&serde_json::from_slice(&composed.body).unwrap()).unwrap();
}

#[tokio::test]
async fn a_message_is_posted_as_json_and_ok_is_the_answer() {
    let receiver = Receiver::start().await;
    receiver.answer_by(|received| {
        Some(match (received.header("content-type"), refusal(&received.json())) {
            (Some("application/json"), Ok(())) => Answer::status(200).body("ok"),
            _ => Answer::status(400).body("invalid_blocks"),
        })
    });
    let data = sample::test("prod", Some("shop"));
    for route in forms(&receiver.url) {
        let notification = route.compose(&data, "key").unwrap();
        assert_eq!(route.notifier.notify(&notification).await, Ok(()));
    }
    let first = receiver.received()[0].json();
    assert!(
        first["text"].as_str().unwrap().starts_with("[prod] shop misstep-test failed at Test step"),
        "{first:#}"
    );
    let shown = first["blocks"].to_string();
    for said in ["Test step", "*Cause*", "*Input*", "Open the execution", "Nothing failed"] {
        assert!(shown.contains(said), "{said}: {first:#}");
    }
    assert_eq!(receiver.received()[0].header("authorization"), None);
}

#[tokio::test]
async fn other_answers_mean_what_slack_means_by_them() {
    let receiver = Receiver::start().await;
    let route = slack(&receiver.url, "timeout_secs = 2");
    let notification = route.compose(&sample::test("test", None), "key").unwrap();
    let page = Answer::status(200).header("content-type", "text/html").body("<html>Log in</html>");
    for (answer, kind, wait) in [
        (page, "misconfigured", None),
        (Answer::status(204), "misconfigured", None),
        (Answer::status(302).header("location", "https://login.example.com"), "misconfigured", None),
        (Answer::status(404).body("no_service"), "misconfigured", None),
        (Answer::status(403).body("action_prohibited"), "misconfigured", None),
        (Answer::status(410).body("channel_is_archived"), "misconfigured", None),
        (Answer::status(400).body("invalid_blocks"), "rejected", None),
        (Answer::status(429).header("retry-after", 30).body("rate_limited"), "transient", Some(30)),
        (Answer::status(500).body("rollup_error"), "transient", None),
        (Answer::Half(200), "transient", None),
        (Answer::Reset, "transient", None),
        (Answer::Silence, "transient", None),
    ] {
        let told = format!("{answer:?}");
        receiver.answer([answer]);
        let answered = route.notifier.notify(&notification).await;
        assert_eq!(SendResult::from(&answered).name(), kind, "{told}: {answered:?}");
        let error = answered.unwrap_err();
        let waits = match &error {
            NotifyError::Transient { retry_after, .. } => *retry_after,
            _ => None,
        };
        assert_eq!(waits, wait.map(Duration::from_secs), "{told}");
        assert!(!error.to_string().contains("/notify"), "a webhook's path is a secret: {error}");
    }
}
