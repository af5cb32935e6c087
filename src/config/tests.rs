use super::*;

/// Settings that are enough for the worker.
pub(super) const ENOUGH: &[(&str, &str)] = &[
    ("MISSTEP_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/failures"),
    ("MISSTEP_NOTIFICATION_API", "https://user:secret@notify.example.com/send?key=secret"),
    ("MISSTEP_INTERNAL_GROUP_EMAIL", "dev-team@example.com"),
    ("MISSTEP_EXTERNAL_GROUP_EMAIL", "assist@example.com"),
];

pub(super) fn gather<'v>(
    flags: &[(&str, &str)],
    variables: &'v [(&'v str, &'v str)],
    file: Option<&str>,
) -> Layers<'v> {
    let find = |pairs: &[(&str, &str)], name: &str| {
        pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    };
    Layers::gather(|name| find(flags, name), move |name| find(variables, name), file.map(str::to_owned))
}

fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [more, ENOUGH].concat()
}

pub(super) fn texts(faults: Vec<Fault>) -> Vec<String> {
    faults.iter().map(Fault::to_string).collect()
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let work = gather(&[], ENOUGH, None).work().unwrap();
    assert_eq!(work.common.env, "dev");
    assert_eq!(work.common.application, None);
    assert_eq!(work.common.history_rate, Some(10.0));
    assert_eq!(work.map_run_children, MapRunChildren::Fold);
    assert_eq!(work.concurrency, 32);
    assert_eq!(work.poll_wait, Duration::from_secs(10));
    assert_eq!(work.common.redaction, Rules::default());
    let routes: Vec<&str> = work.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(routes, ["developers", "customer-assist"]);
    let shown = format!("{:?}", work.routes);
    assert!(shown.contains("timeout: 10s") && shown.contains("max_bytes: 262144"), "{shown}");
    assert_eq!(work.shutdown_grace, Duration::from_secs(25));
    assert_eq!(work.admin_addr, Some("127.0.0.1:9108".parse().unwrap()));
    assert!(work.state_machines.is_empty());
}

#[test]
fn health_and_metrics_can_be_turned_off() {
    let work = gather(&[("admin-addr", "off")], ENOUGH, None).work().unwrap();
    assert_eq!(work.admin_addr, None);
}

#[test]
fn every_fault_is_listed_at_once() {
    let faults = gather(
        &[("poll-wait-secs", "21"), ("log-format", "xml")],
        &[
            ("MISSTEP_CONCURRENCY", "many"),
            ("MISSTEP_INTERNAL_GROUP_EMAIL", "nobody"),
            ("MISSTEP_HISTORY_RATE", "-1"),
            ("MISSTEP_ADMIN_ADDR", "localhost"),
            ("MISSTEP_STEP_FUNCTION_ARNS", "arn:aws:states:eu-west-1:1:stateMachine:a,orders"),
        ],
        None,
    )
    .work()
    .unwrap_err();
    insta::assert_snapshot!(texts(faults).join("\n"));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("misstep.toml");
    std::fs::write(&path, "env = \"file\"\nconcurrency = 4\npoll_wait_secs = 1\nstep_function_arns = [\"arn:aws:states:eu-west-1:1:stateMachine:a:2\"]\n").unwrap();
    let work = gather(
        &[("env", "flag")],
        &with(&[("MISSTEP_ENV", "environment"), ("MISSTEP_CONCURRENCY", "8")]),
        path.to_str(),
    )
    .work()
    .unwrap();
    assert_eq!(work.common.env, "flag");
    assert_eq!(work.concurrency, 8);
    assert_eq!(work.poll_wait, Duration::from_secs(1));
    assert_eq!(work.state_machines, ["arn:aws:states:eu-west-1:1:stateMachine:a"]);
}

#[test]
fn a_file_with_unknown_keys_or_that_is_missing_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("misstep.toml");
    std::fs::write(&path, "queue = \"x\"\nconcurrency = { a = 1 }\n").unwrap();
    let faults = texts(gather(&[], ENOUGH, path.to_str()).work().unwrap_err());
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("line 2: concurrency: expected"), "{faults:?}");
    assert!(faults[1].contains("line 1: queue: there is no setting of that name"), "{faults:?}");
    let faults = texts(gather(&[], ENOUGH, Some("/nowhere/misstep.toml")).work().unwrap_err());
    assert!(faults[0].contains("/nowhere/misstep.toml"), "{faults:?}");
}

#[test]
fn what_an_unread_file_may_hold_is_not_said_to_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("misstep.toml");
    std::fs::write(&path, "queue_url = \n").unwrap();
    for path in [path.to_str().unwrap(), "/nowhere/misstep.toml"] {
        let faults = texts(gather(&[("concurrency", "0")], &[], Some(path)).work().unwrap_err());
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("misstep.toml") && faults[1].contains("--concurrency"), "{faults:?}");
    }
}

#[test]
fn every_faulty_state_machine_of_a_list_is_named() {
    let some = ("MISSTEP_STEP_FUNCTION_ARNS", "arn:aws:states:eu-west-1:1:stateMachine:a, b, c");
    let faults = texts(gather(&[], &with(&[some]), None).work().unwrap_err());
    assert!(faults[0].ends_with(r#"not the ARN of a state machine: "b", "c""#), "{faults:?}");
}

#[test]
fn the_queue_is_not_its_own_dead_letter_queue() {
    let dlq = [("MISSTEP_DLQ_URL", ENOUGH[0].1)];
    let variables = with(&dlq);
    for faults in [
        gather(&[], &variables, None).work().map(drop).unwrap_err(),
        gather(&[], &variables, None).dlq().map(drop).unwrap_err(),
    ] {
        let faults = texts(faults);
        assert!(faults[0].contains("the same queue"), "{faults:?}");
    }
}

#[test]
fn a_value_that_is_not_utf_8_is_a_fault() {
    let mangled = with(&[("MISSTEP_STEP_FUNCTION_ARNS", "arn:aws:states:eu-west-1:1:stateMachine:\u{fffd}")]);
    let faults = texts(gather(&[], &mangled, None).work().unwrap_err());
    assert_eq!(faults, ["MISSTEP_STEP_FUNCTION_ARNS: not UTF-8"]);
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let variables = with(&[("MISSTEP_CONCURRENCY", ""), ("MISSTEP_STEP_FUNCTION_ARNS", "")]);
    assert_eq!(gather(&[], &variables, None).work().unwrap().concurrency, 32);
}

#[test]
fn a_fifo_queue_is_refused() {
    let queue = ("MISSTEP_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/1/failures.fifo");
    let faults = texts(gather(&[], &with(&[queue]), None).work().unwrap_err());
    assert!(faults[0].contains("FIFO"), "{faults:?}");
}

#[test]
fn secrets_in_the_urls_are_neither_debugged_nor_told_in_faults() {
    let work = gather(&[], ENOUGH, None).work().unwrap();
    assert!(!format!("{work:?}").contains("secret"));
    let bad = ("MISSTEP_NOTIFICATION_API", "ftp://user:secret@notify.example.com");
    let faults = texts(gather(&[], &with(&[bad]), None).work().unwrap_err());
    assert!(!faults.join("").contains("secret"), "{faults:?}");
}

#[test]
fn the_history_rate_can_be_turned_off() {
    let common = gather(&[("history-rate", "off")], &[], None).common().unwrap();
    assert_eq!(common.history_rate, None);
}
