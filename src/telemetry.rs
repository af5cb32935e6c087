//! Logs: where they go, how they look, and what the fields are called.
//!
//! Everything goes to standard error; results have standard output to themselves. Field names
//! are dotted, with the unit in the name: `execution.arn`, `message.id`, `message.receives`,
//! `duration_ms`, `error`. An execution's input, its error's cause and a message's body are other
//! people's data and appear at debug level at most.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

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
/// Says what is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), String> {
    EnvFilter::try_new(filter).map(drop).map_err(|error| error.to_string())
}

/// Begins logging. A second call in one process changes nothing.
pub fn start(filter: &str, format: LogFormat) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        // It would panic where standard error is gone.
        .log_internal_errors(false);
    // A subscriber that is already there (in tests) stays.
    let _already_set = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
        }
    };
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
    fn a_filter_that_does_not_parse_is_told() {
        assert!(check_filter("info,misstep=debug").is_ok());
        assert!(check_filter("misstep=loudly").is_err());
    }
}
