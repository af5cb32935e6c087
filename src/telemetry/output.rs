//! Where log lines go: to standard error, on a thread of its own.
//!
//! Logging never blocks. A pipe that nobody reads, or a log driver that blocks, would otherwise stop
//! the runtime's threads, and with them the renewal of leases and the health checks. Lines wait in
//! memory, up to 1 MiB; further lines are dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;
use tracing_subscriber::fmt::MakeWriter;

/// How many bytes of lines may wait. Counted in bytes, since a line at debug level may hold a whole message.
const MOST_BYTES: usize = 1024 * 1024;

/// How long the end of a command waits for the last lines to be written.
const LONGEST_FLUSH: Duration = Duration::from_secs(2);

/// How often dropped lines are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// How often they are logged while lines are dropped all the time.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The log's output. Dropping it waits for the last lines, up to two seconds.
#[derive(Debug)]
#[must_use = "dropped at the end of the command, it sees to it that the last lines are written"]
pub struct Log {
    output: Output,
}

/// Takes lines, and hands them to the thread that writes.
#[derive(Debug, Clone)]
pub(super) struct Output {
    entries: Sender<LogEntry>,
    waiting: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

enum LogEntry {
    Line(Vec<u8>),
    /// Everything before it has been written once this is answered.
    Flush(Sender<()>),
}

impl Output {
    /// Begins to write to `sink`.
    pub(super) fn to(sink: impl Write + Send + 'static) -> Self {
        let (entries, taken) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = waiting.clone();
        std::thread::spawn(move || write(sink, &taken, &left));
        Self { entries, waiting, dropped: Arc::default() }
    }

    /// How many lines were dropped so far.
    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Queues a line, or drops it if the queue is full. An empty queue accepts any line.
    fn line(&self, line: &[u8]) {
        let fits = |waiting: usize| {
            let then = waiting + line.len();
            (waiting == 0 || then <= MOST_BYTES).then_some(then)
        };
        let taken = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if !taken || self.entries.send(LogEntry::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self, longest: Duration) {
        let (written, answer) = mpsc::channel();
        if self.entries.send(LogEntry::Flush(written)).is_ok() {
            // Where nobody reads, the process ends all the same.
            let _in_time = answer.recv_timeout(longest);
        }
    }
}

fn write(mut sink: impl Write, entries: &Receiver<LogEntry>, waiting: &AtomicUsize) {
    for entry in entries {
        match entry {
            LogEntry::Line(line) => {
                // Without standard error there is nowhere to report it.
                let _written = sink.write_all(&line);
                waiting.fetch_sub(line.len(), Ordering::Relaxed);
            }
            LogEntry::Flush(written) => {
                let _flushed = sink.flush();
                let _nobody_waits = written.send(());
            }
        }
    }
}

impl Write for &Output {
    /// Takes a whole line: the formatter writes each at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Log {
    pub(super) fn new(output: Output) -> Self {
        Self { output }
    }

    /// Calls `count` with how many more lines were dropped, every second, and logs how many they are as
    /// soon as lines pass again; never returns.
    pub fn watch<F: Fn(u64)>(&self, count: F) -> impl Future<Output = ()> + use<F> {
        let output = self.output.clone();
        async move {
            let (mut counted, mut logged, mut logged_at) = (0, 0, Instant::now());
            loop {
                tokio::time::sleep(LOOK).await;
                let dropped = output.dropped();
                let passes = dropped == counted;
                count(dropped - counted);
                counted = dropped;
                if dropped > logged && (passes || logged_at.elapsed() >= LOG_EVERY) {
                    warn!(
                        log.dropped_lines = dropped - logged,
                        "log lines were dropped: standard error is too slow"
                    );
                    (logged, logged_at) = (dropped, Instant::now());
                }
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.output.flush(LONGEST_FLUSH);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Keeps what is written, once the gate is open.
    struct Sink {
        gate: Receiver<()>,
        kept: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Open for good once the other end is gone.
            let _open = self.gate.recv();
            self.kept.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whoever_logs_waits_for_nobody_and_what_does_not_fit_is_counted() {
        let (gate, shut) = mpsc::channel();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let output = Output::to(Sink { gate: shut, kept: kept.clone() });
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        // Twice as many as fit; the first may be on its way already.
        let fit = MOST_BYTES / line.len();
        for _ in 0..2 * fit {
            (&output).write_all(&line).unwrap();
        }
        let dropped = usize::try_from(output.dropped()).unwrap();
        assert_eq!(dropped, fit);
        drop(gate);
        drop(Log::new(output.clone()));
        assert_eq!(kept.lock().unwrap().len(), fit * line.len());
        // Lines pass again, also one that is larger than everything that may wait.
        (&output).write_all(&[b'y'; MOST_BYTES + 1]).unwrap();
        drop(Log::new(output.clone()));
        assert_eq!(output.dropped(), fit as u64);
        assert_eq!(kept.lock().unwrap().len(), fit * line.len() + MOST_BYTES + 1);
    }

    #[test]
    fn where_nobody_reads_the_end_comes_all_the_same() {
        let (_gate, shut) = mpsc::channel();
        let output = Output::to(Sink { gate: shut, kept: Arc::default() });
        (&output).write_all(b"line\n").unwrap();
        let began = Instant::now();
        output.flush(Duration::from_millis(50));
        assert!(began.elapsed() >= Duration::from_millis(50));
    }
}
