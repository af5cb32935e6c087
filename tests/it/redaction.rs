//! No planted secret survives, in any form.

mod worst;

use std::time::Duration;

use misstep::notify::truncate::truncate;
use misstep::redact::{Redactor, Removed, Rules};
use misstep::report::format::Format;
use misstep::report::notice::Notice;
use misstep::report::summary::Summary;
use misstep::report::{Report, Subject};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::planted::{NOTHING, reports, reports_with_key};

/// Secrets that are known by what they look like.
pub(crate) const LOOKS: &[&str] = &[
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "4111111111111111",
    "5555-5555-5555-4444",
    "378282246310005",
    "Bearer 5f8a-opaque.token",
    "ghp_0123456789abcdefghijABCDEFGHIJ",
    "AAAAKgAAAAIAAAAAAAAAAVT2uPbS9mXzQkW7p1fYbq0ilnC4",
    "https://app:hunter77@db.example.com/x",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----",
];

/// What of it must not be left.
pub(crate) fn essence(secret: &str) -> &str {
    match secret {
        "Bearer 5f8a-opaque.token" => "5f8a-opaque",
        "https://app:hunter77@db.example.com/x" => "hunter77",
        pem if pem.starts_with("-----") => "MIIEvQIBADANBg",
        other => other,
    }
}

pub(crate) const KEYS: &[&str] = &[
    "password",
    "DB_PASSWORD",
    "clientSecret",
    "client-secret",
    "apiKey",
    "x-api-key",
    "API KEY",
    "Authorization",
    "accessToken",
    "TaskToken",
    "taskToken",
    "token",
    "card",
    "cardNumber",
    "ssn",
    "cvv",
    "pin",
    "iban",
    "privateKey",
    "credentials",
    "aws_secret_access_key",
    "Cookie",
    "session_id",
];

fn redactor() -> Redactor {
    Redactor::new(&Rules::default())
}

/// Everything that a report is shown or sent as, without its secrets.
fn every_form(report: &Report) -> Vec<(&'static str, String)> {
    let redacted = report.clone().redacted(&redactor());
    let mut forms: Vec<(&str, String)> = Format::NAMES
        .map(|name| (name, Format::parse(name).unwrap().render(&redacted, false)))
        .into_iter()
        .collect();
    let keys = ["order_id", "data", "password"].map(str::to_owned);
    let json = |notice: &Notice<'_>| notice.data().to_string();
    forms.push(("summary", json(&Notice::Summary(Box::new(Summary::of(&redacted, &keys))))));
    forms.push(("full", json(&Notice::failure(&redacted))));
    for most in [4_096, 1_500] {
        let mut cut = Notice::failure(&redacted);
        truncate(&mut cut, most, |notice| json(notice).len());
        forms.push(("cut", json(&cut)));
    }
    forms
}

/// A report with a text in every place where somebody's data may stand.
fn report(text: &str) -> Report {
    let cause = Some(text.to_owned());
    let subject =
        Subject { error: Some("E".into()), cause, input: Some(text.to_owned()), ..Subject::default() };
    let mut report = reports(NOTHING).pop().unwrap();
    let other = Report::degraded(&subject, text);
    report.event_details = other.event_details;
    report.analysis.cause = other.analysis.cause;
    report.analysis.parsed_cause = other.analysis.parsed_cause;
    report.analysis.degraded = other.analysis.degraded;
    report.analysis.notes.push(text.to_owned());
    report
}

/// A report from an event with this input and this cause.
fn of_event(text: &str) -> Report {
    let some = || Some(text.to_owned());
    let mut report = Report::degraded(&Subject { input: some(), ..Subject::default() }, "a test");
    report.analysis.cause = some();
    report
}

/// Its input and its cause.
fn texts(report: &Report) -> (Option<&str>, Option<&str>) {
    (report.event_details.payload.as_deref(), report.analysis.cause.as_deref())
}

/// JSON that holds a value under a key, in so many strings of JSON.
pub(crate) fn nested(key: &str, value: &Value, depth: usize) -> String {
    let mut text = json!({"order_id": 7, key: value, "after": [1, {"b": "c"}]}).to_string();
    for level in 0..depth {
        text = json!({"level": level, "data": text, "more": "x"}).to_string();
    }
    text
}

#[test]
fn what_looks_like_a_secret_survives_in_no_form_of_any_planted_report() {
    for secret in LOOKS {
        let plant = format!(" {secret} ");
        // Keys are never changed, so nothing is planted there.
        for report in reports_with_key(&plant, "key") {
            for (form, text) in every_form(&report) {
                assert!(!text.contains(essence(secret)), "{form}: {secret}\n{text}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_value_under_a_secret_key_survives_in_no_form(
        key in prop::sample::select(KEYS),
        value in r#"[A-Za-z][A-Za-z0-9"\\/ é\n]{4,20}Zq[A-Za-z0-9]{3}"#,
        depth in 0_usize..6,
        shape in 0_usize..4,
    ) {
        let wrapped = match shape {
            0 => json!(value),
            1 => json!([value]),
            2 => json!({"number": value}),
            _ => json!([{"deep": [{"deeper": value}]}]),
        };
        let text = nested(key, &wrapped, depth);
        let left = &value[value.find("Zq").unwrap()..];
        for (form, shown) in every_form(&report(&text)) {
            prop_assert!(!shown.contains(left), "{form}: {key} {value:?} at {depth}\n{shown}");
        }
    }

    #[test]
    fn what_is_cut_off_anywhere_shows_no_more(
        key in prop::sample::select(KEYS),
        value in r#"[A-Za-z]{3}[A-Za-z0-9"\\/ ]{4,20}Zq[A-Za-z0-9]{3}"#,
        depth in 0_usize..5,
        cut in 0.0_f64..1.0,
    ) {
        let whole = nested(key, &json!(value), depth);
        let mut at = (whole.len() as f64 * cut) as usize;
        while !whole.is_char_boundary(at) { at += 1 }
        let left = &value[value.find("Zq").unwrap()..];
        for (form, shown) in every_form(&report(&whole[..at])) {
            prop_assert!(!shown.contains(left), "{form}: {}\n{shown}", &whole[..at]);
        }
    }

    #[test]
    fn what_looks_like_a_secret_survives_at_no_depth_cut_or_not(
        secret in prop::sample::select(LOOKS),
        depth in 0_usize..5,
        whole in any::<bool>(),
    ) {
        let mut text = nested("note", &json!(format!("it was {secret} so")), depth);
        if !whole { text.truncate(text.len() - 3) }
        for (form, shown) in every_form(&report(&text)) {
            prop_assert!(!shown.contains(essence(secret)), "{form}: {secret}\n{shown}");
        }
    }

    #[test]
    fn json_stays_json_with_the_same_keys_and_a_second_time_changes_nothing(
        key in prop::sample::select(KEYS),
        value in r#"\PC{0,30}"#,
        depth in 0_usize..5,
    ) {
        let text = nested(key, &json!(value), depth);
        let mut report = of_event(&text);
        report.redact(&redactor());
        let payload = report.event_details.payload.clone().unwrap();
        let now: Value = serde_json::from_str(&payload).unwrap();
        let before: Value = serde_json::from_str(&text).unwrap();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        prop_assert_eq!(keys(&now), keys(&before));
        let once = json!(report);
        prop_assert_eq!(report.redact(&redactor()), Removed::default());
        prop_assert_eq!(json!(report), once);
    }

    #[test]
    fn any_punctuation_is_accepted_and_a_second_time_changes_nothing(
        text in r#"([ab12 n"\\:={}()\[\]'`<>&;,%|!\n-]|%3D|\\n|Name|Value|https://|@|“|\u{a0}|：|''){0,60}"#,
    ) {
        let text = text.replace('a', "password").replace('b', "Cookie");
        let once = of_event(&text).redacted(&redactor());
        let again = once.clone().redacted(&redactor());
        // Keys are looked for in so many bytes; with marks in the text, further away.
        if text.len() < 128 { prop_assert_eq!(texts(&again), texts(&once)) }
    }

    #[test]
    fn any_text_at_all_is_accepted(text in r#"[\PC"\\:={}\[\]'>]{0,80}"#) {
        let text = text.replace('e', "password");
        let once = of_event(&text).redacted(&redactor());
        let again = once.clone().redacted(&redactor());
        prop_assert_eq!(texts(&again), texts(&once));
    }
}

#[test]
fn a_report_without_secrets_stays_as_it_is() {
    for report in reports(NOTHING) {
        let before = serde_json::to_value(&report).unwrap();
        let redacted = report.clone().redacted(&redactor());
        assert_eq!(serde_json::to_value(&redacted).unwrap(), before);
        for name in Format::NAMES {
            let format = Format::parse(name).unwrap();
            assert_eq!(format.render(&redacted, false), format.render(&report, false));
        }
    }
}

#[test]
fn what_is_no_secret_stays() {
    let innocent = json!({
        "order_number": "1234567890123456", "tokens": 5, "max_tokens": 4096, "authority": "Utrecht", "author": "amira",
        "card_type": "visa", "cardinality": "one", "discard": "yes", "token_type": "Bearer", "secretary": "jonas",
        "when": 1_700_000_000_000_i64, "digest": "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "key": "orders/7.json", "arn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:orders-db-Ab12",
        "id": "123e4567-e89b-12d3-a456-426614174000", "email": "amira@example.com",
    })
    .to_string();
    let subject = Subject { input: Some(innocent.clone()), ..Subject::default() };
    let mut report = Report::degraded(&subject, "a test");
    let removed = report.redact(&redactor());
    assert_eq!((report.event_details.payload.as_deref(), removed.values), (Some(innocent.as_str()), 0));
    report.redact(&Redactor::new(&Rules { emails: true, ..Rules::default() }));
    assert!(!report.event_details.payload.unwrap().contains("amira@"));
}

#[test]
fn every_form_counts_what_was_removed() {
    for (form, text) in every_form(&report(r#"{"password":"hunter-77","card":"4111111111111111"}"#)) {
        let says = match form {
            "text" | "markdown" | "html" => text.contains("secret values removed"),
            "json" => text.contains("\"redacted\": {"),
            _ => text.contains("\"redacted\":{"),
        };
        assert!(says, "{form}: {text}");
    }
}

#[test]
fn a_mebibyte_of_the_worst_takes_no_longer_than_its_length() {
    for text in worst::texts() {
        let subject = Subject { input: Some(text.clone()), ..Subject::default() };
        let mut report = Report::degraded(&subject, "a test");
        let began = Instant::now();
        report.redact(&Redactor::new(&Rules { emails: true, ..Rules::default() }));
        let took = began.elapsed();
        println!("{:?}: {} ms", &text[..12], took.as_millis());
        // Far more than it takes, far less than a time that grows with the square would be.
        assert!(took < Duration::from_secs(20), "{:?}: {took:?}", &text[..40]);
    }
}
