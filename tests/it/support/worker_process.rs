//! The real binary as a process: started in a clean environment, read, waited for, and stopped.

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How long anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often what is waited for is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The binary with these arguments and no variable of whoever runs the tests; killed when dropped.
pub(crate) fn misstep(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_misstep"));
    command.args(arguments).env_clear().kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// The settings of a worker that notifies both audiences of this API.
pub(crate) fn default_routes(api: &str) -> [(&str, &str); 3] {
    [
        ("MISSTEP_NOTIFICATION_API", api),
        ("MISSTEP_INTERNAL_GROUP_EMAIL", "dev-team@example.com"),
        ("MISSTEP_EXTERNAL_GROUP_EMAIL", "assist@example.com"),
    ]
}

/// Sends a signal (`-TERM`) to a process that still runs.
pub(crate) async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it still runs").to_string();
    assert!(Command::new("kill").args([name, &pid]).status().await.unwrap().success());
}

/// Waits until this holds; whether it came to hold in time.
pub(crate) async fn wait_until(holds: impl Fn() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > until {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) async fn run(mut command: Command) -> Ended {
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends in time").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A worker in a process of its own. Killed when dropped; its log is shown when the test has failed.
pub(crate) struct WorkerProcess {
    child: Child,
    folder: TempDir,
}

impl WorkerProcess {
    /// Starts a command of [`misstep`].
    pub(crate) fn start(command: Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stdout = File::create(folder.path().join("stdout")).unwrap();
        Self::spawn(command, stdout.into(), folder)
    }

    /// The same with another standard output, so that nothing is [`printed`](Self::printed).
    pub(crate) fn start_with_stdout(command: Command, stdout: impl Into<Stdio>) -> Self {
        Self::spawn(command, stdout.into(), tempfile::tempdir().unwrap())
    }

    fn spawn(mut command: Command, stdout: Stdio, folder: TempDir) -> Self {
        let log = File::create(folder.path().join("log")).unwrap();
        let child = command.stdout(stdout).stderr(log).spawn().unwrap();
        Self { child, folder }
    }

    /// What the kernel says of it, for as long as it runs.
    #[cfg(target_os = "linux")]
    pub(crate) fn proc(&self) -> std::path::PathBuf {
        std::path::PathBuf::from(format!("/proc/{}", self.child.id().expect("it still runs")))
    }

    /// Waits until this holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        assert!(wait_until(holds).await, "waited in vain for {what}");
    }

    /// Waits until there is something to be found.
    pub(crate) async fn wait_for<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(Instant::now() < until, "waited in vain for {what}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits for a line of the log with all of these in it.
    pub(crate) async fn wait_for_log(&self, parts: &[&str]) {
        let has = |line: &str| parts.iter().all(|part| line.contains(part));
        self.until(&format!("{parts:?}"), || self.log().lines().any(has)).await;
    }

    /// Sends it a signal.
    pub(crate) async fn signal(&self, name: &str) {
        signal(&self.child, name).await;
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.ended_within(PATIENCE).await
    }

    pub(crate) async fn ended_within(&mut self, patience: Duration) -> ExitStatus {
        let status = tokio::time::timeout(patience, self.child.wait()).await;
        status.expect("it ends in time").unwrap()
    }

    /// Asks it to stop and returns its exit code.
    pub(crate) async fn stop(&mut self) -> Option<i32> {
        self.signal("-TERM").await;
        self.ended().await.code()
    }

    /// Ends it with SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// What it wrote to its standard error.
    pub(crate) fn log(&self) -> String {
        read(&self.folder.path().join("log"))
    }

    /// The lines of its log, each a JSON object; one that is being written does not count.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let log = self.log();
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let parsed = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        whole.lines().map(parsed).collect()
    }

    /// What it printed.
    pub(crate) fn printed(&self) -> String {
        read(&self.folder.path().join("stdout"))
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A panic here would end all tests.
            let log = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
            println!("--- the worker's log\n{}", String::from_utf8_lossy(&log));
        }
    }
}

fn read(file: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned()
}
