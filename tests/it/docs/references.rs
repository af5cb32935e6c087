//! What documents refer to is there: files that they link to, tests that `docs/outcomes.md` names.

use misstep::analysis::Question;
use misstep::history::file;
use misstep::investigation::Finding;
use misstep::report::format::Format;
use misstep::report::{Report, Subject};

use super::{path, read};

/// The documents at the top, in `docs` and in `docs/channels`, each with the folder that its links start from.
fn documents() -> Vec<(String, String)> {
    let mut documents: Vec<(String, String)> =
        ["README.md", "CONTRIBUTING.md"].map(|name| (String::new(), name.to_owned())).into();
    for folder in ["docs", "docs/channels"] {
        let names = std::fs::read_dir(path(folder)).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let pages = names.filter(|name| name.ends_with(".md"));
        documents.extend(pages.map(|name| (folder.to_owned(), format!("{folder}/{name}"))));
    }
    documents
}

#[test]
fn every_link_of_a_document_leads_to_a_file() {
    let link = regex::Regex::new(r"\]\(([^)#\s]+)").unwrap();
    let mut links = 0;
    for (folder, document) in documents() {
        for found in link.captures_iter(&read(&document)) {
            let target = &found[1];
            if target.contains("://") {
                continue;
            }
            links += 1;
            let path = path(&folder).join(target);
            assert!(path.exists(), "{document} links to {target}, which is not there");
        }
    }
    assert!(links > 20, "only {links} links were found");
}

#[test]
fn the_first_result_in_the_readme_is_what_the_command_prints() {
    let readme = read("README.md");
    let (_, shown) = readme.split_once("$ misstep explain tests/fixtures/").unwrap();
    let (block, _) = shown.split_once("\n```").unwrap();
    let mut lines = block.lines();
    let history = read(&format!("tests/fixtures/{}", lines.next().unwrap()));
    let history = file::parse(history.as_bytes()).unwrap();
    let finding = Finding::of_file(&history, &Question::default());
    let printed = Format::Text.render(&Report::new(&Subject::default(), &finding), false);
    for line in lines.filter(|line| *line != "…") {
        assert!(printed.lines().any(|other| other == line), "{line:?} is not in\n{printed}");
    }
}

#[test]
fn every_test_that_an_outcome_names_exists() {
    let outcomes = read("docs/outcomes.md");
    let named = regex::Regex::new(r"`((?:[a-z_]+::)+)([a-z_]+)`").unwrap();
    let mut count = 0;
    let rows: String = outcomes.lines().filter(|line| line.starts_with('|')).collect();
    for found in named.captures_iter(&rows) {
        let (modules, name) = (found[1].trim_end_matches("::").replace("::", "/"), &found[2]);
        let source = read(&format!("tests/it/{modules}.rs"));
        assert!(source.contains(&format!("fn {name}(")), "{modules}::{name} is named, and not there");
        count += 1;
    }
    assert!(count > 15, "only {count} tests were found");
}
