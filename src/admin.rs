//! Health and metrics over HTTP, for probes and scrapes.
//!
//! `/livez` reports whether the worker's loop moves, `/readyz` whether the worker receives messages, and
//! `/metrics` its metrics. The server cannot delay the worker: connections are few and short,
//! with one request each, and the process does not wait for them when it ends. Clients that never send a
//! request cannot block others.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tracing::{debug, info};

use crate::metrics::{ExpositionFormat, Metrics};
use crate::worker::health::{Health, Unhealthy};

/// Connections at a time. A further one ends the oldest: it has waited for its client, who may be one of
/// many that never ask, where a probe is answered at once.
const CONNECTIONS: usize = 32;

/// How long a client may take over its request's headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(3);

/// How long a connection may last altogether.
const CONNECTION_WITHIN: Duration = Duration::from_secs(10);

/// The most that a request's headers may take, in bytes.
const LARGEST_HEAD: usize = 16 * 1024;

/// How long to wait after a connection could not be accepted: too many files are open.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What the endpoints show.
#[derive(Debug, Clone)]
pub struct View {
    metrics: Metrics,
    health: Arc<OnceLock<Health>>,
}

impl View {
    /// A view of a worker that does not exist yet: alive, not ready.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, health: Arc::default() }
    }

    /// The worker is there, its queue's attributes were read.
    pub fn watch(&self, health: Health) {
        let _only_the_first = self.health.set(health);
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !["/livez", "/readyz", "/metrics"].contains(&path) {
            return plain(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n");
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match path {
            "/livez" => health(self.health.get().map_or(Ok(()), Health::live)),
            "/readyz" => health(self.health.get().map_or(Err(Unhealthy::Starting), Health::ready)),
            _ => {
                let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
                let format = ExpositionFormat::accepted(accept.unwrap_or_default());
                respond(StatusCode::OK, format.content_type(), self.metrics.text(format))
            }
        }
    }
}

/// The server, bound to its address.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
}

impl Admin {
    /// Binds the address, so that one in use is noticed at the start.
    ///
    /// # Errors
    /// When the operating system refuses the address.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        info!(admin.address = %listener.local_addr()?, "serving /livez, /readyz and /metrics");
        Ok(Self { listener })
    }

    /// Answers requests, and never returns.
    pub async fn serve(self, view: View) {
        let mut open: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    open.retain(|connection| !connection.is_finished());
                    if open.len() >= CONNECTIONS
                        && let Some(oldest) = open.pop_front()
                    {
                        oldest.abort();
                    }
                    let view = view.clone();
                    let answering = tokio::spawn(async move { answer_one(stream, &view).await });
                    open.push_back(answering.abort_handle());
                }
                Err(error) => {
                    debug!(%error, "a connection to the admin address could not be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
}

/// Answers the one request of a connection.
async fn answer_one(stream: TcpStream, view: &View) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(view.answer(&request)) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(LARGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_WITHIN, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a connection to the admin address broke"),
        Err(_elapsed) => debug!("a connection to the admin address took too long"),
    }
}

fn health(state: Result<(), Unhealthy>) -> Response<Full<Bytes>> {
    match state {
        Ok(()) => plain(StatusCode::OK, "ok\n"),
        Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", text)
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
