//! What a reader of causes is.

use serde_json::{Map, Value};

use super::partial::Fields;
use super::{CauseContext, ParsedCause};

/// An object's fields as they are looked through.
pub(super) type Object = Map<String, Value>;

/// A reader of the objects of one service.
pub(super) trait CauseReader: Sync {
    /// The integrations that it reads the answers of.
    fn called(&self) -> &'static [&'static str];

    /// Whether an object is one of its own, by its fields alone.
    fn fits(&self, reading: CauseContext<'_>, fields: &Fields) -> bool;

    /// Whether it can read an object of an integration that it is for.
    fn can_read(&self, reading: CauseContext<'_>, fields: &Fields) -> bool {
        self.fits(reading, fields)
    }

    /// Parses the object.
    fn understand(&self, reading: CauseContext<'_>, fields: &Fields) -> ParsedCause;

    /// Its row in the documentation.
    fn row(&self) -> ReaderRow;
}

/// What is read of the answers of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderRow {
    /// The service.
    pub name: &'static str,
    /// Its integrations, as the history names them.
    pub called: &'static [&'static str],
    /// What of an answer is read.
    pub reads: String,
}

/// A reader with rules of its own.
pub(super) struct Own {
    pub(super) name: &'static str,
    pub(super) called: &'static [&'static str],
    pub(super) fits: fn(CauseContext<'_>, &Fields) -> bool,
    pub(super) understand: fn(CauseContext<'_>, &Fields) -> ParsedCause,
    pub(super) reads: &'static str,
}

impl CauseReader for Own {
    fn called(&self) -> &'static [&'static str] {
        self.called
    }

    fn fits(&self, reading: CauseContext<'_>, fields: &Fields) -> bool {
        (self.fits)(reading, fields)
    }

    fn understand(&self, reading: CauseContext<'_>, fields: &Fields) -> ParsedCause {
        (self.understand)(reading, fields)
    }

    fn row(&self) -> ReaderRow {
        ReaderRow { name: self.name, called: self.called, reads: self.reads.to_owned() }
    }
}
