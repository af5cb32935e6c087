//! What is no JSON: a sentence of a service, of Step Functions itself, or of somebody's own code.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::field::meaningful;
use super::partial::end_of_value;
use super::service::without_ornament;
use super::{CauseContext, CauseKind, ParsedCause, lambda, markup, partial, service, stack};

/// Characters of a quoted text that are shown. What is quoted is data; the reason stands behind it.
const QUOTED: usize = 60;

/// A quoted text longer than this is shortened.
const LONG: usize = 100;

/// Reads a sentence.
pub(super) fn understand(reading: CauseContext<'_>, text: &str) -> ParsedCause {
    if let Some(payload) = lambda::untyped_payload(text) {
        let plain = partial::string_so_far(payload);
        let inner = reading.inner(reading.error, plain.as_deref().unwrap_or(payload));
        return ParsedCause { kind: CauseKind::Lambda, ..inner };
    }
    let text = lambda::without_labels(text);
    if let Some(parsed) = service::understand(reading, text) {
        return ParsedCause { message: parsed.message.map(|message| reason_first(&message)), ..parsed };
    }
    if let Some((message, error_type)) = markup::understand(text) {
        return ParsedCause::says(CauseKind::Text, message, error_type);
    }
    let (message, error_type, stack) = match stack::in_text(text) {
        Some((message, error_type, stack)) => (message, error_type, Some(stack)),
        None => (text.to_owned(), None, None),
    };
    let message = without_ornament(&message);
    let message = meaningful(&message).map(reason_first);
    ParsedCause { kind: CauseKind::Text, message, error_type, stack }
}

/// A message that says why before it says of what. Step Functions quotes all parameters of a task
/// before the reason why they cannot be used.
fn reason_first(message: &str) -> String {
    static CANNOT_BE_USED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?s)^(?<what>The \w[\w ]*?) (?:'[^']*' )?(?<verb>could not be used[\w ]*): \[?(?<why>.*?)\]?$",
        )
        .expect("a constant, met by the tests")
    });
    let message = without_long_quotes(message);
    match CANNOT_BE_USED.captures(&message) {
        Some(said) if !said["why"].trim().is_empty() => {
            let what = said["what"].replacen("The ", "the ", 1);
            format!("{} ({what} {})", said["why"].trim().trim_end_matches('.'), &said["verb"])
        }
        _ => message.into_owned(),
    }
}

/// The message with what is quoted in it shortened: a payload is left out, a long text cut.
fn without_long_quotes(message: &str) -> Cow<'_, str> {
    if message.len() <= LONG {
        return message.into();
    }
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(open) = rest.find('\'') {
        let (before, quoted) = rest.split_at(open + 1);
        out.push_str(before);
        rest = quoted;
        let opens =
            before.len() == 1 || before.ends_with([' ', '(', '[', ':', '=']) || before.ends_with(" '");
        let Some(length) = quoted_length(quoted).filter(|_| opens) else { continue };
        let (text, after) = quoted.split_at(length);
        if text.len() <= LONG {
            out.push_str(text);
        } else {
            let is_payload = text.starts_with(['{', '[']);
            let end = text.char_indices().nth(QUOTED).map_or(text.len(), |(end, _)| end);
            out.push_str(if is_payload { "" } else { &text[..end] });
            out.push('…');
        }
        // The closing quotation mark opens nothing.
        let closing = after.chars().next().map_or(0, char::len_utf8);
        out.push_str(&after[..closing]);
        rest = &after[closing..];
    }
    out.push_str(rest);
    out.into()
}

/// How long a quoted text is, up to its closing quotation mark: of JSON up to the one behind it, else
/// up to one that a word does not go on behind. All that is left, where it is cut off.
fn quoted_length(quoted: &str) -> Option<usize> {
    if quoted.starts_with(['{', '[']) {
        let (end, is_whole) = end_of_value(quoted.as_bytes(), 0);
        if is_whole && quoted[end..].starts_with('\'') {
            return Some(end);
        }
    }
    let closes = |at: &usize| {
        let next = quoted[at + 1..].chars().next();
        next.is_none_or(|next| next.is_whitespace() || matches!(next, '.' | ',' | ';' | ':' | ')' | ']'))
    };
    match quoted.match_indices('\'').map(|(at, _)| at).find(closes) {
        Some(end) => Some(end),
        None if quoted.starts_with(['{', '[']) => Some(quoted.len()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_comes_before_what_it_is_the_reason_of() {
        let payload = format!(r#"{{"a":"it's {}","b":[1]}}"#, "x".repeat(400));
        let start = format!(
            "The Parameters '{payload}' could not be used to start the Task: [The field \"Q\" is not supported]"
        );
        assert_eq!(
            reason_first(&start),
            "The field \"Q\" is not supported (the Parameters could not be used to start the Task)"
        );
        let short = "The Parameters '{\"a\":1}' could not be used to start the Task: [No]";
        assert_eq!(reason_first(short), "No (the Parameters could not be used to start the Task)");
        let input = format!(
            "The JSONPath '$.b' specified for the field 'a.$' could not be found in the input '{payload}'"
        );
        assert_eq!(
            reason_first(&input),
            "The JSONPath '$.b' specified for the field 'a.$' could not be found in the input '…'"
        );
        let cut = &input[..300];
        assert!(reason_first(cut).ends_with("in the input '…"), "{}", reason_first(cut));
    }

    #[test]
    fn a_long_expression_is_cut_and_what_follows_it_stays() {
        let expression = format!("$map($states.input.items, function($i) {{ $i.{} }})", "very".repeat(60));
        let text = format!(
            "The JSONata expression '{expression}' specified for the field 'Output/total' threw an error during evaluation. T2001: no number"
        );
        let said = reason_first(&text);
        assert!(said.len() < 220 && said.ends_with("T2001: no number"), "{said}");
        assert!(said.starts_with("The JSONata expression '$map($states.input.items,"), "{said}");
    }

    #[test]
    fn other_sentences_stay_as_they_are() {
        for text in ["it's late", "'a' is not 'b'", "don't, 'cause it's 'x", ""] {
            assert_eq!(reason_first(text), text);
            let long = format!("{text} {}", "and so on ".repeat(30));
            assert_eq!(reason_first(&long), long);
        }
    }
}
