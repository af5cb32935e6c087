//! What is said of the incident that a failure belongs to.

use super::super::value::{grouped, harmless, moment, short};
use super::{NAME, Sentence, words};
use crate::report::incident::{ExecutionRole, IncidentKind, IncidentNote, NewExecution};

/// `3 executions`.
fn executions(count: u64) -> String {
    match count {
        1 => "1 execution".to_owned(),
        count => format!("{} executions", grouped(usize::try_from(count).unwrap_or(usize::MAX))),
    }
}

fn at(time: &str) -> String {
    time.parse().map_or_else(|_| time.to_owned(), moment)
}

/// The beginning of a subject: nothing for an alert, which is about the failure itself.
pub(super) fn prefix(note: &IncidentNote) -> String {
    let part = if note.parts > 1 { format!(", part {} of {}", note.part, note.parts) } else { String::new() };
    match note.kind {
        IncidentKind::Alert if note.part > 1 => format!("Part {} of {}: ", note.part, note.parts),
        IncidentKind::Alert => String::new(),
        IncidentKind::Update if note.reopened => format!("Again, {} so far{part}: ", executions(note.count)),
        IncidentKind::Update => format!("{} so far{part}: ", executions(note.count)),
        IncidentKind::Resolved => format!("Resolved after {}{part}: ", executions(note.count)),
    }
}

/// What the notification says of the incident, in one or two sentences.
pub(in crate::report) fn sentence(note: &IncidentNote) -> String {
    let count = executions(note.count);
    let since = at(&note.since);
    let whole = match note.kind {
        IncidentKind::Alert if note.episode > 1 => {
            format!("This has happened before: it is episode {} of the incident.", note.episode)
        }
        IncidentKind::Alert if note.count > 1 => {
            format!("{count} have failed in the same way since {since}.")
        }
        IncidentKind::Alert => {
            "This is the first failure of its kind; further ones follow in updates.".to_owned()
        }
        IncidentKind::Update if note.reopened => {
            format!("It fails again: {count} have failed in the same way since {since}.")
        }
        IncidentKind::Update => format!("{count} have failed in the same way since {since}."),
        IncidentKind::Resolved => {
            let since_then = match note.succeeded_since {
                Some(true) => " Executions have succeeded since.",
                Some(false) => " No execution has succeeded since.",
                None => "",
            };
            let over = match &note.resolved_by {
                Some(by) => format!("Resolved by {}.", harmless(by)),
                None => "It has been quiet for long enough.".to_owned(),
            };
            format!("{over} {count} have failed in the same way since {since}.{since_then}")
        }
    };
    let unread = match note.read {
        read if read < note.count => format!(
            " {} of them {} read; the others look the same by their events.",
            grouped(usize::try_from(read).unwrap_or(usize::MAX)),
            if read == 1 { "was" } else { "were" }
        ),
        _ => String::new(),
    };
    let part = if note.parts > 1 { format!(" Part {} of {}.", note.part, note.parts) } else { String::new() };
    format!("{whole}{unread}{part}")
}

/// The title of the list of executions.
pub(in crate::report) fn title(note: &IncidentNote) -> String {
    match note.kind {
        IncidentKind::Alert => "Failed executions".to_owned(),
        IncidentKind::Update | IncidentKind::Resolved => {
            format!("Failed executions, newly named ({})", note.new_executions.len())
        }
    }
}

/// `Incident 2212d9b65fa55866, episode 1, update 3`.
pub(in crate::report) fn which(note: &IncidentNote) -> Sentence {
    words("Incident ").name(&note.id).words(format!(
        ", episode {}, {} {}, as of {}",
        note.episode,
        note.kind.name(),
        note.number,
        at(&note.as_of)
    ))
}

/// One execution: its name, what it was for, and whether the bug is in it.
pub(in crate::report) fn execution(execution: &NewExecution) -> Sentence {
    let mut sentence = Sentence::default().name(&execution.name);
    for (key, value) in &execution.keys {
        sentence = sentence.words(format!(", {} ", short(key, NAME))).name(value);
    }
    match execution.role {
        ExecutionRole::Cause => sentence,
        ExecutionRole::Parent => sentence.words(", which waited for one that failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(kind: IncidentKind, change: impl FnOnce(&mut IncidentNote)) -> String {
        let mut note = IncidentNote {
            id: "2212d9b65fa55866".to_owned(),
            episode: 1,
            number: 1,
            kind,
            count: 1_234,
            read: 1_234,
            since: "2026-11-30T12:00:00Z".to_owned(),
            as_of: "2026-11-30T13:00:00Z".to_owned(),
            reason: String::new(),
            reopened: false,
            succeeded_since: None,
            resolved_by: None,
            new_executions: Vec::new(),
            part: 1,
            parts: 1,
        };
        change(&mut note);
        sentence(&note)
    }

    #[test]
    fn an_alert_says_whether_it_is_the_first_of_its_kind() {
        assert_eq!(
            note(IncidentKind::Alert, |note| note.count = 1),
            "This is the first failure of its kind; further ones follow in updates."
        );
        assert_eq!(
            note(IncidentKind::Alert, |note| note.episode = 3),
            "This has happened before: it is episode 3 of the incident."
        );
    }

    #[test]
    fn it_says_how_many_were_read() {
        let text = note(IncidentKind::Update, |note| note.read = 240);
        assert!(
            text.ends_with(" 240 of them were read; the others look the same by their events."),
            "{text}"
        );
    }

    #[test]
    fn a_resolve_says_who_asked_for_it_and_whether_it_works_again() {
        let failed = "1,234 executions have failed in the same way since 2026-11-30 12:00:00.000 UTC.";
        assert_eq!(
            note(IncidentKind::Resolved, |note| note.succeeded_since = Some(true)),
            format!("It has been quiet for long enough. {failed} Executions have succeeded since.")
        );
        assert_eq!(
            note(IncidentKind::Resolved, |note| {
                note.succeeded_since = Some(false);
                note.resolved_by = Some("ana".to_owned());
            }),
            format!("Resolved by ana. {failed} No execution has succeeded since.")
        );
    }
}
