//! `misstep dlq replay` and `drop`: what changes the dead-letter queue. Dry runs unless `--yes` says
//! otherwise, or somebody at a terminal does.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::prompt::{agreed, bar};
use super::{dead_letter_queue, flag, native, release};
use crate::cli::error::CliError;
use crate::cli::{aws, count, print};
use crate::config::DlqSettings;
use crate::dlq::filter::DeadLetterFilter;
use crate::dlq::journal::Journal;
use crate::dlq::replay::{Pace, ReplaySummary, delete, replay, send_again};
use crate::dlq::scan::{Scan, ScanEnd, scan};
use crate::dlq::{DeadMessage, dropped, list};
use crate::metrics::Metrics;
use crate::queue::MOST_ENTRIES;
use crate::queue::sqs::SqsQueue;

/// How long Step Functions keeps an execution's history after its end
/// (<https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>).
const HISTORY_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

pub(super) fn replay_command() -> Command {
    Command::new("replay")
        .about("Sends messages back to the queue and deletes each here once it is there; a dry run without --yes")
        .arg(flag("yes", "Do it, and do not ask"))
        .arg(
            Arg::new("rate")
                .long("rate")
                .value_name("COUNT")
                .default_value("10")
                .value_parser(rate)
                .help("Messages a second"),
        )
        .arg(
            Arg::new("bounce-limit")
                .long("bounce-limit")
                .value_name("COUNT")
                .default_value("5")
                .value_parser(clap::value_parser!(usize))
                .help("Stop when so many replayed messages have come back"),
        )
        .arg(
            Arg::new("journal")
                .long("journal")
                .value_name("FILE")
                .help("What was sent, for going on after an interruption [default: misstep-replay-QUEUE.journal]"),
        )
        .arg(
            Arg::new("from")
                .long("from")
                .value_name("FILE")
                .help("Send the messages that `drop` wrote to this file, in place of those in the dead-letter queue"),
        )
        .arg(flag("all", "Everything, without looking at it; only with --native"))
        .arg(
            flag("native", "Let SQS itself move the messages, without journal, filters and count")
                .requires("all")
                .conflicts_with_all(["from", "journal", "state-machine", "execution", "status", "reason"])
                .conflicts_with_all(["older-than", "newer-than", "message-id", "limit", "bounce-limit"]),
        )
}

pub(super) fn drop_command() -> Command {
    Command::new("drop")
        .about("Deletes messages after writing them to a file; a dry run without --yes")
        .arg(flag("yes", "Do it, and do not ask"))
        .arg(
            Arg::new("output").long("output").value_name("FILE").help(
                "Where the messages are kept; must not be there yet [default: misstep-dropped-TIME.jsonl]",
            ),
        )
}

pub(super) async fn run_replay(
    settings: &DlqSettings,
    matches: &ArgMatches,
    filter: &DeadLetterFilter,
    stop: &CancellationToken,
) -> Result<(), CliError> {
    if matches.get_flag("native") {
        return native::run(settings, matches, stop).await;
    }
    if matches.get_flag("all") {
        return Err(CliError::failed(
            "--all goes with --native; without filters a replay takes everything anyway",
        ));
    }
    if let Some(file) = matches.get_one::<String>("from") {
        return replay_file(settings, matches, filter, &PathBuf::from(file), stop).await;
    }
    let (aws, dlq_url, queue) = dead_letter_queue(settings).await?;
    let mut scanned =
        selected(scan(queue, stop, enough(matches, filter)).await.map_err(CliError::DeadLetterQueue)?)
            .await?;
    let meant = meant(&scanned, matches, filter);
    let question = format!("Send {} back to {}", count(meant.len(), "message"), settings.queue_url);
    let overview = overview(scanned.letters().filter(|letter| meant.contains(&letter.message.id)));
    let done = match agreed(matches, meant.len(), &overview, &question, stop).await {
        Ok(true) => {
            let journal = Journal::open(&journal_path(matches, &dlq_url), &dlq_url, &settings.queue_url);
            match journal {
                Ok(mut journal) => {
                    let target = SqsQueue::new(&aws, &settings.queue_url);
                    let bar = bar(meant.len());
                    let chosen = |letter: &DeadMessage| meant.contains(&letter.message.id);
                    let progress = |done| bar.inc(done as u64);
                    let pace = pace(matches);
                    let done =
                        replay(&mut scanned, &target, &mut journal, pace, stop, chosen, progress).await;
                    bar.finish_and_clear();
                    Ok(Some(done))
                }
                Err(error) => Err(CliError::from(error)),
            }
        }
        Ok(false) => Ok(None),
        Err(error) => Err(error),
    };
    release(scanned).await;
    done?.map_or(Ok(()), told_of)
}

/// Sends what an earlier drop kept.
async fn replay_file(
    settings: &DlqSettings,
    matches: &ArgMatches,
    filter: &DeadLetterFilter,
    file: &std::path::Path,
    stop: &CancellationToken,
) -> Result<(), CliError> {
    let mut letters = dropped::read(file)?;
    letters.retain(|letter| filter.takes(letter));
    letters.truncate(limit(matches));
    let overview = overview(letters.iter());
    let ids: Vec<String> = letters.iter().map(|letter| letter.message.id.clone()).collect();
    let question = format!("Send {} to {}", count(ids.len(), "message"), settings.queue_url);
    if !agreed(matches, ids.len(), &overview, &question, stop).await? {
        return Ok(());
    }
    let from = file.display().to_string();
    let mut journal = Journal::open(&journal_path(matches, &from), &from, &settings.queue_url)?;
    let aws = aws::load(Metrics::new()).await?;
    let target = SqsQueue::new(&aws, &settings.queue_url);
    let bar = bar(ids.len());
    let progress = |done| bar.inc(done as u64);
    let done = send_again(letters, &target, &mut journal, pace(matches), stop, progress).await;
    bar.finish_and_clear();
    told_of(done)
}

pub(super) async fn run_drop(
    settings: &DlqSettings,
    matches: &ArgMatches,
    filter: &DeadLetterFilter,
    stop: &CancellationToken,
) -> Result<(), CliError> {
    let (_, dlq_url, queue) = dead_letter_queue(settings).await?;
    let mut scanned =
        selected(scan(queue, stop, enough(matches, filter)).await.map_err(CliError::DeadLetterQueue)?)
            .await?;
    let meant = meant(&scanned, matches, filter);
    let letters = || scanned.letters().filter(|letter| meant.contains(&letter.message.id));
    let path = match matches.get_one::<String>("output") {
        Some(path) => PathBuf::from(path),
        None => {
            PathBuf::from(format!("misstep-dropped-{}.jsonl", Timestamp::now().strftime("%Y%m%dT%H%M%SZ")))
        }
    };
    let question = format!(
        "Delete {} from {dlq_url}, keeping them in {}",
        count(meant.len(), "message"),
        path.display()
    );
    let agreed = agreed(matches, meant.len(), &overview(letters()), &question, stop).await;
    let kept = agreed.and_then(|agreed| {
        if agreed {
            dropped::write(&path, letters())?;
        }
        Ok(agreed)
    });
    let (mut deleted, mut failed) = (0, 0);
    if matches!(kept, Ok(true)) {
        let queue = scanned.queue().clone();
        let mut chosen = scanned.take(|letter| meant.contains(&letter.message.id));
        while !chosen.is_empty() && !stop.is_cancelled() {
            let batch = chosen.drain(..chosen.len().min(MOST_ENTRIES)).collect();
            let done = delete(&queue, batch).await;
            (deleted, failed) = (deleted + done.ids.len(), failed + done.failed);
        }
        failed += chosen.len();
        scanned.put_back(chosen);
    }
    release(scanned).await;
    if !kept? {
        return Ok(());
    }
    print(&format!(
        "{} dropped; `misstep dlq replay --from {}` sends them again\n",
        count(deleted, "message"),
        path.display()
    ))?;
    if failed > 0 {
        return Err(CliError::Failed(format!(
            "{} could not be deleted and stay in the dead-letter queue; the file has them too",
            count(failed, "message")
        )));
    }
    Ok(())
}

/// A scan that was interrupted is no ground to change anything on.
async fn selected(scanned: Scan) -> Result<Scan, CliError> {
    if scanned.whole == ScanEnd::Interrupted {
        release(scanned).await;
        return Err(CliError::failed("interrupted: nothing was changed, all of it was released"));
    }
    Ok(scanned)
}

fn limit(matches: &ArgMatches) -> usize {
    matches.get_one::<usize>("limit").copied().unwrap_or(usize::MAX)
}

fn enough<'a>(
    matches: &ArgMatches,
    filter: &'a DeadLetterFilter,
) -> impl FnMut(&DeadMessage) -> bool + use<'a> {
    let limit = limit(matches);
    let mut taken = 0;
    move |letter| {
        taken += usize::from(filter.takes(letter));
        taken >= limit
    }
}

/// The ids of the messages that the filters mean.
fn meant(scanned: &Scan, matches: &ArgMatches, filter: &DeadLetterFilter) -> Vec<String> {
    let letters = scanned.letters().filter(|letter| filter.takes(letter));
    letters.take(limit(matches)).map(|letter| letter.message.id.clone()).collect()
}

fn overview<'a>(letters: impl Iterator<Item = &'a DeadMessage>) -> String {
    let letters: Vec<&DeadMessage> = letters.collect();
    let mut text = list::table(&letters, false);
    let long_ago = Timestamp::now().checked_sub(HISTORY_KEPT).unwrap_or(Timestamp::MIN);
    let gone = letters.iter().filter(|letter| {
        let ended = letter.changes.iter().filter_map(|change| change.stopped_at).max();
        ended.or(letter.first_sent_at).is_some_and(|ended| ended < long_ago)
    });
    let gone = gone.count();
    if gone > 0 {
        text.push_str(&format!(
            "{} about executions that ended more than 90 days ago: their histories are gone, they will be told from the event alone\n",
            count(gone, "message")
        ));
    }
    text
}

fn journal_path(matches: &ArgMatches, from: &str) -> PathBuf {
    let name = from.rsplit('/').next().unwrap_or(from);
    matches
        .get_one::<String>("journal")
        .map_or_else(|| PathBuf::from(format!("misstep-replay-{name}.journal")), PathBuf::from)
}

fn pace(matches: &ArgMatches) -> Pace {
    Pace {
        rate: *matches.get_one::<f64>("rate").expect("it has a default"),
        bounce_limit: *matches.get_one::<usize>("bounce-limit").expect("it has a default"),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected messages a second".to_owned())?;
    if (0.1..=3_000.0).contains(&rate) {
        Ok(rate)
    } else {
        Err("expected from 0.1 to 3000 messages a second".to_owned())
    }
}

fn told_of(done: ReplaySummary) -> Result<(), CliError> {
    let mut text = format!("{} sent back\n", count(done.replayed, "message"));
    let mut also = |number: usize, what: &str| {
        if number > 0 {
            text.push_str(&format!("{} {what}\n", count(number, "message")));
        }
    };
    also(done.only_deleted, "sent by an earlier replay: not sent again");
    also(
        done.maybe_twice,
        "sent again, since an earlier replay ended without knowing whether it had sent them: they may be told twice, with the same Idempotency-Key",
    );
    also(
        done.not_deleted,
        "sent but not yet deleted here: run the same replay again, which deletes without sending",
    );
    also(done.bounced, "came back to the dead-letter queue");
    for (id, why) in &done.refused {
        text.push_str(&format!("{id} was refused and stays: {why}\n"));
    }
    print(&text)?;
    match done.cut_short {
        Some(why) => Err(CliError::CutShort(why)),
        None if !done.refused.is_empty() => {
            Err(CliError::Failed(format!("{} could not be sent", count(done.refused.len(), "message"))))
        }
        None => Ok(()),
    }
}
