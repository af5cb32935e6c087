//! Which crates may be in the tree, read from the committed lock file.

use std::path::Path;

/// Versions below these belong to the AWS crates' legacy HTTP and TLS stack, which has known
/// vulnerabilities; a single `aws-*` crate with its default features brings it back.
const AT_LEAST: &[(&str, (u64, u64))] = &[("hyper", (1, 0)), ("rustls", (0, 23)), ("h2", (0, 4))];

/// A second TLS stack, or one that is linked from the system.
const NEVER: &[&str] = &["openssl", "openssl-sys", "native-tls"];

fn locked() -> Vec<(String, (u64, u64))> {
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let version = package["version"].as_str().unwrap();
            let mut parts = version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
            let parsed = (parts.next().unwrap(), parts.next().unwrap());
            (package["name"].as_str().unwrap().to_owned(), parsed)
        })
        .collect()
}

#[test]
fn no_crate_of_the_legacy_http_stack_is_locked() {
    let locked = locked();
    for (name, least) in AT_LEAST {
        let versions: Vec<_> = locked.iter().filter(|(locked, _)| locked == name).collect();
        assert!(!versions.is_empty(), "{name} is no longer in the tree: remove it from this test");
        for (_, version) in versions {
            assert!(version >= least, "{name} {version:?} is older than {least:?}");
        }
    }
    for name in NEVER {
        assert!(!locked.iter().any(|(locked, _)| locked == name), "{name} is in the tree");
    }
}

#[test]
fn only_the_policy_of_backoff_is_used_and_only_in_one_file() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut naming = Vec::new();
    let mut folders = vec![sources];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path).unwrap_or_default().contains("backoff::") {
                naming.push(path.file_name().unwrap().to_owned());
            }
        }
    }
    assert_eq!(naming, ["retry.rs"]);
    let retry = include_str!("../../src/retry.rs");
    assert!(!retry.contains("backoff::future") && !retry.contains("backoff::retry"));
}
