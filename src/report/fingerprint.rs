//! One fingerprint a bug: what is the same whenever the same thing breaks.
//!
//! Made of the state machine, the place in it, the errors, their messages and the top frame of the
//! application's own code; not of what differs from one execution to the next: ids, numbers, times,
//! ARNs and payloads. It is kept and compared by others, so it must not change from one release to
//! the next: `tests/it/fingerprint.rs` pins it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use sha2::{Digest as _, Sha256};

use super::Report;
use crate::analysis::cause::ParsedCause;
use crate::arn::base_state_machine;
use crate::history::Status;

/// Raised when the recipe changes, so that old and new fingerprints are never taken for each other.
const RECIPE: &str = "1";

/// Characters of a message that count.
const MESSAGE: usize = 400;

/// The fingerprint of a failure; `None` for what has not failed.
pub(super) fn of(report: &Report) -> Option<String> {
    if matches!(report.analysis.status, Some(Status::Succeeded | Status::Running)) {
        return None;
    }
    let digest = Sha256::digest(parts(report).join("\n"));
    Some(digest.iter().take(8).fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    }))
}

fn parts(report: &Report) -> Vec<String> {
    let analysis = &report.analysis;
    let machine = report.event_info.state_machine_arn.as_deref().map(base_state_machine);
    let mut parts = vec![RECIPE.to_owned(), machine.unwrap_or_default()];
    parts.push(analysis.status.map_or("", Status::as_str).to_owned());
    match &analysis.failed_state {
        Some(failed) => {
            parts.push(place(&failed.name, &failed.path));
            parts.push(normal(failed.error.as_deref().unwrap_or_default()));
        }
        None => {
            // A timeout or an abort: where it hung, in whichever order and how often.
            let mut places: Vec<String> =
                analysis.in_flight.iter().map(|state| place(&state.name, &state.path)).collect();
            places.extend(analysis.busiest_states.first().map(|state| state.name.clone()));
            places.sort();
            places.dedup();
            parts.push(places.join(" | "));
            parts.push(normal(analysis.error.as_deref().unwrap_or_default()));
        }
    }
    parts.push(analysis.parsed_cause.as_ref().map(said).unwrap_or_default());
    if let Some(root) = &analysis.root_cause {
        parts.push(root.state.clone().unwrap_or_default());
        parts.push(normal(root.error.as_deref().unwrap_or_default()));
    }
    parts.push(analysis.parsed_root_cause.as_ref().map(said).unwrap_or_default());
    let stack = analysis.deepest_cause().and_then(|parsed| parsed.stack.as_deref());
    parts.push(stack.and_then(top_frame).unwrap_or_default());
    parts
}

fn said(parsed: &ParsedCause) -> String {
    let kind = parsed.error_type.as_deref().unwrap_or_default();
    format!("{}: {}", normal(kind), normal(parsed.message.as_deref().unwrap_or_default()))
}

/// A state with what is around it, iterations without their numbers.
fn place(name: &str, path: &[String]) -> String {
    let names = path.iter().map(|part| part.split_once('[').map_or(part.as_str(), |(name, _)| name));
    names.chain([name]).collect::<Vec<_>>().join(" > ")
}

/// A message without what differs from one execution to the next.
fn normal(text: &str) -> String {
    static ARN: LazyLock<Regex> = LazyLock::new(|| regex(r#"arn:[^\s'",;)]+"#));
    static VALUE: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(?s)\b(but was|but got|received|actual|for value):.*"));
    static EMAIL: LazyLock<Regex> = LazyLock::new(|| regex(r"[^\s@'<>]+@[^\s@'<>]+"));
    static QUOTED: LazyLock<Regex> = LazyLock::new(|| {
        regex(r#"(?s)(?<before>\w*)(?<gap>[\s:(=,]|^)(?:'(?<a>[^']*)'|"(?<b>[^"]*)"|`(?<c>[^`]*)`)"#)
    });
    static DIGITS: LazyLock<Regex> = LazyLock::new(|| regex(r"[\w.+-]*[0-9][\w.+-]*"));
    static AGAIN: LazyLock<Regex> = LazyLock::new(|| regex(r"#(?:[\s:]*#)+"));
    let text: String = text.chars().take(4 * MESSAGE).collect();
    let text = ARN.replace_all(&text, "<arn>");
    let text = without_json(&text);
    let text = VALUE.replace_all(&text, "$1");
    let text = EMAIL.replace_all(&text, "<email>");
    let text = QUOTED.replace_all(&text, |found: &Captures<'_>| {
        // What the definition calls something tells bugs apart; what was in the data does not.
        let before = &found["before"];
        let quoted = ["a", "b", "c"].iter().find_map(|group| found.name(group)).map_or("", |m| m.as_str());
        let kept = if names_a_part(before) { quoted } else { "…" };
        format!("{before}{}'{kept}'", &found["gap"])
    });
    let text = DIGITS.replace_all(&text, "#");
    let text = AGAIN.replace_all(&text, "#");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(MESSAGE).collect()
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant, met by the tests")
}

/// `the field 'Output/total'`, `the JSONata expression '$sum(x)'`.
fn names_a_part(word: &str) -> bool {
    [
        "argument",
        "attribute",
        "column",
        "expression",
        "field",
        "function",
        "JSONPath",
        "parameter",
        "path",
        "variable",
    ]
    .iter()
    .any(|part| word.eq_ignore_ascii_case(part))
}

/// The text without objects and lists in it.
fn without_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for char in text.chars() {
        match char {
            '"' if depth > 0 && !escaped => in_string = !in_string,
            '{' | '[' if !in_string => {
                if depth == 0 {
                    out.push('…');
                }
                depth += 1;
            }
            '}' | ']' if depth > 0 && !in_string => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        escaped = char == '\\' && !escaped;
        if depth == 0 {
            out.push(char);
        }
    }
    out
}

/// Code that is not the application's.
const FOREIGN: &[&str] = &[
    "site-packages",
    "dist-packages",
    "/var/lang/",
    "/var/runtime/",
    "/opt/python/",
    "/usr/lib/",
    "node_modules",
    "node:",
    "internal/",
    "<anonymous>",
    "<frozen",
    "java.",
    "javax.",
    "jdk.",
    "sun.",
    "kotlin.",
    "scala.",
    "org.springframework.",
    "software.amazon.",
    "com.amazonaws.",
    "System.",
    "Microsoft.",
    "Amazon.",
    "/gems/",
    "runtime.",
    "runtime/",
];

/// The innermost frame in the application's own code, without its line: code moves.
fn top_frame(stack: &str) -> Option<String> {
    let frames =
        stack.lines().map(str::trim).filter(|line| line.starts_with("at ") || line.starts_with("File \""));
    let mut own = frames.filter(|line| {
        let place = line.trim_start_matches("at ").trim_start_matches("async ");
        !FOREIGN.iter().any(|foreign| {
            if foreign.ends_with('.') { place.starts_with(foreign) } else { place.contains(foreign) }
        })
    });
    // Python prints the innermost frame last, everybody else first.
    let frame = if stack.contains("File \"") { own.next_back() } else { own.next() }?;
    static LINE: LazyLock<Regex> = LazyLock::new(|| regex(r", line [0-9]+|:line [0-9]+|(?::[0-9]+)+"));
    Some(LINE.replace_all(frame, "").into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_executions_is_taken_out() {
        for (one, other) in [
            ("Order ORD-10482 not found", "Order ORD-7 not found"),
            ("no item 123e4567-e89b-12d3-a456-426614174000", "no item 00000000-e89b-12d3-a456-426614174fff"),
            ("at 2026-03-01T12:00:00Z it broke", "at 2025-12-31T23:59:59.123Z it broke"),
            ("cannot read arn:aws:s3:::a/b", "cannot read arn:aws:s3:::c"),
            ("bad input '{\"a\": \"}\", \"b\": [1]}' here", "bad input '{}' here"),
            ("user 'amira' is unknown", "user \"jonas berg\" is unknown"),
            ("must be an array but was: true", "must be an array but was: {\"a\":1}"),
            ("mail to a@example.com bounced", "mail to other@example.org bounced"),
        ] {
            assert_eq!(normal(one), normal(other));
        }
    }

    #[test]
    fn what_tells_bugs_apart_stays() {
        for (one, other) in [
            ("the field 'Output/total' is missing", "the field 'Arguments' is missing"),
            ("The JSONata expression '$a' failed", "The JSONata expression '$b' failed"),
            ("order not found", "order not paid"),
        ] {
            assert_ne!(normal(one), normal(other));
        }
    }

    #[test]
    fn the_top_frame_is_the_innermost_of_the_applications_own() {
        for (stack, frame) in [
            (
                "Traceback (most recent call last):\n  File \"/var/task/app.py\", line 3, in handler\n    charge()\n  File \"/var/task/pay.py\", line 9, in charge\n    post()\n  File \"/opt/python/lib/site-packages/requests/api.py\", line 5, in post",
                "File \"/var/task/pay.py\", in charge",
            ),
            (
                "Error: x\n    at node:internal/y:1:2\n    at charge (/var/task/pay.js:10:5)\n    at handler (/var/task/app.js:1:1)",
                "at charge (/var/task/pay.js)",
            ),
            (
                "java.lang.X: y\n\tat java.util.A.b(A.java:3)\n\tat com.example.Pay.charge(Pay.java:12)",
                "at com.example.Pay.charge(Pay.java)",
            ),
        ] {
            assert_eq!(top_frame(stack).as_deref(), Some(frame));
        }
        assert_eq!(top_frame("nothing"), None);
    }
}
