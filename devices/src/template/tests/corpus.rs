//! Templates of the field, where they are at hand: those that devices send in their declarations, and
//! those of people's automations.

use super::*;
use crate::yaml::{self, Kind, Node};
use std::path::PathBuf;

#[test]
fn declarations_of_devices_compile() {
    let Some(folder) = folder() else { return };
    let mut count = 0;
    let mut broken = Vec::new();
    for (file, text) in files(&folder, "jsonl") {
        for line in text.lines() {
            let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            let payload = line.get("payload").and_then(|payload| payload.as_str()).unwrap_or_default();
            let Ok(payload) = serde_json::from_str::<serde_json::Value>(payload) else { continue };
            let mut texts = Vec::new();
            if line.get("kind").and_then(|kind| kind.as_str()) == Some("discovery") {
                texts_of_json(&payload, &mut texts);
            }
            for text in texts.iter().filter(|text| is_template(text)) {
                count += 1;
                broken
                    .extend(Template::parse(text).err().map(|error| format!("{file}: {error}\n    {text}")));
            }
        }
    }
    println!("{count} templates in declarations, {} do not compile", broken.len());
    println!("{}", broken.join("\n"));
    assert!(count > 500, "{count}");
    // One device sends `{{%if`, which Jinja does not read either.
    broken.retain(|text| !text.contains("{{%if"));
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn templates_of_automations_compile() {
    let Some(folder) = folder() else { return };
    let mut count = 0;
    let mut broken = Vec::new();
    for (file, text) in files(&folder.join("automations"), "yaml") {
        let Ok(node) = yaml::parse(&file, &text) else { continue };
        let mut texts = Vec::new();
        texts_of_node(&node, &mut texts);
        for text in texts.iter().filter(|text| is_template(text)) {
            count += 1;
            broken.extend(Template::parse(text).err().map(|error| format!("{file}: {error}\n    {text}")));
        }
    }
    println!("{count} templates in automations, {} do not compile", broken.len());
    println!("{}", broken.join("\n"));
    assert!(count > 200, "{count}");
    assert!(broken.len() * 100 <= count * 3, "{}", broken.join("\n"));
}

fn texts_of_json<'j>(json: &'j serde_json::Value, texts: &mut Vec<&'j str>) {
    match json {
        serde_json::Value::String(text) => texts.push(text),
        serde_json::Value::Array(items) => items.iter().for_each(|item| texts_of_json(item, texts)),
        serde_json::Value::Object(map) => map.values().for_each(|item| texts_of_json(item, texts)),
        _ => {}
    }
}

fn texts_of_node<'n>(node: &'n Node, texts: &mut Vec<&'n str>) {
    match &node.kind {
        Kind::Text(text) => texts.push(text),
        Kind::List(items) => items.iter().for_each(|item| texts_of_node(item, texts)),
        Kind::Map(entries) => entries.iter().for_each(|(_, value)| texts_of_node(value, texts)),
        Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => {}
    }
}

/// The folder of the corpus, if it is there.
#[expect(clippy::disallowed_methods, reason = "a test may look for its data")]
fn folder() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let folder = std::env::var("GABLE_CORPUS").map_or_else(|_| beside(), PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: no corpus at ../../shared/corpus, and GABLE_CORPUS names none");
        return None;
    }
    Some(folder)
}

/// The files of a folder that end so, by name.
#[expect(clippy::disallowed_methods, reason = "a test may look for its data")]
fn files(folder: &std::path::Path, ending: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    paths.sort();
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    paths.iter().filter_map(|path| Some((name(path), std::fs::read_to_string(path).ok()?))).collect()
}
