//! The algorithm against a model of everything around it, and mistakes that it must show.

use super::world::{Faults, Seen, Slip, run};
use crate::support::incident_store::Mistake;

/// In so many worlds a mistake has to show.
const MUTANT_SEEDS: u64 = 1_000;

fn worlds(seeds: u64, faults: Faults) -> Vec<Seen> {
    (0..seeds).map(|seed| run(seed, faults)).collect()
}

fn sum(worlds: &[Seen], of: impl Fn(&Seen) -> usize) -> usize {
    worlds.iter().map(of).sum()
}

fn broken(worlds: &[Seen]) -> Vec<String> {
    let broken = worlds.iter().enumerate().filter(|(_, seen)| !seen.broken.is_empty());
    broken.map(|(seed, seen)| format!("seed {seed}: {}", seen.broken.join("; "))).collect()
}

#[test]
fn nothing_is_lost_and_no_key_has_two_contents_whatever_crashes() {
    let worlds = worlds(1_000, Faults { crashes: true, ..Faults::default() });
    println!(
        "1,000 worlds: {} failures, {} inferred, {} moved, {} notifications, {} of them sent again, {} crashes, {} pauses",
        sum(&worlds, |seen| seen.failures),
        sum(&worlds, |seen| seen.inferred),
        sum(&worlds, |seen| seen.moved),
        sum(&worlds, |seen| seen.notifications),
        sum(&worlds, |seen| seen.duplicates),
        sum(&worlds, |seen| seen.crashes),
        sum(&worlds, |seen| seen.pauses),
    );
    assert!(sum(&worlds, |seen| seen.crashes) > 1_000, "the worlds are too kind");
    let broken = broken(&worlds);
    assert!(broken.is_empty(), "{} worlds: {:#?}", broken.len(), &broken[..broken.len().min(3)]);
}

#[test]
fn failures_that_look_alike_end_up_with_their_own_bug_whatever_crashes() {
    let worlds = worlds(500, Faults { crashes: true, alike: true, ..Faults::default() });
    let [inferred, moved] = [sum(&worlds, |seen| seen.inferred), sum(&worlds, |seen| seen.moved)];
    println!(
        "500 worlds: {} failures, {inferred} inferred, {moved} moved",
        sum(&worlds, |seen| seen.failures)
    );
    assert!(moved > 100, "the worlds are too kind");
    let broken = broken(&worlds);
    assert!(broken.is_empty(), "{} worlds: {:#?}", broken.len(), &broken[..broken.len().min(3)]);
}

#[test]
fn without_faults_nothing_is_sent_twice() {
    let worlds = worlds(500, Faults::default());
    let broken = broken(&worlds);
    assert!(broken.is_empty(), "{} worlds: {:#?}", broken.len(), &broken[..broken.len().min(3)]);
    assert_eq!(sum(&worlds, |seen| seen.duplicates), 0);
}

#[test]
fn every_mistake_of_a_store_shows() {
    for mistake in [
        Mistake::NoVersion,
        Mistake::NoLease,
        Mistake::NoRecount,
        Mistake::Counter,
        Mistake::NoSnapshot,
        Mistake::NumberReused,
        Mistake::TimeCursor,
        Mistake::NoPending,
    ] {
        shows(Faults { mistake: Some(mistake), ..Faults::default() }, &format!("{mistake:?}"));
    }
}

#[test]
fn every_mistake_with_inferred_failures_shows() {
    let alike = Faults { alike: true, ..Faults::default() };
    shows(Faults { mistake: Some(Mistake::WithdrawnLost), ..alike }, "WithdrawnLost");
    for slip in [Slip::NoVerify, Slip::EarlySettle, Slip::WithdrawWhileSending] {
        shows(Faults { slip: Some(slip), ..alike }, &format!("{slip:?}"));
    }
}

#[test]
fn every_mistake_of_a_worker_shows() {
    for slip in [Slip::EarlyDelete, Slip::NoAlert, Slip::NoReread] {
        shows(Faults { slip: Some(slip), ..Faults::default() }, &format!("{slip:?}"));
    }
}

/// With faults, or, since every duplicate has an excuse then, without.
fn shows(faults: Faults, name: &str) {
    let is_broken = |seed: &u64| {
        let with = run(*seed, Faults { crashes: true, ..faults });
        !with.broken.is_empty() || !run(*seed, faults).broken.is_empty()
    };
    let shown = (0..MUTANT_SEEDS).find(is_broken);
    println!("{name}: shown by world {shown:?}");
    assert!(shown.is_some(), "{name} does not show in {MUTANT_SEEDS} worlds");
}
