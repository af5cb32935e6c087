//! `docs/notifications.md`: its examples are what is sent, its tables name the keys that there are.
//!
//! With `UPDATE_DOCS=1` the examples are written anew.

use misstep::analysis::Question;
use misstep::aws::arn::ExecutionArn;
use misstep::event;
use misstep::investigation::Finding;
use misstep::notify::channels::CHANNELS;
use misstep::notify::{Notification, Route, idempotency_key};
use misstep::report::{Report, Subject};
use serde_json::Value;

use super::{path, read};
use crate::recorded::recorded;
use crate::support::configured::{route, settings_of};
use crate::support::receiver::{Answer, Receiver};

const HISTORY: &str = "sfn-send-task-outcome-with-no-such-token-state-machine-template0";
const EXECUTION: &str = "arn:aws:states:eu-west-1:123456789012:execution:orders:run-7";

/// What a route of each channel needs, or shows more with.
fn own_keys(channel: &str, email: &str, url: &str) -> String {
    match channel {
        "http" => format!(
            "url = \"{url}\"\ngroup_email = \"{email}\"\nbearer_token = {{ env = \"TOKEN\" }}\nhmac_secret = {{ env = \"KEY\" }}"
        ),
        "slack" => format!("webhook_url = \"{url}\""),
        "sns" => "topic_arn = \"arn:aws:sns:eu-west-1:123456789012:orders-failures\"".to_owned(),
        "ses" => format!("from = \"misstep@example.com\"\nto = \"{email}\""),
        "file" => "path = \"/nowhere/failures.jsonl\"".to_owned(),
        _ => String::new(),
    }
}

fn table(channel: &str, form: &str, url: &str) -> String {
    let (audience, email) = match form {
        "full" => ("developers", "orders-dev@example.com"),
        _ => ("customer-assist", "customer-assist@example.com"),
    };
    let keys = own_keys(channel, email, url);
    format!(
        "[[routes]]\nname = \"{audience}\"\naudience = \"{audience}\"\nchannel = \"{channel}\"\nform = \"{form}\"\n{keys}\n"
    )
}

fn composed(route: &Route) -> Notification {
    let subject = Subject {
        execution: ExecutionArn::parse(EXECUTION).ok(),
        env: "prod".to_owned(),
        application: Some("shop".to_owned()),
        ..Subject::default()
    };
    let finding = Finding::of_file(&recorded("failed", HISTORY), &Question::default());
    let report = Report::new(&subject, &finding).redacted(&route.redactor);
    let body = format!(r#"{{"executionArn": "{EXECUTION}", "status": "FAILED"}}"#);
    let failure = event::parse(&body).unwrap().remove(0).failure_key();
    route.compose(&report, &idempotency_key(&failure, &route.audience, &route.name)).unwrap()
}

fn fenced(language: &str, text: &str) -> String {
    format!("```{language}\n{}\n```\n", text.trim_end())
}

fn indented(body: &[u8]) -> String {
    serde_json::to_string_pretty(&serde_json::from_slice::<Value>(body).unwrap()).unwrap()
}

/// What a channel sends in this form, as the document shows it.
async fn example(channel: &str, form: &str) -> String {
    let receiver = Receiver::start().await;
    receiver.answer([Answer::status(200).body("ok")]);
    let variables = [("TOKEN", "t0ken"), ("KEY", "k3y")];
    let route = route(&table(channel, form, &receiver.url), &variables);
    let notification = composed(&route);
    match channel {
        "http" => {
            route.notifier.notify(&notification).await.unwrap();
            let request = receiver.received().remove(0);
            let mut headers: Vec<String> = request
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
                .filter(|line| !line.starts_with("host: "))
                .collect();
            headers.sort();
            let head = format!("{} {}\n{}", request.method, request.path, headers.concat());
            fenced("http", &head) + "\n" + &fenced("json", &indented(&request.body))
        }
        "slack" => {
            route.notifier.notify(&notification).await.unwrap();
            fenced("json", &indented(&receiver.received()[0].body))
        }
        "sns" => {
            let attributes: Vec<String> =
                notification.attributes.iter().map(|(name, value)| format!("  {name}: {value}\n")).collect();
            let head = format!("subject: {}\nattributes:\n{}", notification.subject, attributes.concat());
            fenced("text", &head) + "\n" + &fenced("json", &indented(&notification.body))
        }
        "ses" => {
            let text = String::from_utf8(notification.body).unwrap();
            let mail = fenced("text", &format!("Subject: {}\n\n{text}", notification.subject));
            match form {
                "full" => mail,
                _ => mail + "\n" + &fenced("html", &notification.html.unwrap()),
            }
        }
        _ => fenced("json", &String::from_utf8(notification.body).unwrap()),
    }
}

const DOCUMENT: &str = "docs/notifications.md";

#[tokio::test]
async fn every_example_is_what_is_sent() {
    let text = read(DOCUMENT);
    let mut now = text.clone();
    for channel in CHANNELS {
        for form in ["full", "summary"] {
            let begin = format!("<!-- example: {} {form} -->\n", channel.name);
            let (before, rest) =
                now.split_once(&begin).unwrap_or_else(|| panic!("the document lacks {begin}"));
            let (_, after) = rest.split_once("<!-- /example -->").unwrap();
            now = format!("{before}{begin}\n{}\n<!-- /example -->{after}", example(channel.name, form).await);
        }
    }
    assert!(now.contains("[redacted]") && !now.contains("hunter2"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path(DOCUMENT), &now).unwrap();
    }
    let written = read(DOCUMENT);
    let differs = written.lines().zip(now.lines()).find(|(written, now)| written != now);
    assert!(written == now, "run with UPDATE_DOCS=1; written and sent: {differs:?}");
}

/// The keys in the table of a section.
fn documented(heading: &str) -> Vec<String> {
    let text = read(DOCUMENT);
    let (_, section) = text.split_once(&format!("\n{heading}\n")).unwrap();
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut keys: Vec<String> = rows.map(|(key, _)| key.to_owned()).collect();
    keys.sort();
    keys
}

/// The keys that a fault names when there is one that is not known.
fn known(text: &str) -> Vec<String> {
    let faults = settings_of(text, &[("TOKEN", "t0ken"), ("KEY", "k3y")]).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let (_, keys) = faults[0].split_once("there is no such key; there are ").unwrap();
    let mut keys: Vec<String> = keys.split(", ").map(str::to_owned).collect();
    keys.sort();
    keys
}

#[test]
fn the_tables_name_every_key_of_every_channel_and_no_other() {
    for channel in CHANNELS {
        let route = table(channel.name, "full", "http://127.0.0.1:1/");
        let mut expected =
            [documented("## A route"), documented(&format!("### `{}`", channel.name))].concat();
        expected.sort();
        assert_eq!(expected, known(&format!("{route}colour = \"red\"\n")), "{}", channel.name);
    }
    let route = table("stdout", "full", "");
    assert_eq!(documented("## Filters"), known(&format!("{route}match = {{ colour = \"red\" }}\n")));
}
