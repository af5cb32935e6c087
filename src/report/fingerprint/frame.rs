//! The frame of a stack trace that distinguishes bugs.

use std::sync::LazyLock;

use regex::Regex;

use super::regex;

/// A frame, as Python, Go, Ruby and all others print it.
static FRAME: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?xm) ^\s* (?: (?<python>File\ ".*) | at\ (?:async\ )?(?<at>.*) | (?:from\ )?(?<ruby>\S+\.rb:\d+:in\ .[^']*') ) | ^(?<go>\S.*\n\t\S+\.go):\d+"#,
    )
});

/// Code that is not the application's.
static FOREIGN: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?x) site-packages | dist-packages | node_modules | /gems/ | /go/src/ | aws-lambda-go | \bnode:
        | /var/lang/ | /var/runtime/ | /opt/python/ | /usr/(?:local/)?lib/ | <frozen
        | ^<anonymous> | \(<anonymous>\) | (?:^|\() internal/ | \n\t runtime/
        | ^(?:java|javax|jdk|sun|kotlin|scala|org\.springframework|software\.amazon|com\.amazonaws
            |System|Microsoft|Amazon|runtime)\.",
    )
});

/// The innermost frame in the application's own code, without what changes whenever code moves.
pub(super) fn top_frame(stack: &str) -> Option<String> {
    static MOVES: LazyLock<Regex> = LazyLock::new(|| {
        // Lines; what Java numbers as it likes; Go's arguments.
        regex(r",\ line\ \d+|:line\ \d+|(?::\d+)+|\$\$[\w$/]*|\$\d+|\(0x[^()]*\)|\ \+0x[0-9a-f]+")
    });
    let frames = FRAME.captures_iter(stack).filter_map(|frame| {
        let (kind, place) =
            ["python", "at", "ruby", "go"].iter().find_map(|kind| Some((*kind, frame.name(kind)?)))?;
        Some((kind, place.as_str().trim_end()))
    });
    let mut own = frames.filter(|(_, place)| !FOREIGN.is_match(place)).peekable();
    // Python prints the innermost frame last, everybody else first.
    let frame = if own.peek()?.0 == "python" { own.last() } else { own.next() };
    frame.map(|(_, place)| MOVES.replace_all(place, "").into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_innermost_of_the_applications_own() {
        for (stack, frame) in [
            (
                "Traceback (most recent call last):\n  File \"/var/task/app.py\", line 3, in handler\n    charge()\n  File \"/var/task/pay.py\", line 9, in charge\n    post()\n  File \"/opt/python/lib/site-packages/requests/api.py\", line 5, in post",
                "File \"/var/task/pay.py\", in charge",
            ),
            (
                "Error: x\n    at node:internal/y:1:2\n    at new Promise (<anonymous>)\n    at async charge (/var/task/pay.js:10:5)\n    at handler (/var/task/app.js:1:1)",
                "charge (/var/task/pay.js)",
            ),
            (
                "E: x\n    at Object.<anonymous> (/var/task/pay.js:1:2)",
                "Object.<anonymous> (/var/task/pay.js)",
            ),
            (
                "E: x\n    at Module.y (internal/modules/z.js:1:2)\n    at pay (/var/task/src/internal/pay.js:1:2)",
                "pay (/var/task/src/internal/pay.js)",
            ),
            ("E: x\n    at /var/task/pay.js:1:2", "/var/task/pay.js"),
            (
                "java.lang.X: y\n\tat java.util.A.b(A.java:3)\n\tat com.example.Pay.charge(Pay.java:12)",
                "com.example.Pay.charge(Pay.java)",
            ),
            (
                "java.lang.X: y\n\tat com.example.Pay$$Lambda$14/0x0000000840064840.run(Unknown Source)",
                "com.example.Pay.run(Unknown Source)",
            ),
            ("E: x\n   at Pay.Run() in /src/Pay.cs:line 3", "Pay.Run() in /src/Pay.cs"),
            (
                "plainError: x\ngopanic\n\truntime/panic.go:884\nPay\n\tgithub.com/x/pay.go:3\nmain\n\tmain.go:7",
                "Pay\n\tgithub.com/x/pay.go",
            ),
            (
                "/var/lang/lib/ruby/gems/3.2.0/gems/json.rb:5:in `parse': no (RuntimeError)\n\tfrom /var/task/f.rb:9:in `handler'",
                "/var/task/f.rb:in `handler'",
            ),
        ] {
            assert_eq!(top_frame(stack).as_deref(), Some(frame));
        }
        assert_eq!(top_frame("nothing"), None);
        assert_eq!(top_frame("E: x\n    at node:internal/y:1:2\n    at <anonymous>"), None);
    }
}
