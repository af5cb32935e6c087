//! The breakers of Step Functions: one for each account and region.
//!
//! A breaker opens after failed calls for [`MESSAGES`] different executions without one that passed
//! between them, or at once when the credentials are refused. One execution whose calls fail again
//! and again opens none; where no call for another one passes meanwhile, its message stays in hand
//! ([`RegionalBreakers::may_be_out`]).
//!
//! While a breaker is open, no call is made for its account and region, except for one message
//! every [`RETRY_AFTER`]. Where it has worked before, its failures are tried again later, and reported
//! from the event alone on their last receive; where it never has, they are reported from the event
//! alone at once. All other failures go on. Only where every account and region that has ever worked
//! is open does the intake rest: then receiving further messages would only use up their receives.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Breaker;
use crate::aws::arn::AccountRegion;
use crate::aws::error::ErrorClass;
use crate::metrics::Metrics;

/// How many different executions must fail to be read before a breaker opens.
pub const MESSAGES: u32 = 3;

/// How often one message tries whether an account and region with an open breaker works again.
pub const RETRY_AFTER: Duration = Duration::from_secs(30);

/// How many accounts and regions are remembered. Events name them, and an event is somebody else's
/// text: the number has to be bounded.
const MOST: NonZeroUsize = NonZeroUsize::new(1_024).expect("1,024 is not zero");

/// The name that the intake's rest has in metrics.
const NAME: &str = "step-functions";

/// The breakers of Step Functions; clones share them.
#[derive(Debug, Clone)]
pub struct RegionalBreakers(Arc<Shared>);

/// Why no call is made: the breaker of its account and region is open.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not called: Step Functions keeps failing for {account_region}; it is tried again every {} s", RETRY_AFTER.as_secs())]
pub struct NotCalled {
    /// How the last call failed.
    pub class: ErrorClass,
    /// The account and region.
    pub account_region: AccountRegion,
}

#[derive(Debug)]
struct Shared {
    /// The worker's own account and region, where they are known.
    home: Option<AccountRegion>,
    breakers: Mutex<LruCache<AccountRegion, Regional>>,
    changed: Arc<Notify>,
    metrics: Metrics,
}

#[derive(Debug, Clone)]
struct Regional {
    breaker: Arc<Breaker>,
    /// Whether a call has ever passed, or it is the worker's own account and region. Others do not
    /// decide whether the intake rests: they may never work.
    is_proven: bool,
    /// When a call last passed.
    passed_at: Option<Instant>,
    /// How the last call failed.
    last: ErrorClass,
}

impl RegionalBreakers {
    /// Closed breakers. `home` is the worker's own account and region.
    pub(super) fn new(home: Option<AccountRegion>, changed: Arc<Notify>, metrics: Metrics) -> Self {
        let breakers = Mutex::new(LruCache::new(MOST));
        metrics.breaker(NAME, false);
        Self(Arc::new(Shared { home, breakers, changed, metrics }))
    }

    /// Whether a call may be made for this account and region now.
    ///
    /// # Errors
    /// While its breaker is open and other accounts and regions work.
    pub fn admit(&self, account_region: &AccountRegion) -> Result<(), NotCalled> {
        let mut breakers = self.breakers();
        if next_half_open(&breakers).is_some() {
            return Ok(());
        }
        let Some(Regional { breaker, last, .. }) = breakers.get(account_region) else { return Ok(()) };
        if breaker.admits_after(RETRY_AFTER) {
            return Ok(());
        }
        Err(NotCalled { class: *last, account_region: account_region.clone() })
    }

    /// A call for this account and region passed.
    pub fn passed(&self, account_region: &AccountRegion) {
        self.note(account_region, None, |breaker| breaker.passed());
    }

    /// A call for this account and region got this error. Only what other executions would meet as
    /// well counts against the breaker; any other answer of the service shows that it works.
    pub fn answered(
        &self,
        account_region: &AccountRegion,
        execution: &str,
        class: ErrorClass,
        error: &dyn fmt::Display,
    ) {
        match class {
            class if class.is_passing() => self.note(account_region, Some(class), |breaker| {
                let for_certain = class == ErrorClass::Credentials;
                breaker.failed_for(execution, MESSAGES, for_certain, error);
            }),
            // The answer for one execution, which proves nothing about others.
            ErrorClass::Unparsable | ErrorClass::TooLarge => {}
            _ => self.passed(account_region),
        }
    }

    /// Whether the breaker of this account and region is open.
    pub fn is_open(&self, account_region: &AccountRegion) -> bool {
        self.get(account_region).is_some_and(|breaker| breaker.is_open())
    }

    /// Whether a call for this account and region has ever passed, or they are the worker's own.
    pub fn is_proven(&self, account_region: &AccountRegion) -> bool {
        self.breakers().peek(account_region).is_some_and(|regional| regional.is_proven)
    }

    /// Whether Step Functions may be out of reach as a whole for this account and region: it has worked
    /// there before, or the worker is there, and no call for any execution has passed since `since`.
    pub fn may_be_out(&self, account_region: &AccountRegion, since: Instant) -> bool {
        self.breakers().peek(account_region).is_some_and(|regional| {
            regional.is_proven && regional.passed_at.is_none_or(|passed_at| passed_at < since)
        })
    }

    /// Whether the intake rests because of Step Functions.
    pub fn rests(&self) -> bool {
        next_half_open(&self.breakers()).is_some()
    }

    /// The breaker of this account and region; `None` where nothing was ever called.
    pub fn get(&self, account_region: &AccountRegion) -> Option<Arc<Breaker>> {
        self.breakers().get(account_region).map(|regional| regional.breaker.clone())
    }

    /// When the next message may be received while the intake rests.
    pub(super) fn next_half_open(&self) -> Option<Instant> {
        next_half_open(&self.breakers())
    }

    /// The open breakers.
    pub(super) fn open(&self) -> Vec<Arc<Breaker>> {
        let breakers = self.breakers();
        let all = breakers.iter().map(|(_, regional)| &regional.breaker);
        all.filter(|breaker| breaker.is_open()).cloned().collect()
    }

    fn note(&self, account_region: &AccountRegion, class: Option<ErrorClass>, note: impl FnOnce(&Breaker)) {
        let mut breakers = self.breakers();
        let is_home = self.0.home.as_ref() == Some(account_region);
        let regional = breakers.get_or_insert_mut_ref(account_region, || Regional {
            breaker: Arc::new(Breaker::new(
                format!("{NAME}, {account_region}"),
                "its failures are tried again later, or reported from the event alone",
                self.0.changed.clone(),
                None,
            )),
            is_proven: is_home,
            passed_at: None,
            last: ErrorClass::Unreachable,
        });
        match class {
            Some(class) => regional.last = class,
            None => {
                regional.is_proven = true;
                regional.passed_at = Some(Instant::now());
            }
        }
        note(&regional.breaker);
        self.show(&breakers);
    }

    fn show(&self, breakers: &LruCache<AccountRegion, Regional>) {
        let metrics = &self.0.metrics;
        metrics.breaker(NAME, next_half_open(breakers).is_some());
        metrics.regions_open(breakers.iter().filter(|(_, regional)| regional.breaker.is_open()).count());
    }

    fn breakers(&self) -> MutexGuard<'_, LruCache<AccountRegion, Regional>> {
        self.0.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The intake rests while every breaker that counts is open, until the first of them may be tried.
fn next_half_open(breakers: &LruCache<AccountRegion, Regional>) -> Option<Instant> {
    let mut next: Option<Instant> = None;
    for (_, regional) in breakers.iter().filter(|(_, regional)| regional.is_proven) {
        let at = regional.breaker.next_half_open(RETRY_AFTER)?;
        next = Some(next.map_or(at, |next| next.min(at)));
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account_region(region: &str) -> AccountRegion {
        AccountRegion { account: "123456789012".to_owned(), region: region.to_owned() }
    }

    fn breakers() -> RegionalBreakers {
        RegionalBreakers::new(Some(account_region("home")), Arc::default(), Metrics::new())
    }

    fn fails(breakers: &RegionalBreakers, region: &str, execution: u32, class: ErrorClass) {
        breakers.answered(&account_region(region), &execution.to_string(), class, &"as the test wants it");
    }

    #[tokio::test(start_paused = true)]
    async fn one_execution_opens_no_breaker_however_often_it_fails() {
        let breakers = breakers();
        for _ in 0..100 {
            fails(&breakers, "home", 1, ErrorClass::Unreachable);
        }
        assert!(!breakers.is_open(&account_region("home")));
        for execution in 2..=MESSAGES {
            fails(&breakers, "home", execution, ErrorClass::Unreachable);
        }
        assert!(breakers.is_open(&account_region("home")));
        assert!(breakers.rests());
    }

    #[tokio::test(start_paused = true)]
    async fn a_region_may_be_out_until_a_call_for_any_execution_passes() {
        let breakers = breakers();
        let since = Instant::now();
        fails(&breakers, "home", 1, ErrorClass::Unreachable);
        fails(&breakers, "elsewhere", 1, ErrorClass::Unreachable);
        assert!(breakers.may_be_out(&account_region("home"), since));
        assert!(!breakers.may_be_out(&account_region("elsewhere"), since), "it has never worked");
        tokio::time::advance(Duration::from_secs(1)).await;
        breakers.passed(&account_region("home"));
        fails(&breakers, "home", 1, ErrorClass::Unreachable);
        assert!(!breakers.may_be_out(&account_region("home"), since));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(breakers.may_be_out(&account_region("home"), Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_cannot_be_parsed_proves_nothing_about_the_others() {
        let breakers = breakers();
        for execution in 0..100 {
            fails(&breakers, "home", execution, ErrorClass::Unparsable);
            fails(&breakers, "home", execution, ErrorClass::TooLarge);
        }
        assert!(!breakers.is_open(&account_region("home")));
        fails(&breakers, "home", 1, ErrorClass::Unreachable);
        fails(&breakers, "home", 2, ErrorClass::Unreachable);
        fails(&breakers, "home", 3, ErrorClass::Denied);
        fails(&breakers, "home", 4, ErrorClass::Unreachable);
        assert!(!breakers.is_open(&account_region("home")), "a denial is an answer: the service works");
    }

    #[tokio::test(start_paused = true)]
    async fn a_region_that_never_worked_closes_the_intake_for_nobody() {
        let breakers = breakers();
        fails(&breakers, "elsewhere", 1, ErrorClass::Credentials);
        assert!(breakers.is_open(&account_region("elsewhere")));
        assert!(!breakers.rests());
        breakers.admit(&account_region("home")).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_region_is_tried_by_one_message_at_a_time() {
        let breakers = breakers();
        breakers.passed(&account_region("home"));
        fails(&breakers, "elsewhere", 1, ErrorClass::Credentials);
        let refused = breakers.admit(&account_region("elsewhere")).unwrap_err();
        assert_eq!(refused.class, ErrorClass::Credentials);
        tokio::time::advance(RETRY_AFTER).await;
        breakers.admit(&account_region("elsewhere")).unwrap();
        breakers.admit(&account_region("elsewhere")).unwrap_err();
        breakers.passed(&account_region("elsewhere"));
        breakers.admit(&account_region("elsewhere")).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_intake_rests_when_all_that_worked_is_open_and_no_longer() {
        let breakers = breakers();
        breakers.passed(&account_region("a"));
        breakers.passed(&account_region("b"));
        fails(&breakers, "a", 1, ErrorClass::Credentials);
        assert!(!breakers.rests(), "b works");
        fails(&breakers, "b", 1, ErrorClass::Credentials);
        assert!(breakers.rests());
        breakers.admit(&account_region("a")).expect("a message in hand may probe");
        assert_eq!(breakers.next_half_open(), Some(Instant::now() + RETRY_AFTER));
        breakers.passed(&account_region("b"));
        assert!(!breakers.rests());
    }
}
