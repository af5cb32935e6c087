//! `misstep notify --test`: one harmless notification down each route, and what came of it.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::time::Instant;

use super::error::CliError;
use super::{Exit, aws, print, run_async, sources};
use crate::config;
use crate::notify::settings::{RouteSettings, connect};
use crate::notify::{NotifyError, Route, sample};
use crate::telemetry;

/// How long one route may take, whatever its own limit is.
const PATIENCE: Duration = Duration::from_secs(310);

pub(super) fn command() -> Command {
    Command::new("notify")
        .about("Tries the routes that notifications leave by")
        .arg(Arg::new("test").long("test").required(true).action(ArgAction::SetTrue).help(
            "Send one harmless notification, marked as a test, down each route, whatever its filter, and print the answers",
        ))
        .arg(
            Arg::new("route")
                .long("route")
                .value_name("NAME")
                .action(ArgAction::Append)
                .help("Only down the route of this name; may be given several times"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<Exit, CliError> {
    let settings = sources(matches).notify().map_err(CliError::Settings)?;
    let _log = telemetry::start(&settings.common.log, settings.common.log_format);
    let only: Vec<&String> = matches.get_many("route").into_iter().flatten().collect();
    if let Some(unknown) = only.iter().find(|name| !settings.routes.iter().any(|route| route.name == ***name))
    {
        let known: Vec<&str> = settings.routes.iter().map(|route| route.name.as_str()).collect();
        return Err(CliError::Failed(format!("there is no route {unknown}; there are {}", known.join(", "))));
    }
    let chosen = |route: &RouteSettings| only.is_empty() || only.contains(&&route.name);
    let routes: Vec<RouteSettings> = settings.routes.iter().filter(|route| chosen(route)).cloned().collect();
    let (lines, all_work) = run_async(try_all(&settings.common, &routes))?;
    print(&lines)?;
    if all_work { Ok(Exit::Done) } else { Err(CliError::failed("not every route works")) }
}

/// A line a route, and whether all of them work.
async fn try_all(common: &config::CommonSettings, settings: &[RouteSettings]) -> (String, bool) {
    let needs_aws = settings.iter().any(|route| route.connect.needs_aws());
    let aws = if needs_aws { aws::load_in_time().await.map(Some) } else { Ok(None) };
    let name_width = settings.iter().map(|route| route.name.len()).max().unwrap_or(0);
    let mut lines = String::new();
    let mut all_work = true;
    let connected = connect(settings, aws.as_ref().ok().and_then(Option::as_ref));
    for (connected, settings) in connected.into_iter().zip(settings) {
        let began = Instant::now();
        let answer = match (connected, &aws) {
            (_, Err(error)) if settings.connect.needs_aws() => Err(telemetry::chain(error)),
            (Err(error), _) => Err(telemetry::chain(&error)),
            (Ok(route), _) => tokio::time::timeout(PATIENCE, try_one(&route, common)).await.map_or_else(
                |_elapsed| Err("it took too long".to_owned()),
                |tried| tried.map_err(|error| error.to_string()),
            ),
        };
        let said = match &answer {
            Ok(()) => format!("accepted in {} ms", began.elapsed().as_millis()),
            Err(why) => format!("FAILED: {why}"),
        };
        all_work &= answer.is_ok();
        lines.push_str(&format!("{:name_width$}  {:6}  {said}\n", settings.name, settings.channel));
    }
    (lines, all_work)
}

async fn try_one(route: &Route, common: &config::CommonSettings) -> Result<(), NotifyError> {
    let report = sample::test(&common.env, common.application.as_deref()).redacted(&route.redactor);
    let key = format!("misstep-test-{}-{}", jiff::Timestamp::now().as_millisecond(), route.name);
    let notification = route.compose(&report, &key)?;
    route.notifier.notify(&notification).await
}
