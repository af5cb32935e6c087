//! The traces that the real binary exports, received by a stand-in for a collector.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use tokio::sync::watch;

use crate::admin::house::House;
use crate::support::execution;
use crate::support::loopback::Loopback;

const HEADER: &str = "Root=1-58406520-a006649127e371903a2de979;Parent=4c721bf33e3caf8f;Sampled=1";
const TRACE: &str = "58406520a006649127e371903a2de979";
const PARENT: &str = "4c721bf33e3caf8f";

type Attributes = BTreeMap<String, String>;

/// A collector that keeps what it gets.
struct Collector {
    server: Loopback,
    received: Arc<watch::Sender<Vec<ExportTraceServiceRequest>>>,
}

impl Collector {
    async fn start() -> Self {
        let received = Arc::new(watch::Sender::new(Vec::new()));
        let router = Router::new().fallback(take).with_state(received.clone());
        Self { server: Loopback::serve(router).await, received }
    }

    /// All spans, with the attributes of the resource that each belongs to.
    fn spans(&self) -> Vec<(Attributes, Span)> {
        let requests = self.received.borrow().clone();
        let resources = requests.into_iter().flat_map(|request| request.resource_spans);
        resources
            .flat_map(|resource| {
                let about = attributes(&resource.resource.unwrap_or_default().attributes);
                let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.map(|span| (about.clone(), span)).collect::<Vec<_>>()
            })
            .collect()
    }
}

async fn take(
    State(received): State<Arc<watch::Sender<Vec<ExportTraceServiceRequest>>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) {
    assert_eq!(uri.path(), "/v1/traces");
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).expect("protobuf");
    received.send_modify(|all| all.push(request));
}

fn attributes(pairs: &[KeyValue]) -> Attributes {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    pairs.iter().map(|pair| (pair.key.clone(), text(&pair.value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_message_is_a_span_that_goes_on_with_its_senders_trace() {
    let (house, collector) = (House::start(Duration::from_secs(30)).await, Collector::start().await);
    let traced = house.sqs.send_traced("failures", &house.failure(0), HEADER);
    let untraced = house.sqs.send("failures", "no event, and a secret");
    let mut worker = house.worker(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.server.url),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        // Nothing leaves before the end.
        ("OTEL_BSP_SCHEDULE_DELAY", "600000"),
        // Spans do not depend on what is logged.
        ("MISSTEP_LOG", "info"),
    ]);
    worker.wait_for_series("misstep_messages_total{outcome=\"notified\"}", 1.0).await;
    worker.wait_for_series("misstep_messages_total{outcome=\"dead-lettered\"}", 1.0).await;
    assert_eq!(worker.stop().await, Some(0));

    let spans = collector.spans();
    let process = |id: &str| {
        let mut found = spans.iter().filter(|(_, span)| {
            attributes(&span.attributes).get("messaging.message.id").is_some_and(|of| of == id)
        });
        let (about, span) = found.next().unwrap_or_else(|| panic!("no span of {id} in {spans:#?}"));
        assert!(found.next().is_none(), "more than one span of {id}");
        (about, span, attributes(&span.attributes))
    };
    let (about, told, said) = process(&traced);
    assert_eq!(about["service.name"], "misstep");
    assert_eq!(about["deployment.environment.name"], "test");
    assert_eq!(told.name, "process failures");
    assert_eq!(told.kind(), SpanKind::Consumer);
    assert_eq!((hex(&told.trace_id).as_str(), hex(&told.parent_span_id).as_str()), (TRACE, PARENT));
    for (key, value) in [
        ("messaging.system", "aws_sqs"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "failures"),
        ("execution.arn", &execution(0)),
        ("misstep.outcome", "notified"),
    ] {
        assert_eq!(said.get(key).map(String::as_str), Some(value), "{key} in {said:#?}");
    }
    assert!(!said.contains_key("error.type"));
    assert_ne!(told.status.clone().unwrap_or_default().code(), StatusCode::Error);
    let stages = spans.iter().filter(|(_, span)| span.parent_span_id == told.span_id);
    let mut stages: Vec<_> =
        stages.map(|(_, span)| (span.start_time_unix_nano, span.name.as_str())).collect();
    stages.sort_unstable();
    assert_eq!(stages.iter().map(|(_, name)| *name).collect::<Vec<_>>(), ["analyse", "notify", "settle"]);

    let (_, dead, said) = process(&untraced);
    assert!(dead.parent_span_id.is_empty() && hex(&dead.trace_id) != TRACE);
    assert_eq!(said["error.type"], "dead-lettered");
    assert_eq!(dead.status.clone().unwrap_or_default().code(), StatusCode::Error);
    assert!(!format!("{spans:?}").contains("secret"));

    // The log names the traces as they were exported.
    let lines = worker.lines();
    for (id, span) in [(traced, told), (untraced, dead)] {
        let line = lines
            .iter()
            .find(|line| line["message"] == "message settled" && line["span"]["message.id"] == id);
        assert_eq!(line.unwrap()["span"]["trace.id"], hex(&span.trace_id));
    }
}

#[tokio::test]
async fn a_sender_that_does_not_sample_is_followed() {
    let (house, collector) = (House::start(Duration::from_secs(30)).await, Collector::start().await);
    house.sqs.send_traced("failures", &house.failure(0), &HEADER.replace("Sampled=1", "Sampled=0"));
    let traces = format!("{}/v1/traces", collector.server.url);
    let environment =
        [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", traces.as_str()), ("OTEL_SERVICE_NAME", "steps")];
    let mut worker = house.worker(&environment);
    worker.wait_for_series("misstep_messages_total{outcome=\"notified\"}", 1.0).await;
    house.sqs.send("failures", &house.failure(1));
    worker.wait_for_series("misstep_messages_total{outcome=\"notified\"}", 2.0).await;
    assert_eq!(worker.stop().await, Some(0));
    let spans = collector.spans();
    assert!(!spans.is_empty());
    for (about, span) in spans {
        assert_eq!(about["service.name"], "steps");
        assert_ne!(hex(&span.trace_id), TRACE);
    }
}

#[tokio::test]
async fn without_an_endpoint_or_when_switched_off_nothing_is_exported() {
    let (house, collector) = (House::start(Duration::from_secs(30)).await, Collector::start().await);
    house.sqs.send("failures", &house.failure(0));
    let off = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.server.url.as_str()), ("OTEL_SDK_DISABLED", "true")];
    let mut worker = house.worker(&off);
    worker.wait_for_series("misstep_messages_total{outcome=\"notified\"}", 1.0).await;
    assert_eq!(worker.stop().await, Some(0));
    assert!(collector.spans().is_empty());
}

#[tokio::test]
async fn a_collector_that_is_away_holds_up_neither_work_nor_the_end() {
    let house = House::start(Duration::from_secs(30)).await;
    // It takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    house.sqs.send("failures", &house.failure(0));
    let mut worker = house.worker(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    worker.wait_for_series("misstep_messages_total{outcome=\"notified\"}", 1.0).await;
    let began = tokio::time::Instant::now();
    assert_eq!(worker.stop().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}
