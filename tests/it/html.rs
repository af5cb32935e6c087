//! The report as a page: that it asks for nothing, that nothing planted in it becomes an element or
//! an attribute, and that it stays small.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Token, Tokenizer};
use misstep::analysis::Question;
use misstep::history::file;
use misstep::investigation::Finding;
use misstep::report::format::Format;
use misstep::report::{Report, Subject};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::recorded::recorded;
use crate::support::planted;
use crate::support::synth::steps::{Phase, map, task};
use crate::support::synth::{Machine, big_map, random};

/// Elements without an end tag.
const VOID: &[&str] = &["meta"];

fn page(history: &Value) -> String {
    let history = file::parse(history.to_string().as_bytes()).unwrap();
    let finding = Finding::of_file(&history, &Question::default());
    Format::Html.render(&Report::new(&Subject::default(), &finding), false)
}

/// A page as a browser takes it apart.
#[derive(Debug, Default)]
struct Parsed {
    /// Start tags with their attributes, and end tags.
    tags: Vec<(String, Vec<(String, String)>)>,
    /// All text, that of the style and the script left out.
    text: String,
    style: String,
    script: String,
}

fn parsed(page: &str) -> Parsed {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let (mut parsed, mut open) = (Parsed::default(), Vec::<String>::new());
    for token in Tokenizer::new_with_emitter(page, emitter) {
        match token.unwrap() {
            Token::StartTag(tag) => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let name = text(&tag.name);
                assert!(!tag.self_closing, "<{name}/> means nothing in HTML");
                let attributes = tag.attributes.iter().map(|(name, value)| (text(name), text(&value.value)));
                parsed.tags.push((name.clone(), attributes.collect()));
                if !VOID.contains(&name.as_str()) {
                    open.push(name);
                }
            }
            Token::EndTag(tag) => {
                let name = String::from_utf8(tag.name.to_vec()).unwrap();
                assert_eq!(open.pop().as_ref(), Some(&name), "ends what did not begin");
                parsed.tags.push((format!("/{name}"), Vec::new()));
            }
            Token::String(text) => {
                let into = match open.last().map(String::as_str) {
                    Some("style") => &mut parsed.style,
                    Some("script") => &mut parsed.script,
                    _ => &mut parsed.text,
                };
                into.push_str(str::from_utf8(&text).unwrap());
                into.push('\n');
            }
            Token::Comment(comment) => panic!("a comment: {comment:?}"),
            Token::Doctype(doctype) => assert_eq!(doctype.name.to_vec(), b"html"),
            Token::Error(error) => panic!("no HTML: {error:?}"),
        }
    }
    assert!(open.is_empty(), "never ended: {open:?}");
    parsed
}

#[test]
fn a_retried_lambda_is_explained() {
    let finding = Finding::of_file(&recorded("failed", "retry-interval-features"), &Question::default());
    let page = Format::Html.render(&Report::new(&Subject::default(), &finding), false);
    insta::assert_snapshot!(parsed(&page).text);
}

#[test]
fn nothing_planted_in_any_field_becomes_an_element_or_an_attribute() {
    let pages = |reports: &[Report]| -> Vec<Parsed> {
        reports.iter().map(|report| parsed(&Format::Html.render(report, false))).collect()
    };
    // How long a text is decides whether it is unfolded; addresses are looked at elsewhere.
    let shape = |parsed: &Parsed| -> Vec<(String, Vec<(String, String)>)> {
        let mut tags = parsed.tags.clone();
        for (_, attributes) in &mut tags {
            attributes.retain(|(name, _)| !matches!(name.as_str(), "open" | "href"));
        }
        tags
    };
    let expected = pages(&planted::reports(planted::NOTHING));
    let mut compared = 0;
    for (plant, reports) in planted::planted_reports() {
        for (at, (found, expected)) in pages(reports).iter().zip(&expected).enumerate() {
            let (shape, expected) = (shape(found), shape(expected));
            let first = shape.iter().zip(&expected).position(|(found, expected)| found != expected);
            assert!(first.is_none(), "{plant:?} in report {at}: {:?}", first.map(|first| &shape[first]));
            assert_eq!(shape.len(), expected.len(), "{plant:?} in report {at}");
            if !plant.contains(char::is_control) && !plant.contains('\u{202e}') {
                assert!(found.text.contains(plant), "{plant:?} is not there to be read");
            }
            compared += 1;
        }
    }
    println!("{compared} pages with something planted have the elements of those without");
}

#[test]
fn nothing_that_steers_or_turns_text_is_left_and_names_keep_their_direction_to_themselves() {
    for (plant, reports) in planted::planted_reports() {
        for report in reports {
            let page = Format::Html.render(report, false);
            let steers = |char: char| {
                (char.is_control() && char != '\n')
                    || matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            };
            assert!(!page.contains(steers), "{plant:?}");
        }
    }
    let arabic = Format::Html.render(&planted::reports("اسم الحالة")[0], false);
    assert!(arabic.contains("<bdi>اسم الحالةLambdaTaskاسم الحالة</bdi>"));
}

#[test]
fn a_page_asks_for_nothing_and_links_only_to_the_console() {
    for report in planted::planted_reports().iter().flat_map(|(_, reports)| reports) {
        let page = parsed(&Format::Html.render(report, false));
        for (tag, attributes) in &page.tags {
            for (name, value) in attributes {
                let is_link = tag == "a" && name == "href";
                let is_address = value.contains("//") || value.contains("url(") || name == "href";
                let is_own = value.starts_with('#') || value == "url(#hatch)";
                assert!(!is_address || is_own || is_link, "{tag} {name}={value}");
                assert!(!is_link || value.starts_with("https://console.aws.amazon.com"), "a link to {value}");
                assert!(!matches!(name.as_str(), "src" | "srcset" | "style") && !name.starts_with("on"));
            }
        }
        for asking in ["//", "url(", "@import", "fetch", "innerHTML"] {
            assert!(!page.style.contains(asking) && !page.script.contains(asking), "{asking}");
        }
    }
}

#[test]
fn only_the_style_and_the_script_that_were_written_here_may_run() {
    let page = parsed(&page(&random(1).history(1).json()));
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.strip_suffix('\n').unwrap()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(&page.style),
        hash(&page.script)
    );
    let meta = |(_, attributes): &&(String, Vec<(String, String)>)| {
        attributes.iter().any(|(_, value)| value == "Content-Security-Policy")
    };
    let (_, attributes) = page.tags.iter().find(meta).unwrap();
    assert!(attributes.contains(&("content".to_owned(), policy)));
    let source = include_str!("../../src/report/html.rs");
    assert_eq!(source.matches("PreEscaped(").count(), 2, "the style and the script, and nothing else");
    assert!(!include_str!("../../src/report/html/timeline.rs").contains("PreEscaped"));
}

#[test]
fn ten_thousand_iterations_at_once_make_a_small_page() {
    let failing = big_map(70_030);
    let charges = (0..10_000).map(|_| vec![task("Charge").stops(Phase::Started)]).collect();
    let stuck = Machine::new(vec![map("Orders", charges)]).times_out();
    for (what, machine) in [("one fails", failing), ("all are in flight at a timeout", stuck)] {
        let history = file::parse(machine.history(1).json().to_string().as_bytes()).unwrap();
        let finding = Finding::of_file(&history, &Question::default());
        let report = Report::new(&Subject::default(), &finding);
        let iterations = report.timeline.as_ref().unwrap().scopes.len() - 2;
        assert_eq!(iterations, 10_000);
        let began = Instant::now();
        let page = Format::Html.render(&report, false);
        let took = began.elapsed();
        let elements = parsed(&page).tags.len();
        println!(
            "10,000 iterations at once, {what}: {} bytes, {elements} tags, rendered in {took:?}",
            page.len()
        );
        assert!(page.len() < 2_000_000 && elements < 10_000 && took.as_secs() < 5);
    }
}

#[test]
fn times_that_run_backwards_or_are_missing_do_not_break_the_drawing() {
    for seed in 0..40 {
        let mut history = random(seed).history(seed).json();
        let events = history["events"].as_array_mut().unwrap();
        let count = events.len();
        for (at, event) in events.iter_mut().enumerate() {
            let event = event.as_object_mut().unwrap();
            match seed % 4 {
                0 => event.insert("timestamp".into(), ((count - at) as f64 * 1e6).into()),
                1 if at % 3 == 0 => event.remove("timestamp"),
                2 => event.remove("timestamp"),
                3 if at % 2 == 0 => event.insert("timestamp".into(), (-1e9).into()),
                _ => None,
            };
        }
        for (tag, attributes) in parsed(&page(&history)).tags {
            for (name, value) in attributes {
                if matches!(name.as_str(), "x" | "x1" | "x2" | "width" | "height") && tag != "svg" {
                    let number: f64 = value.trim_end_matches('%').parse().unwrap();
                    assert!((0.0..=100.0).contains(&number), "{tag} {name}={value}");
                }
            }
        }
    }
}
