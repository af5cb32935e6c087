//! Seed after seed of mixed faults.

use std::time::Duration;

use super::{Plan, Run};
use crate::support::model::Faults;
use crate::support::{failure, on_paused_time};

/// How many seeds are tried; a failing one is run alone with `MISSTEP_SEED=n`.
const SEEDS: u64 = 1_000;

fn run(seed: u64) -> Vec<String> {
    // Not the model's own chance: the faults of a seed must not shift when the model draws anew.
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut up_to = |most: f64| if chance.bool() { chance.f64() * most } else { 0.0 };
    let faults = Faults {
        refused: up_to(0.2),
        hung: up_to(0.1),
        reply_lost: up_to(0.2),
        entry_failed: up_to(0.3),
        delivered_twice: up_to(0.1),
        back_after_delete: up_to(0.2),
        api_busy: up_to(0.5),
        api_reply_lost: up_to(0.2),
        throttled: up_to(0.4),
    };
    let plan = Plan {
        seed,
        faults,
        visibility_timeout: Duration::from_secs(5 + seed % 30),
        // Few enough, with every fourth seed, for SQS itself to dead-letter some.
        max_receive_count: if seed % 4 == 1 { 4 } else { 1_000 },
        ..Plan::default()
    };
    let stops_after = seed.is_multiple_of(3).then(|| Duration::from_millis(chance.u64(..30_000)));
    on_paused_time(async {
        let mut run = Run::start(&plan);
        run.send_failures(10);
        run.queue.send("not json".to_owned());
        // The same failure in a second message, as EventBridge may send it.
        run.queue.send(failure(3));
        if let Some(after) = stops_after {
            // In the middle of it all; another worker takes over.
            tokio::time::sleep(after).await;
            run.stop().await;
            run.start_again(&plan);
        }
        run.settled().await;
        run.queue.set_faults(Faults::default());
        run.stop().await;
        run.broken()
    })
}

#[test]
fn nothing_is_lost_for_any_of_a_thousand_seeds() {
    let seeds = match std::env::var("MISSTEP_SEED") {
        Ok(seed) => seed.parse().unwrap()..=seed.parse().unwrap(),
        Err(_) => 0..=SEEDS - 1,
    };
    let mut tried = 0;
    for seed in seeds {
        let broken = run(seed);
        assert!(broken.is_empty(), "seed {seed} (run it alone with MISSTEP_SEED={seed}): {broken:#?}");
        tried += 1;
    }
    println!("{tried} seeds, no promise broken");
}
