//! `misstep dlq`: looks into the dead-letter queue and sends messages back.

mod change;
mod native;
mod prompt;

use std::sync::Arc;

use crate::aws::Session;
use clap::{Arg, ArgAction, ArgMatches, Command};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::error::CliError;
use super::{Exit, aws, count, explain, print, run_async, sources, with_settings};
use crate::config::DlqSettings;
use crate::dlq::filter::{self, DeadLetterFilter};
use crate::dlq::scan::{ScanEnd, scan};
use crate::dlq::{DeadMessage, HOLD, list, show};
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::queue::sqs::SqsQueue;
use crate::report::format::Format;
use crate::{shutdown, telemetry};

pub(super) fn command() -> Command {
    let list = Command::new("list")
        .about("What is in the dead-letter queue, grouped by reason and state machine")
        .arg(flag("messages", "One line a message"))
        .arg(format());
    let show = Command::new("show")
        .about("One message: body, attributes, why it is here")
        .arg(Arg::new("id").value_name("ID").required(true).help("The message's id"))
        .arg(flag("explain", "Read and analyse its execution now; nothing is sent"))
        .arg(format());
    Command::new("dlq")
        .about("Looks into the dead-letter queue and sends messages back; looking holds the messages for a moment and counts as a receive")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(with_settings(with_filters(list)))
        .subcommand(with_settings(show))
        .subcommand(with_settings(with_filters(change::replay_command())))
        .subcommand(with_settings(with_filters(change::drop_command())))
}

pub(super) fn run(matches: &ArgMatches) -> Result<Exit, CliError> {
    let (name, matches) = matches.subcommand().expect("the parser requires one");
    let settings = sources(matches).dlq().map_err(CliError::Settings)?;
    let filter = filter_of(matches)?;
    let _log = telemetry::start(&settings.common.log, settings.common.log_format);
    run_async(async {
        let stop = shutdown::install().map_err(CliError::Signals)?;
        match name {
            "list" => run_list(&settings, matches, &filter, &stop).await,
            "replay" => change::run_replay(&settings, matches, &filter, &stop).await,
            "drop" => change::run_drop(&settings, matches, &filter, &stop).await,
            _ => run_show(&settings, matches, &stop).await,
        }
    })??;
    Ok(Exit::Done)
}

async fn run_list(
    settings: &DlqSettings,
    matches: &ArgMatches,
    filter: &DeadLetterFilter,
    stop: &CancellationToken,
) -> Result<(), CliError> {
    let (_, _, queue) = dead_letter_queue(settings).await?;
    let limit = matches.get_one::<usize>("limit").copied().unwrap_or(usize::MAX);
    let mut taken = 0;
    let scanned = scan(queue, stop, |letter| {
        taken += usize::from(filter.takes(letter));
        taken >= limit
    });
    let scanned = scanned.await.map_err(CliError::DeadLetterQueue)?;
    let letters: Vec<&DeadMessage> =
        scanned.letters().filter(|letter| filter.takes(letter)).take(limit).collect();
    let each = matches.get_flag("messages");
    let mut text = if is_json(matches) {
        format!("{:#}\n", list::json(&letters, each))
    } else {
        list::table(&letters, each)
    };
    if !is_json(matches) && scanned.letters().count() > letters.len() && scanned.whole == ScanEnd::Yes {
        let others = scanned.letters().count() - letters.len();
        text.push_str(&format!("{} more that the filters leave out\n", count(others, "message")));
    }
    let whole = scanned.whole;
    // Before anything is printed: a reader may close the pipe.
    release(scanned).await;
    print(&text)?;
    match whole {
        ScanEnd::Yes | ScanEnd::Enough => Ok(()),
        ScanEnd::Interrupted => {
            Err(CliError::failed("interrupted: this is only what was seen so far; all of it was released"))
        }
        ScanEnd::InFlightLimit => Err(CliError::failed(
            "SQS hands out no more than 120,000 messages at a time: this is what could be seen; all of it was released",
        )),
    }
}

async fn run_show(
    settings: &DlqSettings,
    matches: &ArgMatches,
    stop: &CancellationToken,
) -> Result<(), CliError> {
    let id = matches.get_one::<String>("id").expect("the parser requires it");
    let (aws, _, queue) = dead_letter_queue(settings).await?;
    let scanned =
        scan(queue, stop, |letter| letter.message.id == *id).await.map_err(CliError::DeadLetterQueue)?;
    let seen = scanned.letters().count();
    let found = scanned.copy_of(id);
    let whole = scanned.whole;
    release(scanned).await;
    let letter = match (found, whole) {
        (Some(letter), _) => letter,
        (None, ScanEnd::Interrupted) => {
            return Err(CliError::Failed(format!("interrupted before {id} was found")));
        }
        (None, _) => {
            return Err(CliError::Failed(format!(
                "no message {id} among the {} that are visible; somebody else may hold it: try again in a while, or look at `misstep dlq list --messages`",
                count(seen, "message")
            )));
        }
    };
    let explain = matches.get_flag("explain");
    let mut reports = Vec::new();
    for change in letter.changes.iter().filter(|_| explain) {
        let status = Some(change.status);
        reports.push(explain::explain_execution(&aws, &change.execution, status, &settings.common).await?);
    }
    if is_json(matches) {
        let mut json = show::json(&letter);
        if explain {
            json["explained"] = serde_json::to_value(&reports).expect("a report has only text keys");
        }
        return print(&format!("{json:#}\n"));
    }
    let reports = reports.iter().map(|report| format!("\n{}", Format::Text.render(report, false)));
    print(&(show::text(&letter) + &reports.collect::<String>()))
}

/// The dead-letter queue that the settings name, or that the queue's redrive policy does, and its URL.
async fn dead_letter_queue(settings: &DlqSettings) -> Result<(Session, String, Arc<dyn Queue>), CliError> {
    let look = async {
        let aws = aws::load(Metrics::new()).await?;
        let url = match &settings.dlq_url {
            Some(url) => url.clone(),
            None => {
                let attributes = SqsQueue::new(&aws, &settings.queue_url).attributes().await;
                attributes.map_err(CliError::Queue)?.dead_letter_url.ok_or_else(|| {
                    CliError::Failed(format!(
                        "{} has no dead-letter queue of its own; if it is one itself (EventBridge's, for example), name it with --dlq-url, and with --queue-url the queue that its messages belong to",
                        settings.queue_url
                    ))
                })?
            }
        };
        let queue: Arc<dyn Queue> = Arc::new(SqsQueue::holding(&aws, &url, HOLD));
        Ok((aws, url, queue))
    };
    let looked = tokio::time::timeout(aws::START_TIMEOUT, look).await;
    looked.map_err(|_elapsed| CliError::AwsTimeout)?
}

async fn release(scanned: crate::dlq::scan::Scan) {
    let failed = scanned.release().await;
    if failed > 0 {
        anstream::eprintln!(
            "misstep: {} could not be released at once and will be visible again within {} s",
            count(failed, "message"),
            HOLD.as_secs()
        );
    }
}

fn is_json(matches: &ArgMatches) -> bool {
    matches.get_one::<String>("format").is_some_and(|format| format == "json")
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn format() -> Arg {
    Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(["table", "json"])
        .help("table (the default) or json")
}

fn with_filters(command: Command) -> Command {
    let filter = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).help_heading("Filters")
    };
    command
        .arg(filter("state-machine", "ARN|NAME", "Only of this state machine"))
        .arg(filter("execution", "ARN|NAME", "Only of this execution"))
        .arg(filter("status", "STATUS", "Only FAILED, TIMED_OUT or ABORTED").value_parser([
            "FAILED",
            "TIMED_OUT",
            "ABORTED",
        ]))
        .arg(filter("reason", "TEXT", "Only where reason or error contain this text or regular expression"))
        .arg(filter("older-than", "TIME", "Only what was first sent longer ago than 30m, 2h or 7d"))
        .arg(filter("newer-than", "TIME", "Only what was first sent less long ago"))
        .arg(
            filter("message-id", "ID", "Only this message; may be given several times")
                .action(ArgAction::Append),
        )
        .arg(filter("limit", "COUNT", "No more messages than this").value_parser(clap::value_parser!(usize)))
}

fn filter_of(matches: &ArgMatches) -> Result<DeadLetterFilter, CliError> {
    // `show` has none of them.
    let text = |name: &str| matches.try_get_one::<String>(name).ok().flatten().cloned();
    let now = Timestamp::now();
    let ago = |flag: &'static str| {
        let ago = |text: String| filter::ago(&text, now).map_err(|error| CliError::Filter { flag, error });
        text(flag).map(ago).transpose()
    };
    let ids = matches.try_get_many::<String>("message-id").ok().flatten();
    Ok(DeadLetterFilter {
        state_machine: text("state-machine"),
        execution: text("execution"),
        status: text("status"),
        reason: text("reason")
            .map(|text| filter::reason(&text).map_err(|error| CliError::Filter { flag: "reason", error }))
            .transpose()?,
        before: ago("older-than")?,
        after: ago("newer-than")?,
        message_ids: ids.map(|ids| ids.cloned().collect()).unwrap_or_default(),
    })
}
