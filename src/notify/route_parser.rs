//! What a channel reads its keys of a route with.

use std::time::Duration;

use url::Url;

use super::Audience;
use super::template::{Escape, Template};
use crate::redact::Rules;
use crate::settings::InvalidValue;
use crate::settings::document::SettingsTable;

/// The settings that are a route's defaults.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The notification API's URL.
    pub api: Option<Url>,
    /// The developers' group address.
    pub internal_email: Option<String>,
    /// CustomerAssist's group address.
    pub external_email: Option<String>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The upper bound of a notification, in bytes.
    pub max_bytes: usize,
    /// What is removed.
    pub redaction: Rules,
    /// Whether incidents are kept.
    pub has_incidents: bool,
}

/// A route's table while its channel reads it.
pub struct RouteParser<'d, 'r> {
    pub(crate) fields: &'r mut SettingsTable<'d>,
    pub(crate) defaults: &'r Defaults,
    pub(crate) audience: &'r Audience,
    pub(super) templates: Vec<(&'static str, Template)>,
}

impl RouteParser<'_, '_> {
    /// How long one attempt may take.
    pub(crate) fn timeout(&mut self) -> Duration {
        let seconds = self.fields.number("timeout_secs", 1..=300);
        seconds.map_or(self.defaults.timeout, Duration::from_secs)
    }

    /// The most bytes of a notification.
    pub(crate) fn max_bytes(&mut self) -> usize {
        self.own_max_bytes(1 << 30).unwrap_or(self.defaults.max_bytes)
    }

    /// The route's limit on the bytes of a notification, if it has one; `most` is the channel's limit.
    pub(crate) fn own_max_bytes(&mut self, most: u64) -> Option<usize> {
        self.fields.number("max_bytes", 4_096..=most).and_then(|bytes| usize::try_from(bytes).ok())
    }

    /// A template, here or in a file of its own.
    pub(crate) fn template(&mut self, key: &'static str, escape: Escape) -> Option<Template> {
        let source = self.fields.text_or_file(key)?;
        match Template::parse(source, escape) {
            Ok(template) => {
                self.templates.push((key, template.clone()));
                Some(template)
            }
            Err(error) => {
                self.fields.fault(key, InvalidValue::Refused(error.into()));
                None
            }
        }
    }
}
