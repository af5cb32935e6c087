//! The span of a message: what every log line about it says, and what a trace shows of it.

use std::future::Future;

use tracing::field::Empty;
use tracing::{Instrument as _, Span, error_span};

#[cfg(feature = "otel")]
use super::traces::Process;
use crate::aws::arn::ExecutionArn;
use crate::queue::Message;
#[cfg(not(feature = "otel"))]
use crate::telemetry::trace::TraceHeader;

/// A message's span; the spans of the stages lie in it.
#[derive(Debug)]
pub struct MessageSpan {
    lines: Span,
    #[cfg(feature = "otel")]
    process: Process,
}

impl MessageSpan {
    /// The span of a message just received from a queue.
    pub fn of(
        message: &Message,
        #[cfg_attr(not(feature = "otel"), expect(unused_variables))] queue: &str,
    ) -> Self {
        let lines = error_span!(
            "message",
            message.id = message.id,
            message.receives = message.receives,
            trace.id = Empty,
            execution.arn = Empty,
            analyse_ms = Empty,
            notify_ms = Empty,
            settle_ms = Empty,
        );
        #[cfg(feature = "otel")]
        let process = Process::of(message, queue);
        #[cfg(feature = "otel")]
        let trace_id = process.trace_id().or_else(|| Some(message.trace.as_ref()?.trace_id()));
        #[cfg(not(feature = "otel"))]
        let trace_id = message.trace.as_ref().map(TraceHeader::trace_id);
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
    pub fn names(execution: &ExecutionArn) {
        Span::current().record("execution.arn", execution.as_str());
        #[cfg(feature = "otel")]
        Process::names(execution);
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
