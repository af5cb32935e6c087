//! `misstep incidents`: looks into the incident store, mutes incidents and has them resolved.

use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use jiff::Timestamp;

use super::error::CliError;
use super::{Exit, aws, print, run_async, sources, with_settings};
use crate::aws::Session;
use crate::incidents::location::StoreLocation;
use crate::incidents::show::{self, ListedEpisode};
use crate::incidents::store::{Episode, EpisodeState, IncidentStore};
use crate::incidents::{Incidents, LONGEST_MUTE};
use crate::settings::values::duration;
use crate::telemetry;

pub(super) fn command() -> Command {
    let format = || {
        Arg::new("format")
            .long("format")
            .value_name("FORMAT")
            .value_parser(["text", "json", "csv"])
            .default_value("text")
            .help("How it is printed")
    };
    let id = || Arg::new("id").value_name("ID").required(true).help("The incident's id, or its beginning");
    let list = Command::new("list")
        .about("Incidents, the newest first")
        .arg(Arg::new("all").long("all").action(ArgAction::SetTrue).help("Resolved ones too"))
        .arg(format());
    let show = Command::new("show")
        .about("One incident: why its failures belong together, what was sent when, and every execution")
        .arg(id())
        .arg(format());
    let mute = Command::new("mute")
        .about("Holds back the alert and the updates of an incident for a while; failures are recorded all the same")
        .arg(id())
        .arg(Arg::new("for").long("for").value_name("TIME").required(true).help("How long: 30m, 4h; 7d at most"))
        .arg(Arg::new("reason").long("reason").value_name("TEXT").required(true).help("Why"));
    let resolve = Command::new("resolve")
        .about("Has an incident resolved; a failure that comes later opens it again")
        .arg(id());
    Command::new("incidents")
        .about("Looks into incidents, mutes them and has them resolved")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(with_settings(list))
        .subcommand(with_settings(show))
        .subcommand(with_settings(mute))
        .subcommand(with_settings(resolve))
}

pub(super) fn run(matches: &ArgMatches) -> Result<Exit, CliError> {
    let (name, matches) = matches.subcommand().expect("the parser requires one");
    let settings = sources(matches).incidents().map_err(CliError::Settings)?;
    let _log = telemetry::start(&settings.common.log, settings.common.log_format);
    run_async(async {
        let location = &settings.incidents.store;
        let aws = if location.needs_aws() { Some(aws::load_in_time().await?) } else { None };
        let store = open(location, aws.as_ref()).await?.expect("the settings name one");
        let incidents = Incidents::new(store, settings.incidents.schedule.clone());
        match name {
            "list" => list(incidents.store(), matches).await,
            "show" => show(incidents.store(), matches).await,
            "mute" => mute(&incidents, matches).await,
            _ => resolve(&incidents, matches).await,
        }
    })??;
    Ok(Exit::Done)
}

/// The store that the worker uses.
pub(super) async fn open(
    location: &StoreLocation,
    aws: Option<&Session>,
) -> Result<Option<Arc<dyn IncidentStore>>, CliError> {
    // The worker makes the file: one that is not there is a path that is mistyped.
    match location {
        StoreLocation::Sqlite(path) if !path.exists() => Err(CliError::Failed(format!(
            "there is no {}; name the store that the worker uses (MISSTEP_INCIDENT_STORE)",
            path.display()
        ))),
        _ => Ok(location.open(aws).await?),
    }
}

async fn list(store: &dyn IncidentStore, matches: &ArgMatches) -> Result<(), CliError> {
    let all = ListedEpisode::all(store, matches.get_flag("all")).await?;
    print(&match format(matches) {
        "json" => format!("{:#}\n", show::json(&all)),
        "csv" => show::csv(&all),
        _ => show::lines(&all, Timestamp::now()),
    })
}

async fn show(store: &dyn IncidentStore, matches: &ArgMatches) -> Result<(), CliError> {
    let episode = found(store, matches).await?;
    let failures = store.failures(&episode.id).await?;
    let one = ListedEpisode { tally: store.tally(&episode.id).await?, episode };
    print(&match format(matches) {
        "json" => format!("{:#}\n", show::episode_json(&one, &failures)),
        "csv" => show::episode_csv(&failures),
        _ => show::episode_text(&one, &failures, Timestamp::now()),
    })
}

async fn mute(incidents: &Incidents, matches: &ArgMatches) -> Result<(), CliError> {
    let length = matches.get_one::<String>("for").expect("the parser requires it");
    let length: Duration = duration(length)
        .map_err(|error| CliError::Failed(format!("--for: {error}")))
        .and_then(|length| match length > LONGEST_MUTE {
            true => Err(CliError::failed("--for: a mute lasts 7 days at most, so that none is forgotten")),
            false => Ok(length),
        })?;
    let reason = matches.get_one::<String>("reason").expect("the parser requires it");
    let id = found(incidents.store(), matches).await?.id;
    let muted = incidents.mute(&id.incident, length, &user(), reason).await?;
    let until = muted.and_then(|muted| muted.mute).map(|mute| mute.until.strftime("%Y-%m-%d %H:%M:%SZ"));
    let until = until.map(|until| until.to_string()).unwrap_or_default();
    print(&format!(
        "{} is muted until {until}; failures are recorded, its end is sent, and ten times as many failures lift it\n",
        id.incident
    ))
}

async fn resolve(incidents: &Incidents, matches: &ArgMatches) -> Result<(), CliError> {
    let Episode { id, state, .. } = found(incidents.store(), matches).await?;
    if state == EpisodeState::Resolved {
        return print(&format!("{} is resolved already\n", id.incident));
    }
    incidents.resolve(&id.incident, &user()).await?;
    print(&format!(
        "{} will be resolved by the worker; a failure that comes later opens it again\n",
        id.incident
    ))
}

/// The newest episode of the incident whose id begins as asked.
async fn found(store: &dyn IncidentStore, matches: &ArgMatches) -> Result<Episode, CliError> {
    let asked = matches.get_one::<String>("id").expect("the parser requires it");
    if let Some(episode) = store.newest(asked).await? {
        return Ok(episode);
    }
    let mut ids: Vec<String> =
        store.list(true).await?.into_iter().map(|episode| episode.id.incident).collect();
    ids.retain(|id| id.starts_with(asked.as_str()));
    ids.sort();
    ids.dedup();
    match &ids[..] {
        [id] => Ok(store.newest(id).await?.expect("it is in the list")),
        [] => {
            Err(CliError::Failed(format!("no incident {asked}; `misstep incidents list --all` names them")))
        }
        several => Err(CliError::Failed(format!("{asked} begins several: {}", several.join(", ")))),
    }
}

fn format(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("format").map_or("text", String::as_str)
}

/// Who asks, for those who read it later.
fn user() -> String {
    let named = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| "somebody".to_owned())
}
