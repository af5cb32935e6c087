//! `misstep work`: the worker on the queue.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use jiff::Timestamp;
use tracing::{error, info, warn};

use super::error::CliError;
use super::{Exit, aws, run_async, sources};
use crate::admin::{Admin, View};
use crate::aws::arn::AccountRegion;
use crate::config;
use crate::history::sfn::SfnReader;
use crate::incidents::Incidents;
use crate::logs;
use crate::memory::MemoryBudget;
use crate::metrics::Metrics;
use crate::notify;
use crate::notify::settings::RouteSettings;
use crate::pipeline::{Pipeline, PipelineSettings};
use crate::queue::sqs::SqsQueue;
use crate::queue::{Queue, QueueAttributes, account_in_url, backlog};
use crate::sweep::Sweep;
use crate::sweep::search::Search;
use crate::telemetry::LogFormat;
use crate::worker::{Worker, WorkerSettings};
use crate::{shutdown, telemetry};

/// How long the last spans may take to leave when the worker has ended.
const LONGEST_EXPORT: Duration = Duration::from_secs(5);

pub(super) fn command() -> Command {
    Command::new("work")
        .about("Works on the queue of failure events until SIGTERM or SIGINT, then drains")
        .arg(
            Arg::new("until-empty")
                .long("until-empty")
                .action(ArgAction::SetTrue)
                .help("End once the queue holds nothing and nothing is in hand"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<Exit, CliError> {
    let settings = sources(matches).work().map_err(CliError::Settings)?;
    telemetry::tell_panics();
    let (log, traces) = telemetry::start_with_traces(&settings.common.log, settings.common.log_format);
    let is_json = settings.common.log_format == LogFormat::Json;
    let longest_export = settings.shutdown_grace.min(LONGEST_EXPORT);
    let ended = run_async(work(settings, matches.get_flag("until-empty"), &log)).and_then(|ended| ended);
    traces.end(longest_export);
    match ended {
        Ok(()) => Ok(Exit::Done),
        // Among lines of JSON it is one too.
        Err(error) if is_json && tracing::enabled!(tracing::Level::ERROR) => {
            error!("{}", telemetry::chain(&error));
            Ok(error.exit())
        }
        // What led to it comes first: the log ends before this is shown.
        Err(error) => Err(error),
    }
}

async fn work(
    settings: config::WorkSettings,
    until_empty: bool,
    log: &telemetry::Log,
) -> Result<(), CliError> {
    let stop = shutdown::install().map_err(CliError::Signals)?;
    let metrics = Metrics::new();
    // Ends with the runtime.
    let counted = metrics.clone();
    tokio::spawn(log.watch(move |dropped| counted.log_lines_dropped(dropped)));
    let view = View::new(metrics.clone());
    serve(settings.admin_addr, view.clone()).await?;
    let Built { worker, queue_url, sweep } = tokio::select! {
        biased;
        // Asked to stop before anything was begun.
        () = stop.cancelled() => return Ok(()),
        built = tokio::time::timeout(aws::START_TIMEOUT, build(&settings, until_empty, metrics.clone())) => {
            built.map_err(|_elapsed| CliError::StartTimeout(aws::START_TIMEOUT))??
        }
    };
    view.watch(worker.health());
    info!(version = env!("CARGO_PKG_VERSION"), queue = queue_url, "worker started");
    if let Some((sweep, queue)) = sweep {
        let stop = stop.clone();
        // Ends with the runtime; another worker goes on with its pass.
        tokio::spawn(async move { sweep.keep(&queue, &metrics, &stop).await });
    }
    worker.run(stop).await.map_err(CliError::Poll)?;
    Ok(())
}

/// Serves health and metrics, where that is wanted, for as long as the runtime runs. Where another
/// process has the default address, most likely a second worker on this machine, this one works without.
async fn serve(address: Option<SocketAddr>, view: View) -> Result<(), CliError> {
    let Some(address) = address else { return Ok(()) };
    let admin = match Admin::bind(address).await {
        Ok(admin) => admin,
        Err(error) if error.kind() == ErrorKind::AddrInUse && address.to_string() == admin_addr_default() => {
            warn!(%address, "another process has the default address of health and metrics; this one serves none. Set MISSTEP_ADMIN_ADDR");
            return Ok(());
        }
        Err(error) => {
            return Err(CliError::Failed(format!(
                "health and metrics cannot be served on {address}: {error}; set MISSTEP_ADMIN_ADDR to a free address, or to off"
            )));
        }
    };
    tokio::spawn(admin.serve(view));
    Ok(())
}

fn admin_addr_default() -> &'static str {
    let setting = config::SETTINGS.iter().find(|setting| setting.key == "admin_addr");
    setting.and_then(|setting| setting.default).expect("it has a default")
}

/// What is built before the work begins.
struct Built {
    worker: Arc<Worker>,
    queue_url: String,
    /// The sweep, and the queue that it looks at.
    sweep: Option<(Sweep, SqsQueue)>,
}

/// Builds the worker with the real clients, having read the queue's attributes.
async fn build(
    settings: &config::WorkSettings,
    until_empty: bool,
    metrics: Metrics,
) -> Result<Built, CliError> {
    let aws = aws::load(metrics.clone()).await?;
    let queue: Arc<dyn Queue> = Arc::new(SqsQueue::new(&aws, &settings.queue_url));
    let mut attributes = queue.attributes().await.map_err(CliError::Queue)?;
    if attributes.visibility_timeout < Duration::from_secs(1) {
        return Err(CliError::Failed(format!(
            "the visibility timeout of {} is 0: every message would be handed out again at once; set it to 30 s or more",
            settings.queue_url
        )));
    }
    if let Some(url) = &settings.dlq_url {
        attributes.dead_letter_url = Some(url.clone());
    }
    warn_of(&attributes);
    let routes = notify::settings::connect(&settings.routes, Some(&aws)).into_iter().zip(&settings.routes);
    let routes = routes
        .map(|(route, its)| route.map_err(|error| CliError::Route { name: its.name.clone(), source: error }));
    let routes = routes.collect::<Result<_, CliError>>()?;
    log_routes(&settings.routes);
    let scope = PipelineSettings {
        state_machines: settings.state_machines.clone(),
        map_run_children: settings.map_run_children,
        env: settings.common.env.clone(),
        application: settings.common.application.clone(),
    };
    let reader = SfnReader::new(&aws);
    let region = aws.region().map(ToString::to_string).unwrap_or_default();
    let home = account_in_url(&settings.queue_url)
        .map(|account| AccountRegion { account: account.to_owned(), region: region.clone() });
    let pipeline = Pipeline::new(
        Arc::new(reader),
        settings.common.history_rate,
        routes,
        scope,
        home.clone(),
        metrics.clone(),
    );
    let pipeline = pipeline.within(MemoryBudget::new(settings.memory_budget));
    let shows_logs = settings.routes.iter().any(|route| route.logs);
    let pipeline = match logs::reader(&aws).filter(|_| shows_logs) {
        Some(reader) => pipeline.reading_logs(reader),
        None => pipeline,
    };
    let store = settings.incidents.store.open(Some(&aws)).await?;
    let sweep = store.clone().filter(|_| !until_empty && settings.sweep.every.is_some()).map(|store| {
        let search = Search {
            reader: pipeline.reader(),
            memory: pipeline.memory().clone(),
            store: None,
            state_machines: settings.state_machines.clone(),
            place: home.unwrap_or_else(|| AccountRegion { account: String::new(), region }),
        };
        let events = Arc::new(SqsQueue::new(&aws, &settings.queue_url));
        let clock = Arc::new(Timestamp::now);
        let sweep = Sweep::new(search, store, events, settings.sweep.clone(), clock);
        (sweep, SqsQueue::new(&aws, &settings.queue_url))
    });
    let pipeline = match store {
        Some(store) => {
            info!(store = store.name(), "incidents are kept");
            let incidents = Incidents::new(store, settings.incidents.schedule.clone());
            pipeline.keeping(incidents, &settings.common.redaction)
        }
        None => pipeline,
    };
    let dead_letters = attributes
        .dead_letter_url
        .as_ref()
        .map(|url| -> Arc<dyn Queue> { Arc::new(SqsQueue::new(&aws, url)) });
    let largest_dead_letter = match &dead_letters {
        Some(queue) => largest_message(queue.as_ref()).await,
        None => None,
    };
    // Ends with the runtime.
    tokio::spawn(backlog::watch(queue.clone(), dead_letters, metrics));
    let worker_settings = WorkerSettings {
        queue_name: settings.queue_url.rsplit('/').next().unwrap_or_default().to_owned(),
        concurrency: settings.concurrency,
        poll_wait: settings.poll_wait,
        grace: settings.shutdown_grace,
        until_empty,
        dead_letter_url: attributes.dead_letter_url.clone(),
        largest_dead_letter,
        max_receive_count: attributes.max_receive_count,
    };
    let worker = Worker::new(queue, &attributes, pipeline, worker_settings);
    Ok(Built { worker, queue_url: settings.queue_url.clone(), sweep })
}

/// The largest message that the dead-letter queue takes; a worker that may not know it still works.
async fn largest_message(dead_letters: &dyn Queue) -> Option<usize> {
    match dead_letters.attributes().await {
        Ok(attributes) => attributes.largest_message,
        Err(error) => {
            warn!(
                error = telemetry::chain(&error),
                "the dead-letter queue cannot be read; allow sqs:GetQueueAttributes, so that what goes there keeps to its MaximumMessageSize"
            );
            None
        }
    }
}

fn log_routes(routes: &[RouteSettings]) {
    for route in routes {
        let RouteSettings { name, audience, channel, required, .. } = route;
        info!(route = name, %audience, channel, required, "route configured");
    }
    if !routes.iter().any(|route| route.required) {
        warn!("no route is required: messages are deleted whether anybody was told or not");
    }
}

fn warn_of(attributes: &QueueAttributes) {
    if attributes.dead_letter_url.is_none() {
        warn!("the queue has no dead-letter queue: messages that can never pass will stay on it");
    }
    if let Some(count @ 0..3) = attributes.max_receive_count {
        warn!(
            max_receive_count = count,
            "the queue dead-letters a message after very few receives; 3 to 5 is usual"
        );
    }
}
