//! A worker's pipeline with incidents on paused time, and what its routes got.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use misstep::history::ExecutionReader;
use misstep::incidents::Incidents;
use misstep::incidents::schedule::Schedule;
use misstep::metrics::Metrics;
use misstep::notify::{Audience, Grouping, Route};
use misstep::outcome::Outcome;
use misstep::pipeline::{MapRunChildren, MessageAttempt, Pipeline, PipelineSettings};
use misstep::queue::LONGEST_WORK;
use misstep::redact::Rules;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::failure;
use crate::support::incident_store::{ModelStore, Steps};
use crate::support::kept::Kept;
use crate::support::model::api::route;
use crate::support::model::reader::ModelReader;
use crate::support::model::{Chance, Faults};

/// A store that is away while the test says so.
#[derive(Default)]
pub struct Away(pub AtomicBool);

impl Steps for Away {
    fn fails(&self) -> Option<bool> {
        self.0.load(Ordering::Relaxed).then_some(false)
    }
}

/// A worker's pipeline with incidents, on paused time.
pub struct Bench {
    pub pipeline: Arc<Pipeline>,
    pub incidents: Incidents,
    pub reader: ModelReader,
    stop: CancellationToken,
}

pub fn grouped(name: &str, channel: &Kept, audience: Audience) -> Route {
    let grouping = Grouping::Incident { input_keys: vec!["order_id".to_owned()] };
    Route { grouping, ..route(name, audience, Arc::new(channel.clone())) }
}

pub fn each(name: &str, channel: &Kept) -> Route {
    route(name, Audience::Developers, Arc::new(channel.clone()))
}

impl Bench {
    pub fn new(steps: Arc<dyn Steps>, routes: Vec<Route>) -> Self {
        let reader = ModelReader::new(Faults::default(), Chance::new(0));
        let (pipeline, incidents, stop) =
            pipeline(Arc::new(reader.clone()), None, steps, routes, Schedule::default());
        Self { pipeline, incidents, reader, stop }
    }

    pub async fn handle(&self, number: usize) -> Outcome {
        self.handle_as(number, false).await
    }

    pub async fn handle_as(&self, number: usize, last: bool) -> Outcome {
        let attempt = MessageAttempt { until: Instant::now() + LONGEST_WORK, last, half_open: false };
        self.pipeline.process_message(&failure(number), attempt).await
    }
}

/// A pipeline that keeps incidents on paused time, and sends what is due of them until it is stopped.
pub fn pipeline(
    reader: Arc<dyn ExecutionReader>,
    rate: Option<f64>,
    steps: Arc<dyn Steps>,
    routes: Vec<Route>,
    schedule: Schedule,
) -> (Arc<Pipeline>, Incidents, CancellationToken) {
    let began = Instant::now();
    let clock = Arc::new(move || {
        let at = 1_800_000_000_000 + i64::try_from(began.elapsed().as_millis()).unwrap();
        Timestamp::from_millisecond(at).unwrap()
    });
    let store = Arc::new(ModelStore::new(steps, None));
    let incidents = Incidents::with_clock(store, schedule, clock);
    let scope = PipelineSettings {
        state_machines: Vec::new(),
        map_run_children: MapRunChildren::Fold,
        env: "test".to_owned(),
        application: None,
    };
    let pipeline = Pipeline::new(reader, rate, routes, scope, None, Metrics::new());
    let pipeline = Arc::new(pipeline.keeping(incidents.clone(), &Rules::default()));
    let stop = CancellationToken::new();
    let (tending, until) = (pipeline.clone(), stop.clone());
    tokio::spawn(async move { tending.advance_incidents(until).await });
    (pipeline, incidents, stop)
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub async fn minutes(minutes: u64) {
    tokio::time::sleep(Duration::from_secs(minutes * 60 + 3)).await;
}

pub fn incident(notification: &Value) -> &Value {
    &notification["analysis"]["incident"]
}

pub fn kinds(channel: &Kept) -> Vec<String> {
    channel.taken().iter().map(|taken| incident(taken)["kind"].as_str().unwrap().to_owned()).collect()
}

/// The executions that the notifications name, each once.
pub fn named(channel: &Kept) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for taken in channel.taken() {
        for execution in incident(&taken)["new_executions"].as_array().unwrap() {
            let arn = execution["execution_arn"].as_str().unwrap().to_owned();
            assert!(all.insert(arn), "named twice: {execution}");
        }
    }
    all
}
