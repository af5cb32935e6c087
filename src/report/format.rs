//! The forms that a report can be asked for in.

use super::Report;

/// A form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What a notification carries under `data`.
    Json,
}

impl Format {
    /// The names that [`Format::parse`] takes.
    pub const NAMES: [&str; 1] = ["json"];

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// Renders a report; ends with a line's end.
    pub fn render(self, report: &Report, _colour: bool) -> String {
        match self {
            Self::Json => {
                let mut json = serde_json::to_string_pretty(report).expect("a report has only text keys");
                json.push('\n');
                json
            }
        }
    }
}
