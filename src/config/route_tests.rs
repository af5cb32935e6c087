//! Routes in the configuration file: what is read, and every fault with its line.

use super::tests::{ENOUGH, gather, texts};
use super::*;
use crate::notify::Form;

/// The routes that a file makes, beside these variables, or the faults.
fn routes(file: &str, variables: &[(&str, &str)]) -> Result<Vec<RouteSettings>, Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("misstep.toml");
    std::fs::write(&path, file).unwrap();
    let name = path.to_str().unwrap();
    let read = gather(&[], variables, Some(name)).notify();
    let short = |text: String| text.replace(name, "misstep.toml");
    read.map(|notify| notify.routes).map_err(|faults| texts(faults).into_iter().map(short).collect())
}

const API: &[(&str, &str)] = &[
    ("MISSTEP_NOTIFICATION_API", "https://notify.example.com/send"),
    ("MISSTEP_INTERNAL_GROUP_EMAIL", "dev-team@example.com"),
    ("MISSTEP_EXTERNAL_GROUP_EMAIL", "assist@example.com"),
];

#[test]
fn a_file_that_routes_elsewhere_needs_no_notification_api() {
    let read = routes("[[routes]]\nname = \"log\"\naudience = \"ops\"\nchannel = \"stdout\"\n", &[]).unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].name.as_str(), read[0].audience.name(), read[0].required), ("log", "ops", true));
    assert_eq!((&read[0].form, read[0].redaction.on), (&Form::Full, true));
}

#[test]
fn routes_of_the_file_come_beside_those_of_the_api_or_in_their_place() {
    let chat =
        "[[routes]]\nname = \"chat\"\naudience = \"developers\"\nchannel = \"stdout\"\nrequired = false\n";
    let names = |routes: Vec<RouteSettings>| routes.into_iter().map(|route| route.name).collect::<Vec<_>>();
    assert_eq!(names(routes(chat, API).unwrap()), ["developers", "customer-assist", "chat"]);
    let summary = "[[routes]]\nname = \"customer-assist\"\naudience = \"customer-assist\"\nchannel = \"http\"\nform = \"summary\"\ninput_keys = [\"order\"]\n";
    let read = routes(summary, API).unwrap();
    assert_eq!(read[1].form, Form::Summary { input_keys: vec!["order".to_owned()] });
    let shown = format!("{:?}", read[1]);
    assert!(
        shown.contains("assist@example.com") && shown.contains("https://notify.example.com/…"),
        "{shown}"
    );
    assert_eq!(names(read), ["developers", "customer-assist"]);
}

#[test]
fn redaction_of_a_route_adds_to_that_of_the_settings() {
    let file = "redact_keys = [\"birthday\"]\n[[routes]]\nname = \"a\"\naudience = \"ops\"\nchannel = \"stdout\"\nredact_keys = \"shoe_size\"\nredact_emails = \"on\"\n[[routes]]\nname = \"b\"\naudience = \"ops\"\nchannel = \"stdout\"\nredaction = \"off\"\n";
    let read = routes(file, &[("MISSTEP_REDACT_ALLOW", "card")]).unwrap();
    assert_eq!(read[0].redaction.keys, ["birthday", "shoe_size"]);
    assert!(read[0].redaction.emails && !read[1].redaction.emails);
    assert!(read[0].redaction.on && !read[1].redaction.on);
    assert_eq!(read[1].redaction.allow, ["card"]);
}

#[test]
fn every_fault_of_every_route_is_listed_with_its_line() {
    let file = r#"
concurency = 4
[[routes]]
name = "developers and others"
audience = "developers"
channel = "http"
url = "ftp://user:hunter2@example.com"
bearer_token = "hunter2"
hmac_secret = { env = "NOT_SET" }
headers = { content-type = "text/plain", x-team = "shop" }
tiemout_secs = 3
[[routes]]
name = "chat"
audience = "on-call"
channel = "slack"
webhook_url = "https://hooks.slack.com/services/hunter2"
match = { status = "SUCCEEDED", error = ["E"], state_machines = [7] }
form = "short"
required = "yes"
body = "{{ analysis.failed_state.name }}"
[[routes]]
name = "chat"
audience = "on-call"
channel = "pigeon"
[[routes]]
channel = "sns"
topic_arn = "arn:aws:sqs:eu-west-1:123456789012:failures"
max_bytes = 100
input_keys = "id"
subject = "{% if %}"
"#;
    let faults = routes(file, &[]).unwrap_err();
    assert!(!faults.join("\n").contains("hunter2"), "{faults:#?}");
    // A build with the cargo feature ses has one channel more.
    insta::assert_snapshot!(faults.join("\n").replace("sns, ses, stdout", "sns, stdout"));
}

#[test]
fn no_routes_at_all_is_a_fault_and_deletes_nothing_in_silence() {
    let faults = routes("routes = []\n", &[]).unwrap_err();
    assert!(faults.iter().any(|fault| fault.contains("expected one table or more")), "{faults:?}");
}

#[test]
fn a_secret_written_into_a_header_is_refused_and_shown_nowhere() {
    let file = "[[routes]]\nname = \"step-functions\"\naudience = \"ops\"\nchannel = \"http\"\nurl = \"http://127.0.0.1/\"\nsignature_header = \"x-a\"\nheaders = { x-api-key = \"hunter2\", x-a = \"b\" }\n";
    let faults = routes(file, &[]).unwrap_err().join("\n");
    assert!(!faults.contains("hunter2"), "{faults}");
    for told in [
        "x-api-key names a secret",
        "there is no hmac_secret",
        "another header has this name",
        "the breaker of Step Functions",
    ] {
        assert!(faults.contains(told), "{told}: {faults}");
    }
}

#[test]
fn an_empty_list_in_a_filter_is_a_fault_and_not_all_or_nothing() {
    let file = "[[routes]]\nname = \"a\"\naudience = \"ops\"\nchannel = \"stdout\"\n[routes.match]\nenvs = \"prod\"\nerrors = []\n";
    let faults = routes(file, &[]).unwrap_err();
    assert_eq!(
        faults,
        [
            "configuration file misstep.toml, line 7: routes: a: match: errors: an empty list takes nothing; leave the key out for all"
        ]
    );
}

#[test]
fn a_secret_is_refused_by_what_it_looks_like_too() {
    let route = |rest: &str| {
        let file = format!("[[routes]]\nname = \"a\"\naudience = \"ops\"\nchannel = \"http\"\n{rest}\n");
        routes(&file, &[]).map(|_| ()).map_err(|faults| faults.join("\n"))
    };
    let header =
        |value: &str| route(&format!("url = \"https://h/\"\nheaders = {{ x-custom = \"{value}\" }}"));
    for value in ["Bearer hunter2", "basic aHVudGVyMg==", "Token token=hunter2", "AKIAIOSFODNN7EXAMPLE"] {
        let faults = header(value).unwrap_err();
        assert!(faults.contains("the value of x-custom is a secret: write { env ="), "{faults}");
        assert!(!faults.contains(value), "{faults}");
    }
    for url in ["http://user:hunter2@host/", "https://:hunter2@host/hook"] {
        let faults = route(&format!("url = \"{url}\"")).unwrap_err();
        assert!(faults.contains("url: there is a password in it: write { env ="), "{faults}");
        assert!(!faults.contains("hunter2"), "{faults}");
    }
    for value in ["shop", "the shop's pager", "Token", "application/json; q=1", "misstep basic"] {
        assert_eq!(header(value), Ok(()), "{value}");
    }
    assert_eq!(route("url = \"https://h:8443/a/b-c?team=shop&v=2\""), Ok(()));
}

#[test]
fn everything_that_is_not_toml_is_listed_with_its_line_and_shows_no_text() {
    let faults = routes("env = \n[[routes]]\nurl = \"https://hunter2\nname = x\n", ENOUGH).unwrap_err();
    assert!(faults.len() >= 2 && !faults.join("").contains("hunter2"), "{faults:#?}");
    insta::assert_snapshot!(faults.join("\n"));
}

#[test]
fn secrets_are_never_debugged() {
    let file = "[[routes]]\nname = \"hook\"\naudience = \"ops\"\nchannel = \"http\"\nurl = { env = \"HOOK\" }\nbearer_token = { env = \"TOKEN\" }\nheaders = { x-key = { env = \"TOKEN\" } }\n";
    let variables = [("HOOK", "https://hooks.example.com/hunter2"), ("TOKEN", "hunter2")];
    let shown = format!("{:?}", routes(file, &variables).unwrap());
    assert!(shown.contains("Secret(HOOK)") && !shown.contains("hunter2"), "{shown}");
}
