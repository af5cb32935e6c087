//! The interface of a pass for the readers of texts.

use super::names::SecretName;

/// Knows which keys name secrets, and keeps the values found.
pub(super) trait Secrets {
    /// What a key says about its value.
    fn secret(&mut self, key: &str) -> Option<SecretName>;

    /// Counts and remembers a secret value; `false` if there is nothing to remove.
    fn record_secret(&mut self, value: &str) -> bool;

    /// Counts and remembers the parts of a list or an object in the same way.
    fn record_secrets(&mut self, parts: &mut dyn Iterator<Item = &str>);

    /// Whether the pass searches for secrets, rather than for repetitions.
    fn is_finding(&self) -> bool;

    /// Any text, with JSON in it that is so deep; `None` if it stays as it is.
    fn text(&mut self, text: &str, depth: usize) -> Option<String>;

    /// A bare number in JSON.
    fn number(&mut self, token: &str) -> Option<String>;
}
