//! All cells, several at a time.

use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use misstep::failpoint::{Point, VARIABLE};
use tokio::time::Instant;

use super::cell::{Action, play};
use super::table::Table;

/// Names the file that the table is written to.
const WRITE_TO: &str = "CRASH_MATRIX";

/// Names the one point that is played, for whoever looks for a fault.
const ONLY: &str = "CRASH_POINT";

/// Cells that are played at once; they mostly wait.
const AT_ONCE: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_whatever_happens_at_any_step() {
    assert_eq!(VARIABLE, super::VARIABLE);
    let began = Instant::now();
    let only = std::env::var(ONLY).ok();
    let points: Vec<Point> = Point::ALL
        .into_iter()
        .filter(|point| only.as_deref().is_none_or(|only| only == point.name()))
        .collect();
    let cells = points.iter().flat_map(|point| Action::ALL.map(|action| (*point, action)));
    let played: Vec<_> = stream::iter(cells)
        .map(|(point, action)| async move {
            let counted = AssertUnwindSafe(play(point, action)).catch_unwind().await;
            if counted.is_err() {
                println!("^ {} x {action:?}", point.name());
            }
            (point, action, counted.ok())
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let table = Table { points, cells: played, took: began.elapsed() }.to_string();
    println!("{table}");
    assert!(!table.contains("FAILED"), "see above");
    if let Ok(path) = std::env::var(WRITE_TO) {
        std::fs::write(path, table).unwrap();
    }
}
