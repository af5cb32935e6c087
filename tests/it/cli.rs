//! The binary as its user meets it: exit codes, and errors that say what to do.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use tokio::time::Instant;

/// Settings that are enough for the worker to begin looking for AWS.
const ENOUGH: &[(&str, &str)] = &[
    ("MISSTEP_QUEUE_URL", "http://127.0.0.1:1/000000000000/failures"),
    ("MISSTEP_NOTIFICATION_API", "http://127.0.0.1:1/send"),
    ("MISSTEP_INTERNAL_GROUP_EMAIL", "dev-team@example.com"),
    ("MISSTEP_EXTERNAL_GROUP_EMAIL", "assist@example.com"),
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
fn what_is_missing_of_aws_is_told_within_ten_seconds() {
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
fn the_code_of_every_exit_is_the_documented_one() {
    use misstep::cli::Exit;
    let codes =
        [Exit::Done, Exit::Failed, Exit::Usage, Exit::Configuration, Exit::InterruptedAgain].map(Exit::code);
    assert_eq!(codes, [0, 1, 2, 64, 130]);
}

#[test]
fn every_setting_is_in_the_readme() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for setting in misstep::config::SETTINGS {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{}`", setting.variable())));
        let row = row.unwrap_or_else(|| panic!("{} has no row in the README", setting.variable()));
        if let Some(default) = setting.default {
            assert!(
                row.contains(&format!("`{default}`")),
                "the README's row of {} lacks its default",
                setting.key
            );
        }
    }
}
