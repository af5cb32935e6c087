//! The report as JSON: names and order of the contract, and what it says without a history.

use misstep::analysis::Question;
use misstep::aws::arn::ExecutionArn;
use misstep::history::{EventType, History, Status};
use misstep::investigation::Finding;
use misstep::report::{Report, Subject};
use serde_json::{Value, json};

use crate::recorded::recorded;

fn report(history: &History, subject: &Subject) -> Value {
    let finding = Finding::of_file(history, &Question::default());
    serde_json::to_value(Report::new(subject, &finding)).unwrap()
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn subject() -> Subject {
    Subject {
        execution: ExecutionArn::parse("arn:aws:states:eu-west-1:123456789012:execution:orders:run-7").ok(),
        env: "prod".into(),
        application: Some("shop".into()),
        status: Some(Status::Failed),
        error: Some("States.Runtime".into()),
        cause: Some(
            "An error occurred while executing the state 'Choose' (entered at the event id #8). No.".into(),
        ),
        input: Some("{\"id\":7}".into()),
        ..Subject::default()
    }
}

#[test]
fn the_names_and_their_order_are_those_of_the_contract() {
    let report = report(&recorded("failed", "map-catch-error-map-catch-error-output-with-retry"), &subject());
    assert_eq!(keys(&report), ["event_info", "event_details", "analysis"]);
    assert_eq!(keys(&report["event_info"]), ["execution_arn", "state_machine_arn", "execution_name", "env"]);
    assert_eq!(keys(&report["event_details"]), ["payload", "steps"]);
    let step = &report["event_details"]["steps"][0];
    assert_eq!(keys(step), ["name", "initial_input", "latest_error"]);
    assert_eq!(keys(&step["latest_error"]), ["error", "cause"]);
    let analysis = &report["analysis"];
    let fixed = [
        "schema",
        "application",
        "status",
        "error",
        "cause",
        "failed_state",
        "root_cause",
        "in_flight",
        "also_failed",
        "parsed_cause",
        "reading",
        "degraded",
        "truncated",
        "links",
    ];
    let ours: Vec<_> = keys(analysis).into_iter().filter(|key| fixed.contains(key)).collect();
    assert_eq!(ours, fixed);
    assert_eq!(
        keys(&analysis["failed_state"]),
        [
            "name",
            "type",
            "path",
            "input",
            "error",
            "cause",
            "entered_event_id",
            "attempts",
            "confidence",
            "evidence"
        ]
    );
    assert_eq!(keys(&analysis["failed_state"]["attempts"][0]), ["started_at", "ended_at", "error", "cause"]);
    assert_eq!(keys(&analysis["root_cause"]), ["execution_arn", "state", "error", "cause", "via"]);
    assert_eq!(keys(&analysis["also_failed"][0]), ["name", "path", "error", "cause", "outcome"]);
    assert_eq!(keys(&analysis["parsed_cause"]), ["kind", "message", "error_type", "stack"]);
    assert_eq!(keys(&analysis["reading"]), ["calls", "events", "complete", "budget_hit"]);
    assert_eq!(analysis["schema"], "misstep.report/1");
    assert_eq!(analysis["failed_state"]["path"], json!(["ProcessItems[0]"]));
    assert_eq!(analysis["failed_state"]["attempts"][0]["ended_at"], "2026-03-01T12:00:01.918Z");
}

#[test]
fn states_in_flight_have_the_names_of_the_contract() {
    let report = report(&recorded("localstack", "timeout-in-map"), &Subject::default());
    assert_eq!(
        keys(&report["analysis"]["in_flight"][0]),
        ["name", "type", "path", "input", "phase", "since", "last_error"]
    );
    assert_eq!(report["analysis"]["in_flight"][0]["phase"], "waiting");
    assert_eq!(report["event_info"]["execution_arn"], Value::Null);
    assert_eq!(report["event_details"]["steps"], json!([]));
}

#[test]
fn an_event_alone_gives_what_its_cause_names_and_invents_nothing() {
    let report = serde_json::to_value(Report::degraded(&subject(), "denied")).unwrap();
    let analysis = &report["analysis"];
    assert_eq!(analysis["degraded"], "denied");
    assert_eq!(report["event_details"]["payload"], "{\"id\":7}");
    assert_eq!(
        report["event_info"]["state_machine_arn"],
        "arn:aws:states:eu-west-1:123456789012:stateMachine:orders"
    );
    let failed = &analysis["failed_state"];
    assert_eq!((&failed["name"], &failed["confidence"]), (&json!("Choose"), &json!("inferred")));
    assert_eq!(
        (&failed["input"], &failed["type"], &failed["entered_event_id"]),
        (&Value::Null, &Value::Null, &json!(8))
    );
    assert_eq!(report["event_details"]["steps"][0]["name"], "Choose");
    assert_eq!(analysis["root_cause"]["state"], "Choose");

    let other = Subject { cause: Some("card expired".into()), ..subject() };
    let report = serde_json::to_value(Report::degraded(&other, "denied")).unwrap();
    assert_eq!(report["analysis"]["failed_state"], Value::Null);
    assert_eq!(report["analysis"]["root_cause"], Value::Null);
    assert_eq!(report["event_details"]["steps"], json!([]));
    let aborted = Subject { status: Some(Status::Aborted), ..subject() };
    let report = serde_json::to_value(Report::degraded(&aborted, "denied")).unwrap();
    assert_eq!(report["analysis"]["failed_state"], Value::Null);
}

#[test]
fn the_payload_is_the_historys_or_else_the_events() {
    let history = recorded("failed", "activity-task-failure");
    let subject = subject();
    assert_eq!(report(&history, &subject)["event_details"]["payload"], "{\"Value1\": \"HelloWorld\"}");
    let without: Vec<_> = history.events()[1..].to_vec();
    assert_eq!(report(&History::newest(without), &subject)["event_details"]["payload"], "{\"id\":7}");
}

#[test]
fn a_missed_heartbeat_is_distinguished_from_a_timeout_by_the_time_that_passed() {
    let mut events = recorded("failed", "heartbeat-path-timeout").events().to_vec();
    let evidence = |events: &[misstep::history::HistoryEvent]| {
        let report = report(&History::whole(events.to_vec()), &Subject::default());
        report["analysis"]["failed_state"]["evidence"].as_str().unwrap().to_owned()
    };
    assert!(
        evidence(&events).ends_with("it sent no heartbeat for 5 s, and its timeout of 600 s had not passed.")
    );
    for event in &mut events {
        if event.event_type == EventType::TaskTimedOut {
            event.timestamp = event.timestamp.map(|at| at + jiff::SignedDuration::from_secs(601));
        }
    }
    assert!(evidence(&events).ends_with("it ran into its timeout of 600 s."), "{}", evidence(&events));
}

/// A Task that is caught, so many tasks, and a Fail state with this cause.
fn caught_then_fail(tasks: usize, cause: &str) -> History {
    let mut events = vec![
        json!({"type": "ExecutionStarted", "executionStartedEventDetails": {"input": "{}"}}),
        json!({"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "Charge"}}),
        json!({"type": "TaskScheduled", "taskScheduledEventDetails": {"resourceType": "lambda", "resource": "invoke"}}),
        json!({"type": "TaskFailed", "taskFailedEventDetails": {"resourceType": "lambda", "resource": "invoke", "error": "Declined", "cause": "card expired"}}),
        json!({"type": "TaskStateExited", "stateExitedEventDetails": {"name": "Charge"}}),
    ];
    for task in 0..tasks {
        let name = format!("Notify {task}");
        events.extend([
            json!({"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": name}}),
            json!({"type": "TaskScheduled", "taskScheduledEventDetails": {"resourceType": "sns", "resource": "publish"}}),
            json!({"type": "TaskSucceeded", "taskSucceededEventDetails": {"resourceType": "sns", "resource": "publish"}}),
            json!({"type": "TaskStateExited", "stateExitedEventDetails": {"name": name}}),
        ]);
    }
    events.extend([
        json!({"type": "FailStateEntered", "stateEnteredEventDetails": {"name": "Report"}}),
        json!({"type": "ExecutionFailed", "executionFailedEventDetails": {"error": "OrderFailed", "cause": cause}}),
    ]);
    for (at, event) in events.iter_mut().enumerate() {
        event["id"] = json!(at + 1);
        event["previousEventId"] = json!(if at < 2 { 0 } else { at });
    }
    misstep::history::file::parse(Value::Array(events).to_string().as_bytes()).unwrap()
}

#[test]
fn how_sure_a_probable_cause_is_depends_on_what_lies_between() {
    let analysis = |tasks, cause| {
        let report = report(&caught_then_fail(tasks, cause), &Subject::default());
        (report["analysis"]["probable_cause"].clone(), report["analysis"]["root_cause"].clone())
    };
    // Nothing between: the contract calls it the root cause.
    let (probable, root) = analysis(0, "it failed");
    assert_eq!((&probable, &root["state"]), (&Value::Null, &json!("Charge")));
    for (tasks, cause, confidence) in [
        (1, "it failed", "likely"),
        (3, "it failed", "likely"),
        (4, "it failed", "possible"),
        (4, "it failed: card expired", "likely"),
        (8, "it failed", "possible"),
    ] {
        let (probable, root) = analysis(tasks, cause);
        assert_eq!(root["state"], "Report");
        assert_eq!(
            (&probable["state"], &probable["confidence"]),
            (&json!("Charge"), &json!(confidence)),
            "{tasks} {cause}"
        );
        assert_eq!(probable["parsed"]["message"], "card expired");
    }
    let (probable, root) = analysis(9, "it failed");
    assert_eq!((&probable, &root["state"]), (&Value::Null, &json!("Report")));
}

#[test]
fn redrives_limits_and_a_missing_end_are_reported() {
    let whole = recorded("failed", "heartbeat-path-timeout");
    let analysis = |history: &History| report(history, &Subject::default())["analysis"].clone();
    let found = analysis(&whole);
    assert_eq!(found["redriven"], 0);
    assert_eq!(found["time_limit"], json!({"limit": "heartbeat", "seconds": 5}));
    let newest = History::newest(whole.events()[1..].to_vec());
    assert_eq!(analysis(&newest)["redriven"], Value::Null);
    let subject = Subject { redriven: Some(2), ..Subject::default() };
    assert_eq!(report(&newest, &subject)["analysis"]["redriven"], 2);
    // Without its end, a whole history is that of an execution that runs, and a part says nothing.
    let begun = whole.events()[..4].to_vec();
    assert_eq!(analysis(&History::whole(begun.clone()))["status"], "RUNNING");
    let part = analysis(&History::whole(begun).incomplete("There is a next page."));
    assert_eq!((&part["status"], &part["fingerprint"]), (&Value::Null, &Value::Null));
}
