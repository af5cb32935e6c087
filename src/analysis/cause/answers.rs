//! Answers of services as Step Functions writes them into a cause, and what is read out of them.
//!
//! They have the shapes of the services' API models, shortened to the fields that matter.

use super::*;

/// The integration, its answer, and what must be read out: the message and the error's type.
type Answer = (&'static str, &'static str, Option<&'static str>, Option<&'static str>);

const ANSWERS: &[Answer] = &[
    (
        "batch:submitJob",
        r#"{"Attempts":[{"Container":{"ExitCode":1,"LogStreamName":"l"},"StatusReason":"Essential container in task exited"}],"Container":{"Environment":[{"Name":"MESSAGE","Value":"no reason"}],"ExitCode":1},"JobName":"n","JobQueue":"q","Status":"FAILED","StatusReason":"Essential container in task exited"}"#,
        Some("Essential container in task exited; the container exited with code 1"),
        None,
    ),
    (
        "batch:submitJob",
        r#"{"Container":{"ExitCode":137},"JobQueue":"q","Status":"FAILED","StatusReason":"Job attempt duration exceeded timeout"}"#,
        Some("Job attempt duration exceeded timeout; the container exited with code 137 (killed)"),
        None,
    ),
    (
        "batch:submitJob",
        r#"{"EksProperties":{"PodProperties":{"Containers":[{"ExitCode":137,"Name":"main","Reason":"OOMKilled"}],"InitContainers":[{"ExitCode":0,"Name":"init"}]}},"JobQueue":"q","Status":"FAILED"}"#,
        Some("container main exited with code 137 (killed, often for lack of memory): OOMKilled"),
        None,
    ),
    (
        "batch:submitJob",
        r#"{"Container":{},"JobQueue":"q","Status":"FAILED","Timeout":{"AttemptDurationSeconds":60}}"#,
        Some("the Batch job ended as FAILED, without a reason"),
        None,
    ),
    (
        "ecs:runTask",
        r#"{"Failures":[{"Arn":"a","Reason":"RESOURCE:MEMORY"}],"Tasks":[]}"#,
        Some("RESOURCE:MEMORY"),
        None,
    ),
    (
        "ecs:runTask",
        r#"{"Containers":[{"ExitCode":0,"Name":"a"},{"ExitCode":2,"Name":"b"},{"ExitCode":3,"Name":"c","Reason":"late"}],"StopCode":"EssentialContainerExited","StoppedReason":"Essential container in task exited","TaskArn":"t"}"#,
        Some(
            "Essential container in task exited; container c exited with code 3: late; container b exited with code 2",
        ),
        Some("EssentialContainerExited"),
    ),
    (
        "glue:startJobRun",
        r#"{"Arguments":{"--message":"hello"},"JobName":"n","JobRunState":"TIMEOUT","Timeout":5}"#,
        Some("the Glue job run timed out after its limit of 5 min (TIMEOUT)"),
        None,
    ),
    (
        "glue:startJobRun",
        r#"{"JobName":"n","JobRunState":"STOPPED"}"#,
        Some("the Glue job run was stopped (STOPPED)"),
        None,
    ),
    (
        "databrew:startJobRun",
        r#"{"DatasetName":"d","ErrorMessage":"no such bucket","State":"FAILED"}"#,
        Some("no such bucket"),
        None,
    ),
    (
        "elasticmapreduce:addStep",
        r#"{"Step":{"ActionOnFailure":"CONTINUE","Config":{"Args":["message"]},"Name":"n","Status":{"FailureDetails":{"LogFile":"s3://b/l","Message":"Exception in thread \"main\" java.lang.IllegalStateException: no table","Reason":"Unknown Error."},"State":"FAILED","StateChangeReason":{}}}}"#,
        Some("Exception in thread \"main\" java.lang.IllegalStateException: no table"),
        None,
    ),
    (
        "elasticmapreduce:createCluster",
        r#"{"Cluster":{"Name":"n","Status":{"State":"TERMINATED_WITH_ERRORS","StateChangeReason":{"Code":"BOOTSTRAP_FAILURE","Message":"bootstrap action 1 returned a non-zero return code"}},"TerminationProtected":false}}"#,
        Some("bootstrap action 1 returned a non-zero return code"),
        Some("BOOTSTRAP_FAILURE"),
    ),
    (
        "emr-containers:startJobRun",
        r#"{"JobRun":{"FailureReason":"USER_ERROR","Name":"n","State":"FAILED","StateDetails":"JobRun failed. Main Spark container terminated with exit code 1."}}"#,
        Some("JobRun failed. Main Spark container terminated with exit code 1."),
        Some("USER_ERROR"),
    ),
    (
        "emr-serverless:startJobRun",
        r#"{"JobRun":{"ApplicationId":"a","Name":"n","State":"FAILED","StateDetails":"Job failed, please check complete logs in configured logging destination. ExitCode: 1."}}"#,
        Some("Job failed, please check complete logs in configured logging destination. ExitCode: 1."),
        None,
    ),
    (
        "sagemaker:createProcessingJob",
        r#"{"Environment":{"REASON":"x"},"ExitMessage":"KeyError: 'id'","FailureReason":"AlgorithmError: See job logs for more information","ProcessingJobName":"n","ProcessingJobStatus":"Failed"}"#,
        Some("AlgorithmError: See job logs for more information; KeyError: 'id'"),
        None,
    ),
    (
        "sagemaker:createTrainingJob",
        r#"{"HyperParameters":{"message":"m"},"TrainingJobName":"n","TrainingJobStatus":"Stopped"}"#,
        Some("the training job was stopped (Stopped)"),
        None,
    ),
    (
        "codebuild:startBuild",
        r#"{"Build":{"BuildStatus":"FAILED","Environment":{"Description":"d"},"Phases":[{"Contexts":[{"Message":"","StatusCode":""}],"PhaseStatus":"SUCCEEDED","PhaseType":"INSTALL"},{"Contexts":[{"Message":"Error while executing command: make. Reason: exit status 2","StatusCode":"COMMAND_EXECUTION_ERROR"}],"PhaseStatus":"FAILED","PhaseType":"BUILD"}]}}"#,
        Some("Error while executing command: make. Reason: exit status 2"),
        Some("COMMAND_EXECUTION_ERROR"),
    ),
    (
        "athena:startQueryExecution",
        r#"{"QueryExecution":{"Query":"select 1","QueryExecutionId":"q","Status":{"AthenaError":{"ErrorCategory":2,"ErrorType":1006,"ErrorMessage":"m"},"State":"FAILED","StateChangeReason":"TABLE_NOT_FOUND: line 1:15: Table 'a.b' does not exist"}}}"#,
        Some("TABLE_NOT_FOUND: line 1:15: Table 'a.b' does not exist"),
        None,
    ),
    (
        "bedrock:createModelCustomizationJob",
        r#"{"BaseModelArn":"b","FailureMessage":"Invalid training data","JobName":"n","Status":"Failed"}"#,
        Some("Invalid training data"),
        None,
    ),
    (
        "mediaconvert:createJob",
        r#"{"Job":{"BillingTagsSource":"JOB","ErrorCode":1404,"ErrorMessage":"Unable to open input file","Status":"ERROR"}}"#,
        Some("Unable to open input file"),
        Some("1404"),
    ),
    (
        "eks:runJob",
        r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"annotations":{"description":"nightly"},"name":"n"},"status":{"conditions":[{"message":"Job has reached the specified backoff limit","reason":"BackoffLimitExceeded","status":"True","type":"Failed"}],"failed":7}}"#,
        Some("Job has reached the specified backoff limit; 7 pods failed"),
        Some("BackoffLimitExceeded"),
    ),
    (
        "eks:call",
        r#"{"ResponseBody":{"apiVersion":"v1","code":404,"kind":"Status","message":"jobs.batch \"n\" not found","metadata":{},"reason":"NotFound","status":"Failure"},"StatusCode":404}"#,
        Some("jobs.batch \"n\" not found"),
        Some("NotFound"),
    ),
    (
        "eks:call",
        r#"{"ResponseBody":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"n"},"status":{"containerStatuses":[{"name":"app","state":{"terminated":{"exitCode":137,"reason":"OOMKilled"}}},{"name":"log","state":{"terminated":{"exitCode":0,"reason":"Completed"}}}],"phase":"Failed"}}}"#,
        Some("container app exited with code 137 (killed, often for lack of memory): OOMKilled"),
        None,
    ),
    (
        "eks:createNodegroup",
        r#"{"Nodegroup":{"Health":{"Issues":[{"Code":"NodeCreationFailure","Message":"Instances failed to join","ResourceIds":["i"]}]},"NodegroupName":"n","Status":"CREATE_FAILED"}}"#,
        Some("Instances failed to join"),
        Some("NodeCreationFailure"),
    ),
    (
        "aws-sdk:redshiftdata:describeStatement",
        r#"{"Duration":-1,"Error":"ERROR: relation \"orders\" does not exist","QueryString":"select","RedshiftPid":1,"Status":"FAILED"}"#,
        Some("ERROR: relation \"orders\" does not exist"),
        None,
    ),
    (
        "aws-sdk:databasemigration:describeReplicationTasks",
        r#"{"ReplicationTasks":[{"LastFailureMessage":"Last Error Fatal error","ReplicationTaskArn":"a","Status":"failed","StopReason":"Stop Reason FATAL_ERROR"}]}"#,
        Some("Last Error Fatal error"),
        None,
    ),
    (
        "aws-sdk:cloudformation:describeStacks",
        r#"{"Stacks":[{"Description":"the shop","StackStatus":"ROLLBACK_COMPLETE","StackStatusReason":"The following resource(s) failed to create: [Queue]."}]}"#,
        Some("The following resource(s) failed to create: [Queue]."),
        None,
    ),
    (
        "aws-sdk:transcribe:getTranscriptionJob",
        r#"{"TranscriptionJob":{"FailureReason":"The data in your input media file isn't valid","TranscriptionJobStatus":"FAILED"}}"#,
        Some("The data in your input media file isn't valid"),
        None,
    ),
];

fn called(integration: &str) -> Called {
    let (service, action) = integration.rsplit_once(':').unwrap();
    Called::new(service, &format!("{action}.sync")).unwrap()
}

#[test]
fn every_answer_is_read_by_its_integration_and_without_it() {
    for (integration, cause, message, error_type) in ANSWERS {
        let called = called(integration);
        for called in [Some(&called), None] {
            let parsed = understand(called, Some("States.TaskFailed"), cause);
            let found = (parsed.message.as_deref(), parsed.error_type.as_deref());
            assert_eq!(found, (*message, *error_type), "{integration}, {called:?}");
        }
    }
}

#[test]
fn no_two_readers_claim_an_answer() {
    let samples = samples::SAMPLES.iter().map(|sample| sample.cause);
    for cause in ANSWERS.iter().map(|(_, cause, ..)| *cause).chain(samples) {
        let Some(fields) = Fields::read(cause) else { continue };
        let reading = CauseContext { wrappings: 1, called: None, error: Some("States.TaskFailed") };
        let claims = readers::claims(reading, &fields);
        assert!(claims.len() <= 1, "{claims:?}: {cause}");
    }
}

#[test]
fn a_function_that_passes_an_answer_on_spells_it_in_its_own_way() {
    let ecs = r#"{"containers":[{"exitCode":1,"name":"app","reason":"late"}],"stopCode":"EssentialContainerExited","stoppedReason":"Essential container in task exited"}"#;
    let parsed = understand(None, None, ecs);
    assert_eq!(
        parsed.message.as_deref(),
        Some("Essential container in task exited; container app exited with code 1: late")
    );
    assert_eq!(parsed.error_type.as_deref(), Some("EssentialContainerExited"));
}

/// Step Functions cuts a cause at 32,768 characters: what stands before the cut is read.
#[test]
fn an_answer_that_is_cut_off_is_read_up_to_there() {
    let environment = format!("\"Environment\":[{{\"Name\":\"A\",\"Value\":\"{}\"}}]", "x".repeat(40_000));
    for (integration, before, message) in [
        (
            "batch:submitJob",
            r#"{"ArrayProperties":{"Size":10,"StatusSummary":{"FAILED":3,"SUCCEEDED":7}},"Attempts":[],"Container":{"#,
            "3 of 10 jobs of the array failed",
        ),
        (
            "batch:submitJob",
            r#"{"Attempts":[{"Container":{"ExitCode":137,"Reason":"OutOfMemoryError: Container killed due to memory usage"},"StatusReason":"Essential container in task exited"}],"Container":{"#,
            "Essential container in task exited; the container exited with code 137 (killed, often for lack of memory): OutOfMemoryError: Container killed due to memory usage",
        ),
        (
            "ecs:runTask",
            r#"{"Containers":[{"ContainerArn":"c","ExitCode":1,"Name":"app","Reason":"late"}],"Overrides":{"#,
            "container app exited with code 1: late",
        ),
    ] {
        let whole = format!("{before}{environment}");
        let cut: String = whole.chars().take(32_768).collect();
        let parsed = understand(Some(&called(integration)), Some("States.TaskFailed"), &cut);
        assert_eq!(parsed.message.as_deref(), Some(message), "{integration}");
    }
}

#[test]
fn a_message_that_is_structure_itself_is_opened() {
    for (message, expected, error_type) in [
        (
            r#"{"error":{"code":"card_declined","message":"Your card was declined."}}"#,
            "Your card was declined.",
            "card_declined",
        ),
        (
            "{'Error': {'Code': 'NoSuchKey', 'Message': 'it\\'s gone'}, 'Retry': None}",
            "it's gone",
            "NoSuchKey",
        ),
        (r#""{\"message\":\"{\\\"detail\\\":\\\"late\\\"}\"}""#, "late", "E"),
        (r#"{"a":1}"#, r#"{"a":1}"#, "E"),
        ("\"{", "\"{", "E"),
        (
            "Rate exceeded (Service: AmazonSQS; Status Code: 400; Error Code: Throttled; Request ID: 1; Proxy: null)",
            "Rate exceeded",
            "E",
        ),
        (
            "Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied; Request ID: R; S3 Extended Request ID: X=; Proxy: null), S3 Extended Request ID: X=",
            "Access Denied",
            "E",
        ),
        ("no key (Service: S3, Status Code: 404, Request ID: 1, SDK Attempt Count: 1)", "no key", "E"),
        ("Read timed out (SDK Attempt Count: 4)", "Read timed out", "E"),
    ] {
        let cause = serde_json::json!({"errorMessage": message, "errorType": "E"}).to_string();
        let parsed = understand(None, None, &cause);
        assert_eq!(parsed.kind, CauseKind::Lambda);
        assert_eq!(parsed.message.as_deref(), Some(expected), "{message}");
        let found = parsed.error_type.as_deref();
        assert!(
            found == Some(error_type) || message.contains(&format!("Error Code: {}", found.unwrap())),
            "{message}: {found:?}"
        );
    }
}

#[test]
fn an_empty_message_counts_as_missing() {
    for nothing in ["null", "None", "", "undefined"] {
        let cause = serde_json::json!({"errorMessage": nothing, "errorType": "E"}).to_string();
        assert_eq!(understand(None, None, &cause).message, None, "{nothing}");
        let sdk = format!("{nothing} (Service: S3, Status Code: 404, Request ID: 1)");
        assert_eq!(understand(None, None, &sdk).message.as_deref(), Some("S3 answered 404"), "{nothing}");
        let untyped = format!(
            "The cause could not be determined because Lambda did not return an error type. Returned payload: {nothing}"
        );
        assert_eq!(understand(None, Some("Lambda.Unknown"), &untyped).message, None, "{nothing}");
        assert_eq!(understand(None, None, nothing).message, None, "{nothing}");
    }
    let java = r#"{"errorMessage":null,"errorType":"a.Outer","stackTrace":["a.b(C.java:1)"],"cause":{"errorMessage":"no stock","errorType":"a.Inner","stackTrace":[]}}"#;
    let parsed = understand(None, None, java);
    assert_eq!(
        (parsed.message.as_deref(), parsed.error_type.as_deref()),
        (Some("no stock"), Some("a.Inner"))
    );
    let http = understand(None, Some("States.Http.StatusCode.404"), r#"{"items":[]}"#);
    assert_eq!(http.message.as_deref(), Some("the endpoint answered 404"));
}

#[test]
fn the_type_is_that_beside_the_message() {
    for (cause, error_type) in [
        (r#"{"name":"orders","message":"late"}"#, None),
        (r#"{"name":"TypeError","message":"late"}"#, Some("TypeError")),
        (r#"{"code":"E1","inner":{"message":"late"}}"#, None),
        (r##"{"__type":"com.amazonaws.dynamodb#Throttled","message":"late"}"##, Some("Throttled")),
        (r#"{"statusCode":502,"message":"late"}"#, Some("502")),
        (r#"{"type":"card_error","code":"card_declined","message":"late"}"#, Some("card_declined")),
        (r#"{"type":"card_error","message":"late"}"#, Some("card_error")),
        (r#"{"type":"order","message":"late"}"#, None),
    ] {
        let parsed = understand(None, None, cause);
        assert_eq!(
            (parsed.message.as_deref(), parsed.error_type.as_deref()),
            (Some("late"), error_type),
            "{cause}"
        );
    }
}

#[test]
fn without_a_message_the_code_is_shown_and_a_body_is_opened() {
    for (called, cause, message, error_type) in [
        (
            Some("events:putEvents"),
            r#"{"Entries":[{"ErrorCode":"InternalFailure","ErrorMessage":null}],"FailedEntryCount":1}"#,
            "InternalFailure",
            Some("InternalFailure"),
        ),
        (None, r#"{"errorCode":"E42"}"#, "E42", None),
        (None, r#"{"statusCode":500,"body":"{\"message\":\"late\",\"code\":\"E1\"}"}"#, "late", Some("E1")),
        (
            Some("ecs:runTask"),
            r#"{"Containers":[],"StopCode":"TaskFailedToStart","TaskArn":"t"}"#,
            "TaskFailedToStart",
            Some("TaskFailedToStart"),
        ),
    ] {
        let called = called.map(self::called);
        let parsed = understand(called.as_ref(), None, cause);
        assert_eq!(
            (parsed.message.as_deref(), parsed.error_type.as_deref()),
            (Some(message), error_type),
            "{cause}"
        );
    }
}

#[test]
fn attempts_that_ended_otherwise_are_not_mixed() {
    let cause = r#"{"Attempts":[{"Container":{"ExitCode":1,"Reason":"first"}}],"Container":{"ExitCode":2},"JobQueue":"q","Status":"FAILED"}"#;
    assert_eq!(understand(None, None, cause).message.as_deref(), Some("the container exited with code 2"));
}

#[test]
fn a_panic_of_go_and_a_trace_of_ruby_are_stacks() {
    for (text, message) in [
        (
            "panic: runtime error: index out of range\n\ngoroutine 1 [running]:\nmain.main()\n\t/app/main.go:10 +0x1d",
            "runtime error: index out of range",
        ),
        (
            "/app/f.rb:5:in `charge': no (RuntimeError)\n\tfrom /app/f.rb:9:in `handler'",
            "/app/f.rb:5:in `charge': no (RuntimeError)",
        ),
    ] {
        let parsed = understand(None, None, text);
        assert_eq!((parsed.message.as_deref(), parsed.stack.as_deref()), (Some(message), Some(text)));
    }
}

#[test]
fn a_stack_whose_line_breaks_are_escapes_is_read_in_lines() {
    let text = r"java.lang.IllegalStateException: no stock\n\tat com.shop.A.b(A.java:1)\nCaused by: java.sql.SQLException: refused\n\tat x.Y.z(Y.java:3)";
    let parsed = understand(None, None, text);
    assert_eq!(parsed.message.as_deref(), Some("no stock"));
    assert_eq!(parsed.stack.unwrap().lines().nth(1), Some("\tat com.shop.A.b(A.java:1)"));
}

#[test]
fn every_row_of_the_table_documents_what_it_reads() {
    let rows = table();
    assert!(rows.iter().all(|row| !row.name.is_empty() && !row.reads.is_empty()), "{rows:?}");
    let read: Vec<&str> = rows.iter().flat_map(|row| row.called.iter().copied()).collect();
    for (integration, ..) in ANSWERS {
        let called = called(integration);
        assert!(called.is_one_of(&read), "{integration}");
    }
}
