//! Failures that are put into an incident before their history is read: in a storm there are more failures than
//! histories may be read. `src/incidents/infer.rs` says when, and why nobody loses by it.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::incident::{IncidentDelivery, LOOK_EVERY, NAME};
use super::{MessageAttempt, Pipeline};
use crate::analysis::cause::CauseKind;
use crate::event::{FailureKey, StatusChange};
use crate::failpoint::{Point, reach};
use crate::history::Status;
use crate::incidents::store::{InferredFailure, StoreError};
use crate::incidents::{NewFailure, Verified};
use crate::notify::Grouping;
use crate::outcome::{Outcome, of_answers};
use crate::report::Report;
use crate::telemetry::chain;

/// How many inferred failures are looked at in one go.
const LOOKED_AT: usize = 200;

/// How often it is looked for some, while there are none.
const LOOK_WHILE_NONE: Duration = Duration::from_secs(10);

/// How many of them are read at once.
const AT_ONCE: usize = 4;

/// How long one of them may be tried to be read.
const LONGEST_READ: Duration = Duration::from_secs(60);

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
        let row = delivery.failure(&from_event, change, Vec::new()).row;
        let recorded = delivery.incidents().infer(&pre_key, &row).await.ok()??;
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
            let reads = stream::iter(found).map(|inferred| async move {
                if let Err(error) = self.verify(delivery, &inferred).await {
                    debug!(error = chain(&error), "an inferred failure could not be put where it belongs");
                }
            });
            let all = reads.buffer_unordered(AT_ONCE).for_each(|()| async {});
            // Whatever is cut off is done again.
            stop.run_until_cancelled(all).await;
            drop(tokio::time::timeout(pause, stop.cancelled()).await);
        }
    }

    /// Reads the history of an inferred failure, if that keeps nobody waiting, and puts it where it belongs.
    async fn verify(
        &self,
        delivery: &IncidentDelivery,
        inferred: &InferredFailure,
    ) -> Result<(), StoreError> {
        let Some(change) = change_of(inferred) else {
            return delivery.incidents().store().settle_inferred(inferred, false).await;
        };
        if !self.reader.has_spare(&change.execution.account_region()) {
            return Ok(());
        }
        let until = Instant::now() + LONGEST_READ;
        let attempt = MessageAttempt { until, last: false, half_open: false };
        let Ok((report, _memory)) = self.report(&change, attempt).await else { return Ok(()) };
        if report.analysis.degraded.is_some() && inferred.episode.is_some() {
            // It cannot be read any more.
            return delivery.incidents().store().settle_inferred(inferred, false).await;
        }
        let actual = self.read_failure(delivery, &report, &change);
        if let Verified::Moved(recorded) = delivery.incidents().verify(inferred, &actual).await? {
            self.metrics.moved();
            info!(incident = %recorded.episode, execution.arn = %change.execution, "a failure that only looked like others was moved to its own incident");
        }
        Ok(())
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
