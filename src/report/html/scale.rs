//! Where a moment lies between the first and the last, and the marks in between.

use jiff::Timestamp;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Marks at most, the one at the beginning not counted.
const MARKS: i64 = 5;

/// Distances between marks that people count in, in milliseconds.
const STEPS: &[i64] = &[
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    5 * DAY,
    10 * DAY,
    30 * DAY,
    100 * DAY,
    365 * DAY,
];

/// A stretch of time on a line of the length 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    from: i64,
    /// In milliseconds, never 0.
    length: i64,
}

impl Scale {
    /// From the first of these moments to the last; `None` without any.
    pub(super) fn over(moments: impl Iterator<Item = Timestamp>) -> Option<Self> {
        let (from, to) = moments.map(Timestamp::as_millisecond).fold(None, |range, at| {
            Some(range.map_or((at, at), |(from, to): (i64, i64)| (from.min(at), to.max(at))))
        })?;
        Some(Self { from, length: (to - from).max(1) })
    }

    /// Where a moment lies, from 0 to 1.
    pub(super) fn place(self, at: Timestamp) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a bar is a few hundred pixels long")]
        let place = (at.as_millisecond() - self.from) as f64 / self.length as f64;
        place.clamp(0.0, 1.0)
    }

    /// The marks: where each lies, and what it says.
    pub(super) fn marks(self) -> Vec<(f64, String)> {
        let fits = |step: &i64| self.length / step <= MARKS;
        let longest = STEPS[STEPS.len() - 1];
        let step =
            STEPS.iter().copied().find(|step| fits(step)).unwrap_or((self.length / MARKS).max(longest));
        let count = self.length / step;
        #[expect(clippy::cast_precision_loss, reason = "a mark lies within a pixel of where it should")]
        let place = |number: i64| (number * step) as f64 / self.length as f64;
        (0..=count).map(|number| (place(number), label(number * step, step))).collect()
    }
}

/// `0`, `50 ms`, `1.5 s`, `90 min`: in the unit of the step.
fn label(millis: i64, step: i64) -> String {
    match step {
        _ if millis == 0 => "0".to_owned(),
        DAY.. => format!("{} d", millis / DAY),
        HOUR.. => format!("{} h", millis / HOUR),
        MINUTE.. => format!("{} min", millis / MINUTE),
        SECOND.. => format!("{} s", millis / SECOND),
        100.. => format!("{}.{} s", millis / SECOND, millis % SECOND / 100),
        _ => format!("{millis} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(millis: &[i64]) -> Scale {
        Scale::over(millis.iter().map(|millis| Timestamp::from_millisecond(*millis).unwrap())).unwrap()
    }

    #[test]
    fn marks_are_few_and_round() {
        let labels =
            |to| -> Vec<String> { over(&[0, to]).marks().into_iter().map(|(_, said)| said).collect() };
        assert_eq!(labels(7), ["0", "2 ms", "4 ms", "6 ms"]);
        assert_eq!(labels(1_507), ["0", "0.5 s", "1.0 s", "1.5 s"]);
        assert_eq!(labels(61_000), ["0", "15 s", "30 s", "45 s", "60 s"]);
        assert_eq!(labels(2 * HOUR), ["0", "30 min", "60 min", "90 min", "120 min"]);
        assert_eq!(labels(3 * 365 * DAY), ["0", "365 d", "730 d", "1095 d"]);
        assert!(labels(8_000 * 365 * DAY).len() <= 6);
    }

    #[test]
    fn one_moment_or_moments_in_any_order_make_a_scale() {
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        assert_eq!(over(&[5]).place(at(5)), 0.0);
        assert_eq!(over(&[10, -10, 0]).place(at(0)), 0.5);
        assert_eq!(over(&[0, 10]).place(at(99)), 1.0);
        assert!(Scale::over(std::iter::empty()).is_none());
    }
}
