//! What happens at a point that the environment names.

use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Point;

/// `POINT=ACTION`. The actions, each at the first arrival only: `kill` (SIGKILL), `term` (SIGTERM),
/// `term-twice`, `panic`, `hang` (30 s) and `hang:SECONDS`.
pub const VARIABLE: &str = "MISSTEP_FAILPOINT";

/// How long the process stays at the point after SIGTERM, so that the stop begins while it is there.
const STOP_BEGINS: Duration = Duration::from_millis(200);

/// How long it waits between signals until it is ended by them.
const SIGNAL_AGAIN: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy)]
enum Action {
    Kill,
    Terminate,
    TerminateTwice,
    Panic,
    Hang(Duration),
}

/// Says that a point was reached.
pub async fn reach(point: Point) {
    if let Some(action) = taken(point) {
        log_at_once(point, action);
        act(action).await;
    }
}

/// Writes a log line to standard error itself: the log has a thread of its own, and a process that is killed
/// does not wait for it.
fn log_at_once(point: Point, action: Action) {
    let action = format!("{action:?}");
    let line = serde_json::json!({ "level": "WARN", "message": "reached", "failpoint": point.name(), "action": action });
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).expect("standard error is open");
}

/// The action that the environment names for a point, once.
fn taken(point: Point) -> Option<Action> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let armed = std::env::var(VARIABLE).ok()?;
    let (name, action) = armed.split_once('=').expect("the failpoint is written POINT=ACTION");
    let known = Point::ALL.iter().chain(&Point::OF_INCIDENTS).chain(&Point::OF_SWEEP);
    assert!(known.into_iter().any(|point| point.name() == name), "{name} is no failpoint");
    let action = parse(action).expect("the failpoint's action is one of those documented");
    (name == point.name() && !TAKEN.swap(true, Ordering::SeqCst)).then_some(action)
}

fn parse(action: &str) -> Option<Action> {
    Some(match action {
        "kill" => Action::Kill,
        "term" => Action::Terminate,
        "term-twice" => Action::TerminateTwice,
        "panic" => Action::Panic,
        "hang" => Action::Hang(Duration::from_secs(30)),
        _ => Action::Hang(Duration::from_secs(action.strip_prefix("hang:")?.parse().ok()?)),
    })
}

async fn act(action: Action) {
    match action {
        Action::Kill => {
            signal("-KILL");
            std::future::pending().await
        }
        Action::Terminate => {
            signal("-TERM");
            tokio::time::sleep(STOP_BEGINS).await;
        }
        // Two signals that come together count as one, so they are sent until the second is heard.
        Action::TerminateTwice => loop {
            signal("-TERM");
            tokio::time::sleep(SIGNAL_AGAIN).await;
        },
        Action::Panic => panic!("a failpoint"),
        Action::Hang(time) => tokio::time::sleep(time).await,
    }
}

fn signal(name: &str) {
    let sent = Command::new("kill").args([name, &std::process::id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "{name} could not be sent");
}
