//! Cutting a notification to the size that its channel takes: inputs first, the answer last.
//!
//! What was cut is named in `analysis.truncated` by its path, with `[]` for every element of a
//! list. Long texts lose their ends, the longest first; only when that is not enough do lists lose
//! their last elements.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Texts that may be shortened, group after group.
const TEXTS: &[&[&str]] = &[
    &[
        "event_details.payload",
        "event_details.steps[].initial_input",
        "analysis.in_flight[].input",
        "analysis.failed_state.input",
    ],
    &[
        "analysis.also_failed[].cause",
        "analysis.failed_state.attempts[].cause",
        "analysis.in_flight[].last_error.cause",
        "analysis.parsed_cause.stack",
        "analysis.parsed_root_cause.stack",
        "analysis.probable_cause.parsed.stack",
        "analysis.probable_cause.cause",
        "analysis.root_cause.cause",
        "analysis.cause",
    ],
    &[
        "event_details.steps[].latest_error.cause",
        "analysis.failed_state.cause",
        "analysis.parsed_cause.message",
        "analysis.parsed_root_cause.message",
        "analysis.probable_cause.parsed.message",
        "analysis.probable_cause.evidence",
        "analysis.failed_state.evidence",
    ],
];

/// Lists that may be shortened, one after the other.
const LISTS: &[&str] = &[
    "analysis.also_failed",
    "analysis.in_flight",
    "analysis.failed_state.attempts",
    STEPS,
    "analysis.root_cause.via",
    "analysis.failed_state.path",
    "analysis.resources",
    "analysis.busiest_states",
    "analysis.unread",
    "analysis.notes",
];

/// The list that keeps the failed state's entry, wherever it stands.
const STEPS: &str = "event_details.steps";

/// What says which failure this is, and where to look: of no use when cut.
const NAMES: &[&str] = &[
    "analysis.truncated",
    "event_info",
    "analysis.links",
    "analysis.resources",
    "analysis.failed_state.name",
    "event_details.steps[].name",
];

/// The list whose last entries tell most.
const LOG: &str = "analysis.logs.lines";

/// Texts are cut down to no less than this, in bytes as JSON, as long as anything else is left.
const SHORTEST: usize = 128;

/// And to these when nothing else is left.
const SHORTER: &[usize] = &[64, 32, 16];

/// Cuts `data` (what a notification carries under that key) until `size` says that it is at most
/// `most`. Always ends; with a bound too small for even the bare frame, what is left is the frame.
pub fn fit(data: &mut Value, most: usize, size: impl Fn(&Value) -> usize) {
    if size(data) <= most {
        return;
    }
    for (at, group) in TEXTS.iter().enumerate() {
        let mut limit = group.iter().map(|path| longest(data, path)).max().unwrap_or(0);
        while limit > SHORTEST {
            limit = (limit / 2).max(SHORTEST);
            for path in *group {
                shorten(data, path, limit);
            }
            if size(data) <= most {
                return;
            }
        }
        // What was logged last tells more than an input, and less than a cause.
        while at == 0 && drop_oldest(data, LOG) {
            if size(data) <= most {
                return;
            }
        }
    }
    // Every other text is bounded by AWS; only a hostile message has one long.
    shorten_all(data, SHORTEST, NAMES);
    if size(data) <= most {
        return;
    }
    for path in LISTS {
        while halve(data, path) {
            if size(data) <= most {
                return;
            }
        }
    }
    let last = SHORTER.iter().map(|limit| (*limit, NAMES));
    let very_last = [SHORTEST].iter().chain(SHORTER).map(|limit| (*limit, &NAMES[..1]));
    for (limit, spared) in last.chain(very_last) {
        shorten_all(data, limit, spared);
        if size(data) <= most {
            return;
        }
    }
}

/// Calls `visit` with every value that `path` leads to.
fn each(value: &mut Value, path: &str, visit: &mut dyn FnMut(&mut Value)) {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let (key, list) = step.strip_suffix("[]").map_or((step, false), |key| (key, true));
    let Some(inner) = value.get_mut(key) else { return };
    let mut go = |inner: &mut Value| if rest.is_empty() { visit(inner) } else { each(inner, rest, visit) };
    match inner {
        Value::Array(items) if list => items.iter_mut().for_each(go),
        inner => go(inner),
    }
}

fn longest(data: &mut Value, path: &str) -> usize {
    let mut longest = 0;
    each(data, path, &mut |value| {
        longest = longest.max(value.as_str().map_or(0, |text| text.chars().map(encoded).sum()))
    });
    longest
}

fn shorten(data: &mut Value, path: &str, limit: usize) {
    let mut cut = false;
    each(data, path, &mut |value| cut |= shorten_text(value, limit));
    if cut {
        name(data, path);
    }
}

fn shorten_text(value: &mut Value, limit: usize) -> bool {
    let Value::String(text) = value else { return false };
    let mut size = 0;
    let too_far = |(_, char): &(usize, char)| {
        size += encoded(*char);
        size > limit
    };
    let Some((end, _)) = text.char_indices().find(too_far) else { return false };
    text.truncate(end);
    text.push('…');
    true
}

/// The bytes of a character in JSON.
fn encoded(char: char) -> usize {
    match char {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        char if char < ' ' => 6,
        char => char.len_utf8(),
    }
}

/// Drops the first half of a list; `false` for one that is empty or not there.
fn drop_oldest(data: &mut Value, path: &str) -> bool {
    let mut cut = false;
    each(data, path, &mut |value| {
        if let Value::Array(items) = value {
            cut |= !items.is_empty();
            items.drain(..items.len().div_ceil(2));
        }
    });
    if cut {
        name(data, path);
    }
    cut
}

fn halve(data: &mut Value, path: &str) -> bool {
    let failed = data.pointer("/analysis/failed_state/name").filter(|_| path == STEPS).cloned();
    let mut cut = false;
    each(data, path, &mut |value| {
        if let Value::Array(items) = value {
            let before = items.len();
            let mut kept = before / 2;
            let failed = failed.as_ref().and_then(|name| items.iter().position(|item| item["name"] == *name));
            if let Some(failed) = failed {
                kept = kept.max(1);
                items.swap(failed.min(kept - 1), failed);
            }
            items.truncate(kept);
            cut |= items.len() < before;
        }
    });
    if cut {
        name(data, path);
    }
    cut
}

/// Shortens every text that is too long, wherever it is, but those under `spared`.
fn shorten_all(data: &mut Value, limit: usize, spared: &[&str]) {
    let mut cut = BTreeSet::new();
    shorten_below(data, "", limit, spared, &mut cut);
    cut.iter().for_each(|path| name(data, path));
}

fn shorten_below(value: &mut Value, path: &str, limit: usize, spared: &[&str], cut: &mut BTreeSet<String>) {
    match value {
        _ if spared.contains(&path) => {}
        Value::Array(items) => {
            let path = format!("{path}[]");
            items.iter_mut().for_each(|item| shorten_below(item, &path, limit, spared, cut));
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                shorten_below(field, &path, limit, spared, cut);
            }
        }
        text => {
            if shorten_text(text, limit) {
                cut.insert(path.to_owned());
            }
        }
    }
}

fn name(data: &mut Value, path: &str) {
    if let Some(Value::Array(names)) = data.pointer_mut("/analysis/truncated")
        && !names.iter().any(|known| known == path)
    {
        names.push(json!(path));
    }
}

#[cfg(test)]
mod tests;
