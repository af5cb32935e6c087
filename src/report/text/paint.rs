//! Colours, where they were asked for.

use std::fmt::Display;

use owo_colors::{OwoColorize, Style};

use crate::report::phrases::Tone;

/// Paints, or leaves plain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    pub(super) colour: bool,
}

impl Paint {
    pub(super) fn toned(self, tone: Tone, text: impl Display) -> String {
        match tone {
            Tone::Good => self.good(text),
            Tone::Odd => self.odd(text),
            Tone::Bad => self.bad(text),
            Tone::Faint => self.faint(text),
        }
    }

    pub(super) fn bad(self, text: impl Display) -> String {
        self.with(text, Style::new().red().bold())
    }

    pub(super) fn good(self, text: impl Display) -> String {
        self.with(text, Style::new().green())
    }

    pub(super) fn odd(self, text: impl Display) -> String {
        self.with(text, Style::new().yellow())
    }

    pub(super) fn strong(self, text: impl Display) -> String {
        self.with(text, Style::new().bold())
    }

    pub(super) fn faint(self, text: impl Display) -> String {
        self.with(text, Style::new().dimmed())
    }

    fn with(self, text: impl Display, style: Style) -> String {
        if self.colour { text.style(style).to_string() } else { text.to_string() }
    }
}
