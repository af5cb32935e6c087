//! No planted secret leaves by any channel, in any form: what is composed is searched, all of it.

use std::sync::LazyLock;

use misstep::notify::Route;
use misstep::notify::channels::{CHANNELS, Channel};
use misstep::report::{Report, Subject};
use proptest::prelude::*;
use serde_json::json;

use crate::redaction::{KEYS, LOOKS, essence, nested};
use crate::support::configured::routes;
use crate::support::planted::reports_with_key;

/// Every channel in every form, with and without templates that put in all that there is.
const ROUTES: &str = r#"
[[routes]]
name = "http"
audience = "developers"
channel = "http"
url = "http://127.0.0.1:1/"

[[routes]]
name = "http-summary"
audience = "customer-assist"
channel = "http"
url = "http://127.0.0.1:1/"
form = "summary"
input_keys = ["order_id", "data", "level", "password", "note"]

[[routes]]
name = "http-template"
audience = "developers"
channel = "http"
url = "http://127.0.0.1:1/"
body = '[{{ analysis }}, {{ event_details }}, {{ event_info }}, {{ subject }}, {{ sentence }}]'

[[routes]]
name = "http-small"
audience = "developers"
channel = "http"
url = "http://127.0.0.1:1/"
max_bytes = 4096

[[routes]]
name = "slack"
audience = "on-call"
channel = "slack"
webhook_url = "http://127.0.0.1:1/"

[[routes]]
name = "slack-summary"
audience = "on-call"
channel = "slack"
webhook_url = "http://127.0.0.1:1/"
form = "summary"
input_keys = ["order_id", "data", "level", "password", "note"]

[[routes]]
name = "slack-template"
audience = "on-call"
channel = "slack"
webhook_url = "http://127.0.0.1:1/"
subject = '{{ analysis.cause }}'
body = '{{ event_details.payload }} {{ analysis }}'

[[routes]]
name = "sns"
audience = "teams"
channel = "sns"
topic_arn = "arn:aws:sns:eu-west-1:123456789012:failures"

[[routes]]
name = "sns-template"
audience = "teams"
channel = "sns"
topic_arn = "arn:aws:sns:eu-west-1:123456789012:failures"
form = "summary"
input_keys = ["order_id", "data", "level", "password", "note"]
subject = '{{ analysis.summary }}'
body = '{{ event_details }} {{ analysis }}'

[[routes]]
name = "file"
audience = "archive"
channel = "file"
path = "/nowhere/failures.jsonl"

[[routes]]
name = "stdout"
audience = "log"
channel = "stdout"
form = "summary"
input_keys = ["order_id", "data", "level", "password", "note"]
"#;

#[cfg(feature = "ses")]
const MAIL: &str = r#"
[[routes]]
name = "ses"
audience = "developers"
channel = "ses"
from = "misstep@example.com"
to = "dev@example.com"

[[routes]]
name = "ses-summary"
audience = "customer-assist"
channel = "ses"
from = "misstep@example.com"
to = "assist@example.com"
form = "summary"
input_keys = ["order_id", "data", "level", "password", "note"]

[[routes]]
name = "ses-template"
audience = "developers"
channel = "ses"
from = "misstep@example.com"
to = "dev@example.com"
subject = '{{ analysis.cause }}'
body = '{{ event_details }} {{ analysis }}'
html = '<p>{{ event_details }}</p><pre>{{ analysis }}</pre>'
"#;

#[cfg(not(feature = "ses"))]
const MAIL: &str = "";

static ALL: LazyLock<Vec<Route>> = LazyLock::new(|| routes(&[ROUTES, MAIL].concat(), &[]));

/// Further secrets that are known by their beginning or by what stands before them, and what must not be
/// left of them. In two halves each, so that nobody's scanner takes them for real ones.
const WRITTEN: &[(&str, &str)] = &[
    (concat!("gl", "pat-0123456789abcdefZq77"), "abcdefZq77"),
    (concat!("xo", "xb-123456789012-abcdefZq77"), "abcdefZq77"),
    (concat!("sk_", "live_0123456789abcdefZq77"), "abcdefZq77"),
    (concat!("AI", "zaSyA0123456789abcdefghijklmnopqZq77"), "opqZq77"),
    (concat!("np", "m_0123456789abcdefghijklmnopqrstuvZq77"), "uvZq77"),
    (concat!("github_", "pat_0123456789abcdefghijZq77"), "ghijZq77"),
    ("Basic dXNlcjpodW50ZXJacTc3", "dW50ZXJacTc3"),
    ("password=hunterZq77", "hunterZq77"),
    ("DB_PASSWORD: hunterZq77", "hunterZq77"),
    ("Authorization: Bearer hunterZq77", "hunterZq77"),
    ("https://api.example.com/x?token=hunterZq77&page=2", "hunterZq77"),
    ("<password>hunterZq77</password>", "hunterZq77"),
    ("client_secret='hunterZq77'", "hunterZq77"),
    (concat!("https://hooks.", "slack.com/services/T00000000/B00000000/abcdefZq77"), "abcdefZq77"),
];

/// All that each route sends of a report: subject, body, page and attributes, each with what escaping
/// may have made of it taken back.
fn everything_sent(report: &Report) -> Vec<(String, String)> {
    let mut sent = Vec::new();
    for route in ALL.iter() {
        let redacted = report.clone().redacted(&route.redactor);
        let composed = route.compose(&redacted, "misstep-key").unwrap();
        let mut text = format!("{}\n{}\n", composed.subject, String::from_utf8(composed.body).unwrap());
        text.push_str(composed.html.as_deref().unwrap_or_default());
        for (name, value) in composed.attributes {
            text.push_str(&format!("\n{name}: {value}"));
        }
        sent.push((route.name.to_string(), plain(&text)));
    }
    sent
}

/// Without escapes of JSON, HTML and Slack, however deep.
fn plain(text: &str) -> String {
    let mut text = text.replace('\\', "");
    for (entity, char) in [
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
        ("&#x2f;", "/"),
    ] {
        text = text.replace(entity, char);
    }
    text
}

/// A report with a text in every place where somebody's data may stand.
fn report(text: &str) -> Report {
    let some = || Some(text.to_owned());
    let subject =
        Subject { error: some(), cause: some(), input: some(), env: "test".into(), ..Subject::default() };
    let mut report = reports_with_key("plain", "key").pop().unwrap();
    let other = Report::degraded(&subject, text);
    report.event_details = other.event_details;
    report.analysis.error = other.analysis.error;
    report.analysis.cause = other.analysis.cause;
    report.analysis.parsed_cause = other.analysis.parsed_cause;
    report.analysis.degraded = other.analysis.degraded;
    report.analysis.notes.push(text.to_owned());
    report
}

#[test]
fn every_channel_is_searched() {
    for Channel { name, .. } in CHANNELS {
        let key = format!("channel = \"{name}\"");
        assert!(ROUTES.contains(&key) || MAIL.contains(&key), "no route with {key}: add one to ROUTES");
    }
}

#[test]
fn the_search_finds_what_nobody_removed() {
    let off = ROUTES.replace("audience = ", "redaction = \"off\"\naudience = ");
    let report = report(&nested("password", &json!("hunter-77Zq"), 3));
    for route in routes(&off, &[]) {
        let composed = route.compose(&report.clone().redacted(&route.redactor), "key").unwrap();
        let said = plain(&String::from_utf8(composed.body).unwrap());
        // Cut to 4 KiB, or to an allow-list that ends inside a string, it may be gone.
        let may_lack = ["http-small", "slack-summary"].contains(&&*route.name);
        assert!(may_lack || said.contains("hunter-77Zq"), "{}: {said}", route.name);
    }
}

#[test]
fn what_looks_like_a_secret_leaves_by_no_channel_from_no_place_of_a_report() {
    for secret in LOOKS {
        // Every third: with eleven secrets, each of the 31 reports has its turn.
        for report in reports_with_key(&format!(" {secret} "), "key").iter().step_by(3) {
            for (route, text) in everything_sent(report) {
                assert!(!text.contains(essence(secret)), "{route}: {secret}\n{text}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_value_under_a_secret_key_leaves_by_no_channel(
        key in prop::sample::select(KEYS),
        value in r#"[A-Za-z][A-Za-z0-9"\\/ é\n]{4,20}Zq[A-Za-z0-9]{3}"#,
        depth in 0_usize..5,
        shape in 0_usize..3,
        cut in prop::option::of(0.0_f64..1.0),
    ) {
        let wrapped = match shape {
            0 => json!(value),
            1 => json!([value]),
            _ => json!([{"deep": [{"deeper": value}]}]),
        };
        let whole = nested(key, &wrapped, depth);
        let mut end = cut.map_or(whole.len(), |cut| (whole.len() as f64 * cut) as usize);
        while !whole.is_char_boundary(end) { end += 1 }
        // A list or an object that is cut off has lost what it belongs to; `redaction` cuts plain values.
        prop_assume!(shape == 0 || end == whole.len());
        let left = &value[value.find("Zq").unwrap()..];
        for (route, text) in everything_sent(&report(&whole[..end])) {
            prop_assert!(!text.contains(left), "{route}: {key} {value:?} at {depth}\n{text}");
        }
    }

    #[test]
    fn what_looks_like_a_secret_leaves_by_no_channel_at_no_depth(
        secret in prop::sample::select(LOOKS),
        depth in 0_usize..5,
    ) {
        let text = nested("note", &json!(format!("it was {secret} so")), depth);
        for (route, text) in everything_sent(&report(&text)) {
            prop_assert!(!text.contains(essence(secret)), "{route}: {secret}\n{text}");
        }
    }

    #[test]
    fn what_is_written_as_a_secret_leaves_by_no_channel_at_no_depth(
        (secret, left) in prop::sample::select(WRITTEN),
        depth in 0_usize..5,
        plain in any::<bool>(),
    ) {
        let said = format!("it was {secret} so");
        let text = if plain { said } else { nested("note", &json!(said), depth) };
        for (route, text) in everything_sent(&report(&text)) {
            prop_assert!(!text.contains(left), "{route}: {secret} at {depth}\n{text}");
        }
    }

    #[test]
    fn three_json_strings_deep_every_route_still_counts_what_was_removed(
        key in prop::sample::select(KEYS),
        value in "[A-Za-z]{8}Zq[A-Za-z0-9]{3}",
    ) {
        let mut report = report(&nested(key, &json!(value), 3));
        let removed = report.redact(&ALL[0].redactor);
        prop_assert!(removed.values >= 4, "{removed:?}");
        for route in ALL.iter().filter(|route| !route.name.contains("template")) {
            let composed = route.compose(&report, "key").unwrap();
            let said = plain(&String::from_utf8(composed.body).unwrap());
            let says = said.contains("secret value")
                || said.contains("\"redacted\":{\"values\":")
                || said.contains("secret values removed");
            prop_assert!(says, "{}: {said}", route.name);
        }
    }
}
