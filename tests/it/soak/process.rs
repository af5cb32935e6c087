//! The worker as a process, and what the kernel says of it.

use std::time::Duration;

use crate::support::stub;
use crate::support::worker_process::{WorkerProcess, default_routes, misstep};

/// What `/proc/PID/stat` counts CPU time in, a second; the same on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// A worker that is measured.
pub(super) struct Worker(WorkerProcess);

impl Worker {
    pub(super) fn start(aws: &str, api: &str) -> Self {
        let mut command = misstep(&["work"]);
        command.envs(stub::environment("AWS_ENDPOINT_URL", aws));
        command.envs(default_routes(&format!("{api}/notify")));
        command.envs([
            ("MISSTEP_QUEUE_URL", format!("{aws}/failures").as_str()),
            ("MISSTEP_ADMIN_ADDR", "off"),
            ("MISSTEP_HISTORY_RATE", "off"),
            ("MISSTEP_LOG", "warn"),
            // A build that is not optimised, on a machine that others use, may take seconds over a payload.
            ("MISSTEP_NOTIFY_TIMEOUT_SECS", "60"),
        ]);
        Self(WorkerProcess::start(command))
    }

    /// Its resident memory, in KiB.
    pub(super) fn memory(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// The most resident memory that it ever had, in MiB.
    pub(super) fn peak_memory(&self) -> f64 {
        self.status("VmHWM:") / 1024.0
    }

    /// How many file descriptors it has open.
    pub(super) fn descriptors(&self) -> usize {
        std::fs::read_dir(self.0.proc().join("fd")).unwrap().count()
    }

    /// The CPU time that it has used, in seconds: proc_pid_stat(5), fields 14 and 15.
    pub(super) fn cpu(&self) -> f64 {
        let stat = self.read("stat");
        // The second field, the program's name in parentheses, may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        (fields[11].parse::<f64>().expect("ticks") + fields[12].parse::<f64>().expect("ticks")) / TICKS
    }

    /// The share of a core, in percent, that it uses over so long.
    pub(super) async fn load(&self, over: Duration) -> f64 {
        let before = self.cpu();
        tokio::time::sleep(over).await;
        100.0 * (self.cpu() - before) / over.as_secs_f64()
    }

    /// Asks it to stop and returns its exit code.
    pub(super) async fn stop(&mut self) -> Option<i32> {
        self.0.stop().await
    }

    /// A line of `/proc/PID/status`, in KiB.
    fn status(&self, name: &str) -> f64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it runs");
        line.trim().trim_end_matches(" kB").parse().expect("KiB")
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.proc().join(file)).unwrap()
    }
}
