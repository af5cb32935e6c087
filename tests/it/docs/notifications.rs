//! The page of each channel in `docs/channels`: its examples are what is sent, its table names every key.
//!
//! With `UPDATE_DOCS=1` the examples are written again.

use std::collections::BTreeSet;

use misstep::analysis::Question;
use misstep::aws::arn::ExecutionArn;
use misstep::event;
use misstep::investigation::Finding;
use misstep::notify::channels::{CHANNELS, FEATURES};
use misstep::notify::{Notification, Route, idempotency_key};
use misstep::report::{Report, Subject};
use serde_json::Value;

use super::{path, read};
use crate::recorded::recorded;
use crate::support::configured::{route, settings_of};
use crate::support::receiver::{Answer, Receiver};

const HISTORY: &str = "sfn-send-task-outcome-with-no-such-token-state-machine-template0";
const EXECUTION: &str = "arn:aws:states:eu-west-1:123456789012:execution:orders:run-7";

/// The page of the notification API, whose bodies go over `http`.
const API: &str = "notification-api";

/// The keys that a route of each channel needs, or shows more with.
fn own_keys(channel: &str, email: &str, url: &str) -> String {
    match channel {
        API => format!("url = \"{url}\"\ngroup_email = \"{email}\""),
        "http" => format!(
            "url = \"{url}\"\nbearer_token = {{ env = \"TOKEN\" }}\nhmac_secret = {{ env = \"KEY\" }}"
        ),
        "slack" => format!("webhook_url = \"{url}\""),
        "sns" => "topic_arn = \"arn:aws:sns:eu-west-1:123456789012:orders-failures\"".to_owned(),
        "ses" => format!("from = \"misstep@example.com\"\nto = \"{email}\""),
        "file" => "path = \"/nowhere/failures.jsonl\"".to_owned(),
        _ => String::new(),
    }
}

fn table(page: &str, form: &str, url: &str) -> String {
    let (audience, email) = match (page, form) {
        (API, "full") => ("developers", "orders-dev@example.com"),
        (API, _) => ("customer-assist", "customer-assist@example.com"),
        (_, "full") => ("on-call", "on-call@example.com"),
        _ => ("support", "support@example.com"),
    };
    let keys = own_keys(page, email, url);
    let channel = if page == API { "http" } else { page };
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

/// What a channel sends in this form, as its page shows it.
async fn example(page: &str, form: &str) -> String {
    let receiver = Receiver::start().await;
    receiver.answer([Answer::status(200).body("ok")]);
    let variables = [("TOKEN", "t0ken"), ("KEY", "k3y")];
    let route = route(&table(page, form, &receiver.url), &variables);
    let notification = composed(&route);
    match page {
        "http" | API => {
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

const ROUTES: &str = "docs/notifications.md";

fn document(page: &str) -> String {
    format!("docs/channels/{page}.md")
}

/// The page with the examples that are sent now.
async fn with_examples(page: &str) -> String {
    let mut now = read(&document(page));
    for form in ["full", "summary"] {
        let begin = format!("<!-- example: {page} {form} -->\n");
        let (before, rest) =
            now.split_once(&begin).unwrap_or_else(|| panic!("{} lacks {begin}", document(page)));
        let (_, after) = rest.split_once("<!-- /example -->").unwrap();
        now = format!("{before}{begin}\n{}\n<!-- /example -->{after}", example(page, form).await);
    }
    now
}

#[tokio::test]
async fn every_example_is_what_is_sent() {
    for page in CHANNELS.iter().map(|channel| channel.name).chain([API]) {
        let now = with_examples(page).await;
        assert!(!now.contains("hunter2"), "{page}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path(&document(page)), &now).unwrap();
        }
        let written = read(&document(page));
        let differs = written.lines().zip(now.lines()).find(|(written, now)| written != now);
        assert!(written == now, "{page}: run with UPDATE_DOCS=1; written and sent: {differs:?}");
    }
}

#[test]
fn the_table_of_channels_links_to_the_page_of_every_channel_and_no_other() {
    let text = read(ROUTES);
    let (_, section) = text.split_once("\n## Channels\n").unwrap();
    let section = section.split("\n#").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    // Also those that this build has not.
    let all: BTreeSet<&str> =
        CHANNELS.iter().map(|channel| channel.name).chain(FEATURES.iter().map(|(name, _)| *name)).collect();
    for name in &all {
        let links = |row: &&str| {
            row.starts_with(&format!("| `{name}` |")) && row.contains(&format!("(channels/{name}.md)"))
        };
        assert!(rows.iter().any(links), "{ROUTES} has no row that links to the page of {name}");
    }
    assert_eq!(rows.len(), all.len(), "{rows:?}");
    let mut pages: Vec<String> = std::fs::read_dir(path("docs/channels"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    let names = all.into_iter().chain([API]);
    let mut expected: Vec<String> = names.map(|name| format!("{name}.md")).collect();
    expected.sort();
    assert_eq!(pages, expected);
}

/// The keys in the table of a section.
fn documented(document: &str, heading: &str) -> Vec<String> {
    let text = read(document);
    let (_, section) =
        text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{document} has no {heading}"));
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut keys: Vec<String> = rows.map(|(key, _)| key.to_owned()).collect();
    keys.sort();
    keys
}

/// The keys that the fault about an unknown key lists.
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
            [documented(ROUTES, "## A route"), documented(&document(channel.name), "## Keys")].concat();
        expected.sort();
        assert_eq!(expected, known(&format!("{route}colour = \"red\"\n")), "{}", channel.name);
    }
    let route = table("stdout", "full", "");
    assert_eq!(documented(ROUTES, "## Filters"), known(&format!("{route}match = {{ colour = \"red\" }}\n")));
}
