//! Which failures a route is for.

use regex::Regex;

use crate::aws::arn::{base_state_machine, state_machine_name};
use crate::history::Status;
use crate::report::Report;
use crate::settings::InvalidValue;

/// Which failures a route is for: a failure matches if every given criterion has at least one matching
/// pattern.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The state machine, by its ARN without version and alias, or by its name.
    pub state_machines: Vec<Pattern>,
    /// How the execution ended.
    pub status: Vec<Status>,
    /// The error that ended it, or the root cause's.
    pub errors: Vec<Pattern>,
    /// The worker's environment, as configured.
    pub envs: Vec<Pattern>,
}

/// A text in which `*` stands for any text and `?` for any character.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is too large to be one.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let pattern = regex::escape(text).replace(r"\*", ".*").replace(r"\?", ".");
        Regex::new(&format!("(?s)^{pattern}$"))
            .map(Self)
            .map_err(|_| InvalidValue::malformed("a pattern: too long"))
    }

    fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl Filter {
    /// Whether the route is for the failure of this report.
    pub fn takes(&self, report: &Report) -> bool {
        let Report { event_info, analysis, .. } = report;
        let machine = event_info.state_machine_arn.as_deref().map(base_state_machine).unwrap_or_default();
        let machine_name = state_machine_name(&machine).unwrap_or_default();
        let root = analysis.root_cause.as_ref().and_then(|root| root.error.as_deref());
        let errors = [analysis.error.as_deref(), root].map(Option::unwrap_or_default);
        matches(&self.state_machines, &[&machine, machine_name])
            && matches(&self.errors, &errors)
            && matches(&self.envs, &[&event_info.env])
            && (self.status.is_empty() || analysis.status.is_some_and(|status| self.status.contains(&status)))
    }
}

fn matches(patterns: &[Pattern], texts: &[&str]) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| texts.iter().any(|text| pattern.is_match(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::answer::RootCause;
    use crate::report::Subject;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
    }

    fn report() -> Report {
        let subject = Subject {
            state_machine_arn: Some("arn:aws:states:eu-west-1:1:stateMachine:orders-eu:live".to_owned()),
            env: "prod".to_owned(),
            status: Some(Status::Failed),
            error: Some("States.TaskFailed".to_owned()),
            ..Subject::default()
        };
        let mut report = Report::degraded(&subject, "a test");
        report.analysis.root_cause =
            Some(RootCause { error: Some("Payment.Declined".to_owned()), ..RootCause::default() });
        report
    }

    #[test]
    fn a_filter_without_anything_takes_everything() {
        assert!(
            Filter::default().takes(&report())
                && Filter::default().takes(&Report::degraded(&Subject::default(), ""))
        );
    }

    #[test]
    fn state_machines_match_by_arn_and_by_name_without_their_version() {
        let takes = |text| Filter { state_machines: patterns(&[text]), ..Filter::default() }.takes(&report());
        for text in ["orders-eu", "orders-??", "arn:aws:states:*:1:stateMachine:orders-eu", "*"] {
            assert!(takes(text), "{text}");
        }
        for text in ["orders", "orders-eu:live", "ORDERS-EU", "o.*", "arn:aws:states:*:2:*"] {
            assert!(!takes(text), "{text}");
        }
    }

    #[test]
    fn errors_match_the_executions_and_the_root_causes() {
        let takes = |texts: &[&str]| Filter { errors: patterns(texts), ..Filter::default() }.takes(&report());
        assert!(takes(&["States.*"]) && takes(&["Nothing", "Payment.*"]) && !takes(&["Payment"]));
    }

    #[test]
    fn each_that_is_given_has_to_match() {
        let filter =
            |status| Filter { status: vec![status], envs: patterns(&["prod*"]), ..Filter::default() };
        assert!(filter(Status::Failed).takes(&report()) && !filter(Status::Aborted).takes(&report()));
        let other = Filter { envs: patterns(&["dev"]), ..filter(Status::Failed) };
        assert!(!other.takes(&report()));
    }
}
