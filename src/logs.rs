//! The last lines of the log of what failed; optional in a report.
//!
//! [`of`] reads the log of the innermost resource that has one, and returns its lines, or one sentence why
//! there are none. It takes no longer than [`LONGEST`] in all.
//! The lines are not redacted; the sender has to do that.

#[cfg(feature = "logs")]
mod cloudwatch;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::analysis::answer::{read_time, time};
use crate::analysis::resources::{Resource, Window};
use crate::aws::Session;

/// How long reading may take, whatever it meets: a notification waits for it.
pub const LONGEST: Duration = Duration::from_secs(3);

/// How many lines are kept.
const LINES: usize = 50;

/// How many bytes they have together.
const BYTES: usize = 16 * 1024;

/// Bytes of one line.
const LINE: usize = 4 * 1024;

/// Whether this build can read logs: with the cargo feature `logs`.
pub const AVAILABLE: bool = cfg!(feature = "logs");

/// Why a build without the feature cannot.
pub const UNAVAILABLE: &str = "this build reads no logs: build it with the cargo feature logs";

/// The last lines of a log: `analysis.logs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// The log group.
    pub log_group: Option<String>,
    /// The log stream that was read.
    pub log_stream: Option<String>,
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
    /// Why there are none.
    pub error: Option<String>,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    #[serde(serialize_with = "time", deserialize_with = "read_time")]
    pub at: Option<Timestamp>,
    /// What it says.
    pub text: String,
}

/// Which lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// The region of the log group.
    pub region: String,
    /// The log group.
    pub group: String,
    /// The stream, or what streams begin with: then it ends in `/`. Without one, `request` tells.
    pub stream: Option<String>,
    /// The id of a request, which its lines hold.
    pub request: Option<String>,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// How many lines.
    pub most: usize,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundLines {
    /// The stream that the lines are from.
    pub stream: Option<String>,
    /// The last lines, oldest first.
    pub lines: Vec<LogLine>,
}

/// A log that cannot be read. Each message is one sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The group or the stream does not exist.
    #[error("{group} or the stream in it does not exist")]
    Gone {
        /// The log group.
        group: String,
    },
    /// A permission is missing.
    #[error("{group} may not be read: allow logs:{operation} of it")]
    Denied {
        /// The log group.
        group: String,
        /// The API's operation.
        operation: &'static str,
    },
    /// CloudWatch Logs answered with another error.
    #[error("{group} could not be read: {operation} answered {code}")]
    Answered {
        /// The log group.
        group: String,
        /// The API's operation.
        operation: &'static str,
        /// The error's code.
        code: String,
    },
    /// There was no answer.
    #[error("{group} could not be read: {why}")]
    Unanswered {
        /// The log group.
        group: String,
        /// What happened instead.
        why: String,
    },
    /// The search would take too many pages.
    #[error("{group} holds too much at that time to be searched for its last lines")]
    TooMuch {
        /// The log group.
        group: String,
    },
    /// The reading took too long.
    #[error("{group} could not be read within {} s", LONGEST.as_secs())]
    TimedOut {
        /// The log group.
        group: String,
    },
}

/// A place that keeps logs.
#[async_trait]
pub trait LogReader: Send + Sync + 'static {
    /// Reads the last lines of a log in a window of time.
    ///
    /// # Errors
    /// Why it cannot be read.
    async fn last_lines(&self, wanted: &LogQuery) -> Result<FoundLines, LogError>;
}

/// A reader of CloudWatch Logs; `None` in a build without the cargo feature `logs`.
pub fn reader(aws: &Session) -> Option<Arc<dyn LogReader>> {
    #[cfg(feature = "logs")]
    return Some(Arc::new(cloudwatch::CloudWatchReader::new(aws)));
    #[cfg(not(feature = "logs"))]
    {
        let _not_needed = aws;
        None
    }
}

/// The last lines of the log of the innermost of these that has one.
pub async fn of(reader: &dyn LogReader, resources: &[Resource]) -> Logs {
    let Some(wanted) = resources.iter().find_map(wanted) else {
        let error = Some("no log of what failed is known, or not which part of it".to_owned());
        return Logs { error, ..Logs::default() };
    };
    let read = tokio::time::timeout(LONGEST, reader.last_lines(&wanted)).await;
    let read = read.unwrap_or_else(|_elapsed| Err(LogError::TimedOut { group: wanted.group.clone() }));
    let (found, error) = match read {
        Ok(found) if found.lines.is_empty() => {
            (found, Some(format!("{} holds no line of the attempt", wanted.group)))
        }
        Ok(found) => (found, None),
        Err(error) => (FoundLines::default(), Some(error.to_string())),
    };
    Logs {
        log_stream: found.stream.or(wanted.stream),
        log_group: Some(wanted.group),
        lines: bounded(found.lines),
        error,
    }
}

/// What to ask of a resource's log. All that a whole group holds at a time would be other people's too.
fn wanted(resource: &Resource) -> Option<LogQuery> {
    let began = resource.started_at?;
    let Window { from, to } = Window::around(began, resource.ended_at.unwrap_or(began))?;
    let request = resource.id.clone().filter(|_| resource.service == "lambda");
    if resource.log_stream.is_none() && request.is_none() {
        return None;
    }
    Some(LogQuery {
        region: resource.region.clone()?,
        group: resource.log_group.clone()?,
        stream: resource.log_stream.clone(),
        request,
        from,
        to,
        most: LINES,
    })
}

/// The last lines that keep within the bounds, each cut where it is long.
fn bounded(lines: Vec<LogLine>) -> Vec<LogLine> {
    let mut left = BYTES;
    let mut kept: Vec<LogLine> = Vec::new();
    for mut line in lines.into_iter().rev().take(LINES) {
        line.text.truncate(line.text.trim_end().len());
        if line.text.len() > LINE {
            let end = (0..=LINE).rev().find(|end| line.text.is_char_boundary(*end)).unwrap_or(0);
            line.text.truncate(end);
            line.text.push('…');
        }
        let Some(rest) = left.checked_sub(line.text.len()) else { break };
        left = rest;
        kept.push(line);
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: String) -> LogLine {
        LogLine { at: None, text }
    }

    #[test]
    fn the_last_lines_are_kept_within_the_bounds() {
        let many: Vec<LogLine> = (0..200).map(|at| line(format!("line {at}\n"))).collect();
        let kept = bounded(many);
        assert_eq!((kept.len(), &*kept[0].text, &*kept[49].text), (50, "line 150", "line 199"));
        let long = bounded((0..9).map(|_| line("é".repeat(10_000))).collect());
        assert!(long.iter().all(|line| line.text.len() <= LINE + 3 && line.text.ends_with('…')));
        assert!(
            long.iter().map(|line| line.text.len()).sum::<usize>() <= BYTES && long.len() == 3,
            "{}",
            long.len()
        );
    }
}
