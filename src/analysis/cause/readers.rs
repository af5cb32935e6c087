//! Who reads an object: a table by integration.
//!
//! The history says which integration was called, and its reader is asked first. Without that, in a
//! Fail state's cause or a child's, the fields tell. Each reader claims objects of its own shape only,
//! so that their order does not matter; `samples` holds that.

use serde_json::{Map, Value};

use super::partial::Fields;
use super::services::SERVICES;
use super::{ParsedCause, Reading, json, kubernetes, lambda, nested};

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

/// Those with rules of their own.
static OWN: [&Own; 4] = [&lambda::READER, &nested::CHILD, &nested::RETHROWN, &kubernetes::READER];

/// All readers but the one for what no other reads.
fn readers() -> impl Iterator<Item = &'static dyn Reader> {
    let own = OWN.iter().map(|own| *own as &dyn Reader);
    own.chain(SERVICES.iter().map(|service| service as &dyn Reader))
}

/// The reader of an object.
pub(super) fn of(reading: Reading<'_>, fields: &Fields) -> &'static dyn Reader {
    let by_integration = || {
        let called = reading.called?;
        readers().find(|reader| called.is_one_of(reader.called()) && reader.can_read(reading, fields))
    };
    let by_shape = || readers().find(|reader| reader.fits(reading, fields));
    by_integration().or_else(by_shape).unwrap_or(&json::READER)
}

/// How many readers claim an object by its fields.
#[cfg(test)]
pub(super) fn claims(reading: Reading<'_>, fields: &Fields) -> Vec<&'static str> {
    readers().filter(|reader| reader.fits(reading, fields)).map(|reader| reader.row().name).collect()
}

/// What is read of each service's answers, for the documentation.
pub fn table() -> Vec<Row> {
    let mut rows: Vec<Row> = readers().map(Reader::row).collect();
    rows.sort_by_key(|row| row.name);
    rows.push(Reader::row(&json::READER));
    rows
}

/// An object's fields as they are looked through.
pub(super) type Object = Map<String, Value>;
