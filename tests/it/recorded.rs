//! Histories recorded on AWS, each against its expectation.

use std::fs;
use std::path::{Path, PathBuf};

use misstep::analysis::Question;
use misstep::history::{History, Status, file};
use misstep::investigation::Finding;
use misstep::report::{Report, Subject};
use serde_json::{Value, json};

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/histories").join(kind);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no recorded histories in {kind}");
    files
}

/// A recorded history by its name.
pub(crate) fn recorded(kind: &str, name: &str) -> History {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/histories").join(kind);
    history(&folder.join(format!("{name}.json")))
}

/// All recorded histories, as files.
pub(crate) fn files() -> Vec<Vec<u8>> {
    let paths = ["failed", "succeeded", "localstack"].into_iter().flat_map(fixtures);
    paths.map(|path| fs::read(path).unwrap()).collect()
}

/// All recorded histories.
pub(crate) fn all() -> Vec<History> {
    files().iter().map(|bytes| file::parse(bytes).unwrap()).collect()
}

fn history(path: &Path) -> History {
    file::parse(&fs::read(path).unwrap()).unwrap()
}

/// The report as `explain --format json` prints it.
fn report(history: &History) -> Value {
    let finding = Finding::of_file(history, &Question::default());
    serde_json::to_value(Report::new(&Subject::default(), &finding)).unwrap()
}

/// What the expectations hold, taken from a report.
fn answer(report: &Value) -> Value {
    let analysis = &report["analysis"];
    let terminal = match analysis["status"].as_str().unwrap() {
        "FAILED" => "ExecutionFailed",
        "TIMED_OUT" => "ExecutionTimedOut",
        "ABORTED" => "ExecutionAborted",
        other => other,
    };
    let names: Vec<_> = analysis["in_flight"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    json!({
        "terminal": terminal,
        "error": analysis["error"],
        "cause": analysis["cause"],
        "payload": report["event_details"]["payload"],
        "origin": analysis["failed_state"]["name"],
        "origin_input": analysis["failed_state"]["input"],
        "in_flight": names,
        "steps": report["event_details"]["steps"],
    })
}

#[test]
fn failed_executions_are_explained_as_expected() {
    let mut wrong = Vec::new();
    let files = fixtures("failed");
    for path in &files {
        let expected: Value = serde_json::from_slice(
            &fs::read(path.to_str().unwrap().replace("/failed/", "/failed.expected/")).unwrap(),
        )
        .unwrap();
        let found = answer(&report(&history(path)));
        if found != expected {
            wrong.push(format!("{}\n  found    {found}\n  expected {expected}", path.display()));
        }
    }
    println!("{} of {} agree with their expectation", files.len() - wrong.len(), files.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_blame_is_exact_where_aws_recorded_the_history() {
    for path in fixtures("failed") {
        let report = report(&history(&path));
        let failed = &report["analysis"]["failed_state"];
        println!("{}: {}", failed["name"], failed["evidence"]);
        assert_eq!(failed["confidence"], "exact", "{}: {failed}", path.display());
        assert!(!failed["attempts"].as_array().unwrap().is_empty(), "{}", path.display());
    }
}

#[test]
fn succeeded_executions_have_no_failed_state_and_list_what_was_caught() {
    let mut caught = 0;
    for path in fixtures("succeeded") {
        let history = history(&path);
        let report = report(&history);
        let analysis = &report["analysis"];
        assert_eq!(analysis["status"], Status::Succeeded.as_str(), "{}", path.display());
        assert_eq!(analysis["failed_state"], Value::Null, "{}", path.display());
        assert_eq!(analysis["root_cause"], Value::Null, "{}", path.display());
        let also = analysis["also_failed"].as_array().unwrap();
        let failures = history.events().iter().any(|event| event.event_type.is_failure());
        assert!(!failures || !also.is_empty(), "{}", path.display());
        assert!(also.iter().all(|one| one["outcome"] == "caught"), "{}: {also:?}", path.display());
        caught += also.len();
    }
    println!("{caught} caught errors listed");
}

/// Recorded on LocalStack 4.9.2, whose histories differ from AWS's: an execution's timeout lets
/// iterations and Parallels "succeed" while their states are open, a container's failure may follow
/// an event of a sibling, and siblings go on after the end.
#[test]
fn what_localstack_writes_differently_gives_the_right_answer_too() {
    // The file, the path of the failed state, the root cause's state, the states in flight.
    let naps = ["Each[0] > Nap", "Each[1] > Nap", "Each[2] > Nap"];
    for (name, failed, root, in_flight) in [
        ("abort-in-parallel", None, None, &["Both > A", "Both > B"][..]),
        ("timeout-in-parallel", None, None, &["Both > A", "Both > B"]),
        ("timeout-in-map", None, None, &naps),
        ("timeout-in-nested-parallels", None, None, &["Outer > Inner > X"]),
        ("timeout-in-wait", None, None, &["Sleep"]),
        ("choice-without-match", Some("C"), Some("C"), &[]),
        ("map-fail-caught-then-fail", Some("Rep"), Some("Boom"), &[]),
        ("map-fail-without-chain", Some("M[1] > Boom"), Some("Boom"), &[]),
        ("map-task-events-after-the-end", Some("M[1] > Call"), Some("Call"), &[]),
        ("map-of-parallels", Some("M[1] > P > Call"), Some("Call"), &[]),
        ("parallel-task", Some("P > Call"), Some("Call"), &[]),
        ("parallel-retried", Some("P > Call"), Some("Call"), &[]),
        ("task-retried-caught-then-fail", Some("Rep"), Some("Call"), &[]),
        ("nested-execution", Some("Nest"), Some("Nest"), &[]),
        // The end follows a state of another branch: which one failed, nothing tells.
        ("runtime-in-parallel-without-chain", None, None, &[]),
    ] {
        let report = report(&recorded("localstack", name));
        let analysis = &report["analysis"];
        let place = |state: &Value| {
            let path = state["path"].as_array().unwrap().iter().chain([&state["name"]]);
            path.map(|part| part.as_str().unwrap()).collect::<Vec<_>>().join(" > ")
        };
        let found = analysis["failed_state"].as_object().map(|_| place(&analysis["failed_state"]));
        assert_eq!(found.as_deref(), failed, "{name}");
        assert_eq!(analysis["root_cause"]["state"].as_str(), root, "{name}");
        let flight: Vec<_> = analysis["in_flight"].as_array().unwrap().iter().map(place).collect();
        assert_eq!(flight, in_flight, "{name}");
    }
}
