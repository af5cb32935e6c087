//! What a search finds, with how many calls: on paused time, or on a stub of Step Functions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{Timestamp, ToSpan as _};
use misstep::aws::arn::{AccountRegion, ExecutionArn, MapRunArn};
use misstep::aws::error::ErrorClass;
use misstep::event::parse;
use misstep::history::throttled::ThrottledReader;
use misstep::history::{
    Call, ExecutionDescription, ExecutionReader, HistoryPage, ListPage, ListedExecution, MapRunDescription,
    PageRequest, ReadError, Status,
};
use misstep::incidents::schedule::Schedule;
use misstep::incidents::store::{FailureRow, IncidentTitle};
use misstep::incidents::{Incidents, NewFailure};
use misstep::memory::MemoryBudget;
use misstep::metrics::Metrics;
use misstep::queue::{EntryError, EntryResults, QueueError};
use misstep::report::incident::ExecutionRole;
use misstep::sweep::event::EventQueue;
use misstep::sweep::pass::Swept;
use misstep::sweep::search::{Search, SweepError};
use misstep::sweep::{Sweep, SweepSettings};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::incident_store::{ModelStore, NoFaults};
use crate::support::on_paused_time;

const ACCOUNT: &str = "123456789012";

fn machine(number: usize) -> String {
    format!("arn:aws:states:eu-west-1:{ACCOUNT}:stateMachine:m{number:03}")
}

/// When everything begins.
fn start() -> Timestamp {
    "2026-11-30T12:00:00Z".parse().unwrap()
}

/// Lists executions, in pages.
#[derive(Default)]
struct Lists {
    machines: Vec<String>,
    executions: Mutex<Vec<ListedExecution>>,
    page: usize,
    /// Emulators list those first that began last.
    by_start: bool,
    denied: Vec<String>,
    calls: AtomicUsize,
    at: Mutex<Vec<Instant>>,
}

impl Lists {
    fn of(machines: usize, page: usize) -> Self {
        Self { machines: (0..machines).map(machine).collect(), page, ..Self::default() }
    }

    /// Has an execution fail, so many minutes after the start.
    fn fails(&self, machine_number: usize, name: &str, status: Status, began: i64, ended: i64) {
        let arn = format!("arn:aws:states:eu-west-1:{ACCOUNT}:execution:m{machine_number:03}:{name}");
        self.executions.lock().unwrap().push(ListedExecution {
            execution: ExecutionArn::parse(&arn).unwrap(),
            state_machine_arn: machine(machine_number),
            status,
            redrive_count: 0,
            started_at: Some(start() + began.minutes()),
            stopped_at: start() + ended.minutes(),
            version_arn: None,
            alias_arn: None,
        });
    }
}

fn paged<T: Clone>(all: &[T], page: usize, token: Option<&str>) -> ListPage<T> {
    let from: usize = token.map_or(0, |token| token.parse().unwrap());
    let items: Vec<T> = all.iter().skip(from).take(page).cloned().collect();
    let end = from + items.len();
    ListPage { items, next_token: (end < all.len()).then(|| end.to_string()) }
}

#[async_trait]
impl ExecutionReader for Lists {
    async fn history_page(&self, _: &ExecutionArn, _: &PageRequest) -> Result<HistoryPage, ReadError> {
        unreachable!("nothing was redriven")
    }

    async fn describe_execution(&self, execution: &ExecutionArn) -> Result<ExecutionDescription, ReadError> {
        let input = Some(format!(r#"{{"started": "{}"}}"#, execution.name()));
        Ok(ExecutionDescription { input, ..ExecutionDescription::default() })
    }

    async fn describe_map_run(&self, _: &MapRunArn) -> Result<MapRunDescription, ReadError> {
        unreachable!("there is no Map run")
    }

    async fn children(&self, _: &MapRunArn, _: Status, _: u32) -> Result<Vec<ExecutionArn>, ReadError> {
        unreachable!("there is no Map run")
    }

    async fn state_machines(
        &self,
        _: &AccountRegion,
        token: Option<&str>,
    ) -> Result<ListPage<String>, ReadError> {
        Ok(paged(&self.machines, self.page, token))
    }

    async fn executions(
        &self,
        machine: &str,
        status: Status,
        token: Option<&str>,
    ) -> Result<ListPage<ListedExecution>, ReadError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.at.lock().unwrap().push(Instant::now());
        if self.denied.iter().any(|denied| denied == machine) {
            let call = Call { operation: "ListExecutions", target: machine.to_owned() };
            return Err(ReadError::new(ErrorClass::Denied, call, "no"));
        }
        let mut all = self.executions.lock().unwrap().clone();
        all.retain(|one| one.state_machine_arn == machine && one.status == status);
        all.sort_by_key(|one| if self.by_start { one.started_at.unwrap() } else { one.stopped_at });
        all.reverse();
        Ok(paged(&all, self.page, token))
    }
}

/// A queue that keeps what is sent, and may refuse everything after so many events.
#[derive(Default)]
struct Sent {
    bodies: Mutex<Vec<String>>,
    most: Option<usize>,
}

impl Sent {
    fn names(&self) -> Vec<String> {
        let bodies = self.bodies.lock().unwrap();
        bodies.iter().map(|body| parse(body).unwrap()[0].execution.name().to_owned()).collect()
    }
}

#[async_trait]
impl EventQueue for Sent {
    async fn put(&self, events: &[String]) -> Result<EntryResults, QueueError> {
        let mut bodies = self.bodies.lock().unwrap();
        let results = events.iter().map(|event| {
            if self.most.is_some_and(|most| bodies.len() >= most) {
                let (code, message) = ("Throttled".to_owned(), "later".to_owned());
                return Err(EntryError { code, message, lost: false });
            }
            bodies.push(event.clone());
            Ok(())
        });
        Ok(results.collect())
    }
}

/// A worker's sweep: every fifteen minutes.
struct Bench {
    lists: Arc<Lists>,
    sent: Arc<Sent>,
    store: Arc<ModelStore>,
    sweep: Sweep,
    metrics: Metrics,
    began: Instant,
}

impl Bench {
    fn new(lists: Lists, sent: Sent) -> Self {
        let (lists, sent) = (Arc::new(lists), Arc::new(sent));
        let store = Arc::new(ModelStore::new(Arc::new(NoFaults), None));
        let began = Instant::now();
        let sweep = sweep_of(lists.clone(), &sent, &store, began);
        Self { lists, sent, store, sweep, metrics: Metrics::new(), began }
    }

    /// Another worker, with another queue or reader.
    fn again(&self, reader: Arc<dyn ExecutionReader>, sent: &Arc<Sent>) -> Sweep {
        sweep_of(reader, sent, &self.store, self.began)
    }

    async fn record(&self, name: &str) {
        let incidents = Incidents::new(self.store.clone(), Schedule::default());
        let executions = self.lists.executions.lock().unwrap().clone();
        let one = executions.iter().find(|one| one.execution.name() == name).unwrap();
        let failure = NewFailure {
            incident: "bug".to_owned(),
            about: IncidentTitle::default(),
            report: "{}".to_owned(),
            pre_key: None,
            row: FailureRow {
                failure: format!("{} {} 0", one.execution, one.status.as_str()),
                execution_arn: one.execution.to_string(),
                ended_at: None,
                recorded_at: start(),
                keys: Default::default(),
                role: ExecutionRole::Cause,
                routes: Vec::new(),
                inferred_by: None,
                number: None,
            },
        };
        incidents.record(&failure).await.unwrap();
    }

    async fn look(&self) -> Result<Swept, SweepError> {
        self.sweep.look(&self.metrics, &CancellationToken::new()).await
    }

    fn complete_through(&self) -> Option<f64> {
        let text = self.metrics.text(misstep::metrics::ExpositionFormat::Prometheus);
        let name = "misstep_sweep_complete_through_timestamp_seconds ";
        text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.parse().unwrap())
    }
}

fn sweep_of(
    reader: Arc<dyn ExecutionReader>,
    sent: &Arc<Sent>,
    store: &Arc<ModelStore>,
    began: Instant,
) -> Sweep {
    let search = Search {
        reader,
        memory: MemoryBudget::unlimited(),
        store: None,
        state_machines: Vec::new(),
        place: AccountRegion { account: ACCOUNT.to_owned(), region: "eu-west-1".to_owned() },
    };
    let settings = SweepSettings {
        every: Some(Duration::from_secs(15 * 60)),
        look_back: Duration::from_secs(24 * 60 * 60),
    };
    let clock = Arc::new(move || start() + jiff::SignedDuration::try_from(began.elapsed()).unwrap());
    Sweep::new(search, store.clone(), sent.clone(), settings, clock)
}

async fn minutes(minutes: u64) {
    tokio::time::sleep(Duration::from_secs(minutes * 60)).await;
}

#[test]
fn what_the_store_does_not_know_is_put_into_the_queue_once_and_as_the_lost_event() {
    on_paused_time(async {
        let lists = Lists::of(2, 2);
        for number in 0..7 {
            lists.fails(number % 2, &format!("old-{number}"), Status::Failed, -90, -60);
        }
        lists.fails(0, "timed-out", Status::TimedOut, -90, -20);
        lists.fails(1, "aborted", Status::Aborted, -90, -10);
        lists.fails(1, "days-ago", Status::Failed, -9_000, -8_000);
        lists.fails(1, "just-now", Status::Failed, -9, -1);
        let bench = Bench::new(lists, Sent::default());
        for number in 0..6 {
            bench.record(&format!("old-{number}")).await;
        }
        assert_eq!(bench.look().await.unwrap(), Swept::Complete);
        let mut names = bench.sent.names();
        names.sort();
        assert_eq!(names, ["aborted", "old-6", "timed-out"]);
        let bodies = bench.sent.bodies.lock().unwrap().clone();
        let change = &parse(&bodies[0]).unwrap()[0];
        assert_eq!((change.status, change.redrive_count), (Status::TimedOut, Some(0)));
        assert_eq!(change.stopped_at, Some(start() - 20.minutes()));
        // It may name the one that took it with it.
        let aborted = parse(&bodies[2]).unwrap().remove(0);
        assert_eq!(
            (aborted.status, aborted.input.as_deref()),
            (Status::Aborted, Some(r#"{"started": "aborted"}"#))
        );
        assert_eq!(change.input, None);
        assert!(bodies.iter().all(|body| body.contains(r#""misstep":{"source":"sweep"}"#)));
        assert_eq!(bench.complete_through(), Some((start() - 5.minutes()).as_second() as f64));

        // Nothing is due; then what was put there is not put there again, though nobody has recorded it.
        assert_eq!(bench.look().await.unwrap(), Swept::Nothing);
        minutes(16).await;
        assert_eq!(bench.look().await.unwrap(), Swept::Complete);
        let mut names = bench.sent.names();
        names.sort();
        assert_eq!(names, ["aborted", "just-now", "old-6", "timed-out"]);
        minutes(16).await;
        assert_eq!(bench.look().await.unwrap(), Swept::Complete);
        assert_eq!(bench.sent.names().len(), 4);
    });
}

#[test]
fn a_pass_ends_at_the_first_page_that_is_older_whatever_the_order() {
    on_paused_time(async {
        for by_start in [false, true] {
            let lists = Lists { by_start, ..Lists::of(1, 10) };
            for number in 0..1_000 {
                lists.fails(0, &format!("old-{number}"), Status::Failed, -10_000 - number, -9_000 - number);
            }
            // Began before some that ended long ago, and has just ended.
            lists.fails(0, "long", Status::Failed, -10_003, -30);
            let bench = Bench::new(lists, Sent::default());
            assert_eq!(bench.look().await.unwrap(), Swept::Complete);
            assert_eq!(bench.sent.names(), ["long"], "by start: {by_start}");
            // Two pages of those that failed, one of each other status.
            assert_eq!(bench.lists.calls.load(Ordering::Relaxed), 4, "by start: {by_start}");
        }
    });
}

#[test]
fn a_pass_that_was_cut_off_goes_on_where_it_was_and_its_end_does_not_move_before() {
    on_paused_time(async {
        let lists = Lists::of(5, 2);
        for number in 0..15 {
            lists.fails(number % 5, &format!("lost-{number}"), Status::Failed, -90, -60);
        }
        let bench = Bench::new(lists, Sent { most: Some(7), ..Sent::default() });
        assert!(matches!(bench.look().await, Err(SweepError::Refused(_))));
        assert_eq!((bench.sent.names().len(), bench.complete_through()), (7, None));
        let calls = bench.lists.calls.load(Ordering::Relaxed);
        let rest = Arc::new(Sent::default());
        let other = bench.again(bench.lists.clone(), &rest);
        let metrics = Metrics::new();
        let stop = CancellationToken::new();
        assert_eq!(other.look(&metrics, &stop).await.unwrap(), Swept::Complete);
        let mut names = [bench.sent.names(), rest.names()].concat();
        names.sort();
        names.dedup();
        assert_eq!((names.len(), bench.sent.names().len() + rest.names().len()), (15, 15), "each once");
        let again = bench.lists.calls.load(Ordering::Relaxed) - calls;
        assert!(again < 5 * 4, "{again}: the state machines that were done with are not listed again");
    });
}

#[test]
fn while_one_worker_sweeps_another_does_not_and_takes_over_when_it_is_gone() {
    on_paused_time(async {
        let lists = Lists::of(3, 2);
        for number in 0..9 {
            lists.fails(number % 3, &format!("lost-{number}"), Status::Failed, -90, -60);
        }
        let bench = Bench::new(lists, Sent::default());
        let (metrics, stop) = (Metrics::new(), CancellationToken::new());
        {
            let mut dying = Box::pin(bench.look());
            // As far as it comes in a few steps; then its process is gone.
            for _ in 0..12 {
                let step = std::future::poll_fn(|context| {
                    std::task::Poll::Ready(dying.as_mut().poll(context).is_ready())
                });
                assert!(!step.await);
            }
        }
        let other = bench.again(bench.lists.clone(), &bench.sent);
        assert_eq!(other.look(&metrics, &stop).await.unwrap(), Swept::Nothing, "its lease holds");
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(other.look(&metrics, &stop).await.unwrap(), Swept::Complete);
        let mut names = bench.sent.names();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 9);
    });
}

#[test]
fn what_cannot_be_listed_holds_up_no_other_and_the_pass_is_not_complete() {
    on_paused_time(async {
        let lists = Lists { denied: vec![machine(0)], ..Lists::of(2, 10) };
        lists.fails(0, "hidden", Status::Failed, -90, -60);
        lists.fails(1, "lost", Status::Failed, -90, -60);
        let bench = Bench::new(lists, Sent::default());
        assert_eq!(bench.look().await.unwrap(), Swept::Complete);
        assert_eq!((bench.sent.names(), bench.complete_through()), (vec!["lost".to_owned()], None));
        // Once it can be, what it hid is found, and nothing is sent twice.
        let allowed = Lists {
            executions: Mutex::new(bench.lists.executions.lock().unwrap().clone()),
            ..Lists::of(2, 10)
        };
        minutes(20).await;
        let other = bench.again(Arc::new(allowed), &bench.sent);
        let swept = other.look(&bench.metrics, &CancellationToken::new()).await.unwrap();
        assert_eq!(
            (swept, bench.sent.names()),
            (Swept::Complete, vec!["lost".to_owned(), "hidden".to_owned()])
        );
        assert!(bench.complete_through().is_some());
    });
}

#[test]
fn two_hundred_state_machines_stay_within_the_quota() {
    on_paused_time(async {
        let lists = Arc::new(Lists::of(200, 1_000));
        let sent = Arc::new(Sent::default());
        let store = Arc::new(ModelStore::new(Arc::new(NoFaults), None));
        let reader = ThrottledReader::new(lists.clone(), Some(10.0), Metrics::new());
        let began = Instant::now();
        let sweep = sweep_of(Arc::new(reader), &sent, &store, began);
        let swept = sweep.look(&Metrics::new(), &CancellationToken::new()).await.unwrap();
        assert_eq!(swept, Swept::Complete);
        let at = lists.at.lock().unwrap().clone();
        let took = began.elapsed().as_secs();
        println!("{} calls of ListExecutions took {took} s", at.len());
        assert_eq!(at.len(), 600);
        assert!((590..15 * 60).contains(&took), "{took}: within the time between two passes");
        // AWS refills two a second, in most regions; half of it is for others.
        for window in at.windows(61) {
            assert!(window[60] - window[0] >= Duration::from_secs(54), "60 calls in a minute and a few more");
        }
    });
}
