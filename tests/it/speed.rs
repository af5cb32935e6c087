//! How long the analysis takes, against the typed parse of the same bytes.
//!
//! The yardstick is `serde_json` filling a plain struct with what every event has, details skipped:
//! the least that any reader of a history must do. `cargo bench` runs the same in a release build.

use std::hint::black_box;
use std::time::Duration;

use misstep::analysis::{Question, analyse};
use misstep::history::file;
use serde::Deserialize;
use tokio::time::Instant;

use crate::support::synth::{History, big_map, long};

/// What the yardstick reads.
#[derive(Deserialize)]
#[expect(dead_code, reason = "they are read to be timed")]
#[serde(rename_all = "camelCase")]
struct Event {
    id: i64,
    previous_event_id: Option<i64>,
    timestamp: String,
    r#type: String,
}

#[derive(Deserialize)]
struct Export {
    events: Vec<Event>,
}

/// The figures of one history.
pub struct Row {
    pub kind: &'static str,
    pub events: usize,
    pub typed_parse: Duration,
    pub own_parse: Duration,
    pub analysis: Duration,
}

impl Row {
    /// How many times as long as the yardstick the analysis takes.
    pub fn ratio(&self) -> f64 {
        self.analysis.as_secs_f64() / self.typed_parse.as_secs_f64()
    }

    /// The least of each figure.
    #[cfg(test)]
    fn least_of(self, other: &Self) -> Self {
        Self {
            typed_parse: self.typed_parse.min(other.typed_parse),
            own_parse: self.own_parse.min(other.own_parse),
            analysis: self.analysis.min(other.analysis),
            ..self
        }
    }

    pub fn print(&self) {
        println!(
            "{:>14} {:>6} events  typed parse {:>8.2} ms  own parse {:>8.2} ms  analysis {:>8.2} ms  ratio {:.2}",
            self.kind,
            self.events,
            self.typed_parse.as_secs_f64() * 1e3,
            self.own_parse.as_secs_f64() * 1e3,
            self.analysis.as_secs_f64() * 1e3,
            self.ratio()
        );
    }
}

/// Measures histories of 1,000, 5,000 and 25,000 events: one state after the other, and one Map
/// with very many iterations at once.
pub fn measure(runs: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    for events in [1_000, 5_000, 25_000] {
        rows.push(row("in sequence", &long(events).history(1), runs));
        rows.push(row("concurrent Map", &big_map(events).history(1), runs));
    }
    rows
}

fn row(kind: &'static str, history: &History, runs: u32) -> Row {
    let bytes = history.json().to_string().into_bytes();
    let parsed = file::parse(&bytes).unwrap();
    Row {
        kind,
        events: parsed.events().len(),
        typed_parse: least(runs, || serde_json::from_slice::<Export>(&bytes).unwrap().events.len()),
        own_parse: least(runs, || file::parse(&bytes).unwrap().events().len()),
        analysis: least(runs, || analyse(&parsed, &Question::default()).steps.len()),
    }
}

/// The least of several runs: what disturbs a run only ever lengthens it.
fn least<T>(runs: u32, work: impl Fn() -> T) -> Duration {
    let run = || {
        let began = Instant::now();
        black_box(work());
        began.elapsed()
    };
    (0..runs).map(|_| run()).min().unwrap()
}

/// How many times as long an event takes in the longest history of a kind as in one of a fifth of it.
/// Quadratic growth would make it five.
#[cfg(test)]
fn growth(rows: &[Row], kind: &str) -> f64 {
    let per_event = |row: &Row| row.analysis.as_secs_f64() / row.events as f64;
    let of_kind: Vec<f64> = rows.iter().filter(|row| row.kind == kind).map(per_event).collect();
    of_kind[2] / of_kind[1]
}

#[cfg(test)]
#[test]
fn the_analysis_takes_at_most_twice_the_typed_parse_and_grows_with_the_events_only() {
    let mut rows = measure(5);
    let faults = |rows: &[Row]| {
        let ratios = rows.iter().map(Row::ratio).filter(|ratio| *ratio > 2.0).count();
        ratios + ["in sequence", "concurrent Map"].iter().filter(|kind| growth(rows, kind) >= 3.0).count()
    };
    // A busy machine may have lengthened every run of one row; the least of more of them is nearer.
    for _ in 0..5 {
        if faults(&rows) > 0 {
            rows = rows.into_iter().zip(measure(5)).map(|(row, again)| row.least_of(&again)).collect();
        }
    }
    rows.iter().for_each(Row::print);
    assert_eq!(faults(&rows), 0);
}
