//! The worker as a process, and what the kernel says of it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::support::stub;

/// What `/proc/PID/stat` counts CPU time in, a second; the same on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// A worker; killed when dropped.
pub(super) struct Worker {
    child: Child,
    folder: PathBuf,
    log: tempfile::NamedTempFile,
}

impl Worker {
    pub(super) fn start(aws: &str, api: &str) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_misstep"));
        command.arg("work").env_clear().kill_on_drop(true);
        command.stdout(Stdio::null()).stderr(log.reopen().unwrap());
        command.envs(stub::environment("AWS_ENDPOINT_URL", aws));
        command.envs([
            ("MISSTEP_QUEUE_URL", format!("{aws}/failures").as_str()),
            ("MISSTEP_NOTIFICATION_API", &format!("{api}/notify")),
            ("MISSTEP_INTERNAL_GROUP_EMAIL", "dev-team@example.com"),
            ("MISSTEP_EXTERNAL_GROUP_EMAIL", "assist@example.com"),
            ("MISSTEP_ADMIN_ADDR", "off"),
            ("MISSTEP_HISTORY_RATE", "off"),
            ("MISSTEP_LOG", "warn"),
            // A build that is not optimised, on a machine that others use, may take seconds over a payload.
            ("MISSTEP_NOTIFY_TIMEOUT_SECS", "60"),
        ]);
        let child = command.spawn().unwrap();
        let folder = PathBuf::from(format!("/proc/{}", child.id().expect("it runs")));
        Self { child, folder, log }
    }

    /// Its resident memory, in KiB.
    pub(super) fn memory(&self) -> f64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it runs");
        line.trim().trim_end_matches(" kB").parse().expect("KiB")
    }

    /// The most resident memory that it ever had, in MiB.
    pub(super) fn peak_memory(&self) -> f64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it runs");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("KiB") / 1024.0
    }

    /// How many file descriptors it has open.
    pub(super) fn descriptors(&self) -> usize {
        std::fs::read_dir(self.folder.join("fd")).unwrap_or_else(|_| panic!("{}", self.log())).count()
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
        let pid = self.child.id().unwrap_or_else(|| panic!("it has ended:\n{}", self.log())).to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        let ended = tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("it does not end:\n{}", self.log())).unwrap().code()
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).unwrap_or_else(|_| panic!("it died:\n{}", self.log()))
    }
}
