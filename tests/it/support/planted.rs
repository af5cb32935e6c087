//! Reports in which somebody planted something, in every string that a history or a report has.

use std::sync::LazyLock;

use misstep::analysis::Question;
use misstep::analysis::answer::{
    AlsoFailed, Busy, Failure, Hop, HopKind, InFlight, LesserOutcome, Likelihood, Phase, ProbableCause,
    RootCause,
};
use misstep::analysis::cause::understand;
use misstep::analysis::resources::{Resource, ResourceRole};
use misstep::history::{StateType, file};
use misstep::investigation::{Finding, Unread};
use misstep::logs::{LogLine, Logs};
use misstep::report::{Redrive, Report, Subject};
use serde_json::{Value, json};

use crate::support::synth::random;

/// What is planted: what HTML, SVG, Markdown, JSON and terminals give a meaning to.
pub(crate) const PLANTS: &[&str] = &[
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onload='alert(1)",
    "</svg></title></style></script></pre></details><b>",
    "<!-- <![CDATA[ ]]> -->",
    "&lt;b&gt;&#60;",
    "```` `` `",
    "\n````\n~~~\n<b>out</b>\n",
    "|a|b|\n|-|-|\n",
    "\\|\\` \\",
    "\n\n# heading\n\n- list\n\n    code\n\n1. one\n> quote\n---\n",
    "[link](https://evil.example) ![image](https://evil.example/x.png) <https://evil.example>",
    "www.evil.example https://evil.example a@evil.example @you #12",
    "*a* _b_ **c** ~~d~~ $e$ [^1] [ ] :+1:",
    "\u{202e}gnp.exe\u{2066}\u{200b}\u{feff}",
    "اسم الحالة",
    "\u{0}\u{1b}[31m\u{9b}\r\t\u{2028}",
    "javascript:alert(1)",
];

/// Something harmless in the same places, to compare with.
pub(crate) const NOTHING: &str = "plain";

/// Reports of very different failures for each plant, all of whose texts begin and end with it.
pub(crate) fn planted_reports() -> &'static [(&'static str, Vec<Report>)] {
    static ALL: LazyLock<Vec<(&str, Vec<Report>)>> =
        LazyLock::new(|| PLANTS.iter().map(|plant| (*plant, reports(plant))).collect());
    &ALL
}

/// The same with one plant.
pub(crate) fn reports(plant: &str) -> Vec<Report> {
    reports_with_key(plant, &around("key", plant))
}

/// The same, with this key in every object.
pub(crate) fn reports_with_key(plant: &str, key: &str) -> Vec<Report> {
    static HISTORIES: LazyLock<Vec<Value>> = LazyLock::new(histories);
    let mut reports: Vec<Report> =
        HISTORIES.iter().map(|history| report(history.clone(), plant, key)).collect();
    let dressed: Vec<Report> = reports.iter().map(|report| dressed(report.clone(), plant)).collect();
    reports.extend(dressed);
    reports.push(busy(plant));
    reports
}

fn histories() -> Vec<Value> {
    let recorded = ["retry-interval-features", "map-state-retry", "start-execution-sync-delegate-timeout"];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/histories/failed");
    let recorded = recorded.map(|name| {
        serde_json::from_slice(&std::fs::read(format!("{folder}/{name}.json")).unwrap()).unwrap()
    });
    let generated = (0..12).map(|seed| random(seed).history(seed).json());
    recorded.into_iter().chain(generated).collect()
}

fn around(text: &str, plant: &str) -> String {
    format!("{plant}{text}{plant}")
}

fn report(mut history: Value, plant: &str, key: &str) -> Report {
    for event in history["events"].as_array_mut().unwrap() {
        for (field, value) in event.as_object_mut().unwrap() {
            if !matches!(field.as_str(), "type" | "timestamp") {
                planted(value, plant, key);
            }
        }
    }
    let history = file::parse(history.to_string().as_bytes()).unwrap();
    Report::new(&Subject::default(), &Finding::of_file(&history, &Question::default()))
}

fn planted(value: &mut Value, plant: &str, key: &str) {
    match value {
        // What was JSON stays JSON half of the time, so that both ways of showing it are met.
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(mut json) if json.is_object() => {
                planted(&mut json, plant, key);
                json[key] = json!([around("value", plant), {}]);
                *text = json.to_string();
            }
            _ => *text = around(text, plant),
        },
        Value::Array(list) => list.iter_mut().for_each(|value| planted(value, plant, key)),
        Value::Object(object) => object.values_mut().for_each(|value| planted(value, plant, key)),
        _ => {}
    }
}

/// What no history of one execution brings about at once.
fn dressed(mut report: Report, plant: &str) -> Report {
    let text = around("text", plant);
    let some = || Some(text.clone());
    report.event_info.execution_arn = some();
    report.event_info.state_machine_arn = some();
    report.event_info.execution_name = some();
    report.event_info.env.clone_from(&text);
    report.event_details.payload = some();
    let analysis = &mut report.analysis;
    analysis.application = some();
    analysis.since = some();
    analysis.degraded = some();
    analysis.links.console = Some(format!("https://console.aws.amazon.com/{text}"));
    analysis.notes.push(text.clone());
    analysis.truncated.push(text.clone());
    analysis.unread.push(Unread { arn: text.clone(), why: text.clone() });
    let kinds = [HopKind::Caught, HopKind::NestedExecution, HopKind::MapRun];
    analysis.root_cause = Some(RootCause {
        execution_arn: Some(around("elsewhere", plant)),
        state: some(),
        error: some(),
        cause: some(),
        via: kinds.map(|how| Hop { how, state: some(), execution_arn: some(), into: some() }).into(),
        called: None,
    });
    analysis.probable_cause = Some(ProbableCause {
        state: text.clone(),
        path: vec![text.clone()],
        error: some(),
        cause: some(),
        parsed: Some(understand(None, some().as_deref(), &text)),
        confidence: Likelihood::Likely,
        evidence: text.clone(),
    });
    analysis.redrive = Redrive::of(Some("NOT_REDRIVABLE"), some().as_deref());
    analysis.in_flight.push(InFlight {
        name: text.clone(),
        r#type: StateType::Other(text.clone()),
        path: vec![text.clone(), text.clone()],
        input: some(),
        phase: Phase::Backoff,
        since: None,
        last_error: Some(Failure { error: some(), cause: some() }),
    });
    let link = || Some(format!("https://console.aws.amazon.com/{text}"));
    analysis.resources.push(Resource {
        role: ResourceRole::RootCause,
        state: text.clone(),
        service: text.clone(),
        operation: some(),
        name: some(),
        arn: some(),
        id: Some(around("id", plant)),
        status: some(),
        region: some(),
        log_group: some(),
        log_stream: some(),
        console: link(),
        logs: link(),
        started_at: None,
        ended_at: None,
    });
    analysis.logs = Some(Logs {
        log_group: some(),
        log_stream: some(),
        lines: vec![LogLine { at: None, text: text.clone() }],
        error: None,
    });
    analysis.also_failed.push(AlsoFailed {
        name: text.clone(),
        path: vec![text.clone()],
        error: some(),
        cause: some(),
        outcome: LesserOutcome::Aborted,
    });
    report
}

fn busy(plant: &str) -> Report {
    let mut report = Report::degraded(&Subject::default(), &around("gone", plant));
    report.analysis.busiest_states.push(Busy { name: around("Poll", plant), entered: 3_000 });
    report.analysis.links.console = Some(around("https://console.aws.amazon.com", plant));
    report
}
