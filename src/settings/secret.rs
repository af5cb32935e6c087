//! Secrets in the settings: named in the file, kept elsewhere, never shown.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

/// Where a secret is. A file is read anew each time, so that a secret that is replaced (a rotation, a
/// mounted Kubernetes secret) counts without a restart.
#[derive(Clone)]
pub enum Secret {
    /// From an environment variable, read at the start.
    Variable {
        /// The variable's name.
        name: String,
        /// What it holds.
        value: SecretString,
    },
    /// In a file; white space at its end does not count.
    File(PathBuf),
}

/// A secret that is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Its file cannot be read.
    #[error("the secret in {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Its file holds nothing.
    #[error("the secret in {} is empty", .0.display())]
    Empty(PathBuf),
}

impl Secret {
    /// The secret itself.
    ///
    /// # Errors
    /// When its file cannot be read or is empty. What it holds is in no error.
    pub fn reveal(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::Variable { value, .. } => Ok(value.clone()),
            Self::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| SecretError::Unreadable { path: path.clone(), source })?;
                match text.trim_end() {
                    "" => Err(SecretError::Empty(path.clone())),
                    secret => Ok(secret.into()),
                }
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable { name, .. } => write!(f, "Secret({name})"),
            Self::File(path) => write!(f, "Secret({})", path.display()),
        }
    }
}

/// A text that stands in the file, or a secret.
#[derive(Clone)]
pub enum TextOrSecret {
    /// Written in the file.
    Plain(String),
    /// Kept elsewhere.
    Secret(Secret),
}

impl fmt::Debug for TextOrSecret {
    /// Without the text: it may be a secret that was written into the wrong place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("TextOrSecret(…)"),
            Self::Secret(secret) => secret.fmt(f),
        }
    }
}

impl TextOrSecret {
    /// The text itself.
    ///
    /// # Errors
    /// When a secret is not to be had.
    pub fn reveal(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::Plain(text) => Ok(text.clone().into()),
            Self::Secret(secret) => secret.reveal(),
        }
    }
}

/// The bytes of a secret, for those who sign with it or send it.
pub(crate) fn exposed(secret: &SecretString) -> &str {
    secret.expose_secret()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::chain;

    #[test]
    fn a_secret_in_a_file_is_read_anew_and_shown_by_its_place_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let secret = Secret::File(path.clone());
        assert!(chain(&secret.reveal().unwrap_err()).contains("No such file"));
        std::fs::write(&path, "hunter2\n").unwrap();
        assert_eq!(exposed(&secret.reveal().unwrap()), "hunter2");
        std::fs::write(&path, "hunter3\r\n").unwrap();
        assert_eq!(exposed(&secret.reveal().unwrap()), "hunter3");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(secret.reveal(), Err(SecretError::Empty(_))));
        let variable = Secret::Variable { name: "TOKEN".into(), value: "hunter4".into() };
        let shown = format!("{secret:?} {variable:?} {:?}", TextOrSecret::Secret(variable.clone()));
        assert!(shown.contains("TOKEN") && !shown.contains("hunter"), "{shown}");
    }
}
