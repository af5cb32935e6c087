//! Who reads an object: a table by integration.
//!
//! The history names the called integration, and its reader is tried first. Without that, in a
//! Fail state's cause or a child's, the fields decide. Each reader claims only objects of its own shape,
//! so that their order does not matter; `samples` holds that.

use super::partial::Fields;
use super::reader::{CauseReader, Own, ReaderRow};
use super::services::SERVICES;
use super::{CauseContext, json, kubernetes, lambda, nested};

/// Those with rules of their own.
static OWN: [&Own; 4] = [&lambda::READER, &nested::CHILD, &nested::RETHROWN, &kubernetes::READER];

/// All readers but the one for what no other reads.
fn readers() -> impl Iterator<Item = &'static dyn CauseReader> {
    let own = OWN.iter().map(|own| *own as &dyn CauseReader);
    own.chain(SERVICES.iter().map(|service| service as &dyn CauseReader))
}

/// The reader of an object.
pub(super) fn of(reading: CauseContext<'_>, fields: &Fields) -> &'static dyn CauseReader {
    let by_integration = || {
        let called = reading.called?;
        readers().find(|reader| called.is_one_of(reader.called()) && reader.can_read(reading, fields))
    };
    let by_shape = || readers().find(|reader| reader.fits(reading, fields));
    by_integration().or_else(by_shape).unwrap_or(&json::READER)
}

/// How many readers claim an object by its fields.
#[cfg(test)]
pub(super) fn claims(reading: CauseContext<'_>, fields: &Fields) -> Vec<&'static str> {
    readers().filter(|reader| reader.fits(reading, fields)).map(|reader| reader.row().name).collect()
}

/// What is read of each service's answers, for the documentation.
pub fn table() -> Vec<ReaderRow> {
    let mut rows: Vec<ReaderRow> = readers().map(CauseReader::row).collect();
    rows.sort_by_key(|row| row.name);
    rows.push(CauseReader::row(&json::READER));
    rows
}
