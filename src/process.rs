//! One message from its body to its outcome: parse, read, analyse, tell.
//!
//! Nothing here touches the queue. A future that is dropped half way (the lease was lost, the stop's
//! grace ended) may have told an audience already; the idempotency key lets the other side know a
//! second notification of the same failure.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use lru::LruCache;
use serde_json::{Value, json};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::arn::{Workflow, base_state_machine, is_map_run_child};
use crate::breaker::{Breaker, Breakers, Probe};
use crate::config::MapRunChildren;
use crate::event::{self, FailureKey, StatusChange};
use crate::failpoint::{Point, reach};
use crate::history::patient::PatientReader;
use crate::history::{ExecutionReader, Status};
use crate::investigation::{Asked, InvestigationError, investigate};
use crate::metrics::{Cause, Metrics, Retried, Stage, Told};
use crate::notify::{Notification, NotifyError, Route, fit::fit, idempotency_key};
use crate::outcome::{Ignored, Outcome, Unread, of_answers};
use crate::report::{Report, Subject};
use crate::retry::{Pauses, Policy};
use crate::telemetry::message::MessageSpan;

/// The pauses before a history that has not ended is read again.
const NOT_ENDED: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// How many answered notifications are remembered, so that a message which comes back (its delete
/// failed, or another audience could not be told) does not tell the same people twice.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// Which failures are handled, and how they are named.
#[derive(Debug, Clone)]
pub struct Scope {
    /// State machine ARNs without version and alias; empty for all.
    pub state_machines: Vec<String>,
    /// What to do with a Distributed Map's children.
    pub map_run_children: MapRunChildren,
    /// The environment named in notifications.
    pub env: String,
    /// The application named in notifications.
    pub application: Option<String>,
}

/// How a message came to be in hand.
#[derive(Debug, Clone, Copy)]
pub struct Receipt {
    /// No further attempt is made after this.
    pub until: Instant,
    /// Given back once more, the queue moves it to the dead-letter queue.
    pub last: bool,
    /// It was taken in to try whether what was broken works again.
    pub trial: bool,
}

/// Where messages are worked on.
pub struct Desk {
    reader: PatientReader,
    history: Arc<Breaker>,
    routes: Vec<(Route, Arc<Breaker>)>,
    breakers: Breakers,
    scope: Scope,
    answered: Mutex<LruCache<String, ()>>,
    under_way: Mutex<HashMap<FailureKey, Weak<AsyncMutex<()>>>>,
    metrics: Metrics,
}

impl Desk {
    /// A desk that reads with `reader`, with at most `rate` GetExecutionHistory calls a second, and
    /// tells people through `routes`.
    pub fn new(
        reader: Arc<dyn ExecutionReader>,
        rate: Option<f64>,
        routes: Vec<Route>,
        scope: Scope,
    ) -> Self {
        let mut breakers = Breakers::default();
        let history = breakers.add("step-functions");
        let reader = PatientReader::new(reader, rate).watched_by(history.clone());
        let routes = routes
            .into_iter()
            .map(|route| {
                let breaker = breakers.add(route.audience.name());
                (route, breaker)
            })
            .collect();
        let answered = Mutex::new(LruCache::new(REMEMBERED));
        let metrics = Metrics::new();
        Self { reader, history, routes, breakers, scope, answered, under_way: Mutex::default(), metrics }
    }

    /// Counts and measures there, as does the worker whose desk it is.
    #[must_use]
    pub fn measured_by(self, metrics: Metrics) -> Self {
        self.breakers.measured_by(&metrics);
        Self { reader: self.reader.measured_by(metrics.clone()), metrics, ..self }
    }

    /// Where it counts and measures.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How long calls to Step Functions have waited for their turn, all together.
    pub fn waited(&self) -> Duration {
        self.reader.waited()
    }

    /// What the intake must heed.
    pub fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// Works on the body of one message.
    pub async fn handle(&self, body: &str, receipt: Receipt) -> Outcome {
        // A batch may hold both: what was understood is told before the rest is dead-lettered.
        let (changes, fault) = event::parse_some(body);
        reach(Point::Parsed).await;
        let mut outcome = fault.map(Outcome::from);
        for change in &changes {
            MessageSpan::names(&change.execution);
            let this = self.handle_change(change, receipt).await;
            outcome = Some(match outcome {
                Some(outcome) => outcome.and(this),
                None => this,
            });
        }
        outcome.expect("a body holds an event or a fault")
    }

    async fn handle_change(&self, change: &StatusChange, receipt: Receipt) -> Outcome {
        if let Some(ignored) = self.ignored(change) {
            return Outcome::Ignore(ignored);
        }
        // EventBridge and SQS may both deliver a failure twice at the same moment.
        let turn = self.turn(change.failure_key());
        let _one_at_a_time = turn.lock().await;
        let untold = self.untold(change);
        if untold.is_empty() {
            self.metrics.duplicate();
            info!("everybody was told of this failure before; nothing is sent again");
            return Outcome::Done;
        }
        let report = match self.metrics.timed(Stage::Analyse, self.report(change, receipt)).await {
            Ok(report) => report,
            Err(later) => return later,
        };
        let data = serde_json::to_value(&report).expect("a report has only text keys");
        let answers = untold.into_iter().map(|((route, breaker), idempotency_key)| {
            let notification = Notification { idempotency_key, body: request_body(route, &data) };
            async move { (route.audience, self.tell(route, breaker, &notification, receipt).await) }
        });
        let outcome = of_answers(self.metrics.timed(Stage::Notify, join_all(answers)).await);
        if let (Outcome::Done, Some(stopped_at)) = (&outcome, change.stopped_at) {
            self.metrics.failure_to_notification(stopped_at);
        }
        outcome
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
                    && is_map_run_child(&change.state_machine_arn)
                {
                    Some(Ignored::FoldedChild)
                } else {
                    None
                }
            }
        }
    }

    /// The lock that everybody holds who works on this failure.
    fn turn(&self, failure: FailureKey) -> Arc<AsyncMutex<()>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = under_way.get(&failure).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        under_way.insert(failure, Arc::downgrade(&turn));
        turn
    }

    /// The routes whose audience has not answered yet, with the keys of their notifications.
    fn untold(&self, change: &StatusChange) -> Vec<(&(Route, Arc<Breaker>), String)> {
        let failure = change.failure_key();
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        self.routes
            .iter()
            .map(|route| (route, idempotency_key(&failure, route.0.audience)))
            .filter(|(_, key)| answered.get(key).is_none())
            .collect()
    }

    /// Reads and analyses the failed execution, or says why the message has to wait.
    async fn report(&self, change: &StatusChange, receipt: Receipt) -> Result<Report, Outcome> {
        let subject = Subject {
            execution: Some(change.execution.clone()),
            state_machine_arn: Some(change.state_machine_arn.clone()),
            env: self.scope.env.clone(),
            application: self.scope.application.clone(),
            status: Some(change.status),
            error: change.error.clone(),
            cause: change.cause.clone(),
            input: change.input.clone(),
        };
        let degraded = |reason: String| {
            warn!(reason, "the history could not be read; telling from the event alone");
            Ok(Report::degraded(&subject, &reason))
        };
        if change.execution.workflow() == Workflow::Express {
            return degraded("executions of Express workflows keep no history that can be read".to_owned());
        }
        let asked = Asked {
            execution: change.execution.clone(),
            status: Some(change.status),
            redrive_count: change.redrive_count,
        };
        let mut unfinished = NOT_ENDED.into_iter();
        let mut probing = None;
        loop {
            match investigate(&self.reader, &asked).await {
                Ok(finding) => {
                    reach(Point::Analysed).await;
                    return Ok(Report::new(&subject, &finding));
                }
                Err(InvestigationError::Read(error)) => match Unread::from_error(&error, receipt.last) {
                    Unread::Degrade(reason) => return degraded(reason),
                    Unread::Later(outcome) => {
                        if !stays(&self.history, receipt, &mut probing, None).await {
                            return Err(outcome);
                        }
                    }
                },
                Err(not_ended @ InvestigationError::NotEnded { .. }) => match unfinished.next() {
                    Some(pause) => {
                        self.metrics.retry(Retried::History, Cause::NotEnded);
                        debug!(pause_ms = pause.as_millis(), "the history has not ended; reading it again");
                        tokio::time::sleep(pause).await;
                    }
                    None => return degraded(not_ended.to_string()),
                },
            }
        }
    }

    /// Sends one notification until it is answered, refused or given up.
    async fn tell(
        &self,
        route: &Route,
        breaker: &Arc<Breaker>,
        notification: &Notification,
        receipt: Receipt,
    ) -> Result<(), NotifyError> {
        let mut pauses = Policy::IN_HAND.start().until(receipt.until);
        let mut probing = None;
        let mut attempt = 0_u32;
        loop {
            reach(Point::NotificationSending(route.audience)).await;
            let answer = route.notifier.notify(notification).await;
            self.metrics.notification(route.audience.name(), Told::of(&answer));
            let error = match answer {
                Ok(()) => {
                    reach(Point::NotificationAnswered(route.audience)).await;
                    breaker.passed();
                    let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
                    answered.put(notification.idempotency_key.clone(), ());
                    return Ok(());
                }
                Err(error) => error,
            };
            attempt += 1;
            if attempt == 1 {
                warn!(audience = route.audience.name(), %error, "a notification was not taken; trying again");
            } else {
                debug!(audience = route.audience.name(), attempt, %error, "a notification was not taken");
            }
            let retry_after = match &error {
                NotifyError::Rejected { .. } => {
                    // It was read and judged: the route works.
                    breaker.passed();
                    return Err(error);
                }
                NotifyError::Transient { retry_after, .. } => {
                    breaker.failed(false, &error);
                    *retry_after
                }
                NotifyError::Misconfigured { .. } => {
                    breaker.failed(true, &error);
                    None
                }
            };
            let again = stays(breaker, receipt, &mut probing, retry_after).await
                || (!breaker.is_open() && pauses.wait(retry_after).await);
            if !again {
                return Err(error);
            }
            self.metrics.retry(Retried::Notify, Cause::of_notification(&error));
        }
    }
}

/// Whether a message that met an open breaker stays in hand to probe it; waits before it does so
/// again. `false`, at once, when the breaker is closed or the message is to be given back.
async fn stays(
    breaker: &Arc<Breaker>,
    receipt: Receipt,
    probing: &mut Option<(Probe, Pauses)>,
    retry_after: Option<Duration>,
) -> bool {
    if !breaker.is_open() {
        *probing = None;
        return false;
    }
    if probing.is_none() {
        *probing = breaker
            .probe(receipt.last || receipt.trial)
            .map(|probe| (probe, Policy::PROBE.start().until(receipt.until)));
    }
    match probing {
        Some((_, pauses)) => pauses.wait(retry_after).await,
        None => false,
    }
}

/// The body of a notification, cut to what its route takes.
fn request_body(route: &Route, data: &Value) -> Vec<u8> {
    let body = |data: &Value| {
        json!({"emailType": route.audience.email_type(), "group_email": route.address, "data": data})
            .to_string()
    };
    let mut data = data.clone();
    fit(&mut data, route.max_bytes, |data| body(data).len());
    body(&data).into_bytes()
}
