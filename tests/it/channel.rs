//! The notification API over real sockets: what is sent, and that no answer can hold or fill the
//! worker.

use std::time::Duration;

use misstep::notify::channels::http::{HttpApi, HttpRoute};
use misstep::notify::{Audience, Content, Notification, Notifier, NotifyError};
use misstep::report::notice::Notice;
use misstep::report::{Report, Subject};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;
use url::Url;

use crate::support::receiver::{Answer, Receiver};

const TIMEOUT: Duration = Duration::from_secs(2);

fn api(url: &str) -> HttpApi {
    HttpApi::new(HttpRoute::to(Url::parse(url).unwrap(), None, TIMEOUT, 262_144)).unwrap()
}

fn notification() -> Notification {
    let audience = Audience::Developers;
    let report = Report::degraded(&Subject::default(), "a test");
    let notice = &Notice::failure(&report);
    let content = Content { audience: &audience, route: "r", idempotency_key: "misstep-0123", notice };
    Notification::of(&content, br#"{"a":1}"#)
}

async fn notify(receiver: &Receiver, answer: Answer) -> Result<(), NotifyError> {
    receiver.answer([answer]);
    let began = Instant::now();
    let answered = api(&receiver.url).notify(&notification()).await;
    assert!(began.elapsed() < TIMEOUT + Duration::from_secs(1), "{:?}", began.elapsed());
    answered
}

fn is_transient(answer: &Result<(), NotifyError>) -> bool {
    matches!(answer, Err(NotifyError::Transient { .. }))
}

#[tokio::test]
async fn a_notification_is_one_post_of_json_with_its_key() {
    let receiver = Receiver::start().await;
    assert_eq!(notify(&receiver, Answer::status(202)).await, Ok(()));
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    assert_eq!((received[0].method.as_str(), received[0].path.as_str()), ("POST", "/notify"));
    assert_eq!(received[0].header("content-type"), Some("application/json"));
    assert_eq!(received[0].header("idempotency-key"), Some("misstep-0123"));
    assert_eq!(received[0].header("user-agent"), Some(concat!("misstep/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(received[0].body.as_ref(), br#"{"a":1}"#);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    for status in [301, 302, 303, 307, 308] {
        let answer = Answer::status(status).header("location", elsewhere.url.clone());
        assert!(
            matches!(notify(&receiver, answer).await, Err(NotifyError::Misconfigured { .. })),
            "{status}"
        );
    }
    assert!(elsewhere.received().is_empty(), "an execution's input went elsewhere");
}

#[tokio::test]
async fn a_successful_answer_counts_whatever_its_body_does() {
    let receiver = Receiver::start().await;
    for answer in [Answer::Endless(200), Answer::Half(200)] {
        assert_eq!(notify(&receiver, answer).await, Ok(()));
    }
}

#[tokio::test]
async fn a_refusal_counts_whatever_its_body_does() {
    let receiver = Receiver::start().await;
    for answer in [Answer::Endless(503), Answer::Half(503)] {
        let answered = notify(&receiver, answer).await;
        assert!(is_transient(&answered), "{answered:?}");
    }
    assert!(matches!(notify(&receiver, Answer::Endless(400)).await, Err(NotifyError::Rejected { .. })));
}

#[tokio::test]
async fn silence_resets_and_refused_connections_are_transient() {
    let receiver = Receiver::start().await;
    for answer in [Answer::Silence, Answer::Reset] {
        let answered = notify(&receiver, answer).await;
        assert!(is_transient(&answered), "{answered:?}");
    }
    let refused = api("http://127.0.0.1:1/").notify(&notification()).await;
    assert!(is_transient(&refused), "{refused:?}");
}

#[tokio::test]
async fn retry_after_comes_along() {
    let receiver = Receiver::start().await;
    let answered = notify(&receiver, Answer::status(429).header("retry-after", 7)).await;
    let Err(NotifyError::Transient { retry_after, .. }) = answered else { panic!("{answered:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
}

/// A server that writes `piece` again and again, in place of an answer, until nobody listens.
async fn writes_for_ever(first: &'static str, piece: String, pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4_096];
        let _some_of_it = stream.read(&mut request).await;
        let mut open = stream.write_all(first.as_bytes()).await.is_ok();
        while open {
            open = stream.write_all(piece.as_bytes()).await.is_ok();
            tokio::time::sleep(pause).await;
        }
    });
    url
}

#[tokio::test]
async fn headers_without_end_and_one_byte_at_a_time_are_given_up() {
    let header = format!("x-filler: {}\r\n", "x".repeat(8_000));
    for url in [
        writes_for_ever("HTTP/1.1 200 OK\r\n", header, Duration::ZERO).await,
        writes_for_ever("", "H".to_owned(), Duration::from_millis(200)).await,
        writes_for_ever("HTTP/1.1 200 OK\r\n", "x".to_owned(), Duration::from_millis(200)).await,
    ] {
        let began = Instant::now();
        let answered = api(&url).notify(&notification()).await;
        assert!(is_transient(&answered), "{answered:?}");
        assert!(began.elapsed() < TIMEOUT + Duration::from_secs(1), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn secrets_in_the_url_are_in_no_error() {
    let url = "http://user:hunter2@127.0.0.1:1/send?key=hunter2";
    let error = api(url).notify(&notification()).await.unwrap_err();
    assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{error:?}");
}
