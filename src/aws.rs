//! AWS as every client here uses it: no retries by the client, every call bounded in time, every call
//! counted; what an error means; and how things are named.
//!
//! Retries are off because every caller retries in its own way (the settler, the leases, the intake, the
//! pipeline), and nothing is to be retried on two levels. Without a limit in time, a connection that died
//! silently would hold its caller for ever.

pub mod arn;
pub mod error;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use lru::LruCache;

use crate::metrics::{CallResult, Metrics, Service};
use error::ErrorClass;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// AWS has fewer commercial regions than this.
const REGIONS: NonZeroUsize = NonZeroUsize::new(40).expect("40 is not zero");

/// Region, credentials and endpoints, and the metrics that count what is called with them.
#[derive(Debug, Clone)]
pub struct Session {
    config: SdkConfig,
    metrics: Metrics,
}

impl Session {
    /// A session with this configuration, whose calls are counted in `metrics`.
    pub fn new(config: SdkConfig, metrics: Metrics) -> Self {
        Self { config, metrics }
    }

    /// The region of clients that are given no other one.
    pub fn region(&self) -> Option<&str> {
        self.config.region().map(Region::as_ref)
    }

    /// The endpoint of all services, where one is configured.
    pub fn endpoint_url(&self) -> Option<&str> {
        self.config.endpoint_url()
    }

    /// The configuration of a client: of `region`, or of the session's own; no call takes longer than
    /// `limit`.
    pub fn client_config(&self, region: Option<&str>, limit: Duration) -> SdkConfig {
        let config = self.config.to_builder();
        let config = config.retry_config(RetryConfig::disabled()).timeout_config(time_limits(limit));
        match region {
            Some(region) => config.region(Region::new(region.to_owned())).build(),
            None => config.build(),
        }
    }

    /// Counts the calls of one service.
    pub fn counter(&self, service: Service) -> CallCounter {
        CallCounter { service, metrics: self.metrics.clone() }
    }

    /// Clients of a service, one for each region that is asked for.
    pub fn regional<C: Clone>(&self, limit: Duration, client: fn(&SdkConfig) -> C) -> RegionalClients<C> {
        let clients = Mutex::new(LruCache::new(REGIONS));
        RegionalClients { session: self.clone(), limit, client, clients }
    }
}

/// Bounds a call, and the connection that may have to be made for it.
pub fn time_limits(limit: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT.min(limit))
        .operation_attempt_timeout(limit)
        .operation_timeout(limit)
        .build()
}

/// Clients of a service, one for each region.
pub struct RegionalClients<C> {
    session: Session,
    limit: Duration,
    client: fn(&SdkConfig) -> C,
    clients: Mutex<LruCache<String, C>>,
}

impl<C: Clone> RegionalClients<C> {
    /// The client of a region.
    pub fn of(&self, region: &str) -> C {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || (self.client)(&self.session.client_config(Some(region), self.limit));
        clients.get_or_insert_ref(region, make).clone()
    }
}

impl<C> fmt::Debug for RegionalClients<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegionalClients").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Counts the calls of one service.
#[derive(Debug, Clone)]
pub struct CallCounter {
    service: Service,
    metrics: Metrics,
}

impl CallCounter {
    /// Makes a call, and counts it. `operation` is the API's name for the call.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn counted<T, E: ProvideErrorMetadata + std::error::Error + 'static>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, SdkError<E>> {
        let answer = call.await;
        self.count(operation, answer.as_ref().err().map(ErrorClass::of));
        answer
    }

    /// Counts a call that was made; `failed` is the class of its error.
    pub fn count(&self, operation: &'static str, failed: Option<ErrorClass>) {
        let result = failed.map_or(CallResult::Ok, CallResult::from);
        self.metrics.aws_call(self.service, operation, result);
    }
}
