//! SIGTERM and SIGINT turned into cancellation.
//!
//! The handlers are installed before anything else happens, so that no signal is met by the
//! default action while the worker already holds messages. The first signal asks to drain; the
//! second one ends the process at once with exit code 130, leaving what is in hand to come back
//! after its visibility timeout.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The exit code after a second signal.
pub const INTERRUPTED_AGAIN: u8 = 130;

/// Installs the handlers and returns the token that the first signal cancels.
///
/// # Errors
/// When the operating system refuses a handler.
pub fn install() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        for count in 0_u32.. {
            let name = tokio::select! {
                biased;
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if count > 0 {
                // Not even a line in the log: it could be what everything waits for.
                std::process::exit(i32::from(INTERRUPTED_AGAIN));
            }
            asked.cancel();
            info!(signal = name, "stopping: finishing the messages in hand");
        }
    });
    Ok(stop)
}
