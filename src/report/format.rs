//! The forms that a report can be asked for in.

use super::{Report, html, markdown, text};

/// A form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For somebody at a terminal.
    Text,
    /// What a notification carries under `data`.
    Json,
    /// For a ticket or a chat.
    Markdown,
    /// A page of its own, with the timeline drawn.
    Html,
}

impl Format {
    /// The names that [`Format::parse`] accepts.
    pub const NAMES: [&str; 4] = ["text", "json", "markdown", "html"];

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            "markdown" => Some(Self::Markdown),
            "html" => Some(Self::Html),
            _ => None,
        }
    }

    /// Renders a report; ends with a line's end. Only text has colours.
    pub fn render(self, report: &Report, colour: bool) -> String {
        match self {
            Self::Text => text::render(report, colour),
            Self::Markdown => markdown::render(report),
            Self::Html => html::render(report),
            Self::Json => {
                let mut json = serde_json::to_string_pretty(report).expect("a report has only text keys");
                json.push('\n');
                json
            }
        }
    }
}
