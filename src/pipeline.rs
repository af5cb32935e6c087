//! One message from its body to its outcome: parse, diagnose, record, deliver.
//!
//! Nothing here touches the queue. A future that is dropped half way (the lease was lost, the stop's
//! grace ended) may have notified an audience already; the receiver recognises a second notification
//! by its idempotency key.

mod announce;
mod deliver;
mod diagnose;
mod incident;
mod infer;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use lru::LruCache;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::aws::arn::{AccountRegion, base_state_machine, is_map_run_child};
use crate::breaker::regional::RegionalBreakers;
use crate::breaker::{Breaker, Breakers};
use crate::event::{self, FailureKey, StatusChange};
use crate::failpoint::{Point, reach};
use crate::history::throttled::ThrottledReader;
use crate::history::{ExecutionReader, Status};
use crate::incidents::{Incidents, NewFailure};
use crate::logs::{self, LogReader};
use crate::memory::{self, MemoryBudget};
use crate::metrics::{Metrics, Stage};
use crate::notify::{Grouping, Route, idempotency_key};
use crate::outcome::{Ignored, Outcome, of_answers};
use crate::redact::{Redactor, Rules};
use crate::report::Report;
use crate::telemetry::message::MessageSpan;
use deliver::{OptionalRoute, Redacted};
use incident::IncidentDelivery;

/// How many handled notifications are remembered, so that a message that comes back (its delete
/// failed, or another route could not be reached) does not notify the same people twice.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// What to do with events of a Distributed Map's children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapRunChildren {
    /// Acknowledge and count them: the parent's report covers them.
    Fold,
    /// Treat each like any other failure.
    Notify,
}

/// Which failures are handled, and how they are named.
#[derive(Debug, Clone)]
pub struct PipelineSettings {
    /// State machine ARNs without version and alias; empty for all.
    pub state_machines: Vec<String>,
    /// What to do with a Distributed Map's children.
    pub map_run_children: MapRunChildren,
    /// The environment named in notifications.
    pub env: String,
    /// The application named in notifications.
    pub application: Option<String>,
}

/// One attempt at a message: how long it may last, and what releasing the message would mean.
#[derive(Debug, Clone, Copy)]
pub struct MessageAttempt {
    /// No further attempt is made after this.
    pub until: Instant,
    /// If the message is released once more, the queue moves it to the dead-letter queue.
    pub last: bool,
    /// The message was received while a breaker was half-open, to find out whether it can close.
    pub half_open: bool,
}

/// What every message passes through.
pub struct Pipeline {
    reader: Arc<ThrottledReader>,
    step_functions: RegionalBreakers,
    /// Reads logs for routes that show them, with the redactor that always applies to log lines.
    logs: Option<(Arc<dyn LogReader>, Redactor)>,
    required: Vec<(Route, Arc<Breaker>)>,
    optional: Vec<OptionalRoute>,
    /// Deliveries on optional routes, which no message waits for.
    optional_tasks: TaskTracker,
    /// Where failures are recorded, if incidents are kept.
    incidents: Option<IncidentDelivery>,
    breakers: Breakers,
    scope: PipelineSettings,
    memory: MemoryBudget,
    handled: Mutex<LruCache<String, Handled>>,
    in_progress: Mutex<HashMap<FailureKey, Weak<AsyncMutex<()>>>>,
    metrics: Metrics,
}

/// A notification that a route still has to get.
struct PendingDelivery<'p> {
    route: &'p Route,
    kind: RouteKind<'p>,
    key: String,
}

/// Why a route gets no further notification of a failure.
#[derive(Clone, Copy, PartialEq)]
enum Handled {
    /// It accepted the notification, or it is optional and its delivery was started.
    Delivered,
    /// Its filter excludes the failure.
    Excluded,
}

/// Whether a message waits for a route.
enum RouteKind<'p> {
    /// The message is acknowledged only after this route accepted the notification.
    Required(&'p Arc<Breaker>),
    /// No message waits for it.
    Optional(&'p OptionalRoute),
}

impl PendingDelivery<'_> {
    fn is_required(&self) -> bool {
        matches!(self.kind, RouteKind::Required(_))
    }

    /// Whether its route gets incidents.
    fn is_grouped(&self) -> bool {
        self.route.grouping != Grouping::Each
    }
}

impl Pipeline {
    /// A pipeline that reads with `reader`, with at most `rate` GetExecutionHistory calls a second for
    /// each account and region, and notifies people through `routes`. `home` is the worker's own
    /// account and region.
    pub fn new(
        reader: Arc<dyn ExecutionReader>,
        rate: Option<f64>,
        routes: Vec<Route>,
        scope: PipelineSettings,
        home: Option<AccountRegion>,
        metrics: Metrics,
    ) -> Self {
        let mut breakers = Breakers::new(home, metrics.clone());
        let step_functions = breakers.step_functions().clone();
        let reader = ThrottledReader::new(reader, rate, metrics.clone()).watched_by(step_functions.clone());
        let (required, optional): (Vec<Route>, Vec<Route>) =
            routes.into_iter().partition(|route| route.required);
        let required = required.into_iter().map(|route| {
            let breaker = breakers.add(&route.name);
            (route, breaker)
        });
        Self {
            reader: Arc::new(reader),
            step_functions,
            logs: None,
            required: required.collect(),
            optional: optional.into_iter().map(OptionalRoute::new).collect(),
            optional_tasks: TaskTracker::new(),
            incidents: None,
            breakers,
            scope,
            memory: MemoryBudget::new(memory::DEFAULT),
            handled: Mutex::new(LruCache::new(REMEMBERED)),
            in_progress: Mutex::default(),
            metrics,
        }
    }

    /// Reads executions within this memory budget instead of the default one.
    #[must_use]
    pub fn within(self, memory: MemoryBudget) -> Self {
        Self { memory, ..self }
    }

    /// Reads logs with `reader`, for routes that show them.
    #[must_use]
    pub fn reading_logs(self, reader: Arc<dyn LogReader>) -> Self {
        Self { logs: Some((reader, Redactor::new(&Rules::default()))), ..self }
    }

    /// Records failures in `incidents`; what it keeps of them is redacted by `rules`.
    #[must_use]
    pub fn keeping(self, incidents: Incidents, rules: &Rules) -> Self {
        let optional = self.optional.iter().map(OptionalRoute::route);
        let routes = self.required.iter().map(|(route, _)| route).chain(optional);
        let incidents = IncidentDelivery::new(incidents, rules, routes);
        Self { incidents: Some(incidents), ..self }
    }

    /// Its reader, which keeps to the quotas of Step Functions.
    pub fn reader(&self) -> Arc<dyn ExecutionReader> {
        self.reader.clone()
    }

    /// Its memory budget.
    pub fn memory(&self) -> &MemoryBudget {
        &self.memory
    }

    /// Its metrics, which the worker shares.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How long calls to Step Functions have waited for their turn, all together.
    pub fn waited(&self) -> Duration {
        self.reader.waited()
    }

    /// The breakers that limit the intake.
    pub fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// Waits until every delivery on an optional route has ended. No more may begin.
    pub async fn drain_optional(&self) {
        self.optional_tasks.close();
        self.optional_tasks.wait().await;
    }

    /// How many deliveries on optional routes are still under way.
    pub fn optional_in_flight(&self) -> usize {
        self.optional_tasks.len()
    }

    /// Takes the body of one message through the pipeline.
    pub async fn process_message(&self, body: &str, attempt: MessageAttempt) -> Outcome {
        // A batch may hold both: the events that were understood are delivered before the rest is dead-lettered.
        let (changes, fault) = event::parse_some(body);
        reach(Point::Parsed).await;
        let mut outcome = fault.map(Outcome::from);
        for change in &changes {
            MessageSpan::names(change.execution.as_str());
            let this = self.process_failure(change, attempt).await;
            outcome = Some(match outcome {
                Some(outcome) => outcome.and(this),
                None => this,
            });
        }
        outcome.expect("a body holds an event or a fault")
    }

    async fn process_failure(&self, change: &StatusChange, attempt: MessageAttempt) -> Outcome {
        if let Some(ignored) = self.ignored(change) {
            return Outcome::Ignore(ignored);
        }
        // EventBridge and SQS may both deliver a failure twice at the same moment.
        let lock = self.single_flight(change.failure_key());
        let _one_at_a_time = lock.lock().await;
        let pending = self.pending(change);
        let unrecorded = self.incidents.as_ref().filter(|_| !self.is_recorded(change));
        if pending.is_empty() && unrecorded.is_none() {
            return self.already_delivered(change);
        }
        if let Some(delivery) = unrecorded.filter(|_| pending.iter().all(PendingDelivery::is_grouped))
            && let Some(outcome) = self.known_incident(delivery, change, attempt).await
        {
            return outcome;
        }
        if let Some(delivery) = unrecorded.filter(|_| pending.iter().all(PendingDelivery::is_grouped))
            && let Some(outcome) = self.inferred(delivery, change, attempt).await
        {
            return outcome;
        }
        let of_parent = match unrecorded {
            Some(delivery) => self.bug_of_parent(delivery, change).await,
            None => None,
        };
        let (mut report, memory) =
            match self.metrics.timed(Stage::Analyse, self.report(change, attempt)).await {
                Ok(reported) => reported,
                Err(later) => return later,
            };
        report.bug = of_parent.or(report.bug);
        let (due, excluded): (Vec<PendingDelivery<'_>>, _) =
            pending.into_iter().partition(|pending| pending.route.filter.takes(&report));
        // With the history, a filter may pass a failure that it excludes on the event alone.
        if report.analysis.degraded.is_none() {
            for PendingDelivery { key, .. } in excluded {
                self.handled().put(key, Handled::Excluded);
            }
        }
        if due.is_empty() && unrecorded.is_none() {
            return self.already_delivered(change);
        }
        let (grouped, due): (Vec<_>, Vec<_>) = due.into_iter().partition(PendingDelivery::is_grouped);
        let has_required = grouped.iter().chain(&due).any(PendingDelivery::is_required);
        let is_unrouted = grouped.is_empty() && due.is_empty();
        let grouped: Vec<String> = grouped.iter().map(|pending| pending.route.name.to_string()).collect();
        let new_failure = unrecorded.map(|delivery| {
            let pre_key = self.pre_key(delivery, change).filter(|_| report.analysis.degraded.is_none());
            (delivery, NewFailure { pre_key, ..delivery.failure(&report, change, grouped) })
        });
        let with_logs = self.with_logs(&report, &due).await;
        let (to_show_logs, plain): (Vec<&Route>, Vec<&Route>) =
            due.iter().map(|due| due.route).partition(|route| route.logs && with_logs.is_some());
        let mut with_logs = with_logs.map(|report| Redacted::new(report, &to_show_logs));
        let mut redacted = Redacted::new(report, &plain);
        let mut answers = Vec::new();
        for PendingDelivery { route, kind, key } in due {
            let report = with_logs.as_mut().filter(|_| route.logs).unwrap_or(&mut redacted);
            let composed = route.compose(report.of(route), &key);
            match kind {
                RouteKind::Optional(optional) => {
                    optional.deliver(composed, &self.optional_tasks, &self.metrics);
                    self.handled().put(key, Handled::Delivered);
                }
                RouteKind::Required(breaker) => answers.push(async move {
                    (route.name.clone(), self.deliver(route, breaker, composed, attempt).await)
                }),
            }
        }
        // The rest are requests, which have limits of their own.
        drop((redacted, with_logs, memory));
        let recording = async {
            let Some((delivery, failure)) = &new_failure else { return Vec::new() };
            self.record_in_incident(delivery, failure, change, attempt).await
        };
        let both = async { tokio::join!(join_all(answers), recording) };
        let (mut answers, recorded) = self.metrics.timed(Stage::Notify, both).await;
        answers.extend(recorded);
        let outcome = of_answers(answers);
        if let (Outcome::Done, true) = (&outcome, is_unrouted) {
            return Outcome::Ignore(Ignored::Unrouted);
        }
        if let (Outcome::Done, Some(stopped_at), true) = (&outcome, change.stopped_at, has_required) {
            self.metrics.failure_to_notification(stopped_at);
        }
        outcome
    }

    /// The report with the last lines of the log of what failed, where a route shows them.
    async fn with_logs(&self, report: &Report, due: &[PendingDelivery<'_>]) -> Option<Report> {
        let (reader, redactor) = self.logs.as_ref().filter(|_| due.iter().any(|due| due.route.logs))?;
        let mut lines = logs::of(&**reader, &report.analysis.resources).await;
        redactor.redact(&mut lines);
        let mut report = report.clone();
        report.analysis.logs = Some(lines);
        Some(report)
    }

    /// The outcome of a failure for which every route was handled before.
    fn already_delivered(&self, change: &StatusChange) -> Outcome {
        let handled = self.handled();
        let mut keys = self.routes(change).map(|pending| pending.key);
        if keys.all(|key| handled.peek(&key) != Some(&Handled::Delivered)) {
            return Outcome::Ignore(Ignored::Unrouted);
        }
        drop(handled);
        self.metrics.duplicate();
        info!("every route was notified of this failure before; nothing is sent again");
        Outcome::Done
    }

    fn ignored(&self, change: &StatusChange) -> Option<Ignored> {
        let listed = &self.scope.state_machines;
        match change.status {
            Status::Running => Some(Ignored::Running),
            Status::Succeeded => Some(Ignored::Succeeded),
            Status::Failed | Status::TimedOut | Status::Aborted => {
                if !listed.is_empty() && !listed.contains(&base_state_machine(&change.state_machine_arn)) {
                    Some(Ignored::Unlisted)
                } else if self.scope.map_run_children == MapRunChildren::Fold
                    // AWS does not document which ARN of a child's event has the Map's label.
                    && (is_map_run_child(&change.state_machine_arn) || change.execution.is_map_run_child())
                {
                    Some(Ignored::FoldedChild)
                } else {
                    None
                }
            }
        }
    }

    /// The lock that is held while this failure is being processed.
    fn single_flight(&self, failure: FailureKey) -> Arc<AsyncMutex<()>> {
        let mut in_progress = self.in_progress.lock().unwrap_or_else(PoisonError::into_inner);
        in_progress.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = in_progress.get(&failure).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        in_progress.insert(failure, Arc::downgrade(&lock));
        lock
    }

    /// The routes that still have to be notified of this failure.
    fn pending(&self, change: &StatusChange) -> Vec<PendingDelivery<'_>> {
        let mut handled = self.handled();
        self.routes(change).filter(|pending| handled.get(&pending.key).is_none()).collect()
    }

    /// All routes, each with its key for this failure.
    fn routes(&self, change: &StatusChange) -> impl Iterator<Item = PendingDelivery<'_>> {
        let failure = change.failure_key();
        let required = self.required.iter().map(|(route, breaker)| (route, RouteKind::Required(breaker)));
        let optional = self.optional.iter().map(|route| (route.route(), RouteKind::Optional(route)));
        required.chain(optional).map(move |(route, kind)| PendingDelivery {
            route,
            kind,
            key: idempotency_key(&failure, &route.audience, &route.name),
        })
    }

    fn handled(&self) -> MutexGuard<'_, LruCache<String, Handled>> {
        self.handled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
