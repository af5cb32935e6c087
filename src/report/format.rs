//! The forms that a report can be asked for in.

use super::{Report, markdown, text};

/// A form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For somebody at a terminal.
    Text,
    /// What a notification carries under `data`.
    Json,
    /// For a ticket or a chat.
    Markdown,
}

impl Format {
    /// The names that [`Format::parse`] takes.
    pub const NAMES: [&str; 3] = ["text", "json", "markdown"];

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            "markdown" => Some(Self::Markdown),
            _ => None,
        }
    }

    /// Renders a report; ends with a line's end. Only text has colours.
    pub fn render(self, report: &Report, colour: bool) -> String {
        match self {
            Self::Text => text::render(report, colour),
            Self::Markdown => markdown::render(report),
            Self::Json => {
                let mut json = serde_json::to_string_pretty(report).expect("a report has only text keys");
                json.push('\n');
                json
            }
        }
    }
}
