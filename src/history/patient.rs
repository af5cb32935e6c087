//! A reader that waits its turn and tries again.
//!
//! Wraps another reader: every call takes a token from the bucket of its kind, and a call that was
//! throttled or got no usable answer is made again after a pause. What will not change by asking
//! again (gone, denied) is returned at once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tracing::debug;

use super::limiter::Limiter;
use super::{
    ExecutionDescription, ExecutionReader, HistoryPage, MapRunDescription, PageRequest, ReadClass, ReadError,
    Status,
};
use crate::arn::{ExecutionArn, MapRunArn};
use crate::breaker::Breaker;
use crate::metrics::{Cause, Metrics, Retried};
use crate::retry::Policy;
use crate::telemetry::{chain, millis};

/// DescribeExecution calls a second: half of what AWS refills in most regions.
const DESCRIBE_EXECUTION_RATE: f64 = 5.0;

/// ListExecutions and DescribeMapRun calls a second: the refill of ListExecutions in most regions.
const LIST_RATE: f64 = 2.0;

/// A wait for a token that is worth a line in the log.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// Wraps a reader with the process's limits and with retries.
pub struct PatientReader {
    reader: Arc<dyn ExecutionReader>,
    history: Option<Limiter>,
    describe: Option<Limiter>,
    list: Option<Limiter>,
    breaker: Option<Arc<Breaker>>,
    waited_ms: AtomicU64,
    metrics: Metrics,
}

impl PatientReader {
    /// `rate` GetExecutionHistory calls a second; with `None` there is no limit on any call.
    pub fn new(reader: Arc<dyn ExecutionReader>, rate: Option<f64>) -> Self {
        let small = |rate| Limiter::with_burst(rate, rate * 5.0);
        Self {
            reader,
            history: rate.map(Limiter::new),
            describe: rate.map(|_| small(DESCRIBE_EXECUTION_RATE)),
            list: rate.map(|_| small(LIST_RATE)),
            breaker: None,
            waited_ms: AtomicU64::new(0),
            metrics: Metrics::new(),
        }
    }

    /// Counts its retries there.
    #[must_use]
    pub fn measured_by(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// Tells `breaker` of every attempt at a history; no other call is needed by every message.
    #[must_use]
    pub fn watched_by(self, breaker: Arc<Breaker>) -> Self {
        Self { breaker: Some(breaker), ..self }
    }

    /// How long calls have waited for their turn, all together.
    pub fn waited(&self) -> Duration {
        Duration::from_millis(self.waited_ms.load(Ordering::Relaxed))
    }

    async fn patiently<T, F>(
        &self,
        limiter: Option<&Limiter>,
        breaker: Option<&Arc<Breaker>>,
        mut call: impl FnMut() -> F,
    ) -> Result<T, ReadError>
    where
        F: Future<Output = Result<T, ReadError>>,
    {
        let mut pauses = Policy::IN_HAND.start();
        loop {
            self.turn(limiter).await;
            let error = match call().await {
                Ok(answer) => {
                    if let Some(limiter) = limiter {
                        limiter.recover();
                    }
                    tell(breaker, None);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            tell(breaker, Some(&error).filter(|error| error.class().is_passing()));
            if let (ReadClass::Throttled, Some(limiter)) = (error.class(), limiter) {
                limiter.slow_down();
            }
            let again = matches!(error.class(), ReadClass::Throttled | ReadClass::Unreachable);
            if !again || !pauses.wait(None).await {
                return Err(error);
            }
            let throttled = error.class() == ReadClass::Throttled;
            self.metrics
                .retry(Retried::History, if throttled { Cause::Throttled } else { Cause::Unreachable });
            debug!(attempt = pauses.attempts(), error = chain(&error), "asking Step Functions again");
        }
    }

    async fn turn(&self, limiter: Option<&Limiter>) {
        let Some(limiter) = limiter else { return };
        let waited = limiter.take().await;
        self.waited_ms.fetch_add(millis(waited), Ordering::Relaxed);
        if waited >= LONG_WAIT {
            debug!(waited_ms = millis(waited), "waited for a turn to ask Step Functions");
        }
    }
}

#[async_trait]
impl ExecutionReader for PatientReader {
    async fn history_page(
        &self,
        execution: &ExecutionArn,
        page: &PageRequest,
    ) -> Result<HistoryPage, ReadError> {
        self.patiently(self.history.as_ref(), self.breaker.as_ref(), || {
            self.reader.history_page(execution, page)
        })
        .await
    }

    async fn describe_execution(&self, execution: &ExecutionArn) -> Result<ExecutionDescription, ReadError> {
        self.patiently(self.describe.as_ref(), None, || self.reader.describe_execution(execution)).await
    }

    async fn describe_map_run(&self, map_run: &MapRunArn) -> Result<MapRunDescription, ReadError> {
        self.patiently(self.list.as_ref(), None, || self.reader.describe_map_run(map_run)).await
    }

    async fn children(
        &self,
        map_run: &MapRunArn,
        status: Status,
        limit: u32,
    ) -> Result<Vec<ExecutionArn>, ReadError> {
        self.patiently(self.list.as_ref(), None, || self.reader.children(map_run, status, limit)).await
    }
}

/// Tells a breaker how an attempt went. Credentials that do not work would fail every message.
fn tell(breaker: Option<&Arc<Breaker>>, trouble: Option<&ReadError>) {
    match (breaker, trouble) {
        (Some(breaker), None) => breaker.passed(),
        (Some(breaker), Some(error)) => {
            breaker.failed(error.class() == ReadClass::Credentials, &chain(error));
        }
        (None, _) => {}
    }
}
