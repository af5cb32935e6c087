//! Traces, exported over OTLP (HTTP, protobuf), as the standard `OTEL_*` variables say.
//!
//! Nothing is exported unless an endpoint is set. Each message makes a span `process QUEUE` by
//! OpenTelemetry's conventions for messaging
//! (<https://opentelemetry.io/docs/specs/semconv/messaging/sqs/>), with its stages as children. It continues
//! the trace of the message's sender. Spans have names, ids and durations; log lines are not exported.

use std::future::Future;
use std::time::Duration;

use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, Subscriber, info_span, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::message::Received;
use super::{STAGES, chain};
use crate::telemetry::trace::TraceHeader;

/// What only an export sees.
pub(super) const TARGET: &str = "misstep::export";

/// The traces that are exported.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// As the environment says; and what collects the spans.
    pub(super) fn from_environment<S>() -> (Self, Option<impl Layer<S>>)
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let provider = wanted(|name| std::env::var(name).ok()).then(provider).flatten();
        let layer = provider.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("misstep"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(filter_fn(|metadata| {
                    metadata.is_span() && [TARGET, STAGES].contains(&metadata.target())
                }))
        });
        (Self(provider), layer)
    }

    /// Sends what is left.
    pub fn end(self, within: Duration) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown_with_timeout(within)
        {
            warn!(error = chain(&error), "the last spans may not have been exported");
        }
    }
}

/// Whether traces are exported: an OTLP endpoint is set, and `OTEL_SDK_DISABLED` is not.
fn wanted(variable: impl Fn(&str) -> Option<String>) -> bool {
    let is_set = |name| variable(name).is_some_and(|value| !value.trim().is_empty());
    let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    !disabled && (is_set("OTEL_EXPORTER_OTLP_ENDPOINT") || is_set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
}

/// The exporter reads its endpoint, headers and timeouts from the environment by itself.
fn provider() -> Option<SdkTracerProvider> {
    let exporter = match SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build() {
        Ok(exporter) => exporter,
        Err(error) => {
            // There is no log yet.
            anstream::eprintln!("misstep: traces cannot be exported: {}", chain(&error));
            return None;
        }
    };
    let resource = Resource::builder_empty()
        .with_service_name("misstep")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_attributes(std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty()).map(service))
        .build();
    Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

fn service(name: String) -> KeyValue {
    KeyValue::new("service.name", name)
}

/// The exported span of a message.
#[derive(Debug)]
pub(super) struct Process(Span);

impl Process {
    pub(super) fn of(received: &Received<'_>) -> Self {
        let Received { queue, id, trace, .. } = received;
        let span = info_span!(
            target: TARGET,
            parent: None,
            "process",
            otel.name = format!("process {queue}"),
            otel.kind = "consumer",
            messaging.system = "aws_sqs",
            messaging.operation.name = "process",
            messaging.operation.r#type = "process",
            messaging.destination.name = queue,
            messaging.message.id = id,
            execution.arn = Empty,
        );
        if let Some(sender) = trace.and_then(sender) {
            // It fails where nothing is exported.
            let _no_parent = span.set_parent(Context::new().with_remote_span_context(sender));
        }
        Self(span)
    }

    /// The id of the trace that the span is in.
    pub(super) fn trace_id(&self) -> Option<String> {
        let context = self.0.context();
        let id = context.span().span_context().trace_id();
        (id != TraceId::INVALID).then(|| id.to_string())
    }

    pub(super) fn around<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        work.instrument(self.0)
    }

    pub(super) fn names(execution_arn: &str) {
        let attribute = KeyValue::new("execution.arn", execution_arn.to_owned());
        Context::current().span().set_attribute(attribute);
    }

    pub(super) fn ends(outcome: &'static str, is_good: bool) {
        let context = Context::current();
        context.span().set_attribute(KeyValue::new("misstep.outcome", outcome));
        if !is_good {
            context.span().set_attribute(KeyValue::new("error.type", outcome));
            context.span().set_status(Status::error(outcome));
        }
    }
}

/// The span that sent the message.
fn sender(header: &TraceHeader) -> Option<SpanContext> {
    let flags = if header.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, span) = (TraceId::from(header.trace), SpanId::from(header.parent?));
    Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_exported_unless_an_endpoint_is_set() {
        let with = |pairs: &'static [(&str, &str)]| {
            wanted(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(!with(&[]));
        assert!(!with(&[("OTEL_SERVICE_NAME", "misstep"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "")]));
        assert!(with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")]));
        assert!(with(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318/v1/traces")]));
        assert!(!with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("OTEL_SDK_DISABLED", "True")]));
    }
}
