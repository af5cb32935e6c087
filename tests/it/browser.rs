//! The page in a real Chromium: that its own policy lets it work, and that it fits a telephone.
//!
//! Needs no network, but a Chromium (`MISSTEP_TEST_CHROMIUM`, or on the `PATH`), and is ignored unless asked
//! for with `--ignored`, as `make test` does where there is one.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use misstep::analysis::Question;
use misstep::history::file;
use misstep::investigation::Finding;
use misstep::report::format::Format;
use misstep::report::{Report, Subject};
use tempfile::TempDir;

use crate::recorded::recorded;
use crate::support::planted;
use crate::support::synth::steps::{Phase, map, pass, task, wait};
use crate::support::synth::{Machine, big_map};

/// A telephone's width, in CSS pixels.
const TELEPHONE: u32 = 360;

struct Chromium {
    program: PathBuf,
    folder: TempDir,
}

impl Chromium {
    /// The one that is installed.
    fn installed() -> Self {
        let named = std::env::var_os("MISSTEP_TEST_CHROMIUM").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let mut found = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
        let program = named.or_else(|| found.find(|program| program.is_file()));
        let program = program.expect("a Chromium on the PATH, or named by MISSTEP_TEST_CHROMIUM");
        Self { program, folder: tempfile::tempdir().unwrap() }
    }

    fn write(&self, name: &str, page: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, page).unwrap();
        path
    }

    async fn run(&self, page: &Path, arguments: &[&str]) -> Output {
        let profile = tempfile::tempdir_in(self.folder.path()).unwrap();
        let mut command = tokio::process::Command::new(&self.program);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args(["--disable-dev-shm-usage", "--hide-scrollbars", "--enable-logging=stderr"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.args(arguments).arg(format!("file://{}", page.display())).kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(120), command.output()).await;
        let output = output.expect("Chromium ends by itself").unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// The elements after the scripts have run. What the console says is an error.
    async fn dom(&self, page: &Path) -> String {
        let output = self.run(page, &["--dump-dom", "--window-size=1200,900"]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        let console: Vec<_> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(console.is_empty(), "{console:#?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn report(history: &misstep::history::History) -> Report {
    Report::new(&Subject::default(), &Finding::of_file(history, &Question::default()))
}

fn generated(machine: &Machine) -> Report {
    report(&file::parse(machine.history(3).json().to_string().as_bytes()).unwrap())
}

/// Failures of very different looks.
fn reports() -> Vec<(&'static str, Report)> {
    let orders = (0..40).map(|at| match at % 10 {
        3 => vec![pass("Price"), task("Charge").retries(("Busy", "later")).stops(Phase::Backoff)],
        7 => vec![wait("Pause").stops(Phase::Waiting)],
        _ => vec![task("Charge")],
    });
    let mut reports = vec![
        ("a retried Lambda", report(&recorded("failed", "retry-interval-features"))),
        ("a retried Parallel", report(&recorded("failed", "parallel-state-retry"))),
        ("a nested execution", report(&recorded("failed", "start-execution-sync-delegate-timeout"))),
        ("a concurrent Map", generated(&big_map(2_000))),
        ("a timeout", generated(&Machine::new(vec![map("Orders", orders.collect())]).times_out())),
    ];
    // Of the planted ones, one with everything that a report can have.
    let planted = planted::planted_reports().iter();
    reports.extend(planted.map(|(plant, reports)| (*plant, reports[16].clone())));
    reports
}

#[tokio::test]
#[ignore = "needs Chromium"]
async fn its_own_policy_lets_the_page_be_styled_and_copied_from() {
    let chromium = Chromium::installed();
    let report = report(&recorded("failed", "retry-interval-features"));
    let page = chromium.write("page.html", &Format::Html.render(&report, false));
    let dom = chromium.dom(&page).await;
    assert_eq!(dom.matches("<button type=\"button\">Copy</button>").count(), 3, "{dom}");
    assert!(dom.contains("LambdaTask"));

    let picture = chromium.folder.path().join("page.png");
    let into = format!("--screenshot={}", picture.display());
    let _ = chromium.run(&page, &[&into, "--window-size=1200,900"]).await;
    let picture = std::fs::read(picture).unwrap();
    println!("a picture of the page: {} bytes", picture.len());
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000);
}

#[tokio::test]
#[ignore = "needs Chromium"]
async fn every_page_fits_a_telephone_also_unfolded() {
    let chromium = Chromium::installed();
    let reports = reports();
    let mut frames = String::new();
    for (_, report) in &reports {
        let page = Format::Html.render(report, false).replace('&', "&amp;").replace('"', "&quot;");
        frames.push_str(&format!(
            "<iframe width={TELEPHONE} height=800 style=border:0 srcdoc=\"{page}\"></iframe>"
        ));
    }
    // Looks into the pages from outside, since they let no other script run.
    let harness = format!(
        "<!DOCTYPE html><meta charset=utf-8>{frames}<ol></ol><script>addEventListener('load', () => {{
            for (const {{ contentWindow: w, contentDocument: d }} of document.querySelectorAll('iframe')) {{
                for (const details of d.querySelectorAll('details')) details.open = true;
                const said = document.querySelector('ol').appendChild(document.createElement('li'));
                const root = d.documentElement;
                const strange = d.querySelectorAll('img, b, script ~ script, svg script, [onerror], [onload]');
                said.textContent = [w.innerWidth, root.scrollWidth, w.getComputedStyle(d.body).overflowWrap,
                    d.querySelectorAll('ol.timeline > li').length > 0 || 'empty', strange.length].join(' ');
            }}
            for (const frame of document.querySelectorAll('iframe')) frame.remove();
        }})</script>"
    );
    let dom = chromium.dom(&chromium.write("harness.html", &harness)).await;
    let said: Vec<&str> = dom.split("<li>").skip(1).filter_map(|rest| rest.split("</li>").next()).collect();
    assert_eq!(said.len(), reports.len(), "{dom}");
    for ((what, _), said) in reports.iter().zip(said) {
        assert_eq!(said, format!("{TELEPHONE} {TELEPHONE} anywhere true 0"), "{what}");
    }
    println!("{} pages fit into {TELEPHONE} pixels", reports.len());
}
