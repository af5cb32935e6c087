//! How long to wait before trying again: jittered exponential backoff.
//!
//! This is the only file that names the `backoff` crate, and only its policy is used: the growing
//! series of `ExponentialBackoff::next_backoff`. Its `retry` loop is not: a `Retry-After` there
//! escapes every limit, and its clock cannot be paused by tests. The jitter, the limits (attempts,
//! deadline, cap) and the waiting are our own. The AWS clients' own retries are switched off:
//! nothing is retried on two levels.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use tokio::time::Instant;

/// How one kind of work is tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The longest that the first pause may be; this doubles with each later one. Where in
    /// between a pause lies is left to chance (full jitter), so that what failed together is not
    /// tried again together.
    pub first: Duration,
    /// No pause is shorter than this.
    pub floor: Duration,
    /// No pause is longer than this, one that a server asked for included.
    pub cap: Duration,
    /// How often the work is tried at most, the first time included; `None` for no bound.
    pub attempts: Option<u32>,
}

impl Policy {
    /// For calls and notifications while a message is in hand: up to 15 seconds of pauses.
    pub const IN_HAND: Self = Self {
        first: Duration::from_secs(1),
        floor: Duration::ZERO,
        cap: Duration::from_secs(10),
        attempts: Some(5),
    };

    /// For notifications that no message waits for.
    pub const OPTIONAL: Self = Self { attempts: Some(3), ..Self::IN_HAND };

    /// For settling a message (delete, visibility): short, since its lease runs meanwhile.
    pub const SETTLE: Self = Self {
        first: Duration::from_millis(100),
        floor: Duration::ZERO,
        cap: Duration::from_secs(2),
        attempts: Some(5),
    };

    /// For a message that stays in hand while a breaker is open: without an end, at most a minute
    /// apart.
    pub const PROBE: Self = Self {
        first: Duration::from_secs(1),
        floor: Duration::from_millis(500),
        cap: Duration::from_secs(60),
        attempts: None,
    };

    /// For polling: without an end, at most half a minute apart.
    pub const POLL: Self = Self {
        first: Duration::from_secs(1),
        floor: Duration::from_millis(500),
        cap: Duration::from_secs(30),
        attempts: None,
    };

    /// Begins counting attempts; the first one is being made now.
    pub fn start(self) -> Pauses {
        Pauses { policy: self, series: series(self.first, self.cap), made: 1, deadline: None }
    }
}

/// The pauses between the attempts of one piece of work.
#[derive(Debug)]
pub struct Pauses {
    policy: Policy,
    series: ExponentialBackoff,
    made: u32,
    deadline: Option<Instant>,
}

impl Pauses {
    /// Ends the attempts at this time as well: no pause reaches beyond it.
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How many attempts were made so far.
    pub fn attempts(&self) -> u32 {
        self.made
    }

    /// The pause before the next attempt, or `None` when no further one may be made. `asked` is
    /// what the other side asked for (`Retry-After`); it lengthens the pause, up to the cap.
    pub fn next_pause(&mut self, asked: Option<Duration>) -> Option<Duration> {
        if self.policy.attempts.is_some_and(|most| self.made >= most) {
            return None;
        }
        let longest = self.series.next_backoff().unwrap_or(self.policy.cap);
        let jittered = longest.mul_f64(fastrand::f64()).max(self.policy.floor);
        let pause = jittered.max(asked.unwrap_or_default()).min(self.policy.cap);
        if self.deadline.is_some_and(|deadline| Instant::now() + pause >= deadline) {
            return None;
        }
        self.made += 1;
        Some(pause)
    }

    /// Waits before the next attempt; `false`, at once, when there is none.
    pub async fn wait(&mut self, asked: Option<Duration>) -> bool {
        match self.next_pause(asked) {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                true
            }
            None => false,
        }
    }
}

/// How long a message stays invisible when it is released after its `receives`-th receive: 5 s,
/// 10 s, 20 s and so on up to 15 minutes, each between half of that and all of it, so that messages
/// which failed together do not come back together. `at_least` lengthens it, up to half as much again.
pub fn release_delay(receives: u32, at_least: Duration) -> Duration {
    const FIRST: Duration = Duration::from_secs(5);
    const LONGEST: Duration = Duration::from_secs(900);
    let longest = FIRST.saturating_mul(1 << receives.saturating_sub(1).min(8)).min(LONGEST);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0).max(at_least.mul_f64(1.0 + fastrand::f64() / 2.0))
}

/// `first`, doubled each time, up to `cap`, without an end.
fn series(first: Duration, cap: Duration) -> ExponentialBackoff {
    ExponentialBackoff {
        current_interval: first,
        initial_interval: first,
        randomization_factor: 0.0,
        multiplier: 2.0,
        max_interval: cap,
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_are_capped_and_every_pause_is_under_the_cap() {
        let mut pauses = Policy::IN_HAND.start();
        let mut count = 1;
        while let Some(pause) = pauses.next_pause(None) {
            assert!(pause <= Policy::IN_HAND.cap);
            count += 1;
        }
        assert_eq!(count, 5);
        assert_eq!(pauses.attempts(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_after_is_honoured_up_to_the_cap() {
        let mut pauses = Policy::IN_HAND.start();
        let asked = pauses.next_pause(Some(Duration::from_secs(7))).unwrap();
        assert!((Duration::from_secs(7)..=Policy::IN_HAND.cap).contains(&asked));
        assert_eq!(pauses.next_pause(Some(Duration::from_secs(86_400))), Some(Policy::IN_HAND.cap));
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_reaches_beyond_the_deadline() {
        let deadline = Instant::now() + Duration::from_secs(3);
        let mut pauses = Policy::POLL.start().until(deadline);
        let mut waited = Duration::ZERO;
        while let Some(pause) = pauses.next_pause(None) {
            tokio::time::advance(pause).await;
            waited += pause;
        }
        assert!(waited < Duration::from_secs(3), "{waited:?}");
    }

    #[test]
    fn the_delay_of_a_message_released_grows_with_its_receives_and_ends_at_fifteen_minutes() {
        let mean = |receives| {
            let total: Duration = (0..200).map(|_| release_delay(receives, Duration::ZERO)).sum();
            total / 200
        };
        assert!(mean(1) < mean(3) && mean(3) < mean(6), "{:?} {:?} {:?}", mean(1), mean(3), mean(6));
        for receives in [0, 1, 2, 8, 100, u32::MAX] {
            let delay = release_delay(receives, Duration::ZERO);
            assert!((Duration::from_millis(2_500)..=Duration::from_secs(900)).contains(&delay), "{delay:?}");
            assert!(release_delay(receives, Duration::from_secs(60)) >= Duration::from_secs(60));
        }
    }
}
