//! Whether the settings, permissions and endpoints would work, before anything is processed.
//!
//! Nothing is received, sent, deleted or changed. Permissions are tested on resources that do not exist:
//! AWS answers NotFound to a permitted caller, and AccessDenied to any other. Permissions that cannot be
//! tested in this way are reported as untested.

pub mod clock;
pub mod history;
pub mod queue;
pub mod routes;
pub mod store;
pub mod sweep;

use serde::Serialize;

use crate::aws::error::ErrorClass;

/// How one check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It would work.
    Ok,
    /// It would, but not as it is meant to, or it is not known.
    Warn,
    /// It would not.
    Fail,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    /// What was looked at.
    pub check: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; null where there is nothing to do.
    pub advice: Option<String>,
}

impl CheckResult {
    /// It would work.
    pub fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Ok, found: found.into(), advice: None }
    }

    /// It would, but not as it is meant to, or it is not known.
    pub fn warn(check: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, advice: Some(advice.into()), ..Self::ok(check, found) }
    }

    /// It would not.
    pub fn fail(check: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, advice: Some(advice.into()), ..Self::ok(check, found) }
    }
}

/// What to do where AWS gave no answer that means anything.
fn unanswered(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Credentials => "correct the AWS credentials: they are wrong, or have expired",
        _ => "check the region, the network and AWS_ENDPOINT_URL",
    }
}

/// Whether anything would not work.
pub fn any_fails(findings: &[CheckResult]) -> bool {
    findings.iter().any(|finding| finding.verdict == Verdict::Fail)
}

/// A line a check, and under it what to do.
pub fn text(findings: &[CheckResult]) -> String {
    let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for CheckResult { check, verdict, found, advice } in findings {
        // What a client says may have several lines.
        let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
        let sign = match verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        text.push_str(&format!("{sign}  {check:width$}  {found}\n"));
        if let Some(advice) = advice {
            text.push_str(&format!("      {:width$}  → {advice}\n", ""));
        }
    }
    text
}

/// The same as JSON: `{"ok": …, "checks": [{"check", "verdict", "found", "advice"}]}`.
pub fn json(findings: &[CheckResult]) -> String {
    let ok = !any_fails(findings);
    format!("{:#}\n", serde_json::json!({"ok": ok, "checks": findings}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_does_not_work_says_what_to_do() {
        let findings = [
            CheckResult::ok("region", "eu-west-1"),
            CheckResult::warn("visibility", "10 s", "set it to 120 s"),
            CheckResult::fail("queue", "AccessDenied", "allow it"),
        ];
        assert_eq!(
            text(&findings),
            "ok    region      eu-west-1\nwarn  visibility  10 s\n                  → set it to 120 s\nFAIL  queue       AccessDenied\n                  → allow it\n"
        );
        assert!(any_fails(&findings) && !any_fails(&findings[..2]));
        assert!(json(&findings).contains("\"verdict\": \"fail\""));
    }
}
