//! `make bench`: the real worker, and beside it the bare SDK loop, in front of the same endpoint on 127.0.0.1.
//!
//! The bare loop makes the worker's calls with the same clients and does nothing else: what it needs, any
//! worker needs. Both get the same messages, in turn, so that a busy machine disturbs both; the figures
//! that count are the ratios. With `BENCH_TABLE=1` a table shows how the worker's figures grow with
//! the history, the inputs and the messages in hand.

#![expect(clippy::unwrap_used, reason = "a bench that meets an error has failed")]
#![expect(clippy::print_stdout, reason = "figures are its result")]

mod bare;
mod endpoint;
mod history;
mod process;
#[path = "../../tests/it/redaction/worst.rs"]
mod worst;

use std::time::Duration;

use misstep::redact::{Redactor, Rules};
use misstep::report::{Report, Subject};
use tokio::time::{Instant, sleep};

use endpoint::Endpoint;
use history::Shape;
use process::{Contestant, Process};

/// Messages of a round.
const MESSAGES: usize = 5_000;

/// Messages that a contestant has for its start, which does not count.
const WARM_UP: usize = 300;

/// Rounds, each with both contestants.
const ROUNDS: usize = 5;

/// How long one row of the table is measured at the most.
const ROW: Duration = Duration::from_secs(4);

/// Nothing of this takes as long; then something is broken.
const LONGEST: Duration = Duration::from_secs(60);

/// The figures of one run.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// Messages a second.
    rate: f64,
    /// Milliseconds of CPU a message.
    cpu: f64,
    /// The most resident memory of a process, in MiB.
    memory: f64,
}

fn main() {
    if std::env::var_os(bare::MODE).is_some() {
        return bare::run();
    }
    // `cargo test --all-targets` runs it, too, and without this: that it compiles is enough then.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    // The endpoint and the clock need one core at the most.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match std::env::var("BENCH_TABLE") {
            Ok(_) => table().await,
            Err(_) => side_by_side().await,
        }
    });
}

async fn side_by_side() {
    let in_hand = number("BENCH_IN_HAND", 50);
    let messages = number("BENCH_MESSAGES", MESSAGES);
    let (mut worker, mut bare) = (Vec::new(), Vec::new());
    for round in 0..number("BENCH_ROUNDS", ROUNDS) {
        let mut order = [Contestant::Worker, Contestant::Bare];
        if round % 2 == 1 {
            order.reverse();
        }
        for contestant in order {
            let load = Load { shape: Shape::Chain(12), input: 0, in_hand, workers: 1 };
            let figures = run(contestant, load, messages, LONGEST).await;
            match contestant {
                Contestant::Worker => worker.push(figures),
                Contestant::Bare => bare.push(figures),
            }
        }
    }
    println!(
        "12 events, {in_hand} in hand, no latency; medians of {} rounds of {messages} messages",
        worker.len()
    );
    println!("{:>12} {:>12} {:>16} {:>10}", "", "messages/s", "CPU ms/message", "MiB");
    for (name, all) in [("misstep", &worker), ("bare loop", &bare)] {
        let Figures { rate, cpu, memory } = medians(all);
        println!("{name:>12} {rate:>12.0} {cpu:>16.3} {memory:>10.1}");
    }
    // Within a round, which a busy machine disturbs alike.
    let ratio = |of: fn(&Figures) -> f64| {
        median(worker.iter().zip(&bare).map(|(worker, bare)| of(worker) / of(bare)).collect())
    };
    println!(
        "{:>12} {:>12.2} {:>16.2} {:>10.2}",
        "ratio",
        ratio(|figures| figures.rate),
        ratio(|figures| figures.cpu),
        ratio(|figures| figures.memory)
    );
}

async fn table() {
    println!("{:>34} {:>12} {:>16} {:>10}", "", "messages/s", "CPU ms/message", "MiB");
    let usual = Load { shape: Shape::Chain(12), input: 0, in_hand: 50, workers: 1 };
    let mut rows: Vec<(String, Load)> = Vec::new();
    for events in [12, 100, 1_000, 5_000, 25_000] {
        rows.push((format!("{events} events"), Load { shape: Shape::Chain(events), ..usual }));
    }
    for iterations in [100, 1_000, 10_000] {
        rows.push((
            format!("a Map of {iterations} iterations"),
            Load { shape: Shape::Map(iterations), ..usual },
        ));
    }
    for kib in [1, 32, 128, 256] {
        rows.push((format!("inputs of {kib} KiB"), Load { input: kib * 1_000, ..usual }));
    }
    for in_hand in [8, 32, 128, 256] {
        rows.push((format!("{in_hand} in hand"), Load { in_hand, ..usual }));
    }
    for workers in [1, 2, 4] {
        rows.push((format!("{workers} workers"), Load { workers, ..usual }));
    }
    for (name, load) in rows {
        let Figures { rate, cpu, memory } = run(Contestant::Worker, load, 20 * MESSAGES, ROW).await;
        println!("{name:>34} {rate:>12.1} {cpu:>16.3} {memory:>10.1}");
    }
    redaction();
}

/// Redaction of a mebibyte, of the texts that take it the longest.
fn redaction() {
    let redactor = Redactor::new(&Rules { emails: true, ..Rules::default() });
    let redact = |text: &String| {
        let subject = Subject { input: Some(text.clone()), ..Subject::default() };
        let mut report = Report::degraded(&subject, "a bench");
        let began = Instant::now();
        report.redact(&redactor);
        began.elapsed()
    };
    // What disturbs a run only ever lengthens it.
    let least = |text: &String| (0..3).map(|_| redact(text)).min().unwrap();
    let mut took: Vec<(Duration, String)> =
        worst::texts().iter().map(|text| (least(text), text.chars().take(24).collect())).collect();
    took.sort_by_key(|(took, _)| std::cmp::Reverse(*took));
    println!("redaction of a MiB of the worst texts:");
    for (took, text) in took.iter().take(6) {
        println!("{:>34} {:>9.1} ms", format!("{text:?}"), took.as_secs_f64() * 1e3);
    }
}

/// What is worked on, and by how many.
#[derive(Debug, Clone, Copy)]
struct Load {
    shape: Shape,
    /// Bytes of each input.
    input: usize,
    /// Messages in hand at once, of each process.
    in_hand: usize,
    /// Processes.
    workers: usize,
}

/// Runs one contestant until it has worked off all messages, or for so long.
async fn run(
    contestant: Contestant,
    Load { shape, input, in_hand, workers }: Load,
    messages: usize,
    longest: Duration,
) -> Figures {
    let endpoint = Endpoint::start(shape.history(input), messages).await;
    let processes: Vec<Process> =
        (0..workers).map(|_| Process::start(contestant, &endpoint.url, in_hand)).collect();
    let cpu = || processes.iter().map(Process::cpu).sum::<f64>();
    let began = Instant::now();
    let warm_up = WARM_UP.min(messages / 10);
    let mut first = None;
    loop {
        sleep(Duration::from_millis(5)).await;
        let (deleted, at, cpu) = (endpoint.deleted(), Instant::now(), cpu());
        // One that takes long is warm before it has handled many.
        if first.is_none() && (deleted >= warm_up || (deleted > 0 && began.elapsed() > longest / 4)) {
            first = Some((deleted, at, cpu));
        }
        if deleted >= messages || began.elapsed() >= longest {
            let (before, since, cpu_before) = first.expect("it works");
            let done = deleted.saturating_sub(before).max(1) as f64;
            return Figures {
                rate: done / (at - since).as_secs_f64(),
                cpu: 1_000.0 * (cpu - cpu_before) / done,
                memory: processes.iter().map(Process::peak_memory).fold(0.0, f64::max),
            };
        }
    }
}

fn medians(all: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| median(all.iter().map(figure).collect());
    Figures {
        rate: of(|figures| figures.rate),
        cpu: of(|figures| figures.cpu),
        memory: of(|figures| figures.memory),
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
