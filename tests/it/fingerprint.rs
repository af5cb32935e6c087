//! One fingerprint a bug, and no other tomorrow.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use misstep::analysis::Question;
use misstep::aws::arn::ExecutionArn;
use misstep::history::{Status, file};
use misstep::investigation::Finding;
use misstep::report::{Report, Subject};

fn table() -> Vec<(String, Report)> {
    let mut all = Vec::new();
    for kind in ["failed", "localstack"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/histories").join(kind);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let history = file::parse(&fs::read(&path).unwrap()).unwrap();
            let report = Report::new(&Subject::default(), &Finding::of_file(&history, &Question::default()));
            all.push((path.file_stem().unwrap().to_str().unwrap().to_owned(), report));
        }
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

/// Failures of one bug among the recorded histories: the same definition on other data, or by another
/// path to the same timeout. All others stand alone.
const TOGETHER: &[&[&str]] = &[
    &["fixed-timeout-lambda", "fixed-timeout-service-lambda-with-path"],
    &["heartbeat-no-timeout", "heartbeat-path-timeout"],
    &[
        "map-state-items-eval-jsonata-variable-sampling-fail-boolean",
        "map-state-items-eval-jsonata-variable-sampling-fail-null",
        "map-state-items-eval-jsonata-variable-sampling-fail-number",
        "map-state-items-eval-jsonata-variable-sampling-fail-object",
        "map-state-items-eval-jsonata-variable-sampling-fail-string",
    ],
    &[
        "map-state-items-input-types-boolean",
        "map-state-items-input-types-null",
        "map-state-items-input-types-number",
        "map-state-items-input-types-object",
        "map-state-items-input-types-string",
    ],
    &[
        "map-state-tolerated-failure-percentage-path-1",
        "map-state-tolerated-failure-percentage-path-1-1",
        "map-state-tolerated-failure-percentage-path-100-1",
    ],
    &[
        "map-state-tolerated-failure-percentage-path-nonumber",
        "map-state-tolerated-failure-percentage-path-tolerated-failure-percentage-value0",
    ],
    &["parallel-retried", "parallel-task"],
    &["put-events-malformed-detail", "put-events-mixed-malformed-detail"],
    &[
        "sfn-send-task-outcome-with-no-such-token-state-machine-template0",
        "sfn-send-task-outcome-with-no-such-token-state-machine-template1",
    ],
    &[
        "wait-timestamp-jsonata-invalid-date",
        "wait-timestamp-jsonata-invalid-iso",
        "wait-timestamp-jsonata-invalid-time",
        "wait-timestamp-jsonata-no-t",
        "wait-timestamp-jsonata-no-z",
    ],
    &[
        "wait-timestamp-path-invalid-date",
        "wait-timestamp-path-invalid-iso",
        "wait-timestamp-path-invalid-time",
        "wait-timestamp-path-no-t",
        "wait-timestamp-path-no-z",
    ],
];

#[test]
fn failures_of_one_bug_have_the_same_and_two_bugs_have_not() {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, report) in table() {
        let failed = report.analysis.failed_state.as_ref().map_or("-", |failed| failed.name.as_str());
        let error = report.analysis.error.as_deref().unwrap_or("-");
        let fingerprint = report.analysis.fingerprint.clone().unwrap();
        println!("{fingerprint}  {name}  {failed}  {error}");
        groups.entry(fingerprint).or_default().push(name);
    }
    let mut together: Vec<_> = groups.into_values().filter(|names| names.len() > 1).collect();
    together.sort();
    assert_eq!(together, TOGETHER);
}

#[test]
fn they_do_not_change_from_one_release_to_the_next() {
    let pinned = table();
    for (name, fingerprint) in PINNED {
        let report = &pinned.iter().find(|(named, _)| named == name).unwrap().1;
        assert_eq!(report.analysis.fingerprint.as_deref(), Some(*fingerprint), "{name}");
    }
}

/// A failure of every sort. Whoever changes one of these makes every known failure look new.
const PINNED: &[(&str, &str)] = &[
    ("abort-in-parallel", "877a4eeaca941355"),
    ("timeout-in-map", "57f8d2a52c59ee28"),
    ("dynamodb-put-item-no-such-table", "eba15b7adc015224"),
    ("retry-interval-features", "b1d1bc72aa0b7701"),
    ("run-task-sync-raise-failure", "4527646ba0faf869"),
    ("start-execution-sync-delegate-timeout", "5f895cc3ecec6041"),
    ("map-of-parallels", "50375bbaed28f82c"),
    ("parallel-state-fail", "94fe25dcee99ca38"),
    ("put-events-no-source", "cb88e8353c54f98c"),
    ("undefined-reference-base-undefined-output", "6526202dd5f31c35"),
    ("wait-timestamp-jsonata-no-z", "4cbdf3e89fa9d41b"),
    ("task-retried-caught-then-fail", "ec7958182b442138"),
    ("map-item-reader-json-no-json-list-object", "b461b200b7fbafe5"),
    ("heartbeat-no-timeout", "0d12b696ecb39c93"),
];

fn subject(machine: &str, status: Status, cause: Option<&str>) -> Subject {
    let arn = "arn:aws:states:eu-west-1:123456789012:execution:orders:run-7";
    Subject {
        execution: Some(ExecutionArn::parse(arn).unwrap()),
        state_machine_arn: Some(machine.to_owned()),
        status: Some(status),
        error: cause.map(|_| "OrderRejected".to_owned()),
        cause: cause.map(str::to_owned),
        ..Subject::default()
    }
}

#[test]
fn versions_iterations_and_ids_make_no_difference_and_machines_and_messages_do() {
    const MACHINE: &str = "arn:aws:states:eu-west-1:123456789012:stateMachine:orders";
    let of = |machine: &str, status, cause| {
        Report::degraded(&subject(machine, status, cause), "gone").analysis.fingerprint.unwrap()
    };
    let first = of(MACHINE, Status::Failed, Some("order ORD-17 of 2026-03-01 has no 'blue teapot'"));
    let same = of(&format!("{MACHINE}:7"), Status::Failed, Some("order ORD-9 of 2025-01-31 has no 'lamp'"));
    assert_eq!(first, same, "reported from the event alone");
    for (machine, status, cause) in [
        (format!("{MACHINE}-eu"), Status::Failed, Some("order ORD-17 of 2026-03-01 has no 'blue teapot'")),
        (MACHINE.to_owned(), Status::Aborted, Some("order ORD-17 of 2026-03-01 has no 'blue teapot'")),
        (MACHINE.to_owned(), Status::Failed, Some("order ORD-17 was paid twice")),
        (MACHINE.to_owned(), Status::TimedOut, None),
    ] {
        assert_ne!(first, of(&machine, status, cause), "{machine} {status:?} {cause:?}");
    }
}

/// The fingerprint of a failure of which only the cause is known.
fn of_cause(cause: &str) -> String {
    const MACHINE: &str = "arn:aws:states:eu-west-1:123456789012:stateMachine:orders";
    Report::degraded(&subject(MACHINE, Status::Failed, Some(cause)), "gone").analysis.fingerprint.unwrap()
}

fn of_lambda(message: &str, kind: &str, frames: serde_json::Value) -> String {
    let key = if kind == "TypeError" { "trace" } else { "stackTrace" };
    of_cause(&serde_json::json!({"errorMessage": message, "errorType": kind, key: frames}).to_string())
}

#[test]
fn codes_and_names_of_code_make_a_difference_and_data_does_not() {
    for (one, other) in [
        ("value outside [0,10): billing limit", "value outside [0,10): inventory limit"),
        ("bad input {'size': '5\" pipe'}: total missing", "bad input {'size': 'x'}: order not paid"),
        ("No module named 'requests'", "No module named 'psycopg'"),
        ("answered HTTP 404", "answered HTTP 500"),
        ("received: amount is missing", "received: order is missing"),
    ] {
        assert_ne!(of_cause(one), of_cause(other), "{one} | {other}");
    }
    for (one, other) in [
        ("expired at Mon, 02 Mar 2026 12:00:00 GMT", "expired at Tue, 14 Apr 2026 09:10:11 GMT"),
        ("bad input {'size': '5\" pipe'}: total missing", "bad input {'size': 'x'}: total missing"),
        ("user “amira” took 1,234 ms", "user 'O'Brien' took 999 ms"),
    ] {
        assert_eq!(of_cause(one), of_cause(other), "{one} | {other}");
    }
}

#[test]
fn frames_make_a_difference_and_lines_do_not() {
    use serde_json::json;
    let go =
        |path: &str, line: u32| of_lambda("x", "E", json!([{"path": path, "line": line, "label": "Run"}]));
    assert_eq!(go("shop/pay.go", 3), go("shop/pay.go", 9));
    assert_ne!(go("shop/pay.go", 3), go("shop/ship.go", 3));
    let node = |place: &str| of_lambda("x", "TypeError", json!(["TypeError: x", format!("    at {place}")]));
    assert_eq!(
        node("Object.<anonymous> (/var/task/pay.js:1:2)"),
        node("Object.<anonymous> (/var/task/pay.js:9:2)")
    );
    assert_ne!(
        node("Object.<anonymous> (/var/task/pay.js:1:2)"),
        node("Object.<anonymous> (/var/task/ship.js:1:2)")
    );
    assert_ne!(node("f (/var/task/src/internal/pay.js:1:2)"), node("f (/var/task/src/internal/ship.js:1:2)"));
    let java = |frame: &str| of_lambda("x", "java.lang.X", json!([frame, "com.example.Pay.a(Pay.java:3)"]));
    assert_eq!(
        java("com.example.Pay$$Lambda$14/0x0000000840064840.run(Unknown Source)"),
        java("com.example.Pay$$Lambda$15/0x0000000840099999.run(Unknown Source)")
    );
}

#[test]
fn what_has_not_failed_has_none() {
    for history in crate::recorded::all() {
        let report = Report::new(&Subject::default(), &Finding::of_file(&history, &Question::default()));
        let failed = !matches!(report.analysis.status, Some(Status::Succeeded | Status::Running));
        assert_eq!(report.analysis.fingerprint.is_some(), failed);
    }
}
