//! The worker against the model: nothing is lost, whatever breaks, seed after seed.

use std::sync::Arc;
use std::time::Duration;

use misstep::metrics::Metrics;
use misstep::notify::Route;
use misstep::pipeline::MapRunChildren;
use misstep::pipeline::{Pipeline, PipelineSettings};
use misstep::queue::Queue;
use misstep::worker::{Worker, WorkerSettings};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::failure;
use crate::support::model::api::{ModelApi, routes};
use crate::support::model::queue::ModelQueue;
use crate::support::model::reader::ModelReader;
use crate::support::model::{Chance, Event, Faults, Record};

/// What a run is made of; tests change what they are about.
pub struct Plan {
    pub seed: u64,
    pub faults: Faults,
    pub visibility_timeout: Duration,
    pub max_receive_count: u32,
    pub concurrency: usize,
    pub grace: Duration,
    /// Whether the worker hears that it is asked to stop.
    pub hears_stop: bool,
    pub wrap_queue: fn(ModelQueue) -> Arc<dyn Queue>,
    pub routes: fn(ModelApi) -> Vec<Route>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 0,
            faults: Faults::default(),
            visibility_timeout: Duration::from_secs(30),
            max_receive_count: 1_000,
            concurrency: 8,
            grace: Duration::from_secs(25),
            hears_stop: true,
            wrap_queue: |queue| Arc::new(queue),
            routes: |api| routes(Arc::new(api)),
        }
    }
}

/// A worker at work on the model.
pub struct Run {
    pub queue: ModelQueue,
    pub api: ModelApi,
    pub reader: ModelReader,
    pub record: Record,
    stop: CancellationToken,
    working: JoinHandle<()>,
}

impl Run {
    pub fn start(plan: &Plan) -> Self {
        let chance = Chance::new(plan.seed);
        fastrand::seed(plan.seed);
        let record = Record::default();
        let queue = ModelQueue::new(
            plan.visibility_timeout,
            plan.max_receive_count,
            plan.faults,
            chance.clone(),
            record.clone(),
        );
        let api = ModelApi::new(plan.faults, chance.clone(), record.clone());
        let reader = ModelReader::new(plan.faults, chance);
        let stop = CancellationToken::new();
        let heard = if plan.hears_stop { stop.clone() } else { CancellationToken::new() };
        let working = tokio::spawn(work(plan, &queue, &api, &reader, heard));
        Self { queue, api, reader, record, stop, working }
    }

    /// Sends the failures of so many executions.
    pub fn send_failures(&self, count: usize) {
        for number in 0..count {
            self.queue.send(failure(number));
        }
    }

    /// Waits until nothing is left on the queue; fails after a day of the model's time.
    pub async fn settled(&self) {
        let until = Instant::now() + Duration::from_secs(86_400);
        while !crate::support::model::check::unsettled(&self.queue.stored()).is_empty() {
            assert!(Instant::now() < until, "a day has passed: {:?}", self.queue.stored());
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Stops the worker and waits for its end.
    pub async fn stop(&mut self) {
        self.ask_to_stop();
        (&mut self.working).await.unwrap();
        self.record.add(Event::Stopped);
    }

    /// Starts another worker on the same queue.
    pub fn start_again(&mut self, plan: &Plan) {
        self.record.add(Event::Started);
        self.stop = CancellationToken::new();
        self.working = tokio::spawn(work(plan, &self.queue, &self.api, &self.reader, self.stop.clone()));
    }

    /// Asks the worker to stop, and waits for nothing.
    pub fn ask_to_stop(&self) {
        self.record.add(Event::StopAsked);
        self.stop.cancel();
    }

    /// Checks the record; fails with every broken promise.
    pub fn check(&self) {
        let broken = self.broken();
        assert!(broken.is_empty(), "{broken:#?}");
    }

    pub fn broken(&self) -> Vec<String> {
        crate::support::model::check::broken(
            &self.record,
            &self.queue.stored(),
            self.queue.visibility_timeout(),
        )
    }

    pub fn notified(&self) -> usize {
        self.record.count(|event| matches!(event, Event::Notified { .. }))
    }

    pub fn dead(&self) -> usize {
        self.record.count(|event| matches!(event, Event::DeadLettered { .. } | Event::Redriven { .. }))
    }
}

fn work(
    plan: &Plan,
    queue: &ModelQueue,
    api: &ModelApi,
    reader: &ModelReader,
    stop: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let scope = PipelineSettings {
        state_machines: Vec::new(),
        map_run_children: MapRunChildren::Fold,
        env: "test".to_owned(),
        application: None,
    };
    let pipeline = Pipeline::new(
        Arc::new(reader.clone()),
        None,
        (plan.routes)(api.clone()),
        scope,
        None,
        Metrics::new(),
    );
    let settings = WorkerSettings {
        queue_name: "model".to_owned(),
        concurrency: plan.concurrency,
        poll_wait: Duration::from_secs(10),
        grace: plan.grace,
        until_empty: false,
        dead_letter_url: Some("model-dlq".to_owned()),
        largest_dead_letter: None,
        max_receive_count: Some(plan.max_receive_count),
    };
    let queue_of_worker = (plan.wrap_queue)(queue.clone());
    let queue = queue.clone();
    async move {
        let attributes = queue.attributes().await.unwrap();
        Worker::new(queue_of_worker, &attributes, pipeline, settings).run(stop).await.unwrap();
    }
}

mod bodies;
mod dead_letters;
mod faults;
mod mutants;
mod promises;
