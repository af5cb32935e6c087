//! Reads from CloudWatch Logs. Only this file names that client.
//!
//! No call is retried, and each is counted; how long they may take together is bounded outside.

use std::collections::VecDeque;

use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use jiff::{SignedDuration, Timestamp};

use super::{FoundLines, LONGEST, LogError, LogLine, LogQuery, LogReader};
use crate::aws::error::ErrorClass;
use crate::aws::{CallCounter, RegionalClients, Session};
use crate::metrics::Service;
use crate::telemetry::chain;

/// How many pages of a search are read. A page may be empty while the search goes on.
const PAGES: usize = 20;

/// Reads logs of any region with the credentials of one configuration.
#[derive(Debug)]
pub(super) struct CloudWatchReader {
    clients: RegionalClients<Client>,
    calls: CallCounter,
}

impl CloudWatchReader {
    /// A reader with the credentials and the endpoint of `aws`.
    pub(super) fn new(aws: &Session) -> Self {
        Self { clients: aws.regional(LONGEST, Client::new), calls: aws.counter(Service::Logs) }
    }

    /// Makes a call, and counts it.
    async fn call<T, E>(
        &self,
        operation: &'static str,
        wanted: &LogQuery,
        asked: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, LogError>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let answer = self.calls.counted(operation, asked).await;
        answer.map_err(|error| refusal(operation, &wanted.group, &error))
    }

    /// The last lines of one stream.
    async fn stream(&self, wanted: &LogQuery, stream: &str) -> Result<FoundLines, LogError> {
        let asked = self
            .clients
            .of(&wanted.region)
            .get_log_events()
            .log_group_name(&wanted.group)
            .log_stream_name(stream)
            .start_time(wanted.from.as_millisecond())
            .end_time(wanted.to.as_millisecond())
            .start_from_head(false)
            .limit(i32::try_from(wanted.most).unwrap_or(i32::MAX));
        let answer = self.call("GetLogEvents", wanted, asked.send()).await?;
        let lines = answer.events.into_iter().flatten().map(|event| line(event.timestamp, event.message));
        Ok(FoundLines { stream: Some(stream.to_owned()), lines: lines.collect() })
    }

    /// The last lines of all streams that begin so, or that hold a request's id.
    async fn search(&self, wanted: &LogQuery) -> Result<Vec<(Option<String>, LogLine)>, LogError> {
        let request = wanted.request.as_ref().filter(|_| wanted.stream.is_none());
        let pattern = request.map(|request| format!("\"{}\"", request.replace('"', "")));
        // LocalStack takes a pattern and filters nothing.
        let is_wanted = |line: &LogLine| request.is_none_or(|request| line.text.contains(request));
        let mut last = VecDeque::new();
        let mut token = None;
        for _ in 0..PAGES {
            let asked = self
                .clients
                .of(&wanted.region)
                .filter_log_events()
                .log_group_name(&wanted.group)
                .set_log_stream_name_prefix(wanted.stream.clone())
                .set_filter_pattern(pattern.clone())
                .start_time(wanted.from.as_millisecond())
                .end_time(wanted.to.as_millisecond())
                .set_next_token(token);
            let answer = self.call("FilterLogEvents", wanted, asked.send()).await?;
            for event in answer.events.into_iter().flatten() {
                let line = line(event.timestamp, event.message);
                if is_wanted(&line) {
                    last.push_back((event.log_stream_name, line));
                }
            }
            last.drain(..last.len().saturating_sub(wanted.most));
            token = answer.next_token;
            if token.is_none() {
                return Ok(last.into());
            }
        }
        Err(LogError::TooMuch { group: wanted.group.clone() })
    }
}

#[async_trait]
impl LogReader for CloudWatchReader {
    async fn last_lines(&self, wanted: &LogQuery) -> Result<FoundLines, LogError> {
        match &wanted.stream {
            Some(stream) if !stream.ends_with('/') => return self.stream(wanted, stream).await,
            _ => {}
        }
        let found = self.search(wanted).await?;
        let stream = found.last().and_then(|(stream, _)| stream.clone());
        let lines: Vec<LogLine> = found.into_iter().map(|(_, line)| line).collect();
        let Some(stream) = stream.filter(|_| wanted.stream.is_none()) else {
            return Ok(FoundLines { stream: None, lines });
        };
        // Of a request only few lines hold its id; the others stand between them.
        let times = || lines.iter().filter_map(|line| line.at);
        let (Some(first), Some(last)) = (times().min(), times().max()) else {
            return Ok(FoundLines { stream: Some(stream), lines });
        };
        // The end is not part of what GetLogEvents gives.
        let to = last.checked_add(SignedDuration::from_millis(1)).unwrap_or(last);
        self.stream(&LogQuery { from: first, to, ..wanted.clone() }, &stream).await
    }
}

fn line(timestamp: Option<i64>, message: Option<String>) -> LogLine {
    let at = timestamp.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    LogLine { at, text: message.unwrap_or_default() }
}

/// Why a log cannot be read.
fn refusal<E>(operation: &'static str, group: &str, error: &SdkError<E>) -> LogError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let group = group.to_owned();
    match (ErrorClass::of(error), error.code()) {
        (ErrorClass::Gone, _) => LogError::Gone { group },
        (ErrorClass::Denied, _) => LogError::Denied { group, operation },
        (_, Some(code)) => LogError::Answered { group, operation, code: code.to_owned() },
        (_, None) => LogError::Unanswered { group, why: chain(error) },
    }
}
