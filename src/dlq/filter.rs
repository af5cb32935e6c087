//! Which messages are meant.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo, Timestamp};
use regex_lite::Regex;

use super::DeadMessage;
use crate::aws::arn::base_state_machine;

/// What a message must be to be meant; everything, if nothing is asked for. Of a body that holds
/// several events, one of them is enough.
#[derive(Debug, Default)]
pub struct DeadLetterFilter {
    /// A state machine's ARN or name.
    pub state_machine: Option<String>,
    /// An execution's ARN or name.
    pub execution: Option<String>,
    /// `FAILED`, `TIMED_OUT` or `ABORTED`.
    pub status: Option<String>,
    /// Found in the reason or in the error.
    pub reason: Option<Regex>,
    /// First sent before that.
    pub before: Option<Timestamp>,
    /// First sent after that.
    pub after: Option<Timestamp>,
    /// One of these ids; any, if there are none.
    pub message_ids: Vec<String>,
}

impl DeadLetterFilter {
    /// Whether a message is meant.
    pub fn takes(&self, letter: &DeadMessage) -> bool {
        let of_any = |holds: &dyn Fn(&crate::event::StatusChange) -> bool| letter.changes.iter().any(holds);
        let is = |wanted: &Option<String>, holds: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(holds);
        is(&self.state_machine, &|wanted| {
            of_any(&|change| {
                change.execution.state_machine() == wanted
                    || base_state_machine(&change.state_machine_arn) == base_state_machine(wanted)
            })
        }) && is(&self.execution, &|wanted| {
            of_any(&|change| change.execution.as_str() == wanted || change.execution.name() == wanted)
        }) && is(&self.status, &|wanted| of_any(&|change| change.status.as_str() == wanted))
            && self.reason.as_ref().is_none_or(|reason| {
                reason.is_match(&letter.reason)
                    || letter.error.as_deref().is_some_and(|text| reason.is_match(text))
            })
            && self.before.is_none_or(|limit| letter.first_sent_at.is_some_and(|at| at < limit))
            && self.after.is_none_or(|limit| letter.first_sent_at.is_some_and(|at| at > limit))
            && (self.message_ids.is_empty() || self.message_ids.contains(&letter.message.id))
    }
}

/// A value of a filter that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It is not a regular expression.
    #[error(
        "{text:?} is not a regular expression: {error}; put a backslash before ( [ * + ? . | to mean the character itself"
    )]
    Expression {
        /// What was given.
        text: String,
        /// What is wrong with it.
        error: regex_lite::Error,
    },
    /// It is not a length of time.
    #[error("{0:?} is not a length of time: write 30m, 2h or 7d")]
    Time(String),
}

/// Reads a regular expression or plain text, case ignored.
///
/// # Errors
/// Says what is wrong with the expression.
pub fn reason(text: &str) -> Result<Regex, FilterError> {
    Regex::new(&format!("(?i){text}"))
        .map_err(|error| FilterError::Expression { text: text.to_owned(), error })
}

/// Reads how long ago something was: `90s`, `30m`, `2h`, `7d`, `1d 12h`.
///
/// # Errors
/// Says how it is written.
pub fn ago(text: &str, now: Timestamp) -> Result<Timestamp, FilterError> {
    let wrong = || FilterError::Time(text.to_owned());
    let span: Span = text.parse().map_err(|_| wrong())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    let length = Duration::try_from(length).map_err(|_| wrong())?;
    now.checked_sub(length).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::tests::letter;

    fn takes(filter: DeadLetterFilter) -> Vec<&'static str> {
        let letters = [
            (
                "a",
                letter(
                    "a",
                    "orders",
                    100,
                    &[("misstep.reason", "rejected"), ("misstep.error", "answered 422")],
                ),
            ),
            ("b", letter("b", "orders", 200, &[])),
            ("c", letter("c", "refunds", 300, &[("ERROR_CODE", "NO_PERMISSIONS")])),
        ];
        letters.iter().filter(|(_, letter)| filter.takes(letter)).map(|(id, _)| *id).collect()
    }

    #[test]
    fn each_filter_takes_what_it_says() {
        let some = |text: &str| Some(text.to_owned());
        let second = |second| Some(Timestamp::from_second(second).unwrap());
        let all = || DeadLetterFilter::default();
        assert_eq!(takes(all()), ["a", "b", "c"]);
        assert_eq!(takes(DeadLetterFilter { state_machine: some("orders"), ..all() }), ["a", "b"]);
        let arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:refunds:7";
        assert_eq!(takes(DeadLetterFilter { state_machine: some(arn), ..all() }), ["c"]);
        assert_eq!(takes(DeadLetterFilter { execution: some("run-b"), ..all() }), ["b"]);
        assert_eq!(takes(DeadLetterFilter { status: some("ABORTED"), ..all() }), [""; 0]);
        assert_eq!(takes(DeadLetterFilter { reason: Some(reason("answered 4..").unwrap()), ..all() }), ["a"]);
        assert_eq!(takes(DeadLetterFilter { reason: Some(reason("no_perm").unwrap()), ..all() }), ["c"]);
        assert_eq!(takes(DeadLetterFilter { before: second(200), ..all() }), ["a"]);
        assert_eq!(takes(DeadLetterFilter { after: second(200), ..all() }), ["c"]);
        assert_eq!(takes(DeadLetterFilter { message_ids: vec!["b".to_owned()], ..all() }), ["b"]);
    }

    #[test]
    fn lengths_of_time_are_read() {
        let now: Timestamp = "2026-03-08T12:00:00Z".parse().unwrap();
        let then = |text| ago(text, now).map(|at| at.to_string());
        assert_eq!(then("2h").unwrap(), "2026-03-08T10:00:00Z");
        assert_eq!(then("7d").unwrap(), "2026-03-01T12:00:00Z");
        assert_eq!(then("1d 12h").unwrap(), "2026-03-07T00:00:00Z");
        for wrong in ["", "soon", "-2h", "1"] {
            assert!(matches!(then(wrong), Err(FilterError::Time(_))), "{wrong}");
        }
        assert!(matches!(reason("("), Err(FilterError::Expression { .. })));
    }
}
