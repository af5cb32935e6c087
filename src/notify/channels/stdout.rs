//! `stdout`: a line of JSON a notification, for a pipe or a container's log.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::aws::Session;
use async_trait::async_trait;

use super::line::Lines;
use super::{Channel, ChannelConfig, ConnectError, line};
use crate::notify::route_parser::RouteParser;
use crate::notify::{Content, Notification, Notifier, NotifyError, TemplateError};

/// The channel.
pub const CHANNEL: Channel = Channel { name: "stdout", read };

#[derive(Debug, Clone)]
struct StdoutRoute {
    max_bytes: usize,
    timeout: Duration,
}

/// Standard output, as one route writes to it.
#[derive(Debug)]
struct Stdout {
    max_bytes: usize,
    lines: Lines,
}

#[expect(clippy::unnecessary_wraps, reason = "what every channel's reader returns")]
fn read(route: &mut RouteParser<'_, '_>) -> Option<Arc<dyn ChannelConfig>> {
    Some(Arc::new(StdoutRoute { max_bytes: route.max_bytes(), timeout: route.defaults.timeout }))
}

impl ChannelConfig for StdoutRoute {
    fn connect(&self, _aws: Option<&Session>) -> Result<Arc<dyn Notifier>, ConnectError> {
        Ok(Arc::new(Stdout { max_bytes: self.max_bytes, lines: Lines::new(self.timeout) }))
    }
}

#[async_trait]
impl Notifier for Stdout {
    fn limit(&self) -> usize {
        self.max_bytes
    }

    fn compose(&self, content: &Content<'_>) -> Result<Notification, TemplateError> {
        Ok(line::compose(content))
    }

    async fn check(&self) -> Result<Option<String>, NotifyError> {
        Ok(Some("standard output".to_owned()))
    }

    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError> {
        let written =
            self.lines.write(notification, || Ok(std::io::stdout().lock()), |mut stdout| stdout.flush());
        written.await.map_err(|error| {
            let what = format!("standard output cannot be written: {error}");
            NotifyError::Transient { what, retry_after: None }
        })
    }
}
