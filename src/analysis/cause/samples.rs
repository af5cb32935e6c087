//! Causes as they come, and what is read out of them.
//!
//! Those marked *recorded* were recorded on AWS with ids and addresses replaced; the others have
//! the shapes that the runtimes and services document.

use proptest::prelude::*;

use super::*;

/// A cause with its error, and what must be read out: kind, message, type, the stack's last line.
pub(super) struct Sample {
    error: &'static str,
    pub(super) cause: &'static str,
    expected: (CauseKind, Option<&'static str>, Option<&'static str>, Option<&'static str>),
}

pub(super) const SAMPLES: &[Sample] = &[
    // Recorded: a Python function through the Lambda integration.
    Sample {
        error: "Exception",
        cause: r#"{"errorMessage": "Some exception was raised.", "errorType": "Exception", "requestId": "<uuid:1>", "stackTrace": ["  File \"/var/task/handler.py\", line 2, in handler\n    raise Exception(\"Some exception was raised.\")\n"]}"#,
        expected: (
            CauseKind::Lambda,
            Some("Some exception was raised."),
            Some("Exception"),
            Some("Exception: Some exception was raised."),
        ),
    },
    Sample {
        error: "TypeError",
        cause: r#"{"errorType":"TypeError","errorMessage":"Cannot read properties of undefined (reading 'id')","trace":["TypeError: Cannot read properties of undefined (reading 'id')","    at Runtime.handler (file:///var/task/index.mjs:4:21)"]}"#,
        expected: (
            CauseKind::Lambda,
            Some("Cannot read properties of undefined (reading 'id')"),
            Some("TypeError"),
            Some("    at Runtime.handler (file:///var/task/index.mjs:4:21)"),
        ),
    },
    Sample {
        error: "java.lang.RuntimeException",
        cause: r#"{"errorMessage":"no stock","errorType":"java.lang.RuntimeException","stackTrace":["shop.Handler.handleRequest(Handler.java:30)"],"cause":{"errorMessage":null,"errorType":"java.lang.NullPointerException","stackTrace":["shop.Stock.take(Stock.java:8)"]}}"#,
        expected: (
            CauseKind::Lambda,
            Some("no stock"),
            Some("java.lang.RuntimeException"),
            Some("\tat shop.Stock.take(Stock.java:8)"),
        ),
    },
    Sample {
        error: "InvalidOperationException",
        cause: r#"{"errorType":"InvalidOperationException","errorMessage":"no stock","stackTrace":["at Shop.Function.Handle(Order order) in /src/Function.cs:line 18","at lambda_method1(Closure, Stream)"],"cause":{"errorType":"IOException","errorMessage":"disk","stackTrace":["at Shop.Disk.Read()"]}}"#,
        expected: (
            CauseKind::Lambda,
            Some("no stock"),
            Some("InvalidOperationException"),
            Some("   at lambda_method1(Closure, Stream)"),
        ),
    },
    Sample {
        error: "Sandbox.Timedout",
        cause: r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 8d2ae1d0-0ad1-4c6b-9f1c-3f9a4f1d2b11 Error: Task timed out after 3.00 seconds"}"#,
        expected: (
            CauseKind::Lambda,
            Some("Task timed out after 3.00 seconds"),
            Some("Sandbox.Timedout"),
            None,
        ),
    },
    Sample {
        error: "Runtime.ExitError",
        cause: r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 8d2ae1d0-0ad1-4c6b-9f1c-3f9a4f1d2b11 Error: Runtime exited with error: signal: killed"}"#,
        expected: (
            CauseKind::Lambda,
            Some("Runtime exited with error: signal: killed"),
            Some("Runtime.ExitError"),
            None,
        ),
    },
    Sample {
        error: "Lambda.Unknown",
        cause: r#"The cause could not be determined because Lambda did not return an error type. Returned payload: {"errorMessage":"2026-03-01T12:00:03.123Z 8d2ae1d0-0ad1-4c6b-9f1c-3f9a4f1d2b11 Task timed out after 3.00 seconds"}"#,
        expected: (CauseKind::Lambda, Some("Task timed out after 3.00 seconds"), None, None),
    },
    // Recorded: the SDK's second version.
    Sample {
        error: "DynamoDb.ResourceNotFoundException",
        cause: "Requested resource not found (Service: DynamoDb, Status Code: 400, Request ID: <request_id>)",
        expected: (
            CauseKind::AwsSdk,
            Some("Requested resource not found"),
            Some("ResourceNotFoundException"),
            None,
        ),
    },
    // Recorded.
    Sample {
        error: "Sfn.InvalidTokenException",
        cause: "Invalid Token: 'Invalid token' (Service: Sfn, Status Code: 400, Request ID: <request_id>) (SDK Attempt Count: 1)",
        expected: (
            CauseKind::AwsSdk,
            Some("Invalid Token: 'Invalid token'"),
            Some("InvalidTokenException"),
            None,
        ),
    },
    // Recorded: the SDK's first version.
    Sample {
        error: "DynamoDB.AmazonDynamoDBException",
        cause: "1 validation error detected: Value null at 'item' failed to satisfy constraint: Member must not be null (Service: AmazonDynamoDBv2; Status Code: 400; Error Code: ValidationException; Request ID: <request_id>; Proxy: null)",
        expected: (
            CauseKind::AwsSdk,
            Some(
                "1 validation error detected: Value null at 'item' failed to satisfy constraint: Member must not be null",
            ),
            Some("ValidationException"),
            None,
        ),
    },
    Sample {
        error: "",
        cause: "(Service: S3, Status Code: 503, Request ID: 1)",
        expected: (CauseKind::AwsSdk, Some("S3 answered 503"), None, None),
    },
    // Recorded: no answer at all.
    Sample {
        error: "SQS.SdkClientException",
        cause: "Unable to execute HTTP request: no-such-queue-fa484d45: Name or service not known",
        expected: (
            CauseKind::AwsSdk,
            Some("Unable to execute HTTP request: no-such-queue-fa484d45: Name or service not known"),
            Some("SdkClientException"),
            None,
        ),
    },
    // Recorded, shortened to the fields that matter.
    Sample {
        error: "States.TaskFailed",
        cause: r#"{"Attachments": [{"Details": [{"Name": "subnetId", "Value": "subnet_value"}], "Id": "<uuid:2>", "Status": "DELETED", "Type": "eni"}], "ClusterArn": "cluster/cluster_name", "Containers": [{"ContainerArn": "<container_arn:1>", "Image": "no_such_image", "LastStatus": "STOPPED", "Name": "task_definition_container_name", "TaskArn": "<task_arn:1>"}], "DesiredStatus": "STOPPED", "StopCode": "TaskFailedToStart", "StoppedReason": "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref docker.io/library/no_such_image:latest", "TaskArn": "<task_arn:1>", "Version": 4}"#,
        expected: (
            CauseKind::Ecs,
            Some(
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref docker.io/library/no_such_image:latest",
            ),
            Some("TaskFailedToStart"),
            None,
        ),
    },
    Sample {
        error: "States.TaskFailed",
        cause: r#"{"Containers":[{"ExitCode":0,"Name":"proxy"},{"ExitCode":137,"Name":"app","Reason":"OutOfMemoryError: Container killed due to memory usage"}],"StopCode":"EssentialContainerExited","StoppedReason":"Essential container in task exited","TaskArn":"t"}"#,
        expected: (
            CauseKind::Ecs,
            Some(
                "Essential container in task exited; container app exited with code 137 (killed, often for lack of memory): OutOfMemoryError: Container killed due to memory usage",
            ),
            Some("EssentialContainerExited"),
            None,
        ),
    },
    Sample {
        error: "States.TaskFailed",
        cause: r#"{"Attempts":[{"Container":{"ExitCode":1},"StatusReason":"Essential container in task exited"}],"Container":{"ExitCode":1,"Image":"busybox"},"JobName":"nightly","Status":"FAILED","StatusReason":"Essential container in task exited"}"#,
        expected: (
            CauseKind::Json,
            Some("Essential container in task exited; the container exited with code 1"),
            None,
            None,
        ),
    },
    Sample {
        error: "States.TaskFailed",
        cause: r#"{"AllocatedCapacity":10,"ErrorMessage":"AnalysisException: Path does not exist","Id":"jr_1","JobName":"load","JobRunState":"FAILED"}"#,
        expected: (CauseKind::Json, Some("AnalysisException: Path does not exist"), None, None),
    },
    Sample {
        error: "States.TaskFailed",
        cause: r#"{"Build":{"BuildStatus":"FAILED","Phases":[{"PhaseType":"SUBMITTED","PhaseStatus":"SUCCEEDED"},{"Contexts":[{"Message":"Error while executing command: make. Reason: exit status 2","StatusCode":"COMMAND_EXECUTION_ERROR"}],"PhaseStatus":"FAILED","PhaseType":"BUILD"}]}}"#,
        expected: (
            CauseKind::Json,
            Some("Error while executing command: make. Reason: exit status 2"),
            Some("COMMAND_EXECUTION_ERROR"),
            None,
        ),
    },
    // Recorded.
    Sample {
        error: "EventBridge.FailedEntry",
        cause: r#"{"Entries": [{"EventId": "<uuid:1>"}, {"ErrorCode": "InvalidArgument", "ErrorMessage": "Parameter Source is not valid. Reason: Source is a required argument."}], "FailedEntryCount": 1}"#,
        expected: (
            CauseKind::Json,
            Some("Parameter Source is not valid. Reason: Source is a required argument."),
            Some("InvalidArgument"),
            None,
        ),
    },
    // Recorded: JSON that says nothing.
    Sample {
        error: "Programmatic Error",
        cause: r#"{"Value1": "HelloWorld"}"#,
        expected: (CauseKind::Json, None, None, None),
    },
    Sample {
        error: "",
        cause: r#"[{"code": "E7", "message": "late"}]"#,
        expected: (CauseKind::Json, Some("late"), Some("E7"), None),
    },
    // Recorded: a child without a cause.
    Sample {
        error: "States.TaskFailed",
        cause: r#"{"Error": "States.Timeout", "ExecutionArn": "arn:aws:states:us-east-1:111111111111:execution:<ArnPart_0idx>:TestStartTarget", "Input": "{\"Payload\":null}", "InputDetails": {"Included": true}, "Name": "TestStartTarget", "StartDate": "start-date", "StateMachineArn": "arn:aws:states:us-east-1:111111111111:stateMachine:<ArnPart_0idx>", "Status": "FAILED", "StopDate": "stop-date"}"#,
        expected: (
            CauseKind::NestedExecution,
            Some("execution TestStartTarget ended FAILED"),
            Some("States.Timeout"),
            None,
        ),
    },
    Sample {
        error: "States.TaskFailed",
        cause: r#"{"Cause":"An error occurred while executing the state 'Fast' (entered at the event id #4). The JSONPath '$.nope' could not be found","Error":"States.Runtime","ExecutionArn":"arn:aws:states:us-east-1:1:execution:child:run","Status":"FAILED"}"#,
        expected: (
            CauseKind::NestedExecution,
            Some(
                "An error occurred while executing the state 'Fast' (entered at the event id #4). The JSONPath '$.nope' could not be found",
            ),
            Some("States.Runtime"),
            None,
        ),
    },
    // Recorded: AWS's own sentence.
    Sample {
        error: "States.Runtime",
        cause: "An error occurred while executing the state 'MapState' (entered at the event id #2). ToleratedFailurePercentage must be between 0 and 100.",
        expected: (
            CauseKind::Text,
            Some("ToleratedFailurePercentage must be between 0 and 100."),
            None,
            None,
        ),
    },
    // A caught error that a Fail state throws on, as a JSON string with JSON in it.
    Sample {
        error: "OrderFailed",
        cause: r#""{\"Error\":\"Declined\",\"Cause\":\"{\\\"errorMessage\\\":\\\"card expired\\\",\\\"requestId\\\":\\\"1\\\"}\"}""#,
        expected: (CauseKind::Lambda, Some("card expired"), Some("Declined"), None),
    },
    Sample {
        error: "Late",
        cause: "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nshop.Late: too late\n",
        expected: (CauseKind::Text, Some("too late"), Some("shop.Late"), Some("shop.Late: too late")),
    },
    Sample {
        error: "",
        cause: "Condition is false",
        expected: (CauseKind::Text, Some("Condition is false"), None, None),
    },
    Sample { error: "", cause: " \n", expected: (CauseKind::Text, None, None, None) },
    Sample { error: "", cause: "{oops", expected: (CauseKind::Text, Some("{oops"), None, None) },
];

fn read(sample: &Sample, cause: &str) -> ParsedCause {
    understand(None, Some(sample.error).filter(|error| !error.is_empty()), cause)
}

/// A child's description as JSON, its input a large one with a tempting ARN in it.
fn child(keys: &[&str]) -> String {
    let inner = r#"{"errorMessage":"card expired","errorType":"Declined","stackTrace":["  File \"a.py\", line 1, in f\n"]}"#;
    let input = format!(
        r#"{{"ExecutionArn":"arn:aws:states:us-east-1:1:execution:wrong:one","pad":"{}"}}"#,
        "x".repeat(40_000)
    );
    let mut fields = serde_json::Map::new();
    for key in keys {
        let value = match *key {
            "Cause" => inner,
            "Error" => "Declined",
            "ExecutionArn" => "arn:aws:states:us-east-1:1:execution:child:run",
            "Input" => &input,
            "Status" => "FAILED",
            other => panic!("no value for {other}"),
        };
        fields.insert((*key).to_owned(), Value::String(value.to_owned()));
    }
    Value::Object(fields).to_string()
}

#[test]
fn every_sample_is_understood() {
    for sample in SAMPLES {
        let parsed = read(sample, sample.cause);
        let last = parsed.stack.as_deref().and_then(|stack| stack.lines().last());
        let found = (parsed.kind, parsed.message.as_deref(), parsed.error_type.as_deref(), last);
        assert_eq!(found, sample.expected, "{}", sample.cause);
    }
}

#[test]
fn the_kinds_are_serialised_in_snake_case() {
    let parsed = understand(None, None, "plain");
    let json = serde_json::to_string(&parsed).unwrap();
    assert_eq!(json, r#"{"kind":"text","message":"plain","error_type":null,"stack":null}"#);
    let kind = |kind: CauseKind| serde_json::to_string(&kind).unwrap();
    assert_eq!(kind(CauseKind::AwsSdk), r#""aws_sdk""#);
    assert_eq!(kind(CauseKind::NestedExecution), r#""nested_execution""#);
}

#[test]
fn a_child_is_found_in_a_cause_that_is_cut_off() {
    let whole = child(&["Cause", "Error", "ExecutionArn", "Input", "Status"]);
    let cut: String = whole.chars().take(32_768).collect();
    assert!(serde_json::from_str::<Value>(&cut).is_err());
    assert_eq!(child_execution(&cut).unwrap().as_str(), "arn:aws:states:us-east-1:1:execution:child:run");
    let parsed = understand(None, Some("States.TaskFailed"), &cut);
    assert_eq!(parsed.kind, CauseKind::NestedExecution);
    assert_eq!(parsed.message.as_deref(), Some("card expired"));
    assert_eq!(parsed.error_type.as_deref(), Some("Declined"));
    assert!(parsed.stack.unwrap().contains("File \"a.py\", line 1, in f"));
}

#[test]
fn an_arn_inside_the_childs_input_is_no_child() {
    let input_first = child(&["Input", "ExecutionArn", "Error", "Cause"]);
    assert_eq!(child_execution(&input_first).unwrap().name(), "run");
    // Cut off within the input, the ARN that would follow is lost: none is better than the wrong one.
    for end in [100, 200, 30_000] {
        assert_eq!(child_execution(input_first.get(..end).unwrap()), None);
    }
    let without = child(&["Cause", "Error", "Input", "Status"]);
    assert_eq!(child_execution(&without), None);
}

#[test]
fn an_arn_that_is_cut_itself_is_no_arn() {
    let whole = child(&["Error", "ExecutionArn", "Status"]);
    let end = whole.find("child:run").unwrap() + "child:run".len();
    assert_eq!(child_execution(whole.get(..end).unwrap()), None);
    assert_eq!(child_execution(whole.get(..end + 1).unwrap()).unwrap().name(), "run");
}

#[test]
fn a_grandchild_is_not_mistaken_for_the_child() {
    let grandchild = child(&["Error", "ExecutionArn", "Status"]);
    let cause = serde_json::json!({"Cause": grandchild, "Error": "States.TaskFailed"}).to_string();
    // Whole, it is a caught error thrown on, whose cause describes the child.
    assert_eq!(child_execution(&cause).unwrap().name(), "run");
    // Cut off behind the cause, the child's own ARN is missing.
    let cut = cause.get(..cause.len() - 5).unwrap();
    assert_eq!(child_execution(cut), None);
    assert_eq!(understand(None, Some("States.TaskFailed"), cut).kind, CauseKind::NestedExecution);
}

#[test]
fn a_stack_that_is_cut_off_keeps_the_frames_before() {
    let cause = r#"{"errorMessage": "no", "errorType": "E", "stackTrace": ["  File \"a.py\", line 1, in f\n", "  File \"b.py\", li"#;
    let parsed = understand(None, None, cause);
    assert_eq!(
        parsed.stack.as_deref(),
        Some("Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n  File \"b.py\", li\nE: no")
    );
}

#[test]
fn half_a_surrogate_pair_spoils_no_json() {
    for (cause, message) in [
        (r#"{"errorMessage":"bad \ud83d end","errorType":"T"}"#, "bad \u{fffd} end"),
        (r#"{"error":{"message":"deep \ud83d","code":"C"}}"#, "deep \u{fffd}"),
        (r#"[{"message":"listed \udc00"}]"#, "listed \u{fffd}"),
        (r#""{\"errorMessage\":\"quoted \\ud83d\"}""#, "quoted \u{fffd}"),
    ] {
        assert_eq!(understand(None, None, cause).message.as_deref(), Some(message), "{cause}");
    }
}

#[test]
fn hostile_causes_are_read_without_harm() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let mut quoted = r#"{"errorMessage":"deep"}"#.to_owned();
    for _ in 0..12 {
        quoted = Value::String(quoted).to_string();
    }
    let hostile = [
        "x".repeat(1 << 20),
        "\"".repeat(1 << 20),
        "{\"a\":".repeat(100_000),
        "\\".repeat(1 << 20),
        format!("\"{}", "\\\"".repeat(1 << 19)),
        "(Service: ".repeat(100_000),
        "{\"Cause\":\"".repeat(50_000),
        deep("[", "]"),
        deep("{\"a\":", "}"),
        format!(
            r#"{{"errorMessage": "m", "cause": {}1{}}}"#,
            "{\"cause\":".repeat(10_000),
            "}".repeat(10_000)
        ),
        format!(r#"{{"errorType": "e", "stackTrace": {}"#, "[".repeat(10_000)),
        format!("[{}1]", "{\"a\": [1, 2]},".repeat(70_000)),
        "at (\n".repeat(200_000),
        "\u{0}\u{1b}[2J\u{202e}{\"errorMessage\": \"\u{7}\"".to_owned(),
        quoted,
    ];
    for cause in &hostile {
        for error in [None, Some("States.TaskFailed"), Some("SQS.SdkClientException")] {
            understand(None, error, cause);
        }
        child_execution(cause);
    }
}

#[test]
fn any_prefix_of_a_sample_is_read() {
    for sample in SAMPLES {
        for end in (0..=sample.cause.len()).filter(|end| sample.cause.is_char_boundary(*end)) {
            read(sample, &sample.cause[..end]);
            child_execution(&sample.cause[..end]);
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_read(cause in any::<String>(), error in any::<Option<String>>()) {
        understand(None, error.as_deref(), &cause);
        child_execution(&cause);
    }

    #[test]
    fn any_text_of_pieces_is_read(pieces in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", "\"", "\\", ":", ",", " ", "\\\"", "\\u", "d83d", "\n", "é", "Cause", "\"Cause\":",
        "\"ExecutionArn\":", "\"errorMessage\":", "\"stackTrace\":[", "(Service: ", "Status Code: ", ")", "at a(",
        "Traceback (most recent call last):\n", "Returned payload: ", "File \"", ", line ", "1", "null",
    ]), 0..60)) {
        let cause = pieces.concat();
        understand(None, Some("States.TaskFailed"), &cause);
        child_execution(&cause);
    }

    #[test]
    fn the_message_of_any_exception_comes_back_as_it_was(message in "\\PC{1,40}") {
        let cause = serde_json::json!({"errorMessage": message, "errorType": "E"}).to_string();
        // A word for nothing, such as `{}`, is no message.
        let read = understand(None, None, &cause);
        prop_assert_eq!(read.message.as_deref(), meaningful(&message));
    }
}
