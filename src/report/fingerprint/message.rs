//! A message without the parts that differ between executions.
//!
//! Removed: payloads in brackets, quoted text, ids, numbers, dates, addresses and ARNs. Kept: the
//! words, the names from code, and error codes.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::payload::{LEFT_OUT, without_payloads};
use super::regex;

/// Characters of a message that count.
const MESSAGE: usize = 400;

/// Anything that has a digit, and what looks like a number without one; but a code is kept.
static NUMBERS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?x)
        (?<code>
            (?i: (?: ^ | [^\w\s]\s* | \b(?:with|the)\s | \b(?:error|exit|http|reason|response|result|return|status)[\s_-]?) code
               | \b(?:errno|exit|http(?:/[\d.]+)?|http\serror|signal|sqlcode|status|winerror) )
            [\s:=(]{1,3} -?\d{1,5} (?: [^\w.:/-] | [.:/-](?:\D|$) | $ )
          | \b (?i: aadsts|dpi|dpy|err|error|ora|pls|sql|tns ) [-_\ ]? \d{3,6} \b
          | \b E\d{3,5} \b
        )
        | \b [[:xdigit:]]{8} (?:-[[:xdigit:]]{4}){3} - [[:xdigit:]]{12} \b
        | \b (?:[[:xdigit:]]{1,4}:+){2,} [\w.+-]*
        | \b [[:xdigit:]]*\d[[:xdigit:]]* :: [[:xdigit:]:]*
        | [\w.+-]*\d[\w.+-]*
        | \b (?:[0-9a-f]{8,}|[0-9A-F]{8,}) \b",
    )
});

/// Numbers one after the other, as in a date or a list, are one.
static SERIES: LazyLock<Regex> = LazyLock::new(|| {
    const UNIT: &str = r"(?:\#|\b(?:
        Mon(?:day)?|Tue(?:sday)?|Wed(?:nesday)?|Thu(?:rsday)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?
        |Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?
        |Sep(?:t|tember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?
        |[AP]M|UTC|GMT|CES?T|[ECMP][DS]T)\b)";
    regex(&format!(r"(?x) (?:{UNIT}[\s:,/]*)* \# (?:[\s:,/]*{UNIT})*"))
});

/// `text` without what differs from one execution to the next.
pub(super) fn normal(text: &str) -> String {
    static ARN: LazyLock<Regex> = LazyLock::new(|| regex(r#"\barn:[^\s'",;)]+"#));
    static OBJECT: LazyLock<Regex> = LazyLock::new(|| regex(r"@[0-9a-f]+(?<end>[^\w.]|$)"));
    static EMAIL: LazyLock<Regex> = LazyLock::new(|| regex(r#"[^\s@'"<>]+@[^\s@'"<>]+"#));
    static VALUE: LazyLock<Regex> = LazyLock::new(|| {
        regex(r"\b(?<word>but was|but got|received|actual|for value): *[^\s;,)]+(?<end>[;,)]|\s*$)")
    });
    let text = without_payloads(text);
    let text: String = text.chars().take(4 * MESSAGE).collect();
    let text = ARN.replace_all(&text, "#");
    let text = OBJECT.replace_all(&text, "@#$end");
    let text = EMAIL.replace_all(&text, "#");
    let text = without_quoted(&plain_quotes(&text));
    let text = NUMBERS.replace_all(&text, |found: &Captures<'_>| {
        found.name("code").map_or_else(|| "#".to_owned(), |code| code.as_str().to_owned())
    });
    let text = SERIES.replace_all(&text, "#");
    let text = VALUE.replace_all(&text, "$word:$end");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(MESSAGE).collect()
}

/// The same with one kind of quotes.
fn plain_quotes(text: &str) -> String {
    let text = text.replace("\\\"", "\"").replace("\\'", "'");
    text.replace(['“', '”', '„', '«', '»'], "\"").replace(['‘', '’', '‚', '‹', '›'], "'")
}

/// The text with what is quoted left out, but for the names that code gives to things.
fn without_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        // An apostrophe stands in a word, or at its end.
        let opens = !out.ends_with(is_of_a_word);
        match quoted(rest).filter(|_| opens) {
            Some((inner, after)) => {
                let kept = names_a_part(&out, inner, after);
                out.push('\'');
                if kept {
                    out.push_str(inner)
                } else {
                    out.push(LEFT_OUT)
                }
                out.push('\'');
                rest = after;
            }
            None => {
                out.push(char);
                rest = &rest[char.len_utf8()..];
            }
        }
    }
    out
}

/// What is quoted at the start of a text, and what comes after it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let open = text.chars().next()?;
    let close = match open {
        '\'' | '"' | '`' => open,
        '<' => '>',
        _ => return None,
    };
    let inner = &text[1..];
    let mut ends = inner.match_indices(close).map(|(end, _)| end);
    let end = ends.find(|end| close != '\'' || !inner[end + 1..].starts_with(is_of_a_word))?;
    let (inner, after) = (&inner[..end], &inner[end + 1..]);
    // `a < b and c > d` quotes nothing.
    (open != '<' || !inner.contains(char::is_whitespace)).then_some((inner, after))
}

fn is_of_a_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Whether what is quoted between these is what the definition or the code calls something: that tells
/// bugs apart, and what was in the data does not.
fn names_a_part(before: &str, quoted: &str, after: &str) -> bool {
    static DEFINED: LazyLock<Regex> = LazyLock::new(|| {
        regex(r"(?i)\b(?:expression|field|function|invoke|JSONPath|path|variable)[\s:(=]+$")
    });
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r"(?ix) (?: \b (?: argument | attribute | class | column | constraint | index | key | member
                  | method | module | module\snamed | import\sname | parameter | property | reading
                  | relation | schema | setting | table | type ) | ^name ) [\s:(=]+ $",
        )
    });
    static THROWN: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?:[\w.]*(?:Error|Exception):\s*)?$"));
    static IS_NAMED: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r"^\s(?:object|column|module|property|table|is\s(?:not\sdefined|null|undefined|(?:a\s)?required))\b",
        )
    });
    static IDENTIFIER: LazyLock<Regex> = LazyLock::new(|| regex(r"^[A-Za-z_$][\w.$-]{0,63}$"));
    DEFINED.is_match(before)
        || IDENTIFIER.is_match(quoted)
            && (NAMED.is_match(before)
                || IS_NAMED.is_match(after)
                || (after.trim().is_empty() && THROWN.is_match(before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_executions_is_removed() {
        for (one, other) in [
            ("Order ORD-10482 not found", "Order ORD-7 not found"),
            ("no item 123e4567-e89b-12d3-a456-426614174000", "no item abcdefab-abcd-abcd-abcd-abcdefabcdef"),
            ("trace deadbeefcafe ended", "trace 12345678abcd ended"),
            ("bad shop.Order@1f3c here", "bad shop.Order@deadbeef here"),
            ("host 2001:db8::1 is down", "host fe80::ab:cd is down"),
            ("at 2026-03-01T12:00:00Z it broke", "at 2025-12-31T23:59:59.123+00:00 it broke"),
            ("no time: 2016-12-05 21:29:29Z", "no time: 2016-12-05T21:29:29"),
            ("expired at Mon, 02 Mar 2026 12:00:00 GMT.", "expired at Tue, 14 Apr 2026 09:10:11 GMT."),
            ("expired Mon Mar  2 12:00:00 2026", "expired Sunday April 14 12:00:00 2026"),
            ("at Mon Mar 02 12:00:00 UTC 2026 it failed", "at Fri May 22 12:00:00 CEST 2026 it failed"),
            ("at 3/2/2026 1:00:00 PM it failed", "at 3/2/2026 11:00:00 AM it failed"),
            ("on 2 March 2026 it failed", "on 3 April 2026 it failed"),
            ("took 1,234,567 ms", "took 999 ms"),
            ("over http 10.0.0.1 it failed", "over http 192.168.7.1 it failed"),
            ("status: 2026-03-01 it failed", "status: 2025-12-31T23:59:59Z it failed"),
            ("value -5 is bad", "value 1e-5 is bad"),
            ("$5.00 is too much", "$1,234.50 is too much"),
            ("number ٣ is bad", "number ٤ is bad"),
            ("cannot read arn:aws:s3:::a/b", "cannot read arn:aws:s3:::c"),
            ("must be an array but was: true", "must be an array but was: {\"a\":1}"),
            ("must be an array but was: \"a b\"", "must be an array but was: 7"),
            ("mail to a@example.com bounced", "mail to other+x@example.org bounced"),
            ("syntax error near 'where n='bob''", "syntax error near 'where n='al ice''"),
        ] {
            assert_eq!(normal(one), normal(other));
        }
    }

    #[test]
    fn a_name_from_the_data_is_removed_however_it_is_quoted() {
        let plain = normal("user 'jonas berg' is unknown");
        for quoted in [
            "'amira'",
            "\"amira\"",
            "`amira`",
            "“amira”",
            "„amira“",
            "«amira»",
            "‘amira’",
            "<amira>",
            "\\\"amira\\\"",
            "'O'Brien'",
            "''",
        ] {
            assert_eq!(normal(&format!("user {quoted} is unknown")), plain);
        }
        for (one, other) in [
            ("user ('amira') is unknown", "user ('jonas') is unknown"),
            ("user x-'amira' is unknown", "user x-'jonas' is unknown"),
            ("object 'incoming/amira.csv' is gone", "object 'incoming/jonas.csv' is gone"),
            ("Error: 'amira' is unknown", "Error: 'jonas' is unknown"),
            (
                "Duplicate entry 'amira' for key 'users.email'",
                "Duplicate entry 'jonas' for key 'users.email'",
            ),
            ("the customer's name 'amira' is taken", "the customer's name 'jonas' is taken"),
        ] {
            assert_eq!(normal(one), normal(other));
        }
    }

    #[test]
    fn what_distinguishes_bugs_stays() {
        for (one, other) in [
            ("the field 'Output/total' is missing", "the field 'Arguments' is missing"),
            ("The JSONata expression '$a' failed", "The JSONata expression '$b' failed"),
            ("order not found", "order not paid"),
            ("don't open the 'a' door in billing", "don't open the 'a' door in stock"),
            ("can't pay 'cause billing won't go", "can't pay 'cause stock won't go"),
            ("a < b in billing > c", "a < b in stock > c"),
            ("received: amount is missing", "received: order is missing"),
            ("for value: x; amount missing", "for value: x; order missing"),
            ("支払いが失敗しました", "在庫が不足しています"),
        ] {
            assert_ne!(normal(one), normal(other));
        }
    }

    #[test]
    fn the_names_that_code_gives_to_things_stay() {
        for (one, other) in [
            ("'order_id'", "'amount'"),
            ("KeyError: 'order_id'", "KeyError: 'amount'"),
            ("'NoneType' object is not subscriptable", "'int' object is not subscriptable"),
            ("'X' object has no attribute 'foo'", "'X' object has no attribute 'bar'"),
            (
                "Cannot read properties of undefined (reading 'id')",
                "Cannot read properties of undefined (reading 'total')",
            ),
            ("No module named 'requests'", "No module named 'psycopg'"),
            ("cannot import name 'a' from 'b'", "cannot import name 'c' from 'b'"),
            ("name 'foo' is not defined", "name 'bar' is not defined"),
            ("'total' is a required property", "'count' is a required property"),
            (
                "Cannot invoke \"shop.Order.id()\" because \"order\" is null",
                "Cannot invoke \"shop.Order.id()\" because \"item\" is null",
            ),
            ("Cannot invoke \"shop.Order.id()\" because", "Cannot invoke \"shop.Order.total()\" because"),
            ("Table 'shop.orders' doesn't exist", "Table 'shop.users' doesn't exist"),
            ("relation \"a\" does not exist", "relation \"b\" does not exist"),
            ("Unknown column 'a' in 'field list'", "Unknown column 'b' in 'field list'"),
        ] {
            assert_ne!(normal(one), normal(other));
        }
    }

    #[test]
    fn codes_stay() {
        for (one, other) in [
            ("HTTP 404 from api", "HTTP 500 from api"),
            ("HTTP/1.1 404 from api", "HTTP/1.1 500 from api"),
            ("Status Code: 400; x", "Status Code: 503; x"),
            ("failed with statusCode=400", "failed with statusCode=503"),
            ("Task exited with code 137", "Task exited with code 1"),
            ("exit status 2", "exit status 3"),
            ("answered HTTP 404.", "answered HTTP 500."),
            ("rpc error: code = 14 desc = x", "rpc error: code = 4 desc = x"),
            ("[Errno 13] failed", "[Errno 28] failed"),
            ("ORA-00942 at db", "ORA-01017 at db"),
            ("E1001 failure", "E2002 failure"),
        ] {
            assert_ne!(normal(one), normal(other));
        }
        assert_eq!(normal("no zip code 10115 in town"), normal("no zip code 80331 in town"));
    }
}
