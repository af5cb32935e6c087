//! The notification API: one POST a notification.
//!
//! The answer's status alone decides. Its body is read only as far as it helps to understand a
//! refusal, never further than 16 KiB and never beyond the attempt's time, so that an
//! API which answers without end cannot hold or fill the worker. Redirects are not followed: they
//! would hand an execution's input to an address that nobody configured.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use tokio::time::Instant;
use tracing::debug;

use super::{Notification, Notifier, NotifyError};
use crate::config::without_secrets;
use crate::telemetry::chain;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How much of an answer is read, in bytes.
const LONGEST_ANSWER: usize = 16 * 1024;

/// The notification API.
#[derive(Debug, Clone)]
pub struct HttpApi {
    client: Client,
    url: Url,
    timeout: Duration,
    shown: String,
}

impl HttpApi {
    /// The API at `url`, each attempt bounded by `timeout`.
    ///
    /// # Errors
    /// When the TLS set-up fails.
    pub fn new(url: &Url, timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("misstep/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .build()?;
        Ok(Self { client, url: url.clone(), timeout, shown: without_secrets(url) })
    }

    async fn post(&self, notification: &Notification) -> Result<Response, NotifyError> {
        let sent = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", &notification.idempotency_key)
            .body(notification.body.clone())
            .timeout(self.timeout)
            .send();
        sent.await.map_err(|error| {
            // Without its URL, which may hold a secret.
            let what = format!("POST {}: {}", self.shown, chain(&error.without_url()));
            NotifyError::Transient { what, retry_after: None }
        })
    }
}

#[async_trait]
impl Notifier for HttpApi {
    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError> {
        let began = Instant::now();
        let response = self.post(notification).await?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let left = self.timeout.saturating_sub(began.elapsed());
        let answer = tokio::time::timeout(left, beginning(response));
        if status.is_success() {
            // Read to its end, the connection can be used again; what was told is told without that.
            tokio::spawn(answer);
        } else {
            let answer = answer.await.unwrap_or_default();
            debug!(status = status.as_u16(), answer = %String::from_utf8_lossy(&answer), "the notification API refused");
        }
        judge(status, retry_after, &self.shown)
    }
}

/// What a status means for the message and for the route.
fn judge(status: StatusCode, retry_after: Option<Duration>, url: &str) -> Result<(), NotifyError> {
    let what = format!("POST {url}: answered {status}");
    match status.as_u16() {
        200..=299 => Ok(()),
        400 | 413 | 422 => Err(NotifyError::Rejected { what }),
        408 | 425 | 429 | 500..=599 => Err(NotifyError::Transient { what, retry_after }),
        _ => Err(NotifyError::Misconfigured { what }),
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

async fn beginning(mut response: Response) -> Vec<u8> {
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        read.extend_from_slice(&chunk);
        if read.len() > LONGEST_ANSWER {
            read.truncate(LONGEST_ANSWER);
            break;
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_means_what_the_documentation_says() {
        let kind = |status: u16| match judge(StatusCode::from_u16(status).unwrap(), None, "u") {
            Ok(()) => "taken",
            Err(NotifyError::Transient { .. }) => "transient",
            Err(NotifyError::Rejected { .. }) => "rejected",
            Err(NotifyError::Misconfigured { .. }) => "misconfigured",
        };
        for status in 200..=599 {
            let expected = match status {
                200..=299 => "taken",
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
