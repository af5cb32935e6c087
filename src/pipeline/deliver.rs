//! Delivery. On a required route a notification is sent until it is accepted, rejected or abandoned; an
//! optional route gets a few attempts in the background, while the message goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span, debug, warn};

use super::{Handled, MessageAttempt, Pipeline};
use crate::breaker::{Breaker, Probe};
use crate::failpoint::{Point, Recipient, reach};
use crate::metrics::{Metrics, RetriedOperation, SendResult};
use crate::notify::{Notification, NotifyError, Route};
use crate::redact::Redactor;
use crate::report::Report;
use crate::retry::{Pauses, Policy};

/// How many notifications of an optional route may be in flight. Further ones are dropped, so that an
/// optional route neither delays messages nor fills the memory.
const MOST_OPTIONAL: usize = 64;

/// How often dropped notifications are logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// A report, redacted by each redactor.
pub(super) struct Redacted {
    /// As it was, until the last redactor takes it.
    whole: Option<Report>,
    by: Vec<(Arc<Redactor>, Option<Report>)>,
}

impl Redacted {
    /// A report for these routes; those that share a redactor share what it made.
    pub(super) fn new(whole: Report, routes: &[&Route]) -> Self {
        let mut by: Vec<(Arc<Redactor>, Option<Report>)> = Vec::new();
        for Route { redactor, .. } in routes {
            if by.iter().all(|(known, _)| !Arc::ptr_eq(known, redactor)) {
                by.push((redactor.clone(), None));
            }
        }
        Self { whole: Some(whole), by }
    }

    /// The report without what the redactor of this route removes.
    pub(super) fn of(&mut self, route: &Route) -> &Report {
        let is_last = self.by.iter().filter(|(_, made)| made.is_none()).count() == 1;
        let (redactor, made) = self
            .by
            .iter_mut()
            .find(|(known, _)| Arc::ptr_eq(known, &route.redactor))
            .expect("the route is one of those that it was made for");
        made.get_or_insert_with(|| {
            let whole = if is_last { self.whole.take() } else { self.whole.clone() };
            whole.expect("it is taken by the last redactor").redacted(redactor)
        })
    }
}

impl Pipeline {
    /// Sends one notification until it is accepted, rejected or abandoned.
    pub(super) async fn deliver(
        &self,
        route: &Route,
        breaker: &Arc<Breaker>,
        composed: Result<Notification, NotifyError>,
        attempt: MessageAttempt,
    ) -> Result<(), NotifyError> {
        let notification = composed.inspect_err(|error| {
            self.metrics.notification(&route.name, error.into());
        })?;
        let mut pauses = Policy::IN_HAND.start().until(attempt.until);
        let mut probing = None;
        let mut attempts = 0_u32;
        loop {
            reach(Point::NotificationSending(Recipient::of(route.audience.name()))).await;
            let answer = route.notifier.notify(&notification).await;
            self.metrics.notification(&route.name, (&answer).into());
            let error = match answer {
                Ok(()) => {
                    reach(Point::NotificationAnswered(Recipient::of(route.audience.name()))).await;
                    breaker.passed();
                    self.handled().put(notification.idempotency_key, Handled::Delivered);
                    return Ok(());
                }
                Err(error) => error,
            };
            attempts += 1;
            if attempts == 1 {
                warn!(route = %route.name, %error, "a notification was not accepted");
            } else {
                debug!(route = %route.name, attempts, %error, "a notification was not accepted");
            }
            let retry_after = match &error {
                NotifyError::Rejected { .. } => {
                    // The receiver judged this notification: the route works.
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
            let again = stays(breaker, attempt, &mut probing, retry_after).await
                || (!breaker.is_open() && pauses.wait(retry_after).await);
            if !again {
                return Err(error);
            }
            self.metrics.retry(RetriedOperation::Notify, (&error).into());
        }
    }
}

/// Whether a message that met an open breaker stays in hand to probe it; waits before each further
/// probe. Returns `false` at once if the breaker is closed or the message has to be released.
pub(super) async fn stays(
    breaker: &Arc<Breaker>,
    attempt: MessageAttempt,
    probing: &mut Option<(Probe, Pauses)>,
    retry_after: Option<Duration>,
) -> bool {
    if !breaker.is_open() {
        *probing = None;
        return false;
    }
    if probing.is_none() {
        *probing = breaker
            .probe(attempt.last || attempt.half_open)
            .map(|probe| (probe, Policy::PROBE.start().until(attempt.until)));
    }
    match probing {
        Some((_, pauses)) => pauses.wait(retry_after).await,
        None => false,
    }
}

/// An optional route: no message waits for it.
pub(super) struct OptionalRoute {
    route: Route,
    permits: Arc<Semaphore>,
    dropped: AtomicU64,
    logged_at: Mutex<Option<Instant>>,
}

impl OptionalRoute {
    pub(super) fn new(route: Route) -> Self {
        let permits = Arc::new(Semaphore::new(MOST_OPTIONAL));
        Self { route, permits, dropped: AtomicU64::new(0), logged_at: Mutex::default() }
    }

    pub(super) fn route(&self) -> &Route {
        &self.route
    }

    /// Sends a notification, a few times if need be, in a task of its own.
    pub(super) fn deliver(
        &self,
        composed: Result<Notification, NotifyError>,
        tasks: &TaskTracker,
        metrics: &Metrics,
    ) {
        let name = self.route.name.clone();
        let notification = match composed {
            Ok(notification) => notification,
            Err(error) => {
                metrics.notification(&name, (&error).into());
                metrics.notification(&name, SendResult::Dropped);
                return warn!(route = %name, %error, "a notification could not be made, and is dropped");
            }
        };
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            metrics.notification(&name, SendResult::Dropped);
            return self.dropped();
        };
        let (notifier, metrics) = (self.route.notifier.clone(), metrics.clone());
        let delivery = async move {
            let mut pauses = Policy::OPTIONAL.start();
            loop {
                let answer = notifier.notify(&notification).await;
                metrics.notification(&name, (&answer).into());
                let Err(error) = answer else { break };
                let retry_after = match &error {
                    NotifyError::Transient { retry_after, .. } => *retry_after,
                    NotifyError::Rejected { .. } | NotifyError::Misconfigured { .. } => {
                        metrics.notification(&name, SendResult::Dropped);
                        break warn!(route = %name, %error, "a notification was not accepted, and is dropped");
                    }
                };
                if !pauses.wait(retry_after).await {
                    metrics.notification(&name, SendResult::Dropped);
                    break warn!(route = %name, %error, attempts = pauses.attempts(), "a notification was not accepted");
                }
            }
            drop(permit);
        };
        tasks.spawn(delivery.instrument(Span::current()));
    }

    fn dropped(&self) {
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        let mut logged_at = self.logged_at.lock().unwrap_or_else(PoisonError::into_inner);
        if logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            *logged_at = Some(Instant::now());
            warn!(route = %self.route.name, dropped, "too many notifications wait for this route; further ones are dropped");
        }
    }
}
