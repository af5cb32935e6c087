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
        "analysis.root_cause.cause",
        "analysis.cause",
    ],
    &[
        "event_details.steps[].latest_error.cause",
        "analysis.failed_state.cause",
        "analysis.parsed_cause.message",
        "analysis.parsed_root_cause.message",
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
    "analysis.failed_state.name",
    "event_details.steps[].name",
];

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
    for group in TEXTS {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn data(input: usize, cause: usize, siblings: usize) -> Value {
        json!({
            "event_info": {"execution_arn": "arn"},
            "event_details": {
                "payload": "i".repeat(input),
                "steps": [{"name": "Charge", "initial_input": "\"".repeat(input),
                           "latest_error": {"error": "E", "cause": "c".repeat(cause)}}],
            },
            "analysis": {
                "cause": "c".repeat(cause),
                "failed_state": {"name": "Charge", "input": "i".repeat(input), "error": "E", "cause": "c".repeat(cause),
                                 "path": [], "attempts": [], "evidence": "the chain"},
                "also_failed": vec![json!({"name": "S", "cause": "x".repeat(cause)}); siblings],
                "truncated": [],
            },
        })
    }

    fn size(data: &Value) -> usize {
        data.to_string().len()
    }

    #[test]
    fn what_fits_is_not_touched() {
        let mut small = data(10, 10, 1);
        fit(&mut small, 4_096, size);
        assert_eq!(small, data(10, 10, 1));
    }

    #[test]
    fn inputs_give_way_before_the_answer() {
        let mut large = data(100_000, 1_000, 1);
        fit(&mut large, 16_384, size);
        assert!(size(&large) <= 16_384);
        assert_eq!(large["analysis"]["failed_state"]["cause"].as_str().map(str::len), Some(1_000));
        assert_eq!(
            large["analysis"]["truncated"],
            json!([
                "event_details.steps[].initial_input",
                "event_details.payload",
                "analysis.failed_state.input"
            ])
        );
        assert!(large["event_details"]["payload"].as_str().unwrap().ends_with('…'));
    }

    #[test]
    fn lists_give_way_when_texts_are_not_enough() {
        let mut many = data(10, 10, 5_000);
        fit(&mut many, 8_192, size);
        assert!(size(&many) <= 8_192);
        assert_eq!(many["analysis"]["truncated"], json!(["analysis.also_failed"]));
        assert_eq!(many["event_details"]["steps"][0]["name"], "Charge");
    }

    #[test]
    fn what_only_a_hostile_message_has_long_is_cut_last_and_named() {
        let long = "x".repeat(3_000);
        let mut hostile = data(10, 10, 0);
        hostile["analysis"]["failed_state"]["error"] = json!(long);
        hostile["analysis"]["failed_state"]["path"] = json!([format!("Orders[{long}]")]);
        hostile["analysis"]["links"] = json!({"console": format!("https://console/{}", "a".repeat(300))});
        // A link is cut only where nothing else is left to cut.
        let mut with_its_link = hostile.clone();
        fit(&mut with_its_link, 4_096, size);
        assert!(size(&with_its_link) <= 4_096);
        assert_eq!(with_its_link["analysis"]["links"], hostile["analysis"]["links"]);
        assert_eq!(
            with_its_link["analysis"]["truncated"],
            json!(["analysis.failed_state.error", "analysis.failed_state.path[]"])
        );
        hostile["event_info"]["execution_arn"] = json!("x".repeat(5_000));
        fit(&mut hostile, 4_096, size);
        assert!(size(&hostile) <= 4_096);
        let truncated = hostile["analysis"]["truncated"].as_array().unwrap();
        assert!(truncated.contains(&json!("event_info.execution_arn")), "{truncated:?}");
        assert!(truncated.contains(&json!("analysis.links.console")), "{truncated:?}");
    }

    /// A report with `text` in every place that has one.
    fn full_of(text: &str) -> Value {
        let all =
            |keys: &[&str]| Value::Object(keys.iter().map(|key| ((*key).to_owned(), json!(text))).collect());
        let parsed = all(&["kind", "message", "error_type", "stack"]);
        let mut failed = all(&["name", "type", "input", "error", "cause", "confidence", "evidence"]);
        failed["path"] = json!(vec![text; 9]);
        failed["attempts"] = json!(vec![all(&["started_at", "ended_at", "error", "cause"]); 9]);
        let mut root = all(&["execution_arn", "state", "error", "cause"]);
        root["via"] = json!(vec![all(&["execution_arn", "state"]); 9]);
        let mut analysis = all(&[
            "schema",
            "application",
            "status",
            "started_at",
            "ended_at",
            "error",
            "cause",
            "degraded",
            "since",
            "fingerprint",
        ]);
        analysis["failed_state"] = failed;
        analysis["root_cause"] = root;
        analysis["parsed_cause"] = parsed.clone();
        analysis["parsed_root_cause"] = parsed;
        analysis["reading"] =
            json!({"calls": 1_000, "events": 25_000, "complete": false, "budget_hit": true});
        analysis["truncated"] = json!([]);
        analysis["links"] = all(&["console"]);
        for list in ["in_flight", "also_failed", "busiest_states", "unread", "notes"] {
            analysis[list] = json!(vec![json!({"name": text}); 9]);
        }
        let mut failed = all(&["name", "initial_input"]);
        failed["latest_error"] = all(&["error", "cause"]);
        json!({
            "event_info": all(&["execution_arn", "state_machine_arn", "execution_name", "env"]),
            "event_details": {"payload": text, "steps": [failed]},
            "analysis": analysis,
        })
    }

    #[test]
    fn whatever_a_report_is_full_of_it_fits_the_smallest_limit() {
        for text in ["\u{1}", "\"", "名", "\u{1f4a5}", "x"] {
            let mut full = full_of(&text.repeat(1_000));
            fit(&mut full, 4_000, size);
            assert!(size(&full) <= 4_000, "{text:?}: {}", size(&full));
            assert_eq!(full["event_details"]["steps"].as_array().map(Vec::len), Some(1));
        }
    }

    #[test]
    fn a_long_cause_of_control_characters_leaves_what_says_which_failure_it_is() {
        let mut hostile = data(10, 10, 0);
        let cause = "\u{1}".repeat(5_000);
        hostile["analysis"]["failed_state"]["cause"] = json!(cause);
        hostile["analysis"]["cause"] = json!(cause);
        let names = hostile["event_info"].clone();
        fit(&mut hostile, 4_096, size);
        assert!(size(&hostile) <= 4_096);
        assert_eq!(hostile["event_info"], names);
        let kept = hostile["analysis"]["failed_state"]["cause"].as_str().unwrap().chars().count();
        assert!((20..1_000).contains(&kept), "{kept}");
    }

    #[test]
    fn the_failed_states_entry_is_the_last_of_the_steps_to_go() {
        let mut many = data(10, 10, 0);
        let step =
            |name: String| json!({"name": name, "initial_input": "{}", "latest_error": {"error": "E"}});
        let mut steps: Vec<Value> = (0..500).map(|n| step(format!("Step {n}"))).collect();
        steps.insert(400, step("Charge".to_owned()));
        many["event_details"]["steps"] = json!(steps);
        fit(&mut many, 4_096, size);
        assert!(size(&many) <= 4_096);
        let names: Vec<_> =
            many["event_details"]["steps"].as_array().unwrap().iter().map(|step| &step["name"]).collect();
        assert!(names.len() > 10 && names[0] == "Step 0", "{names:?}");
        assert_eq!(**names.last().unwrap(), "Charge");
        assert_eq!(many["analysis"]["truncated"], json!([STEPS]));
    }

    #[test]
    fn the_failed_states_entry_stays_alone_where_there_is_room_for_no_other() {
        let mut few = data(10, 10, 0);
        let other = json!({"name": "Other", "latest_error": {"error": "E".repeat(100)}});
        few["event_details"]["steps"].as_array_mut().unwrap().insert(0, other);
        while halve(&mut few, STEPS) {}
        assert_eq!(few["event_details"]["steps"].as_array().map(Vec::len), Some(1));
        assert_eq!(few["event_details"]["steps"][0]["name"], "Charge");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_bound_always_holds(input in 0_usize..20_000, cause in 0_usize..3_000, siblings in 0_usize..30, most in 4_096_usize..100_000) {
            let mut value = data(input, cause, siblings);
            fit(&mut value, most, size);
            prop_assert!(size(&value) <= most, "{} > {most}", size(&value));
            prop_assert_eq!(&value["analysis"]["failed_state"]["name"], "Charge");
        }
    }
}
