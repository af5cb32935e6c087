//! Patterns of secrets, which apply under any key or without one.
//!
//! A pattern may stand in text that is escaped, once or several times: `\nAKIA…`. So a word does not
//! begin at a boundary alone but also after an escape.

use std::sync::LazyLock;

use regex::Regex;

use super::aws::secret_keys;
use super::boundary::past_escape;
use super::cards::cards;
use super::kind::{SecretKind, SecretMatch};
use super::rules;

/// Bytes of the shortest text that may hold a secret.
const SHORTEST: usize = 8;

/// An e-mail address.
static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    let pattern =
        r"[A-Za-z0-9][A-Za-z0-9._%+'-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,}";
    Regex::new(pattern).expect("a constant, met by the tests")
});

/// The secrets in a text, in their order and apart from each other.
pub(super) fn find(text: &str, emails: bool) -> Vec<SecretMatch> {
    if text.len() < SHORTEST {
        return Vec::new();
    }
    let mut found = rules::find(text);
    if emails && text.contains('@') {
        found.extend(
            EMAIL.find_iter(text).map(|place| SecretMatch {
                place: past_escape(text, place.range()),
                kind: SecretKind::Email,
            }),
        );
    }
    found.extend(secret_keys(text).map(|place| SecretMatch { place, kind: SecretKind::AwsKey }));
    found.extend(cards(text).into_iter().map(|place| SecretMatch { place, kind: SecretKind::Card }));
    apart(found)
}

/// The private keys in a text: they have several lines, and colons would tear them apart.
pub(super) fn private_keys(text: &str) -> Vec<SecretMatch> {
    apart(rules::private_keys(text))
}

/// What overlaps becomes one, of the kind of the one that begins first.
fn apart(mut found: Vec<SecretMatch>) -> Vec<SecretMatch> {
    found.sort_by_key(|one| (one.place.start, one.kind));
    let mut apart: Vec<SecretMatch> = Vec::new();
    for one in found {
        match apart.last_mut() {
            Some(last) if one.place.start < last.place.end => {
                last.place.end = last.place.end.max(one.place.end);
            }
            _ => apart.push(one),
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(SecretKind, &str)> {
        find(text, true).into_iter().map(|one| (one.kind, &text[one.place])).collect()
    }

    #[test]
    fn each_kind_is_found_in_a_sentence_and_after_an_escape() {
        for (kind, secret) in [
            (SecretKind::AwsKey, "AKIAIOSFODNN7EXAMPLE"),
            (SecretKind::AwsKey, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            (
                SecretKind::Jwt,
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
            ),
            (SecretKind::Card, "4111111111111111"),
            (SecretKind::Card, "4111 1111 1111 1111"),
            (SecretKind::Card, "5555-5555-5555-4444"),
            (SecretKind::Card, "378282246310005"),
            (SecretKind::Card, "3782 822463 10005"),
            (SecretKind::Token, "ghp_0123456789abcdefghijABCDEFGHIJ"),
            (SecretKind::Token, "AAAAKgAAAAIAAAAAAAAAAVT2uPbS9mXzQkW7p1fYbq0"),
            (SecretKind::Email, "amira.haddad@example.com"),
        ] {
            for (before, after) in [("it was ", ", so"), ("\\n", "\\n"), ("\\\\\\\"", "\\\\\\\""), ("", "")] {
                assert_eq!(kinds(&format!("{before}{secret}{after}")), [(kind, secret)], "{before}{secret}");
            }
        }
        assert_eq!(kinds("as Bearer abc123.x, or"), [(SecretKind::Token, "abc123.x,".trim_end_matches(','))]);
        assert_eq!(kinds("basic dXNlcjpwYXNzd29yZA=="), [(SecretKind::Token, "dXNlcjpwYXNzd29yZA==")]);
        assert_eq!(kinds("postgres://app:hunter@2@db/x"), [(SecretKind::UrlPassword, "hunter@2")]);
        assert_eq!(kinds(r"https:\/\/app:hunter@db\/x")[0], (SecretKind::UrlPassword, "hunter"));
    }

    #[test]
    fn what_stands_beside_a_secret_does_not_hide_it() {
        for (before, secret, after) in [
            ("card_", "4111111111111111", ""),
            ("%20", "4111111111111111", "%20"),
            ("", "4111.1111.1111.1111", "."),
            ("", "4111  1111  1111  1111", " "),
            ("", "4111\u{a0}1111\u{a0}1111\u{a0}1111", ""),
            ("{\"n\": ", "4111111111111111", ".0}"),
            ("", "4111111111111111=29121010000012345", "?"),
            ("%B", "4111111111111111^DOE/J^2912101", "?"),
            ("key_", "AKIAIOSFODNN7EXAMPLE", ""),
            ("a%3D", "AKIAIOSFODNN7EXAMPLE", "%26"),
            ("x", "AKIAIOSFODNN7EXAMPLE", ""),
            ("x_", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N", ""),
            ("x%3D", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N", ""),
            ("=", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "=="),
            ("key:/", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""),
            ("", "wJalrXUtnFEMI%2FK7MDENG%2FbPxRfiCYEXAMPLEKEY", "&"),
            ("smtp://me@x.com:", "hunter77", "@host"),
            ("postgres://admin:", "ab/hunter77", "@host/db"),
            ("postgres://admin:", "ab'hunter77", "@host/db"),
            ("https://", "abc0123456789abcdef0123", "@github.com/x.git"),
            ("Bearer \"", "hunter77", "\""),
        ] {
            let text = format!("{before}{secret}{after}");
            let found: Vec<&str> = find(&text, false).into_iter().map(|one| &text[one.place]).collect();
            assert_eq!(found, [secret], "{text}");
        }
    }

    #[test]
    fn a_private_key_goes_whole_and_one_without_an_end_up_to_the_end() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----";
        assert_eq!(kinds(&format!("a {key} b")), [(SecretKind::PrivateKey, key)]);
        let cut = "-----BEGIN PRIVATE KEY-----\\nMIIB\\nabc";
        assert_eq!(kinds(&format!("a {cut}")), [(SecretKind::PrivateKey, cut)]);
    }

    #[test]
    fn what_only_looks_like_a_secret_stays() {
        for text in [
            "order 4111111111111112",
            "order 1234567890123456",
            "at 1700000000000 ms",
            "took 0.4111111111111111 s",
            "id 41111111111111110000000",
            "123e4567-e89b-12d3-a456-426614174000",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "arn:aws:states:eu-west-1:123456789012:execution:orders:run-7",
            "Basic authentication, Bearer authentication, Bearer error=\"invalid\"",
            "https://example.com:8080/a@b",
            "/home/amira/src/payments/handlers/charge.py",
            "AKIAIOSFODNN7",
            "aGVsbG8gd29ybGQgdGhpcyBpcyBhIHRlc3QgYWJj",
            "see https://h/a:b@c, http://h:8080/a?x=y@z and git@github.com:org/repo.git",
            "https://host:443','a@b",
            "4111.1111.1111.1112",
        ] {
            let found: Vec<_> = find(text, false);
            assert!(found.is_empty(), "{text}: {found:?}");
        }
    }
}
