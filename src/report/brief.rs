//! A report in a few lines, for a subject, a chat or a mail: made from a report's `data`, whole or as
//! the summary.

use serde::Deserialize as _;
use serde_json::Value;

use super::{summary, wording};
use crate::analysis::resources::Resource;
use crate::aws::arn::state_machine_name;

/// Characters of a name in a subject.
const NAME: usize = 80;

/// Characters of a subject.
const SUBJECT: usize = 250;

/// Characters of a log's last lines.
const LOG: usize = 690;

/// One thing to know about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is called.
    pub label: &'static str,
    /// What it is.
    pub text: String,
    /// Whether it is code: an input, an error's name.
    pub code: bool,
}

/// What failed, in one line: `[prod] orders failed at Charge: PaymentDeclined`.
pub fn subject(data: &Value) -> String {
    let analysis = &data["analysis"];
    let env = data["event_info"]["env"].as_str().map(|env| format!("[{env}] ")).unwrap_or_default();
    let application =
        text(&analysis["application"]).map(|name| format!("{} ", one_line(name, NAME))).unwrap_or_default();
    let machine = one_line(machine(data).unwrap_or("an execution"), NAME);
    let failed = text(&analysis["failed_state"]["name"]).or_else(|| text(&analysis["in_flight"][0]["name"]));
    let place = |word| failed.map(|state| format!(" {word} {}", one_line(state, NAME))).unwrap_or_default();
    let what = match analysis["status"].as_str() {
        Some("TIMED_OUT") => format!("timed out{}", place("in")),
        Some("ABORTED") => format!("was aborted{}", place("in")),
        Some("SUCCEEDED") => "succeeded".to_owned(),
        Some("RUNNING") => "is running".to_owned(),
        None if analysis["reading"]["complete"] == false && analysis["degraded"].is_null() => {
            "has an end that is not known".to_owned()
        }
        _ => format!("failed{}", place("at")),
    };
    let error = text(&analysis["root_cause"]["error"]).or_else(|| text(&analysis["error"]));
    let error = error.map(|error| format!(": {}", one_line(error, NAME))).unwrap_or_default();
    let probable = &analysis["probable_cause"];
    let caught = text(&probable["state"]).map(|state| {
        let parts = [Some(state), text(&probable["error"])].into_iter().flatten();
        let parts: Vec<String> = parts.map(|part| one_line(part, NAME)).collect();
        format!(" ({} {})", how_sure(probable), parts.join(": "))
    });
    one_line(&format!("{env}{application}{machine} {what}{error}{}", caught.unwrap_or_default()), SUBJECT)
}

/// How sure a probable cause is, in a word.
fn how_sure(probable: &Value) -> &'static str {
    if probable["confidence"] == "likely" { "probably" } else { "possibly" }
}

/// What happened, in one or two sentences.
pub fn sentence(data: &Value) -> String {
    match data["analysis"]["summary"].as_str() {
        Some(summary) => summary.to_owned(),
        None => summary::sentence(data),
    }
}

/// What there is to know besides, the most important first. What is long stays long.
pub fn facts(data: &Value) -> Vec<Fact> {
    let (info, analysis) = (&data["event_info"], &data["analysis"]);
    let failed = &analysis["failed_state"];
    let mut facts = Vec::new();
    let mut add = |label, said: Option<String>, code| {
        if let Some(text) = said.filter(|text| !text.is_empty()) {
            facts.push(Fact { label, text, code });
        }
    };
    let path = failed["path"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let state: Vec<&str> = path.chain(text(&failed["name"])).collect();
    add("State", Some(state.join(" › ")), false);
    let waiting: Vec<&str> = analysis["in_flight"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|state| text(&state["name"]))
        .collect();
    add("In flight", Some(waiting.join(", ")), false);
    let own = |key: &str| text(&failed[key]).or_else(|| text(&analysis[key])).map(str::to_owned);
    add("Error", own("error"), true);
    add("Cause", own("cause"), true);
    let root = &analysis["root_cause"];
    if root.is_object() && (root["state"] != failed["name"] || root["error"] != failed["error"]) {
        let parts = [&root["state"], &root["error"], &root["cause"]];
        let parts: Vec<&str> = parts.into_iter().filter_map(text).collect();
        add("Root cause", Some(parts.join(": ")), true);
    }
    let probable = &analysis["probable_cause"];
    let parts = [&probable["state"], &probable["error"], &probable["parsed"]["message"]];
    let parts: Vec<&str> = parts.into_iter().filter_map(text).collect();
    let label = if how_sure(probable) == "probably" { "Probable cause" } else { "Possible cause" };
    add(label, Some(parts.join(": ")), true);
    add("Where it ran", Some(resources(data).iter().map(ran).collect::<Vec<_>>().join("\n")), false);
    add("Log", logged(&analysis["logs"]), true);
    let input = text(&failed["input"]).or_else(|| text(&analysis["in_flight"][0]["input"]));
    add("Input", input.map(str::to_owned), true);
    let payload = text(&data["event_details"]["payload"]).filter(|payload| Some(*payload) != input);
    add("Execution's input", payload.map(str::to_owned), true);
    add("Execution", text(&info["execution_name"]).map(str::to_owned), true);
    add("State machine", machine(data).map(str::to_owned), true);
    add("Ended", text(&analysis["ended_at"]).map(str::to_owned), false);
    let redriven = analysis["redriven"].as_u64().filter(|times| *times > 0);
    add(
        "Redriven before",
        redriven.map(|times| if times == 1 { "once".into() } else { format!("{times} times") }),
        false,
    );
    let redrive = &analysis["redrive"];
    let reason = text(&redrive["reason"]).map(|reason| format!(": {reason}")).unwrap_or_default();
    let can = redrive["possible"].as_bool();
    add(
        "Redrive",
        can.map(|can| if can { "possible".into() } else { format!("not possible{reason}") }),
        false,
    );
    add("Not read", text(&analysis["degraded"]).map(str::to_owned), false);
    add(
        "Removed",
        analysis["redacted"]["values"]
            .as_u64()
            .map(|values| format!("{values} values that look like secrets")),
        false,
    );
    let cut: Vec<&str> =
        analysis["truncated"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    add("Cut to fit", Some(cut.join(", ")), false);
    facts
}

fn ran(resource: &Resource) -> String {
    let log = wording::log(resource).map(|log| format!(", {}", log.plain())).unwrap_or_default();
    format!("{}{log}", wording::called(resource).plain())
}

fn resources(data: &Value) -> Vec<Resource> {
    Vec::deserialize(&data["analysis"]["resources"]).unwrap_or_default()
}

/// The last lines of a log, as many as people read here, or why there are none.
fn logged(logs: &Value) -> Option<String> {
    if let Some(error) = text(&logs["error"]) {
        return Some(error.to_owned());
    }
    let lines: Vec<&str> = logs["lines"].as_array()?.iter().filter_map(|line| text(&line["text"])).collect();
    let text = lines.join("\n");
    let more = text.chars().count().saturating_sub(LOG);
    Some(if more == 0 { text } else { format!("…{}", text.chars().skip(more).collect::<String>()) })
}

/// The page of the innermost log that is known.
pub fn logs(data: &Value) -> Option<&str> {
    data["analysis"]["resources"].as_array()?.iter().find_map(|resource| text(&resource["logs"]))
}

/// The execution's page in the console.
pub fn link(data: &Value) -> Option<&str> {
    text(&data["analysis"]["links"]["console"])
}

/// The state machine's name.
pub fn machine(data: &Value) -> Option<&str> {
    state_machine_name(data["event_info"]["state_machine_arn"].as_str()?)
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// A text in one line of so many characters at most, without what controls a terminal.
fn one_line(text: &str, most: usize) -> String {
    let line = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data() -> Value {
        json!({
            "event_info": {"state_machine_arn": "arn:aws:states:eu-west-1:1:stateMachine:orders", "execution_name": "run-7", "env": "prod"},
            "event_details": {"payload": "{\"a\":1}"},
            "analysis": {
                "status": "FAILED", "error": "States.TaskFailed", "cause": "it failed",
                "failed_state": {"name": "Charge\nit", "path": ["Orders[3]"], "error": "States.TaskFailed", "cause": "c", "input": "{\"b\":2}"},
                "root_cause": {"state": "Pay", "error": "Declined", "cause": "no money"},
                "truncated": ["event_details.payload"], "redacted": {"values": 2},
            },
        })
    }

    #[test]
    fn the_subject_is_one_line_that_says_what_failed_where_and_why() {
        assert_eq!(subject(&data()), "[prod] orders failed at Charge it: Declined");
        let mut waits = data();
        waits["analysis"] =
            json!({"status": "TIMED_OUT", "application": "shop", "in_flight": [{"name": "Wait"}]});
        assert_eq!(subject(&waits), "[prod] shop orders timed out in Wait");
        assert_eq!(subject(&json!({})), "an execution failed");
        let mut long = data();
        long["analysis"]["failed_state"]["name"] = json!("x".repeat(10_000));
        assert!(subject(&long).len() < 300);
    }

    #[test]
    fn the_facts_begin_with_where_and_why() {
        let told: Vec<String> =
            facts(&data()).into_iter().map(|fact| format!("{}: {}", fact.label, fact.text)).collect();
        assert_eq!(
            told,
            [
                "State: Orders[3] › Charge\nit",
                "Error: States.TaskFailed",
                "Cause: c",
                "Root cause: Pay: Declined: no money",
                "Input: {\"b\":2}",
                "Execution's input: {\"a\":1}",
                "Execution: run-7",
                "State machine: orders",
                "Removed: 2 values that look like secrets",
                "Cut to fit: event_details.payload",
            ]
        );
    }
}
