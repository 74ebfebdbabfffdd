//! The tree from text to text: what is read, where it stands, and what is refused.

use super::*;

fn show(node: &Node) -> String {
    let tag = node.tag.as_ref().map(|tag| format!("{tag} ")).unwrap_or_default();
    let kind = match &node.kind {
        Kind::Null => "null".to_owned(),
        Kind::Bool(bool) => bool.to_string(),
        Kind::Int(int) => int.to_string(),
        Kind::Float(float) => float_text(*float),
        Kind::Text(text) => format!("{text:?}"),
        Kind::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Kind::Map(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(key, node)| format!("{}: {}", key.text, show(node))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    };
    format!("{tag}{kind}")
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let shown = match parse("home.yaml", text) {
        Ok(node) => show(&node),
        Err(problem) => problem.to_string(),
    };
    assert_eq!(shown, expected, "{text}");
}

#[test]
fn documents_read_as_in_home_assistant() {
    check("", "null");
    check("# nothing\n", "null");
    check("a: 1\nb: [x, 'y', \"on\", on]\n", r#"{a: 1, b: ["x", "y", "on", true]}"#);
    check("on: off\n1: 2\ntrue: x\n", r#"{on: false, 1: 2, true: "x"}"#);
    check("z: 1\na: 2\n", "{z: 1, a: 2}");
    check("text: |\n  two\n  lines\n", r#"{text: "two\nlines\n"}"#);
    check("folded: >-\n  one\n  line\n", r#"{folded: "one line"}"#);
    check("a: !!str 5\nb: !!int '7'\nc: !!float '1'\n", r#"{a: "5", b: 7, c: 1.0}"#);
    check("---\na: 1\n", "{a: 1}");
    check("\u{feff}a: 1\n", "{a: 1}");
}

#[test]
fn tags_stay_on_the_node() {
    check("a: !secret wifi\nb: !include x.yaml\n", r#"{a: !secret "wifi", b: !include "x.yaml"}"#);
    check("- !input 5\n", r#"[!input "5"]"#);
    let node = parse("home.yaml", "a: {b: [!secret x]}").unwrap();
    let problems: Vec<String> = node.unresolved_tags("").iter().map(Problem::to_string).collect();
    assert_eq!(problems, ["home.yaml:1:9: a.b[0]: the tag `!secret` is not supported here"]);
    let tagged = parse("home.yaml", "!secret x").unwrap();
    assert!(tagged.as_text().is_none());
    assert!(tagged.text("p").is_err() && tagged.boolean("p").is_err() && tagged.number("p").is_err());
}

#[test]
fn anchors_aliases_and_merge_keys_expand() {
    check("a: &x [1, 2]\nb: *x\n", "{a: [1, 2], b: [1, 2]}");
    check("base: &b {x: 1, y: 2}\nown:\n  <<: *b\n  y: 3\n", "{base: {x: 1, y: 2}, own: {x: 1, y: 3}}");
    check(
        "a: &a {x: 1}\nb: &b {x: 2, z: 3}\nc: {<<: [*a, *b]}\n",
        "{a: {x: 1}, b: {x: 2, z: 3}, c: {x: 1, z: 3}}",
    );
    check("'<<': 5\n", "{<<: 5}");
    check("<<: 5\n", "home.yaml:1:5: `<<` takes a mapping or a list of mappings");
    check("a: &a [*a]\n", "home.yaml:1:8: the alias stands inside its own anchor");
}

#[test]
fn mistakes_carry_their_place() {
    check("a: 1\n---\nb: 2\n", "home.yaml:2:1: a second document begins; one file holds one");
    check("? [1]\n: 2\n", "home.yaml:1:3: a key has to be a text");
    assert!(parse("home.yaml", "a: [1, 2\nb: 3\n").is_err());
    assert!(parse("home.yaml", "a: *nowhere\n").is_err());
    assert!(parse("home.yaml", "a: {b: 1\nc: }}").is_err());
}

#[test]
fn a_repeated_key_spoils_its_mapping_only() {
    let node = parse("home.yaml", "- x: {a: 1, b: 2,\n   a: !secret y}\n- fine\n").unwrap();
    let problems: Vec<String> = node.unresolved_tags("list").iter().map(Problem::to_string).collect();
    assert_eq!(
        problems,
        [
            "home.yaml:2:4: list[0].x.a: the key `a` stands a second time in this mapping; the first is on line 1"
        ]
    );
    let mapping = node.as_list().unwrap()[0].get("x").unwrap();
    assert_eq!(mapping.as_map().unwrap().len(), 2);
    assert!(mapping.get("a").unwrap().text("list[0].x.a").unwrap_err().message.contains("a second time"));
    assert!(node.weight() > 0 && node.depth() == 3);
}

#[test]
fn hostile_documents_are_refused_early() {
    let bomb = (1..40).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let alias = format!("*a{}", n - 1);
        format!("{text}a{n}: &a{n} [{}]\n", vec![alias; 10].join(", "))
    });
    let problem = parse("home.yaml", &bomb).unwrap_err();
    assert!(problem.message.contains("after its aliases are expanded"), "{problem}");

    let deep = "[".repeat(200);
    let problem = parse("home.yaml", &deep).unwrap_err();
    assert!(problem.message.contains("nested deeper than 64"), "{problem}");

    let deep_by_alias =
        (1..80).fold("a0: &a0 [x]\n".to_owned(), |text, n| format!("{text}a{n}: &a{n} [*a{}]\n", n - 1));
    let problem = parse("home.yaml", &deep_by_alias).unwrap_err();
    assert!(problem.message.contains("nested deeper than 64"), "{problem}");

    let problem = parse("home.yaml", &"#".repeat((4 << 20) + 1)).unwrap_err();
    assert!(problem.message.contains("larger than 4 MB"), "{problem}");
}

#[test]
fn scalars_become_text_as_python_prints_them() {
    let node = parse("home.yaml", "[true, off, 5.50, 7, '7.0', 0x10, 1e16, ~]").unwrap();
    let texts: Vec<Option<String>> = node.list_or_single().iter().map(|item| item.text("").ok()).collect();
    let texts: Vec<&str> = texts.iter().map(|text| text.as_deref().unwrap_or("-")).collect();
    assert_eq!(texts, ["True", "False", "5.5", "7", "7.0", "16", "1e16", "-"]);
}

#[test]
fn fields_report_what_is_wrong_and_what_is_unknown() {
    let node = parse(
        "home.yaml",
        "stat_topic: x\nqos: high\nmode: singel\nretain: 'yes'\nname:\nlist: 5\nfor: {minutes: 1}\n",
    )
    .unwrap();
    let mut fields = Fields::new(&node, "mqtt.light[0]").unwrap();
    assert_eq!(fields.text("state_topic"), None);
    assert_eq!(fields.integer("qos"), None);
    assert_eq!(fields.choice("mode", &[("single", 1), ("restart", 2)]), None);
    assert_eq!(fields.boolean("retain"), Some(true));
    assert_eq!(fields.text("name"), None);
    assert_eq!(fields.texts("list"), ["5"]);
    assert_eq!(fields.duration("for"), Some(crate::Millis(60_000)));
    assert!(fields.require_text("unique_id").is_none());
    let problems: Vec<String> = fields.finish().iter().map(Problem::to_string).collect();
    assert_eq!(
        problems,
        [
            "home.yaml:2:6: mqtt.light[0].qos: expected an integer, found a text",
            "home.yaml:3:7: mqtt.light[0].mode: `singel` is not one of single, restart (did you mean `single`?)",
            "home.yaml:1:1: mqtt.light[0]: `unique_id` is missing",
            "home.yaml:1:1: mqtt.light[0]: unknown key `stat_topic` (did you mean `state_topic`?)",
        ]
    );
}

#[test]
fn random_text_never_panics() {
    let alphabet: Vec<char> = "ab: -[]{}&*!|>'\"#%\n\t ,?<~0.9é".chars().collect();
    let mut seed: u64 = 7;
    for _ in 0..3000 {
        let text: String = (0..40)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                alphabet[(seed >> 33) as usize % alphabet.len()]
            })
            .collect();
        if let Ok(node) = parse("x", &text) {
            node.to_data();
        }
    }
}
