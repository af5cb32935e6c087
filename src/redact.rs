//! Secrets removed from a report before it leaves: by the key they stand under, by what they look
//! like, and wherever the same value stands again.
//!
//! Inputs and causes are text, and JSON in text, and JSON in strings of that, cut off or not. Only
//! values are replaced, never keys; JSON stays JSON, and what is not removed stays to the byte. It
//! finds what it knows: a password in a sentence, under no key, looks like any word.
//! `tests/it/redaction.rs` plants one of each kind in every place.

mod aws;
mod blocks;
mod cards;
mod json;
mod keys;
mod names;
mod options;
mod patterns;
mod prose;
mod quotes;
mod repeats;
mod rules;
mod sentences;
mod sweep;
mod values;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::report::Report;
use names::Names;
use patterns::Kind;
use sweep::Sweep;

/// Where a report's `data` names what its states called.
const RESOURCES: &str = "/analysis/resources";

/// What is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Whether anything is.
    pub on: bool,
    /// Further keys whose values are secret; case and separators do not matter.
    pub keys: Vec<String>,
    /// Keys whose values are not, although the list built in says so.
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
    /// How many values, counted in every place in which they stood.
    pub values: u64,
    /// The same by kind: `key`, `aws_key`, `token`, `jwt`, `private_key`, `card`, `url_password`,
    /// `email`, `repeated`.
    pub kinds: BTreeMap<String, u64>,
}

impl Removed {
    fn count(&mut self, kind: Kind, values: u64) {
        self.values += values;
        *self.kinds.entry(kind.name().to_owned()).or_default() += values;
    }

    fn and(mut self, other: Self) -> Self {
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

/// What a text of the report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Names something, and stays unless it looks like a secret itself.
    Name,
    /// An input: JSON.
    Json,
    /// Anything else.
    Text,
}

impl Role {
    fn of(key: &str) -> Self {
        match key {
            "schema" | "status" | "type" | "kind" | "how" | "phase" | "outcome" | "confidence"
            | "started_at" | "ended_at" | "execution_arn" | "state_machine_arn" | "execution_name"
            | "env" | "name" | "state" | "path" | "into" | "arn" | "console" | "truncated"
            | "fingerprint" | "role" | "service" | "operation" | "region" | "id" | "log_group"
            | "log_stream" | "logs" | "at" => Self::Name,
            "payload" | "initial_input" | "input" => Self::Json,
            _ => Self::Text,
        }
    }
}

impl Redactor {
    /// A redactor by these rules.
    pub fn new(rules: &Rules) -> Self {
        Self { on: rules.on, names: Names::new(&rules.keys, &rules.allow), emails: rules.emails }
    }

    /// Removes the secrets from a report's `data`, says so in its `analysis.redacted`, and how much.
    /// What was removed before counts too.
    pub fn redact(&self, data: &mut Value) -> Removed {
        self.sweep(data).removed().clone()
    }

    /// The report without its secrets, its timeline included.
    ///
    /// # Errors
    /// When what is left would be no report any more: a defect, and nothing is to be shown then.
    pub fn redacted(&self, report: &Report) -> Result<Report, serde_json::Error> {
        let mut data = serde_json::to_value(report)?;
        let mut sweep = self.sweep(&mut data);
        let mut redacted: Report = serde_json::from_value(data)?;
        redacted.timeline.clone_from(&report.timeline);
        if self.on
            && let Some(timeline) = &mut redacted.timeline
        {
            for instance in &mut timeline.instances {
                if let Some(name) = sweep.beside(&instance.name, true) {
                    instance.name = name.into();
                }
                for error in instance.attempts.iter_mut().filter_map(|attempt| attempt.error.as_mut()) {
                    if let Some(new) = sweep.beside(error, false) {
                        *error = new;
                    }
                }
            }
        }
        Ok(redacted)
    }

    fn sweep(&self, data: &mut Value) -> Sweep<'_> {
        let mut sweep = Sweep::new(self);
        if !self.on {
            return sweep;
        }
        let resources = data.pointer(RESOURCES).cloned();
        let mut names = Vec::new();
        texts(data, Role::Text, &mut |role, text| {
            if role == Role::Name {
                names.push(text.clone());
            }
        });
        let pass = |data: &mut Value, sweep: &mut Sweep<'_>| {
            texts(data, Role::Text, &mut |role, text| {
                let new = match role {
                    Role::Name => sweep.name(text),
                    Role::Json => sweep.json_text(text),
                    Role::Text => sweep.text(text, 0),
                };
                if let Some(new) = new {
                    *text = new;
                }
            });
        };
        pass(data, &mut sweep);
        sweep.look_for_repeats(&names);
        pass(data, &mut sweep);
        drop_links(resources.as_ref(), data.pointer_mut(RESOURCES));
        self.say(data, sweep.removed());
        sweep
    }

    fn say(&self, data: &mut Value, removed: &Removed) {
        let Some(Value::Object(analysis)) = data.get_mut("analysis") else { return };
        let before = analysis.get("redacted").and_then(|before| Removed::deserialize(before).ok());
        let all = before.unwrap_or_default().and(removed.clone());
        let said = if all.values > 0 { serde_json::to_value(all).ok() } else { None };
        analysis.insert("redacted".to_owned(), said.unwrap_or(Value::Null));
    }
}

/// Whether a key names a secret, by the list built in.
pub(crate) fn names_a_secret(key: &str) -> bool {
    Names::new(&[], &[]).secret(key).is_some()
}

/// Whether credentials begin with this word, as in `Authorization: Bearer …`.
pub(crate) fn is_scheme(word: &str) -> bool {
    let schemes = ["apikey", "basic", "bearer", "digest", "geniekey", "hmac", "negotiate", "ssws", "token"];
    schemes.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// Drops the links of resources of which something was removed: a link is made of the same names, in an
/// encoding in which they are not found.
fn drop_links(before: Option<&Value>, resources: Option<&mut Value>) {
    let before = before.and_then(Value::as_array).into_iter().flatten();
    let resources = resources.and_then(Value::as_array_mut).into_iter().flatten();
    for (before, resource) in before.zip(resources) {
        if *before != *resource {
            resource["console"] = Value::Null;
            resource["logs"] = Value::Null;
        }
    }
}

/// Visits every text of a report.
fn texts(value: &mut Value, role: Role, visit: &mut dyn FnMut(Role, &mut String)) {
    match value {
        Value::String(text) => visit(role, text),
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, role, visit)),
        Value::Object(fields) => {
            for (key, value) in fields {
                texts(value, Role::of(key), visit);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests;
