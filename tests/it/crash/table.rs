//! The matrix as Markdown.

use std::fmt;
use std::time::Duration;

use misstep::failpoint::Point;

use super::cell::{Action, Counted, NEEDED};

/// What was played, and how long it took.
pub(super) struct Table {
    pub(super) points: Vec<Point>,
    pub(super) cells: Vec<(Point, Action, Option<Counted>)>,
    pub(super) took: Duration,
}

const EXPLANATION: &str = "\
The real binary on a loopback SQS (visibility timeout 3 s), Step Functions (histories of two pages)
and notification API, with three failures on the queue: six notifications are needed. At the point
in the first column one thing happens once: the process is killed with SIGKILL, stopped with
SIGTERM, sent SIGTERM twice, panics, or hangs for 7 s, longer than two visibility timeouts. A process that ended
is started again without the fault. In every cell both audiences were notified of each failure, the queue ended empty,
and after an orderly stop only messages released with a delay were in flight.

A cell has the number of notifications, and of duplicates among them in brackets; each duplicate has the
`Idempotency-Key` of the first. Duplicates come from a process that ended or
panicked between a notification and its delete, and from one that released a message after one of its
two notifications: the next process does not know about that one. The timing varies
from run to run. The two `dead-letter` rows have one more message, which misstep cannot understand, and show how many
copies the dead-letter queue got: a second copy if the message came back before its delete.

`…-sending` is just before a call, `…-answered` is when the call has had its effect and the worker has not
processed the answer. In the `release` rows notifications were refused for a while, in the `renewal`
rows one was answered late.
";

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d");
        let took = self.took.as_secs();
        let cells = self.cells.len();
        writeln!(
            f,
            "# The crash matrix\n\nWritten by `make crash-matrix` on {date} in {took} s for {cells} cells; {}.\n",
            machine()
        )?;
        writeln!(f, "{EXPLANATION}")?;
        writeln!(f, "| at | SIGKILL | SIGTERM | SIGTERM twice | panic | hang |\n|---|---|---|---|---|---|")?;
        for row in &self.points {
            write!(f, "| {} |", row.name())?;
            for (_, _, counted) in self.cells.iter().filter(|(point, _, _)| point == row) {
                write!(f, " {} |", shown(*counted))?;
            }
            writeln!(f)?;
        }
        let counted = || self.cells.iter().filter_map(|(_, _, counted)| *counted);
        let notifications: usize = counted().map(|counted| counted.notifications).sum();
        let duplicates = notifications - NEEDED * counted().count();
        writeln!(f, "\nIn all: {notifications} notifications, {duplicates} of them duplicates; 0 lost.")
    }
}

fn shown(counted: Option<Counted>) -> String {
    let Some(Counted { notifications, dead_letters }) = counted else { return "FAILED".to_owned() };
    let mut text = notifications.to_string();
    if notifications > NEEDED {
        text.push_str(&format!(" ({})", notifications - NEEDED));
    }
    match dead_letters {
        0 => {}
        1 => text.push_str(", 1 dead letter"),
        copies => text.push_str(&format!(", {copies} dead letters")),
    }
    text
}

/// Whatever is known of the processor.
fn machine() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unnamed processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{} on {cores} cores of {model}", std::env::consts::OS)
}
