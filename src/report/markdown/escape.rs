//! Foreign text made literal in Markdown, as CommonMark and GitHub read it.

/// Stands behind `@` and `#`, so that neither a mention nor a reference to an issue is read there;
/// it has no width, and no line is broken at it.
const JOINER: char = '\u{2060}';

/// Text on one line, as part of a paragraph.
pub(super) fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let special = match char {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '$' | '#' => true,
            // At the beginning of a line they would begin a list or underline a heading.
            '-' | '+' | '=' => at == 0,
            '.' | ')' => text[..at].bytes().all(|byte| byte.is_ascii_digit()) || ends_in_www(&text[..at]),
            '!' => next == Some('['),
            ':' => next == Some('/'),
            _ => false,
        };
        if special {
            out.push('\\');
        }
        out.push(char);
        if matches!(char, '@' | '#') {
            out.push(JOINER);
        }
    }
    out
}

fn ends_in_www(text: &str) -> bool {
    text.len()
        .checked_sub(3)
        .and_then(|from| text.get(from..))
        .is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

/// Text on one line as a code span.
pub(super) fn code(text: &str) -> String {
    if text.trim().is_empty() {
        return "_(empty)_".to_owned();
    }
    let fence = "`".repeat(longest_run(text) + 1);
    // Taken off again by the reader; without them a backtick at the edge would join the fence.
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Text on one line as the cell of a table. A pipe ends the cell even in a code span, and readers
/// disagree on how it is escaped there.
pub(super) fn cell(text: &str) -> String {
    if text.contains('|') { prose(text).replace("\\|", "&#124;") } else { code(text) }
}

/// Lines as a code block that nothing in them can end.
pub(super) fn fenced(text: &str, language: &str) -> String {
    let fence = "`".repeat((longest_run(text) + 1).max(3));
    format!("{fence}{language}\n{text}\n{fence}")
}

fn longest_run(text: &str) -> usize {
    text.split(|char| char != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_loses_every_meaning_that_markdown_could_see_in_it() {
        let text = "- a*b_c`d` [x](y) <b> &lt; a|b ~x~ $m$ #12 @you https://x www.x ![i](j) \\";
        insta::assert_snapshot!(prose(text));
        assert_eq!(prose("1. one"), "1\\. one");
        assert_eq!(prose("The event, 12, ended 1.5 s (late)."), "The event, 12, ended 1.5 s (late).");
    }

    #[test]
    fn a_code_span_or_block_cannot_be_left() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code(" "), "_(empty)_");
        assert_eq!(fenced("a\n````\nb", "text"), "`````text\na\n````\nb\n`````");
    }

    #[test]
    fn a_cell_ends_only_where_it_should() {
        assert_eq!(cell("a"), "`a`");
        assert_eq!(cell("a\\|b`"), "a\\\\&#124;b\\`");
    }
}
