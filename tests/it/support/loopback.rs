//! An HTTP server on 127.0.0.1 for tests, whose connections can be cut while a request is answered.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use futures_util::stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// A running server; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Loopback {
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    server: tokio::task::JoinHandle<()>,
}

impl Loopback {
    /// Serves a router on a free port. Its handlers may ask for `ConnectInfo<Line>`.
    pub(crate) async fn serve(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let service = router.into_make_service_with_connect_info::<Line>();
        let server = tokio::spawn(async move {
            axum::serve(Lines(listener), service).await.expect("the listener goes on");
        });
        Self { url: format!("http://{address}"), server }
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The connection that a request came on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    is_cut: Arc<AtomicBool>,
}

impl Line {
    /// Resets the connection in place of an answer.
    pub(crate) fn reset(&self) -> Response {
        self.is_cut.store(true, Ordering::SeqCst);
        StatusCode::OK.into_response()
    }
}

/// An answer that promises more than it holds: the connection ends in the middle of the body.
pub(crate) fn half(status: StatusCode, first: &'static str) -> Response {
    let body = stream::unfold(0, move |step| async move {
        match step {
            0 => Some((Ok(Bytes::from_static(first.as_bytes())), 1)),
            _ => {
                // Until what was there has gone out.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                Some((Err(io::Error::other("the answer breaks off")), 2))
            }
        }
    });
    let length = first.len() * 2 + 1;
    (status, [("content-length", length.to_string())], Body::from_stream(body)).into_response()
}

/// An answer whose body never ends.
pub(crate) fn endless(status: StatusCode) -> Response {
    let chunk = Bytes::from(vec![b'x'; 16 * 1024]);
    let chunks = stream::unfold(chunk, |chunk| async move {
        tokio::task::yield_now().await;
        Some((Ok::<_, io::Error>(chunk.clone()), chunk))
    });
    (status, Body::from_stream(chunks)).into_response()
}

struct Lines(TcpListener);

impl Listener for Lines {
    type Io = Wire;
    type Addr = Line;

    async fn accept(&mut self) -> (Wire, Line) {
        let (stream, _) = Listener::accept(&mut self.0).await;
        let line = Line::default();
        (Wire { stream, line: line.clone() }, line)
    }

    fn local_addr(&self) -> io::Result<Line> {
        Ok(Line::default())
    }
}

impl Connected<IncomingStream<'_, Lines>> for Line {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A socket that fails as soon as its line is cut.
struct Wire {
    stream: TcpStream,
    line: Line,
}

impl Wire {
    fn check(&self) -> io::Result<()> {
        if self.line.is_cut.load(Ordering::SeqCst) {
            // Closed without lingering, the other side sees a reset.
            self.stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
