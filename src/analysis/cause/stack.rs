//! Stack traces from JSON back into the lines that the language itself would print.
//!
//! The runtimes of Lambda take an exception apart into its message, its type and its frames, each
//! in a way of its own. The frames tell which language it was.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// How many causes below an exception are printed.
pub(super) const MAX_CHAIN: usize = 16;

/// The stack trace of an exception object, with its type and message in it, and with the
/// exceptions that caused it. `None` where there are no frames.
pub(super) fn of(exception: &Map<String, Value>) -> Option<String> {
    let links = chain(exception);
    let language = links.iter().find_map(|link| link.frames.first().map(|frame| frame.language()))?;
    Some(match language {
        Language::Python => python(&links),
        Language::Node => links.iter().map(node).collect::<Vec<_>>().join("\n"),
        Language::DotNet => dotnet(&links),
        Language::Go => links.iter().map(Link::lines).collect::<Vec<_>>().join("\n"),
        Language::Ruby => links.iter().map(ruby).collect::<Vec<_>>().join("\n"),
        Language::Java => java(&links),
    })
}

/// The trace in a text that somebody's code printed into a cause: its heading as the message, the
/// exception's type, and all of it. `None` for a text without frames. Line breaks may be written as
/// escapes, where a log or another program passed the text on.
pub(super) fn in_text(text: &str) -> Option<(String, Option<String>, String)> {
    let text = with_line_breaks(text.trim());
    let text = text.trim();
    if !text.lines().any(is_printed_frame) {
        return None;
    }
    let is_python = text.lines().any(|line| line.starts_with(TRACEBACK));
    let heading = if is_python {
        text.lines().rfind(|line| !line.starts_with([' ', '\t']) && !line.is_empty())?.to_owned()
    } else {
        let above: Vec<&str> = text.lines().take_while(|line| !is_printed_frame(line)).collect();
        above.join("\n").trim_end().to_owned()
    };
    if heading.is_empty() || is_printed_frame(&heading) {
        return None;
    }
    let (kind, message) = match heading.split_once(": ") {
        Some((kind, message)) if !kind.contains(char::is_whitespace) => {
            (Some(kind.to_owned()), message.to_owned())
        }
        _ => (None, heading),
    };
    Some((message, kind, text.to_owned()))
}

/// What Python prints above a trace.
const TRACEBACK: &str = "Traceback (most recent call last):";

/// A line that is a frame as Java, Node, .NET, Python or Ruby prints it, or that Go prints above its frames.
fn is_printed_frame(line: &str) -> bool {
    let line = line.trim_start();
    let place = line.strip_prefix("at ").is_some_and(|place| place.contains('(') || is_node_place(place));
    let is_python = line.starts_with("File \"") && line.contains(", line ");
    let is_ruby = line.strip_prefix("from ").is_some_and(|place| place.contains(".rb:"));
    let is_go = line.starts_with("goroutine ") && line.ends_with("]:");
    place || is_python || is_ruby || is_go
}

/// A text on one line whose line breaks are escapes, in lines of its own.
pub(super) fn with_line_breaks(text: &str) -> Cow<'_, str> {
    const BEFORE_A_FRAME: [&str; 4] = ["\\n\\tat ", "\\n    at ", "\\n   at ", "\\n  File "];
    if text.contains('\n') || !BEFORE_A_FRAME.iter().any(|escape| text.contains(escape)) {
        return text.into();
    }
    let lines = text.replace("\\r\\n", "\n").replace("\\n", "\n").replace("\\t", "\t");
    lines.replace("\\\"", "\"").into()
}

/// One exception: what it says and where it was thrown.
struct Link<'a> {
    kind: &'a str,
    message: &'a str,
    frames: Vec<Frame<'a>>,
}

enum Frame<'a> {
    Line(&'a str),
    /// Python's `[file, line, function, code]`, before its runtime formatted frames itself.
    Python {
        file: &'a str,
        line: String,
        function: &'a str,
        code: &'a str,
    },
    /// Go's `{"path": …, "line": …, "label": …}`.
    Go {
        path: &'a str,
        line: String,
        label: &'a str,
    },
}

enum Language {
    Python,
    Node,
    Java,
    DotNet,
    Ruby,
    Go,
}

fn chain(exception: &Map<String, Value>) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    let mut next = Some(exception);
    while let Some(object) = next.filter(|_| links.len() < MAX_CHAIN) {
        let text = |keys: &[&str]| keys.iter().find_map(|key| object.get(*key)?.as_str()).unwrap_or_default();
        links.push(Link {
            kind: text(&["errorType", "name"]),
            message: text(&["errorMessage", "message"]),
            frames: frames(object),
        });
        next = ["cause", "innerException"].iter().find_map(|key| object.get(*key)?.as_object());
    }
    links
}

fn frames(object: &Map<String, Value>) -> Vec<Frame<'_>> {
    let value = ["stackTrace", "trace", "stack", "stacktrace"].iter().find_map(|key| object.get(*key));
    match value {
        Some(Value::String(text)) => text.lines().filter(|line| !line.is_empty()).map(Frame::Line).collect(),
        Some(Value::Array(frames)) => frames.iter().filter_map(Frame::read).collect(),
        _ => Vec::new(),
    }
}

impl<'a> Frame<'a> {
    fn read(value: &'a Value) -> Option<Self> {
        match value {
            Value::String(line) => Some(Self::Line(line)),
            Value::Array(parts) => {
                let text = |at: usize| parts.get(at).and_then(Value::as_str).unwrap_or_default();
                Some(Self::Python {
                    file: text(0),
                    line: number(parts.get(1)),
                    function: text(2),
                    code: text(3),
                })
            }
            Value::Object(parts) => {
                let text = |key: &str| parts.get(key).and_then(Value::as_str).unwrap_or_default();
                let line = number(parts.get("line"));
                Some(Self::Go { path: text("path"), line, label: text("label") })
            }
            _ => None,
        }
    }

    fn language(&self) -> Language {
        let line = match self {
            Self::Python { .. } => return Language::Python,
            Self::Go { .. } => return Language::Go,
            Self::Line(line) => *line,
        };
        let start = line.trim_start();
        if start.starts_with("File \"") || start.starts_with("Traceback ") {
            return Language::Python;
        }
        if line.contains(".rb:") {
            return Language::Ruby;
        }
        if let Some(place) = start.strip_prefix("at ") {
            return if is_node_place(place) { Language::Node } else { Language::DotNet };
        }
        // Node's `trace` starts with the error itself.
        let is_heading = start.contains(": ") || start.ends_with("Error");
        if is_heading || is_node_place(start) { Language::Node } else { Language::Java }
    }
}

/// `handler (/var/task/index.js:3:9)`, `/var/task/index.js:3:9`, `async Runtime.handle (…)`.
fn is_node_place(place: &str) -> bool {
    let mut parts = place.trim_end_matches(')').rsplitn(3, ':');
    let is_number = |part: Option<&str>| {
        part.is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    is_number(parts.next()) && is_number(parts.next())
        || place.starts_with("async ")
        || ["<anonymous>", "node:", "(native)"].iter().any(|mark| place.contains(mark))
}

fn number(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "?".to_owned(),
    }
}

impl Link<'_> {
    /// `Type: message`, of what is there.
    fn heading(&self) -> String {
        match (self.kind, self.message) {
            ("", message) => message.to_owned(),
            (kind, "") => kind.to_owned(),
            (kind, message) => format!("{kind}: {message}"),
        }
    }

    /// The frames alone, one below the other.
    fn lines(&self) -> String {
        let mut lines = vec![self.heading()];
        lines.extend(self.frames.iter().map(|frame| match frame {
            Frame::Go { path, line, label } => format!("{label}\n\t{path}:{line}"),
            Frame::Python { file, line, function, code } => {
                let place = format!("  File \"{file}\", line {line}, in {function}");
                if code.is_empty() { place } else { format!("{place}\n    {code}") }
            }
            Frame::Line(line) => line.trim_end().to_owned(),
        }));
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    }
}

fn python(links: &[Link<'_>]) -> String {
    let one = |link: &Link<'_>| {
        let text = link.lines();
        let frames = text.strip_prefix(&link.heading()).unwrap_or(&text).trim_start_matches('\n');
        let header = "Traceback (most recent call last):";
        let header = if frames.starts_with(header) { String::new() } else { format!("{header}\n") };
        let heading = link.heading();
        let end = if frames.ends_with(&heading) { String::new() } else { format!("\n{heading}") };
        format!("{header}{frames}{end}")
    };
    // Python prints what came first on top.
    let join = "\n\nThe above exception was the direct cause of the following exception:\n\n";
    links.iter().rev().map(one).collect::<Vec<_>>().join(join)
}

fn node(link: &Link<'_>) -> String {
    let heading = link.heading();
    let mut lines = Vec::new();
    for frame in &link.frames {
        if let Frame::Line(line) = frame {
            let place = line.trim_start();
            let printed = !is_node_place(place) || place.starts_with("at ");
            lines.push(if printed { (*line).to_owned() } else { format!("    at {place}") });
        }
    }
    // The trace opens with the error's own words, except in runtimes that leave them out.
    let is_frame = lines.first().is_none_or(|line| line.trim_start().starts_with("at "));
    if is_frame && !heading.is_empty() {
        lines.insert(0, heading);
    }
    lines.join("\n")
}

fn java(links: &[Link<'_>]) -> String {
    let mut lines = Vec::new();
    for (depth, link) in links.iter().enumerate() {
        let caused = if depth == 0 { "" } else { "Caused by: " };
        lines.push(format!("{caused}{}", link.heading()));
        lines.extend(link.frames.iter().filter_map(|frame| match frame {
            Frame::Line(line) if line.starts_with(['\t', '.']) => Some((*line).to_owned()),
            Frame::Line(line) => Some(format!("\tat {}", line.trim())),
            _ => None,
        }));
    }
    lines.join("\n")
}

fn dotnet(links: &[Link<'_>]) -> String {
    let mut lines = Vec::new();
    for (depth, link) in links.iter().enumerate() {
        let arrow = if depth == 0 { "" } else { " ---> " };
        lines.push(format!("{arrow}{}", link.heading()));
    }
    // The innermost exception's frames come first.
    for (depth, link) in links.iter().enumerate().rev() {
        lines.extend(link.frames.iter().filter_map(|frame| match frame {
            Frame::Line(line) => Some(format!("   {}", line.trim())),
            _ => None,
        }));
        if depth > 0 {
            lines.push("   --- End of inner exception stack trace ---".to_owned());
        }
    }
    lines.join("\n")
}

fn ruby(link: &Link<'_>) -> String {
    // Lambda wraps the class: Function<RuntimeError>.
    let kind =
        link.kind.strip_prefix("Function<").and_then(|kind| kind.strip_suffix('>')).unwrap_or(link.kind);
    let mut lines = Vec::new();
    for (at, frame) in link.frames.iter().enumerate() {
        if let Frame::Line(line) = frame {
            lines.push(match at {
                0 => format!("{}: {} ({kind})", line.trim(), link.message),
                _ => format!("\tfrom {}", line.trim()),
            });
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(json: &str) -> String {
        of(serde_json::from_str::<Value>(json).unwrap().as_object().unwrap()).unwrap()
    }

    #[test]
    fn python_frames_become_a_traceback() {
        let expected = "Traceback (most recent call last):\n  File \"/var/task/handler.py\", line 2, in handler\n    raise Exception(\"no\")\nException: no";
        let formatted = r#"{"errorMessage": "no", "errorType": "Exception", "requestId": "1",
            "stackTrace": ["  File \"/var/task/handler.py\", line 2, in handler\n    raise Exception(\"no\")\n"]}"#;
        assert_eq!(stack(formatted), expected);
        let listed = r#"{"errorMessage": "no", "errorType": "Exception",
            "stackTrace": [["/var/task/handler.py", 2, "handler", "raise Exception(\"no\")"]]}"#;
        assert_eq!(stack(listed), expected);
    }

    #[test]
    fn a_traceback_that_is_one_already_stays_one() {
        let text = "Traceback (most recent call last):\\n  File \\\"a.py\\\", line 1, in f\\n    g()\\nKeyError: 'id'";
        let json = format!(r#"{{"errorMessage": "'id'", "errorType": "KeyError", "stackTrace": "{text}"}}"#);
        assert_eq!(
            stack(&json),
            "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nKeyError: 'id'"
        );
    }

    #[test]
    fn node_traces_are_joined() {
        let json = r#"{"errorType": "TypeError", "errorMessage": "x is undefined", "trace": ["TypeError: x is undefined",
            "    at Runtime.handler (/var/task/index.js:3:9)", "    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)"]}"#;
        assert_eq!(
            stack(json),
            "TypeError: x is undefined\n    at Runtime.handler (/var/task/index.js:3:9)\n    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)"
        );
        let old = r#"{"errorMessage": "no", "errorType": "Error", "stackTrace": ["exports.handler (/var/task/index.js:4:11)"]}"#;
        assert_eq!(stack(old), "Error: no\n    at exports.handler (/var/task/index.js:4:11)");
    }

    #[test]
    fn java_prints_its_causes_below() {
        let json = r#"{"errorMessage": "order 7", "errorType": "java.lang.IllegalStateException",
            "stackTrace": ["com.shop.Handler.handleRequest(Handler.java:21)", "java.base/jdk.internal.Invoke.run(Unknown Source)"],
            "cause": {"errorMessage": "refused", "errorType": "java.net.ConnectException", "stackTrace": ["java.net.Socket.connect(Socket.java:5)"]}}"#;
        assert_eq!(
            stack(json),
            "java.lang.IllegalStateException: order 7\n\tat com.shop.Handler.handleRequest(Handler.java:21)\n\tat java.base/jdk.internal.Invoke.run(Unknown Source)\nCaused by: java.net.ConnectException: refused\n\tat java.net.Socket.connect(Socket.java:5)"
        );
    }

    #[test]
    fn dotnet_prints_the_inner_frames_first() {
        let frames =
            ["[\"at Shop.A.Run() in /src/A.cs:line 9\"]", "\"   at Shop.A.Run() in /src/A.cs:line 9\""];
        for (frames, key) in frames.into_iter().zip(["cause", "innerException"]) {
            let json = format!(
                r#"{{"errorType": "Exception", "errorMessage": "outer", "stackTrace": {frames},
                "{key}": {{"errorType": "IOException", "errorMessage": "inner", "stackTrace": ["at Shop.B.Open()"]}}}}"#
            );
            assert_eq!(
                stack(&json),
                "Exception: outer\n ---> IOException: inner\n   at Shop.B.Open()\n   --- End of inner exception stack trace ---\n   at Shop.A.Run() in /src/A.cs:line 9"
            );
        }
    }

    #[test]
    fn ruby_and_go_are_printed_their_way() {
        let ruby = r#"{"errorMessage": "no", "errorType": "Function<RuntimeError>",
            "stackTrace": ["/var/task/f.rb:5:in `charge'", "/var/task/f.rb:9:in `handler'"]}"#;
        assert_eq!(
            stack(ruby),
            "/var/task/f.rb:5:in `charge': no (RuntimeError)\n\tfrom /var/task/f.rb:9:in `handler'"
        );
        let go = r#"{"errorMessage": "nil map", "errorType": "plainError",
            "stackTrace": [{"path": "shop/main.go", "line": 17, "label": "charge"}]}"#;
        assert_eq!(stack(go), "plainError: nil map\ncharge\n\tshop/main.go:17");
    }

    #[test]
    fn without_frames_there_is_no_stack() {
        for json in [r#"{"errorMessage": "no"}"#, r#"{"stackTrace": []}"#, r#"{"stackTrace": [1, null]}"#] {
            assert!(of(serde_json::from_str::<Value>(json).unwrap().as_object().unwrap()).is_none());
        }
    }

    #[test]
    fn a_trace_in_plain_text_is_found() {
        let python =
            "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nshop.Late: too late";
        assert_eq!(
            in_text(python),
            Some(("too late".to_owned(), Some("shop.Late".to_owned()), python.to_owned()))
        );
        let java = "java.io.IOException: disk full\n\tat a.B.c(B.java:1)\n";
        let (message, kind, _) = in_text(java).unwrap();
        assert_eq!((message.as_str(), kind.as_deref()), ("disk full", Some("java.io.IOException")));
        for plain in ["", "disk full", "meet me\nat noon: later", "at a.B.c(B.java:1)\nat one"] {
            assert!(in_text(plain).is_none(), "{plain}");
        }
    }
}
