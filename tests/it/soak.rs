//! The real binary over many messages, over none, and before closed doors: what it holds must not
//! grow, and waiting must cost next to nothing.
//!
//! `make test` runs a short form; `make soak` sets `SOAK_MESSAGES` and `SOAK_SECONDS` and runs a
//! release build. Linux only, since the figures come from `/proc`.

mod payload;
mod process;
mod surroundings;

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::support::gate::Gate;
use process::Worker;
use surroundings::Surroundings;

/// The short form: as many as fill what is remembered of answered notifications, and as many again.
const MESSAGES: usize = 10_000;

/// How long each quiet state is measured in the short form.
const SECONDS: u64 = 5;

/// Up to here memory may grow: the 10,000 answered notifications that are remembered stand for half
/// as many messages, and allocators take their time.
const WARM_UP: f64 = 0.5;

/// How much memory a message may leave behind, in bytes. Its body, handle and report have thousands.
const LEFT_BEHIND: f64 = 64.0;

/// What the shorter run cannot tell from an allocator's steps, in bytes a message.
const BLUR: f64 = 4_000_000.0;

/// How much of a core waiting may cost, in percent; more in a build that is not optimised.
const NEXT_TO_NOTHING: f64 = if cfg!(debug_assertions) { 5.0 } else { 1.0 };

/// Without any progress for as long as this, the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
struct Sample {
    messages: f64,
    /// In KiB.
    memory: f64,
    descriptors: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_descriptors_stay_flat_over_many_messages() {
    let messages = from_environment("SOAK_MESSAGES", MESSAGES);
    let surroundings = Surroundings::start().await;
    let mut worker = Worker::start(surroundings.url(), surroundings.url());
    surroundings.send(messages);
    let began = Instant::now();
    let samples = samples(&surroundings, &worker, messages).await;
    let took = began.elapsed().as_secs_f64();
    let cpu = worker.cpu();
    assert_eq!(worker.stop().await, Some(0));
    assert_eq!(surroundings.not_told_once(), [], "each audience is notified once of each message");

    let warm: Vec<Sample> =
        samples.iter().copied().filter(|sample| sample.messages > WARM_UP * messages as f64).collect();
    let slope = slope(&warm.iter().map(|sample| (sample.messages, sample.memory)).collect::<Vec<_>>());
    let left_behind = slope * 1024.0;
    let range = |of: fn(&Sample) -> f64| {
        let values = warm.iter().map(of);
        (values.clone().fold(f64::MAX, f64::min), values.fold(0.0, f64::max))
    };
    let (memory, descriptors) = (range(|sample| sample.memory), range(|sample| sample.descriptors as f64));
    println!(
        "soak: {messages} messages in {took:.0} s, {:.0} a second, {:.2} ms of CPU each; in the second half \
         {:.1} to {:.1} MiB resident, {left_behind:.1} bytes more a message, {} to {} file descriptors ({} samples)",
        messages as f64 / took,
        1_000.0 * cpu / messages as f64,
        memory.0 / 1024.0,
        memory.1 / 1024.0,
        descriptors.0,
        descriptors.1,
        warm.len(),
    );
    assert!(warm.len() >= 5, "{samples:?}");
    let bound = LEFT_BEHIND.max(BLUR / messages as f64);
    assert!(left_behind < bound, "{left_behind} bytes a message are left behind, {bound} at most: {warm:?}");
    // One connection a message in hand and service, and some that wait to be closed.
    let most = 3 * 32 + 50;
    assert!(descriptors.1 < most as f64, "{} file descriptors, {most} at most: {warm:?}", descriptors.1);
}

/// Watches the worker until every failure was delivered and deleted.
async fn samples(surroundings: &Surroundings, worker: &Worker, messages: usize) -> Vec<Sample> {
    let every = if messages > MESSAGES { Duration::from_secs(2) } else { Duration::from_millis(250) };
    let mut samples: Vec<Sample> = Vec::new();
    let mut moved = (0, Instant::now());
    loop {
        let deleted = surroundings.progress().deleted;
        samples.push(Sample {
            messages: deleted as f64,
            memory: worker.memory(),
            descriptors: worker.descriptors(),
        });
        if deleted == messages {
            return samples;
        }
        if deleted > moved.0 {
            moved = (deleted, Instant::now());
        }
        assert!(moved.1.elapsed() < PATIENCE, "stuck after {deleted} messages");
        sleep(every).await;
    }
}

/// The memory budget that the worker has by default, in MiB.
const BUDGET: f64 = (misstep::memory::DEFAULT / misstep::memory::MIB) as f64;

/// What a worker may take beside its budget, in MiB: the program itself, the messages in hand and the
/// requests that notify of them, and what an allocator keeps.
const OVERHEAD: f64 = 150.0;

/// The states of an execution with large payloads.
const STATES: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_within_its_budget_whatever_the_payloads() {
    let messages = from_environment("SOAK_LARGE_MESSAGES", 32);
    for kib in [100, 256] {
        let surroundings = Surroundings::with(&payload::history(STATES, kib * 1_024)).await;
        let mut worker = Worker::start(surroundings.url(), surroundings.url());
        surroundings.send(messages);
        let began = Instant::now();
        until(&surroundings, |progress| progress.deleted == messages).await;
        let took = began.elapsed().as_secs_f64();
        let (peak, left) = (worker.peak_memory(), worker.memory() / 1024.0);
        println!(
            "large payloads: {messages} failures of {STATES} states with {kib} KiB each, 32 in hand, in {took:.1} s: \
             {peak:.0} MiB at the most, {left:.0} MiB afterwards; the budget is {BUDGET:.0} MiB"
        );
        assert_eq!(worker.stop().await, Some(0));
        assert_eq!(surroundings.not_told_once(), []);
        assert!(peak < BUDGET + OVERHEAD, "{peak} MiB, {BUDGET} and {OVERHEAD} are allowed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_costs_next_to_no_cpu() {
    let over = Duration::from_secs(from_environment("SOAK_SECONDS", SECONDS));
    let surroundings = Surroundings::start().await;
    let (mut aws, mut api) = tokio::join!(Gate::before(surroundings.url()), Gate::before(surroundings.url()));
    let mut worker = Worker::start(&aws.url(), &api.url());
    surroundings.send(10);
    until(&surroundings, |progress| progress.deleted == 10).await;
    let idle = worker.load(over).await;

    api.shut().await;
    surroundings.send(10);
    until(&surroundings, |progress| progress.in_flight > 0).await;
    let without_api = worker.load(over).await;
    assert_eq!(surroundings.progress().notifications, 20);
    api.open();
    until(&surroundings, |progress| progress.deleted == 20).await;

    aws.shut().await;
    let without_queue = worker.load(over).await;
    aws.open();
    surroundings.send(1);
    until(&surroundings, |progress| progress.deleted == 21).await;
    assert_eq!(worker.stop().await, Some(0));
    assert_eq!(surroundings.not_told_once(), []);
    println!(
        "quiet: of a core over {over:?} each: {idle:.2} % idle, {without_api:.2} % with messages in hand and the \
         API gone, {without_queue:.2} % with AWS gone"
    );
    for load in [idle, without_api, without_queue] {
        assert!(load < NEXT_TO_NOTHING, "{load} % of a core, {NEXT_TO_NOTHING} at most");
    }
}

/// Waits until the surroundings are as they should be.
async fn until(surroundings: &Surroundings, holds: impl Fn(surroundings::Progress) -> bool) {
    let mut moved = (surroundings.progress(), Instant::now());
    while !holds(surroundings.progress()) {
        let progress = surroundings.progress();
        if progress != moved.0 {
            moved = (progress, Instant::now());
        }
        assert!(moved.1.elapsed() < PATIENCE, "stuck at {progress:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn from_environment<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The slope of the line that fits best, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let along: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    along / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

#[test]
fn a_leak_shows_in_the_slope() {
    let leaking = |message: f64| 50_000.0 + 3.0 * message + if message % 2.0 == 0.0 { 40.0 } else { -40.0 };
    let points: Vec<(f64, f64)> =
        (0..100).map(|at| f64::from(at) * 7.0).map(|at| (at, leaking(at))).collect();
    assert!((slope(&points) - 3.0).abs() < 0.1, "{}", slope(&points));
    assert!(slope(&[(0.0, 5.0), (1.0, 5.0), (2.0, 5.0)]).abs() < 1e-9);
}
