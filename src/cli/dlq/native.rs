//! `misstep dlq replay --all --native`: SQS moves everything itself.

use std::time::Duration;

use clap::ArgMatches;
use tokio_util::sync::CancellationToken;

use super::dead_letter_queue;
use super::prompt::{agreed, bar};
use crate::cli::error::CliError;
use crate::cli::{count, print};
use crate::config::DlqSettings;
use crate::dlq::HOLD;
use crate::queue::sqs::{Move, SqsQueue};
use crate::telemetry::chain;

/// How often the move is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// SQS moves no faster (MaxNumberOfMessagesPerSecond).
const FASTEST: f64 = 500.0;

pub(super) async fn run(
    settings: &DlqSettings,
    matches: &ArgMatches,
    stop: &CancellationToken,
) -> Result<(), CliError> {
    let (aws, url, queue) = dead_letter_queue(settings).await?;
    let held = queue.counts().await.map_err(CliError::Move)?;
    let messages = usize::try_from(held.visible).unwrap_or(usize::MAX);
    let overview =
        format!("about {}, {} more held by somebody\n", count(messages, "message"), held.in_flight);
    let question = format!("Move all of {url} to {}", settings.queue_url);
    if !agreed(matches, messages, &overview, &question, stop).await? {
        return Ok(());
    }
    let rate = matches.get_one::<f64>("rate").expect("it has a default").clamp(1.0, FASTEST);
    let source = SqsQueue::holding(&aws, &url, HOLD);
    let target = SqsQueue::new(&aws, &settings.queue_url);
    let handle = source.start_move(&target, rate as i32).await.map_err(CliError::Move)?;
    let bar = bar(messages);
    let ended = follow(&source, &handle, stop, |far| bar.set_position(far.moved)).await;
    bar.finish_and_clear();
    let ended = ended?;
    let moved = count(usize::try_from(ended.moved).unwrap_or(usize::MAX), "message");
    print(&format!("about {moved} moved by SQS: {}\n", ended.status.to_lowercase()))?;
    match ended.status.as_str() {
        "COMPLETED" => Ok(()),
        status => Err(CliError::Failed(format!(
            "the move ended as {status}{}; what was not moved is where it was",
            ended.failure.map(|why| format!(": {why}")).unwrap_or_default()
        ))),
    }
}

/// Looks at the move until it ends; an interrupt cancels it.
async fn follow(
    source: &SqsQueue,
    handle: &str,
    stop: &CancellationToken,
    progress: impl Fn(&Move),
) -> Result<Move, CliError> {
    let mut cancelled = false;
    loop {
        let far = source.newest_move().await.map_err(CliError::MoveUnknown)?;
        progress(&far);
        if !matches!(far.status.as_str(), "RUNNING" | "CANCELLING") {
            return Ok(far);
        }
        if stop.is_cancelled() && !cancelled {
            cancelled = true;
            // It may have ended a moment ago; the next look says so.
            if let Err(error) = source.cancel_move(handle).await {
                anstream::eprintln!("misstep: the move could not be cancelled: {}", chain(&error));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
