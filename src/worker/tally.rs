//! What became of the messages, counted by kind.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Counts by the name of an outcome.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<BTreeMap<&'static str, u64>>);

impl Tally {
    pub(super) fn add(&self, name: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
    }
}

impl fmt::Display for Tally {
    /// `given-back 2, notified 7`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.is_empty() {
            return f.write_str("none");
        }
        for (index, (name, count)) in counts.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_by_their_names() {
        let tally = Tally::default();
        assert_eq!(tally.to_string(), "none");
        for name in ["notified", "given-back", "notified"] {
            tally.add(name);
        }
        assert_eq!(tally.to_string(), "given-back 1, notified 2");
    }
}
