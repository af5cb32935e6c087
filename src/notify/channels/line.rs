//! A notification as one line of JSON, for the channels that write lines, and the turns in which the
//! lines of one route are written.
//!
//! A pipe that nobody reads and a disk that hangs hold the thread that writes to them for as long as
//! they like. Only one line of a route is written at a time, so that at most one thread is ever held.

use std::io::{Error, ErrorKind, Result, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use serde_json::json;
use tokio::sync::Mutex as AsyncMutex;

use crate::notify::{Content, Notification};

/// How many lines are remembered as written.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1_000).expect("not zero");

/// The line, with its end.
pub(super) fn compose(content: &Content<'_>) -> Notification {
    let line = json!({
        "route": content.route,
        "audience": content.audience.name(),
        "idempotency_key": content.idempotency_key,
        "data": content.notice,
    });
    Notification::of(content, format!("{line}\n"))
}

/// Writes the lines of one route, one after the other.
#[derive(Debug)]
pub(super) struct Lines {
    timeout: Duration,
    progress: Arc<AsyncMutex<Progress>>,
}

#[derive(Debug)]
struct Progress {
    /// The last line was not written to its end.
    torn: bool,
    /// The idempotency keys of the newest lines that were written.
    written: LruCache<String, ()>,
}

impl Lines {
    /// Waits at most `timeout` for a line, its turn included.
    pub(super) fn new(timeout: Duration) -> Self {
        let progress = Progress { torn: false, written: LruCache::new(REMEMBERED) };
        Self { timeout, progress: Arc::new(AsyncMutex::new(progress)) }
    }

    /// Writes a notification's line into what `open` returns, then calls `finish` with it. A line that an
    /// earlier attempt wrote after its time was over is not written again.
    pub(super) async fn write<W: Write>(
        &self,
        notification: &Notification,
        open: impl FnOnce() -> Result<W> + Send + 'static,
        finish: impl FnOnce(W) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let (key, line) = (notification.idempotency_key.clone(), notification.body.clone());
        self.in_turn(move |progress| {
            if progress.written.contains(&key) {
                return Ok(());
            }
            let mut writer = open()?;
            let line = if progress.torn { [b"\n", &line[..]].concat() } else { line };
            progress.torn = true;
            writer.write_all(&line)?;
            progress.torn = false;
            finish(writer)?;
            progress.written.put(key, ());
            Ok(())
        })
        .await
    }

    /// Does work that may block, in this route's turn.
    pub(super) async fn check<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.in_turn(|_progress| work()).await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Progress) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let working = async {
            // Locked before a thread is taken, and unlocked by that thread: when this future is dropped
            // because its time is over, no other thread begins until the first one has ended. Names are
            // looked up on the same threads, of which there are 512.
            let mut progress = self.progress.clone().lock_owned().await;
            let worked = tokio::task::spawn_blocking(move || work(&mut progress)).await;
            worked.unwrap_or_else(|ended| Err(Error::other(ended)))
        };
        tokio::time::timeout(self.timeout, working).await.unwrap_or_else(|_elapsed| {
            let what = format!("it took longer than {} s", self.timeout.as_secs());
            Err(Error::new(ErrorKind::TimedOut, what))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, mpsc};

    use super::*;

    fn notification(number: usize) -> Notification {
        Notification {
            idempotency_key: format!("key-{number}"),
            subject: String::new(),
            body: format!("line {number}\n").into_bytes(),
            html: None,
            attributes: Vec::new(),
        }
    }

    /// Keeps what is written, once the gate lets it through.
    struct Pipe {
        gate: Arc<Mutex<mpsc::Receiver<()>>>,
        kept: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            let _shut_for_good = self.gate.lock().unwrap().recv();
            self.kept.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_hangs_holds_one_thread_and_each_line_is_written_once() {
        let (open, gate) = mpsc::channel();
        let (gate, kept, opened) =
            (Arc::new(Mutex::new(gate)), Arc::default(), Arc::new(AtomicUsize::new(0)));
        let lines = Lines::new(Duration::from_millis(20));
        let attempt = async |number| {
            let (pipe, opened) = (Pipe { gate: gate.clone(), kept: Arc::clone(&kept) }, opened.clone());
            let open = move || {
                opened.fetch_add(1, Ordering::SeqCst);
                Ok(pipe)
            };
            lines.write(&notification(number), open, |_pipe| Ok(())).await
        };
        for number in 0..30 {
            let error = attempt(number % 10).await.unwrap_err();
            assert_eq!((error.kind(), opened.load(Ordering::SeqCst)), (ErrorKind::TimedOut, 1));
        }
        // Somebody reads again: the first line was on its way, the others were not.
        drop(open);
        for number in 0..10 {
            while attempt(number).await.is_err() {}
        }
        let expected: String = (0..10).map(|number| format!("line {number}\n")).collect();
        assert_eq!(String::from_utf8(kept.lock().unwrap().clone()).unwrap(), expected);
    }
}
