//! Telling: on a required route until it is answered, refused or given up; on any other a few times,
//! while the message goes its way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span, debug, warn};

use super::{Answered, Desk, Receipt};
use crate::breaker::{Breaker, Probe};
use crate::failpoint::{Point, reach};
use crate::metrics::{Cause, Metrics, Retried, Told};
use crate::notify::{Notification, NotifyError, Route};
use crate::redact::Redactor;
use crate::retry::{Pauses, Policy};

/// How many notifications of a route that is not required may be on their way at once. What comes
/// beyond is dropped: such a route holds nothing up and fills no memory.
const MOST_ASIDE: usize = 64;

/// How often dropped notifications are logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// A report's `data`, and what is left of it without what each redactor removes.
pub(super) struct Redacted {
    whole: Value,
    by: Vec<(Arc<Redactor>, Value)>,
}

impl Redacted {
    pub(super) fn new(whole: Value) -> Self {
        Self { whole, by: Vec::new() }
    }

    /// What is left. Routes that share a redactor share the work.
    pub(super) fn by(&mut self, redactor: &Arc<Redactor>) -> &Value {
        let known = self.by.iter().position(|(known, _)| Arc::ptr_eq(known, redactor));
        let place = known.unwrap_or_else(|| {
            let mut data = self.whole.clone();
            redactor.redact(&mut data);
            self.by.push((redactor.clone(), data));
            self.by.len() - 1
        });
        &self.by[place].1
    }
}

impl Desk {
    /// Sends one notification until it is answered, refused or given up.
    pub(super) async fn tell(
        &self,
        route: &Route,
        breaker: &Arc<Breaker>,
        composed: Result<Notification, NotifyError>,
        receipt: Receipt,
    ) -> Result<(), NotifyError> {
        let notification = composed.inspect_err(|error| {
            self.metrics.notification(&route.name, Told::of(&Err(error.clone())));
        })?;
        let mut pauses = Policy::IN_HAND.start().until(receipt.until);
        let mut probing = None;
        let mut attempt = 0_u32;
        loop {
            reach(Point::NotificationSending((&route.audience).into())).await;
            let answer = route.notifier.notify(&notification).await;
            self.metrics.notification(&route.name, Told::of(&answer));
            let error = match answer {
                Ok(()) => {
                    reach(Point::NotificationAnswered((&route.audience).into())).await;
                    breaker.passed();
                    self.answered().put(notification.idempotency_key, Answered::Taken);
                    return Ok(());
                }
                Err(error) => error,
            };
            attempt += 1;
            if attempt == 1 {
                warn!(route = %route.name, %error, "a notification was not taken");
            } else {
                debug!(route = %route.name, attempt, %error, "a notification was not taken");
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
pub(super) async fn stays(
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

/// A route that no message waits for.
pub(super) struct Aside {
    route: Route,
    room: Arc<Semaphore>,
    dropped: AtomicU64,
    logged_at: Mutex<Option<Instant>>,
}

impl Aside {
    pub(super) fn new(route: Route) -> Self {
        let room = Arc::new(Semaphore::new(MOST_ASIDE));
        Self { route, room, dropped: AtomicU64::new(0), logged_at: Mutex::default() }
    }

    pub(super) fn route(&self) -> &Route {
        &self.route
    }

    /// Sends a notification, a few times if need be, in a task of its own.
    pub(super) fn tell(
        &self,
        composed: Result<Notification, NotifyError>,
        tasks: &TaskTracker,
        metrics: &Metrics,
    ) {
        let name = self.route.name.clone();
        let notification = match composed {
            Ok(notification) => notification,
            Err(error) => {
                metrics.notification(&name, Told::of(&Err(error.clone())));
                metrics.notification(&name, Told::Dropped);
                return warn!(route = %name, %error, "a notification could not be made, and is dropped");
            }
        };
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            metrics.notification(&name, Told::Dropped);
            return self.dropped();
        };
        let (notifier, metrics) = (self.route.notifier.clone(), metrics.clone());
        let telling = async move {
            let mut pauses = Policy::ASIDE.start();
            loop {
                let answer = notifier.notify(&notification).await;
                metrics.notification(&name, Told::of(&answer));
                let Err(error) = answer else { break };
                let retry_after = match &error {
                    NotifyError::Transient { retry_after, .. } => *retry_after,
                    NotifyError::Rejected { .. } | NotifyError::Misconfigured { .. } => {
                        metrics.notification(&name, Told::Dropped);
                        break warn!(route = %name, %error, "a notification was not taken, and is dropped");
                    }
                };
                if !pauses.wait(retry_after).await {
                    metrics.notification(&name, Told::Dropped);
                    break warn!(route = %name, %error, attempts = pauses.attempts(), "a notification was not taken");
                }
            }
            drop(room);
        };
        tasks.spawn(telling.instrument(Span::current()));
    }

    fn dropped(&self) {
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        let mut logged_at = self.logged_at.lock().unwrap_or_else(PoisonError::into_inner);
        if logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            *logged_at = Some(Instant::now());
            warn!(route = %self.route.name, dropped, "too many notifications wait for this route; dropping what comes");
        }
    }
}
