//! Reports that nothing happened for: to try templates and routes with.

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

/// The report of a failure that did not happen, with a note that it is a test of the route.
pub fn test(env: &str, application: Option<&str>) -> Report {
    let subject = Subject { env: env.to_owned(), application: application.map(str::to_owned), ..subject() };
    let mut report = whole(&subject, FAILED);
    report.analysis.notes.push("This is a test of the route. Nothing failed.".to_owned());
    report
}

/// Reports as different as they come, each with what it is: those of [`test`], of a timeout, of an
/// abort, and from an event alone.
pub(crate) fn all() -> Vec<(&'static str, Report)> {
    let subject = subject();
    let alone = |status| {
        let subject = Subject { status: Some(status), ..subject.clone() };
        Report::degraded(&subject, "the history was not read: a sample")
    };
    vec![
        ("a failed execution", whole(&subject, FAILED)),
        ("one that timed out", whole(&subject, TIMED_OUT)),
        ("one that was aborted", whole(&subject, ABORTED)),
        ("one whose history cannot be read", alone(Status::Failed)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_what_they_are_said_to_be() {
        let status: Vec<_> = all().into_iter().map(|(_, report)| report.analysis.status).collect();
        assert_eq!(status, [Status::Failed, Status::TimedOut, Status::Aborted, Status::Failed].map(Some));
        let Report { event_info, analysis, .. } = test("prod", Some("shop"));
        assert_eq!(analysis.failed_state.unwrap().name, "Test step");
        assert_eq!(event_info.env, "prod");
        assert!(analysis.parsed_cause.unwrap().message.unwrap().contains("Nothing failed"));
    }
}
