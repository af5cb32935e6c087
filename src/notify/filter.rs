//! Which failures a route is for.

use regex::Regex;
use serde_json::Value;

use crate::aws::arn::{base_state_machine, state_machine_name};
use crate::history::Status;

/// Which failures a route is for: those that match one of each that is given.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The state machine, by its ARN without version and alias, or by its name.
    pub state_machines: Vec<Pattern>,
    /// How the execution ended.
    pub status: Vec<Status>,
    /// The error that ended it, or the root cause's.
    pub errors: Vec<Pattern>,
    /// The environment that the worker was told.
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
    pub fn parse(text: &str) -> Result<Self, String> {
        let pattern = regex::escape(text).replace(r"\*", ".*").replace(r"\?", ".");
        Regex::new(&format!("(?s)^{pattern}$")).map(Self).map_err(|_| "not a pattern: too long".to_owned())
    }

    fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl Filter {
    /// Whether the route is for the failure that this report's `data` tells.
    pub fn takes(&self, data: &Value) -> bool {
        let (info, analysis) = (&data["event_info"], &data["analysis"]);
        let machine = info["state_machine_arn"].as_str().map(base_state_machine).unwrap_or_default();
        let machine_name = state_machine_name(&machine).unwrap_or_default();
        let errors = [&analysis["error"], &analysis["root_cause"]["error"]]
            .map(|error| error.as_str().unwrap_or_default());
        let status = analysis["status"].as_str().unwrap_or_default();
        matches(&self.state_machines, &[&machine, machine_name])
            && matches(&self.errors, &errors)
            && matches(&self.envs, &[info["env"].as_str().unwrap_or_default()])
            && (self.status.is_empty() || self.status.iter().any(|one| one.as_str() == status))
    }
}

fn matches(patterns: &[Pattern], texts: &[&str]) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| texts.iter().any(|text| pattern.is_match(text)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
    }

    fn data() -> Value {
        json!({
            "event_info": {"state_machine_arn": "arn:aws:states:eu-west-1:1:stateMachine:orders-eu:live", "env": "prod"},
            "analysis": {"status": "FAILED", "error": "States.TaskFailed", "root_cause": {"error": "Payment.Declined"}},
        })
    }

    #[test]
    fn a_filter_without_anything_takes_everything() {
        assert!(Filter::default().takes(&data()) && Filter::default().takes(&Value::Null));
    }

    #[test]
    fn state_machines_match_by_arn_and_by_name_without_their_version() {
        let takes = |text| Filter { state_machines: patterns(&[text]), ..Filter::default() }.takes(&data());
        for text in ["orders-eu", "orders-??", "arn:aws:states:*:1:stateMachine:orders-eu", "*"] {
            assert!(takes(text), "{text}");
        }
        for text in ["orders", "orders-eu:live", "ORDERS-EU", "o.*", "arn:aws:states:*:2:*"] {
            assert!(!takes(text), "{text}");
        }
    }

    #[test]
    fn errors_match_the_executions_and_the_root_causes() {
        let takes = |texts: &[&str]| Filter { errors: patterns(texts), ..Filter::default() }.takes(&data());
        assert!(takes(&["States.*"]) && takes(&["Nothing", "Payment.*"]) && !takes(&["Payment"]));
    }

    #[test]
    fn each_that_is_given_has_to_match() {
        let filter =
            |status| Filter { status: vec![status], envs: patterns(&["prod*"]), ..Filter::default() };
        assert!(filter(Status::Failed).takes(&data()) && !filter(Status::Aborted).takes(&data()));
        let other = Filter { envs: patterns(&["dev"]), ..filter(Status::Failed) };
        assert!(!other.takes(&data()));
    }
}
