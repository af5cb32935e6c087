//! The report in Markdown: its looks, and that nothing planted in it gets a meaning.

use misstep::analysis::Question;
use misstep::aws::arn::ExecutionArn;
use misstep::history::{History, Status};
use misstep::investigation::Finding;
use misstep::report::format::Format;
use misstep::report::{Report, Subject};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::recorded::recorded;
use crate::support::planted;
use crate::support::synth::big_map;

fn explained(history: &History) -> String {
    let finding = Finding::of_file(history, &Question::default());
    Format::Markdown.render(&Report::new(&Subject::default(), &finding), false)
}

#[test]
fn a_retried_lambda_is_explained() {
    insta::assert_snapshot!(explained(&recorded("failed", "retry-interval-features")));
}

#[test]
fn a_failure_in_handling_a_caught_error_inside_a_map_is_explained() {
    let history = recorded("failed", "map-catch-error-map-catch-error-output-with-retry");
    insta::assert_snapshot!(explained(&history));
}

#[test]
fn a_nested_execution_is_explained_as_far_as_a_file_goes() {
    insta::assert_snapshot!(explained(&recorded("failed", "start-execution-sync-delegate-timeout")));
}

#[test]
fn a_success_with_caught_errors_is_explained() {
    insta::assert_snapshot!(explained(&recorded("succeeded", "map-catch-error-map-catch-error-output")));
}

#[test]
fn an_event_without_a_history_is_explained() {
    let subject = Subject {
        execution: ExecutionArn::parse("arn:aws:states:eu-west-1:123456789012:execution:orders:run-7").ok(),
        status: Some(Status::Failed),
        error: Some("States.Runtime".into()),
        cause: Some("An error occurred while executing the state 'Choose' (entered at the event id #8). Invalid path '$.kind'.".into()),
        input: Some("{\"id\":7}".into()),
        ..Subject::default()
    };
    let report = Report::degraded(&subject, "access to its history was denied");
    insta::assert_snapshot!(Format::Markdown.render(&report, false));
}

#[test]
fn a_report_on_25_000_events_fits_into_a_ticket() {
    let json = big_map(25_000).history(1).json().to_string();
    let report = explained(&misstep::history::file::parse(json.as_bytes()).unwrap());
    println!("25,000 events: {} bytes of Markdown", report.len());
    assert!(report.len() < 10_000);
}

/// What a reader of Markdown makes of it, without the texts.
fn shape(markdown: &str) -> Vec<String> {
    let mut shape: Vec<String> = Vec::new();
    for event in Parser::new_ext(markdown, Options::all()) {
        let part = match event {
            Event::Text(_) | Event::Code(_) => "text".to_owned(),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => "block".to_owned(),
            Event::Start(Tag::Link { dest_url, .. }) => {
                assert!(dest_url.starts_with("https://console.aws.amazon.com"), "a link to {dest_url}");
                "link".to_owned()
            }
            Event::Start(tag) => format!("{tag:?}"),
            Event::End(TagEnd::CodeBlock) => "end of block".to_owned(),
            other => format!("{other:?}"),
        };
        if part != "text" || shape.last().is_none_or(|last| last != "text") {
            shape.push(part);
        }
    }
    shape
}

#[test]
fn nothing_planted_in_any_field_gets_a_meaning() {
    let shapes = |reports: &[Report]| -> Vec<Vec<String>> {
        reports.iter().map(|report| shape(&Format::Markdown.render(report, false))).collect()
    };
    let expected = shapes(&planted::reports(planted::NOTHING));
    for (plant, reports) in planted::planted_reports() {
        for (at, (found, expected)) in shapes(reports).iter().zip(&expected).enumerate() {
            let first = found.iter().zip(expected).position(|(found, expected)| found != expected);
            assert!(
                first.is_none() && found.len() == expected.len(),
                "{plant:?} in report {at} got a meaning: {:?} instead of {:?}\n{}",
                first.map(|first| &found[first..(first + 5).min(found.len())]),
                first.map(|first| &expected[first..(first + 5).min(expected.len())]),
                Format::Markdown.render(&reports[at], false)
            );
        }
    }
}

#[test]
fn nothing_that_steers_or_turns_text_is_left_and_letters_of_every_script_are() {
    for (plant, reports) in planted::planted_reports() {
        for report in reports {
            let markdown = Format::Markdown.render(report, false);
            let steers = |char: char| {
                (char.is_control() && char != '\n') || matches!(char, '\u{202a}'..='\u{202e}' | '\u{200b}')
            };
            assert!(!markdown.contains(steers), "{plant:?}: {markdown}");
        }
    }
    let arabic = planted::reports("اسم الحالة");
    assert!(Format::Markdown.render(&arabic[0], false).contains("`اسم الحالةLambdaTaskاسم الحالة`"));
}
