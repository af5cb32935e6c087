//! Stand-ins for AWS services, where LocalStack cannot play them: paging, throttling, Map runs,
//! lost connections.
//!
//! A [`Service`] speaks AWS JSON 1.0 on a port of 127.0.0.1. It keeps every call with its
//! arguments, and for each operation it can be told what happens to the next calls. What the
//! operations do otherwise is in [`sfn`], [`sqs`] and [`mod@logs`].

#[cfg(feature = "logs")]
pub(crate) mod logs;
mod md5;
pub(crate) mod sfn;
pub(crate) mod sqs;

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use misstep::aws::Session;
use misstep::metrics::Metrics;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

use crate::support::loopback::{Line, Loopback, half};

/// A session whose AWS is at `url`.
pub(crate) fn session(url: &str) -> Session {
    let credentials = Credentials::new("test", "test", None, None, "stub");
    session_with(url, Some(SharedCredentialsProvider::new(credentials)))
}

/// A session, with or without credentials.
pub(crate) fn session_with(url: &str, credentials: Option<SharedCredentialsProvider>) -> Session {
    let mut config = SdkConfig::builder();
    config.set_credentials_provider(credentials);
    let config =
        config.behavior_version(BehaviorVersion::latest()).endpoint_url(url).region(Region::new("eu-west-1"));
    Session::new(config.build(), Metrics::new())
}

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// One call as it came.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// `GetExecutionHistory`, for example.
    pub(crate) operation: String,
    pub(crate) arguments: Value,
}

/// What happens to a call in place of its answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The service refuses.
    Refusal(Refusal),
    /// A status without a body that AWS would write, as from a broken proxy.
    Bare(u16),
    /// The call is answered as usual, when the gate opens or is dropped.
    Held(oneshot::Receiver<()>),
    /// Nothing comes, ever.
    Silence,
    /// The connection is reset.
    Reset,
    /// The answer breaks off in its body.
    Half,
    /// An answer that is not JSON.
    Garbage,
}

/// An error as AWS words it.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }
}

impl Fault {
    pub(crate) fn throttled() -> Self {
        Self::Refusal(Refusal::new(400, "ThrottlingException", "Rate exceeded"))
    }

    pub(crate) fn denied() -> Self {
        let message = "User: arn:aws:iam::123456789012:user/test is not authorized to perform this";
        Self::Refusal(Refusal::new(400, "AccessDeniedException", message))
    }

    pub(crate) fn expired_token() -> Self {
        let message = "The security token included in the request is expired";
        Self::Refusal(Refusal::new(400, "ExpiredTokenException", message))
    }

    pub(crate) fn kms_denied() -> Self {
        let message = "The ciphertext refers to a key that you may not use";
        Self::Refusal(Refusal::new(400, "KmsAccessDeniedException", message))
    }

    pub(crate) fn internal() -> Self {
        Self::Refusal(Refusal::new(500, "InternalFailure", "An internal error occurred"))
    }

    /// A call that waits for a gate.
    pub(crate) fn held() -> (oneshot::Sender<()>, Self) {
        let (gate, opened) = oneshot::channel();
        (gate, Self::Held(opened))
    }
}

/// What is to happen to the calls of one operation.
#[derive(Debug, Default)]
struct Script {
    /// For the next calls, one each; `None` lets a call through.
    next: VecDeque<Option<Fault>>,
    /// For all calls after those.
    then: Option<Refusal>,
}

type Answering = Pin<Box<dyn Future<Output = Result<Value, Refusal>> + Send>>;

/// A service that is being stood in for.
pub(crate) trait Operations: Send + Sync + 'static {
    /// Answers one call.
    fn answer(self: Arc<Self>, operation: String, arguments: Value) -> Answering;
}

struct Shared {
    operations: Arc<dyn Operations>,
    scripts: Mutex<HashMap<String, Script>>,
    calls: watch::Sender<Vec<Call>>,
}

/// A running stand-in.
pub(crate) struct Service {
    shared: Arc<Shared>,
    server: Loopback,
}

impl Service {
    pub(crate) async fn start(operations: Arc<dyn Operations>) -> Self {
        let scripts = Mutex::default();
        let shared = Arc::new(Shared { operations, scripts, calls: watch::Sender::new(Vec::new()) });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let router = router.layer(axum::extract::DefaultBodyLimit::disable());
        Self { shared, server: Loopback::serve(router).await }
    }

    /// Where the service is.
    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    /// What happens to the next calls of an operation, one each; `None` lets a call through.
    pub(crate) fn plan(&self, operation: &str, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.script(operation, |script| script.next.extend(faults));
    }

    /// All calls of an operation that nothing else is planned for are refused from now on.
    pub(crate) fn refuse(&self, operation: &str, refusal: Refusal) {
        self.script(operation, |script| script.then = Some(refusal));
    }

    /// Nothing more happens to an operation's calls.
    pub(crate) fn recover(&self, operation: &str) {
        self.script(operation, |script| *script = Script::default());
    }

    /// All calls so far, in the order of arrival.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.calls.borrow().clone()
    }

    /// The arguments of an operation's calls so far.
    pub(crate) fn calls_of(&self, operation: &str) -> Vec<Value> {
        arguments_of(operation, &self.shared.calls.borrow())
    }

    /// Waits until an operation was called so often. Panics after 20 seconds.
    pub(crate) async fn wait_for(&self, operation: &str, count: usize) -> Vec<Value> {
        let mut calls = self.shared.calls.subscribe();
        let enough = calls.wait_for(|calls| arguments_of(operation, calls).len() >= count);
        match tokio::time::timeout(PATIENCE, enough).await {
            Ok(calls) => arguments_of(operation, &calls.expect("the service is alive")),
            Err(_) => {
                panic!("only {} of {count} calls of {operation} came", self.calls_of(operation).len())
            }
        }
    }

    fn script(&self, operation: &str, change: impl FnOnce(&mut Script)) {
        let mut scripts = self.shared.scripts.lock().expect("no test panics with the scripts in hand");
        change(scripts.entry(operation.to_owned()).or_default());
    }
}

/// What the environment of a program must hold so that it calls a stand-in: the variable of the
/// service's endpoint (`AWS_ENDPOINT_URL_SQS`), and credentials that open nothing.
pub(crate) fn environment(endpoint: &str, url: &str) -> Vec<(String, String)> {
    let pairs = [
        (endpoint, url),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "eu-west-1"),
        // No call to the metadata service of a machine that might be one of Amazon's.
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

fn arguments_of(operation: &str, calls: &[Call]) -> Vec<Value> {
    let calls = calls.iter().filter(|call| call.operation == operation);
    calls.map(|call| call.arguments.clone()).collect()
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let Some((_, operation)) = target.and_then(|target| target.split_once('.')) else {
        return refuse(&Refusal::new(400, "MissingAction", "x-amz-target names no operation"));
    };
    let Ok(arguments) = serde_json::from_slice::<Value>(&body) else {
        return refuse(&Refusal::new(400, "SerializationException", "the body is not JSON"));
    };
    let fault = {
        let mut scripts = shared.scripts.lock().expect("no test panics with the scripts in hand");
        let script = scripts.get_mut(operation);
        let fault = script.and_then(|script| match script.next.pop_front() {
            Some(planned) => planned,
            None => script.then.clone().map(Fault::Refusal),
        });
        let call = Call { operation: operation.to_owned(), arguments: arguments.clone() };
        // The fault belongs to this call before another can come.
        shared.calls.send_modify(|calls| calls.push(call));
        fault
    };
    match fault {
        None => {}
        Some(Fault::Held(gate)) => {
            // A dropped gate opens as well: the test is over.
            let _ = gate.await;
        }
        Some(Fault::Refusal(refusal)) => return refuse(&refusal),
        Some(Fault::Bare(status)) => return code(status).into_response(),
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Reset) => return line.reset(),
        Some(Fault::Half) => return half(StatusCode::OK, "{\"half\":"),
        Some(Fault::Garbage) => return "<html>a captive portal</html>".into_response(),
    }
    match shared.operations.clone().answer(operation.to_owned(), arguments).await {
        Ok(answer) => {
            let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amzn-requestid", "stub")];
            (headers, answer.to_string()).into_response()
        }
        Err(refusal) => refuse(&refusal),
    }
}

fn refuse(refusal: &Refusal) -> Response {
    let Refusal { status, code: name, message } = refusal;
    // SQS kept the names that it had before it spoke JSON, in a header.
    let (kind, query) = match name.strip_prefix("AWS.SimpleQueueService.") {
        Some("NonExistentQueue") => ("QueueDoesNotExist", name.as_str()),
        Some(rest) => (rest, name.as_str()),
        None => (name.as_str(), ""),
    };
    let body = json!({"__type": format!("com.amazonaws.stub#{kind}"), "message": message});
    let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amzn-requestid", "stub")];
    let mut response = (code(*status), headers, body.to_string()).into_response();
    if !query.is_empty() {
        let fault = if *status < 500 { "Sender" } else { "Receiver" };
        let query = format!("{query};{fault}").parse().expect("a header's value");
        response.headers_mut().insert("x-amzn-query-error", query);
    }
    response
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a status code")
}
