//! Failures that are put into an incident before their history is read: in a storm there are more failures than
//! histories may be read. `src/incidents/infer.rs` says when, and why nobody loses by it.

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use super::incident::{IncidentDelivery, LOOK_EVERY, NAME};
use super::{MessageAttempt, Pipeline};
use crate::analysis::cause::CauseKind;
use crate::aws::error::ErrorClass;
use crate::event::{FailureKey, StatusChange};
use crate::failpoint::{Point, reach};
use crate::history::Status;
use crate::incidents::store::{InferredFailure, StoreError};
use crate::incidents::{NewFailure, Verified};
use crate::investigation::{ExecutionRequest, InvestigationError, investigate};
use crate::notify::Grouping;
use crate::outcome::{Outcome, of_answers};
use crate::report::Report;
use crate::telemetry::chain;

/// How many inferred failures are looked at in one go.
const LOOKED_AT: usize = 200;

/// The pause before the next look where there was nothing to read.
const LOOK_WHILE_NONE: Duration = Duration::from_secs(10);

/// And while some cannot be read: a permission may be missing.
const LOOK_WHILE_UNREADABLE: Duration = Duration::from_secs(60);

/// How many of them are read at once.
const AT_ONCE: usize = 4;

impl IncidentDelivery {
    /// What the event of a failure looks like: the same for failures that are likely to be of one bug. `None` for
    /// timeouts and aborts, and where the event does not tell an error and why.
    pub(super) fn pre_key(&self, from_event: &Report, change: &StatusChange) -> Option<String> {
        let bug = from_event.bug.as_ref().filter(|_| change.status == Status::Failed)?;
        let cause = from_event.analysis.parsed_cause.as_ref()?;
        let is_bare = cause.kind == CauseKind::Text && change.error.as_deref() == Some("States.TaskFailed");
        if is_bare {
            return None;
        }
        // What is said by executions of another version may have another reason, and other routes may be concerned.
        let version = change.version_arn.as_deref().unwrap_or_default();
        let text = format!("{}\n{version}\n{}", bug.key, self.grouped.join("\n"));
        Some(Sha256::digest(text).iter().take(8).fold(String::new(), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        }))
    }
}

impl Pipeline {
    /// The pre-key of a failure.
    pub(super) fn pre_key(&self, delivery: &IncidentDelivery, change: &StatusChange) -> Option<String> {
        delivery.pre_key(&self.event_report(change), change)
    }

    fn event_report(&self, change: &StatusChange) -> Report {
        Report::degraded(&self.subject(change), "it was not read")
    }

    /// The outcome of a failure that was put into an incident unread. `None` where it is to be read.
    pub(super) async fn inferred(
        &self,
        delivery: &IncidentDelivery,
        change: &StatusChange,
        attempt: MessageAttempt,
    ) -> Option<Outcome> {
        // Only the input tells whom an update is to name.
        if change.input.is_none() && !delivery.input_keys.is_empty() {
            return None;
        }
        let from_event = self.event_report(change);
        let pre_key = delivery.pre_key(&from_event, change)?;
        let key = change.failure_key();
        let row = || delivery.failure(&from_event, change, Vec::new()).row;
        let recorded = delivery.incidents().infer(&pre_key, key.as_str(), row).await.ok()??;
        self.metrics.inferred();
        reach(Point::Recorded).await;
        let answer = self.alerted(delivery, &recorded, change, attempt).await.ok()?;
        Some(of_answers(vec![(NAME.into(), answer)]))
    }

    /// Reads the histories of inferred failures, as far as the quota has calls to spare, until `stop`.
    pub(super) async fn read_inferred(&self, delivery: &IncidentDelivery, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let found = delivery.incidents().inferred(LOOKED_AT).await.unwrap_or_else(|error| {
                debug!(error = chain(&error), "inferred failures cannot be listed");
                Vec::new()
            });
            let pause = if found.is_empty() { LOOK_WHILE_NONE } else { LOOK_EVERY };
            let reads = stream::iter(found).map(|inferred| self.verify_guarded(delivery, inferred));
            let all = reads.buffer_unordered(AT_ONCE).fold(true, |all, this| async move { all && this });
            // Whatever is cut off is done again.
            let all_readable = stop.run_until_cancelled(all).await.unwrap_or(true);
            let pause = if all_readable { pause } else { LOOK_WHILE_UNREADABLE };
            drop(tokio::time::timeout(pause, stop.cancelled()).await);
        }
    }

    /// Whether the history can be read, as far as that was tried.
    async fn verify_guarded(&self, delivery: &IncidentDelivery, inferred: InferredFailure) -> bool {
        match AssertUnwindSafe(self.verify(delivery, &inferred)).catch_unwind().await {
            Ok(Ok(is_readable)) => is_readable,
            Ok(Err(error)) => {
                debug!(error = chain(&error), "an inferred failure could not be put where it belongs");
                true
            }
            Err(_panic) => {
                self.metrics.panicked();
                error!(
                    failure = inferred.row.failure,
                    "reading an inferred failure panicked: a defect of misstep"
                );
                false
            }
        }
    }

    /// Reads the history of an inferred failure, if that keeps nobody waiting, and puts it where it belongs. `false`
    /// if the history cannot be read now.
    async fn verify(
        &self,
        delivery: &IncidentDelivery,
        inferred: &InferredFailure,
    ) -> Result<bool, StoreError> {
        let incidents = delivery.incidents();
        let Some(change) = change_of(inferred) else {
            incidents.store().settle_inferred(inferred, false).await?;
            return Ok(true);
        };
        if !self.reader.has_spare(&change.execution.account_region()) {
            return Ok(true);
        }
        let asked = ExecutionRequest {
            execution: change.execution.clone(),
            status: Some(change.status),
            redrive_count: change.redrive_count,
        };
        let memory = self.memory.report().await;
        let finding = match investigate(&*self.reader, &asked, &memory).await {
            Ok(finding) => finding,
            Err(InvestigationError::Read(error)) if error.class() == ErrorClass::Gone => {
                incidents.store().settle_inferred(inferred, false).await?;
                return Ok(true);
            }
            Err(error) => {
                debug!(error = chain(&error), "the history of an inferred failure cannot be read now");
                return Ok(false);
            }
        };
        let report = Report::new(&self.subject(&change), &finding);
        let actual = self.read_failure(delivery, &report, &change);
        if let Verified::Moved(recorded) = incidents.verify(inferred, &actual).await? {
            self.metrics.moved();
            info!(incident = %recorded.episode, execution.arn = %change.execution, "a failure that only looked like others was moved to its own incident");
        }
        Ok(true)
    }

    /// A failure whose history was read, for the routes that get incidents and that it concerns.
    fn read_failure(
        &self,
        delivery: &IncidentDelivery,
        report: &Report,
        change: &StatusChange,
    ) -> NewFailure {
        let optional = self.optional.iter().map(|route| route.route());
        let routes = self.required.iter().map(|(route, _)| route).chain(optional);
        let concerned = routes.filter(|route| route.grouping != Grouping::Each && route.filter.takes(report));
        let concerned = concerned.map(|route| route.name.to_string()).collect();
        delivery.failure(report, change, concerned)
    }
}

/// The event of an inferred failure, as far as its row tells.
fn change_of(inferred: &InferredFailure) -> Option<StatusChange> {
    let (execution, status, redrive_count) = FailureKey::parts(&inferred.row.failure)?;
    Some(StatusChange {
        state_machine_arn: execution.state_machine_arn(),
        version_arn: None,
        status,
        redrive_count: Some(redrive_count),
        error: None,
        cause: None,
        input: None,
        started_at: None,
        stopped_at: inferred.row.ended_at,
        redrive_status: None,
        redrive_status_reason: None,
        execution,
    })
}
