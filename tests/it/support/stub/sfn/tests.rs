use std::time::Duration;

use aws_sdk_sfn::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent, HistoryEventType};

use super::super::Fault;
use super::*;
use crate::support::synth::steps::{Phase, map_run, pass, task};
use crate::support::synth::{Machine, big_map, execution_arn, map_run_arn};

fn arn() -> String {
    execution_arn("shop", "run-1")
}

async fn with_history(machine: &Machine) -> (StepFunctions, Vec<Value>) {
    let stub = StepFunctions::start().await;
    let events = machine.history(1).events;
    stub.add(&arn(), &events);
    (stub, events)
}

async fn read_all(client: &aws_sdk_sfn::Client, page: i32, newest_first: bool) -> Vec<HistoryEvent> {
    let mut events = Vec::new();
    let mut token = None;
    loop {
        let call =
            client.get_execution_history().execution_arn(arn()).max_results(page).reverse_order(newest_first);
        let answer = call.set_next_token(token).send().await.unwrap();
        assert!(answer.events.len() <= page as usize);
        events.extend(answer.events);
        token = answer.next_token;
        if token.is_none() {
            return events;
        }
    }
}

#[tokio::test]
async fn a_history_is_read_page_by_page_in_both_directions() {
    let (stub, events) = with_history(&big_map(3_000)).await;
    let client = stub.client();
    for page in [7, 100, 1000] {
        let forward = read_all(&client, page, false).await;
        assert_eq!(forward.len(), events.len());
        assert!(forward.iter().zip(1..).all(|(event, id)| event.id == id));
        let backward = read_all(&client, page, true).await;
        assert!(backward.iter().rev().eq(forward.iter()));
        for (event, written) in forward.iter().zip(&events) {
            assert_eq!(event.r#type.as_str(), written["type"]);
            assert_eq!(event.previous_event_id, written["previousEventId"].as_i64().unwrap());
        }
    }
    assert_eq!(stub.calls_of("GetExecutionHistory").last().unwrap()["reverseOrder"], true);
}

#[tokio::test]
async fn pages_are_as_long_as_asked_for_and_no_longer_than_allowed() {
    let (stub, _) = with_history(&big_map(1_500)).await;
    let ask = |page: Option<i32>| {
        let call = stub.client().get_execution_history().execution_arn(arn()).set_max_results(page);
        async move { call.send().await }
    };
    assert_eq!(ask(None).await.unwrap().events.len(), 100);
    assert_eq!(ask(Some(0)).await.unwrap().events.len(), 100);
    assert_eq!(ask(Some(1000)).await.unwrap().events.len(), 1000);
    let refused = ask(Some(1001)).await.unwrap_err();
    assert_eq!(refused.code(), Some("ValidationException"));
}

#[tokio::test]
async fn a_token_goes_with_the_arguments_it_was_given_for() {
    let (stub, events) = with_history(&big_map(1_000)).await;
    let other = execution_arn("shop", "run-2");
    stub.add(&other, &events);
    let client = stub.client();
    let call = || client.get_execution_history().max_results(10);
    let token = call().execution_arn(arn()).send().await.unwrap().next_token.unwrap();
    let elsewhere = call().execution_arn(&other).next_token(&token).send().await.unwrap_err();
    assert!(elsewhere.into_service_error().is_invalid_token());
    let turned = call().execution_arn(arn()).reverse_order(true).next_token(&token).send().await.unwrap_err();
    assert!(turned.into_service_error().is_invalid_token());
    let made_up = call().execution_arn(arn()).next_token("x").send().await.unwrap_err();
    assert!(made_up.into_service_error().is_invalid_token());
    assert_eq!(call().execution_arn(arn()).next_token(&token).send().await.unwrap().events[0].id, 11);
}

#[tokio::test]
async fn events_keep_their_details_and_times() {
    let (stub, events) =
        with_history(&Machine::new(vec![task("Charge").fails(("Declined", "card expired"))])).await;
    let read = read_all(&stub.client(), 1000, false).await;
    let entered = read[1].state_entered_event_details.as_ref().unwrap();
    assert_eq!((entered.name.as_str(), entered.input.as_deref()), ("Charge", Some(r#"{"order":1}"#)));
    let failed = read[4].task_failed_event_details.as_ref().unwrap();
    assert_eq!((failed.error.as_deref(), failed.cause.as_deref()), (Some("Declined"), Some("card expired")));
    let time: jiff::Timestamp = events[4]["timestamp"].as_str().unwrap().parse().unwrap();
    assert_eq!(read[4].timestamp.to_millis().unwrap(), time.as_millisecond());
    assert_ne!(time.as_millisecond() % 1000, 0, "fractions are tested");
    let call = stub.client().get_execution_history().execution_arn(arn()).include_execution_data(false);
    let bare = call.send().await.unwrap().events;
    assert_eq!(bare[1].state_entered_event_details.as_ref().unwrap().input, None);
    assert_eq!(bare[4].task_failed_event_details.as_ref().unwrap().cause.as_deref(), Some("card expired"));
}

#[tokio::test]
async fn every_kind_of_event_is_one_the_client_knows() {
    let stub = StepFunctions::start().await;
    let client = stub.client();
    for seed in 0..20 {
        stub.add(&arn(), &crate::support::synth::random(seed).history(1).events);
        for event in read_all(&client, 1000, false).await {
            assert!(HistoryEventType::values().contains(&event.r#type.as_str()), "{event:?}");
        }
    }
}

#[tokio::test]
async fn an_execution_is_described_by_its_history() {
    let failing = Machine::new(vec![task("Charge").fails(("Declined", "card expired"))]);
    let (stub, _) = with_history(&failing).await;
    let client = stub.client();
    let describe = || async { client.describe_execution().execution_arn(arn()).send().await.unwrap() };
    let described = describe().await;
    assert_eq!(described.status, ExecutionStatus::Failed);
    assert_eq!(described.state_machine_arn, "arn:aws:states:eu-west-1:123456789012:stateMachine:shop");
    assert_eq!(
        (described.error.as_deref(), described.cause.as_deref()),
        (Some("Declined"), Some("card expired"))
    );
    assert_eq!((described.input.as_deref(), described.redrive_count), (Some(r#"{"order":1}"#), Some(0)));
    stub.amend(&arn(), json!({"error": "Other", "redriveStatusReason": "why"}));
    assert_eq!(describe().await.error.as_deref(), Some("Other"));
    let timed_out = Machine::new(vec![task("Charge").stops(Phase::Started)]).times_out();
    stub.add(&arn(), &timed_out.history(1).events);
    let described = describe().await;
    assert_eq!((described.status, described.error), (ExecutionStatus::TimedOut, None));
    let lasted = described.stop_date.unwrap().secs() - described.start_date.secs();
    assert!((1..60).contains(&lasted));
    let ends = Machine::new(vec![task("A").fails(("E", "1")).redriven(), pass("B")]).redriven();
    stub.add(&arn(), &ends.history(1).events);
    let described = describe().await;
    assert_eq!((described.status, described.redrive_count), (ExecutionStatus::Succeeded, Some(1)));
    assert_eq!((described.error, described.output.is_some()), (None, true));
}

#[tokio::test]
async fn what_does_not_exist_is_refused_as_aws_does() {
    let stub = StepFunctions::start().await;
    let client = stub.client();
    let history = client.get_execution_history().execution_arn(arn()).send().await.unwrap_err();
    assert!(history.into_service_error().is_execution_does_not_exist());
    let described = client.describe_execution().execution_arn(arn()).send().await.unwrap_err();
    assert!(described.into_service_error().is_execution_does_not_exist());
    let run = client.describe_map_run().map_run_arn("arn:x").send().await.unwrap_err();
    assert!(run.into_service_error().is_resource_not_found());
    let list = client.list_executions().map_run_arn("arn:x").send().await.unwrap_err();
    assert!(list.into_service_error().is_resource_not_found());
    // Express children can be described, but keep no history.
    stub.add_without_history(&arn(), json!({"status": "FAILED", "error": "E"}));
    let described = client.describe_execution().execution_arn(arn()).send().await.unwrap();
    assert_eq!((described.status, described.error.as_deref()), (ExecutionStatus::Failed, Some("E")));
    let history = client.get_execution_history().execution_arn(arn()).send().await.unwrap_err();
    assert!(history.into_service_error().is_execution_does_not_exist());
    let other = client.list_activities().send().await.unwrap_err();
    assert_eq!(other.code(), Some("UnknownOperationException"));
}

#[tokio::test]
async fn a_map_run_lists_its_failed_children_newest_first() {
    let stub = StepFunctions::start().await;
    let run = map_run_arn("shop", "Orders");
    stub.add(&arn(), &Machine::new(vec![map_run("Orders").fails(("E", "c"))]).history(1).events);
    let children: Vec<String> =
        (0..5).map(|at| execution_arn("shop/Orders", &format!("child-{at}"))).collect();
    for (at, child) in children.iter().enumerate() {
        let task = task("Charge");
        let task = if at == 0 { task } else { task.fails(("Declined", "no")) };
        stub.add(child, &Machine::new(vec![task]).history(1).events);
        stub.amend(child, json!({"startDate": 1_772_366_400 + at}));
    }
    stub.add_map_run(&run, &arn(), &children.iter().map(String::as_str).collect::<Vec<_>>());
    let client = stub.client();
    let described = client.describe_map_run().map_run_arn(&run).send().await.unwrap();
    assert_eq!(described.execution_arn, arn());
    let counts = described.item_counts.unwrap();
    assert_eq!((counts.total, counts.succeeded, counts.failed), (5, 1, 4));
    let failed = |token: Option<String>| {
        let call =
            client.list_executions().map_run_arn(&run).status_filter(ExecutionStatus::Failed).max_results(3);
        async { call.set_next_token(token).send().await.unwrap() }
    };
    let first = failed(None).await;
    let names = |page: &[aws_sdk_sfn::types::ExecutionListItem]| {
        page.iter().map(|child| child.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&first.executions), ["child-4", "child-3", "child-2"]);
    assert_eq!(first.executions[0].map_run_arn.as_deref(), Some(run.as_str()));
    let second = failed(first.next_token).await;
    assert_eq!((names(&second.executions), second.next_token), (vec!["child-1".to_owned()], None));
}

#[tokio::test]
async fn a_history_may_lag_behind() {
    let (stub, events) = with_history(&Machine::new(vec![task("Charge").fails(("E", "c"))])).await;
    stub.lags(&arn(), 2, 3);
    let client = stub.client();
    for expected in [3, 3, events.len()] {
        assert_eq!(read_all(&client, 100, true).await.len(), expected);
    }
}

#[tokio::test]
async fn calls_fail_as_planned_and_only_those() {
    let (stub, _) = with_history(&Machine::new(vec![pass("A")])).await;
    let client = stub.client();
    let history = || async { client.get_execution_history().execution_arn(arn()).send().await };
    stub.plan(
        "GetExecutionHistory",
        [Some(Fault::throttled()), None, Some(Fault::denied()), Some(Fault::expired_token())],
    );
    assert_eq!(history().await.unwrap_err().code(), Some("ThrottlingException"));
    assert!(history().await.is_ok());
    assert!(client.describe_execution().execution_arn(arn()).send().await.is_ok());
    assert_eq!(history().await.unwrap_err().code(), Some("AccessDeniedException"));
    assert_eq!(history().await.unwrap_err().code(), Some("ExpiredTokenException"));
    stub.plan("GetExecutionHistory", [Some(Fault::kms_denied()), Some(Fault::internal())]);
    assert!(history().await.unwrap_err().into_service_error().is_kms_access_denied_exception());
    let internal = history().await.unwrap_err();
    assert_eq!(internal.raw_response().unwrap().status().as_u16(), 500);
    stub.refuse("GetExecutionHistory", Refusal::new(400, "ThrottlingException", "Rate exceeded"));
    assert!(history().await.is_err() && history().await.is_err());
    stub.recover("GetExecutionHistory");
    assert!(history().await.is_ok());
    assert_eq!(stub.wait_for("GetExecutionHistory", 9).await.len(), 9);
    assert_eq!((stub.calls().len(), stub.calls()[2].operation.as_str()), (10, "DescribeExecution"));
}

#[tokio::test]
async fn the_network_fails_as_planned() {
    let (stub, _) = with_history(&Machine::new(vec![pass("A")])).await;
    let client = stub.client();
    let history = || {
        let call = client.get_execution_history().execution_arn(arn());
        async { tokio::time::timeout(Duration::from_millis(500), call.send()).await }
    };
    stub.plan(
        "GetExecutionHistory",
        [
            Some(Fault::Bare(503)),
            Some(Fault::Reset),
            Some(Fault::Half),
            Some(Fault::Garbage),
            Some(Fault::Silence),
        ],
    );
    let bare = history().await.unwrap().unwrap_err();
    assert_eq!(bare.raw_response().unwrap().status().as_u16(), 503);
    for expected in
        ["dispatch failure: io error", "response error: error reading a body", "service error: unhandled"]
    {
        let error = history().await.unwrap().unwrap_err();
        let words = DisplayErrorContext(&error).to_string();
        assert!(words.starts_with(expected), "{words}");
    }
    assert!(history().await.is_err(), "nothing comes in time");
    let (gate, held) = Fault::held();
    stub.plan("GetExecutionHistory", [Some(held)]);
    let call = client.get_execution_history().execution_arn(arn());
    let waiting = tokio::spawn(call.send());
    stub.wait_for("GetExecutionHistory", 6).await;
    assert!(!waiting.is_finished());
    gate.send(()).unwrap();
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn pages_can_be_kept_short() {
    let (stub, _) = with_history(&Machine::new(vec![pass("A")])).await;
    stub.limit_pages(2);
    let page = stub.client().get_execution_history().execution_arn(arn()).max_results(1_000).send();
    let page = page.await.unwrap();
    assert_eq!((page.events.len(), page.next_token.is_some()), (2, true));
}
