//! Causes that people met, each against what they should read of it.
//!
//! `tests/fixtures/cases/expect.json` says for each file what `explain` prints and what the summary
//! says. A note there is for whoever reads it, and has an assertion of its own here.

use std::path::PathBuf;
use std::process::Command;

use misstep::analysis::cause;
use misstep::report::Report;
use misstep::report::notice::Notice;
use misstep::report::phrases::brief;
use misstep::report::summary::Summary;
use regex::Regex;
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::docs;
use crate::support::errand::Errand;

/// The forms for people.
const FORMS: [&str; 3] = ["text", "markdown", "html"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cases")
}

fn expectations() -> serde_json::Map<String, Value> {
    let expectations: Value =
        serde_json::from_slice(&std::fs::read(folder().join("expect.json")).unwrap()).unwrap();
    expectations.as_object().unwrap().clone()
}

/// What `misstep explain` prints of a case.
fn explained(case: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_misstep"))
        .arg("explain")
        .arg(folder().join(case))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(format!("explain fails: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8(output.stdout).unwrap())
}

fn data(case: &str) -> Result<Value, String> {
    explained(case, &["--format", "json"]).map(|json| serde_json::from_str(&json).unwrap())
}

/// The text that a reader of a page sees, without its styles and its script.
fn visible(page: &str) -> String {
    let hidden = Regex::new(r"(?s)<(style|script)\b.*?</(?:style|script)>|<[^>]*>").unwrap();
    let text = hidden.replace_all(page, "");
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// The report that was printed.
fn report(data: &Value) -> Report {
    Report::deserialize(data).unwrap()
}

fn at<'v>(data: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(data, |value, key| match key.parse::<usize>() {
        Ok(index) => &value[index],
        Err(_) => &value[key],
    })
}

/// `~pattern` and `!~pattern` are patterns, anything else is the value.
fn fits(value: &Value, expected: &Value) -> bool {
    let text = || match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match expected.as_str() {
        Some(pattern) if pattern.starts_with("!~") => !Regex::new(&pattern[2..]).unwrap().is_match(&text()),
        Some(pattern) if pattern.starts_with('~') => {
            !value.is_null() && Regex::new(&pattern[1..]).unwrap().is_match(&text())
        }
        _ => value == expected,
    }
}

fn texts(expected: &Value, key: &str) -> Vec<String> {
    let texts = expected[key].as_array().into_iter().flatten();
    texts.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// What of an expectation does not hold.
fn faults(case: &str, expected: &Value) -> Result<Vec<String>, String> {
    let data = data(case)?;
    let mut faults = Vec::new();
    for (path, value) in expected["json"].as_object().into_iter().flatten() {
        let found = at(&data, path);
        if !fits(found, value) {
            faults.push(format!("{path} is {found}, not {value}"));
        }
    }
    for form in FORMS {
        let shown = |printed: String| if form == "html" { visible(&printed) } else { printed };
        let whole = shown(explained(case, &["--format", form])?);
        let redacted = shown(explained(case, &["--format", form, "--redact"])?);
        let missing = |shown: &str, texts: Vec<String>| -> Vec<String> {
            texts.into_iter().filter(|text| !shown.contains(text)).collect()
        };
        let shows = missing(&whole, texts(expected, "shows"));
        faults.extend(shows.iter().map(|text| format!("{form} does not show {text:?}")));
        let shows = missing(&redacted, texts(expected, "redacted_shows"));
        faults.extend(shows.iter().map(|text| format!("{form} with --redact does not show {text:?}")));
        let hidden = texts(expected, "hides").into_iter().filter(|text| whole.contains(text));
        faults.extend(hidden.map(|text| format!("{form} shows {text:?}")));
    }
    let summary = &json!(Summary::of(&report(&data), &[]).sentence);
    if !expected["summary"].is_null() && !fits(summary, &expected["summary"]) {
        faults.push(format!("the summary is {summary}, not {}", expected["summary"]));
    }
    let hidden = texts(expected, "hides").into_iter().filter(|text| summary.to_string().contains(text));
    faults.extend(hidden.map(|text| format!("the summary shows {text:?}")));
    Ok(faults)
}

/// What of a case's note does not hold.
fn noted(case: &str) -> Result<Vec<String>, String> {
    let data = data(case)?;
    let analysis = &data["analysis"];
    let resource = |key: &str| &analysis["resources"][0][key];
    let failed = &analysis["failed_state"]["name"];
    let wanted: Vec<(&str, &Value, &str)> = match case {
        "a01-batch-exit-1.json" => vec![
            ("the service", resource("service"), "batch"),
            ("the job", resource("id"), "5ce9a71e-2f18-4dd1-b9ac-9d3618774d3f"),
            ("the log group", resource("log_group"), "/aws/batch/job"),
            (
                "the log stream",
                resource("log_stream"),
                "LandsatTaskBatchJob/default/7c7cd09e-0000-44f5-919a-2f66e0b8e995",
            ),
        ],
        "b13-lambda-oom.json" => vec![
            ("the service", resource("service"), "lambda"),
            ("the request", resource("id"), "8d2ae1d0-0ad1-4c6b-9f1c-3f9a4f1d2b11"),
        ],
        "a20-glue-failed.json" => vec![
            ("the service", resource("service"), "glue"),
            ("the job", resource("name"), "orders-load"),
            ("the job run", resource("id"), "jr_c14390561406a7"),
        ],
        "f07-pages-slurped.json" | "f08-jsonl.json" => {
            vec![
                ("the failed state", failed, "ProcessLandsat"),
                ("the status", &analysis["status"], "FAILED"),
            ]
        }
        "f17-cloudwatch-logs.jsonl" => vec![("the status", &analysis["status"], "FAILED")],
        "d04-nested-parallel-caught-then-fails.json" => return aborted_row(case),
        other => panic!("{other} has a note without an assertion"),
    };
    Ok(wanted
        .into_iter()
        .filter(|(_, found, wanted)| found.as_str() != Some(wanted))
        .map(|(what, found, wanted)| format!("{what} is {found}, not {wanted:?}"))
        .collect())
}

/// The row of the sibling that fell with the failed one: it ends when its branch does.
fn aborted_row(case: &str) -> Result<Vec<String>, String> {
    let text = explained(case, &["--format", "text"])?;
    let row = text.lines().find(|line| line.contains("⊘ Reject automatically")).unwrap();
    let took: f64 = Regex::new(r" (\d+\.\d+) s ").unwrap().captures(row).unwrap()[1].parse().unwrap();
    Ok(if took <= 6.2 { Vec::new() } else { vec![format!("it is there for {took} s: {row}")] })
}

/// An event of an execution whose history is gone.
async fn event(case: &str) -> Value {
    let errand = Errand::with(0).await;
    errand.sqs.send("failures", &std::fs::read_to_string(folder().join(case)).unwrap());
    let routes = "[[routes]]\nname = \"log\"\naudience = \"log\"\nchannel = \"stdout\"\nform = \"summary\"\n";
    let ended = errand.run(&["work", "--until-empty"], routes, &[]).await;
    assert_eq!((ended.code, errand.left()), (Some(0), 0), "{}", ended.stderr);
    let line: Value = serde_json::from_str(ended.stdout.trim()).unwrap();
    line["data"].clone()
}

async fn event_faults(case: &str) -> Vec<String> {
    let data = event(case).await;
    let analysis = &data["analysis"];
    let wanted: Vec<(&str, &Value, &str)> = match case {
        "events/e10-eusc.json" => vec![(
            "the console's page",
            &analysis["links"]["console"],
            "https://eusc-de-east-1.console.amazonaws-eusc.eu/states/home?region=eusc-de-east-1#/v2/executions/details/arn:aws-eusc:states:eusc-de-east-1:123456789012:execution:orders:a03-batch-null-message",
        )],
        "events/e36-gone-timed-out.json" => vec![
            ("the beginning", &analysis["started_at"], "2026-01-01T00:00:00Z"),
            ("the end", &analysis["ended_at"], "2026-01-01T00:00:06Z"),
            (
                "the summary",
                &analysis["summary"],
                "orders (request gone-3) took too long and was ended on 2026-01-01 at 00:00 UTC.",
            ),
        ],
        other => panic!("{other} has no assertion"),
    };
    wanted
        .into_iter()
        .filter(|(_, found, wanted)| found.as_str() != Some(wanted))
        .map(|(what, found, wanted)| format!("{what} is {found}, not {wanted:?}"))
        .collect()
}

#[tokio::test]
async fn every_case_is_read_as_expected() {
    let mut wrong = Vec::new();
    let mut check = |case: &str, faults: Vec<String>| {
        if !faults.is_empty() {
            wrong.push(format!("{case}: {}", faults.join("; ")));
        }
    };
    let expectations = expectations();
    for (case, expected) in &expectations {
        let mut found = faults(case, expected).unwrap_or_else(|why| vec![why]);
        if !expected["note"].is_null() {
            found.extend(noted(case).unwrap_or_else(|why| vec![why]));
        }
        check(case, found);
    }
    let mut events: Vec<String> = std::fs::read_dir(folder().join("events"))
        .unwrap()
        .map(|entry| format!("events/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    events.sort();
    for case in &events {
        check(case, event_faults(case).await);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A Catch, a notification, a Fail state: what channels say of it in a few lines.
#[test]
fn a_caught_error_behind_a_notification_is_the_probable_cause_everywhere() {
    let data = data("b01-catch-notify-fail.json").unwrap();
    let probable = &data["analysis"]["probable_cause"];
    assert_eq!(
        (&probable["state"], &probable["error"]),
        (&json!("ProcessManifest"), &json!("AttributeError"))
    );
    assert_eq!(probable["confidence"], "likely");
    assert_eq!(
        probable["evidence"],
        "This state failed in event 5 and was caught; NotifyFailure (Task) ran between that and the Fail state."
    );
    let message = "'NoneType' object has no attribute 'get'";
    assert_eq!(probable["parsed"]["message"], message);
    // By the contract, the Fail state itself is the root cause where a task lies between.
    assert_eq!(data["analysis"]["root_cause"]["state"], "PipelineFailed");
    let report = report(&data);
    let notice = Notice::failure(&report);
    let facts = brief::facts(&notice);
    let fact = facts.iter().find(|fact| fact.label == "Probable cause").unwrap();
    assert_eq!(fact.text, format!("ProcessManifest: AttributeError: {message}"));
    assert!(brief::subject(&notice).ends_with(": PipelineFailed (probably ProcessManifest: AttributeError)"));
    let summary = Summary::of(&report, &[]).sentence;
    assert!(
        summary.ends_with(&format!(
            " The reason given: The manifest pipeline failed. It probably comes from an error at the step “ProcessManifest”: {message}"
        )),
        "{summary}"
    );
    for form in FORMS {
        let shown = explained("b01-catch-notify-fail.json", &["--format", form]).unwrap();
        let shown = if form == "html" { visible(&shown) } else { shown };
        for text in ["Probable cause: ", "handler.py", "Likely: This state failed in event 5"] {
            assert!(shown.contains(text), "{form} does not show {text:?}: {shown}");
        }
    }
}

#[test]
fn the_documentation_lists_what_is_read_of_each_service() {
    let mut rows =
        "| answer of | integrations | what is read, the first that is there |\n|---|---|---|\n".to_owned();
    for row in cause::table() {
        let called: Vec<String> = row.called.iter().map(|called| format!("`{called}`")).collect();
        rows.push_str(&format!("| {} | {} | {} |\n", row.name, called.join(", "), row.reads));
    }
    docs::section("docs/explain.md", "what is read of a cause", &rows);
}

#[test]
fn every_case_has_an_expectation() {
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name != "expect.json")
        .collect();
    files.sort();
    let mut expected: Vec<String> = expectations().keys().cloned().collect();
    expected.sort();
    assert_eq!(files, expected);
}
