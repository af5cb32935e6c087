//! `docs/metrics.md`, made from the table.

use std::fmt::Write as _;

use super::label::{OTHER, Values};
use super::table::{MetricKind, MetricRow};

const ABOUT: &str = "\
# Metrics

Served at `/metrics` of the admin address (`MISSTEP_ADMIN_ADDR`), as OpenMetrics where a scrape asks for
it and as Prometheus text otherwise. This page is made from the code; `UPDATE_DOCS=1 cargo test --lib
metrics` writes it, and a test compares it. [metrics-example.txt](metrics-example.txt) is what a worker served
in a run of the tests (`UPDATE_DOCS=1 cargo test --test it admin::every_metric`).

No label ever holds anything of a message: the values are listed below, or names of the configuration.
Where more than the listed values would be possible, the rest is counted as `other`.
";

pub(super) fn document(rows: &[MetricRow]) -> String {
    let mut text = format!("{ABOUT}\n| metric | kind | labels | what it says |\n|---|---|---|---|\n");
    for MetricRow { name, kind, help, labels } in rows {
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let labels: Vec<String> = labels.iter().map(|label| format!("`{}`", label.name)).collect();
        let _infallible = writeln!(text, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    text.push_str("\n| label | of | values |\n|---|---|---|\n");
    for MetricRow { name, labels, .. } in rows {
        for label in labels {
            let values = match label.values {
                Values::Listed(values) => {
                    let values = values.iter().filter(|value| **value != OTHER);
                    values.map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
                }
                Values::Named(bound) => bound.to_owned(),
            };
            let _infallible = writeln!(text, "| `{}` | `{name}` | {values} |", label.name);
        }
    }
    text
}
