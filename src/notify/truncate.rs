//! Cuts a notification to the limit of its channel: inputs first, the answer last.
//!
//! What was cut is named in `analysis.truncated` by its path, with `[]` for every element of a
//! list. Long texts lose their ends, the longest first; only when that is not enough do lists lose
//! their last elements. What may be cut when stands beside each field, in [`crate::report::fields`].

use std::collections::BTreeSet;

use crate::report::fields::{Cut, Field, ListField, Rank, STEPS, Shorten, Visitor};
use crate::report::notice::Notice;

/// Texts are cut down to no less than this, in bytes as JSON, as long as anything else is left.
const SHORTEST: usize = 128;

/// And to these when nothing else is left.
const SHORTER: [usize; 3] = [64, 32, 16];

/// How many lists may be cut, one after the other.
const LISTS: u8 = 10;

/// Cuts `notice` until its `size` is at most `most` bytes. Always ends; with a bound too small
/// for even the bare frame, what is left is the frame.
pub fn truncate(notice: &mut Notice<'_>, most: usize, size: impl Fn(&Notice<'_>) -> usize) {
    if size(notice) <= most {
        return;
    }
    for rank in [Rank::Input, Rank::Detail, Rank::Answer] {
        let mut limit = longest(notice, rank);
        while limit > SHORTEST {
            limit = (limit / 2).max(SHORTEST);
            shorten(notice, limit, |of| of == rank);
            if size(notice) <= most {
                return;
            }
        }
        // The last log lines are more useful than an input, and less than a cause.
        while rank == Rank::Input && cut_lists(notice, Cut::Oldest) {
            if size(notice) <= most {
                return;
            }
        }
    }
    shorten(notice, SHORTEST, |rank| rank <= Rank::Bounded);
    if size(notice) <= most {
        return;
    }
    for list in 0..LISTS {
        while cut_lists(notice, Cut::Last(list)) {
            if size(notice) <= most {
                return;
            }
        }
    }
    let last = SHORTER.map(|limit| (limit, Rank::Bounded));
    let very_last = [SHORTEST].into_iter().chain(SHORTER).map(|limit| (limit, Rank::Identity));
    for (limit, most_important) in last.into_iter().chain(very_last) {
        shorten(notice, limit, |rank| rank <= most_important);
        if size(notice) <= most {
            return;
        }
    }
}

/// The longest text of a rank, in bytes as JSON.
fn longest(notice: &mut Notice<'_>, rank: Rank) -> usize {
    struct Longest(Rank, usize);
    impl Visitor for Longest {
        fn text(&mut self, field: Field, text: &mut String) {
            if field.rank == self.0 {
                self.1 = self.1.max(text.chars().map(encoded).sum());
            }
        }
    }
    let mut longest = Longest(rank, 0);
    notice.visit(&mut longest);
    longest.1
}

/// Shortens every text of these ranks that is too long.
fn shorten(notice: &mut Notice<'_>, limit: usize, is_cut: impl Fn(Rank) -> bool) {
    struct Shortener<F> {
        limit: usize,
        is_cut: F,
        cut: BTreeSet<&'static str>,
    }
    impl<F: Fn(Rank) -> bool> Visitor for Shortener<F> {
        fn text(&mut self, field: Field, text: &mut String) {
            if (self.is_cut)(field.rank) && shorten_text(text, self.limit) {
                self.cut.insert(field.path);
            }
        }
    }
    let mut shortener = Shortener { limit, is_cut, cut: BTreeSet::new() };
    notice.visit(&mut shortener);
    for path in shortener.cut {
        name(notice, path);
    }
}

fn shorten_text(text: &mut String, limit: usize) -> bool {
    let mut size = 0;
    let too_far = |(_, char): &(usize, char)| {
        size += encoded(*char);
        size > limit
    };
    let Some((end, _)) = text.char_indices().find(too_far) else { return false };
    text.truncate(end);
    text.push('…');
    true
}

/// The bytes of a character in JSON.
fn encoded(char: char) -> usize {
    match char {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        char if char < ' ' => 6,
        char => char.len_utf8(),
    }
}

/// Drops half of the lists that are cut so; `false` if nothing was left to drop.
fn cut_lists(notice: &mut Notice<'_>, cut: Cut) -> bool {
    struct Halver {
        cut: Cut,
        halved: BTreeSet<&'static str>,
    }
    impl Visitor for Halver {
        fn text(&mut self, _field: Field, _text: &mut String) {}

        fn list(&mut self, field: ListField, list: &mut dyn Shorten) {
            let length = list.length();
            if field.cut != self.cut || length == 0 {
                return;
            }
            if self.cut == Cut::Oldest {
                list.drop_first(length.div_ceil(2));
            } else {
                list.keep_first(length / 2);
            }
            self.halved.insert(field.path);
        }
    }
    if cut == STEPS.cut {
        return halve_steps(notice);
    }
    let mut halver = Halver { cut, halved: BTreeSet::new() };
    notice.visit(&mut halver);
    for path in &halver.halved {
        name(notice, path);
    }
    !halver.halved.is_empty()
}

/// Drops half of the steps, but never the failed state's.
fn halve_steps(notice: &mut Notice<'_>) -> bool {
    let report = notice.report_mut();
    let failed = report.analysis.failed_state.as_ref().map(|failed| &failed.name);
    let steps = &mut report.event_details.steps;
    let before = steps.len();
    let mut kept = before / 2;
    if let Some(failed) = steps.iter().position(|step| Some(&step.name) == failed) {
        kept = kept.max(1);
        steps.swap(failed.min(kept - 1), failed);
    }
    steps.truncate(kept);
    let is_shorter = steps.len() < before;
    if is_shorter {
        name(notice, STEPS.path);
    }
    is_shorter
}

/// Says in the report that something of this path was cut.
fn name(notice: &mut Notice<'_>, path: &str) {
    let truncated = &mut notice.report_mut().analysis.truncated;
    if !truncated.iter().any(|known| known == path) {
        truncated.push(path.to_owned());
    }
}

#[cfg(test)]
mod tests;
