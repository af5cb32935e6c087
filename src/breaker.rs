//! Breakers: while a dependency of every message keeps failing, nothing more is received.
//!
//! There is one for each required route, and one for each account and region that Step Functions is
//! called in ([`regional`]). A route's breaker opens after [`FAILURES`] failed attempts in a row,
//! whichever messages they were for, or at once when a route turns out to be misconfigured. While
//! one is open, the intake rests: receiving messages that cannot be delivered would only use up
//! their receives and bring them to the dead-letter queue. It is probed with messages that are in
//! hand already: the first to fail stays as the probe, and with it every message on its last
//! receive, their leases renewed; the others are released. The first attempt that passes closes
//! the breaker.
//!
//! A message that alone makes the other side fail must not stop all others for good. So, after
//! [`HALF_OPEN_AFTER`] without any change, the breaker is half-open: one more message is received, and
//! stays as a further probe. That happens sooner when no probe is left. A half-open message whose
//! filter skips the route proves nothing, so the next one follows at once.

pub mod regional;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::aws::arn::AccountRegion;
use crate::metrics::Metrics;
use crate::telemetry::millis;
use regional::RegionalBreakers;

/// Failed attempts in a row that open a breaker.
pub const FAILURES: u32 = 5;

/// How often an open breaker is logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// How long an open breaker keeps the intake resting while it has probes.
pub const HALF_OPEN_AFTER: Duration = Duration::from_secs(300);

/// How long an open breaker without probes does.
pub const HALF_OPEN_WITHOUT_PROBE: Duration = Duration::from_secs(30);

/// Watches one dependency of every message.
#[derive(Debug)]
pub struct Breaker {
    name: String,
    /// What an open breaker means for messages, for the log.
    consequence: &'static str,
    state: Mutex<BreakerState>,
    changed: Arc<Notify>,
    /// Shows whether it is open; `None` for one of many that only a count shows.
    metrics: Option<Metrics>,
}

#[derive(Debug, Default)]
struct BreakerState {
    failures: u32,
    /// The messages that failed, where messages are counted.
    failed: HashSet<String>,
    opened_at: Option<Instant>,
    /// When something last changed: it opened, or it became half-open.
    since: Option<Instant>,
    probes: usize,
    half_open: HalfOpen,
    logged_at: Option<Instant>,
}

/// What the latest half-open message showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum HalfOpen {
    /// There was none, or there was an attempt since it began.
    #[default]
    Conclusive,
    /// It is in hand, and no attempt was made yet.
    Begun,
    /// It ended without an attempt.
    Inconclusive,
}

/// Held by a message that stays in hand while a breaker is open.
#[derive(Debug)]
pub struct Probe(Arc<Breaker>);

/// What the intake may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Receive as many messages as there are permits.
    All,
    /// Receive one message: the breakers are half-open.
    One,
    /// Nothing before this time, unless a breaker closes.
    NotBefore(Instant),
}

/// All breakers of a worker.
#[derive(Debug, Clone)]
pub struct Breakers {
    routes: Vec<Arc<Breaker>>,
    step_functions: RegionalBreakers,
    metrics: Metrics,
    changed: Arc<Notify>,
}

impl Breakers {
    /// The breakers of Step Functions, all closed; `metrics` shows which are open. `home` is the worker's
    /// own account and region.
    pub fn new(home: Option<AccountRegion>, metrics: Metrics) -> Self {
        let changed = Arc::new(Notify::new());
        let step_functions = RegionalBreakers::new(home, changed.clone(), metrics.clone());
        Self { routes: Vec::new(), step_functions, metrics, changed }
    }

    /// Adds the closed breaker of a required route and returns it.
    pub fn add(&mut self, route: &str) -> Arc<Breaker> {
        let consequence = "receiving no more messages until it works";
        let (metrics, changed) = (self.metrics.clone(), self.changed.clone());
        metrics.breaker(route, false);
        let breaker = Arc::new(Breaker::new(route.to_owned(), consequence, changed, Some(metrics)));
        self.routes.push(breaker.clone());
        breaker
    }

    /// The breakers of Step Functions.
    pub fn step_functions(&self) -> &RegionalBreakers {
        &self.step_functions
    }

    /// What the intake may do now: the least that any breaker allows.
    pub fn admission(&self) -> Admission {
        let now = Instant::now();
        let routes = self.routes.iter().filter_map(|breaker| breaker.next_half_open(HALF_OPEN_AFTER));
        match routes.chain(self.step_functions.next_half_open()).max() {
            None => Admission::All,
            Some(at) if at <= now => Admission::One,
            Some(at) => Admission::NotBefore(at),
        }
    }

    /// Every breaker that may be open.
    fn each(&self) -> impl Iterator<Item = Arc<Breaker>> {
        self.routes.iter().cloned().chain(self.step_functions.open())
    }

    /// A message is about to be received half-open.
    pub fn half_open_began(&self) {
        for breaker in self.each() {
            let mut state = breaker.state();
            if state.opened_at.is_some() {
                state.since = Some(Instant::now());
                state.half_open = HalfOpen::Begun;
            }
        }
    }

    /// The half-open message is finished.
    pub fn half_open_ended(&self) {
        for breaker in self.each() {
            let mut state = breaker.state();
            if state.half_open == HalfOpen::Begun {
                state.half_open = HalfOpen::Inconclusive;
                self.changed.notify_one();
            }
        }
    }

    /// Returns when a breaker opened, closed, lost its last probe, or learned nothing while half-open
    /// since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Breaker {
    fn new(name: String, consequence: &'static str, changed: Arc<Notify>, metrics: Option<Metrics>) -> Self {
        Self { name, consequence, state: Mutex::default(), changed, metrics }
    }

    /// An attempt passed.
    pub fn passed(&self) {
        let mut state = self.state();
        state.failures = 0;
        state.failed.clear();
        state.since = None;
        state.half_open = HalfOpen::Conclusive;
        if let Some(opened_at) = state.opened_at.take() {
            info!(breaker = self.name, open_ms = millis(opened_at.elapsed()), "works again");
            self.show(false);
            self.changed.notify_one();
        }
    }

    /// An attempt failed in a way that other messages may meet too; `for_certain` if all
    /// will.
    pub fn failed(&self, for_certain: bool, error: &dyn fmt::Display) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        let opens = for_certain || state.failures >= FAILURES;
        self.note_failure(&mut state, opens, error);
    }

    /// As [`Self::failed`], but it opens only after failures of `most` different messages.
    fn failed_for(&self, message: &str, most: u32, for_certain: bool, error: &dyn fmt::Display) {
        let mut state = self.state();
        if state.failures < most && state.failed.insert(message.to_owned()) {
            state.failures += 1;
        }
        let opens = for_certain || state.failures >= most;
        self.note_failure(&mut state, opens, error);
    }

    fn note_failure(&self, state: &mut BreakerState, opens: bool, error: &dyn fmt::Display) {
        let now = Instant::now();
        let (breaker, failures, consequence) = (&self.name, state.failures, self.consequence);
        state.half_open = HalfOpen::Conclusive;
        if state.opened_at.is_none() && opens {
            warn!(breaker, failures, %error, "keeps failing; {consequence}");
            state.opened_at = Some(now);
            state.since = Some(now);
            state.logged_at = Some(now);
            self.show(true);
            self.changed.notify_one();
        } else if state.opened_at.is_some() && state.logged_at.is_none_or(|at| now - at >= LOG_EVERY) {
            warn!(breaker, failures, %error, "still fails; {consequence}");
            state.logged_at = Some(now);
        }
    }

    /// Whether an attempt may be made: always while it is closed, and once every `pause` while it is
    /// open.
    fn admits_after(&self, pause: Duration) -> bool {
        let mut state = self.state();
        let due = state.since.is_none_or(|since| since + pause <= Instant::now());
        if due && state.opened_at.is_some() {
            state.since = Some(Instant::now());
        }
        due
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.state().opened_at.is_some()
    }

    /// Asks to stay in hand while the breaker is open. The first message may; so may any that is
    /// `forced` to, since releasing it would bring it to the dead-letter queue, or it is half-open.
    pub fn probe(self: &Arc<Self>, forced: bool) -> Option<Probe> {
        let mut state = self.state();
        if state.opened_at.is_none() || (state.probes > 0 && !forced) {
            return None;
        }
        state.probes += 1;
        Some(Probe(self.clone()))
    }

    /// When the breaker becomes half-open: `with_probe` after the last change while a
    /// message in hand probes.
    fn next_half_open(&self, with_probe: Duration) -> Option<Instant> {
        let state = self.state();
        let rest = match (state.probes, state.half_open) {
            (0, HalfOpen::Inconclusive) => Duration::ZERO,
            (0, _) => HALF_OPEN_WITHOUT_PROBE,
            _ => with_probe,
        };
        state.since.map(|since| since + rest)
    }

    fn show(&self, is_open: bool) {
        if let Some(metrics) = &self.metrics {
            metrics.breaker(&self.name, is_open);
        }
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.probes -= 1;
        if state.probes == 0 {
            self.0.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> (Breakers, Arc<Breaker>) {
        let mut breakers = Breakers::new(None, Metrics::new());
        let breaker = breakers.add("api");
        breaker.failed(true, &"403");
        (breakers, breaker)
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_only() {
        let mut breakers = Breakers::new(None, Metrics::new());
        let breaker = breakers.add("api");
        for _ in 0..10 {
            for _ in 1..FAILURES {
                breaker.failed(false, &"503");
            }
            breaker.passed();
        }
        assert_eq!(breakers.admission(), Admission::All);
        for _ in 0..FAILURES {
            breaker.failed(false, &"503");
        }
        assert!(breaker.is_open());
        assert!(matches!(breakers.admission(), Admission::NotBefore(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_misconfigured_route_opens_it_at_once_and_one_pass_closes_it() {
        let (breakers, breaker) = open();
        assert!(breaker.is_open());
        breaker.passed();
        assert_eq!(breakers.admission(), Admission::All);
    }

    #[tokio::test(start_paused = true)]
    async fn one_message_stays_as_the_probe_and_those_that_are_forced() {
        let (_breakers, breaker) = open();
        let probe = breaker.probe(false).unwrap();
        assert!(breaker.probe(false).is_none());
        let forced = breaker.probe(true).unwrap();
        drop((probe, forced));
        assert!(breaker.probe(false).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_while_it_is_half_open_for_one_message() {
        let (breakers, breaker) = open();
        let _probe = breaker.probe(false);
        tokio::time::advance(HALF_OPEN_AFTER - Duration::from_secs(1)).await;
        assert!(matches!(breakers.admission(), Admission::NotBefore(_)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(breakers.admission(), Admission::One);
        breakers.half_open_began();
        assert!(matches!(breakers.admission(), Admission::NotBefore(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_probe_it_is_half_open_sooner() {
        let (breakers, breaker) = open();
        drop(breaker.probe(false));
        tokio::time::advance(HALF_OPEN_WITHOUT_PROBE).await;
        assert_eq!(breakers.admission(), Admission::One);
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_open_message_without_an_attempt_is_followed_by_another_at_once() {
        let (breakers, breaker) = open();
        let rests = || matches!(breakers.admission(), Admission::NotBefore(_));
        breakers.half_open_ended();
        assert!(rests(), "none had begun");
        breakers.half_open_began();
        assert!(rests());
        breakers.half_open_ended();
        assert_eq!(breakers.admission(), Admission::One);
        breakers.half_open_began();
        breaker.failed(false, &"503");
        breakers.half_open_ended();
        assert!(rests(), "it was an attempt");
        breakers.half_open_began();
        breakers.half_open_ended();
        let _probe = breaker.probe(false);
        assert!(rests(), "there is a probe");
    }
}
