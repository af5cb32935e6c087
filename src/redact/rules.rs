//! The rules for what a secret looks like, as data: `rules/gitleaks.toml` and `rules/own.toml`.
//!
//! A rule with a `prefix` has a regular expression for the text after it. It is tried at each occurrence
//! of the prefix and must fail fast, because a text may repeat the prefix everywhere. A rule with `search`
//! words has a regular expression that is run over the whole text if it has one of the words. One
//! pass over the text finds the prefixes and words of all rules, so a text without any is not searched again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex::{Captures, Regex};
use serde::Deserialize;

use super::boundary::{at_token_start, past_escape};
use super::kind::{SecretKind, SecretMatch, is_placeholder};

/// A value on a command line, for `{value}` in a regular expression: quoted, or one word.
const VALUE: &str = r#"(?<s>\\*"[^"]*(?:"|$)|'[^']*(?:'|$)|[^\s"'\\]+)"#;

/// What stands between two words of a command, for `{gap}`: `'mysql', '-uroot'` is a list of them.
const GAP: &str = r#"(?:\\*["']\s*,\s*\\*["']|\s)"#;

/// A rule as its file has it. The secret is the group `s` of the regular expression, or all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    /// What the secret begins with, case included.
    #[serde(default)]
    prefix: Vec<String>,
    /// The expression for what follows the prefix.
    #[serde(default)]
    then: String,
    /// Words of which a text has to hold one, in any case.
    #[serde(default)]
    search: Vec<String>,
    /// The expression that is searched for in such a text.
    #[serde(default)]
    regex: String,
    #[serde(default)]
    kind: SecretKind,
    /// Whether the prefix may stand inside a word.
    #[serde(default)]
    inside: bool,
    /// Whether what is searched for has to begin a word.
    #[serde(default)]
    fresh: bool,
    check: Option<Check>,
}

/// Further conditions for a secret.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Check {
    Digit,
    NoPort,
    Bearer,
    Basic,
}

impl Check {
    fn holds(self, value: &str) -> bool {
        match self {
            Self::Digit => value.bytes().any(|byte| byte.is_ascii_digit()),
            Self::NoPort => is_no_port(value),
            Self::Bearer => is_bearer(value),
            Self::Basic => is_basic(value),
        }
    }
}

/// `host:8080/a@b` and `host:443','a@b` have no password.
fn is_no_port(value: &str) -> bool {
    let rest = value.trim_start_matches(|char: char| char.is_ascii_digit());
    rest.len() == value.len() || rest.is_empty() || !rest.starts_with(['/', '\'', ',', '?', '#', ')'])
}

/// `Bearer authentication` and `Bearer error="…"` are not tokens.
fn is_bearer(value: &str) -> bool {
    let value = value.strip_suffix('=').unwrap_or(value);
    value.len() >= 20 || value.bytes().any(|byte| !byte.is_ascii_alphabetic())
}

/// `Basic authentication` is not a credential.
fn is_basic(value: &str) -> bool {
    let has = |of: fn(&u8) -> bool| value.as_bytes().iter().skip(1).any(of);
    has(|byte| !byte.is_ascii_alphabetic()) || (has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase))
}

struct Rule {
    entry: RuleEntry,
    compiled: OnceLock<Regex>,
}

/// All rules, and the one automaton that finds their prefixes and words.
struct PatternRules {
    rules: Vec<Rule>,
    words: AhoCorasick,
    /// The rule of each word.
    of_word: Vec<usize>,
}

static RULES: LazyLock<PatternRules> = LazyLock::new(|| {
    let files = [include_str!("rules/gitleaks.toml"), include_str!("rules/own.toml")];
    let entries = files.into_iter().flat_map(|file| {
        toml::from_str::<BTreeMap<String, RuleEntry>>(file)
            .expect("a constant, met by the tests")
            .into_values()
    });
    let rules: Vec<Rule> = entries.map(|entry| Rule { entry, compiled: OnceLock::new() }).collect();
    let (mut words, mut of_word) = (Vec::new(), Vec::new());
    for (index, rule) in rules.iter().enumerate() {
        for word in rule.entry.prefix.iter().chain(&rule.entry.search) {
            words.push(word.as_str());
            of_word.push(index);
        }
    }
    let words = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .kind(Some(AhoCorasickKind::DFA))
        .build(words)
        .expect("a few hundred short words");
    PatternRules { rules, words, of_word }
});

/// The secrets in a text that a rule knows, in no order.
pub(super) fn find(text: &str) -> Vec<SecretMatch> {
    let PatternRules { rules, words, of_word } = &*RULES;
    let mut found: Vec<SecretMatch> = Vec::new();
    let mut searches: Vec<usize> = Vec::new();
    let mut done = 0;
    for word in words.find_overlapping_iter(text) {
        let index = of_word[word.pattern().as_usize()];
        let rule = &rules[index];
        if rule.entry.prefix.is_empty() {
            if !searches.contains(&index) {
                searches.push(index);
            }
        } else if word.start() >= done
            && let Some(secret) = rule.after_prefix(text, word.range())
        {
            done = secret.place.end;
            found.push(secret);
        }
    }
    for index in searches {
        rules[index].search(text, &mut found);
    }
    found
}

/// The private keys in a text that have a first or a last line.
pub(super) fn private_keys(text: &str) -> Vec<SecretMatch> {
    let mut found = Vec::new();
    if text.contains("PRIVATE KEY") {
        let searched =
            |rule: &&Rule| rule.entry.kind == SecretKind::PrivateKey && rule.entry.prefix.is_empty();
        RULES.rules.iter().filter(searched).for_each(|rule| rule.search(text, &mut found));
    }
    found
}

impl Rule {
    fn regex(&self) -> &Regex {
        self.compiled.get_or_init(|| {
            let RuleEntry { prefix, then, regex, .. } = &self.entry;
            let pattern = if prefix.is_empty() { regex.clone() } else { format!("^(?:{then})") };
            Regex::new(&pattern.replace("{value}", VALUE).replace("{gap}", GAP))
                .expect("a constant, met by the tests")
        })
    }

    /// The secret that has its prefix here.
    fn after_prefix(&self, text: &str, prefix: Range<usize>) -> Option<SecretMatch> {
        let is_so = self.entry.prefix.iter().any(|word| *word == text[prefix.clone()]);
        if !is_so || !(self.entry.inside || at_token_start(text, prefix.start)) {
            return None;
        }
        let rest = &text[prefix.end..];
        let place = if self.regex().captures_len() > 1 {
            let secret = self.regex().captures(rest)?.name("s")?.range();
            prefix.end + secret.start..prefix.end + secret.end
        } else {
            prefix.start..prefix.end + self.regex().find(rest)?.end()
        };
        self.found(text, place)
    }

    /// The secrets that are anywhere in a text.
    fn search(&self, text: &str, found: &mut Vec<SecretMatch>) {
        let is_fresh = |whole: usize| !self.entry.fresh || at_token_start(text, whole);
        if self.regex().captures_len() == 1 {
            let places = self.regex().find_iter(text).map(|whole| whole.range());
            found.extend(
                places.filter(|whole| is_fresh(whole.start)).filter_map(|place| self.found(text, place)),
            );
            return;
        }
        let secret = |captures: Captures<'_>| {
            let whole = captures.get(0).expect("group 0 is the match");
            is_fresh(whole.start()).then(|| captures.name("s").unwrap_or(whole).range())
        };
        let places = self.regex().captures_iter(text).filter_map(secret);
        found.extend(places.filter_map(|place| self.found(text, place)));
    }

    fn found(&self, text: &str, place: Range<usize>) -> Option<SecretMatch> {
        let secret = &text[place.clone()];
        // A quotation mark after the key belongs to what the key stands in.
        let quoted = self.entry.kind == SecretKind::PrivateKey && secret.ends_with('"');
        let place = past_escape(text, place.start..place.end - usize::from(quoted));
        let holds = self.entry.check.is_none_or(|check| check.holds(secret));
        (holds && !is_placeholder(&text[place.clone()]))
            .then_some(SecretMatch { place, kind: self.entry.kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_either_prefixes_or_words_and_compiles() {
        for Rule { entry, .. } in &RULES.rules {
            let has = |list: &[String], regex: &str| (!list.is_empty(), !regex.is_empty());
            let both = [has(&entry.prefix, &entry.then), has(&entry.search, &entry.regex)];
            assert!(matches!(both, [(true, true), (false, false)] | [(false, false), (true, true)]));
        }
        for rule in &RULES.rules {
            rule.regex();
        }
    }
}
