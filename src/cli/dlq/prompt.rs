//! What a command that changes a queue asks and shows on a terminal.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::ArgMatches;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::cli::error::CliError;
use crate::cli::print;

/// Prints what is meant, and says whether it is to be done: `--yes` says so, or somebody at the terminal.
pub(super) async fn agreed(
    matches: &ArgMatches,
    meant: usize,
    overview: &str,
    question: &str,
    stop: &CancellationToken,
) -> Result<bool, CliError> {
    print(overview)?;
    if meant == 0 {
        return Ok(false);
    }
    if matches.get_flag("yes") {
        return Ok(true);
    }
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        print(&format!("Dry run: nothing was changed. {question}: with --yes\n"))?;
        return Ok(false);
    }
    print(&format!("{question}? [y/N] "))?;
    std::io::stdout().flush().map_err(CliError::Stdout)?;
    // Somebody may think about it for as long as they like: leases are renewed meanwhile, and an interrupt
    // is heard. The thread that waits for the answer is left behind then; the process ends without it.
    let asking = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer).map(|_bytes| answer)
    });
    let answer = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(CliError::failed("interrupted: nothing was changed")),
        asked = asking => asked.unwrap_or_else(|ended| Err(std::io::Error::other(ended))),
    };
    let answer = answer.map_err(CliError::Answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// On standard error, and only on a terminal.
pub(super) fn bar(messages: usize) -> ProgressBar {
    let bar = ProgressBar::new(messages as u64);
    bar.with_style(
        ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left").expect("a valid template"),
    )
}
