//! The report in text, for someone paged at night: the answer in the first three lines, then the
//! path to the root cause, the attempts, the inputs, and the timeline.

mod paint;
mod tree;

use super::Report;
use super::phrases::{self, MESSAGE, Part, Tone};
use super::value::{grouped, harmless, indented, short};
use paint::Paint;

/// Characters of an input or a cause further down.
const PAYLOAD: usize = 1_000;

/// Lines of a stack trace.
const STACK: usize = 15;

/// Characters of a line of a stack trace.
const STACK_LINE: usize = 200;

/// Lines of a cause that is a text.
const LINES: usize = 40;

/// Entries of a list before the rest is counted.
const LISTED: usize = 12;

/// Lines of a whole timeline. A tree this long has stopped being one.
const TIMELINE: usize = 200;

/// Renders a report.
pub fn render(report: &Report, colour: bool) -> String {
    let mut page = Page { lines: Vec::new(), paint: Paint { colour } };
    page.headline(report);
    page.answer(report);
    page.incident(report);
    page.root_cause_path(report);
    page.ran(report);
    page.attempts(report);
    page.logged(report);
    page.payloads(report);
    page.in_flight(report);
    page.also_failed(report);
    page.timeline(report);
    page.foot(report);
    let mut text = page.lines.join("\n");
    text.push('\n');
    text
}

/// The timeline without colours, one state a line, at most so many.
pub(super) fn timeline(report: &Report, most: usize) -> Vec<String> {
    let plain = Paint { colour: false };
    report.timeline.as_ref().map_or_else(Vec::new, |timeline| tree::tree(timeline, most, plain))
}

struct Page {
    lines: Vec<String>,
    paint: Paint,
}

impl Page {
    fn line(&mut self, text: impl Into<String>) {
        self.lines.push(text.into());
    }

    fn section(&mut self, title: &str) {
        let title = self.paint.strong(title);
        self.line("");
        self.line(title);
    }

    fn item(&mut self, text: impl AsRef<str>) {
        self.line(format!("  {}", text.as_ref()));
    }

    fn more(&mut self, hidden: usize, of: &str) {
        if hidden > 0 {
            self.item(format!("… {} {of}", grouped(hidden)));
        }
    }

    fn headline(&mut self, report: &Report) {
        let (mark, status, tone) = phrases::status(report);
        let mut line = self.paint.toned(tone, format!("{mark} {status}"));
        if let Some(arn) = &report.event_info.execution_arn {
            line.push_str(&format!("  {}", self.paint.strong(harmless(arn))));
        }
        if let Some(ended) = phrases::ended(report) {
            line.push_str(&format!("  {ended}"));
        }
        self.line(line);
    }

    /// The second and third line: which state, and why. Then what that rests on.
    fn answer(&mut self, report: &Report) {
        let paint = self.paint;
        let failed = report.analysis.failed_state.is_some();
        for sentence in phrases::answer(report) {
            self.item(sentence.written(|part| match part {
                Part::Place(_) if failed => paint.bad(part.plain()),
                Part::Error(_) if failed => paint.strong(part.plain()),
                _ => part.plain(),
            }));
        }
        if let Some(message) = phrases::message(report) {
            self.item(message);
        }
        if let Some(probable) = phrases::probable_cause(report) {
            self.item(probable.plain());
        }
        for (tone, sentence) in phrases::grounds(report) {
            let line = paint.toned(tone, format!("  {}", sentence.plain()));
            self.line(line);
        }
    }

    fn incident(&mut self, report: &Report) {
        let Some(note) = &report.analysis.incident else { return };
        self.section("Incident");
        self.item(phrases::incident::sentence(note));
        self.item(phrases::incident::which(note).plain());
        self.item(format!("Why they belong together: {}", harmless(&note.reason)));
        if note.new_executions.is_empty() {
            return;
        }
        self.section(&phrases::incident::title(note));
        for execution in &note.new_executions {
            self.item(phrases::incident::execution(execution).plain());
        }
    }

    fn root_cause_path(&mut self, report: &Report) {
        let Some(way) = phrases::root_cause_path(report) else { return };
        self.section(phrases::ROOT_CAUSE_PATH);
        for hop in &way.hops {
            self.item(hop.plain());
        }
        let root = self.paint.bad(way.root.plain());
        self.item(root);
        if let Some(elsewhere) = way.elsewhere {
            self.item(elsewhere.plain());
        }
    }

    fn ran(&mut self, report: &Report) {
        let ran = phrases::ran(report);
        if ran.is_empty() {
            return;
        }
        self.section("Where it ran");
        for one in ran {
            self.item(one.what.plain());
            let log = one.log.map(|log| log.plain());
            let links = [("", log), ("console ", one.console), ("logs ", one.logs)];
            for (title, text) in links.into_iter().filter_map(|(title, text)| Some((title, text?))) {
                self.item(format!("  {title}{text}"));
            }
        }
    }

    fn attempts(&mut self, report: &Report) {
        let Some((hidden, tries)) = phrases::tries(report, LISTED) else { return };
        self.section("Failed attempts");
        self.more(hidden, "earlier ones");
        for one in tries {
            let mut line = format!("{}.", one.number);
            let pause = one.pause.map(|pause| format!("{pause} after the one before"));
            for value in [one.began, one.took, pause, Some(one.error.plain())].into_iter().flatten() {
                line.push_str(&format!("  {value}"));
            }
            self.item(line);
        }
    }

    fn logged(&mut self, report: &Report) {
        let Some((title, lines)) = phrases::logged(report) else { return };
        self.section(&title.plain());
        match lines {
            Ok(lines) => lines.iter().for_each(|line| self.item(line)),
            Err(why) => self.item(why),
        }
    }

    fn payloads(&mut self, report: &Report) {
        if let Some(stack) = report.analysis.stack() {
            self.section("Stack");
            for line in stack.lines().take(STACK) {
                self.item(short(&indented(line), STACK_LINE));
            }
            self.more(stack.lines().count().saturating_sub(STACK), "more lines");
        }
        for (title, text) in phrases::causes(report).into_iter().chain(phrases::inputs(report)) {
            self.section(&title.plain());
            self.payload(text);
        }
    }

    /// JSON on one line, a text in its own lines.
    fn payload(&mut self, text: &str) {
        let text = text.trim();
        if text.starts_with(['{', '[', '"']) || !text.contains('\n') {
            self.item(short(text, PAYLOAD));
            return;
        }
        let length = text.chars().count();
        let shown = text.char_indices().nth(PAYLOAD).map_or(text, |(end, _)| &text[..end]);
        for line in shown.lines().take(LINES) {
            self.item(harmless(&indented(line)));
        }
        if shown.len() < text.len() || shown.lines().count() > LINES {
            self.item(format!("… ({} characters)", grouped(length)));
        }
    }

    fn in_flight(&mut self, report: &Report) {
        let states = &report.analysis.in_flight;
        if states.is_empty() {
            return;
        }
        self.section("In flight");
        for state in states.iter().take(LISTED) {
            self.item(phrases::in_flight(state, report).plain());
            if let Some(input) = &state.input {
                self.item(format!("  input {}", short(input, MESSAGE)));
            }
        }
        self.more(states.len().saturating_sub(LISTED), "more");
    }

    fn also_failed(&mut self, report: &Report) {
        let also = &report.analysis.also_failed;
        if also.is_empty() {
            return;
        }
        self.section(phrases::ALSO_FAILED);
        for one in also.iter().take(LISTED) {
            self.item(phrases::also_failed(one).plain());
        }
        self.more(also.len().saturating_sub(LISTED), "more");
    }

    fn timeline(&mut self, report: &Report) {
        let Some(timeline) = &report.timeline else { return };
        self.section("Timeline");
        for line in tree::tree(timeline, TIMELINE, self.paint) {
            self.item(line);
        }
    }

    fn foot(&mut self, report: &Report) {
        self.line("");
        for note in phrases::notes(report) {
            self.line(note.plain());
        }
        if let Some(reading) = phrases::reading(report) {
            let line = self.paint.toned(Tone::Faint, reading);
            self.line(line);
        }
        if let Some(console) = phrases::console(report) {
            self.line(console);
        }
    }
}
