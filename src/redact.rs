//! Removes secrets from a report before it is sent: by key, by pattern, and wherever the same value
//! is repeated.
//!
//! Inputs and causes are text, JSON in text, and JSON in strings of that JSON, cut off or not. Only
//! values are replaced, never keys; JSON stays JSON, and all other bytes stay the same. Only known
//! keys and patterns are found: a password in a sentence without a key looks like any word.
//! `tests/it/redaction.rs` plants a secret of each kind in every field.

mod aws;
mod blocks;
mod boundary;
mod cards;
mod json;
mod keys;
mod kind;
mod names;
mod options;
mod pass;
mod patterns;
mod prose;
mod quotes;
mod repeats;
mod rules;
mod secrets;
mod sentences;
mod values;

use std::collections::{BTreeMap, HashSet};

use kind::SecretKind;
use names::Names;
pub use pass::Pass;
use repeats::is_common;
use serde::{Deserialize, Serialize};

/// Which secrets are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Whether redaction is on.
    pub on: bool,
    /// Further keys whose values are secret; case and separators do not matter.
    pub keys: Vec<String>,
    /// Keys whose values are not secret, although the built-in list matches them.
    pub allow: Vec<String>,
    /// Whether e-mail addresses are removed too.
    pub emails: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { on: true, keys: Vec::new(), allow: Vec::new(), emails: false }
    }
}

/// How much was removed: `analysis.redacted` of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// How many values, counting each occurrence.
    pub values: u64,
    /// The same by kind: `key`, `aws_key`, `token`, `jwt`, `private_key`, `card`, `url_password`,
    /// `email`, `repeated`.
    pub kinds: BTreeMap<String, u64>,
}

impl Removed {
    fn count(&mut self, kind: SecretKind, values: u64) {
        self.values += values;
        *self.kinds.entry(kind.name().to_owned()).or_default() += values;
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.values += other.values;
        for (kind, values) in other.kinds {
            *self.kinds.entry(kind).or_default() += values;
        }
        self
    }
}

/// Removes secrets from reports.
#[derive(Debug, Clone)]
pub struct Redactor {
    on: bool,
    names: Names,
    emails: bool,
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A name, which stays unless it matches a pattern itself.
    Name,
    /// An input: JSON.
    Json,
    /// Anything else.
    Text,
}

/// Something with texts that may hold secrets.
pub trait Texts {
    /// Shows `visit` every text, always in the same order.
    fn texts(&mut self, visit: &mut dyn FnMut(Role, &mut String));
}

impl Texts for String {
    fn texts(&mut self, visit: &mut dyn FnMut(Role, &mut String)) {
        visit(Role::Text, self);
    }
}

impl Redactor {
    /// A redactor by these rules.
    pub fn new(rules: &Rules) -> Self {
        Self { on: rules.on, names: Names::new(&rules.keys, &rules.allow), emails: rules.emails }
    }

    /// Removes the secrets, and returns what was removed.
    pub fn redact(&self, document: &mut dyn Texts) -> Removed {
        self.pass(document).removed().clone()
    }

    /// Removes the secrets, and returns the pass, which knows them.
    pub fn pass(&self, document: &mut dyn Texts) -> Pass<'_> {
        let mut pass = Pass::new(self);
        if !self.on {
            return pass;
        }
        let mut names = HashSet::new();
        document.texts(&mut |role, text| {
            if role == Role::Name && is_common(text) && !names.contains(text) {
                names.insert(text.clone());
            }
        });
        pass.over(document);
        if pass.look_for_repeats(&names) {
            pass.over(document);
        }
        pass
    }
}

/// Whether a key names a secret, by the built-in list.
pub(crate) fn names_a_secret(key: &str) -> bool {
    Names::new(&[], &[]).secret(key).is_some()
}

/// Whether credentials begin with this word, as in `Authorization: Bearer …`.
pub(crate) fn is_scheme(word: &str) -> bool {
    let schemes = ["apikey", "basic", "bearer", "digest", "geniekey", "hmac", "negotiate", "ssws", "token"];
    schemes.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests;
