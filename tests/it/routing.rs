//! Which routes a failure takes, and what becomes of the message when one of them fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use misstep::aws::arn::{ExecutionArn, MapRunArn};
use misstep::breaker::Admission;
use misstep::history::{
    Details, EventType, ExecutionDescription, ExecutionReader, HistoryEvent, HistoryPage, MapRunDescription,
    PageRequest, ReadError, Status,
};
use misstep::logs::{FoundLines, LogError, LogLine, LogQuery, LogReader};
use misstep::metrics::Metrics;
use misstep::notify::filter::{Filter, Pattern};
use misstep::notify::{Audience, Form, NotifyError, Route};
use misstep::outcome::{Ignored, Outcome};
use misstep::pipeline::MapRunChildren;
use misstep::pipeline::{MessageAttempt, Pipeline, PipelineSettings};
use misstep::queue::LONGEST_WORK;
use misstep::redact::{Redactor, Rules};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::kept::Kept;
use crate::support::model::api::route;
use crate::support::model::reader::ModelReader;
use crate::support::model::{Chance, Faults};
use crate::support::{failure, on_paused_time};

fn busy() -> NotifyError {
    NotifyError::Transient { what: "answered 503".to_owned(), retry_after: None }
}

fn to(name: &str, channel: &Kept) -> Route {
    route(name, Audience::Developers, Arc::new(channel.clone()))
}

fn aside(name: &str, channel: &Kept) -> Route {
    Route { required: false, ..to(name, channel) }
}

fn pipeline(routes: Vec<Route>) -> Pipeline {
    desk_reading(&ModelReader::new(Faults::default(), Chance::new(0)), routes)
}

fn desk_reading(reader: &ModelReader, routes: Vec<Route>) -> Pipeline {
    let scope = PipelineSettings {
        state_machines: Vec::new(),
        map_run_children: MapRunChildren::Fold,
        env: "test".to_owned(),
        application: None,
    };
    Pipeline::new(Arc::new(reader.clone()), None, routes, scope, None, Metrics::new())
}

async fn handled(pipeline: &Pipeline, body: &str) -> Outcome {
    let attempt = MessageAttempt { until: Instant::now() + LONGEST_WORK, last: false, half_open: false };
    pipeline.process_message(body, attempt).await
}

#[test]
fn a_failure_goes_to_the_routes_whose_filter_matches_it() {
    on_paused_time(async {
        let (orders, others, timeouts) = (Kept::willing(), Kept::willing(), Kept::willing());
        let for_machine =
            |name: &str| Filter { state_machines: vec![Pattern::parse(name).unwrap()], ..Filter::default() };
        let timed_out = Filter { status: vec![Status::TimedOut], ..Filter::default() };
        let pipeline = pipeline(vec![
            Route { filter: for_machine("ord*"), ..to("orders", &orders) },
            Route { filter: for_machine("returns"), ..to("others", &others) },
            Route { filter: timed_out, ..aside("timeouts", &timeouts) },
        ]);
        assert_eq!(handled(&pipeline, &failure(0)).await, Outcome::Done);
        pipeline.drain_optional().await;
        assert_eq!((orders.taken().len(), others.taken().len(), timeouts.taken().len()), (1, 0, 0));
        assert_eq!(handled(&pipeline, &failure(0)).await, Outcome::Done, "notified before");
        let counted = pipeline.metrics().text(misstep::metrics::ExpositionFormat::accepted(""));
        assert!(counted.contains("misstep_duplicates_total 1\n"), "{counted}");
        assert_eq!(orders.taken().len(), 1);
        let mut other: Value = serde_json::from_str(&failure(1)).unwrap();
        other["detail"]["stateMachineArn"] =
            json!("arn:aws:states:eu-west-1:123456789012:stateMachine:refunds");
        assert_eq!(handled(&pipeline, &other.to_string()).await, Outcome::Ignore(Ignored::Unrouted));
    });
}

#[test]
fn a_history_is_not_read_again_for_a_route_whose_filter_refused_the_failure() {
    on_paused_time(async {
        let reader = ModelReader::new(Faults::default(), Chance::new(0));
        let for_none = Filter { errors: vec![Pattern::parse("Other").unwrap()], ..Filter::default() };
        let filtered = |name| Route { filter: for_none.clone(), ..to(name, &Kept::willing()) };
        for (routes, outcome) in [
            (vec![to("all", &Kept::willing()), filtered("none")], Outcome::Done),
            (vec![filtered("none")], Outcome::Ignore(Ignored::Unrouted)),
        ] {
            let pipeline = desk_reading(&reader, routes);
            let before = reader.calls();
            assert_eq!(handled(&pipeline, &failure(0)).await, outcome);
            let once = reader.calls();
            assert!(once > before);
            assert_eq!((handled(&pipeline, &failure(0)).await, reader.calls()), (outcome, once));
        }
    });
}

#[test]
fn an_optional_route_delays_no_message_and_is_tried_three_times() {
    on_paused_time(async {
        let (required, hanging) = (Kept::willing(), Kept::new(|_| Err(busy())));
        let hanging = Kept { takes: Duration::from_secs(600), ..hanging };
        let pipeline = pipeline(vec![to("required", &required), aside("chat", &hanging)]);
        let began = Instant::now();
        assert_eq!(handled(&pipeline, &failure(0)).await, Outcome::Done);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!((required.taken().len(), hanging.attempts(), pipeline.optional_in_flight()), (1, 0, 1));
        pipeline.drain_optional().await;
        assert_eq!((hanging.attempts(), hanging.taken().len()), (3, 0));
        let counted = pipeline.metrics().text(misstep::metrics::ExpositionFormat::accepted(""));
        assert!(
            counted.contains("misstep_notifications_total{route=\"chat\",result=\"dropped\"} 1\n"),
            "{counted}"
        );
        assert!(pipeline.breakers().admission() == Admission::All, "it stops the intake");
    });
}

#[test]
fn an_optional_route_is_not_notified_again_when_the_message_comes_back() {
    on_paused_time(async {
        let up = Arc::new(AtomicBool::new(false));
        let answers = up.clone();
        let required = Kept::new(move |_| if answers.load(Ordering::SeqCst) { Ok(()) } else { Err(busy()) });
        let chat = Kept::willing();
        let pipeline = pipeline(vec![to("required", &required), aside("chat", &chat)]);
        // Another message opens the breaker and keeps its probe, so that this one is released.
        let other = failure(1);
        let keeping = pipeline.process_message(
            &other,
            MessageAttempt { until: Instant::now() + LONGEST_WORK, last: false, half_open: true },
        );
        let (_, outcome) = tokio::join!(keeping, async {
            while pipeline.breakers().admission() == Admission::All {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let released = handled(&pipeline, &failure(0)).await;
            up.store(true, Ordering::SeqCst);
            while pipeline.breakers().admission() != Admission::All {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            (released, handled(&pipeline, &failure(0)).await)
        });
        assert!(matches!(outcome, (Outcome::Retry { stage: "notify", .. }, Outcome::Done)), "{outcome:?}");
        pipeline.drain_optional().await;
        assert_eq!((chat.attempts(), required.taken().len()), (2, 2), "one of each failure");
    });
}

#[test]
fn what_a_slow_route_cannot_take_is_dropped_and_fills_no_memory() {
    on_paused_time(async {
        let slow = Kept { takes: Duration::from_secs(3_600), ..Kept::willing() };
        let pipeline = pipeline(vec![to("required", &Kept::willing()), aside("chat", &slow)]);
        for number in 0..100 {
            assert_eq!(handled(&pipeline, &failure(number)).await, Outcome::Done);
        }
        assert_eq!(pipeline.optional_in_flight(), 64);
        pipeline.drain_optional().await;
        assert_eq!(slow.taken().len(), 64);
    });
}

#[test]
fn a_template_that_fails_dead_letters_the_message_once_the_others_are_notified() {
    on_paused_time(async {
        let (works, broken) = (Kept::willing(), Kept { fails_to_compose: true, ..Kept::willing() });
        let pipeline = pipeline(vec![to("broken", &broken), to("works", &works), aside("chat", &broken)]);
        let outcome = handled(&pipeline, &failure(0)).await;
        let Outcome::DeadLetter(reason) = outcome else { panic!("{outcome:?}") };
        assert_eq!(reason.error, "broken: the template fails: line 1: undefined value");
        assert_eq!((works.taken().len(), broken.attempts()), (1, 0));
        assert!(pipeline.breakers().admission() == Admission::All, "the route itself works");
        let counted = pipeline.metrics().text(misstep::metrics::ExpositionFormat::accepted(""));
        let lost = "misstep_notifications_total{route=\"chat\",result=\"dropped\"} 1\n";
        assert!(counted.contains(lost), "{counted}");
    });
}

#[test]
fn a_route_that_is_misconfigured_holds_the_message_and_the_others_get_theirs() {
    on_paused_time(async {
        let gone = || NotifyError::Misconfigured { what: "Publish to arn: NotFound".to_owned() };
        let (works, broken) =
            (Kept::willing(), Kept::new(move |attempt| if attempt < 4 { Err(gone()) } else { Ok(()) }));
        let pipeline = pipeline(vec![to("topic", &broken), to("works", &works)]);
        assert_eq!(handled(&pipeline, &failure(0)).await, Outcome::Done, "it stays in hand as the probe");
        assert_eq!((works.taken().len(), broken.attempts(), broken.taken().len()), (1, 4, 1));
    });
}

#[test]
fn each_route_gets_its_form_without_what_its_redaction_removes() {
    on_paused_time(async {
        let (full, whole, summary) = (Kept::willing(), Kept::willing(), Kept::willing());
        let redactor = |on| Arc::new(Redactor::new(&Rules { on, ..Rules::default() }));
        let pipeline = pipeline(vec![
            Route { redactor: redactor(true), ..to("full", &full) },
            Route { redactor: redactor(false), ..to("whole", &whole) },
            Route { form: Form::Summary { input_keys: vec!["order".to_owned()] }, ..to("summary", &summary) },
        ]);
        let mut body: Value = serde_json::from_str(&failure(0)).unwrap();
        body["detail"]["executionArn"] =
            json!("arn:aws:states:eu-west-1:123456789012:express:orders:run:1a2b");
        body["detail"]["input"] = json!(r#"{"order": 7, "password": "correct-horse", "note": "n"}"#);
        assert_eq!(handled(&pipeline, &body.to_string()).await, Outcome::Done);
        let payload = |kept: &Kept| kept.taken()[0]["event_details"]["payload"].as_str().unwrap().to_owned();
        assert_eq!(payload(&whole), r#"{"order": 7, "password": "correct-horse", "note": "n"}"#);
        assert_eq!(payload(&full), r#"{"order": 7, "password": "[redacted]", "note": "n"}"#);
        assert_eq!(payload(&summary), r#"{"order":7}"#);
        assert_eq!(full.taken()[0]["analysis"]["redacted"]["values"], 1);
        assert_eq!(whole.taken()[0]["analysis"]["redacted"], Value::Null);
    });
}

/// An execution that failed in a Lambda function.
struct OfAFunction;

#[async_trait]
impl ExecutionReader for OfAFunction {
    async fn history_page(&self, _: &ExecutionArn, page: &PageRequest) -> Result<HistoryPage, ReadError> {
        let text = |text: &str| Some(text.to_owned());
        let cause = text("RequestId: 8d2ae1d0-0ad1-4c6b-9f1c-3f9a4f1d2b11 Error: killed");
        let all = [
            ("ExecutionStarted", Details::default()),
            ("TaskStateEntered", Details { name: text("Charge"), input: text("{}"), ..Details::default() }),
            (
                "LambdaFunctionScheduled",
                Details {
                    resource: text("arn:aws:lambda:eu-west-1:1:function:charge"),
                    ..Details::default()
                },
            ),
            (
                "LambdaFunctionFailed",
                Details { error: text("E"), cause: cause.clone(), ..Details::default() },
            ),
            ("ExecutionFailed", Details { error: text("E"), cause, ..Details::default() }),
        ];
        let mut events: Vec<HistoryEvent> = (1..)
            .zip(all)
            .map(|(id, (event_type, details))| HistoryEvent {
                id,
                previous_event_id: if id == 2 { 0 } else { id - 1 },
                timestamp: jiff::Timestamp::from_second(1_772_366_400 + id).ok(),
                event_type: EventType::parse(event_type),
                details,
            })
            .collect();
        if page.newest_first {
            events.reverse();
        }
        Ok(HistoryPage { events, next_token: None, bytes: 0 })
    }

    async fn describe_execution(&self, _: &ExecutionArn) -> Result<ExecutionDescription, ReadError> {
        Ok(ExecutionDescription::default())
    }

    async fn describe_map_run(&self, _: &MapRunArn) -> Result<MapRunDescription, ReadError> {
        unreachable!("it has no Map run")
    }

    async fn children(&self, _: &MapRunArn, _: Status, _: u32) -> Result<Vec<ExecutionArn>, ReadError> {
        unreachable!("it has no Map run")
    }
}

/// A log with a secret in its only line, or one that never answers.
struct OneLine(bool);

#[async_trait]
impl LogReader for OneLine {
    async fn last_lines(&self, wanted: &LogQuery) -> Result<FoundLines, LogError> {
        if !self.0 {
            std::future::pending::<()>().await;
        }
        let text =
            format!("{} about to charge, password=hunterZq77", wanted.request.as_deref().unwrap_or_default());
        Ok(FoundLines { stream: Some("s".to_owned()), lines: vec![LogLine { at: None, text }] })
    }
}

fn desk_with_logs(routes: Vec<Route>, log: OneLine) -> Pipeline {
    let scope = PipelineSettings {
        state_machines: Vec::new(),
        map_run_children: MapRunChildren::Fold,
        env: "test".to_owned(),
        application: None,
    };
    Pipeline::new(Arc::new(OfAFunction), None, routes, scope, None, Metrics::new())
        .reading_logs(Arc::new(log))
}

#[test]
fn a_log_reaches_the_routes_that_show_it_and_never_with_its_secrets() {
    on_paused_time(async {
        let (plain, with, open) = (Kept::willing(), Kept::willing(), Kept::willing());
        let off = Arc::new(Redactor::new(&Rules { on: false, ..Rules::default() }));
        let routes = vec![
            to("plain", &plain),
            Route { logs: true, ..to("with", &with) },
            Route { logs: true, redactor: off, ..aside("open", &open) },
        ];
        let pipeline = desk_with_logs(routes, OneLine(true));
        assert_eq!(handled(&pipeline, &failure(0)).await, Outcome::Done);
        pipeline.drain_optional().await;
        assert_eq!(plain.taken()[0]["analysis"]["logs"], Value::Null);
        for channel in [with, open] {
            let logs = channel.taken()[0]["analysis"]["logs"].clone();
            let line = logs["lines"][0]["text"].as_str().unwrap();
            assert!(line.starts_with("8d2ae1d0-0ad1-4c6b-9f1c-3f9a4f1d2b11 about to charge"), "{line}");
            assert!(!line.contains("hunterZq77"), "{line}");
            assert_eq!((&logs["log_group"], &logs["error"]), (&json!("/aws/lambda/charge"), &Value::Null));
        }
    });
}

#[test]
fn a_log_that_does_not_come_holds_a_notification_up_for_three_seconds() {
    on_paused_time(async {
        let (with, other) = (Kept::willing(), Kept::willing());
        let routes =
            vec![Route { logs: true, ..to("with", &with) }, Route { logs: true, ..to("other", &other) }];
        let pipeline = desk_with_logs(routes, OneLine(false));
        let began = Instant::now();
        assert_eq!(handled(&pipeline, &failure(0)).await, Outcome::Done);
        assert!(began.elapsed() < Duration::from_millis(3_100), "{:?}", began.elapsed());
        let logs = with.taken()[0]["analysis"]["logs"].clone();
        assert_eq!(logs["error"], "/aws/lambda/charge could not be read within 3 s");
        assert_eq!(logs["lines"], json!([]));
    });
}
