//! How fast Step Functions is called: token buckets.
//!
//! The quotas of Step Functions hold for an account and region, so consoles, deployments and other
//! tools use the same quota as misstep; by default misstep uses half of what AWS refills. Callers
//! are served in order. If AWS throttles anyway, the rate is halved once for all calls in flight,
//! and grows back with every call that passes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

/// Calls that GetExecutionHistory's burst holds for each call a second of its rate: AWS's own
/// bucket is 400 calls, refilled by 20 a second.
const BURST_SECONDS: f64 = 20.0;

/// The lowest rate under throttling, as a part of the configured rate.
const SLOWEST: f64 = 1.0 / 16.0;

/// The factor by which each call that passes raises the rate.
const RECOVERY: f64 = 1.02;

/// A token bucket. One token is one call.
#[derive(Debug)]
pub struct Limiter {
    set: f64,
    burst: f64,
    bucket: Mutex<Bucket>,
    /// Its queue is the order of service.
    turn: AsyncMutex<()>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    rate: f64,
    filled_at: Instant,
    slowed_at: Option<Instant>,
}

impl Limiter {
    /// `rate` calls a second after a burst of 20 times that.
    pub fn new(rate: f64) -> Self {
        Self::with_burst(rate, (rate * BURST_SECONDS).max(1.0))
    }

    /// `rate` calls a second after a burst of `burst`.
    pub fn with_burst(rate: f64, burst: f64) -> Self {
        let bucket = Mutex::new(Bucket { tokens: burst, rate, filled_at: Instant::now(), slowed_at: None });
        Self { set: rate, burst, bucket, turn: AsyncMutex::default() }
    }

    /// Waits until a call may be made; returns how long that took.
    pub async fn take(&self) -> Duration {
        let began = Instant::now();
        let _turn = self.turn.lock().await;
        loop {
            let missing = self.bucket().take();
            match missing {
                Some(missing) => tokio::time::sleep(missing).await,
                None => return began.elapsed(),
            }
        }
    }

    /// AWS throttled a call that was sent at `sent`: the bucket is empty, and fills at half the
    /// rate. A call that was sent before the last slow-down does not halve the rate again: calls
    /// that are under way together are throttled together.
    pub fn slow_down(&self, sent: Instant) {
        let mut bucket = self.bucket();
        bucket.tokens = bucket.tokens.min(0.0);
        if bucket.slowed_at.is_none_or(|slowed| sent > slowed) {
            bucket.rate = (bucket.rate / 2.0).max(self.set * SLOWEST);
            bucket.slowed_at = Some(Instant::now());
        }
    }

    /// A call passed: the rate grows back towards what was set.
    pub fn recover(&self) {
        let mut bucket = self.bucket();
        bucket.rate = (bucket.rate * RECOVERY).min(self.set);
    }

    /// Whether a call may be made at once, and more than a tenth of the burst is left for others.
    pub fn has_spare(&self) -> bool {
        self.bucket().tokens >= (self.burst / 10.0).max(1.0)
    }

    /// Calls a second at the moment.
    pub fn rate(&self) -> f64 {
        self.bucket().rate
    }

    /// The bucket, filled up to now.
    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let filled = bucket.tokens + (now - bucket.filled_at).as_secs_f64() * bucket.rate;
        bucket.tokens = filled.min(self.burst);
        bucket.filled_at = now;
        bucket
    }
}

impl Bucket {
    /// Takes a token, or returns how long to wait for one.
    fn take(&mut self) -> Option<Duration> {
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return None;
        }
        // A millisecond more, since tokio's clock counts in milliseconds.
        Some(Duration::from_secs_f64((1.0 - self.tokens) / self.rate) + Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_the_burst_calls_pass_at_the_rate() {
        let limiter = Limiter::new(10.0);
        let began = Instant::now();
        for _ in 0..200 {
            limiter.take().await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        for _ in 0..100 {
            limiter.take().await;
        }
        let took = began.elapsed().as_secs_f64();
        assert!((9.9..11.0).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_share_one_bucket() {
        let limiter = Arc::new(Limiter::with_burst(2.0, 1.0));
        let began = Instant::now();
        let asking: Vec<_> = (0..21)
            .map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move { limiter.take().await })
            })
            .collect();
        for asked in asking {
            asked.await.unwrap();
        }
        assert!((9.9..11.0).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_slows_down_and_calls_that_pass_speed_up_again() {
        let limiter = Limiter::new(10.0);
        let throttled = || async {
            tokio::time::advance(Duration::from_millis(10)).await;
            limiter.slow_down(Instant::now());
        };
        throttled().await;
        assert!((limiter.rate() - 5.0).abs() < f64::EPSILON);
        for _ in 0..20 {
            throttled().await;
        }
        assert!((limiter.rate() - 10.0 * SLOWEST).abs() < f64::EPSILON);
        for _ in 0..200 {
            limiter.recover();
        }
        assert!((limiter.rate() - 10.0).abs() < f64::EPSILON);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_throttled_calls_halves_the_rate_once() {
        let limiter = Limiter::new(10.0);
        let sent = Instant::now();
        tokio::time::advance(Duration::from_millis(50)).await;
        for _ in 0..32 {
            limiter.slow_down(sent);
        }
        assert!((limiter.rate() - 5.0).abs() < f64::EPSILON, "{}", limiter.rate());
    }
}
