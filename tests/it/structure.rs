//! The structure of the sources: what imports what, and that a name means one thing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;

/// A source file: its path below `src`, and its text without comments and tests.
struct Source {
    path: PathBuf,
    text: String,
}

/// All sources that are not tests.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let relative = path.strip_prefix(&root).unwrap().to_owned();
            let is_test = relative.components().any(|part| part.as_os_str() == "tests")
                || relative.file_stem().is_some_and(|name| name.to_str().unwrap().ends_with("tests"));
            if path.extension().is_some_and(|end| end == "rs") && !is_test {
                found.push(Source { path: relative, text: code(&std::fs::read_to_string(path).unwrap()) });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 150, "{}", found.len());
    found
}

/// A file's text without comments, up to its tests.
fn code(text: &str) -> String {
    let tests = Regex::new(r"(?m)^#\[cfg\(test\)\]\n(?:pub\(crate\) )?mod \w+").unwrap();
    let end = tests.find(text).map_or(text.len(), |tests| tests.start());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

impl Source {
    /// Its module as a path: `["notify", "channels", "http"]`.
    fn module(&self) -> Vec<String> {
        let path = self.path.with_extension("");
        path.iter().map(|part| part.to_str().unwrap().to_owned()).collect()
    }

    /// The modules and items that it names by a path from the crate or from its parent.
    fn imports(&self) -> BTreeSet<Vec<String>> {
        let mut imports = BTreeSet::new();
        let tree = Regex::new(r"(?s)\buse ([^;]+);").unwrap();
        for found in tree.captures_iter(&self.text) {
            flatten(&found[1], &[], &mut imports);
        }
        let path = Regex::new(r"\b((?:crate|super|self)(?:::\w+)+)").unwrap();
        for found in path.captures_iter(&self.text) {
            imports.insert(found[1].split("::").map(str::to_owned).collect());
        }
        imports.iter().filter_map(|path| self.resolved(path)).collect()
    }

    /// A path from the root of the crate; `None` for one into another crate.
    fn resolved(&self, path: &[String]) -> Option<Vec<String>> {
        let mut base = self.module();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
                base.extend_from_slice(rest);
                return Some(base);
            }
            _ => return None,
        }
        base.extend_from_slice(&rest[1..]);
        Some(base)
    }
}

/// The paths of a tree of imports: `a::{b, c::{d, e}}`.
fn flatten(tree: &str, before: &[String], paths: &mut BTreeSet<Vec<String>>) {
    let tree = tree.trim();
    let parts = |text: &str| -> Vec<String> {
        text.split("::").filter(|part| !part.is_empty()).map(|part| part.trim().to_owned()).collect()
    };
    let Some((front, group)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or(tree);
        paths.insert([before, &parts(name)].concat());
        return;
    };
    let front = [before, &parts(front)].concat();
    let group = group.trim_end().strip_suffix('}').unwrap();
    let (mut depth, mut start) = (0, 0);
    for (at, char) in group.char_indices().chain([(group.len(), ',')]) {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !group[start..at].trim().is_empty() {
                    flatten(&group[start..at], &front, paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The modules of the table in `src/lib.rs`, from top to bottom.
fn floors() -> Vec<String> {
    let row = Regex::new(r"(?m)^//! \| \[?`(\w+)`\]? \|").unwrap();
    let text = include_str!("../../src/lib.rs");
    row.captures_iter(text).map(|row| row[1].to_owned()).collect()
}

#[test]
fn every_module_is_in_the_table_and_imports_only_modules_below_it() {
    let floors = floors();
    let floor = |module: &str| floors.iter().position(|name| name == module);
    let mut upward = Vec::new();
    for source in sources() {
        let module = source.module();
        if ["main", "lib"].contains(&&*module[0]) {
            continue;
        }
        let own =
            floor(&module[0]).unwrap_or_else(|| panic!("{} is not in the table of src/lib.rs", module[0]));
        for import in source.imports() {
            let Some(other) = import.first().and_then(|name| floor(name)) else { continue };
            if other < own {
                upward.push(format!("{} imports {}", source.path.display(), import.join("::")));
            }
        }
    }
    assert!(upward.is_empty(), "{}", upward.join("\n"));
}

/// What each file imports from which other one. A module and the files below it are one thing in this:
/// a parent names its children, and they use what it holds.
fn graph() -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let sources = sources();
    let modules: BTreeSet<Vec<String>> = sources.iter().map(Source::module).collect();
    let mut graph = BTreeMap::new();
    for source in &sources {
        let own = source.module();
        let file = |import: &Vec<String>| {
            (1..=import.len()).rev().map(|end| import[..end].to_vec()).find(|path| modules.contains(path))
        };
        let others = source.imports().iter().filter_map(file).collect::<BTreeSet<_>>();
        let others = others.into_iter().filter(|other| !own.starts_with(other) && !other.starts_with(&own));
        graph.insert(own.clone(), others.collect());
    }
    graph
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut graph = graph();
    // What imports nothing that is left is in no circle.
    loop {
        let done: BTreeSet<_> =
            graph.iter().filter(|(_, to)| to.is_empty()).map(|(own, _)| own.clone()).collect();
        if done.is_empty() {
            break;
        }
        graph.retain(|own, _| !done.contains(own));
        for to in graph.values_mut() {
            to.retain(|other| !done.contains(other));
        }
    }
    // Nor is what nothing imports that is left.
    loop {
        let imported: BTreeSet<_> = graph.values().flatten().cloned().collect();
        let before = graph.len();
        graph.retain(|own, _| imported.contains(own));
        if graph.len() == before {
            break;
        }
    }
    let circles: Vec<String> = graph
        .iter()
        .map(|(own, to)| {
            let to: Vec<String> = to.iter().map(|other| other.join("::")).collect();
            format!("{} imports {}", own.join("::"), to.join(", "))
        })
        .collect();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn no_two_types_have_one_name() {
    // An associated type is indented, and has no name of its own.
    let defined =
        r"(?m)^(?: *(?:pub(?:\(\w+\))? )?(?:struct|enum|trait)|(?:pub(?:\(\w+\))? )?type) ([A-Z]\w*)";
    let defined = Regex::new(defined).unwrap();
    let mut places: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for source in sources() {
        // Two ways to build the same thing: a build has one of them.
        if source.path.ends_with("telemetry/no_traces.rs") {
            continue;
        }
        for found in defined.captures_iter(&source.text) {
            places.entry(found[1].to_owned()).or_default().push(source.path.clone());
        }
    }
    assert!(places.len() > 300, "{}", places.len());
    let twice: Vec<_> = places.iter().filter(|(_, places)| places.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

#[test]
fn imports_are_found_in_every_form() {
    let source = Source {
        path: "notify/channels/http.rs".into(),
        text: "use super::{Channel, line::{self, Lines}};\nuse crate::a::b as c;\nlet x = super::super::post::send();\nuse tokio::time;"
            .to_owned(),
    };
    let imports: Vec<String> = source.imports().iter().map(|path| path.join("::")).collect();
    for import in ["a::b", "notify::channels::Channel", "notify::channels::line::Lines", "notify::post::send"]
    {
        assert!(imports.iter().any(|found| found == import), "{import} is not in {imports:?}");
    }
    assert!(!imports.iter().any(|found| found.starts_with("tokio")), "{imports:?}");
}
