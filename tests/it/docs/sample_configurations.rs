//! The sample configurations in `docs/samples` are what the binary takes.

use std::path::PathBuf;

use misstep::notify::settings::{RouteSettings, connect};

use super::path;
use crate::support::configured::settings;

/// A sample.
struct Sample {
    name: &'static str,
    /// The variables with secrets that it names.
    variables: &'static [&'static str],
    /// Its routes with their channels.
    routes: &'static [(&'static str, &'static str)],
}

const SAMPLES: [Sample; 5] = [
    Sample { name: "mail", variables: &[], routes: &[("developers", "ses"), ("customer-assist", "ses")] },
    Sample {
        name: "on-call",
        variables: &["ON_CALL_WEBHOOK"],
        routes: &[
            ("developers", "http"),
            ("customer-assist", "http"),
            ("on-call", "slack"),
            ("slow", "slack"),
        ],
    },
    Sample {
        name: "topic-and-file",
        variables: &[],
        routes: &[("topic", "sns"), ("archive", "file"), ("log", "stdout")],
    },
    Sample {
        name: "two-audiences",
        variables: &[],
        routes: &[("developers", "http"), ("customer-assist", "http")],
    },
    Sample {
        name: "webhook",
        variables: &["INCIDENTS_SIGNING_KEY", "INCIDENTS_API_KEY"],
        routes: &[("incidents", "http")],
    },
];

const SECRET: &str = "https://hooks.example.com/hunter2";

fn folder() -> PathBuf {
    path("docs/samples")
}

fn read(name: &str, variables: &[&str]) -> Result<Vec<RouteSettings>, Vec<String>> {
    let variables: Vec<(&str, &str)> = variables.iter().map(|name| (*name, SECRET)).collect();
    settings(&folder().join(format!("{name}.toml")), &variables)
}

#[test]
fn every_sample_is_read_with_the_routes_that_it_names() {
    for Sample { name, variables, routes: expected } in SAMPLES {
        if expected.iter().any(|(_, channel)| *channel == "ses") && !cfg!(feature = "ses") {
            let faults = read(name, variables).unwrap_err();
            assert_eq!(faults.len(), expected.len(), "{faults:#?}");
            assert!(faults.iter().all(|fault| fault.contains("cargo feature ses")), "{faults:#?}");
            continue;
        }
        let routes = read(name, variables).unwrap_or_else(|faults| panic!("{name}: {faults:#?}"));
        let found: Vec<(&str, &str)> =
            routes.iter().map(|route| (route.name.as_str(), route.channel)).collect();
        assert_eq!(found, expected, "{name}");
        let shown = format!("{routes:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        let away: Vec<RouteSettings> =
            routes.into_iter().filter(|route| !route.connect.needs_aws()).collect();
        for connected in connect(&away, None) {
            assert!(connected.is_ok(), "{name}: {:?}", connected.err());
        }
    }
}

#[test]
fn every_sample_is_tested() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, SAMPLES.map(|sample| sample.name));
}

#[test]
fn a_variable_that_a_sample_names_and_nobody_set_is_a_fault_with_its_line() {
    let faults = read("webhook", &["INCIDENTS_API_KEY"]).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].contains("line 13: routes: incidents: hmac_secret: the variable INCIDENTS_SIGNING_KEY"),
        "{faults:?}"
    );
}
