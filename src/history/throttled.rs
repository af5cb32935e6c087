//! A reader that respects the quotas of Step Functions, and retries.
//!
//! Wraps another reader. The quotas hold for each account and region, so each has token buckets of
//! its own, one for each API operation. A call that was throttled or got no usable answer is retried
//! after a pause, unless the breaker of its account and region is open by then. An error that a retry
//! cannot change (gone, denied) is returned at once.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lru::LruCache;
use tokio::time::Instant;
use tracing::debug;

use super::limiter::Limiter;
use super::{
    Call, ExecutionDescription, ExecutionReader, HistoryPage, ListPage, ListedExecution, MapRunDescription,
    PageRequest, ReadError, Status,
};
use crate::aws::arn::{AccountRegion, ExecutionArn, MapRunArn};
use crate::aws::error::ErrorClass;
use crate::breaker::regional::RegionalBreakers;
use crate::metrics::{Metrics, RetriedOperation};
use crate::retry::{Pauses, Policy};
use crate::telemetry::{chain, millis};

/// How many accounts and regions have buckets at the same time. Events name them, and an event is
/// somebody else's text: the number has to be bounded.
const MOST_QUOTAS: NonZeroUsize = NonZeroUsize::new(1_024).expect("1,024 is not zero");

/// A wait for a token that is worth a line in the log.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// The token buckets of one account and region.
///
/// Each takes the same share of what AWS refills a second, which by default is half: 20 calls of
/// GetExecutionHistory, 10 of DescribeExecution, 2 of ListExecutions and of ListStateMachines, and 1 of
/// DescribeMapRun (the lowest of all regions; Step Functions service quotas, "Quotas related to API action
/// throttling").
struct Quotas {
    history: Limiter,
    describe_execution: Limiter,
    list_executions: Limiter,
    list_state_machines: Limiter,
    describe_map_run: Limiter,
}

impl Quotas {
    fn new(history_rate: f64) -> Self {
        let small = |rate: f64| Limiter::with_burst(rate, (rate * 5.0).max(1.0));
        Self {
            history: Limiter::new(history_rate),
            describe_execution: small(history_rate / 2.0),
            list_executions: small(history_rate / 10.0),
            list_state_machines: small(history_rate / 10.0),
            describe_map_run: small(history_rate / 20.0),
        }
    }
}

/// Wraps a reader with limits on the rate of its calls, and with retries.
pub struct ThrottledReader {
    reader: Arc<dyn ExecutionReader>,
    rate: Option<f64>,
    quotas: Mutex<LruCache<AccountRegion, Arc<Quotas>>>,
    breakers: Option<RegionalBreakers>,
    waited_ms: AtomicU64,
    metrics: Metrics,
}

impl ThrottledReader {
    /// `rate` GetExecutionHistory calls a second for each account and region, and of the other
    /// operations in proportion to their quotas; with `None` there is no limit on any call. Retries are
    /// counted in `metrics`.
    pub fn new(reader: Arc<dyn ExecutionReader>, rate: Option<f64>, metrics: Metrics) -> Self {
        Self {
            reader,
            rate,
            quotas: Mutex::new(LruCache::new(MOST_QUOTAS)),
            breakers: None,
            waited_ms: AtomicU64::new(0),
            metrics,
        }
    }

    /// Reports every attempt at a history to `breakers`, and makes no call that they refuse.
    #[must_use]
    pub fn watched_by(self, breakers: RegionalBreakers) -> Self {
        Self { breakers: Some(breakers), ..self }
    }

    /// Whether a history of this account and region may be read without keeping others waiting.
    pub fn has_spare(&self, account_region: &AccountRegion) -> bool {
        let is_open = self.breakers.as_ref().is_some_and(|breakers| breakers.is_open(account_region));
        !is_open && self.quotas(account_region).is_none_or(|quotas| quotas.history.has_spare())
    }

    /// How long calls have waited for a token, all together.
    pub fn waited(&self) -> Duration {
        Duration::from_millis(self.waited_ms.load(Ordering::Relaxed))
    }

    /// Makes a call until it gets an answer or an error that stays. `watched` names the call where
    /// the breakers watch it.
    async fn call_with_retry<T, F>(
        &self,
        account_region: &AccountRegion,
        bucket: fn(&Quotas) -> &Limiter,
        watched: Option<&Call>,
        mut call: impl FnMut() -> F,
    ) -> Result<T, ReadError>
    where
        F: Future<Output = Result<T, ReadError>>,
    {
        let quotas = self.quotas(account_region);
        let limiter = quotas.as_deref().map(bucket);
        let breakers = self.breakers.as_ref();
        let watched = breakers.zip(watched);
        if let Some((breakers, call)) = watched {
            breakers.admit(account_region).map_err(|open| ReadError::new(open.class, call.clone(), open))?;
        }
        let mut pauses: Option<Pauses> = None;
        loop {
            self.acquire(limiter).await;
            let sent = Instant::now();
            let error = match call().await {
                Ok(answer) => {
                    if let Some(limiter) = limiter {
                        limiter.recover();
                    }
                    if let Some((breakers, _)) = watched {
                        breakers.passed(account_region);
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if let Some((breakers, call)) = watched {
                breakers.answered(account_region, &call.target, error.class(), &chain(&error));
            }
            if let (ErrorClass::Throttled, Some(limiter)) = (error.class(), limiter) {
                limiter.slow_down(sent);
            }
            let Some(policy) = policy(error.class()) else { return Err(error) };
            let pauses = pauses.get_or_insert_with(|| policy.start());
            if breakers.is_some_and(|breakers| breakers.is_open(account_region)) || !pauses.wait(None).await {
                return Err(error);
            }
            self.metrics.retry(RetriedOperation::History, error.class().into());
            debug!(attempt = pauses.attempts(), error = chain(&error), "calling Step Functions again");
        }
    }

    fn quotas(&self, account_region: &AccountRegion) -> Option<Arc<Quotas>> {
        let rate = self.rate?;
        let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        Some(quotas.get_or_insert_ref(account_region, || Arc::new(Quotas::new(rate))).clone())
    }

    async fn acquire(&self, limiter: Option<&Limiter>) {
        let Some(limiter) = limiter else { return };
        let waited = limiter.take().await;
        self.waited_ms.fetch_add(millis(waited), Ordering::Relaxed);
        if waited >= LONG_WAIT {
            debug!(waited_ms = millis(waited), "waited for a token to call Step Functions");
        }
    }
}

/// How a call that failed in this way is tried again; `None` where its answer would be the same.
fn policy(class: ErrorClass) -> Option<Policy> {
    match class {
        ErrorClass::Throttled | ErrorClass::Unavailable | ErrorClass::Unreachable => Some(Policy::IN_HAND),
        // Mostly the answer stays the same, but a proxy may have damaged this one.
        ErrorClass::Unparsable => Some(Policy { attempts: Some(3), ..Policy::IN_HAND }),
        ErrorClass::Gone
        | ErrorClass::Denied
        | ErrorClass::Kms
        | ErrorClass::Invalid
        | ErrorClass::Unsupported
        | ErrorClass::Credentials
        | ErrorClass::TooLarge => None,
    }
}

#[async_trait]
impl ExecutionReader for ThrottledReader {
    async fn history_page(
        &self,
        execution: &ExecutionArn,
        page: &PageRequest,
    ) -> Result<HistoryPage, ReadError> {
        let call = Call { operation: "GetExecutionHistory", target: execution.to_string() };
        self.call_with_retry(
            &execution.account_region(),
            |quotas| &quotas.history,
            Some(&call),
            || self.reader.history_page(execution, page),
        )
        .await
    }

    async fn describe_execution(&self, execution: &ExecutionArn) -> Result<ExecutionDescription, ReadError> {
        self.call_with_retry(
            &execution.account_region(),
            |quotas| &quotas.describe_execution,
            None,
            || self.reader.describe_execution(execution),
        )
        .await
    }

    async fn describe_map_run(&self, map_run: &MapRunArn) -> Result<MapRunDescription, ReadError> {
        self.call_with_retry(
            &map_run.account_region(),
            |quotas| &quotas.describe_map_run,
            None,
            || self.reader.describe_map_run(map_run),
        )
        .await
    }

    async fn children(
        &self,
        map_run: &MapRunArn,
        status: Status,
        limit: u32,
    ) -> Result<Vec<ExecutionArn>, ReadError> {
        self.call_with_retry(
            &map_run.account_region(),
            |quotas| &quotas.list_executions,
            None,
            || self.reader.children(map_run, status, limit),
        )
        .await
    }

    async fn last_success(&self, state_machine_arn: &str) -> Result<Option<Timestamp>, ReadError> {
        self.call_with_retry(
            &AccountRegion::of(state_machine_arn),
            |quotas| &quotas.list_executions,
            None,
            || self.reader.last_success(state_machine_arn),
        )
        .await
    }

    async fn state_machines(
        &self,
        place: &AccountRegion,
        token: Option<&str>,
    ) -> Result<ListPage<String>, ReadError> {
        self.call_with_retry(
            place,
            |quotas| &quotas.list_state_machines,
            None,
            || self.reader.state_machines(place, token),
        )
        .await
    }

    async fn executions(
        &self,
        state_machine_arn: &str,
        status: Status,
        token: Option<&str>,
    ) -> Result<ListPage<ListedExecution>, ReadError> {
        self.call_with_retry(
            &AccountRegion::of(state_machine_arn),
            |quotas| &quotas.list_executions,
            None,
            || self.reader.executions(state_machine_arn, status, token),
        )
        .await
    }
}
