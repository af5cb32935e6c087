//! When updates go out, and when an incident is over.

use std::time::Duration;

use jiff::Timestamp;

use super::store::{Episode, Mute, Tally};

/// How often an open incident is looked at, if nothing is due before.
pub(super) const CHECK_EVERY: Duration = Duration::from_secs(60);

/// A quiet time is never longer than this, however rare the failures are.
const LONGEST_QUIET: Duration = Duration::from_secs(24 * 60 * 60);

/// At this many times the failures that it was muted with, a mute is lifted.
const MUTE_LIFTS_AT: u64 = 10;

/// When updates go out, and when an incident is over. The defaults are those of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The pauses before the updates, from the alert on; the last one repeats. An update only goes out if
    /// the incident has grown.
    pub ladder: Vec<Duration>,
    /// After how long without a failure an incident is over.
    pub quiet: Duration,
    /// A failure within this time after the resolve opens the same episode again.
    pub reopen: Duration,
    /// How long a resolved episode is kept.
    pub keep: Duration,
    /// So many histories of a pre-key have to agree before further failures of it are put into their incident
    /// unread; `None` if all are read first.
    pub agreeing: Option<u32>,
}

/// The usual number of histories that have to agree. If five do, up to 45 % of the others may still differ (at 95 %
/// confidence), which is why an inferred failure is read later.
pub const AGREEING: u32 = 5;

impl Default for Schedule {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            ladder: [1, 5, 15, 60, 240, 1440].map(minutes).to_vec(),
            quiet: minutes(60),
            reopen: minutes(30),
            keep: minutes(90 * 24 * 60),
            agreeing: Some(AGREEING),
        }
    }
}

impl Schedule {
    /// How long after the notification with this number an update may follow.
    pub(super) fn after(&self, number: u32) -> Duration {
        let step = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let last = self.ladder.last().copied().unwrap_or(CHECK_EVERY);
        self.ladder.get(step).copied().unwrap_or(last)
    }

    /// Since when an episode is quiet enough to be over: three times the usual time between its failures
    /// must have passed, so that what fails once in an hour is not resolved every hour.
    pub(super) fn quiet_from(&self, tally: &Tally) -> Timestamp {
        let span = tally.newest.duration_since(tally.oldest).unsigned_abs();
        let gaps = u32::try_from(tally.count.saturating_sub(1)).unwrap_or(u32::MAX);
        let usual = span.checked_div(gaps).unwrap_or_default();
        let quiet = usual.saturating_mul(3).clamp(self.quiet, self.quiet.max(LONGEST_QUIET));
        later(tally.newest, quiet)
    }
}

/// Whether the number of failures has reached the next power of ten since it was last told.
pub(super) fn has_leapt(named: u64, count: u64) -> bool {
    count >= 10 && count.ilog10() > named.max(1).ilog10()
}

impl Mute {
    /// Whether it still holds back what is new.
    pub fn holds(&self, now: Timestamp, count: u64) -> bool {
        now < self.until && count < self.count.max(1).saturating_mul(MUTE_LIFTS_AT)
    }
}

impl Episode {
    /// Whether its alert and its updates are held back.
    pub fn is_muted(&self, now: Timestamp, count: u64) -> bool {
        self.mute.as_ref().is_some_and(|mute| mute.holds(now, count))
    }
}

/// A time plus a pause, as far as there is time.
pub(crate) fn later(at: Timestamp, pause: Duration) -> Timestamp {
    let milliseconds = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
    let at = at.as_millisecond().saturating_add(milliseconds);
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn the_ladder_ends_with_its_last_step_again_and_again() {
        let minutes = |number| Schedule::default().after(number).as_secs() / 60;
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 99].map(minutes), [1, 5, 15, 60, 240, 1440, 1440, 1440]);
    }

    #[test]
    fn a_leap_is_the_next_power_of_ten() {
        for (named, count, leaps) in
            [(1, 9, false), (1, 10, true), (10, 99, false), (12, 100, true), (5, 2_000, true), (0, 1, false)]
        {
            assert_eq!(has_leapt(named, count), leaps, "{named} to {count}");
        }
    }

    #[test]
    fn rare_failures_take_longer_to_be_over() {
        let schedule = Schedule::default();
        let tally = |count, newest| Tally {
            count,
            inferred: 0,
            withdrawn: 0,
            unnamed: 0,
            oldest: at(0),
            newest: at(newest),
        };
        assert_eq!(schedule.quiet_from(&tally(1, 0)), at(3_600));
        assert_eq!(schedule.quiet_from(&tally(100, 60)), at(3_660));
        assert_eq!(schedule.quiet_from(&tally(2, 7_200)), at(7_200 + 3 * 7_200));
        assert_eq!(schedule.quiet_from(&tally(2, 1_000_000)), at(1_000_000 + 86_400));
    }

    #[test]
    fn a_mute_ends_by_itself_and_at_ten_times_the_failures() {
        let mute = Mute { until: at(100), by: String::new(), reason: String::new(), count: 3 };
        assert!(mute.holds(at(99), 29));
        assert!(!mute.holds(at(100), 3) && !mute.holds(at(99), 30));
    }
}
