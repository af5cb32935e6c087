//! `misstep explain FILE` with any bytes at all: an error or a report, never a panic or a hang.

#![no_main]

use libfuzzer_sys::fuzz_target;
use misstep::analysis::Question;
use misstep::history::file;
use misstep::investigation::Finding;
use misstep::report::format::Format;
use misstep::report::{Report, Subject};

fuzz_target!(|bytes: &[u8]| {
    let Ok(history) = file::parse(bytes) else { return };
    let finding = Finding::of_file(&history, &Question::default());
    let report = Report::new(&Subject::default(), &finding);
    let text = Format::Text.render(&report, false);
    assert!(text.lines().all(|line| !line.chars().any(char::is_control)));
    for format in Format::NAMES.iter().filter_map(|name| Format::parse(name)) {
        assert!(!format.render(&report, true).is_empty());
    }
});
