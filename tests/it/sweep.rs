//! The sweep: what is listed and unknown is found, put into the queue once, and handled like any failure.

mod command;
mod search;
pub(super) mod worker;

use jiff::{Timestamp, ToSpan as _};
use serde_json::json;

use crate::support::errand::Errand;
use crate::support::{execution, failure};

/// A route that gets incidents, and a sweep every two seconds.
pub(super) fn config(errand: &Errand, url: &str) -> String {
    let schedule = "ladder = [\"1s\"]\nquiet = \"3s\"\n[sweep]\nevery = \"2s\"";
    errand.incidents_at(url, schedule)
}

/// Failures that ended a while ago, of which the events of all but those of these numbers arrived.
pub(super) fn fail_all_but(errand: &Errand, failures: usize, lost: &[usize]) {
    for number in 0..failures {
        errand.add(number);
        let ended = Timestamp::now() - 30.seconds();
        errand.sfn.amend(&execution(number), json!({"stopDate": ended.as_millisecond() as f64 / 1_000.0}));
        if !lost.contains(&number) {
            errand.sqs.send("failures", &failure(number));
        }
    }
}
