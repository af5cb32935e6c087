//! The binary as its user meets it: exit codes, and errors that say what to do.

use std::process::{Command, Output};
use std::time::Duration;

use tokio::time::Instant;

use crate::support::receiver::{Answer, Receiver};
use crate::support::stub::{self, sqs::Sqs};
use crate::support::worker_process::{self, WorkerProcess};

/// Settings that are enough for the worker to begin looking for AWS.
const ENOUGH: &[(&str, &str)] = &[
    ("MISSTEP_QUEUE_URL", "http://127.0.0.1:1/000000000000/failures"),
    ("MISSTEP_NOTIFICATION_API", "http://127.0.0.1:1/send"),
    ("MISSTEP_INTERNAL_GROUP_EMAIL", "dev-team@example.com"),
    ("MISSTEP_EXTERNAL_GROUP_EMAIL", "assist@example.com"),
    ("MISSTEP_ADMIN_ADDR", "off"),
];

const CREDENTIALS: &[(&str, &str)] = &[("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];

/// Runs misstep with these variables and no others, so that no real account can be met.
fn misstep(arguments: &[&str], variables: &[&[(&str, &str)]]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_misstep"));
    command.args(arguments).env_clear();
    command.envs([
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/nowhere"),
        ("HOME", "/nowhere"),
    ]);
    command.envs(variables.concat());
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn faults_of_the_settings_are_listed_at_once_and_nothing_is_started() {
    let output = misstep(&["work", "--concurrency", "0"], &[]);
    assert_eq!(output.status.code(), Some(64));
    assert!(output.stdout.is_empty());
    insta::assert_snapshot!(stderr(&output));
}

#[test]
fn wrong_usage_exits_with_2_and_help_with_0() {
    assert_eq!(misstep(&["wrok"], &[]).status.code(), Some(2));
    assert_eq!(misstep(&["explain"], &[]).status.code(), Some(2));
    let help = misstep(&["work", "--help"], &[]);
    assert_eq!(help.status.code(), Some(0));
    let help = String::from_utf8(help.stdout).unwrap();
    for setting in misstep::config::SETTINGS {
        assert!(help.contains(&format!("--{}", setting.flag())), "{}", setting.key);
        assert!(help.contains(&setting.variable()), "{}", setting.key);
    }
}

#[test]
fn missing_aws_settings_are_reported_within_ten_seconds() {
    let region: &[(&str, &str)] = &[("AWS_REGION", "us-east-1")];
    let refused: &[(&str, &str)] = &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    for (variables, expected) in [
        (vec![ENOUGH, CREDENTIALS], "no AWS region: set AWS_REGION"),
        (vec![ENOUGH, region], "no AWS credentials"),
        (
            vec![ENOUGH, region, CREDENTIALS, refused],
            "the queue cannot be read: GetQueueAttributes on http://127.0.0.1:1/",
        ),
    ] {
        let began = Instant::now();
        let output = misstep(&["work"], &variables);
        assert!(began.elapsed() < Duration::from_secs(10), "{expected}: {:?}", began.elapsed());
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[test]
fn a_report_that_cannot_be_written_is_a_clear_error_and_none_is_lost_elsewhere() {
    let history =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/histories/failed/retry-interval-features.json");
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing/report");
    for format in misstep::report::format::Format::NAMES {
        for place in [&missing, folder.path()] {
            let place = place.to_str().unwrap();
            let output = misstep(&["explain", history, "--format", format, "--output", place], &[]);
            assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
            assert!(stderr(&output).contains(&format!("{place} cannot be written: ")), "{}", stderr(&output));
            assert!(output.stdout.is_empty());
        }
        let place = folder.path().join(format);
        let output =
            misstep(&["explain", history, "--format", format, "--output", place.to_str().unwrap()], &[]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(std::fs::read_to_string(&place).unwrap().contains("LambdaTask"));
    }
}

#[test]
fn explain_shows_everything_unless_asked_to_redact() {
    let folder = tempfile::tempdir().unwrap();
    let history = folder.path().join("history.json");
    let input = r#"{"order_id":7,"password":"hunter-77","data":"{\"card\":\"4111111111111111\"}"}"#;
    let failed = serde_json::json!({"error": "hunter-77", "cause": "no login with hunter-77"});
    let events = serde_json::json!({"events": [
        {"id": 1, "previousEventId": 0, "type": "ExecutionStarted", "timestamp": "2026-03-01T12:00:00Z",
         "executionStartedEventDetails": {"input": input}},
        {"id": 2, "previousEventId": 1, "type": "FailStateEntered", "timestamp": "2026-03-01T12:00:01Z",
         "stateEnteredEventDetails": {"name": "Refuse", "input": input}},
        {"id": 3, "previousEventId": 2, "type": "ExecutionFailed", "timestamp": "2026-03-01T12:00:01Z",
         "executionFailedEventDetails": failed},
    ]});
    std::fs::write(&history, events.to_string()).unwrap();
    let history = history.to_str().unwrap();
    for format in misstep::report::format::Format::NAMES {
        let shown = |arguments: &[&str]| {
            let output = misstep(&[&["explain", history, "--format", format], arguments].concat(), &[]);
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            String::from_utf8(output.stdout).unwrap()
        };
        let (all, redacted) = (shown(&[]), shown(&["--redact"]));
        for secret in ["hunter-77", "4111111111111111"] {
            assert!(all.contains(secret) && !redacted.contains(secret), "{format}: {redacted}");
        }
        assert!(redacted.contains("Refuse") && redacted.contains("order_id"), "{redacted}");
    }
}

#[test]
fn the_code_of_every_exit_is_the_documented_one() {
    use misstep::cli::Exit;
    let codes =
        [Exit::Done, Exit::Failed, Exit::Usage, Exit::Configuration, Exit::InterruptedAgain].map(Exit::code);
    assert_eq!(codes, [0, 1, 2, 64, 130]);
}

/// A worker on a stub of SQS, with one failure in hand whose notification is never answered.
async fn busy_worker(receiver: &Receiver, sqs: &Sqs, grace: &str) -> WorkerProcess {
    receiver.answer([Answer::Silence, Answer::Silence]);
    let url = sqs.queue("failures", Duration::from_secs(30));
    sqs.send("failures", &crate::support::failure(0));
    let mut command = worker_process::misstep(&["work"]);
    // Step Functions is not there: the failure is reported from its event, at once.
    command.envs(stub::environment("AWS_ENDPOINT_URL", sqs.url()));
    command.envs(worker_process::default_routes(&receiver.url));
    command.envs([
        ("MISSTEP_QUEUE_URL", url.as_str()),
        ("MISSTEP_ADMIN_ADDR", "off"),
        ("MISSTEP_POLL_WAIT_SECS", "1"),
        ("MISSTEP_NOTIFY_TIMEOUT_SECS", "60"),
        ("MISSTEP_SHUTDOWN_GRACE_SECS", grace),
    ]);
    let worker = WorkerProcess::start(command);
    receiver.wait_for(2).await;
    worker
}

#[tokio::test]
async fn a_second_signal_ends_the_worker_at_once_with_130() {
    let (receiver, sqs) = (Receiver::start().await, Sqs::start().await);
    let mut worker = busy_worker(&receiver, &sqs, "60").await;
    worker.signal("-TERM").await;
    let still_works = tokio::time::timeout(Duration::from_millis(300), worker.ended()).await;
    assert!(still_works.is_err(), "it drains");
    worker.signal("-INT").await;
    assert_eq!(worker.ended().await.code(), Some(130));
}

#[tokio::test]
async fn a_stop_releases_what_is_in_hand_when_the_grace_period_ends() {
    let (receiver, sqs) = (Receiver::start().await, Sqs::start().await);
    let mut worker = busy_worker(&receiver, &sqs, "1").await;
    let began = Instant::now();
    worker.signal("-INT").await;
    assert_eq!(worker.ended().await.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let counts = sqs.counts("failures");
    assert_eq!((counts.visible, counts.in_flight), (1, 0));
}

#[tokio::test]
async fn a_second_worker_on_one_machine_works_without_the_default_admin_address() {
    // Whether this takes it or somebody else has it already.
    let _taken = tokio::net::TcpListener::bind("127.0.0.1:9108").await;
    let sqs = Sqs::start().await;
    let url = sqs.queue("failures", Duration::from_secs(30));
    let mut command = worker_process::misstep(&["work", "--until-empty", "--queue-url", &url]);
    command.envs(stub::environment("AWS_ENDPOINT_URL", sqs.url()));
    command.envs(
        ENOUGH
            .iter()
            .filter(|(name, _)| !name.ends_with("ADMIN_ADDR") && !name.ends_with("QUEUE_URL"))
            .copied(),
    );
    command.env("MISSTEP_POLL_WAIT_SECS", "1");
    let ended = worker_process::run(command).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("another process has the default address"), "{}", ended.stderr);
}

/// Runs `misstep explain` on a text from standard input.
fn explain_text(text: &str, arguments: &[&str]) -> Output {
    use std::io::Write as _;
    let mut command = Command::new(env!("CARGO_BIN_EXE_misstep"));
    command.args(["explain", "-"]).args(arguments).env_clear();
    command.stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// A log of one execution that failed, and one that succeeded.
fn log_of_two() -> String {
    let line = |name: &str, id: u32, kind: &str, details: serde_json::Value| {
        let arn = format!("arn:aws:states:eu-west-1:123456789012:express:orders:{name}:6f1e");
        let event = serde_json::json!({
            "id": id.to_string(), "type": kind, "details": details, "execution_arn": arn,
            "previous_event_id": (id - 1).to_string(), "event_timestamp": "1772366400137",
        });
        format!("{event}\n")
    };
    let error =
        serde_json::json!({"error": "E", "cause": "because", "resource": "invoke", "resourceType": "lambda"});
    let (input, empty) = (serde_json::json!({"name": "Charge", "input": "{}"}), serde_json::json!({}));
    [
        line("good", 1, "ExecutionStarted", input.clone()),
        line("good", 2, "ExecutionSucceeded", empty.clone()),
        line("bad", 1, "ExecutionStarted", input.clone()),
        line("bad", 2, "TaskStateEntered", input),
        line("bad", 3, "TaskScheduled", error.clone()),
        line("bad", 4, "TaskFailed", error.clone()),
        line("bad", 5, "ExecutionFailed", error),
    ]
    .concat()
}

#[test]
fn the_only_failure_of_a_log_is_explained_and_named_on_standard_error() {
    let output = explain_text(&log_of_two(), &["--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("only bad:6f1e failed"), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["analysis"]["failed_state"]["name"], "Charge");
    assert_eq!(report["event_info"]["execution_name"], "bad:6f1e");

    let output = explain_text(&log_of_two(), &["--execution", "good", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["analysis"]["status"], "SUCCEEDED");

    let output = explain_text(&log_of_two(), &["--execution", "other"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty() && stderr(&output).contains("bad:6f1e  FAILED  5 events"));
}

#[test]
fn an_event_as_input_gives_a_report_from_the_event_alone() {
    let arn = "arn:aws:states:eu-west-1:123456789012:execution:orders:run-7";
    let description = serde_json::json!({
        "executionArn": arn, "status": "FAILED", "startDate": "2026-03-01T12:00:00Z", "error": "E", "cause": "because",
    });
    for text in [description.to_string(), serde_json::json!({"detail": description}).to_string()] {
        let output = explain_text(&text, &["--format", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&report["analysis"]["status"], &report["analysis"]["error"]),
            (&"FAILED".into(), &"E".into())
        );
        let degraded = report["analysis"]["degraded"].as_str().unwrap();
        assert!(degraded.contains(&format!("misstep explain {arn}")), "{degraded}");
    }
}

#[test]
fn a_target_that_cannot_be_explained_is_refused_before_anything_is_asked_of_aws() {
    let console = "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#";
    let express = "arn:aws:states:eu-west-1:1:express:orders:run:6f1e";
    for (target, expected) in [
        (express.to_owned(), "aws logs filter-log-events"),
        (format!("{console}/express-executions/details/{express}?startDate=1"), "aws logs filter-log-events"),
        (format!("{console}/statemachines"), "pass the URL of the page of one execution"),
        ("arn:aws:states:eu-west-1:1:stateMachine:orders".to_owned(), "list-executions"),
        ("/nowhere/history.json".to_owned(), "TARGET is an execution's ARN"),
        (env!("CARGO_MANIFEST_DIR").to_owned(), "it is a folder"),
    ] {
        let output = misstep(&["explain", &target], &[]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(output.stdout.is_empty() && stderr(&output).contains(expected), "{}", stderr(&output));
    }
    let execution =
        format!("{console}/v2/executions/details/arn:aws:states:eu-west-1:1:execution:orders:run");
    let output = misstep(&["explain", &execution, "--execution", "run"], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    // The URL of an execution is read as its ARN: what is missing is AWS.
    let output = misstep(&["explain", &execution], &[&[("AWS_REGION", "eu-west-1")]]);
    assert!(stderr(&output).contains("no AWS credentials"), "{}", stderr(&output));
}
