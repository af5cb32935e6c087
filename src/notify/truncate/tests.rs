use proptest::prelude::*;

use super::*;
use crate::analysis::answer::{AlsoFailed, Failure, LesserOutcome, Step};
use crate::report::tests::failed_at;
use crate::report::{Report, Subject};

fn report(input: usize, cause: usize, siblings: usize) -> Report {
    let subject = Subject {
        error: Some("E".to_owned()),
        cause: Some("c".repeat(cause)),
        input: Some("i".repeat(input)),
        ..Subject::default()
    };
    let mut report = failed_at("Charge", &subject);
    report.event_info.execution_arn = Some("arn".to_owned());
    report.event_details.steps[0].initial_input = Some("\"".repeat(input));
    report.analysis.parsed_cause = None;
    report.analysis.failed_state.as_mut().unwrap().input = Some("i".repeat(input));
    let sibling = AlsoFailed {
        name: "S".to_owned(),
        path: Vec::new(),
        error: None,
        cause: Some("x".repeat(cause)),
        outcome: LesserOutcome::Caught,
    };
    report.analysis.also_failed = vec![sibling; siblings];
    report
}

fn size(notice: &Notice<'_>) -> usize {
    notice.data().to_string().len()
}

/// The report, cut to this size.
fn cut(report: &Report, most: usize) -> Report {
    let mut notice = Notice::failure(report);
    truncate(&mut notice, most, size);
    assert!(size(&notice) <= most, "{} > {most}", size(&notice));
    notice.report().clone()
}

fn json(report: &Report) -> String {
    serde_json::to_string(report).unwrap()
}

#[test]
fn what_fits_is_not_touched() {
    let small = report(10, 10, 1);
    assert_eq!(json(&cut(&small, 4_096)), json(&small));
}

#[test]
fn inputs_give_way_before_the_answer() {
    let large = cut(&report(100_000, 1_000, 1), 16_384);
    assert_eq!(large.analysis.failed_state.unwrap().cause.unwrap().len(), 1_000);
    // The longest first: quotation marks take two bytes each.
    assert_eq!(
        large.analysis.truncated,
        ["event_details.steps[].initial_input", "analysis.failed_state.input", "event_details.payload"]
    );
    assert!(large.event_details.payload.unwrap().ends_with('…'));
}

#[test]
fn lists_give_way_when_texts_are_not_enough() {
    let many = cut(&report(10, 10, 5_000), 8_192);
    assert_eq!(many.analysis.truncated, ["analysis.also_failed"]);
    assert_eq!(many.event_details.steps[0].name, "Charge");
}

#[test]
fn what_only_a_hostile_message_has_long_is_cut_last_and_named() {
    let long = "x".repeat(3_000);
    let mut hostile = report(10, 10, 0);
    let failed = hostile.analysis.failed_state.as_mut().unwrap();
    failed.error = Some(long.clone());
    failed.path = vec![format!("Orders[{long}]")];
    hostile.analysis.links.console = Some(format!("https://console/{}", "a".repeat(300)));
    // A link is cut only where nothing else is left to cut.
    let with_its_link = cut(&hostile, 4_096);
    assert_eq!(with_its_link.analysis.links.console, hostile.analysis.links.console);
    assert_eq!(
        with_its_link.analysis.truncated,
        ["analysis.failed_state.error", "analysis.failed_state.path[]"]
    );
    hostile.event_info.execution_arn = Some("x".repeat(5_000));
    let truncated = cut(&hostile, 4_096).analysis.truncated;
    for path in ["event_info.execution_arn", "analysis.links.console"] {
        assert!(truncated.iter().any(|cut| cut == path), "{truncated:?}");
    }
}

/// A report with `text` in every place that has one.
fn full_of(text: &str) -> Report {
    struct Fill<'t>(&'t str);
    impl Visitor for Fill<'_> {
        fn text(&mut self, field: Field, filled: &mut String) {
            if field.rank < Rank::Kept {
                self.0.clone_into(filled);
            }
        }
    }
    let mut full = report(10, 10, 9);
    let analysis = &mut full.analysis;
    analysis.application = Some(String::new());
    analysis.since = Some(String::new());
    analysis.in_flight = vec![crate::report::tests::waiting("Wait").remove(0); 9];
    analysis.notes = vec![String::new(); 9];
    analysis.links.console = Some(String::new());
    analysis.failed_state.as_mut().unwrap().path = vec![String::new(); 9];
    full.visit(&mut Fill(text));
    full
}

#[test]
fn whatever_a_report_is_full_of_it_fits_the_smallest_limit() {
    for text in ["\u{1}", "\"", "名", "\u{1f4a5}", "x"] {
        let full = cut(&full_of(&text.repeat(1_000)), 4_000);
        assert_eq!(full.event_details.steps.len(), 1, "{text:?}");
    }
}

#[test]
fn a_long_cause_of_control_characters_leaves_what_says_which_failure_it_is() {
    let mut hostile = report(10, 10, 0);
    let cause = Some("\u{1}".repeat(5_000));
    hostile.analysis.failed_state.as_mut().unwrap().cause.clone_from(&cause);
    hostile.analysis.cause = cause;
    let small = cut(&hostile, 4_096);
    assert_eq!(small.event_info.execution_arn, hostile.event_info.execution_arn);
    let kept = small.analysis.failed_state.unwrap().cause.unwrap().chars().count();
    assert!((20..1_000).contains(&kept), "{kept}");
}

fn step(name: &str) -> Step {
    let latest_error = Failure { error: Some("E".repeat(100)), cause: None };
    Step { name: name.to_owned(), initial_input: Some("{}".to_owned()), latest_error }
}

#[test]
fn the_failed_states_entry_is_the_last_of_the_steps_to_go() {
    let mut many = report(10, 10, 0);
    many.event_details.steps = (0..500).map(|n| step(&format!("Step {n}"))).collect();
    many.event_details.steps.insert(400, step("Charge"));
    let few = cut(&many, 8_192);
    let names: Vec<&str> = few.event_details.steps.iter().map(|step| &*step.name).collect();
    assert!(names.len() > 10 && names[0] == "Step 0", "{names:?}");
    assert_eq!(names.last(), Some(&"Charge"));
    assert_eq!(few.analysis.truncated, [STEPS.path]);
}

#[test]
fn the_failed_states_entry_stays_alone_where_there_is_room_for_no_other() {
    let mut few = report(10, 10, 0);
    few.event_details.steps.insert(0, step("Other"));
    let mut notice = Notice::failure(&few);
    while halve_steps(&mut notice) {}
    let names: Vec<&str> = notice.report().event_details.steps.iter().map(|step| &*step.name).collect();
    assert_eq!(names, ["Charge"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_bound_always_holds(input in 0_usize..20_000, cause in 0_usize..3_000, siblings in 0_usize..30, most in 4_096_usize..100_000) {
        let small = cut(&report(input, cause, siblings), most);
        prop_assert_eq!(small.analysis.failed_state.unwrap().name, "Charge");
    }
}
