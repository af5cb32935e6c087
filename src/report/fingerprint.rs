//! One fingerprint for each bug: the same for every failure with the same cause.
//!
//! Made of the state machine, the place in it, the errors, their messages and the top frame of the
//! application's own code, without anything that differs between executions: ids, numbers, times,
//! ARNs and payloads. Other systems store and compare it, so it must not change between
//! releases: `tests/it/fingerprint.rs` pins it.

pub(crate) mod bug;
mod frame;
mod message;
mod payload;

use std::fmt::Write as _;

use regex::Regex;
use sha2::{Digest as _, Sha256};

use frame::top_frame;
use message::normal;

use super::Report;
use crate::analysis::cause::ParsedCause;
use crate::aws::arn::base_state_machine;
use crate::history::Status;

/// Raised when the recipe changes, so that old and new fingerprints are never mixed up.
const RECIPE: &str = "1";

/// The fingerprint of a failure; `None` for what has not failed.
pub(super) fn of(report: &Report) -> Option<String> {
    let analysis = &report.analysis;
    let is_unknown = analysis.status.is_none() && analysis.degraded.is_none();
    if is_unknown || matches!(analysis.status, Some(Status::Succeeded | Status::Running)) {
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
    if let Some(probable) = &analysis.probable_cause {
        parts.push(place(&probable.state, &probable.path));
        parts.push(normal(probable.error.as_deref().unwrap_or_default()));
        parts.push(probable.parsed.as_ref().map(said).unwrap_or_default());
    }
    parts.push(analysis.stack().and_then(top_frame).unwrap_or_default());
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

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant, met by the tests")
}
