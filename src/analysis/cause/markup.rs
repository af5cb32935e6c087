//! The message in a page or an XML document, as proxies and S3 answer.

use std::sync::LazyLock;

use regex::Regex;

use super::field::meaningful;

/// How such a document begins, in lower case.
const BEGINNINGS: [&str; 6] = ["<?xml", "<!doctype", "<html", "<error", "<soap", "<fault"];

/// Characters that are looked at for that.
const BEGINNING: usize = 20;

/// Its message or its title, else all of its text; and its code. `None` for what is no document.
pub(super) fn understand(text: &str) -> Option<(Option<String>, Option<String>)> {
    static MESSAGE: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(?is)<(?:message|faultstring)\b[^>]*>(?<said>.*?)</"));
    static TITLE: LazyLock<Regex> = LazyLock::new(|| regex(r"(?is)<(?:title|h1)\b[^>]*>(?<said>.*?)</"));
    static CODE: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(?is)<(?:code|faultcode)\b[^>]*>\s*(?<said>[\w.:-]+)\s*</"));
    let start: String = text.chars().take(BEGINNING).collect();
    let start = start.to_ascii_lowercase();
    if !BEGINNINGS.iter().any(|beginning| start.starts_with(beginning)) {
        return None;
    }
    let first = |named: &Regex| named.captures_iter(text).find_map(|found| words(&found["said"]));
    let message = first(&MESSAGE).or_else(|| first(&TITLE)).or_else(|| words(text));
    Some((message, CODE.captures(text).map(|found| found["said"].to_owned())))
}

/// The text between the tags.
fn words(markup: &str) -> Option<String> {
    static TAG: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(?s)<(?:style|script)\b.*?</(?:style|script)>|<[^>]*>"));
    let text = TAG.replace_all(markup, " ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    meaningful(&text).map(str::to_owned)
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant, met by the tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, Option<String>)> {
        understand(text).map(|(message, code)| (message.unwrap_or_default(), code))
    }

    #[test]
    fn a_document_gives_its_message_or_its_title() {
        for (text, message, code) in [
            (
                "<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>",
                "502 Bad Gateway",
                None,
            ),
            ("<!DOCTYPE html><body><h1>Not <b>found</b></h1>nginx</body>", "Not found", None),
            (
                "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access &lt;denied&gt;</Message></Error>",
                "Access <denied>",
                Some("AccessDenied"),
            ),
            ("<html>gone</html>", "gone", None),
        ] {
            assert_eq!(read(text), Some((message.to_owned(), code.map(str::to_owned))), "{text}");
        }
    }

    #[test]
    fn what_is_no_document_is_left_alone() {
        for text in ["", "<none>", "a <html> b", "<b>bold</b>"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
