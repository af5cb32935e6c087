//! Which keys name a secret.
//!
//! A key is taken apart into words at separators and changes of case, so that `apiKey`, `API-KEY`
//! and `x_api_key` are one. Short words count only as whole words (`card`, not `discard`), long ones
//! anywhere (`dbpassword2`). A key that only describes a secret (`token_type`) does not name one.

use aho_corasick::AhoCorasick;

/// Bytes of the longest key that is read.
const LONGEST_READ: usize = 256;

/// Bytes before a separator in which its key is looked for.
pub(super) const LONGEST: usize = 128;

/// Words that name a secret anywhere in a key, without its separators.
const ANYWHERE: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "encryptionkey",
    "signingkey",
    "sharedkey",
    "accountkey",
    "masterkey",
    "appkey",
    "applicationkey",
    "authkey",
    "consumerkey",
    "functionskey",
    "licensekey",
    "subscriptionkey",
    "sessid",
    "credential",
    "authorization",
    "connectionstring",
    "socialsecurity",
    "securitycode",
    "creditcard",
    "debitcard",
    "cardnumber",
    "cardno",
    "passportnumber",
    "bankaccount",
    "oauthverifier",
    "codeverifier",
];

/// Words that name a secret as whole words of a key.
const WORDS: &[&str] = &[
    "pwd",
    "pw",
    "pin",
    "otp",
    "totp",
    "ssn",
    "cvv",
    "cvv2",
    "cvc",
    "cvc2",
    "csc",
    "card",
    "iban",
    "pan",
    "ccn",
    "ccnumber",
    "jwt",
    "bearer",
    "auth",
    "cookie",
    "pass",
    "sessionid",
    "sid",
    "signature",
    "sig",
    "hmac",
];

/// Ends of words that name one: `DBPASS`.
const ENDS: &[&str] = &["pwd", "pass"];

/// Words with such an end that do not.
const NO_PASS: &[&str] = &["bypass", "compass", "encompass", "overpass", "surpass", "trespass", "underpass"];

/// Invisible characters, which do not separate words.
pub(super) const UNSEEN: &[char] = &['\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}', '\u{ad}'];

/// Last words of keys that only describe a secret.
const ABOUT: &[&str] = &[
    "algorithm",
    "alg",
    "arn",
    "at",
    "attempts",
    "brand",
    "changed",
    "count",
    "counts",
    "created",
    "date",
    "denied",
    "enabled",
    "endpoint",
    "error",
    "errors",
    "exception",
    "expiration",
    "expired",
    "expires",
    "failed",
    "failure",
    "handler",
    "in",
    "issuer",
    "last4",
    "length",
    "limit",
    "manager",
    "method",
    "mode",
    "name",
    "network",
    "policy",
    "provider",
    "rate",
    "required",
    "requirements",
    "rotation",
    "scheme",
    "scopes",
    "sent",
    "server",
    "service",
    "size",
    "source",
    "state",
    "status",
    "ttl",
    "type",
    "types",
    "updated",
    "url",
    "uri",
    "usage",
    "used",
    "valid",
    "version",
];

/// What a key says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretName {
    /// The value is a secret.
    Any,
    /// It is, unless it is a bare number.
    NotNumbers,
}

/// The names of secrets.
#[derive(Debug, Clone)]
pub(super) struct Names {
    extra: Vec<Vec<String>>,
    allowed: Vec<String>,
    /// Of which a key that names a secret has at least one among its letters and digits.
    stems: AhoCorasick,
}

impl Names {
    /// The built-in names and these, without the allowed ones.
    pub(super) fn new(extra: &[String], allowed: &[String]) -> Self {
        let extra: Vec<Vec<String>> =
            extra.iter().map(|key| words(key)).filter(|words| !words.is_empty()).collect();
        let own = ANYWHERE.iter().chain(WORDS).chain(ENDS).chain(&["session", "token"]);
        let stems = own.map(|stem| (*stem).to_owned()).chain(extra.iter().map(|words| words.concat()));
        let stems = AhoCorasick::new(stems).expect("a few hundred short words");
        Self { extra, allowed: allowed.iter().map(|key| words(key).concat()).collect(), stems }
    }

    /// What a key says about its value.
    pub(super) fn secret(&self, key: &str) -> Option<SecretName> {
        if self.has_no_stem(key) { None } else { self.by_words(key) }
    }

    /// Whether a key names no secret for sure: most keys need not be taken apart into words.
    pub(super) fn has_no_stem(&self, key: &str) -> bool {
        if key.len() > LONGEST_READ || !key.is_ascii() {
            return false;
        }
        let (mut letters, mut length) = ([0; LONGEST_READ], 0);
        for byte in key.bytes().filter(u8::is_ascii_alphanumeric) {
            letters[length] = byte.to_ascii_lowercase();
            length += 1;
        }
        !self.stems.is_match(&letters[..length])
    }

    fn by_words(&self, key: &str) -> Option<SecretName> {
        // Step Functions' own "key.$" holds a path, not a value.
        if key.len() > LONGEST_READ || key.ends_with(".$") {
            return None;
        }
        // The words of a placeholder, where a secret stood as a key, name none.
        if key.contains("[redacted") {
            return None;
        }
        let words = words(key);
        let joined = words.concat();
        if joined.is_empty() || self.allowed.contains(&joined) {
            return None;
        }
        let has = |extra: &Vec<String>| {
            joined == extra.concat() || words.windows(extra.len()).any(|window| window == &extra[..])
        };
        if self.extra.iter().any(has) {
            return Some(SecretName::Any);
        }
        if words.len() > 1 && words.last().is_some_and(|last| ABOUT.contains(&last.as_str())) {
            return None;
        }
        // Secrets Manager's name or ARN of one.
        if joined == "secretid" {
            return None;
        }
        let long = joined.replace("secretar", "").replace("secretsmanager", "");
        let pair = |first: &str, second: &str| words.windows(2).any(|w| w[0] == first && w[1] == second);
        let split = words_by(key, true);
        let has = |names: &[&str]| has_word(&words, names) || has_word(&split, names);
        let in_session = pair("session", "id") || pair("session", "key");
        if ANYWHERE.iter().any(|name| long.contains(name)) || has(WORDS) || has_end(&words) || in_session {
            return Some(SecretName::Any);
        }
        // Without separators: `accesstoken`, `taskToken`. `"max_tokens": 4096` does not name a secret.
        let ends_in_token = joined.ends_with("token") || joined.ends_with("tokens");
        (has(&["token"]) || ends_in_token).then_some(SecretName::NotNumbers)
    }
}

fn has_word(words: &[String], names: &[&str]) -> bool {
    words.iter().any(|word| {
        let singular = word.strip_suffix('s').unwrap_or(word);
        names.contains(&word.as_str()) || (singular != "pas" && names.contains(&singular))
    })
}

fn has_end(words: &[String]) -> bool {
    let ends = |word: &String| ENDS.iter().any(|end| word.ends_with(end));
    words.iter().any(|word| ends(word) && !NO_PASS.contains(&word.as_str()))
}

/// Whether it is a header that is a secret up to the end of its line.
pub(super) fn is_header(key: &str) -> bool {
    ["authorization", "cookie", "cookies"].iter().any(|header| {
        let mut letters = key.chars().rev().filter(|char| char.is_alphanumeric());
        header
            .chars()
            .rev()
            .all(|char| letters.next().is_some_and(|letter| letter.eq_ignore_ascii_case(&char)))
    })
}

/// Whether a key names a password: words after it may be the password rather than a sentence.
pub(super) fn is_password(key: &str) -> bool {
    let letters =
        key.bytes().filter(u8::is_ascii_alphabetic).map(|byte| char::from(byte.to_ascii_lowercase()));
    let letters: String = letters.collect();
    ["passw", "passphrase", "pwd"].iter().any(|name| letters.contains(name))
}

/// The words of a key, in lower case.
fn words(key: &str) -> Vec<String> {
    words_by(key, false)
}

/// The same; `PINcode` is `pi` and `Ncode`, or, with its capitals kept together, `PIN` and `code`.
fn words_by(key: &str, capitals: bool) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let chars: Vec<char> = key.chars().filter(|char| !UNSEEN.contains(char)).collect();
    for (at, char) in chars.iter().enumerate() {
        if !char.is_alphanumeric() {
            words.push(std::mem::take(&mut word));
            continue;
        }
        let before = at.checked_sub(1).map(|before| chars[before]);
        let small_after = chars.get(at + 1).is_some_and(|after| after.is_lowercase());
        // apiKey, APIKey
        let begins = before.is_some_and(|before| match capitals {
            true if char.is_lowercase() => before.is_uppercase() && word.chars().count() > 1,
            _ if !char.is_uppercase() => false,
            _ => {
                before.is_lowercase()
                    || before.is_numeric()
                    || (small_after && !capitals && before.is_uppercase())
            }
        });
        if begins {
            words.push(std::mem::take(&mut word));
        }
        word.extend(char.to_lowercase());
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// `{"Name": "DB_PASSWORD", "Value": "…"}`, as ECS and others write environments and headers.
pub(super) fn is_name(key: &str) -> bool {
    ["name", "key", "header", "parameter", "parameterkey", "field", "id", "k"]
        .iter()
        .any(|name| key.eq_ignore_ascii_case(name))
}

/// The other half of such a pair.
pub(super) fn is_value(key: &str) -> bool {
    ["value", "values", "stringvalue", "parametervalue", "v"]
        .iter()
        .any(|name| key.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_separators_do_not_matter() {
        let names = Names::new(&[], &[]);
        for key in [
            "password",
            "dbPassword",
            "DB_PASSWORD",
            "PASSWORD2",
            "passwd",
            "client_secret",
            "clientSecret",
            "secrets",
            "apiKey",
            "API-KEY",
            "x-api-key",
            "api key",
            "APIKEY",
            "aws_secret_access_key",
            "SecretAccessKey",
            "Authorization",
            "Proxy-Authorization",
            "proxy.authorization",
            "card",
            "card_number",
            "cardNumber",
            "creditCard",
            "SSN",
            "ssn",
            "customer_ssn",
            "cvv",
            "PIN",
            "iban",
            "private_key",
            "privateKeyPem",
            "credentials",
            "connectionString",
            "auth",
            "Cookie",
            "Set-Cookie",
            "jwt",
            "session_id",
            "sessionId",
            "X-Amz-Signature",
            "pass",
            "db_pass",
            "DBPASS",
            "SSNs",
            "IBANs",
            "JWTs",
            "PINcode",
            "pass\u{200b}word",
        ] {
            assert_eq!(names.secret(key), Some(SecretName::Any), "{key}");
        }
        for key in [
            "TaskToken",
            "taskToken",
            "task_token",
            "accessToken",
            "accesstoken",
            "token",
            "tokens",
            "id_token",
        ] {
            assert_eq!(names.secret(key), Some(SecretName::NotNumbers), "{key}");
        }
    }

    #[test]
    fn words_that_only_look_like_it_are_none() {
        let names = Names::new(&[], &[]);
        for key in [
            "authority",
            "author",
            "authorized",
            "discard",
            "cardinality",
            "cardboard",
            "pinned",
            "spin",
            "secretary",
            "secretsmanager",
            "token_type",
            "tokenExpires",
            "card_type",
            "password_policy",
            "secretArn",
            "passenger",
            "passed",
            "boarding",
            "key",
            "Key",
            "monkey",
            "assigned",
            "expand",
            "company",
            "token.$",
            "credentialsProvider",
            "SecretId",
            "passRate",
            "pin_code_sent",
            "bypass",
            "",
            "$",
            "状態",
        ] {
            assert_eq!(names.secret(key), None, "{key}");
        }
    }

    #[test]
    fn a_key_without_a_stem_is_one_that_its_words_say_nothing_of() {
        let own = ["date of birth".to_owned(), "loyaltyId".to_owned(), "größe".to_owned()];
        let names = Names::new(&own, &["page_token".to_owned()]);
        let mut random = fastrand::Rng::with_seed(7);
        let parts: Vec<&str> = ANYWHERE
            .iter()
            .chain(WORDS)
            .chain(ENDS)
            .chain(NO_PASS)
            .chain(ABOUT)
            .chain(&[
                "session",
                "key",
                "id",
                "token",
                "tokens",
                "secretar",
                "secretsmanager",
                "s",
                "order",
                "x",
            ])
            .chain(&["date", "birth", "loyalty", "größe", "2", "\u{200b}", "\u{212a}"])
            .copied()
            .collect();
        let mut named = 0;
        for _ in 0..100_000 {
            let mut key = String::new();
            for _ in 0..random.usize(1..4) {
                let part = parts[random.usize(..parts.len())];
                let cut = part.char_indices().map(|(at, _)| at).nth(random.usize(..12));
                let part = if random.u8(..4) == 0 { &part[..cut.unwrap_or(part.len())] } else { part };
                for char in part.chars() {
                    match random.u8(..8) {
                        0 => key.extend(char.to_uppercase()),
                        _ => key.push(char),
                    }
                }
                key.push_str(["", "", "_", "-", ".", " ", "$"][random.usize(..7)]);
            }
            let secret = names.by_words(&key);
            assert_eq!(names.secret(&key), secret, "{key}");
            named += usize::from(secret.is_some());
        }
        assert!((10_000..90_000).contains(&named), "{named}");
    }

    #[test]
    fn the_list_can_be_made_longer_and_shorter() {
        let strings = |list: &[&str]| list.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        let names = Names::new(&strings(&["date of birth", "loyaltyId"]), &strings(&["page_token", "PIN"]));
        for key in ["dateOfBirth", "DATE_OF_BIRTH", "customer.date-of-birth", "loyalty_id"] {
            assert_eq!(names.secret(key), Some(SecretName::Any), "{key}");
        }
        for key in ["pageToken", "page-token", "pin"] {
            assert_eq!(names.secret(key), None, "{key}");
        }
        assert!(names.secret("access_token").is_some());
    }
}
