//! Logs and traces: where they go, how they look, and what the fields are called.
//!
//! Everything goes to standard error; results have standard output to themselves. Field names
//! are dotted, with the unit in the name: `execution.arn`, `message.id`, `message.receives`,
//! `duration_ms`, `error`. An execution's input, its error's cause and a message's body are other
//! people's data and appear at debug level at most.

mod fields;
pub mod message;
#[cfg(not(feature = "otel"))]
mod no_traces;
#[cfg(feature = "otel")]
mod otel;
mod output;
pub mod trace;

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::{debug, error};
use tracing_subscriber::filter::{FilterExt as _, ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use fields::SpanFields;
#[cfg(not(feature = "otel"))]
use no_traces as traces;
#[cfg(feature = "otel")]
use otel as traces;
pub use output::Log;
use output::Output;
pub use traces::Traces;

/// The target of the stages' spans.
pub(crate) const STAGES: &str = "misstep::stage";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Text on a terminal, JSON otherwise.
    pub fn fitting() -> Self {
        if std::io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// Whether `filter` is one that [`start`] would take.
///
/// # Errors
/// What is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), ParseError> {
    EnvFilter::try_new(filter).map(drop)
}

/// Begins logging, until what it returns is dropped. A second call in one process changes nothing.
pub fn start(filter: &str, format: LogFormat) -> Log {
    let output = Output::to(std::io::stderr());
    // A subscriber that is already there (in tests) stays.
    let _already_set = tracing_subscriber::registry().with(lines(filter, format, output.clone())).try_init();
    Log::new(output)
}

/// Begins logging, and exporting traces where the build and the environment say so.
pub fn start_with_traces(filter: &str, format: LogFormat) -> (Log, Traces) {
    let (traces, exporting) = Traces::from_environment();
    let output = Output::to(std::io::stderr());
    // Traces first: they also pass what no log line shows.
    let lines = lines(filter, format, output.clone());
    let _already_set = tracing_subscriber::registry().with(exporting).with(lines).try_init();
    (Log::new(output), traces)
}

/// Logs a panic as one line; the default hook would write plain text between the lines. The panic's text
/// may quote a message, so it appears only at debug level.
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        error!(panic.place = place, "panicked: a defect of misstep");
        debug!(panic.text = panic.payload_as_str(), "panicked");
    }));
}

/// The log's lines.
fn lines<S>(filter: &str, format: LogFormat, output: Output) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    // What it says at each connection, with a path of the machine that built this, the route's own line
    // says too.
    let filter = format!("rustls_platform_verifier=off,{filter}");
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let shows_stages = filter.max_level_hint().is_none_or(|level| level >= LevelFilter::DEBUG);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(output)
        .with_target(false)
        // It would panic where standard error is gone.
        .log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        // Within a stage's span, the message's would not be shown but for the list.
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(shows_stages);
            lines.fmt_fields(SpanFields::default()).boxed()
        }
    };
    lines.with_filter(filter.and(filter_fn(|metadata| metadata.target() != traces::TARGET)))
}

/// A duration as the log has it. (A number of 128 bits would be a text there.)
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An error with everything that lies under it, outermost first: `a: b: c`. A part that repeats
/// what the one before it ended with is left out.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let part = inner.to_string();
        if !text.ends_with(&part) {
            let _infallible = write!(text, ": {part}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the queue could not be read")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_chain_names_every_layer_once() {
        let error = Outer(std::io::Error::other("connection refused"));
        assert_eq!(chain(&error), "the queue could not be read: connection refused");
    }

    #[test]
    fn a_filter_that_does_not_parse_is_an_error() {
        assert!(check_filter("info,misstep=debug").is_ok());
        assert!(check_filter("misstep=loudly").is_err());
    }
}
