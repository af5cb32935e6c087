//! What settings are made of, whoever has them: text with its origin, faults, secrets.
//!
//! Which settings there are is said in `config` and in each channel.

pub(crate) mod document;
pub mod secret;
pub(crate) mod values;

use std::borrow::Cow;
use std::error::Error;
use std::path::PathBuf;

use url::Url;

/// One thing that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A setting was not given, and has no default.
    #[error("{variable} is missing (or --{flag})")]
    Missing {
        /// The variable that gives it.
        variable: String,
        /// The flag that gives it.
        flag: String,
    },
    /// A value is not usable.
    #[error("{origin}: {why}")]
    Value {
        /// Where the value was given.
        origin: String,
        /// What is wrong with it.
        why: InvalidValue,
    },
    /// The configuration file is not TOML.
    #[error("{origin}: not TOML: {what}")]
    NotToml {
        /// The file and the line.
        origin: String,
        /// What the parser said.
        what: String,
    },
    /// The configuration file cannot be read.
    #[error("{origin}: cannot be read: {error}")]
    Unreadable {
        /// The file.
        origin: String,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The queue is its own dead-letter queue.
    #[error("MISSTEP_DLQ_URL and MISSTEP_QUEUE_URL name the same queue: messages would go round")]
    SameQueue,
    /// A command on incidents needs their store.
    #[error("MISSTEP_INCIDENT_STORE is off: there are no incidents; name the store that the worker uses")]
    NoIncidentStore,
    /// The sweep needs their store.
    #[error(
        "MISSTEP_SWEEP_EVERY needs an incident store, which knows the failures that have arrived: set MISSTEP_INCIDENT_STORE"
    )]
    SweepWithoutStore,
}

/// Why a value is not usable. It repeats only a value that cannot be a secret.
#[derive(Debug, thiserror::Error)]
pub enum InvalidValue {
    /// Something else was expected.
    #[error("expected {0}")]
    Expected(Cow<'static, str>),
    /// Something else was expected than this text.
    #[error("expected {expected}, found {found:?}")]
    Found {
        /// What would be usable.
        expected: Cow<'static, str>,
        /// The text that was given.
        found: String,
    },
    /// Another type was expected.
    #[error("expected {expected}, found a value of type {found}")]
    FoundType {
        /// What would be usable.
        expected: &'static str,
        /// The type that was given.
        found: &'static str,
    },
    /// The text is not in the format that it has to be in.
    #[error("not {0}")]
    Malformed(Cow<'static, str>),
    /// The value is well-formed but not allowed, by itself or beside others.
    #[error("{0}")]
    NotAllowed(Cow<'static, str>),
    /// What the value is for refuses it: a template, a filter of the log.
    #[error("{0}")]
    Refused(Box<dyn Error + Send + Sync>),
    /// One value within a table is not usable.
    #[error("{name}: {why}")]
    Entry {
        /// The value's key.
        name: String,
        /// What is wrong with it.
        why: Box<InvalidValue>,
    },
    /// A key is needed and not there.
    #[error("is missing")]
    Missing,
    /// There is no setting with this key.
    #[error("there is no setting of that name")]
    UnknownSetting,
    /// The table has no such key.
    #[error("there is no such key; there are {known}")]
    UnknownKey {
        /// The keys that there are.
        known: String,
    },
    /// A secret is to come from a variable that is not set.
    #[error("the variable {0} is not set")]
    UnsetVariable(String),
    /// The file that holds the value cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
}

impl InvalidValue {
    pub(crate) fn expected(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Expected(what.into())
    }

    pub(crate) fn found(expected: impl Into<Cow<'static, str>>, found: &str) -> Self {
        Self::Found { expected: expected.into(), found: found.to_owned() }
    }

    pub(crate) fn malformed(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed(what.into())
    }

    pub(crate) fn not_allowed(why: impl Into<Cow<'static, str>>) -> Self {
        Self::NotAllowed(why.into())
    }
}

/// A URL as it may be shown: without user information, query and path, each of which can be a
/// secret (a webhook's path is one).
pub fn without_secrets(url: &Url) -> String {
    let more = if url.path() == "/" && url.query().is_none() { "/" } else { "/…" };
    format!("{}{more}", url.origin().ascii_serialization())
}
