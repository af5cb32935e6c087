//! What settings are made of, whoever has them: text with its origin, faults, secrets.
//!
//! Which settings there are is said in `config` and in each channel.

pub(crate) mod document;
pub mod secret;
pub(crate) mod values;

use std::fmt;

use url::Url;

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub(crate) String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A URL as it may be shown: without user information, query and path, each of which can be a
/// secret (a webhook's path is one).
pub fn without_secrets(url: &Url) -> String {
    let more = if url.path() == "/" && url.query().is_none() { "/" } else { "/…" };
    format!("{}{more}", url.origin().ascii_serialization())
}
