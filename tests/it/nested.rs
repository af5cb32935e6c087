//! Down from a failed state into what it ran, against a stand-in for Step Functions.

use misstep::analysis::answer::HopKind;
use misstep::aws::arn::ExecutionArn;
use misstep::aws::error::ErrorClass;
use misstep::history::Status;
use misstep::history::sfn::SfnReader;
use misstep::investigation::{ExecutionRequest, Finding, InvestigationError, investigate};
use misstep::memory::{self, MemoryBudget};
use misstep::report::format::Format;
use misstep::report::{Report, Subject};
use serde_json::json;

use crate::support::stub::sfn::StepFunctions;
use crate::support::stub::{Fault, session, session_with};
use crate::support::synth::steps::{Failure, Phase, child, fail, map_run, pass, task};
use crate::support::synth::{self, Machine, execution_arn, map_run_arn};

fn reader(stub: &StepFunctions) -> SfnReader {
    SfnReader::new(&session(stub.url()))
}

fn asked(arn: &str) -> ExecutionRequest {
    ExecutionRequest { execution: ExecutionArn::parse(arn).unwrap(), status: None, redrive_count: None }
}

async fn read(reader: &SfnReader, asked: &ExecutionRequest) -> Result<Finding, InvestigationError> {
    investigate(reader, asked, &MemoryBudget::new(memory::DEFAULT).report().await).await
}

async fn investigated(stub: &StepFunctions, arn: &str) -> Finding {
    read(&reader(stub), &asked(arn)).await.unwrap()
}

/// The cause that a task has whose child execution failed.
fn of_child(arn: &str, error: &str, cause: &str) -> String {
    json!({"Cause": cause, "Error": error, "ExecutionArn": arn, "Input": "{}", "Name": "x", "Status": "FAILED"})
        .to_string()
}

fn add(stub: &StepFunctions, arn: &str, machine: &Machine) {
    stub.add(arn, &machine.history(1).events);
}

/// A chain of so many executions, each the child of the one before; the last one's task fails.
fn chain(stub: &StepFunctions, length: usize) -> Vec<String> {
    let arns: Vec<String> = (0..length).map(|at| execution_arn("shop", &format!("run-{at}"))).collect();
    for (at, arn) in arns.iter().enumerate() {
        let step = match arns.get(at + 1) {
            Some(below) => child("Nest", below)
                .fails(("States.TaskFailed", of_child(below, "Declined", "card expired").as_str())),
            None => task("Charge").fails(("Declined", "card expired")),
        };
        add(stub, arn, &Machine::new(vec![pass("Prepare"), step]));
    }
    arns
}

#[tokio::test]
async fn a_nested_execution_is_followed_to_the_state_that_failed_in_it() {
    let stub = StepFunctions::start().await;
    let arns = chain(&stub, 3);
    let finding = investigated(&stub, &arns[0]).await;
    assert_eq!(finding.analysis.failed_state.unwrap().name, "Nest");
    let root = finding.root_cause.unwrap();
    assert_eq!(root.state.as_deref(), Some("Charge"));
    assert_eq!(root.error.as_deref(), Some("Declined"));
    assert_eq!(root.cause.as_deref(), Some("card expired"));
    assert_eq!(root.execution_arn.as_ref(), Some(&arns[2]));
    let way: Vec<_> = root
        .via
        .iter()
        .map(|hop| (hop.how, hop.state.as_deref().unwrap(), hop.execution_arn.as_ref(), hop.into.as_ref()))
        .collect();
    assert_eq!(
        way,
        [
            (HopKind::NestedExecution, "Nest", Some(&arns[0]), Some(&arns[1])),
            (HopKind::NestedExecution, "Nest", Some(&arns[1]), Some(&arns[2])),
        ]
    );
    assert_eq!(finding.reading.calls, 3);
    assert!(finding.unread.is_empty());
}

#[tokio::test]
async fn the_root_cause_path_is_in_the_text() {
    let stub = StepFunctions::start().await;
    let arns = chain(&stub, 3);
    let finding = investigated(&stub, &arns[0]).await;
    let subject = Subject { execution: ExecutionArn::parse(&arns[0]).ok(), ..Subject::default() };
    insta::assert_snapshot!(Format::Text.render(&Report::new(&subject, &finding), false));
}

#[tokio::test]
async fn a_child_is_found_by_what_its_task_submitted_where_the_cause_is_cut_off_or_missing() {
    let stub = StepFunctions::start().await;
    let below = execution_arn("shop", "below");
    add(&stub, &below, &Machine::new(vec![task("Charge").fails(("Declined", "no"))]));
    let whole = of_child(&below, "Declined", "no");
    let cut = Failure::from(("States.TaskFailed", &whole[..whole.len() - 40]));
    for (name, failure) in [("cut", cut), ("missing", Failure::silent())] {
        let arn = execution_arn("shop", name);
        add(&stub, &arn, &Machine::new(vec![child("Nest", &below).fails(failure)]));
        let root = investigated(&stub, &arn).await.root_cause.unwrap();
        assert_eq!(root.state.as_deref(), Some("Charge"), "{name}");
    }
}

#[tokio::test]
async fn a_child_that_may_not_be_read_keeps_the_cause_of_the_parent() {
    let stub = StepFunctions::start().await;
    let above = execution_arn("shop", "above");
    let below = execution_arn("shop", "below");
    let cause = of_child(&below, "Declined", "no");
    add(
        &stub,
        &above,
        &Machine::new(vec![child("Nest", &below).fails(("States.TaskFailed", cause.as_str()))]),
    );
    // The child is not known: its history is gone. Then it is there, but denied.
    let finding = investigated(&stub, &above).await;
    assert_eq!(finding.unread[0].arn, below);
    assert_eq!(finding.unread[0].why, "it does not exist, or no longer");
    add(&stub, &below, &Machine::new(vec![task("Charge").fails(("Declined", "no"))]));
    stub.plan("GetExecutionHistory", [None, Some(Fault::denied())]);
    let finding = investigated(&stub, &above).await;
    assert_eq!(finding.unread[0].why, "access to it was denied");
    let root = finding.root_cause.unwrap();
    assert_eq!(root.state.as_deref(), Some("Nest"));
    assert_eq!(root.cause, Some(cause));
    assert!(root.via.is_empty());
}

#[tokio::test]
async fn a_chain_is_followed_five_executions_deep_and_no_further() {
    let stub = StepFunctions::start().await;
    let arns = chain(&stub, 8);
    let finding = investigated(&stub, &arns[0]).await;
    let root = finding.root_cause.unwrap();
    assert_eq!(root.execution_arn.as_ref(), Some(&arns[5]));
    assert_eq!(root.via.len(), 5);
    assert_eq!(finding.unread[0].arn, arns[6]);
    assert_eq!(finding.unread[0].why, "it lies more than 5 executions deep");
}

#[tokio::test]
async fn executions_that_name_each_other_end_the_way_down() {
    let stub = StepFunctions::start().await;
    let (one, two) = (execution_arn("shop", "one"), execution_arn("shop", "two"));
    for (arn, below) in [(&one, &two), (&two, &one)] {
        let cause = of_child(below, "E", "c");
        add(
            &stub,
            arn,
            &Machine::new(vec![child("Nest", below).fails(("States.TaskFailed", cause.as_str()))]),
        );
    }
    let finding = investigated(&stub, &one).await;
    assert_eq!(finding.root_cause.unwrap().execution_arn, Some(two));
    assert_eq!(finding.unread[0].arn, one);
    assert_eq!(finding.reading.calls, 2);
}

#[tokio::test]
async fn a_child_that_timed_out_is_the_root_cause_without_a_state() {
    let stub = StepFunctions::start().await;
    let (above, below) = (execution_arn("shop", "above"), execution_arn("shop", "below"));
    let cause = of_child(&below, "States.Timeout", "");
    add(
        &stub,
        &above,
        &Machine::new(vec![child("Nest", &below).fails(("States.TaskFailed", cause.as_str()))]),
    );
    add(&stub, &below, &Machine::new(vec![task("Poll").stops(Phase::Started)]).times_out());
    let root = investigated(&stub, &above).await.root_cause.unwrap();
    assert_eq!(root.execution_arn, Some(below));
    assert_eq!((root.state, root.error.as_deref()), (None, Some("States.Timeout")));
}

#[tokio::test]
async fn what_a_timed_out_execution_waited_for_explains_it_if_it_ended_by_itself() {
    let stub = StepFunctions::start().await;
    let (above, below) = (execution_arn("shop", "above"), execution_arn("shop", "below"));
    add(&stub, &above, &Machine::new(vec![child("Nest", &below).stops(Phase::Submitted)]).times_out());

    add(&stub, &below, &Machine::new(vec![task("Poll").stops(Phase::Started)]).stopped(None));
    let finding = investigated(&stub, &above).await;
    assert_eq!(finding.root_cause, None);
    assert_eq!(finding.analysis.in_flight[0].name, "Nest");
    assert_eq!(finding.analysis.notes, [format!("In flight in {below} at its end: Poll.")]);

    add(&stub, &below, &Machine::new(vec![task("Charge").fails(("Declined", "no"))]));
    let root = investigated(&stub, &above).await.root_cause.unwrap();
    assert_eq!((root.state.as_deref(), root.error.as_deref()), (Some("Charge"), Some("Declined")));
    assert_eq!(root.via[0].state.as_deref(), Some("Nest"));
}

#[tokio::test]
async fn a_failed_map_run_is_followed_into_three_of_its_failed_children() {
    let stub = StepFunctions::start().await;
    let arn = execution_arn("shop", "map");
    let failure =
        ("States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded");
    add(&stub, &arn, &Machine::new(vec![map_run("Orders").fails(failure)]));
    let children: Vec<String> =
        (0..7).map(|at| execution_arn("shop/Orders", &format!("child-{at}"))).collect();
    for (at, child) in children.iter().enumerate() {
        let machine = match at {
            0..3 => Machine::new(vec![task("Charge")]),
            5 => Machine::new(vec![task("Pack").fails(("OutOfStock", "none left"))]),
            _ => Machine::new(vec![task("Charge").fails(("Declined", "card expired"))]),
        };
        add(&stub, child, &machine);
    }
    let children: Vec<&str> = children.iter().map(String::as_str).collect();
    stub.add_map_run(&map_run_arn("shop", "Orders"), &arn, &children);
    let finding = investigated(&stub, &arn).await;
    assert_eq!(finding.analysis.failed_state.unwrap().name, "Orders");
    let root = finding.root_cause.unwrap();
    assert_eq!(root.state.as_deref(), Some("Charge"));
    assert_eq!(root.error.as_deref(), Some("Declined"));
    assert!(children[3..].contains(&root.execution_arn.as_deref().unwrap()));
    assert_eq!(root.via.len(), 1);
    assert_eq!(root.via[0].how, HopKind::MapRun);
    assert_eq!(root.via[0].into, Some(map_run_arn("shop", "Orders")));
    // The history, the Map run, its children, and three of their histories.
    assert_eq!(finding.reading.calls, 6);
    assert_eq!(
        finding.analysis.notes,
        [
            "Of the 7 children of the Map run 4 failed; 3 were read: 2 with Declined in Charge, 1 with OutOfStock in Pack."
        ]
    );
}

#[tokio::test]
async fn express_children_of_a_map_run_are_asked_for_their_error() {
    let stub = StepFunctions::start().await;
    let arn = execution_arn("shop", "map");
    add(
        &stub,
        &arn,
        &Machine::new(vec![map_run("Orders").fails(("States.ExceedToleratedFailureThreshold", "x"))]),
    );
    let child = "arn:aws:states:eu-west-1:123456789012:express:shop/Orders:child:0a1b";
    let cause =
        "An error occurred while executing the state 'Choose' (entered at the event id #3). Invalid path.";
    stub.add_without_history(child, json!({"status": "FAILED", "error": "States.Runtime", "cause": cause}));
    stub.add_map_run(&map_run_arn("shop", "Orders"), &arn, &[child]);
    let root = investigated(&stub, &arn).await.root_cause.unwrap();
    assert_eq!(root.execution_arn.as_deref(), Some(child));
    assert_eq!(root.state.as_deref(), Some("Choose"));
    assert_eq!(root.error.as_deref(), Some("States.Runtime"));
    assert_eq!(stub.calls_of("GetExecutionHistory").len(), 1);
}

#[tokio::test]
async fn a_map_run_whose_reader_failed_has_no_children_to_ask() {
    let stub = StepFunctions::start().await;
    let arn = execution_arn("shop", "map");
    add(
        &stub,
        &arn,
        &Machine::new(vec![map_run("Orders").fails(("States.ItemReaderFailed", "no such key"))]),
    );
    let finding = investigated(&stub, &arn).await;
    assert_eq!(finding.root_cause.unwrap().state.as_deref(), Some("Orders"));
    assert_eq!(finding.reading.calls, 1);
}

#[tokio::test]
async fn a_fail_state_that_reports_a_nested_failure_leads_into_the_child() {
    let stub = StepFunctions::start().await;
    let (above, below) = (execution_arn("shop", "above"), execution_arn("shop", "below"));
    let cause = of_child(&below, "Declined", "no");
    let flow = vec![
        child("Nest", &below).catches(("States.TaskFailed", cause.as_str())),
        pass("Note"),
        fail("Report", ("OrderFailed", "see above")),
    ];
    add(&stub, &above, &Machine::new(flow));
    add(&stub, &below, &Machine::new(vec![task("Charge").fails(("Declined", "no"))]));
    let finding = investigated(&stub, &above).await;
    assert_eq!(finding.analysis.failed_state.unwrap().name, "Report");
    let root = finding.root_cause.unwrap();
    assert_eq!(root.state.as_deref(), Some("Charge"));
    let way: Vec<_> = root.via.iter().map(|hop| (hop.how, hop.state.as_deref().unwrap())).collect();
    assert_eq!(way, [(HopKind::Caught, "Report"), (HopKind::NestedExecution, "Nest")]);
}

#[tokio::test]
async fn an_end_that_has_not_happened_yet_is_an_error() {
    let stub = StepFunctions::start().await;
    let arn = execution_arn("shop", "late");
    add(&stub, &arn, &Machine::new(vec![task("Charge").fails(("Declined", "no"))]));
    let asked = ExecutionRequest { status: Some(Status::Failed), redrive_count: Some(1), ..asked(&arn) };
    let error = read(&reader(&stub), &asked).await.unwrap_err();
    assert!(matches!(error, InvestigationError::NotEnded { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!("{arn} has not ended as FAILED after redrive 1 according to its history of 6 events")
    );
}

#[tokio::test]
async fn where_describing_is_denied_everything_is_read_and_where_it_is_throttled_a_note_says_so() {
    let stub = StepFunctions::start().await;
    let arn = execution_arn("shop", "long");
    add(&stub, &arn, &synth::long(3_000));
    let asked = ExecutionRequest { status: Some(Status::Failed), redrive_count: Some(0), ..asked(&arn) };
    stub.plan("DescribeExecution", [Some(Fault::throttled())]);
    match read(&reader(&stub), &asked).await.unwrap_err() {
        InvestigationError::Read(error) => assert_eq!(error.class(), ErrorClass::Throttled),
        other => panic!("{other}"),
    }
    stub.plan("DescribeExecution", [Some(Fault::denied())]);
    let finding = read(&reader(&stub), &asked).await.unwrap();
    assert_eq!((finding.reading.calls, finding.reading.complete), (5, true));
    let finding = read(&reader(&stub), &asked).await.unwrap();
    assert_eq!((finding.reading.calls, finding.reading.complete), (2, false));
    assert!(finding.analysis.payload.is_some());
}

#[tokio::test]
async fn every_refusal_of_step_functions_has_its_own_class() {
    let stub = StepFunctions::start().await;
    let arn = execution_arn("shop", "run");
    add(&stub, &arn, &Machine::new(vec![task("Charge").fails(("Declined", "no"))]));
    for (fault, class) in [
        (Fault::throttled(), ErrorClass::Throttled),
        (Fault::denied(), ErrorClass::Denied),
        (Fault::kms_denied(), ErrorClass::Kms),
        (Fault::expired_token(), ErrorClass::Credentials),
        (Fault::internal(), ErrorClass::Unavailable),
        (Fault::Bare(503), ErrorClass::Unreachable),
        (Fault::Bare(429), ErrorClass::Throttled),
        (Fault::Reset, ErrorClass::Unreachable),
        (Fault::Half, ErrorClass::Unreachable),
        (Fault::Garbage, ErrorClass::Unreachable),
    ] {
        let what = format!("{fault:?}");
        stub.plan("GetExecutionHistory", [Some(fault)]);
        match read(&reader(&stub), &asked(&arn)).await.unwrap_err() {
            InvestigationError::Read(error) => assert_eq!(error.class(), class, "{what}: {error:?}"),
            other => panic!("{what}: {other}"),
        }
    }
    let gone = read(&reader(&stub), &asked(&execution_arn("shop", "other"))).await.unwrap_err();
    assert!(matches!(gone, InvestigationError::Read(error) if error.class() == ErrorClass::Gone));
}

#[tokio::test]
async fn missing_credentials_have_their_own_class() {
    let stub = StepFunctions::start().await;
    let reader = SfnReader::new(&session_with(stub.url(), None));
    let error = read(&reader, &asked(&execution_arn("shop", "run"))).await.unwrap_err();
    match error {
        InvestigationError::Read(error) => assert_eq!(error.class(), ErrorClass::Credentials, "{error:?}"),
        InvestigationError::NotEnded { .. } => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_child_and_all_that_waited_for_it_are_of_one_bug() {
    let stub = StepFunctions::start().await;
    let arns = chain(&stub, 3);
    let mut bugs = Vec::new();
    for arn in &arns {
        let finding = investigated(&stub, arn).await;
        let execution = ExecutionArn::parse(arn).unwrap();
        let subject = Subject { execution: Some(execution), ..Subject::default() };
        bugs.push(Report::new(&subject, &finding).bug.unwrap());
    }
    assert!(bugs.iter().all(|bug| bug.key == bugs[2].key), "{bugs:#?}");
    let roles: Vec<&str> = bugs.iter().map(|bug| bug.role.name()).collect();
    assert_eq!(roles, ["parent", "parent", "cause"]);
    assert_eq!(bugs[0].reason, bugs[2].reason);
    assert!(bugs[0].reason.contains("shop failed at Charge with Declined"), "{}", bugs[0].reason);
}

#[tokio::test]
async fn a_child_whose_own_child_keeps_no_history_is_of_the_bug_of_its_parent() {
    let stub = StepFunctions::start().await;
    let [parent, middle] = ["run-0", "run-1"].map(|name| execution_arn("shop", name));
    let express = "arn:aws:states:eu-west-1:123456789012:express:quick:run-2:1b2c";
    stub.add_without_history(
        express,
        json!({"status": "FAILED", "error": "Declined", "cause": "card expired"}),
    );
    for (arn, below) in [(&parent, middle.as_str()), (&middle, express)] {
        let step = child("Nest", below)
            .fails(("States.TaskFailed", of_child(below, "Declined", "card expired").as_str()));
        add(&stub, arn, &Machine::new(vec![step]));
    }
    let mut keys = Vec::new();
    for arn in [&parent, &middle] {
        let finding = investigated(&stub, arn).await;
        let subject = Subject { execution: ExecutionArn::parse(arn).ok(), ..Subject::default() };
        keys.push(Report::new(&subject, &finding).bug.unwrap().key);
    }
    assert_eq!(keys[0], keys[1]);
}
