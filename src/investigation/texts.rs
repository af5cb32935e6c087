//! How much text is kept of one history.
//!
//! Inputs, errors and causes are most of a history's bytes. The newest ones matter most and are
//! kept whole up to a limit; older ones keep their beginnings.

use crate::history::{EventType, History, HistoryEvent};

/// How many bytes of a text are kept beyond the limit.
const BEGINNING: usize = 512;

/// Keeps the texts of a history's events up to a limit. Takes the newest event first.
pub(super) struct TextLimit {
    limit: u64,
    kept: u64,
    cut: usize,
}

impl TextLimit {
    /// Keeps `limit` bytes, of which the execution's input is not counted.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, kept: 0, cut: 0 }
    }

    /// Cuts the event's texts where the limit is reached.
    pub(super) fn keep(&mut self, event: &mut HistoryEvent) {
        if event.event_type == EventType::ExecutionStarted {
            return;
        }
        let details = &mut event.details;
        let texts = [&mut details.input, &mut details.output, &mut details.error, &mut details.cause];
        for text in texts.into_iter().flatten() {
            if self.kept + text.len() as u64 > self.limit && text.len() > BEGINNING {
                text.truncate(text.floor_char_boundary(BEGINNING));
                text.push('…');
                text.shrink_to_fit();
                self.cut += 1;
            }
            self.kept += text.len() as u64;
        }
    }

    /// Notes on the history what was cut.
    pub(super) fn noted(&self, history: History) -> History {
        match self.cut {
            0 => history,
            cut => history.noted(format!(
                "{cut} older inputs and causes were cut to {BEGINNING} bytes: together the texts of this history have \
                 more than the {} KiB that one report may keep.",
                self.limit / 1_024
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Details;

    fn event(event_type: &str, input: &str) -> HistoryEvent {
        HistoryEvent {
            id: 1,
            previous_event_id: 0,
            timestamp: None,
            event_type: EventType::parse(event_type),
            details: Details { input: Some(input.to_owned()), ..Details::default() },
        }
    }

    #[test]
    fn the_newest_texts_stay_whole_and_older_ones_keep_their_beginning() {
        let mut texts = TextLimit::new(10_000);
        let long = "ä".repeat(2_000);
        let inputs: Vec<String> = (0..4)
            .map(|_| {
                let mut event = event("TaskStateEntered", &long);
                texts.keep(&mut event);
                event.details.input.unwrap()
            })
            .collect();
        assert_eq!(inputs[..2], [long.clone(), long.clone()]);
        assert_eq!(inputs[2], format!("{}…", "ä".repeat(256)));
        assert_eq!(inputs[2], inputs[3]);
        let noted = texts.noted(History::newest(Vec::new()));
        assert!(noted.notes()[0].starts_with("2 older inputs and causes were cut"), "{:?}", noted.notes());
    }

    #[test]
    fn the_execution_s_own_input_stays_whole() {
        let mut texts = TextLimit::new(10);
        let mut started = event("ExecutionStarted", &"x".repeat(1_000));
        texts.keep(&mut started);
        assert_eq!(started.details.input.map(|input| input.len()), Some(1_000));
        assert_eq!(texts.noted(History::default()).notes(), [] as [&str; 0]);
    }
}
