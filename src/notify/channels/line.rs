//! A notification as one line of JSON, for the channels that write lines.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use serde_json::json;
use tokio::task::{JoinError, JoinHandle};

use crate::notify::{Material, Notification};

/// The line, with its end.
pub(super) fn compose(material: &Material<'_>) -> Notification {
    let line = json!({
        "route": material.route,
        "audience": material.audience.name(),
        "idempotency_key": material.idempotency_key,
        "data": material.data,
    });
    Notification::of(material, format!("{line}\n"))
}

/// Waits for a line to be written, no longer than an attempt may take: a pipe that nobody reads or a
/// disk that hangs holds its writer for good.
pub(super) async fn in_time(
    timeout: Duration,
    written: JoinHandle<std::io::Result<()>>,
) -> Result<std::io::Result<()>, JoinError> {
    tokio::time::timeout(timeout, written).await.unwrap_or_else(|_elapsed| {
        Ok(Err(Error::new(ErrorKind::TimedOut, format!("it took longer than {} s", timeout.as_secs()))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_write_that_hangs_is_given_up_in_time() {
        let hangs = tokio::spawn(std::future::pending());
        let answer = in_time(Duration::from_secs(10), hangs).await.unwrap();
        assert_eq!(answer.unwrap_err().to_string(), "it took longer than 10 s");
    }
}
