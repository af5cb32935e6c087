//! The checker: reads the record of a run and says which promises were broken.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use misstep::event;
use misstep::history::Status;
use tokio::time::Instant;

use super::queue::Stored;
use super::{Event, Record};

/// Faults after which a message may be worked on once more, and so be told of once more: a renewal
/// or its settling failed, or the queue gave it to two at once.
const MAY_REPEAT: &[&str] = &["delivered-twice", "refused", "hung", "reply-lost"];

/// Faults after which a message may be received once more without having been released.
const MAY_RETURN: &[&str] = &["delivered-twice", "refused", "hung", "reply-lost", "back-after-delete"];

/// So many times in a row an entry of a batch must fail before the worker gives up on it.
const SETTLE_ATTEMPTS: usize = 5;

/// The promises that the run broke, in words; none for a good one.
pub fn broken(record: &Record, stored: &[Stored], visibility_timeout: Duration) -> Vec<String> {
    let events = record.events();
    let mut broken = Vec::new();
    deletes_follow_notifications(&events, stored, &mut broken);
    notifications_are_not_repeated(&events, &mut broken);
    messages_do_not_return_unexplained(&events, &mut broken);
    nothing_changes_after_settling(&events, &mut broken);
    stops_are_kept(&events, &mut broken);
    calls_are_few(&events, visibility_timeout, &mut broken);
    broken
}

/// Messages that are neither deleted nor in the dead-letter queue.
pub fn unsettled(stored: &[Stored]) -> Vec<usize> {
    (0..stored.len()).filter(|&number| !stored[number].deleted && !stored[number].dead).collect()
}

/// How many messages were struck by faults of these kinds, all together.
fn struck(events: &[(Instant, Event)], kinds: &[&str]) -> usize {
    let messages = events.iter().map(|(_, event)| match event {
        Event::Fault { kind, messages } if kinds.contains(kind) => *messages,
        _ => 0,
    });
    messages.sum()
}

fn deletes_follow_notifications(events: &[(Instant, Event)], stored: &[Stored], broken: &mut Vec<String>) {
    let mut told: HashMap<&str, HashSet<&str>> = HashMap::new();
    let mut dead = HashSet::new();
    for (_, event) in events {
        match event {
            Event::Notified { execution, email_type, .. } => {
                told.entry(execution).or_default().insert(email_type);
            }
            Event::DeadLettered { message } => {
                dead.insert(*message);
            }
            Event::Deleted { message, effective: true, .. } => {
                let all_told = event::parse(&stored[*message].body).is_ok_and(|mut changes| {
                    changes.retain(|change| !matches!(change.status, Status::Running | Status::Succeeded));
                    changes
                        .iter()
                        .all(|change| told.get(change.execution.as_str()).is_some_and(|told| told.len() == 2))
                });
                if !all_told && !dead.contains(message) {
                    broken.push(format!("message {message} was deleted before both audiences were notified"));
                }
            }
            _ => {}
        }
    }
}

/// A worker remembers what it delivered; one that takes over knows only what comes back to the queue.
fn notifications_are_not_repeated(events: &[(Instant, Event)], broken: &mut Vec<String>) {
    let (mut told, mut repeated) = (HashSet::new(), 0);
    for (_, event) in events {
        match event {
            Event::Notified { key, .. } if !told.insert(key) => repeated += 1,
            Event::Started => told.clear(),
            _ => {}
        }
    }
    // Two audiences each.
    let given_up = struck(events, &["entry-failed"]) / SETTLE_ATTEMPTS;
    let allowed = struck(events, &["api-reply-lost"]) + 2 * (struck(events, MAY_REPEAT) + given_up);
    if repeated > allowed {
        broken.push(format!("{repeated} notifications were repeated, {allowed} faults explain it"));
    }
}

fn messages_do_not_return_unexplained(events: &[(Instant, Event)], broken: &mut Vec<String>) {
    let mut received: HashMap<usize, usize> = HashMap::new();
    let mut changed = HashSet::new();
    for (_, event) in events {
        match event {
            Event::Received { message, .. } => *received.entry(*message).or_default() += 1,
            Event::Visibility { receipt, effective: true, .. } => {
                changed.insert(receipt);
            }
            Event::Deleted { receipt, effective: true, .. } => {
                changed.remove(receipt);
            }
            _ => {}
        }
    }
    let again: usize = received.values().map(|count| count - 1).sum();
    let given_up = struck(events, &["entry-failed"]) / SETTLE_ATTEMPTS;
    let allowed = changed.len() + struck(events, MAY_RETURN) + given_up;
    if again > allowed {
        broken.push(format!(
            "messages were received {again} times too often, {allowed} releases and faults explain it"
        ));
    }
}

fn nothing_changes_after_settling(events: &[(Instant, Event)], broken: &mut Vec<String>) {
    let mut deleted = HashSet::new();
    for (_, event) in events {
        match event {
            Event::Deleted { receipt, .. } => {
                deleted.insert(receipt);
            }
            Event::Visibility { message, receipt, .. } if deleted.contains(receipt) => {
                broken.push(format!("the visibility of message {message} was changed after its delete"));
            }
            _ => {}
        }
    }
}

fn stops_are_kept(events: &[(Instant, Event)], broken: &mut Vec<String>) {
    let (mut asked, mut stopped) = (false, false);
    for (_, event) in events {
        match event {
            Event::PollDropped => broken.push("a poll was dropped before its end".to_owned()),
            Event::PollBegan if asked => broken.push("a poll began after the stop was asked for".to_owned()),
            Event::StopAsked => asked = true,
            Event::Stopped => stopped = true,
            Event::Started => (asked, stopped) = (false, false),
            Event::Fault { .. } => {}
            other if stopped => broken.push(format!("after the stop: {other:?}")),
            _ => {}
        }
    }
}

/// A receipt is deleted once, and its visibility changed twice for each visibility timeout that it
/// was in hand, and once to release it; more only for the faults that struck.
fn calls_are_few(events: &[(Instant, Event)], visibility_timeout: Duration, broken: &mut Vec<String>) {
    let mut in_hand: HashMap<&str, (Instant, Instant)> = HashMap::new();
    let (mut deletes, mut changes) = (0, 0);
    for (at, event) in events {
        match event {
            Event::Received { receipt, .. } => {
                in_hand.insert(receipt, (*at, *at));
                continue;
            }
            Event::Deleted { .. } => deletes += 1,
            Event::Visibility { .. } => changes += 1,
            _ => continue,
        }
        let (Event::Deleted { receipt, .. } | Event::Visibility { receipt, .. }) = event else { continue };
        if let Some((_, last)) = in_hand.get_mut(receipt.as_str()) {
            *last = *at;
        }
    }
    let struck = struck(events, MAY_RETURN) + struck(events, &["entry-failed"]);
    let renewals: f64 = in_hand
        .values()
        .map(|(first, last)| (2.0 * (*last - *first).as_secs_f64() / visibility_timeout.as_secs_f64()).ceil())
        .sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let most_changes = in_hand.len() + renewals as usize + struck;
    if deletes > in_hand.len() + struck {
        broken.push(format!("{deletes} deletes of {} receipts, and {struck} faults", in_hand.len()));
    }
    if changes > most_changes {
        broken.push(format!("{changes} changes of visibility, at most {most_changes} can be explained"));
    }
}
