//! Breakers: when what every message needs keeps failing, nothing new is taken in.
//!
//! There is one for each required route, and one for each account and region that Step Functions is
//! called in ([`regional`]). A route's breaker opens after [`FAILURES`] failed attempts in a row,
//! whichever messages they were for, or at once when a route turns out to be misconfigured. While
//! one is open, the intake rests: receiving messages that cannot be delivered would only use up
//! their receives and bring them to the dead-letter queue. It is probed with messages that are in
//! hand already: the first to fail stays as the probe, and with it every message on its last
//! receive, their leases renewed; the others are given back. The first attempt that passes closes
//! the breaker.
//!
//! A message that alone makes the other side fail must not stop all others for good. So, after
//! [`TRIAL_AFTER`] without any change, one more message is taken in and stays as a further probe;
//! it is not given back either. The same happens sooner when no probe is left, and at once when the
//! last trial ended without an attempt, as that of a message does which the route is not for.

pub mod regional;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::arn::AccountRegion;
use crate::metrics::Metrics;
use crate::telemetry::millis;
use regional::RegionalBreakers;

/// Failed attempts in a row that open a breaker.
pub const FAILURES: u32 = 5;

/// How often an open breaker is logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// How long an open breaker keeps the intake resting while it has probes.
pub const TRIAL_AFTER: Duration = Duration::from_secs(300);

/// How long it does when it has none.
pub const TRIAL_WITHOUT_PROBE: Duration = Duration::from_secs(30);

/// Watches one thing that every message needs.
#[derive(Debug)]
pub struct Breaker {
    name: String,
    /// What an open breaker means for messages, for the log.
    consequence: &'static str,
    state: Mutex<State>,
    changed: Arc<Notify>,
    metrics: OnceLock<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// The messages that failed, where messages are counted.
    failed: HashSet<String>,
    opened_at: Option<Instant>,
    /// When something last changed: it opened, or a message was taken in on trial.
    since: Option<Instant>,
    probes: usize,
    trial: Trial,
    logged_at: Option<Instant>,
}

/// What the latest message on trial showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Trial {
    /// There was none, or there was an attempt since it began.
    #[default]
    Decided,
    /// It is in hand, and no attempt was made yet.
    Begun,
    /// It came to its end without an attempt.
    Undecided,
}

/// Held by a message that stays in hand while a breaker is open.
#[derive(Debug)]
pub struct Probe(Arc<Breaker>);

/// What the intake may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Take in whatever there is room for.
    All,
    /// Take in one message, on trial.
    One,
    /// Nothing before this time, unless a breaker closes.
    NotBefore(Instant),
}

/// All breakers of a worker.
#[derive(Debug, Clone, Default)]
pub struct Breakers {
    all: Vec<Arc<Breaker>>,
    step_functions: Option<RegionalBreakers>,
    changed: Arc<Notify>,
}

impl Breakers {
    /// Adds a closed breaker and returns it.
    pub fn add(&mut self, name: impl Into<String>) -> Arc<Breaker> {
        let consequence = "taking in no more messages until it works";
        let breaker = Arc::new(Breaker::new(name.into(), consequence, self.changed.clone()));
        self.all.push(breaker.clone());
        breaker
    }

    /// Adds the closed breakers of Step Functions and returns them. `home` is the worker's own
    /// account and region.
    pub fn add_step_functions(&mut self, home: Option<AccountRegion>) -> RegionalBreakers {
        let breakers = RegionalBreakers::new(home, self.changed.clone());
        self.step_functions = Some(breakers.clone());
        breakers
    }

    /// Shows from now on there which of them are open.
    pub fn measured_by(&self, metrics: &Metrics) {
        for breaker in &self.all {
            metrics.breaker(&breaker.name, breaker.is_open());
            let _only_the_first = breaker.metrics.set(metrics.clone());
        }
        if let Some(step_functions) = &self.step_functions {
            step_functions.measured_by(metrics);
        }
    }

    /// What the intake may do now: the least that any breaker allows.
    pub fn admission(&self) -> Admission {
        let now = Instant::now();
        let routes = self.all.iter().filter_map(|breaker| breaker.next_trial(TRIAL_AFTER));
        let step_functions = self.step_functions.as_ref().and_then(RegionalBreakers::next_trial);
        match routes.chain(step_functions).max() {
            None => Admission::All,
            Some(at) if at <= now => Admission::One,
            Some(at) => Admission::NotBefore(at),
        }
    }

    /// Every breaker that may be open.
    fn each(&self) -> impl Iterator<Item = Arc<Breaker>> {
        let step_functions = self.step_functions.as_ref().map(RegionalBreakers::open);
        self.all.iter().cloned().chain(step_functions.unwrap_or_default())
    }

    /// A message is being taken in on trial.
    pub fn trial_begins(&self) {
        for breaker in self.each() {
            let mut state = breaker.state();
            if state.opened_at.is_some() {
                state.since = Some(Instant::now());
                state.trial = Trial::Begun;
            }
        }
    }

    /// A message on trial came to its end.
    pub fn trial_ends(&self) {
        for breaker in self.each() {
            let mut state = breaker.state();
            if state.trial == Trial::Begun {
                state.trial = Trial::Undecided;
                self.changed.notify_one();
            }
        }
    }

    /// Returns when a breaker opened, closed, lost its last probe, or learned nothing from a trial
    /// since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Breaker {
    fn new(name: String, consequence: &'static str, changed: Arc<Notify>) -> Self {
        Self { name, consequence, state: Mutex::default(), changed, metrics: OnceLock::new() }
    }

    /// An attempt passed.
    pub fn passed(&self) {
        let mut state = self.state();
        state.failures = 0;
        state.failed.clear();
        state.since = None;
        state.trial = Trial::Decided;
        if let Some(opened_at) = state.opened_at.take() {
            info!(breaker = self.name, open_ms = millis(opened_at.elapsed()), "works again");
            self.show(false);
            self.changed.notify_one();
        }
    }

    /// An attempt failed in a way that other messages would meet as well. `for_certain` says that
    /// they all would.
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

    fn note_failure(&self, state: &mut State, opens: bool, error: &dyn fmt::Display) {
        let now = Instant::now();
        let (breaker, failures, consequence) = (&self.name, state.failures, self.consequence);
        state.trial = Trial::Decided;
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

    /// Asks to stay in hand while the breaker is open. The first message may; so may any that
    /// `must`, since giving it back would bring it to the dead-letter queue or was a trial.
    pub fn probe(self: &Arc<Self>, must: bool) -> Option<Probe> {
        let mut state = self.state();
        if state.opened_at.is_none() || (state.probes > 0 && !must) {
            return None;
        }
        state.probes += 1;
        Some(Probe(self.clone()))
    }

    /// When the next message may be taken in on trial: `with_probe` after the last change while a
    /// message in hand probes.
    fn next_trial(&self, with_probe: Duration) -> Option<Instant> {
        let state = self.state();
        let rest = match (state.probes, state.trial) {
            (0, Trial::Undecided) => Duration::ZERO,
            (0, _) => TRIAL_WITHOUT_PROBE,
            _ => with_probe,
        };
        state.since.map(|since| since + rest)
    }

    fn show(&self, is_open: bool) {
        if let Some(metrics) = self.metrics.get() {
            metrics.breaker(&self.name, is_open);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
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
        let mut breakers = Breakers::default();
        let breaker = breakers.add("api");
        breaker.failed(true, &"403");
        (breakers, breaker)
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_only() {
        let mut breakers = Breakers::default();
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
    async fn one_message_stays_as_the_probe_and_those_that_must() {
        let (_breakers, breaker) = open();
        let probe = breaker.probe(false).unwrap();
        assert!(breaker.probe(false).is_none());
        let must = breaker.probe(true).unwrap();
        drop((probe, must));
        assert!(breaker.probe(false).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_while_one_message_more_is_taken_in_on_trial() {
        let (breakers, breaker) = open();
        let _probe = breaker.probe(false);
        tokio::time::advance(TRIAL_AFTER - Duration::from_secs(1)).await;
        assert!(matches!(breakers.admission(), Admission::NotBefore(_)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(breakers.admission(), Admission::One);
        breakers.trial_begins();
        assert!(matches!(breakers.admission(), Admission::NotBefore(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_probe_the_trial_comes_sooner() {
        let (breakers, breaker) = open();
        drop(breaker.probe(false));
        tokio::time::advance(TRIAL_WITHOUT_PROBE).await;
        assert_eq!(breakers.admission(), Admission::One);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_without_an_attempt_is_followed_by_another_at_once() {
        let (breakers, breaker) = open();
        let rests = || matches!(breakers.admission(), Admission::NotBefore(_));
        breakers.trial_ends();
        assert!(rests(), "none had begun");
        breakers.trial_begins();
        assert!(rests());
        breakers.trial_ends();
        assert_eq!(breakers.admission(), Admission::One);
        breakers.trial_begins();
        breaker.failed(false, &"503");
        breakers.trial_ends();
        assert!(rests(), "it was an attempt");
        breakers.trial_begins();
        breakers.trial_ends();
        let _probe = breaker.probe(false);
        assert!(rests(), "there is a probe");
    }
}
