//! `misstep check`: whether everything would work, one line a check.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use crate::aws::Session;
use clap::{Arg, ArgMatches, Command};

use super::error::CliError;
use super::{Exit, aws, print, run_async, sources};
use crate::aws::arn::{AccountRegion, partition_of};
use crate::check::{self, CheckResult, any_fails};
use crate::config::WorkSettings;
use crate::history::sfn::SfnReader;
use crate::incidents::location::StoreLocation;
use crate::memory::MemoryBudget;
use crate::notify::settings::connect;
use crate::queue::account_in_url;
use crate::queue::sqs::SqsQueue;
use crate::sweep::search::Search;
use crate::telemetry;

/// How long all checks of one kind may take together.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn command() -> Command {
    Command::new("check")
        .about("Tells whether the settings, permissions and endpoints would work; processes nothing")
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(["text", "json"])
                .help("text (the default) or json"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<Exit, CliError> {
    let settings = sources(matches).work().map_err(CliError::Settings)?;
    let _log = telemetry::start(&settings.common.log, settings.common.log_format);
    let findings = run_async(look(&settings))?;
    let is_json = matches.get_one::<String>("format").is_some_and(|format| format == "json");
    let told = if is_json { check::json(&findings) } else { check::text(&findings) };
    print(&told)?;
    Ok(if any_fails(&findings) { Exit::Failed } else { Exit::Done })
}

async fn look(settings: &WorkSettings) -> Vec<CheckResult> {
    let mut findings = vec![CheckResult::ok("settings", "make sense")];
    findings.extend(settings.admin_addr.map(admin_address));
    let aws = aws::load_in_time().await;
    match &aws {
        Ok(aws) => {
            let region = aws.region().map(ToString::to_string).unwrap_or_default();
            findings.push(CheckResult::ok("AWS", format!("region {region}, credentials found")));
            findings.extend(in_time("AWS", look_at_aws(settings, aws)).await);
        }
        Err(error) => findings.push(CheckResult::fail(
            "AWS",
            telemetry::chain(error),
            "nothing of AWS was checked; begin here",
        )),
    }
    let store = check::store::check(&settings.incidents.store, aws.as_ref().ok());
    findings.extend(in_time("incident store", store).await);
    let mut routes = Vec::new();
    for (connected, route) in connect(&settings.routes, aws.as_ref().ok()).into_iter().zip(&settings.routes) {
        match connected {
            Ok(route) => routes.push(route),
            Err(error) => findings.push(check::routes::unconnected(&route.name, &error)),
        }
    }
    findings.extend(in_time("routes", check::routes::check(&routes)).await);
    findings
}

/// Whether the address of health and metrics can be had.
fn admin_address(address: SocketAddr) -> CheckResult {
    match TcpListener::bind(address) {
        Ok(_free_again) => CheckResult::ok("admin address", format!("{address} is free")),
        Err(error) => CheckResult::warn(
            "admin address",
            format!("{address}: {error}"),
            "if no worker runs here already, set MISSTEP_ADMIN_ADDR to a free address, or to off",
        ),
    }
}

async fn look_at_aws(settings: &WorkSettings, aws: &Session) -> Vec<CheckResult> {
    let url = &settings.queue_url;
    let queue = SqsQueue::new(aws, url);
    let beside = |url: &str| SqsQueue::new(aws, url);
    let mut findings = check::queue::check(&queue, url, settings.dlq_url.as_deref(), beside).await;
    let (state_machines, named) = match &settings.state_machines[..] {
        [] => (vec![any_state_machine(settings, aws)], false),
        some => (some.to_vec(), true),
    };
    findings.extend(check::history::check(&SfnReader::new(aws), &state_machines, named).await);
    if settings.incidents.store != StoreLocation::Off && settings.sweep.every.is_some() {
        let region = aws.region().map(ToString::to_string).unwrap_or_default();
        let search = Search {
            reader: Arc::new(SfnReader::new(aws)),
            memory: MemoryBudget::unlimited(),
            store: None,
            state_machines: settings.state_machines.clone(),
            place: AccountRegion { account: account_in_url(url).unwrap_or_default().to_owned(), region },
        };
        findings.push(check::sweep::check(&search).await);
    }
    findings.push(check::clock::check(aws.endpoint_url().unwrap_or(url)).await);
    findings
}

/// Where all state machines are handled, one that does not exist in the queue's account and region.
fn any_state_machine(settings: &WorkSettings, aws: &Session) -> String {
    let account = account_in_url(&settings.queue_url);
    let region = aws.region().map(ToString::to_string).unwrap_or_default();
    let (partition, account) = (partition_of(&region), account.unwrap_or("000000000000"));
    format!("arn:{partition}:states:{region}:{account}:stateMachine:misstep-check")
}

async fn in_time(what: &str, looking: impl Future<Output = Vec<CheckResult>>) -> Vec<CheckResult> {
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_elapsed| {
        let found = format!("no answer within {} s", PATIENCE.as_secs());
        vec![CheckResult::fail(what, found, "check the network and the endpoints")]
    })
}
