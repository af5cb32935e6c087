//! One HTTP POST, as every channel over HTTP makes it.
//!
//! An answer is read only as far as it helps to understand a refusal, never further than 16 KiB and
//! never beyond the attempt's time, so that a server which answers without end cannot hold or fill
//! the worker. Redirects are not followed: they would hand an execution's input to an address that
//! nobody configured. Proxies are taken from the usual variables (`HTTPS_PROXY`, `HTTP_PROXY`,
//! `NO_PROXY`).

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt as _;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use tokio::time::Instant;
use tracing::debug;

use super::NotifyError;
use crate::settings::secret::{Secret, SecretError, exposed};
use crate::settings::{values, without_secrets};
use crate::telemetry::chain;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How much of an answer is read, in bytes.
const LONGEST_ANSWER: usize = 16 * 1024;

/// Where to post. Shown by its origin only: the rest may be a secret (a webhook's path is one).
#[derive(Clone)]
pub enum PostTarget {
    /// Written in the settings.
    Plain(Url),
    /// Kept elsewhere.
    Secret(Secret),
}

impl PostTarget {
    fn url(&self) -> Result<Url, NotifyError> {
        match self {
            Self::Plain(url) => Ok(url.clone()),
            Self::Secret(secret) => {
                let text = secret.reveal().map_err(|error| missing("the URL", &error))?;
                values::api_url(exposed(&text)).map_err(|why| NotifyError::Misconfigured {
                    what: format!("{secret:?} holds no URL: {why}"),
                })
            }
        }
    }
}

impl fmt::Debug for PostTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(url) => f.write_str(&without_secrets(url)),
            Self::Secret(secret) => secret.fmt(f),
        }
    }
}

/// That a secret is not to be had: nothing can be sent without it.
pub(super) fn missing(what: &str, error: &SecretError) -> NotifyError {
    NotifyError::Misconfigured { what: format!("{what}: {}", chain(error)) }
}

/// Posts to one address.
#[derive(Debug, Clone)]
pub(super) struct Post {
    client: Client,
    target: PostTarget,
    timeout: Duration,
}

/// An answer, as far as it counts.
#[derive(Debug)]
pub(super) struct PostResponse {
    /// What was posted to, as it may be shown.
    pub(super) shown: String,
    /// Its status.
    pub(super) status: StatusCode,
    /// How long it asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// The beginning of its body; empty where nobody asked for it.
    pub(super) body: Vec<u8>,
    /// Whether the body broke off or did not come in time.
    pub(super) broke_off: bool,
}

/// What of an answer's body is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadBody {
    /// Nothing for a successful status.
    Status,
    /// Its beginning, whatever the status.
    Body,
}

impl Post {
    /// Posts to `target`, each attempt bounded by `timeout`.
    ///
    /// # Errors
    /// When the TLS set-up fails.
    pub(super) fn new(target: PostTarget, timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("misstep/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .build()?;
        Ok(Self { client, target, timeout })
    }

    /// Asks the server for the head of its front page: any answer at all shows that it is there.
    pub(super) async fn reach(&self) -> Result<String, NotifyError> {
        let mut url = self.target.url()?;
        let shown = url.origin().ascii_serialization();
        url.set_path("/");
        url.set_query(None);
        match self.client.head(url).timeout(self.timeout).send().await {
            Ok(_) => Ok(format!("{shown} answers; nothing was sent")),
            Err(error) => {
                let what = format!("{shown}: {}", chain(&error.without_url()));
                Err(NotifyError::Transient { what, retry_after: None })
            }
        }
    }

    /// Makes one attempt.
    pub(super) async fn send(
        &self,
        headers: HeaderMap,
        body: Vec<u8>,
        wanted: ReadBody,
    ) -> Result<PostResponse, NotifyError> {
        let began = Instant::now();
        let url = self.target.url()?;
        let shown = without_secrets(&url);
        let sent = self.client.post(url).headers(headers).body(body).timeout(self.timeout).send();
        let response = sent.await.map_err(|error| {
            // Without its URL, which may hold a secret.
            let what = format!("POST {shown}: {}", chain(&error.without_url()));
            NotifyError::Transient { what, retry_after: None }
        })?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let left = self.timeout.saturating_sub(began.elapsed());
        let reading = tokio::time::timeout(left, beginning(response));
        let (mut body, mut broke_off) = (Vec::new(), false);
        if status.is_success() && wanted == ReadBody::Status {
            // After reading to the end the connection can be reused; the notification is accepted without that.
            let mut reading = Box::pin(reading);
            if reading.as_mut().now_or_never().is_none() {
                tokio::spawn(reading);
            }
        } else {
            (body, broke_off) = reading.await.unwrap_or((Vec::new(), true));
            debug!(status = status.as_u16(), answer = %String::from_utf8_lossy(&body), "answered");
        }
        Ok(PostResponse { shown, status, retry_after, body, broke_off })
    }
}

impl PostResponse {
    /// What the status means for the message and for the route.
    pub(super) fn judge(&self) -> Result<(), NotifyError> {
        let what = format!("POST {}: answered {}", self.shown, self.status);
        match self.status.as_u16() {
            200..=299 => Ok(()),
            400 | 413 | 422 => Err(NotifyError::Rejected { what }),
            408 | 425 | 429 | 500..=599 => {
                Err(NotifyError::Transient { what, retry_after: self.retry_after })
            }
            _ => Err(NotifyError::Misconfigured { what }),
        }
    }
}

/// `Retry-After` as seconds or as an HTTP date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?;
            Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
        }
    }
}

/// As much of a body as is wanted, and whether it broke off before that.
async fn beginning(mut response: Response) -> (Vec<u8>, bool) {
    let mut read = Vec::new();
    while read.len() <= LONGEST_ANSWER {
        match response.chunk().await {
            Ok(Some(chunk)) => read.extend_from_slice(&chunk),
            Ok(None) => return (read, false),
            Err(_) => return (read, true),
        }
    }
    read.truncate(LONGEST_ANSWER);
    (read, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::SendResult;

    #[test]
    fn every_status_means_what_the_documentation_says() {
        let kind = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            let answer = PostResponse {
                shown: "u".to_owned(),
                status,
                retry_after: None,
                body: Vec::new(),
                broke_off: false,
            };
            SendResult::from(&answer.judge()).name()
        };
        for status in 200..=599 {
            let expected = match status {
                200..=299 => "accepted",
                400 | 413 | 422 => "rejected",
                408 | 425 | 429 | 500.. => "transient",
                _ => "misconfigured",
            };
            assert_eq!(kind(status), expected, "{status}");
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let headers = |value: &str| HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
        assert_eq!(retry_after(&headers("7")), Some(Duration::from_secs(7)));
        let soon = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(60));
        assert!(retry_after(&headers(&soon)).is_some_and(|wait| wait > Duration::from_secs(50)));
        assert_eq!(retry_after(&headers("Wed, 21 Oct 2015 07:28:00 GMT")), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers("soon")), None);
    }
}
