//! The promises about the code itself that no lint holds.

use std::fs;
use std::path::{Path, PathBuf};

/// Files that may use `unsafe`, each saying why at its top.
const UNSAFE_FILES: &[&str] = &[];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files() -> Vec<PathBuf> {
    fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("read a source directory") {
            let path = entry.expect("read a directory entry").path();
            if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with("target") {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for room in ["collector", "ingest", "query", "web", "tests", "benches"] {
        collect(&root().join(room), &mut found);
    }
    assert!(found.len() > 50, "the rooms are where they were");
    found
}

#[test]
fn imports_point_only_backwards() {
    let rooms = ["collector", "ingest", "query", "web"];
    for (at, room) in rooms.iter().enumerate() {
        let manifest = fs::read_to_string(root().join(room).join("Cargo.toml")).expect(room);
        for later in &rooms[at..] {
            let forward = manifest.lines().any(|line| line.starts_with(&format!("taffrail-{later}")));
            assert!(!forward, "{room} must not depend on {later}");
        }
    }
}

#[test]
fn each_room_ignores_what_it_must_not_know() {
    let check = |room: &str, forbidden: &[&str]| {
        let manifest = fs::read_to_string(root().join(room).join("Cargo.toml")).expect(room);
        for name in forbidden {
            assert!(!manifest.lines().any(|line| line.starts_with(name)), "{room} must not know {name}");
        }
    };
    check("collector", &["tantivy", "rusqlite", "pco"]);
    check("ingest", &["axum", "hyper", "nom"]);
    check("query", &["axum", "hyper", "tantivy", "rusqlite", "pco"]);
    check("web", &["tantivy", "rusqlite", "pco"]);
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    for path in rust_files() {
        let text = fs::read_to_string(&path).expect("read a source file");
        assert!(text.starts_with("//!"), "{} does not open with //!", path.display());
    }
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    for path in rust_files() {
        let name = path.file_stem().expect("a file name").to_string_lossy().into_owned();
        let vague = ["util", "utils", "helper", "helpers", "common", "misc", "types"].contains(&name.as_str());
        assert!(!vague, "{} should say what is inside", path.display());
    }
}

#[test]
fn unsafe_stands_only_in_the_named_files() {
    for path in rust_files() {
        let relative = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        if relative == "tests/it/house.rs" || UNSAFE_FILES.contains(&relative.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("read a source file");
        assert!(!text.contains("unsafe_code"), "{relative} switches the unsafe lint off but is not in UNSAFE_FILES");
    }
}
