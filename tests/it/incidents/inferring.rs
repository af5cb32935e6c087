//! A storm of failures that outruns the quota of GetExecutionHistory, on paused time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use misstep::aws::arn::{ExecutionArn, MapRunArn};
use misstep::history::{
    Details, EventType, ExecutionDescription, ExecutionReader, HistoryEvent, HistoryPage, MapRunDescription,
    PageRequest, ReadError, Status,
};
use misstep::incidents::schedule::Schedule;
use misstep::metrics::ExpositionFormat;
use misstep::notify::{Audience, Route};
use misstep::outcome::Outcome;
use misstep::pipeline::MessageAttempt;
use misstep::queue::LONGEST_WORK;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::bench::{each, grouped, incident, minutes, pipeline};
use crate::support::incident_store::NoFaults;
use crate::support::kept::Kept;
use crate::support::{execution, failure, on_paused_time};

const FAILURES: usize = 10_000;

/// Messages in hand at once.
const IN_HAND: usize = 32;

/// What AWS refills a second in a bucket of 400.
const RATE: f64 = 20.0;

/// The state, the error and the cause of a failure.
type Bug = (&'static str, &'static str, &'static str);

const CHARGE: Bug = ("Charge", "Declined", "the card has expired");
/// Its events look like those of [`CHARGE`].
const REFUND: Bug = ("Refund", "Declined", "the card has expired");
const SHIP: Bug = ("Ship", "OutOfStock", "no such article");

/// The bug of the failure of a number.
type Bugs = fn(usize) -> Bug;

/// Histories of such failures.
struct Histories {
    bugs: Bugs,
    calls: AtomicUsize,
}

fn input(number: usize) -> String {
    json!({"order_id": format!("O-{number}")}).to_string()
}

#[async_trait]
impl ExecutionReader for Histories {
    async fn history_page(&self, arn: &ExecutionArn, page: &PageRequest) -> Result<HistoryPage, ReadError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let number: usize = arn.name().rsplit('-').next().unwrap().parse().unwrap();
        let (state, error, cause) = (self.bugs)(number);
        let text = |text: &str| Some(text.to_owned());
        let started = Details { input: Some(input(number)), ..Details::default() };
        let entered = Details { name: text(state), ..started.clone() };
        let failed = Details { error: text(error), cause: text(cause), ..Details::default() };
        let events =
            [("ExecutionStarted", started), ("FailStateEntered", entered), ("ExecutionFailed", failed)];
        let mut events: Vec<HistoryEvent> = (1..)
            .zip(events)
            .map(|(id, (event_type, details))| HistoryEvent {
                id,
                previous_event_id: id - 1,
                timestamp: None,
                event_type: EventType::parse(event_type),
                details,
            })
            .collect();
        if page.newest_first {
            events.reverse();
        }
        Ok(HistoryPage { events, ..HistoryPage::default() })
    }

    async fn describe_execution(&self, arn: &ExecutionArn) -> Result<ExecutionDescription, ReadError> {
        unreachable!("the history of {arn} has one page")
    }

    async fn describe_map_run(&self, _: &MapRunArn) -> Result<MapRunDescription, ReadError> {
        unreachable!("there is no Map run")
    }

    async fn children(&self, _: &MapRunArn, _: Status, _: u32) -> Result<Vec<ExecutionArn>, ReadError> {
        unreachable!("there is no Map run")
    }
}

fn event(number: usize, (_, error, cause): Bug) -> String {
    let mut event: Value = serde_json::from_str(&failure(number)).unwrap();
    event["detail"]["error"] = json!(error);
    event["detail"]["cause"] = json!(cause);
    event["detail"]["input"] = json!(input(number));
    event.to_string()
}

/// A storm of so many failures.
struct Storm {
    histories: Arc<Histories>,
    pipeline: Arc<misstep::pipeline::Pipeline>,
    incidents: misstep::incidents::Incidents,
    stop: tokio_util::sync::CancellationToken,
    began: Instant,
}

impl Storm {
    fn new(bugs: Bugs, routes: Vec<Route>, schedule: Schedule) -> Self {
        let histories = Arc::new(Histories { bugs, calls: AtomicUsize::new(0) });
        let (pipeline, incidents, stop) =
            pipeline(histories.clone(), Some(RATE), Arc::new(NoFaults), routes, schedule);
        Self { histories, pipeline, incidents, stop, began: Instant::now() }
    }

    async fn breaks(&self, failures: usize) {
        let work = stream::iter(0..failures).map(|number| async move {
            let attempt =
                MessageAttempt { until: Instant::now() + LONGEST_WORK, last: false, half_open: false };
            assert_eq!(
                self.pipeline.process_message(&event(number, (self.histories.bugs)(number)), attempt).await,
                Outcome::Done
            );
        });
        work.buffer_unordered(IN_HAND).for_each(|()| async {}).await;
    }

    fn calls(&self) -> usize {
        self.histories.calls.load(Ordering::Relaxed)
    }

    async fn until_all_are_read(&self) {
        while !self.incidents.store().inferred(1).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(self.began.elapsed().as_secs() < 3_600, "reading comes to no end");
        }
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.pipeline.metrics().text(ExpositionFormat::Prometheus);
        let value = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        value.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn alerts(channel: &Kept) -> usize {
    channel.taken().iter().filter(|taken| incident(taken)["kind"] == "alert").count()
}

/// The executions that the notifications name, by the incident that they are named in.
fn named(channel: &Kept) -> BTreeMap<String, BTreeSet<String>> {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for taken in channel.taken() {
        let note = incident(&taken);
        let arns = note["new_executions"].as_array().unwrap().iter();
        let arns = arns.map(|one| one["execution_arn"].as_str().unwrap().to_owned());
        named.entry(note["id"].as_str().unwrap().to_owned()).or_default().extend(arns);
    }
    named
}

#[test]
fn ten_thousand_failures_are_three_alerts_within_a_minute_and_everybody_is_named() {
    on_paused_time(async {
        let pager = Kept::willing();
        let bugs: Bugs = |number| [CHARGE, SHIP, REFUND][number % 3];
        let routes = vec![grouped("pager", &pager, Audience::Developers)];
        let storm = Storm::new(bugs, routes, Schedule::default());
        let seen = pager.clone();
        let third_alert = tokio::spawn(async move {
            let began = Instant::now();
            while alerts(&seen) < 3 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            began.elapsed().as_secs()
        });
        storm.breaks(FAILURES).await;
        let recorded = storm.began.elapsed().as_secs();
        storm.until_all_are_read().await;
        let (calls, elapsed) = (storm.calls(), storm.began.elapsed().as_secs_f64());
        let third_alert = third_alert.await.unwrap();
        println!(
            "{FAILURES} failures: three alerts after {third_alert} s, all recorded after {recorded} s, all read after {elapsed:.0} s with {calls} calls"
        );
        assert!(third_alert < 60, "{third_alert} s");
        assert!(calls as f64 <= 20.0 * RATE + RATE * elapsed + 1.0, "within the bucket");
        assert_eq!((calls, alerts(&pager)), (FAILURES, 3), "each history is read once");

        minutes(24 * 60).await;
        let sets: BTreeSet<BTreeSet<String>> = named(&pager).into_values().collect();
        let of = |rest: usize| (0..FAILURES).filter(|number| number % 3 == rest).map(execution).collect();
        let everybody: BTreeSet<String> = sets.iter().flatten().cloned().collect();
        assert_eq!(everybody, (0..FAILURES).map(execution).collect());
        assert!(sets.contains(&of(1)), "what looks like no other is named once, in its own incident");
        // Those that looked alike while it was not known may be named in both.
        let hidden: BTreeSet<String> = of(2);
        assert!(sets.iter().any(|named| hidden.is_subset(named) && named.len() < 2 * hidden.len()));
        assert!(storm.metric("misstep_failures_inferred_total") > 3_000.0);
    });
}

#[test]
fn a_bug_that_hides_behind_another_is_found_however_rare_it_is_and_is_moved() {
    on_paused_time(async {
        let pager = Kept::willing();
        let bugs: Bugs = |number| if number % 500 == 206 { REFUND } else { CHARGE };
        let routes = vec![grouped("pager", &pager, Audience::Developers)];
        let storm = Storm::new(bugs, routes, Schedule::default());
        storm.breaks(2_000).await;
        let recorded = storm.calls();
        assert!(recorded < 400, "{recorded} histories were read in line");
        assert_eq!(alerts(&pager), 1);
        storm.until_all_are_read().await;
        let elapsed = storm.began.elapsed().as_secs();
        let [inferred, moved] =
            ["inferred", "moved"].map(|what| storm.metric(&format!("misstep_failures_{what}_total")));
        println!("2,000 failures: {inferred} inferred, {moved} moved, all read after {elapsed} s");
        assert_eq!((storm.calls(), alerts(&pager), moved), (2_000, 2, 4.0));

        minutes(24 * 60).await;
        let hidden: BTreeSet<String> = [206, 706, 1_206, 1_706].map(execution).into();
        let named = named(&pager);
        assert!(named.values().any(|named| *named == hidden), "an incident of their own");
        let everybody: BTreeSet<String> = (0..2_000).map(execution).collect();
        assert_eq!(named.into_values().flatten().collect::<BTreeSet<_>>(), everybody);
        // Said as such, while it was so.
        let unread = |taken: &Value| incident(taken)["read"].as_u64() < incident(taken)["count"].as_u64();
        assert!(pager.taken().iter().any(unread));
        let last = pager.taken().pop().unwrap();
        assert_eq!(incident(&last)["read"], incident(&last)["count"]);
    });
}

#[test]
fn a_route_that_gets_each_failure_gets_only_what_was_read() {
    on_paused_time(async {
        let (pager, all) = (Kept::willing(), Kept::willing());
        let routes = vec![grouped("pager", &pager, Audience::Developers), each("all", &all)];
        let storm = Storm::new(|_| CHARGE, routes, Schedule::default());
        storm.breaks(500).await;
        assert_eq!((storm.calls(), all.taken().len()), (500, 500));
        assert_eq!(storm.metric("misstep_failures_inferred_total"), 0.0);
    });
}

#[test]
fn without_inferring_every_history_is_read_first() {
    on_paused_time(async {
        let pager = Kept::willing();
        let schedule = Schedule { agreeing: None, ..Schedule::default() };
        let storm = Storm::new(|_| CHARGE, vec![grouped("pager", &pager, Audience::Developers)], schedule);
        storm.breaks(500).await;
        assert_eq!(storm.calls(), 500);
        assert_eq!(storm.metric("misstep_failures_inferred_total"), 0.0);
    });
}

#[test]
fn what_an_event_does_not_tell_is_never_inferred() {
    on_paused_time(async {
        for change in [
            json!({"cause": null}),
            json!({"error": null}),
            json!({"cause": "  "}),
            json!({"error": "States.TaskFailed"}),
            json!({"status": "TIMED_OUT"}),
            // Whom an update is to name, only the history tells.
            json!({"input": null}),
        ] {
            let pager = Kept::willing();
            let storm = Storm::new(
                |_| CHARGE,
                vec![grouped("pager", &pager, Audience::Developers)],
                Schedule::default(),
            );
            for number in 0..50 {
                let mut event: Value = serde_json::from_str(&event(number, CHARGE)).unwrap();
                let detail = event["detail"].as_object_mut().unwrap();
                detail.extend(change.as_object().unwrap().clone());
                let attempt =
                    MessageAttempt { until: Instant::now() + LONGEST_WORK, last: true, half_open: false };
                storm.pipeline.process_message(&event.to_string(), attempt).await;
            }
            assert_eq!(storm.metric("misstep_failures_inferred_total"), 0.0, "{change}");
        }
    });
}
