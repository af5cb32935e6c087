//! What happens to a message: the only place where an error becomes an outcome.
//!
//! | result of the work | outcome |
//! |---|---|
//! | every required route accepted its notification, or the alert of its incident | [`Outcome::Done`]: deleted |
//! | the event is not a failure, or not one to handle | [`Outcome::Ignore`]: deleted and counted |
//! | a retry may succeed | [`Outcome::Retry`]: released with a delay |
//! | a retry can never succeed | [`Outcome::DeadLetter`]: sent to the dead-letter queue, then deleted |

use std::sync::Arc;
use std::time::Duration;

use crate::event::NotUnderstood;
use crate::history::ReadError;
use crate::notify::NotifyError;
use crate::queue::dead_letter::DeadLetterReason;
use crate::telemetry::chain;

/// What to do with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Delete it: every audience was notified.
    Done,
    /// Delete it: nobody needs a notification.
    Ignore(Ignored),
    /// Release it.
    Retry {
        /// Where it stopped: `history` or `notify`.
        stage: &'static str,
        /// The error.
        error: String,
        /// It stays invisible for at least this long.
        at_least: Duration,
    },
    /// Send it to the dead-letter queue.
    DeadLetter(DeadLetterReason),
}

/// Why nobody needs a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// The execution has not ended.
    Running,
    /// It succeeded.
    Succeeded,
    /// Its state machine is not among those to handle.
    Unlisted,
    /// It is a child of a Map run, and its parent's report covers it.
    FoldedChild,
    /// Every route's filter excludes it.
    Unrouted,
}

impl Ignored {
    /// For logs and counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Unlisted => "unlisted",
            Self::FoldedChild => "folded-child",
            Self::Unrouted => "unrouted",
        }
    }
}

impl Outcome {
    /// For logs and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done => "notified",
            Self::Ignore(kind) => kind.name(),
            Self::Retry { .. } => "released",
            Self::DeadLetter(_) => "dead-lettered",
        }
    }

    /// A released message stays invisible for at least `pause`; other outcomes do not change.
    #[must_use]
    pub fn at_least(self, pause: Duration) -> Self {
        match self {
            Self::Retry { stage, error, at_least } => {
                Self::Retry { stage, error, at_least: at_least.max(pause) }
            }
            settled => settled,
        }
    }

    /// The more severe of two outcomes of one message with two events: a retry comes first, because
    /// finished work is not repeated; then a dead letter.
    pub fn and(self, other: Self) -> Self {
        let gravity = |outcome: &Self| match outcome {
            Self::Ignore(_) => 0,
            Self::Done => 1,
            Self::DeadLetter(_) => 2,
            Self::Retry { .. } => 3,
        };
        if gravity(&other) > gravity(&self) { other } else { self }
    }
}

impl From<NotUnderstood> for Outcome {
    fn from(error: NotUnderstood) -> Self {
        Self::DeadLetter(DeadLetterReason {
            stage: "parse",
            reason: "not-understood",
            error: error.to_string(),
        })
    }
}

/// What to do if a history cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnreadHistory {
    /// Report from the event alone, with this reason.
    Degrade(String),
    /// The message waits.
    Later(Outcome),
}

/// Whether a failure can wait for its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// It can.
    MayWait,
    /// The queue moves the message to the dead-letter queue when it is released once more.
    LastReceive,
    /// Step Functions has never answered for its account and region, and keeps failing there.
    NeverWorked,
}

impl UnreadHistory {
    /// Decides what a read error means. If waiting does not help, a report from the event alone is better
    /// than no report.
    pub fn from_error(error: &ReadError, urgency: Urgency) -> Self {
        let text = chain(error);
        if !error.class().is_passing() {
            return Self::Degrade(text);
        }
        match urgency {
            Urgency::MayWait => {
                Self::Later(Outcome::Retry { stage: "history", error: text, at_least: Duration::ZERO })
            }
            Urgency::LastReceive => Self::Degrade(format!(
                "{text}; reported now since this is the last attempt before the dead-letter queue"
            )),
            Urgency::NeverWorked => Self::Degrade(format!(
                "{text}; reported now since Step Functions has never answered for this account and region"
            )),
        }
    }
}

/// Combines the results of all required routes for one failure. A message with a rejected notification
/// still waits until every other route was notified.
pub fn of_answers(answers: Vec<(Arc<str>, Result<(), NotifyError>)>) -> Outcome {
    answers.into_iter().fold(Outcome::Done, |outcome, (route, answer)| {
        let tell = |what: String| format!("{route}: {what}");
        outcome.and(match answer {
            Ok(()) => Outcome::Done,
            Err(NotifyError::Rejected { what }) => Outcome::DeadLetter(DeadLetterReason {
                stage: "notify",
                reason: "rejected",
                error: tell(what),
            }),
            Err(error @ (NotifyError::Transient { .. } | NotifyError::Misconfigured { .. })) => {
                Outcome::Retry { stage: "notify", error: tell(error.to_string()), at_least: Duration::ZERO }
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::error::ErrorClass;
    use crate::history::Call;
    use crate::metrics::Metrics;

    fn read_error(class: ErrorClass) -> ReadError {
        ReadError::new(class, Call { operation: "GetExecutionHistory", target: "arn".to_owned() }, "why")
    }

    #[test]
    fn an_unreadable_history_degrades_and_an_unreachable_one_waits_until_the_last_receive() {
        for class in [
            ErrorClass::Gone,
            ErrorClass::Denied,
            ErrorClass::Kms,
            ErrorClass::Unsupported,
            ErrorClass::Unparsable,
            ErrorClass::TooLarge,
        ] {
            assert!(matches!(
                UnreadHistory::from_error(&read_error(class), Urgency::MayWait),
                UnreadHistory::Degrade(_)
            ));
        }
        for class in [ErrorClass::Throttled, ErrorClass::Unreachable, ErrorClass::Credentials] {
            assert!(matches!(
                UnreadHistory::from_error(&read_error(class), Urgency::MayWait),
                UnreadHistory::Later(_)
            ));
            for urgency in [Urgency::LastReceive, Urgency::NeverWorked] {
                assert!(matches!(
                    UnreadHistory::from_error(&read_error(class), urgency),
                    UnreadHistory::Degrade(_)
                ));
            }
        }
    }

    #[test]
    fn every_outcome_is_counted_by_its_name() {
        let ignored = [
            Ignored::Running,
            Ignored::Succeeded,
            Ignored::Unlisted,
            Ignored::FoldedChild,
            Ignored::Unrouted,
        ];
        let retry = Outcome::Retry { stage: "notify", error: String::new(), at_least: Duration::ZERO };
        let dead = Outcome::from(NotUnderstood::Shape("odd".to_owned()));
        let metrics = Metrics::new();
        for outcome in ignored.map(Outcome::Ignore).into_iter().chain([Outcome::Done, retry, dead]) {
            metrics.message(outcome.name(), Duration::ZERO);
            assert!(metrics.messages().to_string().contains(outcome.name()), "{outcome:?}");
        }
        assert!(!metrics.messages().to_string().contains("other"));
    }

    #[test]
    fn of_two_outcomes_the_graver_one_counts() {
        let retry = || Outcome::Retry { stage: "notify", error: "503".to_owned(), at_least: Duration::ZERO };
        let dead = || Outcome::from(NotUnderstood::Shape("odd".to_owned()));
        assert_eq!(Outcome::Ignore(Ignored::Running).and(Outcome::Done), Outcome::Done);
        assert_eq!(Outcome::Done.and(dead()), dead());
        assert_eq!(retry().and(dead()), retry());
    }

    #[test]
    fn a_refused_notification_waits_for_the_other_audience() {
        let rejected = || Err(NotifyError::Rejected { what: "422".to_owned() });
        let busy = || Err(NotifyError::Transient { what: "503".to_owned(), retry_after: None });
        let outcome = |developers, assist| {
            of_answers(vec![("developers".into(), developers), ("customer-assist".into(), assist)])
        };
        assert_eq!(outcome(Ok(()), Ok(())), Outcome::Done);
        assert!(matches!(outcome(rejected(), Ok(())), Outcome::DeadLetter(_)));
        assert!(matches!(outcome(rejected(), busy()), Outcome::Retry { .. }));
        assert!(matches!(outcome(Ok(()), busy()), Outcome::Retry { .. }));
    }
}
