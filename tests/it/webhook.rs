//! The channel `http` as a configuration file sets it up: every header and byte, on a real server.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use misstep::metrics::SendResult;
use misstep::notify::{Notification, NotifyError, Route, sample};
use misstep::report::notice::Notice;
use misstep::report::phrases::brief;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::configured::{route, settings_of};
use crate::support::receiver::{Received, Receiver};

const KEY: &str = "misstep-0123";

/// A route over HTTP to this receiver, with these keys besides.
fn webhook(receiver: &Receiver, more: &str, variables: &[(&str, &str)]) -> Route {
    let text = format!(
        "[[routes]]\nname = \"hook\"\naudience = \"developers\"\nchannel = \"http\"\nurl = \"{}\"\n{more}",
        receiver.url
    );
    route(&text, variables)
}

fn notification(route: &Route) -> Notification {
    route.compose(&sample::test("test", Some("shop")), KEY).unwrap()
}

async fn sent(receiver: &Receiver, route: &Route) -> Received {
    route.notifier.notify(&notification(route)).await.unwrap();
    receiver.received().pop().unwrap()
}

fn hmac_of(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// The names of the headers that came.
fn names(received: &Received) -> Vec<String> {
    let mut names: Vec<String> = received.headers.keys().map(ToString::to_string).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_bare_route_sends_the_contracts_body_and_these_headers_only() {
    let receiver = Receiver::start().await;
    let received = sent(&receiver, &webhook(&receiver, "group_email = \"dev@example.com\"", &[])).await;
    let expected = ["accept", "content-length", "content-type", "host", "idempotency-key", "user-agent"];
    assert_eq!(names(&received), expected);
    assert_eq!(received.header("accept"), Some("*/*"));
    assert_eq!(received.header("content-type"), Some("application/json"));
    assert_eq!(received.header("idempotency-key"), Some(KEY));
    assert_eq!(received.header("user-agent"), Some(concat!("misstep/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(received.header("content-length"), Some(received.body.len().to_string().as_str()));
    assert_eq!(received.header("host"), receiver.url.split('/').nth(2));
    let expected = json!({
        "emailType": "INTERNAL_ENQUIRY_ERROR", "group_email": "dev@example.com",
        "data": sample::test("test", Some("shop")),
    });
    assert_eq!(received.body, expected.to_string());
}

#[tokio::test]
async fn secrets_become_headers_and_the_signature_is_that_of_the_very_body() {
    let receiver = Receiver::start().await;
    let more = r#"
        bearer_token = { env = "TOKEN" }
        hmac_secret = { env = "KEY" }
        headers = { X-Tenant = "blue", x-api-key = { env = "API_KEY" } }
    "#;
    let variables = [("TOKEN", "t0ken"), ("KEY", "s1gn"), ("API_KEY", "k3y")];
    let route = webhook(&receiver, more, &variables);
    let received = sent(&receiver, &route).await;
    assert_eq!(received.header("authorization"), Some("Bearer t0ken"));
    assert_eq!(received.header("x-tenant"), Some("blue"));
    assert_eq!(received.header("x-api-key"), Some("k3y"));
    assert_eq!(received.header("x-misstep-signature"), Some(hmac_of("s1gn", &received.body).as_str()));
    assert_ne!(received.header("x-misstep-signature"), Some(hmac_of("s1gn", b"").as_str()));
    assert_eq!(names(&received).len(), 10, "{:?}", names(&received));
    let other_header = format!("{more}\nsignature_header = \"X-Hub-Signature-256\"");
    let received = sent(&receiver, &webhook(&receiver, &other_header, &variables)).await;
    assert_eq!(received.header("x-hub-signature-256"), Some(hmac_of("s1gn", &received.body).as_str()));
    assert_eq!(received.header("x-misstep-signature"), None);
}

#[tokio::test]
async fn a_secret_file_that_is_replaced_counts_from_the_next_attempt_on() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let place = |name: &str| folder.path().join(name);
    let write = |value: &str| {
        for name in ["token", "key", "header"] {
            std::fs::write(place(name), format!("{value}-{name}\n")).unwrap();
        }
    };
    let file = |name: &str| format!("{{ file = \"{}\" }}", place(name).display());
    let more = format!(
        "bearer_token = {}\nhmac_secret = {}\nheaders = {{ x-api-key = {} }}",
        file("token"),
        file("key"),
        file("header")
    );
    let route = webhook(&receiver, &more, &[]);
    for value in ["old", "new"] {
        write(value);
        let received = sent(&receiver, &route).await;
        assert_eq!(received.header("authorization"), Some(format!("Bearer {value}-token").as_str()));
        assert_eq!(received.header("x-api-key"), Some(format!("{value}-header").as_str()));
        let signature = hmac_of(&format!("{value}-key"), &received.body);
        assert_eq!(received.header("x-misstep-signature"), Some(signature.as_str()));
    }
    for (name, what) in [("token", "bearer token"), ("key", "HMAC secret"), ("header", "header x-api-key")] {
        write("good");
        std::fs::remove_file(place(name)).unwrap();
        let error = route.notifier.notify(&notification(&route)).await.unwrap_err();
        assert!(matches!(error, NotifyError::Misconfigured { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains(what) && said.contains("cannot be read"), "{said}");
        // What a header may not hold is refused without being repeated.
        std::fs::write(place(name), "line\nsecond-hunter2").unwrap();
        let answer = route.notifier.notify(&notification(&route)).await;
        assert!(!format!("{answer:?}").contains("hunter2"), "{answer:?}");
        assert_eq!(answer.is_ok(), name == "key", "{answer:?}");
    }
    assert_eq!(receiver.received().len(), 3, "nothing goes out without its secret");
}

#[tokio::test]
async fn an_address_may_be_a_secret_of_its_own() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("url");
    let text = format!(
        "[[routes]]\nname = \"hook\"\naudience = \"a\"\nchannel = \"http\"\nurl = {{ file = \"{}\" }}",
        file.display()
    );
    let route = route(&text, &[]);
    std::fs::write(&file, &receiver.url).unwrap();
    assert_eq!(sent(&receiver, &route).await.path, "/notify");
    std::fs::write(&file, "hunter2").unwrap();
    let error = route.notifier.notify(&notification(&route)).await.unwrap_err();
    assert!(matches!(error, NotifyError::Misconfigured { .. }), "{error:?}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_template_makes_the_body_and_what_is_put_in_cannot_break_out() {
    let receiver = Receiver::start().await;
    let more = r#"body = '{"title": {{ subject }}, "state": {{ analysis.failed_state.name if analysis.failed_state else none }}, "to": {{ audience }}}'"#;
    let route = webhook(&receiver, more, &[]);
    let mut report = sample::test("test", None);
    report.analysis.failed_state.as_mut().unwrap().name = "a\", \"to\": \"b</script>\n".to_owned();
    let notification = route.compose(&report, KEY).unwrap();
    route.notifier.notify(&notification).await.unwrap();
    let body: Value = receiver.received()[0].json();
    assert_eq!(body["title"], json!(brief::subject(&Notice::failure(&report))));
    assert_eq!(body["state"], json!("a\", \"to\": \"b</script>\n"));
    assert_eq!((&body["to"], body.as_object().unwrap().len()), (&json!("developers"), 3));
}

#[test]
fn templates_and_headers_that_cannot_work_are_faults_before_anything_is_sent() {
    for (more, told) in [
        ("body = '{\"a\": {{ subject }'", "body: the template"),
        (
            "body = '{{ nothing }}'",
            "body: for a failed execution, the template fails: line 1: undefined value",
        ),
        ("body = '\"{{ subject }}\"'", "makes no JSON"),
        ("body = '{{ analysis.failed_state.name }}'", "body: for one that timed out"),
        ("headers = { host = \"x\" }", "host is set by misstep itself"),
        ("headers = { \"no name\" = \"x\" }", "not a header's name"),
        ("bearer_token = \"hunter2\"", "a secret does not belong in this file"),
        (
            "headers = { authorization = { file = \"g\" } }\nbearer_token = { file = \"f\" }",
            "beside bearer_token",
        ),
        ("timeout_secs = 0", "expected a whole number from 1 to 300"),
        ("url = \"ftp://hunter2\"", "http:// or https://"),
    ] {
        let url = if more.starts_with("url") { "" } else { "url = \"http://127.0.0.1:1/\"" };
        let text =
            format!("[[routes]]\nname = \"hook\"\naudience = \"a\"\nchannel = \"http\"\n{url}\n{more}");
        let faults = settings_of(&text, &[]).unwrap_err().join("\n");
        assert!(faults.contains(told) && !faults.contains("hunter2"), "{more}: {faults}");
    }
}

/// A server whose answer is a status line and a body that comes bit by bit, `most` bytes at most;
/// counts what it could write.
async fn drips(
    status: u16,
    piece: Vec<u8>,
    pause: Duration,
    most: usize,
) -> (String, tokio::task::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1 << 20];
        let _some_of_it = stream.read(&mut request).await;
        let head = format!("HTTP/1.1 {status} Odd\r\ncontent-length: {most}\r\n\r\n");
        let mut written = 0;
        let mut open = stream.write_all(head.as_bytes()).await.is_ok();
        while open && written < most {
            open = stream.write_all(&piece).await.is_ok();
            written += piece.len();
            tokio::time::sleep(pause).await;
        }
        written
    });
    (url, server)
}

#[tokio::test]
async fn an_answer_of_a_gigabyte_or_of_a_byte_a_second_is_read_for_a_bounded_time_only() {
    let mut all = Vec::new();
    for channel in ["http", "slack"] {
        for status in [200, 400, 503] {
            all.extend([true, false].map(|fast| drained(channel, status, fast)));
        }
    }
    futures_util::future::join_all(all).await;
}

/// Meets one answer without end, fast or slow.
async fn drained(channel: &str, status: u16, fast: bool) {
    const GIGABYTE: usize = 1 << 30;
    let (piece, pause) = if fast { (1 << 16, Duration::ZERO) } else { (1, Duration::from_secs(1)) };
    let (url, server) = drips(status, vec![b'x'; piece], pause, GIGABYTE).await;
    let key = if channel == "slack" { "webhook_url" } else { "url" };
    let route = route(
        &format!(
            "[[routes]]\nname = \"hook\"\naudience = \"a\"\nchannel = \"{channel}\"\n{key} = \"{url}\"\ntimeout_secs = 2"
        ),
        &[],
    );
    let began = Instant::now();
    let answer = route.notifier.notify(&notification(&route)).await;
    assert!(began.elapsed() < Duration::from_secs(4), "{channel}: {:?}", began.elapsed());
    let expected = match (channel, status, fast) {
        ("http", 200, _) => "accepted",
        // Slack says one word, and whoever says so much is not Slack.
        (_, 200, true) => "misconfigured",
        (_, 400, _) => "rejected",
        _ => "transient",
    };
    assert_eq!(SendResult::from(&answer).name(), expected, "{channel}, {status}: {answer:?}");
    // The connection is given up: the server does not get rid of its gigabyte.
    let written = tokio::time::timeout(Duration::from_secs(10), server).await;
    let written = written.expect("the connection is closed in time").unwrap();
    assert!(written < GIGABYTE / 8, "{channel}, {status}: {written} bytes were taken");
}
