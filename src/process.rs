//! One message from its body to its outcome: parse, read, analyse, tell.
//!
//! Nothing here touches the queue. A future that is dropped half way (the lease was lost, the stop's
//! grace ended) may have told an audience already; the idempotency key lets the other side know a
//! second notification of the same failure.

mod diagnosis;
mod telling;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use lru::LruCache;
use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::analysis::resources::Resource;
use crate::arn::{AccountRegion, base_state_machine, is_map_run_child};
use crate::breaker::regional::RegionalBreakers;
use crate::breaker::{Breaker, Breakers};
use crate::config::MapRunChildren;
use crate::event::{self, FailureKey, StatusChange};
use crate::failpoint::{Point, reach};
use crate::history::throttled::ThrottledReader;
use crate::history::{ExecutionReader, Status};
use crate::logs::{self, LogReader};
use crate::memory::{self, MemoryBudget};
use crate::metrics::{Metrics, Stage};
use crate::notify::{Route, idempotency_key};
use crate::outcome::{Ignored, Outcome, of_answers};
use crate::redact::{Redactor, Rules};
use crate::telemetry::message::MessageSpan;
use telling::{Aside, Redacted};

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
    reader: ThrottledReader,
    step_functions: RegionalBreakers,
    /// Reads logs for routes that show them, and what removes secrets from those whatever the route says.
    logs: Option<(Arc<dyn LogReader>, Redactor)>,
    required: Vec<(Route, Arc<Breaker>)>,
    asides: Vec<Aside>,
    /// Notifications that no message waits for.
    aside_tasks: TaskTracker,
    breakers: Breakers,
    scope: Scope,
    memory: MemoryBudget,
    answered: Mutex<LruCache<String, Answered>>,
    under_way: Mutex<HashMap<FailureKey, Weak<AsyncMutex<()>>>>,
    metrics: Metrics,
}

/// A route that has not taken a failure yet.
struct Untold<'d> {
    route: &'d Route,
    way: Way<'d>,
    key: String,
}

/// Why a route is not told of a failure again.
#[derive(Clone, Copy, PartialEq)]
enum Answered {
    /// It took the failure.
    Taken,
    /// Its filter refused it.
    Refused,
}

/// How a route is told.
enum Way<'d> {
    /// The message waits for it.
    Required(&'d Arc<Breaker>),
    /// It does not.
    Aside(&'d Aside),
}

impl Desk {
    /// A desk that reads with `reader`, with at most `rate` GetExecutionHistory calls a second for
    /// each account and region, and notifies people through `routes`. `home` is the worker's own
    /// account and region.
    pub fn new(
        reader: Arc<dyn ExecutionReader>,
        rate: Option<f64>,
        routes: Vec<Route>,
        scope: Scope,
        home: Option<AccountRegion>,
    ) -> Self {
        let mut breakers = Breakers::default();
        let step_functions = breakers.add_step_functions(home);
        let reader = ThrottledReader::new(reader, rate).watched_by(step_functions.clone());
        let (required, asides): (Vec<Route>, Vec<Route>) =
            routes.into_iter().partition(|route| route.required);
        let required = required.into_iter().map(|route| {
            let breaker = breakers.add(&*route.name);
            (route, breaker)
        });
        Self {
            reader,
            step_functions,
            logs: None,
            required: required.collect(),
            asides: asides.into_iter().map(Aside::new).collect(),
            aside_tasks: TaskTracker::new(),
            breakers,
            scope,
            memory: MemoryBudget::new(memory::DEFAULT),
            answered: Mutex::new(LruCache::new(REMEMBERED)),
            under_way: Mutex::default(),
            metrics: Metrics::new(),
        }
    }

    /// Reads executions within this budget, and not within that of the default.
    #[must_use]
    pub fn within(self, memory: MemoryBudget) -> Self {
        Self { memory, ..self }
    }

    /// Reads logs with `reader`, for routes that show them.
    #[must_use]
    pub fn reading_logs(self, reader: Arc<dyn LogReader>) -> Self {
        Self { logs: Some((reader, Redactor::new(&Rules::default()))), ..self }
    }

    /// Counts and measures there, as does the worker whose desk it is.
    #[must_use]
    pub fn measured_by(self, metrics: Metrics) -> Self {
        self.breakers.measured_by(&metrics);
        let routes = self.required.iter().map(|(route, _)| route);
        for route in routes.chain(self.asides.iter().map(Aside::route)) {
            route.notifier.measured_by(&metrics);
        }
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

    /// Waits for notifications that no message waited for. No more of them are to come.
    pub async fn told_aside(&self) {
        self.aside_tasks.close();
        self.aside_tasks.wait().await;
    }

    /// How many notifications are still on their way that no message waits for.
    pub fn telling_aside(&self) -> usize {
        self.aside_tasks.len()
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
            return self.told_before(change);
        }
        let (report, memory) = match self.metrics.timed(Stage::Analyse, self.report(change, receipt)).await {
            Ok(reported) => reported,
            Err(later) => return later,
        };
        let data = serde_json::to_value(&report).expect("a report has only text keys");
        let is_degraded = report.analysis.degraded.is_some();
        let resources = report.analysis.resources.clone();
        drop(report);
        let (due, others): (Vec<Untold<'_>>, _) =
            untold.into_iter().partition(|untold| untold.route.filter.takes(&data));
        // With the history, a filter may take what it refused on the event alone.
        for refused in others.into_iter().filter(|_| !is_degraded) {
            self.answered().put(refused.key, Answered::Refused);
        }
        if due.is_empty() {
            return self.told_before(change);
        }
        let mut with_logs = self.with_logs(&resources, &data, &due).await;
        let mut redacted = Redacted::new(data);
        let mut answers = Vec::new();
        for Untold { route, way, key } in due {
            let data = with_logs.as_mut().filter(|_| route.logs).unwrap_or(&mut redacted);
            let composed = route.compose(data.by(&route.redactor), &key);
            match way {
                Way::Aside(aside) => {
                    aside.tell(composed, &self.aside_tasks, &self.metrics);
                    self.answered().put(key, Answered::Taken);
                }
                Way::Required(breaker) => answers.push(async move {
                    (route.name.clone(), self.tell(route, breaker, composed, receipt).await)
                }),
            }
        }
        // From here on there are only the requests, which have limits of their own.
        drop((redacted, memory));
        let waits_for_some = !answers.is_empty();
        let outcome = of_answers(self.metrics.timed(Stage::Notify, join_all(answers)).await);
        if let (Outcome::Done, Some(stopped_at), true) = (&outcome, change.stopped_at, waits_for_some) {
            self.metrics.failure_to_notification(stopped_at);
        }
        outcome
    }

    /// The data with the last lines of the log of what failed, where a route shows them.
    async fn with_logs(&self, resources: &[Resource], data: &Value, due: &[Untold<'_>]) -> Option<Redacted> {
        let (reader, redactor) = self.logs.as_ref().filter(|_| due.iter().any(|untold| untold.route.logs))?;
        let lines = logs::of(&**reader, resources).await;
        let mut lines = serde_json::to_value(lines).expect("lines have only text keys");
        redactor.redact(&mut lines);
        let mut data = data.clone();
        data["analysis"]["logs"] = lines;
        Some(Redacted::new(data))
    }

    /// What becomes of a failure that no route has to be told of any more.
    fn told_before(&self, change: &StatusChange) -> Outcome {
        let answered = self.answered();
        let mut keys = self.routes(change).map(|untold| untold.key);
        if keys.all(|key| answered.peek(&key) != Some(&Answered::Taken)) {
            return Outcome::Ignore(Ignored::Unrouted);
        }
        drop(answered);
        self.metrics.duplicate();
        info!("everybody was told of this failure before; nothing is sent again");
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

    /// The routes that have neither taken this failure yet nor refused it.
    fn untold(&self, change: &StatusChange) -> Vec<Untold<'_>> {
        let mut answered = self.answered();
        self.routes(change).filter(|untold| answered.get(&untold.key).is_none()).collect()
    }

    /// All routes, each with its key for this failure.
    fn routes(&self, change: &StatusChange) -> impl Iterator<Item = Untold<'_>> {
        let failure = change.failure_key();
        let required = self.required.iter().map(|(route, breaker)| (route, Way::Required(breaker)));
        let asides = self.asides.iter().map(|aside| (aside.route(), Way::Aside(aside)));
        required.chain(asides).map(move |(route, way)| Untold {
            route,
            way,
            key: idempotency_key(&failure, &route.audience, &route.name),
        })
    }

    fn answered(&self) -> MutexGuard<'_, LruCache<String, Answered>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
