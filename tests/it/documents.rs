//! Parts of documents that are made from the code: compared, or written anew where `UPDATE_DOCS` is set.

use std::path::Path;

/// Holds that what stands between `<!-- NAME -->` and `<!-- end of NAME -->` in a document is `expected`.
pub(crate) fn section(document: &str, name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let start = text.find(&begin).unwrap_or_else(|| panic!("{document} has no {begin}")) + begin.len();
    let length = text[start..].find(&end).unwrap_or_else(|| panic!("{document} has no {end}"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let new = format!("{}{expected}{}", &text[..start], &text[start + length..]);
        std::fs::write(&path, new).unwrap();
    } else {
        assert_eq!(&text[start..start + length], expected, "{document}, {name}: run with UPDATE_DOCS=1");
    }
}
