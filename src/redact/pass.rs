//! One pass over a document: first by keys and patterns, then for repetitions of the values found.

use std::collections::{HashMap, HashSet};

use serde::de::IgnoredAny;

use super::kind::{SecretKind, SecretMatch, is_placeholder};
use super::names::SecretName;
use super::patterns;
use super::repeats::{Repeats, SecretSet};
use super::secrets::Secrets;
use super::{Redactor, Removed, Role, Texts, json, prose};

/// How deeply JSON in strings is followed; further down it is read as text.
const DEEPEST: usize = 16;

/// How many keys of one document are remembered.
const KEYS: usize = 1024;

/// What is known after and during a pass over a document.
pub struct Pass<'a> {
    redactor: &'a Redactor,
    removed: Removed,
    known: SecretSet,
    repeats: Option<Repeats>,
    stage: PassStage,
    /// What is known of keys: lists repeat the same ones.
    keys: HashMap<Box<str>, Option<SecretName>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PassStage {
    /// By keys and patterns; the values found are remembered.
    Finding,
    /// By the remembered values.
    Repeats,
}

impl<'a> Pass<'a> {
    pub(super) fn new(redactor: &'a Redactor) -> Self {
        Self {
            redactor,
            removed: Removed::default(),
            known: SecretSet::default(),
            repeats: None,
            stage: PassStage::Finding,
            keys: HashMap::new(),
        }
    }

    /// Switches from finding secrets to finding their repetitions, except these names if they are common
    /// words. Returns whether there may be any.
    pub(super) fn look_for_repeats(&mut self, names: &HashSet<String>) -> bool {
        self.known.without(names);
        self.repeats = self.known.repeats();
        self.stage = PassStage::Repeats;
        !self.known.is_empty()
    }

    /// What was removed so far.
    pub fn removed(&self) -> &Removed {
        &self.removed
    }

    /// Removes what can be found from every text.
    pub(super) fn over(&mut self, document: &mut dyn Texts) {
        document.texts(&mut |role, text| {
            let redacted = match role {
                Role::Name => self.name(text),
                Role::Json => self.json_text(text),
                Role::Text => self.text(text, 0),
            };
            if let Some(redacted) = redacted {
                *text = redacted;
            }
        });
    }

    /// Redacts a name that is shown beside the document but is not part of it. Not counted.
    pub fn name_outside(&mut self, name: &str) -> Option<String> {
        self.outside(name, true)
    }

    /// Redacts a text in the same way.
    pub fn text_outside(&mut self, text: &str) -> Option<String> {
        self.outside(text, false)
    }

    fn outside(&mut self, text: &str, is_name: bool) -> Option<String> {
        if !self.redactor.on {
            return None;
        }
        let counted = self.removed.clone();
        self.stage = PassStage::Finding;
        let found = if is_name { self.name(text) } else { self.text(text, 0) };
        self.stage = PassStage::Repeats;
        let again = if is_name { None } else { self.text(found.as_deref().unwrap_or(text), 0) };
        self.removed = counted;
        again.or(found)
    }

    /// Redacts a name: only patterns are removed.
    pub(super) fn name(&mut self, text: &str) -> Option<String> {
        if self.stage == PassStage::Finding { self.by_pattern(text) } else { None }
    }

    /// Redacts a text that is probably JSON.
    pub(super) fn json_text(&mut self, text: &str) -> Option<String> {
        if is_json(text) { json::rewrite(text, self, 0) } else { self.text(text, 0) }
    }

    fn by_pattern(&mut self, text: &str) -> Option<String> {
        self.removed_from(text, patterns::find(text, self.redactor.emails))
    }

    fn removed_from(&mut self, text: &str, found: Vec<SecretMatch>) -> Option<String> {
        for one in &found {
            self.removed.count(one.kind, 1);
            if matches!(one.kind, SecretKind::Key | SecretKind::UrlPassword | SecretKind::Token) {
                self.known.add(text[one.place.clone()].trim_matches(['"', '\'', '\\']));
            }
        }
        let edit =
            |one: SecretMatch| prose::Edit { place: one.place, new: one.kind.placeholder().to_owned() };
        edited(text, found.into_iter().map(edit).collect())
    }
}

impl Secrets for Pass<'_> {
    fn text(&mut self, text: &str, depth: usize) -> Option<String> {
        let may_be_json = depth < DEEPEST && text.trim_start().starts_with(['{', '[', '"']);
        if may_be_json && is_json(text) {
            return json::rewrite(text, self, depth);
        }
        match self.stage {
            PassStage::Finding => {
                let whole_keys = self.removed_from(text, patterns::private_keys(text));
                let text = whole_keys.as_deref().unwrap_or(text);
                let keyed = edited(text, prose::keyed(text, self));
                let by_pattern = self.by_pattern(keyed.as_deref().unwrap_or(text));
                by_pattern.or(keyed).or(whole_keys)
            }
            PassStage::Repeats => {
                let (text, count) =
                    self.repeats.as_ref()?.removed(text, SecretKind::Repeated.placeholder())?;
                self.removed.count(SecretKind::Repeated, count);
                Some(text)
            }
        }
    }

    fn number(&mut self, token: &str) -> Option<String> {
        match self.stage {
            PassStage::Finding => self.by_pattern(token),
            PassStage::Repeats if self.known.has(token) => {
                self.removed.count(SecretKind::Repeated, 1);
                Some(SecretKind::Repeated.placeholder().to_owned())
            }
            PassStage::Repeats => None,
        }
    }

    fn is_finding(&self) -> bool {
        self.stage == PassStage::Finding
    }

    fn secret(&mut self, key: &str) -> Option<SecretName> {
        if self.stage == PassStage::Repeats {
            return None;
        }
        if self.redactor.names.has_no_stem(key) {
            return None;
        }
        if let Some(secret) = self.keys.get(key) {
            return *secret;
        }
        let secret = self.redactor.names.secret(key);
        if self.keys.len() < KEYS {
            self.keys.insert(key.into(), secret);
        }
        secret
    }

    fn record_secret(&mut self, value: &str) -> bool {
        let value = value.trim();
        if value.is_empty() || is_placeholder(value) {
            return false;
        }
        self.known.add(value);
        self.removed.count(SecretKind::Key, 1);
        true
    }

    fn record_secrets(&mut self, parts: &mut dyn Iterator<Item = &str>) {
        for part in parts {
            self.known.add_part(part);
        }
        self.removed.count(SecretKind::Key, 1);
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn edited(text: &str, edits: Vec<prose::Edit>) -> Option<String> {
    if edits.is_empty() {
        return None;
    }
    let (mut out, mut copied) = (String::with_capacity(text.len()), 0);
    for edit in edits {
        out.push_str(&text[copied..edit.place.start]);
        out.push_str(&edit.new);
        copied = edit.place.end;
    }
    out.push_str(&text[copied..]);
    Some(out)
}
