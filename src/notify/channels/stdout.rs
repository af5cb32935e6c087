//! `stdout`: a line of JSON a notification, for a pipe or a container's log.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;

use super::line::in_time;
use super::{Channel, Connect, line};
use crate::notify::settings::Reading;
use crate::notify::{Material, Notification, Notifier, NotifyError};

/// The channel.
pub const CHANNEL: Channel = Channel { name: "stdout", read };

#[derive(Debug, Clone)]
struct Stdout {
    max_bytes: usize,
    timeout: Duration,
}

#[expect(clippy::unnecessary_wraps, reason = "what every channel's reader returns")]
fn read(reading: &mut Reading<'_, '_>) -> Option<Arc<dyn Connect>> {
    Some(Arc::new(Stdout { max_bytes: reading.max_bytes(), timeout: reading.defaults.timeout }))
}

impl Connect for Stdout {
    fn connect(&self, _aws: Option<&SdkConfig>) -> Result<Arc<dyn Notifier>, String> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Notifier for Stdout {
    fn limit(&self) -> usize {
        self.max_bytes
    }

    fn compose(&self, material: &Material<'_>) -> Result<Notification, String> {
        Ok(line::compose(material))
    }

    async fn check(&self) -> Result<Option<String>, NotifyError> {
        Ok(Some("standard output".to_owned()))
    }

    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError> {
        let body = notification.body.clone();
        // A pipe whose reader is slow holds whoever writes to it.
        let written = tokio::task::spawn_blocking(move || {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&body).and_then(|()| stdout.flush())
        });
        match in_time(self.timeout, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let what = format!("standard output cannot be written: {error}");
                Err(NotifyError::Transient { what, retry_after: None })
            }
            Err(ended) => {
                let what = format!("standard output was not written: {ended}");
                Err(NotifyError::Transient { what, retry_after: None })
            }
        }
    }
}
