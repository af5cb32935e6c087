//! All channels. To add one: write its file, and name it here.

pub mod file;
pub mod http;
mod line;
#[cfg(feature = "ses")]
pub mod ses;
pub mod slack;
pub mod sns;
pub mod stdout;

use std::fmt::Debug;
use std::sync::Arc;

use super::Notifier;
use super::route_parser::RouteParser;
use crate::aws::Session;

/// Every channel.
pub const CHANNELS: &[Channel] = &[
    http::CHANNEL,
    slack::CHANNEL,
    sns::CHANNEL,
    #[cfg(feature = "ses")]
    ses::CHANNEL,
    stdout::CHANNEL,
    file::CHANNEL,
];

/// Channels that only a build with a cargo feature has, and which.
pub const FEATURES: &[(&str, &str)] = &[("ses", "ses")];

/// One channel.
#[derive(Debug, Clone, Copy)]
pub struct Channel {
    /// What routes call it.
    pub name: &'static str,
    /// Reads its keys of a route; `None` if a fault was found, which is reported with all others.
    pub read: fn(&mut RouteParser<'_, '_>) -> Option<Arc<dyn ChannelConfig>>,
}

/// A channel that cannot be connected.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The channel needs AWS, and there are no credentials.
    #[error("{what} needs AWS credentials")]
    NoCredentials {
        /// What needs them, with its article.
        what: &'static str,
    },
    /// The TLS set-up fails.
    #[error("the HTTP client could not be made")]
    HttpClient(#[from] reqwest::Error),
}

/// A channel's settings, before anything is connected.
pub trait ChannelConfig: Debug + Send + Sync {
    /// Whether AWS's region and credentials are needed.
    fn needs_aws(&self) -> bool {
        false
    }

    /// Makes the notifier. Sends nothing.
    ///
    /// # Errors
    /// When the client cannot be made.
    fn connect(&self, aws: Option<&Session>) -> Result<Arc<dyn Notifier>, ConnectError>;
}
