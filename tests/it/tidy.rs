//! Rules of the house that no compiler checks: purity, layout, banned words, used dependencies.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned()
}

/// Every file below `folder` with the extension, in order, without build output.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the repository can be read") {
            let path = entry.expect("the repository can be read").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && !name.starts_with("target") && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Runs `broken` over the Rust files below the folders and fails with everything it says.
#[track_caller]
fn check(folders: &[&str], broken: impl Fn(&Path, &str) -> Vec<String>) {
    let root = root();
    let mut complaints = Vec::new();
    let mut seen = 0;
    for path in folders.iter().flat_map(|folder| files(&root.join(folder), "rs")) {
        let text = fs::read_to_string(&path).expect("source files are UTF-8");
        let name = path.strip_prefix(&root).unwrap_or(&path);
        seen += 1;
        complaints.extend(broken(name, &text).into_iter().map(|why| format!("{}: {why}", name.display())));
    }
    assert!(seen > 0, "no source files were found below {folders:?}");
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

const ALL: &[&str] = &["devices", "rules", "broker-config", "bridge", "tests", "examples"];

/// The lines of a file with their numbers, up to its tests, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .map(|(number, line)| (number + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn lines_with(text: &str, words: &[&str]) -> Vec<String> {
    code(text)
        .flat_map(|(number, line)| {
            let found = words.iter().filter(|word| line.contains(**word));
            found.map(move |word| format!("line {number}: `{word}`")).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_file_says_what_it_is_for() {
    check(ALL, |_, text| match text.starts_with("//!") {
        true => Vec::new(),
        false => vec!["does not open with `//!`".to_owned()],
    });
}

#[test]
fn no_file_grows_past_one_idea() {
    check(ALL, |_, text| match text.lines().count() {
        0..=700 => Vec::new(),
        lines => vec![format!("{lines} lines; split it by idea (at most 700)")],
    });
}

#[test]
fn modules_are_named_files() {
    check(ALL, |name, _| match name.ends_with("mod.rs") {
        true => vec!["is a mod.rs; name it foo.rs beside foo/".to_owned()],
        false => Vec::new(),
    });
    check(ALL, |name, _| {
        let stem = name.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        match ["utils", "util", "helpers", "common", "manager"].contains(&stem) {
            true => vec!["names no idea".to_owned()],
            false => Vec::new(),
        }
    });
}

#[test]
fn the_core_is_pure() {
    let banned = [
        "HashMap",
        "HashSet",
        "SystemTime",
        "Instant::now",
        "tokio",
        "std::fs",
        "std::net",
        "std::thread",
        "std::env",
        "std::process",
        "println!",
        " rand::",
        "(rand::",
        "RandomState",
        "unsafe",
    ];
    check(&["devices/src", "rules/src"], |name, text| {
        // Tests may read files and print; what they test may not.
        let is_test = name.components().any(|part| part.as_os_str() == "tests") || name.ends_with("tests.rs");
        if is_test { Vec::new() } else { lines_with(text, &banned) }
    });
    let workspace = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has a manifest");
    for software in ["libm", "solar-positioning"] {
        let line = workspace.lines().find(|line| line.starts_with(software)).expect("the core reckons by it");
        let is_software = line.contains("default-features = false") && !line.contains("\"std\"");
        assert!(is_software, "{software}: with its default features or `std` it differs from node to node");
    }
    for core in ["devices", "rules"] {
        let manifest =
            fs::read_to_string(root().join(core).join("Cargo.toml")).expect("each crate has a manifest");
        for foreign in ["tokio", "openraft", "redb", "rumqtt", "rand", "axum", "config"] {
            let depends = manifest.lines().any(|line| line.starts_with(foreign));
            assert!(!depends, "{core}/Cargo.toml: the core must not depend on {foreign}");
        }
    }
}

#[test]
fn only_the_command_line_prints() {
    check(&["broker-config/src", "bridge/src"], |name, text| {
        let is_cli = name.starts_with("bridge/src/cli") || name.ends_with("main.rs");
        let words: &[&str] = if is_cli { &["dbg!"] } else { &["println!", "eprintln!", "dbg!"] };
        lines_with(text, words)
    });
}

#[test]
fn nothing_is_left_for_later() {
    check(ALL, |name, text| {
        // This file names the words it looks for.
        let words: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
        let is_tidy = name.ends_with("tidy.rs");
        let found =
            text.lines().enumerate().filter(|(_, line)| !is_tidy && words.iter().any(|w| line.contains(w)));
        found.map(|(number, _)| format!("line {}: unfinished", number + 1)).collect()
    });
}

#[test]
fn only_one_place_applies() {
    check(&["bridge/src"], |name, text| match name.ends_with("raft/home.rs") {
        true => Vec::new(),
        false => lines_with(text, &["state.apply("]),
    });
}

#[test]
fn openraft_stays_behind_its_door() {
    check(&["bridge/src"], |name, text| {
        let inside = name.starts_with("bridge/src/raft") || name.starts_with("bridge/src/store");
        if inside { Vec::new() } else { lines_with(text, &["openraft::"]) }
    });
}

#[test]
fn every_dependency_is_used() {
    let root = root();
    for package in ALL {
        let manifest =
            fs::read_to_string(root.join(package).join("Cargo.toml")).expect("each crate has a manifest");
        let sources: String = files(&root.join(package), "rs")
            .iter()
            .map(|path| fs::read_to_string(path).expect("source files are UTF-8"))
            .collect();
        let unused: BTreeSet<&str> =
            dependencies(&manifest).filter(|name| !sources.contains(&name.replace('-', "_"))).collect();
        assert!(unused.is_empty(), "{package}/Cargo.toml: unused dependencies {unused:?}");
    }
}

/// The names in a manifest's dependency tables.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    manifest.lines().filter_map(move |line| {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
            return None;
        }
        let name = line.split(['.', ' ', '=']).next()?;
        (inside && !name.is_empty() && !name.starts_with('#')).then_some(name)
    })
}

#[test]
fn the_repository_speaks_of_no_machine() {
    let root = root();
    let words = ["/root/", "/home/", "/tmp/bash", "/work/"];
    for path in ["rs", "toml", "md", "yaml", "txt"].iter().flat_map(|extension| files(&root, extension)) {
        if path.ends_with("tidy.rs") || path.ends_with("Cargo.lock") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("text files are UTF-8");
        for (number, line) in text.lines().enumerate() {
            let found = words.iter().find(|word| line.contains(**word));
            assert!(found.is_none(), "{}:{}: path of one machine", path.display(), number + 1);
        }
    }
}
