//! The content of a notification: one typed value from the analysis to the channel.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::Report;
use super::fields::Visitor;
use super::summary::Summary;

/// The content of a notification.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, for as long as it is composed")]
pub enum Notice<'r> {
    /// A failure, with everything that is known.
    Failure(Cow<'r, Report>),
    /// A failure, for people outside the team.
    Summary(Box<Summary>),
}

impl<'r> Notice<'r> {
    /// A failure, with everything that is known.
    pub fn failure(report: &'r Report) -> Self {
        Self::Failure(Cow::Borrowed(report))
    }

    /// The report; of a summary, its reduced report.
    pub fn report(&self) -> &Report {
        match self {
            Self::Failure(report) => report,
            Self::Summary(summary) => &summary.report,
        }
    }

    /// The whole report; `None` for a summary.
    pub fn whole(&self) -> Option<&Report> {
        match self {
            Self::Failure(report) => Some(report),
            Self::Summary(_) => None,
        }
    }

    /// What happened, in one or two sentences, if the notice already has them.
    pub(super) fn sentence(&self) -> Option<&str> {
        match self {
            Self::Failure(_) => None,
            Self::Summary(summary) => Some(&summary.sentence),
        }
    }

    /// The report, to be changed.
    pub fn report_mut(&mut self) -> &mut Report {
        match self {
            Self::Failure(report) => report.to_mut(),
            Self::Summary(summary) => &mut summary.report,
        }
    }

    /// Shows `visitor` every text and every list.
    pub fn visit(&mut self, visitor: &mut dyn Visitor) {
        match self {
            Self::Failure(report) => report.to_mut().visit(visitor),
            Self::Summary(summary) => summary.visit(visitor),
        }
    }

    /// The contract's `data`.
    pub fn data(&self) -> Value {
        serde_json::to_value(self).expect("a report has only text keys")
    }
}
