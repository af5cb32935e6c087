//! `misstep sweep`: lists failures that have not arrived, and puts them into the queue.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};
use jiff::Timestamp;
use serde_json::json;

use super::error::CliError;
use super::{Exit, aws, count, incidents, print, run_async, sources};
use crate::aws::arn::{AccountRegion, state_machine_name};
use crate::config::SweepCommandSettings;
use crate::history::sfn::SfnReader;
use crate::history::throttled::ThrottledReader;
use crate::memory::{self, MemoryBudget};
use crate::metrics::Metrics;
use crate::queue::sqs::SqsQueue;
use crate::queue::{Queue as _, account_in_url};
use crate::report::value::harmless;
use crate::settings::values::duration;
use crate::sweep::pass::BACKLOG;
use crate::sweep::search::{MissingFailure, Search, SweepError};
use crate::sweep::{Period, Sweep};
use crate::telemetry;

pub(super) fn command() -> Command {
    Command::new("sweep")
        .about("Lists failed executions whose events never arrived, which the incident store does not know")
        .arg(
            Arg::new("since")
                .long("since")
                .value_name("TIME")
                .default_value("24h")
                .help("How far to look back: 90m, 24h, 7d"),
        )
        .arg(
            Arg::new("yes")
                .long("yes")
                .action(ArgAction::SetTrue)
                .help("Put them into the queue, for the worker to handle; without it nothing is changed"),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(["text", "json"])
                .default_value("text")
                .help("How they are printed"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<Exit, CliError> {
    let settings = sources(matches).sweep().map_err(CliError::Settings)?;
    let since = matches.get_one::<String>("since").expect("it has a default");
    let look_back = duration(since).map_err(|error| CliError::Failed(format!("--since: {error}")))?;
    let period = Period::before(Timestamp::now(), look_back, &settings.sweep);
    let _log = telemetry::start(&settings.common.log, settings.common.log_format);
    run_async(sweep(&settings, period, matches))?
}

/// What was found.
#[derive(Debug, Default)]
struct FoundFailures {
    listed: usize,
    missing: Vec<MissingFailure>,
    /// State machines that could not be listed, and why.
    unlisted: Vec<(String, String)>,
}

async fn sweep(
    settings: &SweepCommandSettings,
    period: Period,
    matches: &ArgMatches,
) -> Result<Exit, CliError> {
    let puts = matches.get_flag("yes");
    let aws = aws::load_in_time().await?;
    let store = incidents::open(&settings.store, Some(&aws)).await?;
    let target = match (puts, &store, &settings.queue_url) {
        (false, ..) => None,
        (true, Some(store), Some(url)) => Some((store.clone(), SqsQueue::new(&aws, url))),
        (true, None, _) => {
            return Err(CliError::failed(
                "--yes needs an incident store (MISSTEP_INCIDENT_STORE): without one it is not known which failures have arrived",
            ));
        }
        (true, _, None) => return Err(CliError::failed("--yes needs the queue: set MISSTEP_QUEUE_URL")),
    };
    let waiting = match &settings.queue_url {
        Some(url) => SqsQueue::new(&aws, url).counts().await.map_err(CliError::Queue)?.visible,
        None => 0,
    };
    if puts && waiting > BACKLOG {
        return Err(CliError::Failed(format!(
            "{waiting} messages wait on the queue: what is missing from the store may be among them, and would be put there once more; wait until the worker is through"
        )));
    }
    let reader = Arc::new(SfnReader::new(&aws));
    let region = aws.region().map(ToString::to_string).unwrap_or_default();
    let search = Search {
        reader: Arc::new(ThrottledReader::new(reader, settings.common.history_rate, Metrics::new())),
        memory: MemoryBudget::new(memory::DEFAULT),
        store: store.clone(),
        state_machines: settings.state_machines.clone(),
        place: AccountRegion {
            account: settings.queue_url.as_deref().and_then(account_in_url).unwrap_or_default().to_owned(),
            region,
        },
    };
    let found = find(&search, period).await.map_err(CliError::Sweep)?;
    let put = match target {
        None => None,
        Some((store, queue)) => {
            let (settings, clock) = (settings.sweep.clone(), Arc::new(Timestamp::now));
            let sweep = Sweep::new(search, store, Arc::new(queue), settings, clock);
            Some(sweep.put_and_note(&found.missing).await.map_err(CliError::Sweep)?)
        }
    };
    let compared = store.map(|store| store.name());
    let is_json = matches.get_one::<String>("format").is_some_and(|format| format == "json");
    print(&if is_json { as_json(&found, period, put) } else { text(&found, period, compared, put) })?;
    if waiting > 0 {
        let waiting = count(usize::try_from(waiting).unwrap_or(usize::MAX), "message");
        anstream::eprintln!("misstep: {waiting} on the queue: some of these failures may be among them");
    }
    for (state_machine, why) in &found.unlisted {
        anstream::eprintln!(
            "misstep: {state_machine} could not be listed: {why}; allow states:ListExecutions"
        );
    }
    Ok(if found.unlisted.is_empty() { Exit::Done } else { Exit::Failed })
}

async fn find(search: &Search, period: Period) -> Result<FoundFailures, SweepError> {
    let mut found = FoundFailures::default();
    for state_machine in search.state_machines().await? {
        let mut pages = search.of(&state_machine, period, period.since);
        loop {
            match pages.next().await {
                Ok(None) => break,
                Ok(Some(page)) => {
                    found.listed += page.listed;
                    found.missing.extend(page.missing);
                }
                Err(SweepError::Read(error)) if !error.class().is_passing() => {
                    found.unlisted.push((state_machine, telemetry::chain(&error).to_string()));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
    found.missing.sort_by_key(|missing| Reverse(missing.failure.stopped_at));
    Ok(found)
}

fn text(found: &FoundFailures, period: Period, store: Option<String>, put: Option<usize>) -> String {
    let mut text = String::new();
    for MissingFailure { failure, .. } in &found.missing {
        let machine = state_machine_name(&failure.state_machine_arn).unwrap_or_default();
        let redrives = match failure.redrive_count {
            0 => String::new(),
            redrives => format!("  after {}", count(redrives as usize, "redrive")),
        };
        let _infallible = writeln!(
            text,
            "{}  {:9}  {}  {}{redrives}",
            failure.stopped_at.strftime("%Y-%m-%d %H:%M:%SZ"),
            failure.status.as_str(),
            harmless(machine),
            failure.execution
        );
    }
    let shown = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    let between = format!("from {} to {}", shown(period.since), shown(period.until));
    let failures = count(found.listed, "failure");
    let _infallible = match store {
        None => writeln!(
            text,
            "{failures} {between}; there is no incident store (MISSTEP_INCIDENT_STORE), so which of them have arrived is not known"
        ),
        Some(store) => writeln!(
            text,
            "{} not in {store}, of {failures} {between}; younger ones may be on their way",
            found.missing.len()
        ),
    };
    match put {
        Some(put) => {
            let before = found.missing.len().saturating_sub(put);
            let _infallible = writeln!(
                text,
                "{} put into the queue; {before} were put there before",
                count(put, "failure")
            );
        }
        None if found.missing.is_empty() => {}
        None => text.push_str(
            "nothing was changed; with an incident store, --yes puts what has not arrived into the queue\n",
        ),
    }
    text
}

fn as_json(found: &FoundFailures, period: Period, put: Option<usize>) -> String {
    let missing = found.missing.iter().map(|MissingFailure { failure, .. }| {
        json!({
            "execution_arn": failure.execution.as_str(),
            "state_machine_arn": failure.state_machine_arn,
            "status": failure.status.as_str(),
            "redrive_count": failure.redrive_count,
            "started_at": failure.started_at,
            "stopped_at": failure.stopped_at,
        })
    });
    let all = json!({
        "since": period.since,
        "until": period.until,
        "listed": found.listed,
        "missing": missing.collect::<Vec<_>>(),
        "put_into_queue": put,
    });
    format!("{all:#}\n")
}
