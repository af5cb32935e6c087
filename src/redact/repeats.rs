//! Values that were secret under a key and are repeated elsewhere: in a cause, in an error's message.

use std::collections::{BTreeSet, HashSet};

use aho_corasick::{AhoCorasick, MatchKind};

use super::boundary::at_token_start;
use super::is_scheme;

/// The shortest value that is searched for: a shorter one is too often a part of something else.
const SHORTEST: usize = 6;

/// Bytes of a name that may be a common word.
const COMMON: usize = 12;

/// Bytes of all values together that are looked for.
const MOST: usize = 512 * 1024;

/// How often a repeated value may be escaped.
const ESCAPED: usize = 3;

/// Common values, which would be removed from sentences.
const SAID_OFTEN: &[&str] = &[
    "bearer",
    "changeme",
    "default",
    "disabled",
    "enabled",
    "expired",
    "invalid",
    "missing",
    "optional",
    "password",
    "redacted",
    "required",
    "secret",
    "string",
    "token",
    "undefined",
    "unknown",
    "visible",
];

/// The values known to be secret.
#[derive(Debug, Default)]
pub(super) struct SecretSet(BTreeSet<String>);

/// The same, ready to be looked for.
pub(super) struct Repeats {
    automaton: AhoCorasick,
    /// Whether the pattern of this number counts only as a whole word.
    words: Vec<bool>,
}

/// Whether a name may be a common word, or two.
pub(super) fn is_common(name: &str) -> bool {
    name.len() <= COMMON && name.chars().all(|char| char.is_alphabetic() || matches!(char, ' ' | '-' | '_'))
}

impl SecretSet {
    /// Remembers a value, and what follows `Bearer` in it.
    pub(super) fn add(&mut self, value: &str) {
        let value = value.trim();
        let after_scheme = value.split_once(' ').filter(|(scheme, _)| is_scheme(scheme));
        for value in [Some(value), after_scheme.map(|(_, rest)| rest.trim())].into_iter().flatten() {
            let often = SAID_OFTEN.iter().any(|word| word.eq_ignore_ascii_case(value));
            if value.chars().count() >= SHORTEST && !often && !value.contains("[redacted") {
                self.0.insert(value.to_owned());
            }
        }
    }

    /// Remembers a value out of a list or an object, if it looks like a secret.
    pub(super) fn add_part(&mut self, value: &str) {
        let has_digit = value.bytes().any(|byte| byte.is_ascii_digit());
        if has_digit || (value.len() >= 16 && !value.contains(' ')) {
            self.add(value);
        }
    }

    /// Whether a number is one of them.
    pub(super) fn has(&self, value: &str) -> bool {
        self.0.contains(value)
    }

    /// Forgets values that are also names of one or two words: they would be removed from sentences about
    /// the named thing. The names themselves stay in any case.
    pub(super) fn without(&mut self, names: &HashSet<String>) {
        self.0.retain(|value| !is_common(value) || !names.contains(value));
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes ready to look for them; `None` if there are none.
    pub(super) fn repeats(&self) -> Option<Repeats> {
        let (mut patterns, mut words, mut bytes) = (Vec::new(), Vec::new(), 0);
        for value in &self.0 {
            let is_word = value.bytes().all(|byte| byte.is_ascii_alphabetic())
                || value.bytes().all(|byte| byte.is_ascii_digit());
            let mut written = value.clone();
            for _ in 0..=ESCAPED {
                bytes += written.len();
                if bytes > MOST {
                    break;
                }
                patterns.push(written.clone());
                words.push(is_word);
                let quoted = serde_json::to_string(&written).expect("a text is JSON");
                let escaped = quoted[1..quoted.len() - 1].to_owned();
                if escaped == written {
                    break;
                }
                written = escaped;
            }
        }
        let automaton =
            AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&patterns).ok()?;
        (!patterns.is_empty()).then_some(Repeats { automaton, words })
    }
}

impl Repeats {
    /// The text without them, and their number; `None` if it has no such value.
    pub(super) fn removed(&self, text: &str, mark: &str) -> Option<(String, u64)> {
        let (mut out, mut copied, mut count) = (String::new(), 0, 0);
        for found in self.automaton.find_iter(text) {
            let ends = !text[found.end()..].starts_with(|next: char| next.is_alphanumeric());
            let is_whole = ends && at_token_start(text, found.start());
            if self.words[found.pattern().as_usize()] && !is_whole {
                continue;
            }
            out.push_str(&text[copied..found.start()]);
            out.push_str(mark);
            copied = found.end();
            count += 1;
        }
        (count > 0).then(|| {
            out.push_str(&text[copied..]);
            (out, count)
        })
    }
}
