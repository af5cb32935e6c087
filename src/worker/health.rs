//! Whether the worker's loop moves, and whether it receives messages.
//!
//! The loop beats at least every [`BEAT`], whatever it waits for: a poll that is under way, an open
//! breaker, a free permit. A loop that no longer beats is stuck, and only a restart helps.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The longest that the loop waits without a beat.
pub const BEAT: Duration = Duration::from_secs(5);

/// Without a beat for so long, the loop is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// Why a worker is not alive, or takes no messages in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unhealthy {
    /// The worker does not run yet.
    #[error("the queue's attributes have not been read yet")]
    Starting,
    /// The loop has not moved for so long.
    #[error("the worker's loop has not moved for {} s", .0.as_secs())]
    Stuck(Duration),
    /// The task that renews the leases has ended.
    #[error("the renewal of leases has ended")]
    RenewalsEnded,
    /// The worker drains.
    #[error("the worker is stopping")]
    Draining,
}

/// The health of a worker; clones share its state.
#[derive(Debug, Clone)]
pub struct Health(Arc<Mutex<HealthState>>);

#[derive(Debug)]
struct HealthState {
    beat: Instant,
    draining: bool,
    renewals: Option<AbortHandle>,
}

impl Health {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(HealthState { beat: Instant::now(), draining: false, renewals: None })))
    }

    /// The loop moved.
    pub(super) fn beat(&self) {
        self.state().beat = Instant::now();
    }

    /// The task that renews the leases, without which no message can be held.
    pub(super) fn relies_on(&self, renewals: AbortHandle) {
        self.state().renewals = Some(renewals);
    }

    /// The worker receives no more messages.
    pub(super) fn drains(&self) {
        self.state().draining = true;
    }

    /// Whether it moves. A drain ends by itself.
    ///
    /// # Errors
    /// Names what is stuck.
    pub fn live(&self) -> Result<(), Unhealthy> {
        let state = self.state();
        let quiet = state.beat.elapsed();
        if state.draining {
            Ok(())
        } else if quiet > STUCK_AFTER {
            Err(Unhealthy::Stuck(quiet))
        } else if state.renewals.as_ref().is_some_and(AbortHandle::is_finished) {
            Err(Unhealthy::RenewalsEnded)
        } else {
            Ok(())
        }
    }

    /// Whether it receives messages.
    ///
    /// # Errors
    /// Why it does not.
    pub fn ready(&self) -> Result<(), Unhealthy> {
        if self.state().draining { Err(Unhealthy::Draining) } else { Ok(()) }
    }

    fn state(&self) -> MutexGuard<'_, HealthState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_without_beats_is_stuck() {
        let health = Health::new();
        for _ in 0..20 {
            tokio::time::advance(BEAT).await;
            health.beat();
            health.live().unwrap();
        }
        tokio::time::advance(STUCK_AFTER + BEAT).await;
        assert!(health.live().unwrap_err().to_string().contains("35 s"));
        health.beat();
        health.live().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_is_alive_and_not_ready() {
        let health = Health::new();
        health.ready().unwrap();
        health.drains();
        tokio::time::advance(STUCK_AFTER * 2).await;
        health.live().unwrap();
        assert_eq!(health.ready(), Err(Unhealthy::Draining));
    }

    #[tokio::test]
    async fn without_renewals_nothing_can_be_held() {
        let health = Health::new();
        let renewals = tokio::spawn(std::future::pending::<()>());
        health.relies_on(renewals.abort_handle());
        health.live().unwrap();
        renewals.abort();
        renewals.await.unwrap_err();
        assert_eq!(health.live(), Err(Unhealthy::RenewalsEnded));
    }
}
