//! A contestant as a process, and what Linux says of it in `/proc`.

use std::process::{Child, Command, Stdio};

use crate::bare;

/// What `/proc/PID/stat` counts CPU time in, a second; the same on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// Who works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// The real worker.
    Worker,
    /// The bare SDK loop: this program, asked to be it.
    Bare,
}

/// A running contestant; it ends with this value.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(contestant: Contestant, endpoint: &str, in_hand: usize) -> Self {
        let mut command = match contestant {
            Contestant::Worker => Command::new(env!("CARGO_BIN_EXE_misstep")),
            Contestant::Bare => Command::new(std::env::current_exe().unwrap()),
        };
        command.env_clear();
        match contestant {
            Contestant::Worker => command.arg("work"),
            Contestant::Bare => command.env(bare::MODE, "1"),
        };
        command.envs([
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "bench"),
            ("AWS_SECRET_ACCESS_KEY", "bench"),
            ("MISSTEP_QUEUE_URL", &format!("{endpoint}/failures")),
            ("MISSTEP_NOTIFICATION_API", &format!("{endpoint}/notify")),
            ("MISSTEP_INTERNAL_GROUP_EMAIL", "developers@example.com"),
            ("MISSTEP_EXTERNAL_GROUP_EMAIL", "assist@example.com"),
            ("MISSTEP_ENV", "bench"),
            ("MISSTEP_HISTORY_RATE", "off"),
            ("MISSTEP_ADMIN_ADDR", "off"),
            ("MISSTEP_LOG", "error"),
            ("MISSTEP_CONCURRENCY", &in_hand.to_string()),
        ]);
        Self(command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap())
    }

    /// The CPU time that it has used, in seconds: proc_pid_stat(5), fields 14 and 15.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = self.read("stat");
        // The second field, the program's name in parentheses, may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS
    }

    /// The most resident memory that it ever had, in MiB.
    pub(crate) fn peak_memory(&self) -> f64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1_024.0
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which the figures show.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}
