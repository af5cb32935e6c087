use std::path::Path;

use super::*;

#[test]
fn the_documentation_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let document = Metrics::document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, document, "docs/metrics.md is old: run with UPDATE_DOCS=1");
}

#[test]
fn outcomes_are_counted_by_their_names() {
    let metrics = Metrics::new();
    assert_eq!(metrics.messages().to_string(), "none");
    for name in ["notified", "released", "notified"] {
        metrics.message(name, Duration::ZERO);
    }
    assert_eq!(metrics.messages().to_string(), "notified 2, released 1");
    metrics.panicked();
    assert_eq!(metrics.messages().to_string(), "notified 2, panicked 1, released 1");
}

#[test]
fn an_unlisted_value_makes_no_series_of_its_own() {
    let metrics = Metrics::new();
    metrics.message("surprise", Duration::ZERO);
    let text = metrics.text(ExpositionFormat::Prometheus);
    assert!(text.contains("misstep_messages_total{outcome=\"other\"} 1"), "{text}");
    assert!(!text.contains("surprise"), "{text}");
}

#[test]
fn what_cannot_be_read_is_absent() {
    let metrics = Metrics::new();
    metrics.backlog(Some([3, 2, 1]));
    metrics.dead_letter_queue(Some(6));
    let text = metrics.text(ExpositionFormat::Prometheus);
    assert!(text.contains("misstep_backlog_messages{state=\"visible\"} 3.0\n"), "{text}");
    assert!(text.contains("misstep_dead_letter_queue_messages 6.0\n"), "{text}");
    metrics.backlog(None);
    metrics.dead_letter_queue(None);
    let text = metrics.text(ExpositionFormat::Prometheus);
    assert!(!text.contains("misstep_backlog") && !text.contains("misstep_dead_letter_queue"), "{text}");
}

#[test]
fn both_formats_name_a_counter_as_they_must() {
    let metrics = Metrics::new();
    let open = metrics.text(ExpositionFormat::OpenMetrics);
    assert!(open.contains("# TYPE misstep_duplicates counter\nmisstep_duplicates_total 0\n"), "{open}");
    assert!(open.ends_with("# EOF\n"));
    let classic = metrics.text(ExpositionFormat::Prometheus);
    assert!(
        classic.contains("# TYPE misstep_duplicates_total counter\nmisstep_duplicates_total 0\n"),
        "{classic}"
    );
    assert!(!classic.contains("EOF"));
    assert_eq!(
        ExpositionFormat::accepted("application/openmetrics-text;version=1.0.0,text/plain"),
        ExpositionFormat::OpenMetrics
    );
    assert_eq!(ExpositionFormat::accepted("*/*"), ExpositionFormat::Prometheus);
}

#[test]
fn every_kind_of_report_is_at_zero_until_one_is_made() {
    let metrics = Metrics::new();
    let series = || -> Vec<String> {
        let text = metrics.text(ExpositionFormat::Prometheus);
        text.lines().filter(|line| line.starts_with("misstep_reports_total{")).map(str::to_owned).collect()
    };
    let zeros = series();
    assert_eq!(zeros.len(), 1 + DegradedBy::NAMES.len(), "{zeros:?}");
    assert!(zeros.iter().all(|line| line.ends_with(" 0")), "{zeros:?}");
    metrics.report(None);
    metrics.report(Some(DegradedBy::Kms));
    metrics.report(Some(DegradedBy::Kms));
    let mut counted: Vec<String> = series().into_iter().filter(|line| !line.ends_with(" 0")).collect();
    counted.sort();
    assert_eq!(
        counted,
        [
            "misstep_reports_total{kind=\"degraded\",reason=\"kms\"} 2",
            "misstep_reports_total{kind=\"full\",reason=\"none\"} 1",
        ]
    );
}
