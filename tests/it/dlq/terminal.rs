//! Questions at a terminal: they can be answered, and interrupted.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::process::{Child, Command};

use super::{Bench, text};
use crate::support::worker_process::signal;

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command at a terminal, and the person who sits there.
struct Session {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
}

impl Session {
    fn start(mut command: Command) -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let terminal =
            || Stdio::from(rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap());
        let child = command.stdin(terminal()).stdout(terminal()).stderr(Stdio::piped()).spawn().unwrap();
        // The command still holds the terminal's other end.
        drop(command);
        let (keyboard, screen) = (File::from(person), Arc::new(Mutex::new(String::new())));
        let (mut seen, shown) = (keyboard.try_clone().unwrap(), screen.clone());
        std::thread::spawn(move || {
            let mut piece = [0; 1_024];
            // It fails once the command has ended.
            while let Ok(read @ 1..) = seen.read(&mut piece) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..read]));
            }
        });
        Self { child, keyboard, screen }
    }

    async fn shows(&self, part: &str) {
        let shown = tokio::time::timeout(PATIENCE, async {
            while !self.screen.lock().unwrap().contains(part) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(shown.await.is_ok(), "{part:?} is not in {:?}", self.screen.lock().unwrap());
    }

    async fn ended(self) -> Output {
        let output = tokio::time::timeout(PATIENCE, self.child.wait_with_output()).await;
        output.expect("it ends in time").unwrap()
    }
}

#[tokio::test]
async fn an_interrupt_at_a_question_changes_nothing_and_gives_everything_back() {
    for arguments in [&["replay"][..], &["drop"], &["replay", "--all", "--native"]] {
        let bench = Bench::start().await;
        bench.fill(3).await;
        let folder = tempfile::tempdir().unwrap();
        let mut command = bench.command(arguments);
        command.current_dir(folder.path());
        let session = Session::start(command);
        session.shows("[y/N] ").await;
        signal(&session.child, "-INT").await;
        let output = session.ended().await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stderr));
        assert!(
            text(&output.stderr).contains("interrupted: nothing was changed"),
            "{}",
            text(&output.stderr)
        );
        bench.nothing_is_held(5);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_question_is_answered_at_the_terminal() {
    let bench = Bench::start().await;
    bench.fill(3).await;
    let folder = tempfile::tempdir().unwrap();
    for (answer, left) in [("n\n", 5), ("\n", 5), ("yes\n", 0)] {
        let mut command = bench.command(&["replay", "--rate", "1000"]);
        command.current_dir(folder.path());
        let mut session = Session::start(command);
        session.shows("[y/N] ").await;
        session.keyboard.write_all(answer.as_bytes()).unwrap();
        let output = session.ended().await;
        assert_eq!(output.status.code(), Some(0), "{answer:?}: {}", text(&output.stderr));
        bench.nothing_is_held(left);
    }
    assert_eq!(bench.sqs.messages("failures").len(), 5);
}
