//! Where a failing step ran, service by service: `tests/fixtures/resources.json` has one call each, as
//! Step Functions writes it, and what the report names of it.

use std::fs;

use misstep::analysis::Question;
use misstep::history::file;
use misstep::investigation::Finding;
use misstep::redact::{Redactor, Rules};
use misstep::report::phrases::brief;
use misstep::report::summary::Summary;
use misstep::report::{Report, Subject, html, markdown, text};
use serde_json::{Value, json};

use crate::support::configured::route;

/// The cases of the fixture, by their names.
fn cases() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/resources.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// What a case writes as an object is JSON text in a history.
fn as_text(value: &Value) -> Value {
    match value {
        Value::Object(_) => json!(value.to_string()),
        other => other.clone(),
    }
}

/// The history of one failed call: scheduled, submitted where the case has an answer, failed.
fn history(case: &Value) -> Value {
    let mut events = vec![
        json!({"type": "ExecutionStarted", "executionStartedEventDetails": {"input": "{}"}}),
        json!({"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "Work", "input": "{}"}}),
    ];
    let call = |key: &str| case[key].clone();
    let failure = json!({"error": call("error"), "cause": as_text(&case["cause"])});
    if call("resource_type").is_null() {
        let kind = if case["resource"].as_str().unwrap().contains(":activity:") {
            "Activity"
        } else {
            "LambdaFunction"
        };
        let details = |word: &str| format!("{}{}{word}EventDetails", kind[..1].to_lowercase(), &kind[1..]);
        events.push(json!({"type": format!("{kind}Scheduled"),
            (details("Scheduled")): {"resource": call("resource"), "input": "{}"}}));
        events.push(json!({"type": format!("{kind}Failed"), (details("Failed")): failure}));
    } else {
        let called = json!({"resourceType": call("resource_type"), "resource": call("resource")});
        let with = |more: Value| {
            let mut details = called.clone();
            details.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            details
        };
        let region = case.get("region").cloned().unwrap_or(json!("eu-west-1"));
        let parameters = case.get("parameters").map_or(json!("{}"), as_text);
        events.push(json!({"type": "TaskScheduled",
            "taskScheduledEventDetails": with(json!({"region": region, "parameters": parameters}))}));
        events.push(json!({"type": "TaskStarted", "taskStartedEventDetails": called}));
        if let Some(output) = case.get("output") {
            events.push(json!({"type": "TaskSubmitted",
                "taskSubmittedEventDetails": with(json!({"output": as_text(output)}))}));
        }
        events.push(json!({"type": "TaskFailed", "taskFailedEventDetails": with(failure.clone())}));
    }
    events.push(json!({"type": "ExecutionFailed",
        "executionFailedEventDetails": {"error": call("error"), "cause": as_text(&case["cause"])}}));
    for (at, event) in events.iter_mut().enumerate() {
        event["id"] = json!(at + 1);
        event["previousEventId"] = json!(if at == 1 { 0 } else { at });
        event["timestamp"] = json!(format!("2026-03-01T12:00:{at:02}Z"));
    }
    json!({"events": events})
}

fn report(history: &Value) -> Report {
    let history = file::parse(history.to_string().as_bytes()).unwrap();
    Report::new(&Subject::default(), &Finding::of_file(&history, &Question::default()))
}

/// What is wrong with a report by what a case expects: a text, null, or `~` and a part of the text.
fn differences(resource: &Value, expected: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, expected) in expected.as_object().unwrap() {
        let right = match (expected.as_str().and_then(|text| text.strip_prefix('~')), resource[key].as_str())
        {
            (Some(part), Some(text)) => text.contains(part),
            (Some(_), None) => false,
            (None, _) => resource[key] == *expected,
        };
        if !right {
            wrong.push(format!("{key}: {} in place of {expected}", resource[key]));
        }
    }
    wrong
}

#[test]
fn each_service_is_named_with_its_run_its_log_and_its_pages() {
    let mut wrong = Vec::new();
    for case in cases() {
        let data = serde_json::to_value(report(&history(&case))).unwrap();
        let resources = data["analysis"]["resources"].as_array().unwrap();
        assert_eq!(resources.len(), 1, "{}: {resources:?}", case["case"]);
        assert_eq!((&resources[0]["role"], &resources[0]["state"]), (&json!("failed_state"), &json!("Work")));
        for why in differences(&resources[0], &case["expect"]) {
            wrong.push(format!("{}: {why}", case["case"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_service_of_the_documentation_has_a_case() {
    let doc = include_str!("../../docs/explain.md");
    let rows = doc.lines().skip_while(|line| !line.starts_with("| service |")).skip(2);
    let services: Vec<&str> = rows.map_while(|row| row.strip_prefix("| `")?.split('`').next()).collect();
    assert!(services.len() > 20, "{services:?}");
    let cases = cases();
    for service in services {
        assert!(cases.iter().any(|case| case["expect"]["service"] == *service), "no case of {service}");
    }
}

#[test]
fn redaction_leaves_names_and_links_as_they_are() {
    let redactor = Redactor::new(&Rules::default());
    for case in cases() {
        let before = report(&history(&case));
        let redacted = before.clone().redacted(&redactor);
        assert_eq!(redacted.analysis.resources, before.analysis.resources, "{}", case["case"]);
    }
}

#[test]
fn a_redacted_name_removes_the_links_made_of_it() {
    let key = concat!("AKIA", "IOSFODNN7EXAMPLF");
    let case = json!({"resource_type": "lambda", "resource": "invoke", "error": "E", "cause": "c",
        "parameters": {"FunctionName": key}});
    let report = report(&history(&case));
    assert!(report.analysis.resources[0].logs.as_deref().unwrap().contains(key));
    let data = serde_json::to_value(report.redacted(&Redactor::new(&Rules::default()))).unwrap();
    let resource = &data["analysis"]["resources"][0];
    assert!(!data.to_string().contains(key), "{resource:#}");
    assert_eq!((&resource["console"], &resource["logs"]), (&Value::Null, &Value::Null));
}

#[test]
fn every_form_and_channel_shows_where_it_ran_and_the_summary_does_not() {
    for case in cases() {
        let report = report(&history(&case));
        let resource = &report.analysis.resources[0];
        let mut named = vec![resource.name.clone(), resource.log_group.clone()];
        named.push(resource.id.clone());
        let links = [resource.console.clone(), resource.logs.clone()];
        let slack = "[[routes]]\nname = \"s\"\naudience = \"dev\"\nchannel = \"slack\"\nwebhook_url = \"http://127.0.0.1:1/\"";
        let slack = route(slack, &[]).compose(&report, "key").unwrap();
        let slack = String::from_utf8(slack.body).unwrap();
        let page = html::render(&report).replace("&amp;", "&");
        let forms = [text::render(&report, false), markdown::render(&report).replace("&amp;", "&"), page];
        for (at, form) in forms.iter().chain([&slack]).enumerate() {
            for name in named.iter().flatten() {
                let shown = if at == 1 { form.replace('\\', "") } else { form.clone() };
                assert!(
                    shown.contains(name.as_str()),
                    "{}: {name} is not in form {at}\n{form}",
                    case["case"]
                );
            }
        }
        for link in links.iter().flatten() {
            assert!(forms.iter().all(|form| form.contains(link.as_str())), "{}: {link}", case["case"]);
        }
        if let Some(logs) = brief::logs(&report) {
            let button: Value = serde_json::from_str(&slack).unwrap();
            let actions = button["blocks"].as_array().unwrap().last().unwrap()["elements"].clone();
            let url = url::Url::parse(logs).unwrap().to_string();
            assert!(actions.as_array().unwrap().iter().any(|one| one["url"] == *url), "{actions:#}");
        }
        let summary = serde_json::to_value(Summary::of(&report, &[])).unwrap();
        assert_eq!(summary["analysis"].get("resources"), None);
    }
}
