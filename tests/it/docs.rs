//! What the documents say is so: their examples, tables, samples, links and names of tests.

mod notifications;
mod references;
mod sample_configurations;
mod settings;

use std::path::{Path, PathBuf};

/// A place in the repository.
fn path(place: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(place)
}

/// Holds that what stands between `<!-- NAME -->` and `<!-- end of NAME -->` in a document is `expected`.
pub(crate) fn section(document: &str, name: &str, expected: &str) {
    let text = read(document);
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let start = text.find(&begin).unwrap_or_else(|| panic!("{document} has no {begin}")) + begin.len();
    let length = text[start..].find(&end).unwrap_or_else(|| panic!("{document} has no {end}"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let new = format!("{}{expected}{}", &text[..start], &text[start + length..]);
        std::fs::write(path(document), new).unwrap();
    } else {
        assert_eq!(&text[start..start + length], expected, "{document}, {name}: run with UPDATE_DOCS=1");
    }
}

fn read(document: &str) -> String {
    std::fs::read_to_string(path(document)).unwrap()
}
