//! The report on one failure: made from its history, or from the event alone.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

use super::deliver::stays;
use super::{MessageAttempt, Pipeline};
use crate::aws::arn::{AccountRegion, Workflow};
use crate::breaker::Probe;
use crate::event::StatusChange;
use crate::failpoint::{Point, reach};
use crate::history::ReadError;
use crate::investigation::{ExecutionRequest, InvestigationError, investigate};
use crate::memory::ReportShare;
use crate::metrics::{DegradedBy, RetriedOperation, RetryReason};
use crate::outcome::{Outcome, UnreadHistory, Urgency};
use crate::report::{Redrive, Report, Subject};
use crate::retry::{Pauses, Policy};
use crate::telemetry::millis;

/// The pauses before a history that has not ended is read again.
const NOT_ENDED: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// The shortest delay of a release while Step Functions fails only in the message's account and
/// region: no history is read there before that.
const REGION_PAUSE: Duration = Duration::from_secs(60);

/// A message that waits in hand for a history that cannot be read yet.
struct Waiting {
    /// When its history was first asked for.
    since: Instant,
    /// Its probe of an open breaker.
    probing: Option<(Probe, Pauses)>,
    /// Its pauses while the breaker is closed.
    pauses: Option<Pauses>,
}

/// What can be done about a history that could not be read.
enum Next {
    ReadAgain,
    Degrade(DegradedBy, String),
    Return(Outcome),
}

impl Pipeline {
    /// Reads and analyses the failed execution. Returns the report, with its share of the memory budget if
    /// a history was read, or the outcome of a message that has to wait.
    pub(super) async fn report(
        &self,
        change: &StatusChange,
        attempt: MessageAttempt,
    ) -> Result<(Report, Option<ReportShare>), Outcome> {
        let subject = self.subject(change);
        let degraded = |by: DegradedBy, reason: String| {
            self.metrics.report(Some(by));
            warn!(
                reason,
                degraded = by.name(),
                "the history could not be read; reporting from the event alone"
            );
            Ok((Report::degraded(&subject, &reason), None))
        };
        if change.execution.workflow() == Workflow::Express {
            let reason = "executions of Express workflows keep no history that can be read".to_owned();
            return degraded(DegradedBy::Express, reason);
        }
        let asked = ExecutionRequest {
            execution: change.execution.clone(),
            status: Some(change.status),
            redrive_count: change.redrive_count,
        };
        let account_region = change.execution.account_region();
        let mut unfinished = NOT_ENDED.into_iter();
        let mut waiting = Waiting { since: Instant::now(), probing: None, pauses: None };
        loop {
            let memory = self.memory.report().await;
            let error = match investigate(&*self.reader, &asked, &memory).await {
                Ok(finding) => {
                    reach(Point::Analysed).await;
                    self.metrics.report(None);
                    return Ok((Report::new(&subject, &finding), Some(memory)));
                }
                Err(error) => error,
            };
            // The next step may wait for long, and other messages need the memory.
            drop(memory);
            let next = match error {
                InvestigationError::Read(error) => {
                    self.after_read_error(&error, &account_region, attempt, &mut waiting).await
                }
                InvestigationError::NotEnded { .. } => match unfinished.next() {
                    Some(pause) => {
                        self.metrics.retry(RetriedOperation::History, RetryReason::NotEnded);
                        debug!(pause_ms = millis(pause), "the history has not ended; reading it again");
                        tokio::time::sleep(pause).await;
                        Next::ReadAgain
                    }
                    None => Next::Degrade(DegradedBy::NotEnded, error.to_string()),
                },
            };
            match next {
                Next::ReadAgain => {}
                Next::Degrade(by, reason) => return degraded(by, reason),
                Next::Return(outcome) => return Err(outcome),
            }
        }
    }

    pub(super) fn subject(&self, change: &StatusChange) -> Subject {
        Subject {
            execution: Some(change.execution.clone()),
            state_machine_arn: Some(change.state_machine_arn.clone()),
            env: self.scope.env.clone(),
            application: self.scope.application.clone(),
            status: Some(change.status),
            error: change.error.clone(),
            cause: change.cause.clone(),
            input: change.input.clone(),
            started_at: change.started_at,
            ended_at: change.stopped_at,
            redriven: change.redrive_count,
            redrive: Redrive::of(change.redrive_status.as_deref(), change.redrive_status_reason.as_deref()),
        }
    }

    /// Decides what a read error means for the message, and waits if the message probes an open breaker.
    async fn after_read_error(
        &self,
        error: &ReadError,
        account_region: &AccountRegion,
        attempt: MessageAttempt,
        waiting: &mut Waiting,
    ) -> Next {
        let later = match UnreadHistory::from_error(error, self.urgency(account_region, attempt)) {
            UnreadHistory::Degrade(reason) => return Next::Degrade(DegradedBy::from(error), reason),
            UnreadHistory::Later(outcome) => outcome,
        };
        match self.step_functions.get(account_region).filter(|breaker| breaker.is_open()) {
            // The failures are too few to open the breaker. Released again and again, the message would
            // use up its receives before the service recovers.
            None if self.step_functions.may_be_out(account_region, waiting.since) => {
                let pauses = waiting.pauses.get_or_insert_with(|| Policy::PROBE.start().until(attempt.until));
                if pauses.wait(None).await { Next::ReadAgain } else { Next::Return(later) }
            }
            None => Next::Return(later),
            // Messages of other accounts and regions go on, so this one need not stay to probe.
            Some(_) if !self.step_functions.rests() => Next::Return(later.at_least(REGION_PAUSE)),
            Some(breaker) if stays(&breaker, attempt, &mut waiting.probing, None).await => Next::ReadAgain,
            Some(_) => Next::Return(later),
        }
    }

    /// Whether a history that cannot be read now may be read later.
    fn urgency(&self, account_region: &AccountRegion, attempt: MessageAttempt) -> Urgency {
        let breakers = &self.step_functions;
        if attempt.last {
            Urgency::LastReceive
        } else if breakers.is_open(account_region) && !breakers.is_proven(account_region) {
            Urgency::NeverWorked
        } else {
            Urgency::MayWait
        }
    }
}
