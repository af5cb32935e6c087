//! The kinds of secrets, and their placeholders.

use std::ops::Range;

use serde::Deserialize;

/// What was removed, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SecretKind {
    /// Its key names a secret.
    Key,
    /// An AWS access key id or secret access key.
    AwsKey,
    /// A bearer token, or another token with a known prefix.
    #[default]
    Token,
    /// A JSON web token.
    Jwt,
    /// A private key in PEM.
    PrivateKey,
    /// A payment card's number.
    Card,
    /// The password in an address.
    UrlPassword,
    /// An e-mail address.
    Email,
    /// The same text was secret elsewhere.
    Repeated,
}

impl SecretKind {
    /// The name under which it is counted.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::AwsKey => "aws_key",
            Self::Token => "token",
            Self::Jwt => "jwt",
            Self::PrivateKey => "private_key",
            Self::Card => "card",
            Self::UrlPassword => "url_password",
            Self::Email => "email",
            Self::Repeated => "repeated",
        }
    }

    /// Its placeholder.
    pub(super) fn placeholder(self) -> &'static str {
        match self {
            Self::Key | Self::UrlPassword | Self::Repeated => "[redacted]",
            Self::AwsKey => "[redacted: AWS key]",
            Self::Token => "[redacted: token]",
            Self::Jwt => "[redacted: JWT]",
            Self::PrivateKey => "[redacted: private key]",
            Self::Card => "[redacted: card]",
            Self::Email => "[redacted: e-mail]",
        }
    }
}

/// A secret in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretMatch {
    pub(super) place: Range<usize>,
    pub(super) kind: SecretKind,
}

/// Whether a value has been removed already; cut or not.
pub(super) fn is_placeholder(value: &str) -> bool {
    let rest = value.strip_prefix("[redacted");
    rest.is_some_and(|rest| {
        rest.is_empty()
            || rest == "]"
            || (rest.starts_with(':') && rest.find(']').is_none_or(|at| at + 1 == rest.len()))
    })
}
