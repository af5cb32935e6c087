//! The report for people outside the team: what failed, when, and which request, in plain words.
//!
//! Has the same outer shape as the whole report, so that whoever takes the one takes the other. No
//! stack traces, no causes as they were written, and of inputs only what is allowed by name. Made
//! from data that is redacted already; it removes nothing by itself.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::analysis::cause;
use crate::aws::arn::state_machine_name;

/// Characters of a message.
const MESSAGE: usize = 300;

/// How deeply inputs are looked through.
const DEEPEST: usize = 32;

/// The summary of a report's `data`. Of inputs, the values under `input_keys` are kept, at any depth.
pub fn summary(data: &Value, input_keys: &[String]) -> Value {
    let analysis = &data["analysis"];
    let details = &data["event_details"];
    let input = |input: &Value| input.as_str().and_then(|input| kept(input, input_keys));
    let steps: Vec<Value> = details["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|step| {
            let (error, cause) = (&step["latest_error"]["error"], &step["latest_error"]["cause"]);
            json!({
                "name": step["name"],
                "initial_input": input(&step["initial_input"]),
                "latest_error": {"error": error, "cause": plain(error, cause)},
            })
        })
        .collect();
    let place = |state: &Value| json!({"name": state["name"], "path": state["path"]});
    let in_flight: Vec<Value> = analysis["in_flight"].as_array().into_iter().flatten().map(place).collect();
    json!({
        "event_info": data["event_info"],
        "event_details": {"payload": input(&details["payload"]), "steps": steps},
        "analysis": {
            "schema": analysis["schema"],
            "form": "summary",
            "summary": sentence(data),
            "application": analysis["application"],
            "status": analysis["status"],
            "started_at": analysis["started_at"],
            "ended_at": analysis["ended_at"],
            "error": analysis["error"],
            "failed_state": Some(&analysis["failed_state"]).filter(|state| state.is_object()).map(place),
            "in_flight": in_flight,
            "links": analysis["links"],
            "fingerprint": analysis["fingerprint"],
            "redacted": analysis["redacted"],
            "truncated": [],
        },
    })
}

/// What happened, in one or two sentences.
pub(super) fn sentence(data: &Value) -> String {
    let analysis = &data["analysis"];
    let info = &data["event_info"];
    let machine = info["state_machine_arn"].as_str().and_then(state_machine_name);
    let what = analysis["application"].as_str().or(machine).unwrap_or("The execution");
    let request =
        info["execution_name"].as_str().map(|name| format!(" (request {name})")).unwrap_or_default();
    let when = analysis["ended_at"].as_str().and_then(moment).unwrap_or_default();
    let failed = &analysis["failed_state"];
    let hung = analysis["in_flight"][0]["name"].as_str();
    let given = || deepest(analysis).map(|why| format!(" The reason given: {why}"));
    let mut why = given().or_else(|| ran_out_of_time(analysis)).unwrap_or_default();
    if let Some(probably) = probably(analysis) {
        let stop = if why.is_empty() || why.ends_with(['.', '!', '?', '…']) { "" } else { "." };
        why.push_str(&format!("{stop}{probably}"));
    }
    match analysis["status"].as_str() {
        None if analysis["reading"]["complete"] == false && analysis["degraded"].is_null() => {
            format!("{what}{request}: how it ended is not known, since only a part of its history was read.")
        }
        Some("TIMED_OUT") => {
            let step = hung.map(|step| format!(" It was at the step “{step}”.")).unwrap_or_default();
            format!("{what}{request} took too long and was ended{when}.{step}{why}")
        }
        Some("ABORTED") => {
            let step = hung.map(|step| format!(" It was at the step “{step}”.")).unwrap_or_default();
            format!("{what}{request} was stopped{when}.{step}{why}")
        }
        Some("FAILED") | None => match failed["name"].as_str() {
            Some(step) => format!("{what}{request} failed at the step “{step}”{when}.{why}"),
            None => format!("{what}{request} failed{when}; at which step is not known.{why}"),
        },
        Some("SUCCEEDED") => format!("{what}{request} succeeded{when}."),
        Some(_) => format!("{what}{request} has not ended."),
    }
}

/// Why a step failed that gave no reason, but ran out of time.
fn ran_out_of_time(analysis: &Value) -> Option<String> {
    let limit = &analysis["time_limit"];
    match (limit["limit"].as_str(), limit["seconds"].as_i64()) {
        (Some("heartbeat"), Some(seconds)) => {
            return Some(format!(" The step gave no sign of life for {seconds} seconds."));
        }
        (Some("timeout"), Some(seconds)) => {
            return Some(format!(" The step did not end in time: it had {seconds} seconds."));
        }
        _ => {}
    }
    let root = analysis["root_cause"]["error"].as_str();
    let failed = analysis["status"] == "FAILED";
    match root.or(analysis["error"].as_str()).filter(|_| failed)? {
        "States.Timeout" => Some(" The step did not end in time.".to_owned()),
        "States.HeartbeatTimeout" => Some(" The step gave no sign of life in time.".to_owned()),
        _ => None,
    }
}

/// The caught error that the failure probably comes from.
fn probably(analysis: &Value) -> Option<String> {
    let probable = &analysis["probable_cause"];
    let step = probable["state"].as_str()?;
    let how = if probable["confidence"] == "likely" { "probably" } else { "possibly" };
    let message = probable["parsed"]["message"].as_str().and_then(short);
    let why = message.or_else(|| probable["error"].as_str().and_then(short));
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    Some(format!(" It {how} comes from an error at the step “{step}”{why}"))
}

/// ` on 2026-03-01 at 12:00 UTC`.
fn moment(at: &str) -> Option<String> {
    Some(format!(" on {} at {} UTC", at.get(..10)?, at.get(11..16)?))
}

/// The message of the deepest cause, or of the execution's.
fn deepest(analysis: &Value) -> Option<String> {
    let parsed = [&analysis["parsed_root_cause"], &analysis["parsed_cause"]];
    parsed
        .into_iter()
        .find_map(|parsed| short(parsed["message"].as_str()?))
        .or_else(|| plain(&analysis["error"], &analysis["cause"]))
}

/// What a cause says, without a stack trace and without JSON.
fn plain(error: &Value, cause: &Value) -> Option<String> {
    short(cause::understand(None, error.as_str(), cause.as_str()?).message.as_deref()?)
}

/// A message for people, its lines as one, up to a line that is code.
fn short(message: &str) -> Option<String> {
    let is_code = |line: &&str| line.starts_with(['{', '[', '"']) || is_frame(line);
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.take_while(|line| !is_code(line)).collect();
    let line = lines.join(" ");
    if line.is_empty() {
        return None;
    }
    Some(match line.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    })
}

fn is_frame(line: &str) -> bool {
    line.starts_with("at ") || line.starts_with("File \"") || line.starts_with("Traceback (")
}

/// An input with nothing in it but the values under these keys, as they are written; `None` where none
/// is left.
fn kept(input: &str, keys: &[String]) -> Option<String> {
    only(serde_json::from_str(input).ok()?, keys, DEEPEST)
}

fn only(value: &RawValue, keys: &[String], depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    if let Ok(Fields(fields)) = serde_json::from_str(value.get()) {
        let kept = fields.into_iter().filter_map(|(key, value)| {
            let allowed = keys.iter().any(|allowed| allowed.eq_ignore_ascii_case(&key));
            let kept = if allowed { Some(value.get().to_owned()) } else { only(value, keys, depth) };
            Some(format!("{}:{}", json!(key), kept?))
        });
        return joined('{', kept.collect(), '}');
    }
    let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
    joined('[', items.into_iter().filter_map(|item| only(item, keys, depth)).collect(), ']')
}

fn joined(open: char, parts: Vec<String>, close: char) -> Option<String> {
    (!parts.is_empty()).then(|| format!("{open}{}{close}", parts.join(",")))
}

/// The fields of an object in their order, the values as they are written: numbers stay what they are.
#[derive(Debug)]
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Value {
        json!({
            "event_info": {"execution_arn": "arn", "state_machine_arn": "arn:aws:states:eu-west-1:1:stateMachine:orders",
                           "execution_name": "run-7", "env": "dev"},
            "event_details": {
                "payload": r#"{"order_id":"ORD-7","customer":{"email":"a@example.com","order_id":7},"items":[{"sku":"x"}]}"#,
                "steps": [{"name": "Charge", "initial_input": "not JSON", "latest_error":
                    {"error": "Declined", "cause": r#"{"errorMessage":"declined","errorType":"D","stackTrace":["at pay.js:3"]}"#}}],
            },
            "analysis": {
                "schema": "misstep.report/1", "application": null, "status": "FAILED", "error": "Declined",
                "ended_at": "2026-03-01T12:00:01.644Z", "failed_state": {"name": "Charge", "path": [], "input": "{}"},
                "parsed_cause": {"message": "declined", "stack": "at pay.js:3"}, "in_flight": [],
            },
        })
    }

    #[test]
    fn it_says_what_failed_when_and_which_request_and_shows_no_more() {
        let summary = summary(&data(), &["order_id".to_owned()]);
        assert_eq!(
            summary["analysis"]["summary"],
            "orders (request run-7) failed at the step “Charge” on 2026-03-01 at 12:00 UTC. The reason given: declined"
        );
        assert_eq!(summary["event_info"], data()["event_info"]);
        assert_eq!(
            summary["event_details"],
            json!({
                "payload": r#"{"order_id":"ORD-7","customer":{"order_id":7}}"#,
                "steps": [{"name": "Charge", "initial_input": null,
                           "latest_error": {"error": "Declined", "cause": "declined"}}],
            })
        );
        let text = summary.to_string();
        assert!(!text.contains("pay.js") && !text.contains("example.com") && !text.contains("sku"), "{text}");
    }

    #[test]
    fn what_is_kept_of_an_input_stays_as_it_was_written() {
        let keys = ["order_id".to_owned(), "é\"".to_owned()];
        for (input, expected) in [
            (r#"{"order_id": 12345678901234567890123}"#, Some(r#"{"order_id":12345678901234567890123}"#)),
            (r#"{"Order_ID": 1.10, "a": 1e999}"#, Some(r#"{"Order_ID":1.10}"#)),
            (r#"[{"b": [{"order_id": {"x":  1}}]}, 7]"#, Some(r#"[{"b":[{"order_id":{"x":  1}}]}]"#)),
            (r#"{"\u00e9\"": "\u00e9"}"#, Some(r#"{"é\"":"\u00e9"}"#)),
            (r#"{"a": 1, "b": []}"#, None),
            (r#"{"order_id": 1"#, None),
            ("7", None),
        ] {
            assert_eq!(kept(input, &keys).as_deref(), expected, "{input}");
        }
        let deep = format!("{}{{\"order_id\":1}}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(kept(&deep, &keys), None);
    }

    #[test]
    fn timeouts_aborts_and_unknown_steps_have_their_own_words() {
        let said = |status: &str, in_flight: Value| {
            let mut data = data();
            data["analysis"]["status"] = json!(status);
            data["analysis"]["failed_state"] = Value::Null;
            data["analysis"]["parsed_cause"] = Value::Null;
            data["analysis"]["in_flight"] = in_flight;
            sentence(&data)
        };
        let when = "on 2026-03-01 at 12:00 UTC";
        assert_eq!(
            said("TIMED_OUT", json!([{"name": "Wait"}])),
            format!("orders (request run-7) took too long and was ended {when}. It was at the step “Wait”.")
        );
        assert_eq!(said("ABORTED", json!([])), format!("orders (request run-7) was stopped {when}."));
        assert_eq!(
            said("FAILED", json!([])),
            format!("orders (request run-7) failed {when}; at which step is not known.")
        );
        assert_eq!(sentence(&json!({})), "The execution failed; at which step is not known.");
    }
}
