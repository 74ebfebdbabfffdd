//! Automations and blueprints of the field, where they are at hand: each file is read, and each
//! blueprint makes an automation when its inputs are given, and none when they are not.

use gable_devices::yaml::{self, Node};
use gable_rules::{Report, Severity, SourceFile};
use std::path::PathBuf;
use std::{env, fs};

/// The files of the corpus, by name; none if it is not at hand.
fn corpus() -> Vec<SourceFile> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let folder = env::var_os("GABLE_CORPUS").map_or_else(beside, PathBuf::from).join("automations");
    let Ok(entries) = fs::read_dir(folder) else {
        println!("skipped: no corpus at ../../shared/corpus, and GABLE_CORPUS names none");
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|it| it == "yaml")).collect();
    paths.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    paths
        .iter()
        .map(|path| SourceFile { name: name(path), text: fs::read_to_string(path).unwrap() })
        .collect()
}

/// The inputs of a blueprint that have no default: name, selector, and the domain of an entity.
fn required(inputs: &Node, found: &mut Vec<(String, String, String)>) {
    for (key, about) in inputs.as_map().unwrap_or_default() {
        match about.get("input") {
            Some(inside) => required(inside, found),
            None if about.get("default").is_none() => {
                let selector = about.get("selector").and_then(Node::as_map).unwrap_or_default();
                let Some((selector, about)) = selector.first() else { continue };
                let domain =
                    about.get("domain").and_then(|domain| domain.list_or_single().first()?.as_text());
                found.push((key.text.clone(), selector.text.clone(), domain.unwrap_or("light").to_owned()));
            }
            None => {}
        }
    }
}

/// A value that a selector lets pass, and one of another type.
fn values(selector: &str, domain: &str) -> (String, Option<&'static str>) {
    let (right, wrong) = match selector {
        "number" => ("5", Some("five")),
        "boolean" => ("true", Some("perhaps")),
        "entity" => return (format!("{domain}.hall"), Some("{a: 1}")),
        "target" => ("{entity_id: light.hall}", Some("5")),
        "action" => ("[]", Some("5")),
        "text" | "addon" => ("word", Some("{a: 1}")),
        _ => ("word", None),
    };
    (right.to_owned(), wrong)
}

/// Uses a blueprint with these inputs; returns the report, and the errors in it.
fn use_blueprint(blueprint: &SourceFile, domain: &str, inputs: &[(String, String)]) -> (Report, Vec<String>) {
    let inputs: Vec<String> = inputs.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let text = format!(
        "{domain}:\n  {}use_blueprint: {{path: x.yaml, input: {{{}}}}}\n",
        if domain == "script" { "x:\n    " } else { "- " },
        inputs.join(", ")
    );
    let home = SourceFile { name: "configuration.yaml".to_owned(), text };
    let name = format!("blueprints/{domain}/x.yaml");
    let report = gable_rules::check(&[home, SourceFile { name, text: blueprint.text.clone() }]);
    let errors = report.problems.iter().filter(|problem| problem.severity == Severity::Error);
    let errors = errors.map(ToString::to_string).collect();
    (report, errors)
}

#[test]
fn every_automation_file_is_read() {
    for file in corpus() {
        let report = gable_rules::check(std::slice::from_ref(&file));
        let told = |text: &str| report.problems.iter().any(|problem| problem.what.message.contains(text));
        assert!(!told("not YAML"), "{}", file.name);
        let count = report.automations + report.unsupported + report.broken + report.blueprints;
        let is_told = !report.problems.is_empty();
        assert!(count > 0 || is_told || file.text.contains("script:"), "nothing is said of {}", file.name);
    }
}

#[test]
fn blueprints_of_the_field_take_their_inputs_and_no_others() {
    let mut used = 0;
    for file in corpus() {
        let Ok(node) = yaml::parse(&file.name, &file.text) else { continue };
        let Some(about) = node.get("blueprint") else { continue };
        let domain = about.get("domain").and_then(Node::as_text).unwrap().to_owned();
        let mut inputs = Vec::new();
        about.get("input").into_iter().for_each(|node| required(node, &mut inputs));
        let value =
            |(name, selector, domain): &(String, String, String)| (name.clone(), values(selector, domain).0);
        let given: Vec<(String, String)> = inputs.iter().map(value).collect();

        let (report, errors) = use_blueprint(&file, &domain, &given);
        assert_eq!(errors, Vec::<String>::new(), "{}", file.name);
        assert!(domain == "script" || report.automations + report.unsupported == 1, "{}", file.name);

        for (n, (name, selector, domain_of_entity)) in inputs.iter().enumerate() {
            let mut without = given.clone();
            without.remove(n);
            let (_, errors) = use_blueprint(&file, &domain, &without);
            let is_told = |errors: &[String], words: &str| errors.iter().any(|error| error.contains(words));
            assert!(is_told(&errors, &format!("the input `{name}` is missing")), "{}: {errors:?}", file.name);
            let Some(wrong) = values(selector, domain_of_entity).1 else { continue };
            let mut mistaken = given.clone();
            mistaken[n].1 = wrong.to_owned();
            let (_, errors) = use_blueprint(&file, &domain, &mistaken);
            let path = format!("use_blueprint.input.{name}: ");
            assert!(is_told(&errors, &path), "{}: {name}: {wrong}: {errors:?}", file.name);
        }
        used += 1;
    }
    assert!(used == 0 || used > 5, "only {used} blueprints were found");
}
