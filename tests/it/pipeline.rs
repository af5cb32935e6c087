//! What happens to a message: each case by its name, up to its outcome.

use std::sync::Arc;
use std::time::Duration;

use misstep::aws::error::ErrorClass;
use misstep::metrics::Metrics;
use misstep::outcome::{Ignored, Outcome};
use misstep::pipeline::MapRunChildren;
use misstep::pipeline::{MessageAttempt, Pipeline, PipelineSettings};
use misstep::queue::LONGEST_WORK;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::model::api::{ModelApi, Mood, routes};
use crate::support::model::reader::ModelReader;
use crate::support::model::{Chance, Event, Faults, Record};
use crate::support::{failure, on_paused_time};

const ORDERS: &str = "arn:aws:states:eu-west-1:123456789012:stateMachine:orders";

/// A pipeline among models.
struct Office {
    api: ModelApi,
    reader: ModelReader,
    record: Record,
    pipeline: Pipeline,
}

fn office(scope: PipelineSettings) -> Office {
    let (chance, record) = (Chance::new(0), Record::default());
    let api = ModelApi::new(Faults::default(), chance.clone(), record.clone());
    let reader = ModelReader::new(Faults::default(), chance);
    let pipeline = Pipeline::new(
        Arc::new(reader.clone()),
        None,
        routes(Arc::new(api.clone())),
        scope,
        None,
        Metrics::new(),
    );
    Office { api, reader, record, pipeline }
}

fn everything() -> PipelineSettings {
    PipelineSettings {
        state_machines: Vec::new(),
        map_run_children: MapRunChildren::Fold,
        env: "test".to_owned(),
        application: Some("shop".to_owned()),
    }
}

/// A first receipt, with time to spare.
fn attempt() -> MessageAttempt {
    MessageAttempt { until: Instant::now() + LONGEST_WORK, last: false, half_open: false }
}

impl Office {
    async fn process(&self, body: &str) -> Outcome {
        self.pipeline.process_message(body, attempt()).await
    }

    /// Why each notification that was taken was degraded.
    fn degraded(&self) -> Vec<Option<String>> {
        let events = self.record.events();
        let notified = events.into_iter().filter_map(|(_, event)| match event {
            Event::Notified { degraded, .. } => Some(degraded),
            _ => None,
        });
        notified.collect()
    }
}

/// The event of `failure(0)` with other values in its detail.
fn with(changes: &[(&str, Value)]) -> String {
    let mut event: Value = serde_json::from_str(&failure(0)).unwrap();
    for (key, value) in changes {
        event["detail"][*key] = value.clone();
    }
    event.to_string()
}

#[test]
fn what_is_not_a_failure_to_handle_is_acknowledged_without_a_notification() {
    on_paused_time(async {
        let listed = PipelineSettings { state_machines: vec![ORDERS.to_owned()], ..everything() };
        let office = office(listed);
        let other = json!(ORDERS.replace("orders", "returns"));
        let child = [
            ("executionArn", json!("arn:aws:states:eu-west-1:123456789012:execution:orders/Each:1a2b")),
            ("stateMachineArn", json!(format!("{ORDERS}/Each"))),
        ];
        // Which of the two ARNs has the Map's label is not documented.
        let by_execution = with(&child[..1]);
        let by_state_machine = with(&child[1..]);
        for (body, kind) in [
            (with(&[("status", json!("RUNNING"))]), Ignored::Running),
            (with(&[("status", json!("SUCCEEDED"))]), Ignored::Succeeded),
            (with(&[("stateMachineArn", other)]), Ignored::Unlisted),
            (with(&child), Ignored::FoldedChild),
            (by_execution, Ignored::FoldedChild),
            (by_state_machine, Ignored::FoldedChild),
        ] {
            assert_eq!(office.process(&body).await, Outcome::Ignore(kind));
        }
        assert!(office.degraded().is_empty(), "somebody was notified");
        assert_eq!(
            office.process(&with(&[("stateMachineArn", json!(format!("{ORDERS}:live")))])).await,
            Outcome::Done
        );
    });
}

#[test]
fn a_child_of_a_map_run_is_notified_of_with_map_run_children_notify() {
    on_paused_time(async {
        let office = office(PipelineSettings { map_run_children: MapRunChildren::Notify, ..everything() });
        let child = with(&[
            ("executionArn", json!("arn:aws:states:eu-west-1:123456789012:execution:orders/Each:1a2b")),
            ("stateMachineArn", json!(format!("{ORDERS}/Each"))),
        ]);
        assert_eq!(office.process(&child).await, Outcome::Done);
        assert_eq!(office.degraded(), [None, None]);
    });
}

#[test]
fn a_history_that_cannot_be_read_is_reported_from_the_event_alone() {
    on_paused_time(async {
        for class in [ErrorClass::Gone, ErrorClass::Denied, ErrorClass::Kms, ErrorClass::Unsupported] {
            let office = office(everything());
            office.reader.set_broken(Some(class));
            assert_eq!(office.process(&failure(0)).await, Outcome::Done);
            let degraded = office.degraded();
            assert_eq!(degraded.len(), 2);
            assert!(
                degraded.iter().flatten().all(|why| why.contains("GetExecutionHistory of arn:")),
                "{degraded:?}"
            );
        }
        let office = office(everything());
        let express = json!("arn:aws:states:eu-west-1:123456789012:express:orders:run:1a2b");
        assert_eq!(office.process(&with(&[("executionArn", express)])).await, Outcome::Done);
        assert!(
            office.degraded().iter().flatten().all(|why| why.contains("Express")),
            "{:?}",
            office.degraded()
        );
    });
}

#[test]
fn a_history_that_has_not_ended_is_read_again_and_then_reported_from_the_event_alone() {
    on_paused_time(async {
        let late = office(everything());
        late.reader.set_unended(3);
        let began = Instant::now();
        assert_eq!(late.process(&failure(0)).await, Outcome::Done);
        assert_eq!(late.degraded(), [None, None]);
        assert!((3_500..3_700).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());

        let never = office(everything());
        never.reader.set_unended(1_000);
        let began = Instant::now();
        assert_eq!(never.process(&failure(0)).await, Outcome::Done);
        assert!(
            never.degraded().iter().flatten().all(|why| why.contains("has not ended")),
            "{:?}",
            never.degraded()
        );
        assert!((15_500..15_700).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    });
}

#[test]
fn an_unreachable_history_is_tried_in_hand_and_then_released() {
    on_paused_time(async {
        let office = office(everything());
        office.reader.set_broken(Some(ErrorClass::Unreachable));
        let outcome = office.process(&failure(0)).await;
        assert!(matches!(outcome, Outcome::Retry { stage: "history", .. }), "{outcome:?}");
        assert_eq!(office.reader.calls(), 5);
        assert!(office.degraded().is_empty());
    });
}

#[test]
fn on_the_last_receive_an_unreachable_history_is_reported_from_the_event_alone() {
    on_paused_time(async {
        for class in [ErrorClass::Throttled, ErrorClass::Unreachable, ErrorClass::Credentials] {
            let office = office(everything());
            office.reader.set_broken(Some(class));
            let last = MessageAttempt { last: true, ..attempt() };
            assert_eq!(office.pipeline.process_message(&failure(0), last).await, Outcome::Done);
            let degraded = office.degraded();
            assert!(degraded.iter().flatten().count() == 2, "{degraded:?}");
        }
    });
}

#[test]
fn a_refused_notification_goes_to_the_dead_letter_queue_with_the_reason() {
    on_paused_time(async {
        let office = office(everything());
        office.api.set_mood(Mood::Refusing);
        let Outcome::DeadLetter(reason) = office.process(&failure(0)).await else {
            panic!("not dead-lettered")
        };
        assert_eq!((reason.stage, reason.reason), ("notify", "rejected"));
        assert!(reason.error.contains("answered 422"), "{}", reason.error);
    });
}

#[test]
fn the_same_failure_delivered_twice_at_once_is_notified_of_once() {
    on_paused_time(async {
        let office = office(everything());
        let body = failure(0);
        let (first, second) = tokio::join!(office.process(&body), office.process(&body));
        assert_eq!((first, second), (Outcome::Done, Outcome::Done));
        assert_eq!(office.degraded().len(), 2);
    });
}

#[test]
fn a_batch_of_pipes_is_done_when_each_of_its_failures_is() {
    on_paused_time(async {
        let office = office(everything());
        let batch = format!("[{},{}]", failure(0), failure(1));
        assert_eq!(office.process(&batch).await, Outcome::Done);
        assert_eq!(office.degraded().len(), 4);
        let with_other = format!("[{},{}]", failure(2), with(&[("status", json!("RUNNING"))]));
        assert_eq!(office.process(&with_other).await, Outcome::Done);
        let with_poison = format!("[7,{}]", failure(3));
        assert!(matches!(office.process(&with_poison).await, Outcome::DeadLetter(_)));
        assert_eq!(office.degraded().len(), 8, "the other failure was delivered");
    });
}

#[test]
fn a_notification_never_exceeds_the_limit_of_its_route() {
    on_paused_time(async {
        let office = office(everything());
        office.api.set_limit(4_096);
        office.reader.set_broken(Some(ErrorClass::Gone));
        let body = with(&[("input", json!("x".repeat(100_000))), ("cause", json!("y".repeat(32_000)))]);
        assert_eq!(office.process(&body).await, Outcome::Done);
        let largest = office.api.largest();
        assert!((1_000..=4_096).contains(&largest), "{largest}");
    });
}

#[test]
fn a_retry_after_is_waited_for() {
    on_paused_time(async {
        let office = office(everything());
        office.api.set_mood(Mood::Busy(Duration::from_secs(7)));
        let began = Instant::now();
        let body = failure(0);
        let processing = office.process(&body);
        let recovering = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            office.api.set_mood(Mood::Up(Duration::ZERO));
        };
        let (outcome, ()) = tokio::join!(processing, recovering);
        assert_eq!(outcome, Outcome::Done);
        assert!((7_000..7_100).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    });
}
