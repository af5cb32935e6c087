//! Texts that hold a secret, and sentences that only speak about one, each in every place of a report.

use fastrand::Rng;
use serde_json::{Value, json};

use super::redacted;

fn lines(file: &'static str) -> impl Iterator<Item = (usize, String)> {
    let lines = file.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with("# "));
    lines.map(|(at, line)| (at + 1, line.replace('↵', "\n")))
}

/// The text with its placeholders filled in: `{hex32}` by 32 hexadecimal digits.
fn filled(text: &str, random: &mut Rng) -> String {
    let mut parts = text.split('{');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}').and_then(|(name, rest)| Some((characters(name, random)?, rest))) {
            Some((characters, rest)) => out.extend([&characters, rest]),
            None => out.extend(["{", part]),
        }
    }
    out
}

fn characters(name: &str, random: &mut Rng) -> Option<String> {
    let length = name.trim_start_matches(|char: char| !char.is_ascii_digit());
    let (name, length) = match name.strip_prefix("b64:") {
        Some(length) => ("b64", length),
        None => (name.strip_suffix(length)?, length),
    };
    let letters = match name {
        "an" => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        "b64" => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        "up" => "ABCDEFGHJKLMNPQRSTUVWXYZ23456789",
        "hex" => "0123456789abcdef",
        "dig" => "123456789",
        _ => return None,
    };
    let letters: Vec<char> = letters.chars().collect();
    Some((0..length.parse().ok()?).map(|_| letters[random.usize(..letters.len())]).collect())
}

/// What becomes of a text as a cause, in an input that is JSON, and in one that was cut off.
fn everywhere(text: &str) -> [(String, String); 3] {
    let quoted = json!({"a": 1, "note": text, "b": [true]}).to_string();
    let cut = quoted[..quoted.len() - 2].to_owned();
    let places = [text.to_owned(), quoted, cut];
    places.map(|before| {
        let after = |text: &str| {
            let (data, _) = redacted(json!({"event_details": {}, "analysis": {"cause": text}}));
            data["analysis"]["cause"].as_str().unwrap().to_owned()
        };
        let once = after(&before);
        assert_eq!(after(&once), once, "a second time");
        assert_eq!(
            serde_json::from_str::<Value>(&before).is_ok(),
            serde_json::from_str::<Value>(&once).is_ok(),
            "{once}"
        );
        (before, once)
    })
}

#[test]
fn a_planted_secret_survives_in_no_place() {
    let mut left = Vec::new();
    let mut texts = 0;
    for (line, text) in lines(include_str!("corpus/planted.txt")) {
        let text = filled(&text, &mut Rng::with_seed(line as u64));
        let secrets: Vec<String> = text
            .split('«')
            .skip(1)
            .flat_map(|rest| rest.split('»').next().unwrap().split(['\n', ';', ' ']))
            .map(|secret| serde_json::to_string(secret).unwrap().trim_matches('"').to_owned())
            .collect();
        assert!(!secrets.is_empty(), "line {line} plants nothing");
        texts += 1;
        for (before, after) in everywhere(&text.replace(['«', '»'], "")) {
            assert!(secrets.iter().all(|secret| before.contains(secret.as_str())), "line {line}: {before}");
            // Five characters of a long secret are too many.
            let shown = |secret: &String| {
                after.contains(&secret[..secret.len().min(12)])
                    || after.contains(&secret[secret.len() - secret.len().min(6)..])
            };
            if secrets.iter().any(shown) {
                left.push(format!("line {line}: {after}"));
                break;
            }
        }
    }
    assert!(left.is_empty(), "{} of {texts} survive:\n{}", left.len(), left.join("\n"));
    assert!(texts >= 300, "{texts}");
}

#[test]
fn a_sentence_about_a_secret_stays_to_the_byte() {
    let mut changed = Vec::new();
    for (line, text) in lines(include_str!("corpus/sentences.txt")) {
        for (before, after) in everywhere(&text) {
            if before != after {
                changed.push(format!("line {line}: {after}"));
                break;
            }
        }
    }
    assert!(changed.is_empty(), "{} changed:\n{}", changed.len(), changed.join("\n"));
}
