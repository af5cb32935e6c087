//! The span of a message: its fields in every log line, and in a trace.

use std::future::Future;

use tracing::field::Empty;
use tracing::{Instrument as _, Span, error_span};

use super::trace::TraceHeader;
#[cfg(feature = "otel")]
use super::traces::Process;

/// A received message, as far as its span shows it.
#[derive(Debug, Clone, Copy)]
pub struct Received<'m> {
    /// The name of the queue.
    pub queue: &'m str,
    /// SQS's id of the message.
    pub id: &'m str,
    /// How often it was received, this time included.
    pub receives: u32,
    /// The trace that it belongs to, where its sender was traced.
    pub trace: Option<&'m TraceHeader>,
}

/// A message's span; the spans of the stages lie in it.
#[derive(Debug)]
pub struct MessageSpan {
    lines: Span,
    #[cfg(feature = "otel")]
    process: Process,
}

impl MessageSpan {
    /// The span of a message just received.
    pub fn of(received: &Received<'_>) -> Self {
        let lines = error_span!(
            "message",
            message.id = received.id,
            message.receives = received.receives,
            trace.id = Empty,
            execution.arn = Empty,
            analyse_ms = Empty,
            notify_ms = Empty,
            settle_ms = Empty,
        );
        #[cfg(feature = "otel")]
        let process = Process::of(received);
        #[cfg(feature = "otel")]
        let trace_id = process.trace_id().or_else(|| Some(received.trace?.trace_id()));
        #[cfg(not(feature = "otel"))]
        let trace_id = received.trace.map(TraceHeader::trace_id);
        if let Some(trace_id) = trace_id {
            lines.record("trace.id", trace_id);
        }
        Self {
            lines,
            #[cfg(feature = "otel")]
            process,
        }
    }

    /// Does the work on the message within its span.
    pub fn around<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        let work = work.instrument(self.lines);
        #[cfg(feature = "otel")]
        let work = self.process.around(work);
        work
    }

    /// The message that is being worked on is about this execution.
    pub fn names(execution_arn: &str) {
        Span::current().record("execution.arn", execution_arn);
        #[cfg(feature = "otel")]
        Process::names(execution_arn);
    }

    /// The work on the message that is being worked on ends so.
    pub fn ends(
        #[cfg_attr(not(feature = "otel"), expect(unused_variables))] outcome: &'static str,
        #[cfg_attr(not(feature = "otel"), expect(unused_variables))] is_good: bool,
    ) {
        #[cfg(feature = "otel")]
        Process::ends(outcome, is_good);
    }
}
