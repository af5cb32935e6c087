//! Reports that nothing happened for: to try templates and routes with.

use serde_json::Value;

use crate::analysis::Question;
use crate::aws::arn::ExecutionArn;
use crate::history::{Status, file};
use crate::investigation::Finding;
use crate::report::{Report, Subject};

/// The execution that the samples are about; there is none of this name.
const EXECUTION: &str = "arn:aws:states:eu-west-1:123456789012:execution:misstep-test:this-is-a-test";

const FAILED: &str = include_str!("sample/failed.json");
const TIMED_OUT: &str = include_str!("sample/timed-out.json");
const ABORTED: &str = include_str!("sample/aborted.json");

/// A failure that says of itself that it is a test: the `data` of its notification.
pub fn test(env: &str, application: Option<&str>) -> Value {
    let subject = Subject { env: env.to_owned(), application: application.map(str::to_owned), ..subject() };
    let mut report = whole(&subject, FAILED);
    report.analysis.notes.push("This is a test of the route. Nothing failed.".to_owned());
    data(&report)
}

/// Reports as different as they come, each with what it is: those of [`test`], of a timeout, of an
/// abort, and from an event alone.
pub(crate) fn all() -> Vec<(&'static str, Value)> {
    let subject = subject();
    let alone = |status| {
        let subject = Subject { status: Some(status), ..subject.clone() };
        Report::degraded(&subject, "the history was not read: a sample")
    };
    vec![
        ("a failed execution", data(&whole(&subject, FAILED))),
        ("one that timed out", data(&whole(&subject, TIMED_OUT))),
        ("one that was aborted", data(&whole(&subject, ABORTED))),
        ("one whose history cannot be read", data(&alone(Status::Failed))),
    ]
}

fn subject() -> Subject {
    let execution = ExecutionArn::parse(EXECUTION).expect("an execution's ARN");
    Subject { execution: Some(execution), env: "test".to_owned(), ..Subject::default() }
}

fn whole(subject: &Subject, history: &str) -> Report {
    let history = file::parse(history.as_bytes()).expect("a history");
    Report::new(subject, &Finding::of_file(&history, &Question::default()))
}

fn data(report: &Report) -> Value {
    serde_json::to_value(report).expect("a report has only text keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_what_they_are_said_to_be() {
        let status: Vec<Value> =
            all().into_iter().map(|(_, data)| data["analysis"]["status"].clone()).collect();
        assert_eq!(status, ["FAILED", "TIMED_OUT", "ABORTED", "FAILED"]);
        let test = test("prod", Some("shop"));
        assert_eq!(test["analysis"]["failed_state"]["name"], "Test step");
        assert_eq!(test["event_info"]["env"], "prod");
        assert!(test["analysis"]["parsed_cause"]["message"].as_str().unwrap().contains("Nothing failed"));
    }
}
