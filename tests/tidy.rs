//! Checks the source itself: who may import whom, file headers, sleeps, sizes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Package, and the packages of ours that it may import (DESIGN section 1).
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("tepui-runtime-macros", &[]),
    ("tepui-certs", &[]),
    ("tepui-runtime", &["tepui-runtime-macros"]),
    ("tepui-runtime-models", &[]),
    ("tepui-protocol", &["tepui-runtime"]),
    ("tepui-store", &[]),
    ("tepui-allocator", &["tepui-protocol"]),
    ("tepui-allocator-models", &[]),
    ("tepui-sim", &["tepui-allocator", "tepui-protocol"]),
    ("tepui-isolation", &["tepui-protocol"]),
    ("tepui-fetch", &["tepui-protocol", "tepui-isolation"]),
    (
        "tepui-framework",
        &["tepui-runtime", "tepui-protocol", "tepui-store"],
    ),
    (
        "tepui-batch",
        &["tepui-framework", "tepui-runtime", "tepui-protocol"],
    ),
    (
        "tepui-master",
        &[
            "tepui-runtime",
            "tepui-protocol",
            "tepui-store",
            "tepui-allocator",
        ],
    ),
    (
        "tepui-agent",
        &[
            "tepui-runtime",
            "tepui-protocol",
            "tepui-store",
            "tepui-isolation",
            "tepui-fetch",
        ],
    ),
    (
        "tepui-executor",
        &["tepui-runtime", "tepui-protocol", "tepui-isolation"],
    ),
    ("tepui-peers", &["tepui-runtime", "tepui-certs"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `dir` with that ending, leaving out build output.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a readable tree") {
        let path = entry.expect("a readable entry").path();
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                found.extend(files(&path, ending));
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn manifests() -> BTreeMap<String, toml::Table> {
    let mut manifests = BTreeMap::new();
    for path in files(root(), "Cargo.toml") {
        let text = fs::read_to_string(&path).expect("a readable manifest");
        let table: toml::Table = text.parse().expect("a valid manifest");
        if let Some(name) = table.get("package").and_then(|p| p["name"].as_str()) {
            manifests.insert(name.to_owned(), table);
        }
    }
    manifests
}

fn imports(manifest: &toml::Table) -> BTreeSet<String> {
    let dependencies = manifest.get("dependencies").and_then(|d| d.as_table());
    let names = dependencies.into_iter().flat_map(|d| d.keys());
    names
        .filter(|name| name.starts_with("tepui"))
        .cloned()
        .collect()
}

#[test]
fn packages_import_only_in_the_decided_directions() {
    let manifests = manifests();
    for (name, manifest) in manifests.iter().filter(|(name, _)| *name != "tepui") {
        let row = DIRECTIONS.iter().find(|(package, _)| package == name);
        let (_, allowed) = row.unwrap_or_else(|| panic!("{name}: not in the table of directions"));
        for import in imports(manifest) {
            assert!(
                allowed.contains(&import.as_str()),
                "{name} must not import {import}"
            );
        }
    }
    assert_eq!(
        manifests.len(),
        DIRECTIONS.len() + 1,
        "a row without a package"
    );
}

#[test]
fn the_pure_packages_do_not_get_the_messages() {
    let manifests = manifests();
    for name in ["tepui-allocator", "tepui-isolation"] {
        let protocol = &manifests[name]["dependencies"]["tepui-protocol"];
        assert!(
            protocol.get("features").is_none(),
            "{name}: protocol without `messages`"
        );
    }
    for forbidden in ["tokio", "actix", "tepui-runtime"] {
        let allocator = manifests["tepui-allocator"]["dependencies"]
            .as_table()
            .expect("a table");
        assert!(
            !allocator.contains_key(forbidden),
            "the allocator must not import {forbidden}"
        );
    }
}

#[test]
fn every_source_file_says_what_it_is() {
    for path in files(root(), ".rs") {
        let text = fs::read_to_string(&path).expect("a readable file");
        assert!(
            text.starts_with("//!"),
            "{}: must open with //!",
            path.display()
        );
        assert!(
            text.lines().count() <= 900,
            "{}: too long, split it",
            path.display()
        );
        assert_ne!(
            path.file_name().and_then(|n| n.to_str()),
            Some("mod.rs"),
            "use x.rs and x/"
        );
    }
}

#[test]
fn nothing_sleeps_without_saying_why() {
    for path in files(root(), ".rs") {
        let text = fs::read_to_string(&path).expect("a readable file");
        let lines: Vec<&str> = text.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            let sleeps = ["thread::sl", "time::sl"]
                .iter()
                .any(|s| line.contains(&format!("{s}eep(")));
            let before = &lines[n.saturating_sub(12)..n];
            let excused = before.iter().any(|l| l.contains("reason"));
            assert!(
                !sleeps || excused,
                "{}:{}: a sleep without a reason",
                path.display(),
                n + 1
            );
        }
    }
}

#[test]
fn unsafe_code_says_why_it_is_sound() {
    for path in files(root(), ".rs") {
        let text = fs::read_to_string(&path).expect("a readable file");
        let lines: Vec<&str> = text.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            let keyword = concat!("un", "safe {");
            if line.contains(keyword) && !line.trim_start().starts_with("//") {
                let before = &lines[n.saturating_sub(6)..n];
                let said = before.iter().any(|l| l.contains("// SAFETY:"));
                assert!(said, "{}:{}: no SAFETY note", path.display(), n + 1);
            }
        }
    }
}

#[test]
fn texts_speak_of_the_project_alone() {
    let endings = [".rs", ".md", ".toml", ".sh"];
    for path in endings.iter().flat_map(|ending| files(root(), ending)) {
        let text = fs::read_to_string(&path).expect("a readable file");
        for machine_path in [concat!("/wo", "rk/"), concat!("/ro", "ot/")] {
            assert!(
                !text.contains(machine_path),
                "{}: names {machine_path}",
                path.display()
            );
        }
    }
}

#[test]
fn every_citation_has_its_source() {
    let sources = fs::read_to_string(root().join("docs/SOURCES.md")).expect("the list of sources");
    for path in files(root(), ".rs") {
        let text = fs::read_to_string(&path).expect("a readable file");
        for line in text
            .lines()
            .filter_map(|l| l.trim_start().strip_prefix("//= "))
        {
            for part in line.split("; ") {
                let key: String = part
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '-')
                    .collect();
                let cited = sources.contains(&format!("| `{key}` |"));
                let first = part == line.split("; ").next().unwrap_or_default();
                assert!(
                    cited || !first,
                    "{}: no source {key:?}: {line}",
                    path.display()
                );
            }
        }
    }
}
