//! Messages of the field, where they are at hand: every declaration that Zigbee2MQTT published has to
//! load, and its state messages have to decode.

use super::*;
use std::path::PathBuf;

#[test]
fn zigbee2mqtts_own_messages_decode() {
    let Some(lines) = corpus_lines("zigbee2mqtt.jsonl") else {
        println!("skipped: no corpus at ../../shared/corpus, and GABLE_CORPUS names none");
        return;
    };
    let text = |line: &Data, key: &str| line.get(key).and_then(Data::as_text).unwrap_or_default().to_owned();
    let mut sections = Vec::new();
    for line in lines.iter().filter(|line| text(line, "kind") == "discovery") {
        let topic = text(line, "topic");
        let component = topic.split('/').nth(1).unwrap_or_default().to_owned();
        let payload = text(line, "payload");
        if Domain::from_name(&component).is_some() && payload.starts_with('{') {
            sections.push(yaml::parse(&topic, &format!("{{{component}: {payload}}}")).unwrap());
        }
    }
    let mut loaded = 0;
    let mut events = 0;
    let mut errors = Vec::new();
    for section in &sections {
        let (entities, problems) = Entities::from_nodes([section]);
        // Over discovery Home Assistant passes over keys that it does not know; in files it does not.
        let serious = problems.iter().find(|problem| !problem.message.starts_with("unknown key"));
        assert_eq!(serious, None);
        loaded += entities.len();
        for line in lines.iter().filter(|line| text(line, "kind") != "discovery") {
            let payload = text(line, "payload");
            for result in entities.decode(&text(line, "topic"), payload.as_bytes(), |_| None) {
                match result {
                    Ok(_) => events += 1,
                    Err(error) => errors.push(format!("{error} {payload}")),
                }
            }
        }
    }
    println!("{loaded} entities, {events} events, {} errors", errors.len());
    assert!(loaded > 50 && events > loaded, "{loaded} entities, {events} events");
    assert!(errors.len() * 20 < events, "{errors:#?}");
}

/// The lines of a file of the corpus, if it is there.
#[expect(clippy::disallowed_methods, reason = "a test may look for its data")]
fn corpus_lines(file: &str) -> Option<Vec<Data>> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let folder = std::env::var("GABLE_CORPUS").map_or_else(|_| beside(), PathBuf::from);
    let text = std::fs::read_to_string(folder.join(file)).ok()?;
    let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap().into();
    Some(text.lines().map(parse).collect())
}
