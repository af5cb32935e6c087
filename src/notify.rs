//! Telling people: audiences, routes, and the channels that notifications leave through.
//!
//! A [`Route`] leads one audience's notifications through a [`Notifier`]. A notifier makes one
//! attempt and says what kind of failure it met; trying again, and what becomes of the message, is
//! decided elsewhere. Each notification carries an idempotency key that is the same for every
//! delivery of the same failure to the same audience.

pub mod fit;
pub mod http;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use crate::config;
use crate::event::FailureKey;

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    /// The developers of the state machine.
    Developers,
    /// CustomerAssist, who look after those whom the failure affects.
    CustomerAssist,
}

impl Audience {
    /// The name that the notification API knows this audience's notifications by.
    /// `ASSESTIVE` is how that API spells it.
    pub fn email_type(self) -> &'static str {
        match self {
            Self::Developers => "INTERNAL_ENQUIRY_ERROR",
            Self::CustomerAssist => "ASSESTIVE_ENQUIRY_ERROR",
        }
    }

    /// For logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Developers => "developers",
            Self::CustomerAssist => "customer-assist",
        }
    }
}

/// One notification, ready to be sent.
#[derive(Debug, Clone)]
pub struct Notification {
    /// The same for every delivery of the same failure to the same audience.
    pub idempotency_key: String,
    /// The request's body.
    pub body: Vec<u8>,
}

/// What an attempt at a notification met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// May pass later: busy, overloaded, broken or unreachable.
    #[error("{what}")]
    Transient {
        /// What happened.
        what: String,
        /// How long the other side asked to wait.
        retry_after: Option<Duration>,
    },
    /// This notification will never be taken, whatever the route.
    #[error("{what}")]
    Rejected {
        /// What happened.
        what: String,
    },
    /// Every notification on this route would meet the same: the route is wrong, not the message.
    #[error("{what}; check the route's address and credentials")]
    Misconfigured {
        /// What happened.
        what: String,
    },
}

/// A way out of the house.
#[async_trait]
pub trait Notifier: Send + Sync + 'static {
    /// Makes one attempt. `Ok` means that the other side took the notification.
    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError>;
}

/// Leads one audience's notifications through a channel.
#[derive(Clone)]
pub struct Route {
    /// Who is told.
    pub audience: Audience,
    /// The audience's group address.
    pub address: String,
    /// The upper bound of a notification's body, in bytes.
    pub max_bytes: usize,
    /// The way out.
    pub notifier: Arc<dyn Notifier>,
}

/// The two routes that the settings make: developers and CustomerAssist, both through the
/// notification API.
///
/// # Errors
/// When the HTTP client cannot be made (no TLS roots, for example).
pub fn routes(settings: &config::Notification) -> Result<Vec<Route>, reqwest::Error> {
    let api: Arc<dyn Notifier> = Arc::new(http::HttpApi::new(&settings.api, settings.timeout)?);
    let route = |audience, address: &str| Route {
        audience,
        address: address.to_owned(),
        max_bytes: settings.max_bytes,
        notifier: api.clone(),
    };
    Ok(vec![
        route(Audience::Developers, &settings.internal_email),
        route(Audience::CustomerAssist, &settings.external_email),
    ])
}

/// The idempotency key of a failure for an audience: a digest, since keys are kept and compared
/// by systems that put limits on their length and characters.
pub fn idempotency_key(failure: &FailureKey, audience: Audience) -> String {
    let digest = Sha256::digest(format!("{} {}", failure.as_str(), audience.email_type()));
    digest.iter().take(16).fold("misstep-".to_owned(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event;

    fn key(redrive_count: u32) -> FailureKey {
        let body = format!(
            r#"{{"executionArn": "arn:aws:states:eu-west-1:1:execution:a:b", "status": "FAILED", "redriveCount": {redrive_count}}}"#
        );
        event::parse(&body).unwrap().remove(0).failure_key()
    }

    #[test]
    fn keys_are_stable_and_differ_by_audience_and_by_redrive() {
        let first = idempotency_key(&key(0), Audience::Developers);
        assert_eq!(first, "misstep-c3fa27c381621bb69f32c3238d5681aa");
        assert_ne!(first, idempotency_key(&key(0), Audience::CustomerAssist));
        assert_ne!(first, idempotency_key(&key(1), Audience::Developers));
    }
}
