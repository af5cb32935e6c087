//! What is there, in lines: grouped by reason and state machine, or one line a message.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::DeadMessage;
use crate::report::value::harmless;

/// Messages of one reason and state machine.
#[derive(Debug, PartialEq, Eq)]
struct LetterGroup<'a> {
    reason: &'a str,
    state_machine: Option<&'a str>,
    count: usize,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
}

/// The largest group first.
fn groups<'a>(letters: &[&'a DeadMessage]) -> Vec<LetterGroup<'a>> {
    let mut groups: BTreeMap<(&str, Option<&str>), LetterGroup<'a>> = BTreeMap::new();
    for letter in letters {
        let (reason, state_machine) = (letter.reason.as_str(), letter.state_machine());
        let group = groups.entry((reason, state_machine)).or_insert(LetterGroup {
            reason,
            state_machine,
            count: 0,
            oldest: None,
            newest: None,
        });
        group.count += 1;
        group.oldest = [group.oldest, letter.first_sent_at].into_iter().flatten().min();
        group.newest = group.newest.max(letter.first_sent_at);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

/// As a table.
pub fn table(letters: &[&DeadMessage], each: bool) -> String {
    if letters.is_empty() {
        return "no messages\n".to_owned();
    }
    let rows: Vec<Vec<String>> = if each {
        let lines = letters.iter().map(|letter| {
            let execution = letter.changes.first().map_or("-", |change| change.execution.name());
            let row = [
                &letter.message.id,
                &letter.reason,
                letter.state_machine().unwrap_or("-"),
                execution,
                &time(letter.first_sent_at),
                letter.error.as_deref().unwrap_or(""),
            ];
            row.map(harmless).to_vec()
        });
        std::iter::once(heads(&["MESSAGE", "REASON", "STATE MACHINE", "EXECUTION", "FIRST SENT", "ERROR"]))
            .chain(lines)
            .collect()
    } else {
        let lines = groups(letters).into_iter().map(|group| {
            let row = [
                group.count.to_string(),
                group.reason.to_owned(),
                group.state_machine.unwrap_or("-").to_owned(),
                time(group.oldest),
                time(group.newest),
            ];
            row.map(|cell| harmless(&cell)).to_vec()
        });
        std::iter::once(heads(&["COUNT", "REASON", "STATE MACHINE", "OLDEST", "NEWEST"]))
            .chain(lines)
            .collect()
    };
    aligned(&rows)
}

/// For a program.
pub fn json(letters: &[&DeadMessage], each: bool) -> Value {
    let groups = groups(letters).into_iter().map(|group| {
        json!({
            "reason": group.reason,
            "state_machine": group.state_machine,
            "count": group.count,
            "oldest": group.oldest.map(|at| at.to_string()),
            "newest": group.newest.map(|at| at.to_string()),
        })
    });
    let mut list = json!({"count": letters.len(), "groups": groups.collect::<Vec<_>>()});
    if each {
        list["messages"] = letters.iter().map(|letter| letter.outline()).collect();
    }
    list
}

fn heads(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// Columns as wide as their widest cell; the last one as it is.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _infallible = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::tests::letter;

    #[test]
    fn groups_have_counts_and_times() {
        let rejected = [("misstep.reason", "rejected"), ("misstep.error", "answered\u{1b}[2J 422")];
        let letters = [
            letter("a", "orders", 300, &[]),
            letter("b", "orders", 100, &rejected),
            letter("c", "orders", 200, &[]),
        ];
        let letters: Vec<&DeadMessage> = letters.iter().collect();
        assert_eq!(
            table(&letters, false),
            "COUNT  REASON              STATE MACHINE  OLDEST                NEWEST\n\
             2      received-too-often  orders         1970-01-01 00:03:20Z  1970-01-01 00:05:00Z\n\
             1      rejected            orders         1970-01-01 00:01:40Z  1970-01-01 00:01:40Z\n"
        );
        let each = table(&letters, true);
        assert!(each.contains("b        rejected            orders         run-b"), "{each}");
        assert!(each.contains("answered\\u{1b}[2J 422"), "{each}");
        let json = json(&letters, true);
        assert_eq!((&json["count"], &json["groups"][0]["count"]), (&json!(3), &json!(2)));
        assert_eq!(json["messages"][1]["error"], "answered\u{1b}[2J 422");
        assert_eq!(table(&[], false), "no messages\n");
    }
}
