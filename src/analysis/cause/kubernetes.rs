//! Kubernetes' answers about a job, a pod, or a refused call.
//!
//! `eks:runJob.sync` fails with the job, `eks:call` with the API's answer. A job's conditions say why
//! it failed; names, annotations and the specification say nothing of that.

use serde_json::{Map, Value};

use super::container::{self, ContainerExit};
use super::field::{number, objects, text, value};
use super::partial::Fields;
use super::reader::Own;
use super::{CauseContext, CauseKind, ParsedCause};

pub(super) static READER: Own = Own {
    name: "Kubernetes on Amazon EKS",
    called: &["eks:runJob", "eks:call"],
    fits: |_, fields| objects_of(fields).iter().any(|object| is_resource(object)),
    understand,
    reads: "the failed condition of a job; how the containers of a pod ended; `message` and `reason` of a refused call",
};

/// The resources in an answer: itself, the body of an answer of the API, or the items of a list.
fn objects_of(fields: &Fields) -> Vec<&Map<String, Value>> {
    let paths = ["", "ResponseBody", "items", "ResponseBody.items"];
    paths.iter().flat_map(|path| objects(&fields.values, path)).collect()
}

fn is_resource(object: &Map<String, Value>) -> bool {
    let is_text = |name| value(object, name).is_some_and(Value::is_string);
    is_text("apiVersion") && is_text("kind")
}

fn understand(_: CauseContext<'_>, fields: &Fields) -> ParsedCause {
    let all = objects_of(fields);
    let found = all.iter().find_map(|object| condition(object).or_else(|| refusal(object)));
    let (message, error_type) = found.unzip();
    let mut parts: Vec<String> = message.into_iter().collect();
    let pods: Vec<ContainerExit> =
        all.iter().flat_map(|object| objects(object, "status")).flat_map(container::of_pod).collect();
    parts.extend(container::said(pods, false));
    parts.extend(all.iter().find_map(|object| failed_pods(object)));
    if let [first, _, ..] = parts.as_mut_slice() {
        *first = container::without_stop(first).to_owned();
    }
    let message = (!parts.is_empty()).then(|| parts.join("; "));
    ParsedCause::says(CauseKind::Json, message, error_type.flatten())
}

/// The condition that says that a job failed, or that a pod cannot run; its reason is the type.
fn condition(object: &Map<String, Value>) -> Option<(String, Option<String>)> {
    let conditions = objects(object, "status.conditions");
    let says = |condition: &&&Map<String, Value>, wanted: &[&str], status: &str| {
        let is = |name, text_of: &str| text(condition, name).is_some_and(|text| text == text_of);
        wanted.iter().any(|wanted| is("type", wanted)) && is("status", status)
    };
    let failed = conditions.iter().find(|condition| says(condition, &["Failed", "FailureTarget"], "True"));
    let waits = || conditions.iter().find(|condition| says(condition, &["PodScheduled", "Ready"], "False"));
    let condition = failed.or_else(waits)?;
    let reason = text(condition, "reason");
    let message = text(condition, "message").or(reason)?;
    Some((message.to_owned(), reason.map(str::to_owned)))
}

/// The API's message for a refused call, or a pod's own message: `Evicted`.
fn refusal(object: &Map<String, Value>) -> Option<(String, Option<String>)> {
    let is_refusal = text(object, "kind") == Some("Status");
    let said = if is_refusal { Some(object) } else { objects(object, "status").into_iter().next() };
    let said = said?;
    let reason = text(said, "reason");
    let message = text(said, "message").or(reason)?;
    Some((message.to_owned(), reason.map(str::to_owned)))
}

/// `4 pods failed`.
fn failed_pods(object: &Map<String, Value>) -> Option<String> {
    let failed = objects(object, "status").into_iter().find_map(|status| number(status, "failed"))?;
    (failed > 1).then(|| format!("{failed} pods failed"))
}
