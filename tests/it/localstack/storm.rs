//! Everything at once: many failures, an API that answers a third of the time with anything but a
//! success, and two workers on the queue, each killed three times.
//!
//! Which process sent a notification is known by the path it was sent to. Every duplicate has to be
//! explained: a notification that the API took may come again because the answer was lost, because
//! the process that sent it was killed, or because that process, as its log shows, lost the lease on
//! the message or gave it back since the other audience could not be notified; and for no other reason.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::stage::Stage;
use crate::support::receiver::{Answer, Received, Receiver};
use crate::support::worker_process::WorkerProcess;

/// Of so many failing executions; `make storm` makes more.
const FAILURES: usize = 24;

/// How many of a hundred requests meet something else than a 204.
const FOUL: u8 = 30;

const WORKERS: [&str; 2] = ["a", "b"];
const KILLS: usize = 3;

/// Until everybody was notified.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a worker makes of an answer that the API gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    Taken,
    Refused,
    /// The API took it and the worker cannot know.
    Lost,
}

/// A request as the API saw it.
#[derive(Debug, Clone)]
struct Entry {
    key: String,
    process: String,
    given: Given,
}

/// What the API did, in order.
type Ledger = Arc<Mutex<Vec<Entry>>>;

/// An API with bad weather, the same for the same seed and order of requests.
fn foul_weather(receiver: &Receiver, seed: u64) -> Ledger {
    let ledger = Ledger::default();
    let mut random = fastrand::Rng::with_seed(seed);
    let kept = ledger.clone();
    receiver.answer_by(move |request| {
        let (given, answer) = if random.u8(..100) >= FOUL {
            (Given::Taken, Answer::status(204))
        } else {
            match random.u8(..6) {
                0 => (Given::Refused, Answer::status(500)),
                1 => (Given::Refused, Answer::status(503)),
                2 => (Given::Refused, Answer::status(429).header("retry-after", 1)),
                3 => (Given::Lost, Answer::Reset),
                // Its status came, and says all: the notification was taken.
                4 => (Given::Taken, Answer::Half(200)),
                _ => (Given::Lost, Answer::Silence),
            }
        };
        let key = request.header("idempotency-key").expect("each has one").to_owned();
        let process = request.path.clone();
        kept.lock().expect("nobody panics with the ledger in hand").push(Entry { key, process, given });
        Some(answer)
    });
    ledger
}

/// Executions and audiences whose notification the API accepted.
fn taken(ledger: &Ledger) -> HashMap<String, usize> {
    let ledger = ledger.lock().expect("nobody panics with the ledger in hand");
    let mut taken = HashMap::new();
    for entry in ledger.iter().filter(|entry| entry.given != Given::Refused) {
        *taken.entry(entry.key.clone()).or_default() += 1;
    }
    taken
}

/// One worker's lives, each but the last with its end.
struct Lives {
    last: WorkerProcess,
    path: String,
    /// By the path that each of the killed processes sent to.
    killed: BTreeMap<String, String>,
}

impl Lives {
    async fn lead(stage: &Stage, receiver: &Receiver, name: &str, each: usize) -> Self {
        let mut killed = BTreeMap::new();
        for life in 0..KILLS {
            let (path, mut worker) = start(stage, receiver, name, life);
            let of_this =
                |received: &[Received]| received.iter().filter(|request| request.path == path).count();
            let busy = receiver.wait_until(PATIENCE, |received| of_this(received) >= each).await;
            assert!(busy.is_some(), "{path} did not send {each} notifications");
            worker.kill().await;
            killed.insert(path, worker.log());
        }
        let (path, last) = start(stage, receiver, name, KILLS);
        Self { last, path, killed }
    }

    /// Asks the last process to stop, and returns what became of each, by its path.
    async fn end(mut self) -> BTreeMap<String, Life> {
        assert_eq!(self.last.stop().await, Some(0));
        let killed = self.killed.into_iter().map(|(path, log)| (path, Life { was_killed: true, log }));
        killed.chain([(self.path, Life { was_killed: false, log: self.last.log() })]).collect()
    }
}

/// What is known of one process.
struct Life {
    was_killed: bool,
    log: String,
}

impl Life {
    /// Whether a message about this execution ended so.
    fn ended(&self, outcome: &str, execution: &str) -> bool {
        let (outcome, execution) =
            (format!(r#""outcome":"{outcome}""#), format!(r#""execution.arn":"{execution}""#));
        self.log.lines().any(|line| line.contains(&outcome) && line.contains(&execution))
    }
}

fn start(stage: &Stage, receiver: &Receiver, name: &str, life: usize) -> (String, WorkerProcess) {
    let url = format!("{}/{name}{life}", receiver.url);
    let path = format!("/notify/{name}{life}");
    // Few at once, so that both have something to do.
    let few = ("MISSTEP_CONCURRENCY", "4");
    // Longer than a busy machine holds up an answer that is no silence.
    (path, stage.worker(&url, &[few, ("MISSTEP_NOTIFY_TIMEOUT_SECS", "5")]))
}

#[tokio::test]
async fn every_failure_is_notified_of_in_a_storm_and_every_duplicate_explained() {
    let failures: usize = std::env::var("STORM_FAILURES").map_or(FAILURES, |count| count.parse().unwrap());
    let began = Instant::now();
    let receiver = Receiver::start().await;
    let ledger = foul_weather(&receiver, 7);
    let stage = Stage::set_up("storm", &[], &[("VisibilityTimeoutSeconds", "10")]).await;
    let run = async {
        let mut executions = Vec::new();
        while executions.len() < failures {
            executions.extend(stage.run().await.into_values());
        }
        executions
    };
    // Each is killed once it has sent its share; after the last kill half is left for both.
    let each = (failures / (2 * KILLS)).max(2);
    let [a, b] = WORKERS;
    let (executions, a, b) =
        tokio::join!(run, Lives::lead(&stage, &receiver, a, each), Lives::lead(&stage, &receiver, b, each));
    // The queue is empty too while an event is still on its way to it.
    let sent = |received: &[Received]| received.iter().map(whom).collect::<HashSet<_>>().len();
    receiver.wait_until(PATIENCE, |received| sent(received) >= 2 * executions.len()).await;
    stage.wait_until_empty_for(PATIENCE).await;
    let mut lives = a.end().await;
    lives.extend(b.end().await);

    let told = taken(&ledger);
    let mut keys: HashMap<(String, String), String> = HashMap::new();
    for request in receiver.received() {
        let key = request.header("idempotency-key").expect("each has one").to_owned();
        let whom = whom(&request);
        assert_eq!(*keys.entry(whom.clone()).or_insert_with(|| key.clone()), key, "{whom:?}");
    }
    for execution in &executions {
        for audience in ["INTERNAL_ENQUIRY_ERROR", "ASSESTIVE_ENQUIRY_ERROR"] {
            let key = keys.get(&(execution.clone(), audience.to_owned()));
            assert!(key.is_some_and(|key| told.contains_key(key)), "{execution}: {audience} was not told");
        }
    }
    assert_eq!(stage.dead_letters().await, []);
    assert_eq!(keys.len(), 2 * executions.len(), "nothing but these failures was delivered");

    let execution_of: HashMap<&str, &str> =
        keys.iter().map(|((execution, _), key)| (key.as_str(), execution.as_str())).collect();
    let explained = explain(&ledger, &lives, &execution_of);
    println!(
        "storm: {} failures, {} requests, {} taken or lost on the way back, {} killed, duplicates: {explained:?}; {:.0} s",
        executions.len(),
        receiver.received().len(),
        told.values().sum::<usize>(),
        lives.values().filter(|life| life.was_killed).count(),
        began.elapsed().as_secs_f64(),
    );
    assert_eq!(explained.get(UNEXPLAINED), None, "{:#?}", ledger.lock());
}

/// The execution and the audience that a notification is about.
fn whom(request: &Received) -> (String, String) {
    let body = request.json();
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    (text(&body["data"]["event_info"]["execution_arn"]), text(&body["emailType"]))
}

const UNEXPLAINED: &str = "unexplained";

/// Why notifications came again that the API had taken, and how many of each.
fn explain(
    ledger: &Ledger,
    lives: &BTreeMap<String, Life>,
    execution_of: &HashMap<&str, &str>,
) -> BTreeMap<&'static str, usize> {
    let ledger = ledger.lock().expect("nobody panics with the ledger in hand");
    let mut taken: HashMap<&str, &Entry> = HashMap::new();
    let mut reasons = BTreeMap::new();
    for entry in ledger.iter() {
        let key = entry.key.as_str();
        if let Some(first) = taken.get(key) {
            let life = &lives[&first.process];
            let reason = match first.given {
                Given::Lost => "lost answer",
                // A process remembers what it delivered.
                _ if first.process == entry.process => UNEXPLAINED,
                _ if life.was_killed => "kill",
                _ if life.ended("lease-lost", execution_of[key]) => "lost lease",
                _ if life.ended("released", execution_of[key]) => "released",
                _ => UNEXPLAINED,
            };
            if entry.given != Given::Refused || reason == UNEXPLAINED {
                *reasons.entry(reason).or_default() += 1;
            }
        }
        if entry.given != Given::Refused {
            taken.insert(key, entry);
        }
    }
    reasons
}
