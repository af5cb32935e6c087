use super::*;
use crate::history::{EventType, StateType};

const EVENTS: &str = r#"[
    {"id": 1, "previousEventId": 0, "type": "ExecutionStarted", "timestamp": "2026-03-01T12:00:00.137+00:00",
     "executionStartedEventDetails": {"input": "{}", "roleArn": "r"}},
    {"id": 2, "previousEventId": 0, "type": "TaskStateEntered", "timestamp": 1772366400.274,
     "stateEnteredEventDetails": {"name": "A", "input": "1"}},
    {"id": 3, "previousEventId": 2, "type": "TaskFailed", "timestamp": "2026-03-01 13:00:00.411000+01:00",
     "taskFailedEventDetails": {"error": "E", "cause": null, "resource": "invoke", "resourceType": "lambda"}}]"#;

#[test]
fn the_printed_object_and_the_list_alone_are_read_alike() {
    let list = parse(EVENTS.as_bytes()).unwrap();
    let object = parse(format!("{{\"events\": {EVENTS}}}").as_bytes()).unwrap();
    assert_eq!(list.events(), object.events());
    assert!(object.is_complete());
    assert_eq!(object.events()[1].event_type, EventType::StateEntered(StateType::Task));
    assert_eq!(object.events()[2].details.error.as_deref(), Some("E"));
    assert_eq!(object.events()[2].details.cause, None);
}

#[test]
fn times_are_read_in_each_notation() {
    let history = parse(EVENTS.as_bytes()).unwrap();
    let times: Vec<_> = history.events().iter().map(|e| e.timestamp.unwrap().to_string()).collect();
    assert_eq!(times, ["2026-03-01T12:00:00.137Z", "2026-03-01T12:00:00.274Z", "2026-03-01T12:00:00.411Z"]);
}

#[test]
fn byte_order_marks_do_not_matter() {
    let plain = parse(EVENTS.as_bytes()).unwrap();
    let utf8 = [b"\xEF\xBB\xBF", EVENTS.as_bytes()].concat();
    let utf16: Vec<u8> =
        [0xFEFF].into_iter().chain(EVENTS.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for bytes in [utf8, utf16] {
        assert_eq!(parse(&bytes).unwrap().events(), plain.events());
    }
}

#[test]
fn a_file_cut_off_anywhere_gives_the_events_before_the_cut_or_an_error() {
    let text = format!("{{\"events\": {EVENTS}}}");
    for end in 0..text.len() {
        match parse(&text.as_bytes()[..end]) {
            Ok(history) => {
                assert!(!history.is_complete(), "cut at {end}");
                assert!(history.notes()[0].contains("cut off after event"), "{:?}", history.notes());
            }
            Err(error) => assert!(error.to_string().contains("get-execution-history"), "{error}"),
        }
    }
}

#[test]
fn other_json_is_refused_with_what_was_expected() {
    for (text, found) in [
        (r#"{"a": 1, "b": 2}"#, "an object with \"a\", \"b\""),
        (r#"{"events": {"a": 1}}"#, "\"events\" that is no list"),
        (r#"{"events": []}"#, "a history without events"),
        ("[1, 2]", "a list of something else than events"),
        (r#"[{"a": 1}]"#, "a list of something else than events"),
        ("\"text\"", "a text"),
        ("42", "a number"),
        ("null", "null"),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        let advice = other::EXPECTED;
        assert_eq!(error, FileError::SomethingElse { found: found.into(), advice }, "{text}");
    }
    assert_eq!(parse(b" \n").unwrap_err(), FileError::Empty);
    assert!(matches!(parse(b"{\"a\": }").unwrap_err(), FileError::NotJson { .. }));
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_and_said() {
    let bytes = [b"[{\"id\":1,\"type\":\"X\",\"a\":\"", &[0xFFu8][..], b"\"}]"].concat();
    let history = parse(&bytes).unwrap();
    assert!(history.notes()[0].contains("not UTF-8 from byte 25"), "{:?}", history.notes());
}

#[test]
fn a_page_that_names_a_next_one_is_not_a_whole_history() {
    let text = format!("{{\"events\": {EVENTS}, \"nextToken\": \"abc\"}}");
    assert!(!parse(text.as_bytes()).unwrap().is_complete());
}

#[test]
fn half_of_a_surrogate_pair_does_not_make_the_file_unreadable() {
    let text = EVENTS.replace(r#""input": "1""#, r#""input": "\"\ud83d\"""#);
    assert_ne!(text, EVENTS);
    let history = parse(text.as_bytes()).unwrap();
    assert_eq!(history.events()[1].details.input.as_deref(), Some("\"\u{FFFD}\""));
    assert!(history.is_complete());
}

#[test]
fn the_body_of_an_answer_is_read_as_a_page() {
    let body = r#"{"events":[
        {"id":4,"previousEventId":3,"timestamp":1772366400.274,"type":"TaskFailed",
         "taskFailedEventDetails":{"cause":"a\ud83d@","error":"E","resource":"invoke","resourceType":"lambda"}},
        {"id":3,"previousEventId":2,"timestamp":1772366400.1,"type":"TaskStarted"}],"nextToken":"abc"}"#;
    let body: Vec<u8> = body.bytes().map(|byte| if byte == b'@' { 0xFF } else { byte }).collect();
    let page = page_of_answer(&body).unwrap();
    assert_eq!(page.next_token.as_deref(), Some("abc"));
    assert!(page.events.iter().map(|event| event.id).eq([4, 3]));
    assert_eq!(page.events[0].details.cause.as_deref(), Some("a\u{FFFD}\u{FFFD}"));
    assert_eq!(page.events[0].timestamp.unwrap().to_string(), "2026-03-01T12:00:00.274Z");

    let last = page_of_answer(br#"{"events":[],"nextToken":null}"#).unwrap();
    assert!(last.events.is_empty() && last.next_token.is_none());
    for other in ["", "{}", r#"{"events":null}"#, r#"{"events":[{"id":1,"type":"X"}"#, "<html>"] {
        let error = page_of_answer(other.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("the answer is not a page of a history: "), "{error}");
    }
}

#[test]
fn payloads_that_are_no_texts_are_kept_as_their_json() {
    let text =
        r#"[{"id":1,"type":"PassStateEntered","stateEnteredEventDetails":{"name":"A","input":{"b":[1]}}}]"#;
    let history = parse(text.as_bytes()).unwrap();
    assert_eq!(history.events()[0].details.input.as_deref(), Some(r#"{"b":[1]}"#));
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Seven events of a history, each as JSON on one line.
fn seven() -> Vec<String> {
    let event = |id: i64, rest: &str| {
        format!(
            r#"{{"id": {id}, "previousEventId": {}, "timestamp": "2026-03-01T12:00:00.{id}00Z", "type": {rest}}}"#,
            id - 1
        )
    };
    vec![
        event(1, r#""ExecutionStarted", "executionStartedEventDetails": {"input": "{}"}"#),
        event(2, r#""TaskStateEntered", "stateEnteredEventDetails": {"name": "Charge", "input": "{}"}"#),
        event(
            3,
            r#""TaskScheduled", "taskScheduledEventDetails": {"resourceType": "lambda", "resource": "invoke"}"#,
        ),
        event(4, r#""TaskStarted", "taskStartedEventDetails": {}"#),
        event(5, r#""TaskSubmitted", "taskSubmittedEventDetails": {"output": "{}"}"#),
        event(6, r#""TaskFailed", "taskFailedEventDetails": {"error": "E", "cause": "because"}"#),
        event(7, r#""ExecutionFailed", "executionFailedEventDetails": {"error": "E", "cause": "because"}"#),
    ]
}

fn page(events: &[String], token: Option<&str>) -> String {
    let token = token.map(|token| format!(r#", "nextToken": "{token}""#)).unwrap_or_default();
    format!(r#"{{"events": [{}]{token}}}"#, events.join(",\n"))
}

#[test]
fn pages_and_lines_are_read_as_one_history_in_any_arrangement() {
    let all = seven();
    let whole = parse(page(&all, None).as_bytes()).unwrap();
    assert!(whole.is_complete() && whole.notes().is_empty() && whole.events().len() == 7);
    let (first, second, last) =
        (page(&all[..3], Some("a")), page(&all[3..5], Some("b")), page(&all[5..], None));
    let newest_first: Vec<String> = all.iter().rev().cloned().collect();
    let backwards = [page(&newest_first[..4], Some("a")), page(&newest_first[4..], None)].concat();
    for text in [
        format!("{first}\n{second}\n{last}\n"),
        format!("{first}{second}{last}"),
        format!("{last}\n\n{first}\r\n{second}"),
        format!("[{first},{second},{last}]"),
        backwards,
        all.join("\n"),
        newest_first.join("\r\n"),
        format!("[{}]", all.join(",")),
    ] {
        for bytes in [text.clone().into_bytes(), packed(text.as_bytes())] {
            let history = parse(&bytes).unwrap();
            assert_eq!(history.events(), whole.events(), "{text}");
            assert!(history.is_complete() && history.notes().is_empty(), "{:?}", history.notes());
        }
    }
    let overlapping = parse([&*first, &*page(&all[1..], None)].concat().as_bytes()).unwrap();
    assert_eq!(overlapping.events(), whole.events());
    assert_eq!(overlapping.notes(), ["2 events repeated an id; the first of each was taken."]);
}

#[test]
fn a_missing_page_is_noted() {
    let all = seven();
    let (first, second, last) =
        (page(&all[..3], Some("a")), page(&all[3..5], Some("b")), page(&all[5..], None));
    for (text, note) in [
        (format!("{first}{last}"), "Events 4 to 5 are missing."),
        (format!("{second}{last}"), "Events 1 to 3 are missing."),
        (format!("{first}{second}"), "The file holds a part of the history: it names a next page."),
        (first, "The file holds a part of the history: it names a next page."),
    ] {
        let history = parse(text.as_bytes()).unwrap();
        assert!(!history.is_complete(), "{text}");
        assert_eq!(history.notes(), [note]);
    }
}

#[test]
fn a_broken_line_costs_only_its_own_event() {
    let mut lines = seven();
    lines[3].truncate(20);
    let history = parse(lines.join("\n").as_bytes()).unwrap();
    assert!(history.events().iter().map(|event| event.id).eq([1, 2, 3, 5, 6, 7]));
    assert!(!history.is_complete());
    let notes = history.notes().join(" ");
    assert!(notes.contains("Events 4 to 4 are missing.") && notes.contains("could not be read"), "{notes}");
}

#[test]
fn histories_of_several_executions_without_names_are_not_mixed() {
    let all = seven();
    let other = page(&all, None).replace("2026-03-01", "2026-03-02");
    let text = format!("{}{other}", page(&all, None));
    assert_eq!(parse(text.as_bytes()).unwrap_err(), FileError::Mixed);
    // The same history twice is an overlap.
    assert!(parse(page(&all, None).repeat(2).as_bytes()).is_ok());
}

const EXPRESS: &str = "arn:aws:states:eu-west-1:123456789012:express:orders:run-1:6f1e";

/// Events of an execution in a log, each as JSON on one line.
fn logged(arn: &str, events: &[(i64, &str, &str)]) -> Vec<String> {
    let event = |(id, kind, details): &(i64, &str, &str)| {
        format!(
            r#"{{"id":"{id}","type":"{kind}","details":{details},"previous_event_id":"{}","event_timestamp":"{}","execution_arn":"{arn}","redrive_count":"0"}}"#,
            id - 1,
            1_772_366_400_000 + id
        )
    };
    events.iter().map(event).collect()
}

fn failed_log(arn: &str) -> Vec<String> {
    logged(
        arn,
        &[
            (1, "ExecutionStarted", r#"{"input":"{\"a\": \"x, y\"}","roleArn":"r"}"#),
            (2, "TaskStateEntered", r#"{"input":"{}","name":"Charge"}"#),
            (3, "TaskScheduled", r#"{"resource":"invoke","resource_type":"lambda","timeoutInSeconds":"7"}"#),
            (
                4,
                "TaskFailed",
                r#"{"cause":"because","error":"E","resource":"invoke","resourceType":"lambda"}"#,
            ),
            (5, "ExecutionFailed", r#"{"cause":"because","error":"E"}"#),
        ],
    )
}

fn executions(bytes: &[u8]) -> Executions {
    FileText::of(bytes.to_vec()).and_then(|text| text.executions()).unwrap()
}

fn only(bytes: &[u8]) -> Recorded {
    let selected = executions(bytes).select(None).unwrap();
    assert_eq!(selected.reason, None);
    selected.recorded
}

#[test]
fn a_log_is_read_in_each_form_that_cloudwatch_exports() {
    use serde_json::{Value, json};
    let lines = failed_log(EXPRESS);
    let plain = only(lines.join("\n").as_bytes());
    assert_eq!(plain.execution.as_ref().map(ExecutionArn::as_str), Some(EXPRESS));
    assert!(plain.history.is_complete() && plain.history.notes().is_empty(), "{:?}", plain.history.notes());
    let events = plain.history.events();
    assert_eq!(events[0].timestamp.unwrap().to_string(), "2026-03-01T12:00:00.001Z");
    assert_eq!(events[1].details.name.as_deref(), Some("Charge"));
    assert_eq!(events[2].details.resource_type.as_deref(), Some("lambda"));
    assert_eq!(events[2].details.timeout_seconds, Some(7));
    assert_eq!(events[3].details.cause.as_deref(), Some("because"));

    let each = |make: &dyn Fn(&String) -> Value| lines.iter().map(make).collect::<Vec<_>>();
    let parsed = |line: &String| serde_json::from_str::<Value>(line).unwrap();
    let wrapped =
        each(&|line| json!({"logStreamName": "s", "timestamp": 1, "message": line, "eventId": "9"}));
    let row = |line: &String| json!([{"field": "@ptr", "value": "x"}, {"field": "@message", "value": line}]);
    let quoted = |line: &String| format!("\"{}\"", line.replace('"', "\"\""));
    let csv = |header: &str| {
        let rows: Vec<String> = lines.iter().map(|line| format!("2026-03-01,{},s", quoted(line))).collect();
        format!("{header}\r\n{}\r\n", rows.join("\r\n"))
    };
    let texts = lines.iter().map(|line| serde_json::to_string(line).unwrap()).collect::<Vec<_>>();
    let behind = |before: &str| lines.iter().map(|line| format!("{before} {line}\n")).collect::<String>();
    for (form, text) in [
        ("filter-log-events", json!({"events": wrapped, "searchedLogStreams": []}).to_string()),
        (
            "two pages of it",
            format!(
                "{}\n{}",
                json!({"events": wrapped[..2], "nextToken": "a"}),
                json!({"events": wrapped[2..]})
            ),
        ),
        ("get-query-results", json!({"results": each(&row), "status": "Complete"}).to_string()),
        (
            "Logs Insights, JSON",
            json!(each(&|line| json!({"@timestamp": "t", "@message": parsed(line)}))).to_string(),
        ),
        ("Logs Insights, JSON with texts", json!(each(&|line| json!({"@message": line}))).to_string()),
        ("Logs Insights, CSV", csv("@timestamp,@message,@logStream")),
        ("the console's CSV", csv("timestamp,message,stream")),
        ("a subscription", json!({"messageType": "DATA_MESSAGE", "logEvents": wrapped}).to_string()),
        ("an export to S3", behind("2026-03-01T12:00:00.137Z")),
        ("aws logs tail", behind("2026-03-01T12:00:00.137000+00:00 states/orders/2026-03-01-12-00/abc")),
        ("lines in brackets", behind("[2026-03-01]")),
        ("texts", texts.join("\n")),
        ("a list of texts", format!("[{}]", texts.join(","))),
        ("the output text", lines.join("\t")),
        ("a list", format!("[{}]", lines.join(","))),
        ("out of order", lines.iter().rev().cloned().collect::<Vec<_>>().join("\n")),
    ] {
        for bytes in [text.clone().into_bytes(), packed(text.as_bytes())] {
            let read = only(&bytes);
            assert_eq!(read.history.events(), events, "{form}");
            assert_eq!(read.execution, plain.execution, "{form}");
            assert!(
                read.history.is_complete() && read.history.notes().is_empty(),
                "{form}: {:?}",
                read.history.notes()
            );
        }
    }
}

#[test]
fn what_a_log_leaves_out_is_noted() {
    let lines = failed_log(EXPRESS);
    let notes = |lines: &[String]| {
        let read = only(lines.join("\n").as_bytes());
        (read.history.is_complete(), read.history.notes().join(" "))
    };
    let (complete, errors_only) = notes(&lines[3..]);
    assert!(!complete && errors_only.contains("level ERROR or FATAL"), "{errors_only}");
    let (complete, one_lost) = notes(&[&lines[..2], &lines[3..]].concat());
    assert!(!complete && one_lost.contains("does not hold every event"), "{one_lost}");
    assert!(!one_lost.contains("level"), "{one_lost}");
    let (complete, no_end) = notes(&lines[..3]);
    assert!(!complete && no_end.contains("The end of the execution is not in the log"), "{no_end}");

    let without_data = lines
        .iter()
        .map(|line| line.replace(r#""input":"{}","#, "").replace(r#""input":"{\"a\": \"x, y\"}","#, ""));
    let (complete, no_inputs) = notes(&without_data.collect::<Vec<_>>());
    assert!(complete && no_inputs.contains("includeExecutionData"), "{no_inputs}");
}

#[test]
fn lines_that_are_no_events_are_left_out_and_noted() {
    let lines =
        [vec!["START of something {".to_owned()], failed_log(EXPRESS), vec!["2026 {\"a\": 1}".to_owned()]];
    let read = only(lines.concat().iter().map(|line| format!("t {line}\n")).collect::<String>().as_bytes());
    assert_eq!(read.history.events().len(), 5);
    assert_eq!(read.history.notes(), ["2 lines of the log are not events and were left out."]);
}

/// A log of two executions that succeeded and some that failed.
fn busy_log(failed: usize) -> String {
    let arn = |name: &str| format!("arn:aws:states:eu-west-1:1:execution:orders:{name}");
    let succeeded = |name: &str| {
        logged(&arn(name), &[(1, "ExecutionStarted", r#"{"input":"{}"}"#), (2, "ExecutionSucceeded", "{}")])
    };
    let mut lines = [succeeded("good-1"), succeeded("good-2")].concat();
    for number in 0..failed {
        lines.extend(failed_log(&arn(&format!("bad-{number}"))));
    }
    lines.join("\n")
}

#[test]
fn an_execution_of_a_log_is_selected_by_its_name_or_arn() {
    let text = busy_log(2);
    for wanted in ["bad-1", "arn:aws:states:eu-west-1:1:execution:orders:bad-1"] {
        let selected = executions(text.as_bytes()).select(Some(wanted)).unwrap();
        assert_eq!(selected.recorded.execution.unwrap().name(), "bad-1");
        assert_eq!(selected.recorded.history.events().len(), 5);
    }
    let express = failed_log(EXPRESS).join("\n");
    for wanted in ["run-1", "run-1:6f1e", EXPRESS] {
        let selected = executions(express.as_bytes()).select(Some(wanted)).unwrap();
        assert_eq!(selected.recorded.execution.unwrap().as_str(), EXPRESS);
    }
    let history = page(&seven(), None);
    assert_eq!(executions(history.as_bytes()).select(Some("x")).unwrap_err(), SelectError::Unnamed);
    let error = executions(text.as_bytes()).select(Some("other")).unwrap_err().to_string();
    assert!(error.contains("named \"other\"; it holds 4 executions:"), "{error}");
}

#[test]
fn without_a_name_the_only_failure_is_selected_and_else_all_are_listed() {
    let selected = executions(busy_log(1).as_bytes()).select(None).unwrap();
    assert_eq!(selected.recorded.execution.unwrap().name(), "bad-0");
    assert_eq!(
        selected.reason.as_deref(),
        Some("of 3 executions in it, only bad-0 failed; --execution NAME selects another")
    );
    let error = executions(busy_log(2).as_bytes()).select(None).unwrap_err().to_string();
    assert_eq!(
        error,
        "it holds 4 executions:\n  bad-0  FAILED  5 events\n  bad-1  FAILED  5 events\n  good-1  SUCCEEDED  2 events\n  good-2  SUCCEEDED  2 events\nselect one with --execution NAME"
    );
    let error = executions(busy_log(30).as_bytes()).select(None).unwrap_err().to_string();
    assert_eq!(error.matches("FAILED").count(), 20);
    assert!(error.contains("\n  and 12 more\n"), "{error}");
    assert!(executions(busy_log(0).as_bytes()).select(None).unwrap_err().to_string().contains("good-1"));
}

#[test]
fn a_file_of_something_else_is_named_with_the_way_to_the_right_one() {
    for (text, found, advice) in [
        (
            r#"{"Comment":"x","StartAt":"A","States":{}}"#,
            "the definition of a state machine",
            "get-execution-history",
        ),
        (r#"{"stateMachineArn":"a","definition":"{}"}"#, "describe-state-machine", "get-execution-history"),
        (
            r#"{"executionArn":"a","status":"FAILED","input":"{}"}"#,
            "a description of an execution",
            "get-execution-history",
        ),
        (
            r#"{"executions":[{"executionArn":"a","status":"FAILED"}]}"#,
            "a list of executions",
            "get-execution-history",
        ),
        (r#"{"detail-type":"x","detail":{}}"#, "an event", "get-execution-history"),
        (
            r#"{"ResultFiles":{"FAILED":[]},"MapRunArn":"a"}"#,
            "the manifest of a Map run",
            "explain one of the executions",
        ),
        (
            r#"[{"ExecutionArn":"a","Status":"FAILED"}]"#,
            "the results of a Map run",
            "explain one of the executions",
        ),
        (r#"{"Messages":[{"Body":"x"}]}"#, "messages of a queue", "the body of one message"),
        (r#"{"queryId":"x"}"#, "Logs Insights", "get-query-results"),
        (r#"{"logStreams":[]}"#, "a list of logs", "filter-log-events"),
        (r#"{"events":[{"message":"hello"}]}"#, "a log without events", "CloudWatch"),
        ("<!doctype html><p>", "a page (HTML or XML)", "the URL"),
        ("events:\n- id: 1\n", "YAML", "--output json"),
        ("EVENTS\t1\t0\n", "text or a table", "--output json"),
        (
            "\nAn error occurred (AccessDeniedException) when calling",
            "an error message",
            "get-execution-history",
        ),
        ("PK\u{3}\u{4}\u{14}", "a ZIP archive", "unpack"),
        ("arn:aws:states:eu-west-1:1:execution:a:b\n", "an ARN", "instead of a file"),
        ("https://eu-west-1.console.aws.amazon.com/", "a URL", "instead of a file"),
        ("hello there", "expected", "get-execution-history"),
    ] {
        let error = parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(found) && error.contains(advice), "{text}: {error}");
    }
}
