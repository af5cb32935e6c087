//! What those who read a text ask of the pass that they are part of.

use super::names::SecretName;

/// Knows which keys name secrets, and keeps what was found.
pub(super) trait Secrets {
    /// What a key says about its value.
    fn secret(&mut self, key: &str) -> Option<SecretName>;

    /// Counts and remembers a secret value; `false` if there is nothing to remove.
    fn record_secret(&mut self, value: &str) -> bool;

    /// The same of a list or an object with these parts.
    fn record_secrets(&mut self, parts: &mut dyn Iterator<Item = &str>);

    /// Whether secrets are looked for, rather than those found where they stand again.
    fn is_finding(&self) -> bool;

    /// Any text, with JSON in it that is so deep; `None` if it stays as it is.
    fn text(&mut self, text: &str, depth: usize) -> Option<String>;

    /// A bare number in JSON.
    fn number(&mut self, token: &str) -> Option<String>;
}
