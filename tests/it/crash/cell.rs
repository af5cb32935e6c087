//! One cell: something happens at one point, and in the end nothing is lost.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;

use misstep::failpoint::Point;

use super::world::{AUDIENCES, Told, World};
use crate::support::execution;
use crate::support::receiver::Answer;
use crate::support::worker_process::WorkerProcess;

const FAILURES: usize = 3;

/// A notification of every failure for both audiences.
pub(super) const NEEDED: usize = FAILURES * AUDIENCES.len();

const POISON: &str = "not an event of anything";

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Kill,
    Terminate,
    TerminateTwice,
    Panic,
    Hang,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) notifications: usize,
    pub(super) dead_letters: usize,
}

impl Action {
    pub(super) const ALL: [Self; 5] =
        [Self::Kill, Self::Terminate, Self::TerminateTwice, Self::Panic, Self::Hang];

    /// As the failpoint knows it. A hang outlasts two visibility timeouts.
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Terminate => "term",
            Self::TerminateTwice => "term-twice",
            Self::Panic => "panic",
            Self::Hang => "hang:7",
        }
    }

    /// How many notifications it may cause to be sent again.
    fn most_duplicates(self, point: Point) -> usize {
        match (self, point) {
            // Nobody was notified of anything yet.
            (_, Point::Received) => 0,
            // Whatever was in hand may have been delivered, and nobody remembers.
            (Self::Kill | Self::TerminateTwice, _) => NEEDED,
            // Given back since one audience could not be notified; the next process does not know that the
            // other one was.
            (Self::Terminate, Point::ReleaseSending | Point::ReleaseAnswered) => FAILURES - 1,
            // What is under way for one failure ends with the panic.
            (Self::Panic, Point::NotificationSending(_) | Point::NotificationAnswered(_)) => AUDIENCES.len(),
            // The process goes on and remembers whom it notified.
            (Self::Panic | Self::Terminate | Self::Hang, _) => 0,
        }
    }

    /// How many copies of one message the dead-letter queue may get.
    fn most_dead_letters(self, point: Point) -> usize {
        match (self, point) {
            (Self::Terminate, _) => 1,
            // The message comes back after its copy was sent, or while it is.
            (_, Point::DeadLetterAnswered) | (Self::Hang, Point::DeadLetterSending) => 2,
            _ => 1,
        }
    }
}

/// Plays a cell, and fails where anything is lost or unexplained.
pub(super) async fn play(point: Point, action: Action) -> Counted {
    let world = World::start(FAILURES).await;
    let poison = prepare(&world, point);
    let gate = hold_for_a_renewal(&world, point);
    let worker = world.worker(Some(&format!("{}={}", point.name(), action.name())));
    worker.wait_for_log(&[&format!("\"failpoint\":\"{}\"", point.name())]).await;
    drop(gate);
    if is_release(point) {
        world.receiver.recover();
    }
    let mut last = outcome(&world, point, action, worker).await;
    // Before this it might know nothing of signals yet.
    last.wait_for_log(&["\"message\":\"worker started\""]).await;
    world.wait_until_empty().await;
    assert_eq!(last.stop().await, Some(0));
    check(&world, point, action, poison)
}

/// Brings about what the point needs; returns how many messages can never pass.
fn prepare(world: &World, point: Point) -> usize {
    match point {
        Point::DeadLetterSending | Point::DeadLetterAnswered => {
            world.sqs.send("failures", POISON);
            1
        }
        Point::ReleaseSending | Point::ReleaseAnswered => {
            world.refuse_developers();
            0
        }
        _ => 0,
    }
}

/// A message is in hand until its lease is renewed: its notification waits for the gate.
fn hold_for_a_renewal(world: &World, point: Point) -> Option<tokio::sync::oneshot::Sender<()>> {
    matches!(point, Point::RenewalSending | Point::RenewalAnswered).then(|| {
        let (gate, held) = Answer::status(204).held();
        world.receiver.answer([held]);
        gate
    })
}

fn is_release(point: Point) -> bool {
    matches!(point, Point::ReleaseSending | Point::ReleaseAnswered)
}

/// The end of the worker, where the action ends it, as it should be; returns the one that goes on.
async fn outcome(world: &World, point: Point, action: Action, mut worker: WorkerProcess) -> WorkerProcess {
    match action {
        Action::Panic | Action::Hang => return worker,
        Action::Kill => assert_eq!(worker.ended().await.signal(), Some(9)),
        Action::TerminateTwice => assert_eq!(worker.ended().await.code(), Some(130)),
        Action::Terminate => {
            assert_eq!(worker.ended().await.code(), Some(0));
            // What is released with a delay is counted as in flight until it ends.
            if !is_release(point) {
                assert_eq!(world.sqs.counts("failures").in_flight, 0);
            }
        }
    }
    world.worker(None)
}

fn check(world: &World, point: Point, action: Action, poison: usize) -> Counted {
    let told = world.told();
    let kinds: BTreeSet<&Told> = told.iter().collect();
    let pairs: BTreeSet<(String, &str)> =
        kinds.iter().map(|told| (told.execution.clone(), told.audience.as_str())).collect();
    let needed = (0..FAILURES).flat_map(|number| AUDIENCES.map(|audience| (execution(number), audience)));
    assert_eq!(pairs, needed.collect());
    assert_eq!(kinds.len(), NEEDED, "a failure has one key for an audience: {told:#?}");
    let duplicates = told.len() - NEEDED;
    assert!(duplicates <= action.most_duplicates(point), "{told:#?}");
    let dead = world.sqs.messages("dead");
    assert!(dead.iter().all(|message| message.body == POISON), "{dead:#?}");
    let dead_letters = dead.len();
    assert!(
        (poison..=poison * action.most_dead_letters(point)).contains(&dead_letters),
        "{dead_letters} dead letters"
    );
    Counted { notifications: told.len(), dead_letters }
}
