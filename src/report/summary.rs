//! The report for people outside the team: what failed, when, and which request, in plain words.
//!
//! It has the same outer keys as the whole report, so that a receiver of one accepts the other. It has no
//! stack traces, no raw causes, and only the allowed keys of inputs. It is made
//! from a redacted report, and removes no secrets by itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor as DeVisitor};
use serde::{Serialize, Serializer};
use serde_json::json;
use serde_json::value::RawValue;

use super::fields::{Field, Rank, Visitor};
use super::incident::{IncidentKind, IncidentNote};
use super::{EventDetails, EventInfo, Explanation, Links, Report, phrases};
use crate::analysis::answer::{
    Confidence, FailedState, Failure, InFlight, ProbableCause, Step, TimeLimit, TimeLimitKind,
};
use crate::analysis::cause::{self, ParsedCause};
use crate::aws::arn::state_machine_name;
use crate::history::Status;
use crate::investigation::Reading;
use crate::redact::{Removed, Role};

/// Characters of a message.
const MESSAGE: usize = 300;

/// How deeply inputs are looked through.
const DEEPEST: usize = 32;

/// The summary of a report.
#[derive(Debug, Clone)]
pub struct Summary {
    /// What happened, in one or two sentences.
    pub sentence: String,
    /// The reduced report.
    pub report: Report,
}

impl Summary {
    /// The summary of a report. Of inputs, the values under `input_keys` are kept, at any depth.
    pub fn of(report: &Report, input_keys: &[String]) -> Self {
        let input = |input: &Option<String>| input.as_deref().and_then(|input| kept(input, input_keys));
        let Report { event_info, event_details, analysis, timeline: _, bug: _ } = report;
        let step = |step: &Step| Step {
            name: step.name.clone(),
            initial_input: input(&step.initial_input),
            latest_error: Failure {
                error: step.latest_error.error.clone(),
                cause: plain(&step.latest_error),
            },
        };
        let details = EventDetails {
            payload: input(&event_details.payload),
            steps: event_details.steps.iter().map(step).collect(),
        };
        Self {
            sentence: sentence(report),
            report: Report {
                event_info: event_info.clone(),
                event_details: details,
                analysis: reduced(analysis),
                timeline: None,
                bug: None,
            },
        }
    }

    /// Shows `visitor` every text and every list.
    pub fn visit(&mut self, visitor: &mut dyn Visitor) {
        let field = Field { path: "analysis.summary", role: Role::Text, rank: Rank::Bounded };
        visitor.text(field, &mut self.sentence);
        self.report.visit(visitor);
    }
}

/// The part of the analysis for people outside the team.
fn reduced(analysis: &Explanation) -> Explanation {
    let failed_state = analysis.failed_state.as_ref().map(|failed| FailedState {
        name: failed.name.clone(),
        r#type: None,
        path: failed.path.clone(),
        input: None,
        error: None,
        cause: None,
        entered_event_id: None,
        attempts: Vec::new(),
        confidence: Confidence::Exact,
        evidence: String::new(),
        called: None,
    });
    let in_flight = |state: &InFlight| InFlight {
        name: state.name.clone(),
        r#type: state.r#type.clone(),
        path: state.path.clone(),
        input: None,
        phase: state.phase,
        since: None,
        last_error: None,
    };
    // A report from the event alone has the status too.
    let complete = analysis.reading.complete || analysis.degraded.is_some();
    Explanation {
        schema: analysis.schema,
        application: analysis.application.clone(),
        status: analysis.status,
        redriven: None,
        redrive: None,
        started_at: analysis.started_at.clone(),
        ended_at: analysis.ended_at.clone(),
        error: analysis.error.clone(),
        cause: None,
        failed_state,
        root_cause: None,
        probable_cause: None,
        time_limit: None,
        resources: Vec::new(),
        logs: None,
        in_flight: analysis.in_flight.iter().map(in_flight).collect(),
        also_failed: Vec::new(),
        parsed_cause: None,
        parsed_root_cause: None,
        reading: Reading { complete, ..Reading::default() },
        degraded: None,
        truncated: Vec::new(),
        links: analysis.links.clone(),
        busiest_states: Vec::new(),
        since: None,
        unread: Vec::new(),
        notes: Vec::new(),
        fingerprint: analysis.fingerprint.clone(),
        redacted: analysis.redacted.clone(),
        incident: analysis.incident.clone(),
    }
}

/// The summary as JSON.
#[derive(Serialize)]
struct Shown<'s> {
    event_info: &'s EventInfo,
    event_details: &'s EventDetails,
    analysis: ShownAnalysis<'s>,
}

#[derive(Serialize)]
struct ShownAnalysis<'s> {
    schema: &'static str,
    form: &'static str,
    summary: &'s str,
    application: &'s Option<String>,
    status: Option<Status>,
    started_at: &'s Option<String>,
    ended_at: &'s Option<String>,
    error: &'s Option<String>,
    failed_state: Option<StatePlace<'s>>,
    in_flight: Vec<StatePlace<'s>>,
    links: &'s Links,
    fingerprint: &'s Option<String>,
    redacted: &'s Option<Removed>,
    incident: &'s Option<IncidentNote>,
    truncated: &'s [String],
}

/// A state, without what it did.
#[derive(Serialize)]
struct StatePlace<'s> {
    name: &'s str,
    path: &'s [String],
}

impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Report { event_info, event_details, analysis, .. } = &self.report;
        let failed = analysis.failed_state.as_ref();
        let waiting = analysis.in_flight.iter();
        let shown = ShownAnalysis {
            schema: analysis.schema,
            form: "summary",
            summary: &self.sentence,
            application: &analysis.application,
            status: analysis.status,
            started_at: &analysis.started_at,
            ended_at: &analysis.ended_at,
            error: &analysis.error,
            failed_state: failed.map(|state| StatePlace { name: &state.name, path: &state.path }),
            in_flight: waiting.map(|state| StatePlace { name: &state.name, path: &state.path }).collect(),
            links: &analysis.links,
            fingerprint: &analysis.fingerprint,
            redacted: &analysis.redacted,
            incident: &analysis.incident,
            truncated: &analysis.truncated,
        };
        Shown { event_info, event_details, analysis: shown }.serialize(serializer)
    }
}

/// What happened, in one or two sentences; of an incident, how it stands first.
pub(super) fn sentence(report: &Report) -> String {
    let failure = sentence_of_failure(report);
    match &report.analysis.incident {
        None => failure,
        Some(note) if note.kind == IncidentKind::Alert => {
            format!("{failure} {}", phrases::incident::sentence(note))
        }
        Some(note) => format!("{} The first of them: {failure}", phrases::incident::sentence(note)),
    }
}

fn sentence_of_failure(report: &Report) -> String {
    let Report { event_info, analysis, .. } = report;
    let machine = event_info.state_machine_arn.as_deref().and_then(state_machine_name);
    let what = analysis.application.as_deref().or(machine).unwrap_or("The execution");
    let request =
        event_info.execution_name.as_ref().map(|name| format!(" (request {name})")).unwrap_or_default();
    let when = analysis.ended_at.as_deref().and_then(moment).unwrap_or_default();
    let hung = || {
        let step = analysis.in_flight.first().map(|state| format!(" It was at the step “{}”.", state.name));
        step.unwrap_or_default()
    };
    let given = deepest(analysis).map(|why| format!(" The reason given: {why}"));
    let mut why = given.or_else(|| ran_out_of_time(analysis)).unwrap_or_default();
    if let Some(probable) = &analysis.probable_cause {
        let stop = if why.is_empty() || why.ends_with(['.', '!', '?', '…']) { "" } else { "." };
        why.push_str(&format!("{stop}{}", probably(probable)));
    }
    match analysis.status {
        None if !analysis.reading.complete && analysis.degraded.is_none() => {
            format!("{what}{request}: how it ended is not known, since only a part of its history was read.")
        }
        Some(Status::TimedOut) => {
            format!("{what}{request} took too long and was ended{when}.{}{why}", hung())
        }
        Some(Status::Aborted) => format!("{what}{request} was stopped{when}.{}{why}", hung()),
        Some(Status::Failed) | None => match &analysis.failed_state {
            Some(step) => format!("{what}{request} failed at the step “{}”{when}.{why}", step.name),
            None => format!("{what}{request} failed{when}; at which step is not known.{why}"),
        },
        Some(Status::Succeeded) => format!("{what}{request} succeeded{when}."),
        Some(Status::Running) => format!("{what}{request} has not ended."),
    }
}

/// Why a step failed that gave no reason, but ran out of time.
fn ran_out_of_time(analysis: &Explanation) -> Option<String> {
    if let Some(TimeLimit { limit, seconds }) = analysis.time_limit {
        return Some(match limit {
            TimeLimitKind::Heartbeat => format!(" The step gave no sign of life for {seconds} seconds."),
            TimeLimitKind::Timeout => format!(" The step did not end in time: it had {seconds} seconds."),
        });
    }
    let root = analysis.root_cause.as_ref().and_then(|root| root.error.as_deref());
    let failed = analysis.status == Some(Status::Failed);
    match root.or(analysis.error.as_deref()).filter(|_| failed)? {
        "States.Timeout" => Some(" The step did not end in time.".to_owned()),
        "States.HeartbeatTimeout" => Some(" The step gave no sign of life in time.".to_owned()),
        _ => None,
    }
}

/// The caught error that the failure probably comes from.
fn probably(probable: &ProbableCause) -> String {
    let how = phrases::probably(probable.confidence);
    let message = probable.parsed.as_ref().and_then(|parsed| short(parsed.message.as_deref()?));
    let why = message.or_else(|| probable.error.as_deref().and_then(short));
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!(" It {how} comes from an error at the step “{}”{why}", probable.state)
}

/// ` on 2026-03-01 at 12:00 UTC`.
fn moment(at: &str) -> Option<String> {
    Some(format!(" on {} at {} UTC", at.get(..10)?, at.get(11..16)?))
}

/// The message of the deepest cause, or of the execution's.
fn deepest(analysis: &Explanation) -> Option<String> {
    let parsed = [&analysis.parsed_root_cause, &analysis.parsed_cause];
    let message = |parsed: &ParsedCause| short(parsed.message.as_deref()?);
    let own = || Failure { error: analysis.error.clone(), cause: analysis.cause.clone() };
    parsed.into_iter().flatten().find_map(message).or_else(|| plain(&own()))
}

/// The message of a cause, without a stack trace and without JSON.
fn plain(failure: &Failure) -> Option<String> {
    let cause = failure.cause.as_deref()?;
    short(cause::understand(None, failure.error.as_deref(), cause).message.as_deref()?)
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

/// Characters of a value that is shown by its key.
const KEYED_VALUE: usize = 200;

/// The values in an input under these keys, in whatever case and depth; several under one key are joined.
pub fn keyed_values(input: &str, keys: &[String]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Ok(input) = serde_json::from_str(input) {
        collect(input, keys, DEEPEST, &mut found);
    }
    found
}

fn collect(value: &RawValue, keys: &[String], depth: usize, found: &mut BTreeMap<String, String>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    if let Ok(RawFields(fields)) = serde_json::from_str(value.get()) {
        for (key, value) in fields {
            match keys.iter().find(|allowed| allowed.eq_ignore_ascii_case(&key)) {
                Some(key) => keyed(key, value, found),
                None => collect(value, keys, depth, found),
            }
        }
    } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(value.get()) {
        items.into_iter().for_each(|item| collect(item, keys, depth, found));
    }
}

/// Adds a value to those of its key: a text without its quotes, anything else as it is written.
fn keyed(key: &str, value: &RawValue, found: &mut BTreeMap<String, String>) {
    let text = serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned());
    let known = found.entry(key.to_owned()).or_default();
    if known.split(", ").any(|known| known == text) {
        return;
    }
    if !known.is_empty() {
        known.push_str(", ");
    }
    known.push_str(&text);
    if let Some((end, _)) = known.char_indices().nth(KEYED_VALUE) {
        known.truncate(end);
    }
}

/// An input with nothing in it but the values under these keys, as they are written; `None` where none
/// is left.
fn kept(input: &str, keys: &[String]) -> Option<String> {
    only(serde_json::from_str(input).ok()?, keys, DEEPEST)
}

fn only(value: &RawValue, keys: &[String], depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    if let Ok(RawFields(fields)) = serde_json::from_str(value.get()) {
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
struct RawFields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawFields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct RawFieldsVisitor;
        impl<'de> DeVisitor<'de> for RawFieldsVisitor {
            type Value = RawFields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(RawFields(fields))
            }
        }
        from.deserialize_map(RawFieldsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::report::{Subject, tests::failed_at};

    fn report() -> Report {
        let cause = r#"{"errorMessage":"declined","errorType":"D","stackTrace":["at pay.js:3"]}"#;
        let subject = Subject {
            state_machine_arn: Some("arn:aws:states:eu-west-1:1:stateMachine:orders".to_owned()),
            env: "dev".to_owned(),
            status: Some(Status::Failed),
            error: Some("Declined".to_owned()),
            cause: Some(cause.to_owned()),
            input: Some(
                r#"{"order_id":"ORD-7","customer":{"email":"a@example.com","order_id":7},"items":[{"sku":"x"}]}"#
                    .to_owned(),
            ),
            ended_at: "2026-03-01T12:00:01.644Z".parse().ok(),
            ..Subject::default()
        };
        let mut report = failed_at("Charge", &subject);
        report.event_info.execution_name = Some("run-7".to_owned());
        report.event_details.steps[0].initial_input = Some("not JSON".to_owned());
        report
    }

    #[test]
    fn it_says_what_failed_when_and_which_request_and_shows_no_more() {
        let report = report();
        let summary = serde_json::to_value(Summary::of(&report, &["order_id".to_owned()])).unwrap();
        assert_eq!(
            summary["analysis"]["summary"],
            "orders (request run-7) failed at the step “Charge” on 2026-03-01 at 12:00 UTC. The reason given: declined"
        );
        assert_eq!(summary["event_info"], serde_json::to_value(&report.event_info).unwrap());
        assert_eq!(
            summary["event_details"],
            json!({
                "payload": r#"{"order_id":"ORD-7","customer":{"order_id":7}}"#,
                "steps": [{"name": "Charge", "initial_input": null,
                           "latest_error": {"error": "Declined", "cause": "declined"}}],
            })
        );
        assert_eq!(summary["analysis"]["failed_state"], json!({"name": "Charge", "path": []}));
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
    fn values_are_found_by_their_keys_at_any_depth() {
        let keys = ["order_id".to_owned(), "id".to_owned()];
        let input = r#"{"Order_ID": "O-7", "items": [{"id": 1.10}, {"id": 2}, {"id": 1.10}], "other": "x"}"#;
        let found = keyed_values(input, &keys);
        assert_eq!(
            found,
            BTreeMap::from([("id".into(), "1.10, 2".into()), ("order_id".into(), "O-7".into())])
        );
        assert!(keyed_values("{\"id\": ", &keys).is_empty());
        let long = keyed_values(&format!("{{\"id\": {:?}}}", "é".repeat(1_000)), &keys);
        assert_eq!(long["id"].chars().count(), KEYED_VALUE);
    }

    #[test]
    fn timeouts_aborts_and_unknown_steps_have_their_own_words() {
        let said = |status: Option<Status>, waits: bool| {
            let mut report = report();
            report.analysis.status = status;
            report.analysis.failed_state = None;
            report.analysis.parsed_cause = None;
            report.analysis.cause = None;
            if waits {
                report.analysis.in_flight = crate::report::tests::waiting("Wait");
            }
            sentence(&report)
        };
        let when = "on 2026-03-01 at 12:00 UTC";
        assert_eq!(
            said(Some(Status::TimedOut), true),
            format!("orders (request run-7) took too long and was ended {when}. It was at the step “Wait”.")
        );
        assert_eq!(said(Some(Status::Aborted), false), format!("orders (request run-7) was stopped {when}."));
        assert_eq!(
            said(Some(Status::Failed), false),
            format!("orders (request run-7) failed {when}; at which step is not known.")
        );
        let unknown = sentence(&Report::degraded(&Subject::default(), "why"));
        assert_eq!(unknown, "The execution failed; at which step is not known.");
        let partial: Value = serde_json::to_value(Summary::of(&report(), &[])).unwrap();
        assert_eq!(partial["analysis"]["form"], "summary");
    }
}
