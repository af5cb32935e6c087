//! What a reader of causes is.

use serde_json::{Map, Value};

use super::partial::Fields;
use super::{ParsedCause, Reading};

/// An object's fields as they are looked through.
pub(super) type Object = Map<String, Value>;

/// A reader of the objects of one service.
pub(super) trait Reader: Sync {
    /// The integrations that it reads the answers of.
    fn called(&self) -> &'static [&'static str];

    /// Whether an object is one of its own, by its fields alone.
    fn fits(&self, reading: Reading<'_>, fields: &Fields) -> bool;

    /// Whether it can read an object of an integration that it is for.
    fn can_read(&self, reading: Reading<'_>, fields: &Fields) -> bool {
        self.fits(reading, fields)
    }

    /// What the object says.
    fn understand(&self, reading: Reading<'_>, fields: &Fields) -> ParsedCause;

    /// Its row in the documentation.
    fn row(&self) -> Row;
}

/// What is read of the answers of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
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
    pub(super) fits: fn(Reading<'_>, &Fields) -> bool,
    pub(super) understand: fn(Reading<'_>, &Fields) -> ParsedCause,
    pub(super) reads: &'static str,
}

impl Reader for Own {
    fn called(&self) -> &'static [&'static str] {
        self.called
    }

    fn fits(&self, reading: Reading<'_>, fields: &Fields) -> bool {
        (self.fits)(reading, fields)
    }

    fn understand(&self, reading: Reading<'_>, fields: &Fields) -> ParsedCause {
        (self.understand)(reading, fields)
    }

    fn row(&self) -> Row {
        Row { name: self.name, called: self.called, reads: self.reads.to_owned() }
    }
}
