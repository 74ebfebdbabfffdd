//! Rendering, from text and JSON to text; every expectation was taken from Home Assistant's or
//! Python's documented behaviour.

use super::*;

fn render(text: &str, json: &str) -> Result<String, TemplateError> {
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    let Data::Map(variables) = Data::from(json) else { panic!("variables are a map") };
    Template::parse(text)?.render(&Context::from(variables))
}

#[track_caller]
fn check(text: &str, json: &str, expected: &str) {
    let output = render(text, json).unwrap_or_else(|error| format!("error: {error}"));
    assert_eq!(output, expected, "{text}");
}

#[test]
fn values_print_as_in_python() {
    let json = r#"{"t":true,"f":false,"n":null,"i":7,"x":21.5,"whole":5.0,"big":1e16,"s":"text",
                   "list":[1,"a",null,true,2.0],"map":{"a":1,"b":"it's"}}"#;
    check("{{ t }} {{ f }} {{ n }}", json, "True False None");
    check("{{ i }} {{ x }} {{ whole }} {{ big }}", json, "7 21.5 5.0 1e+16");
    check("{{ s }}", json, "text");
    check("{{ list }}", json, "[1, 'a', None, True, 2.0]");
    check("{{ map }}", json, r#"{'a': 1, 'b': "it's"}"#);
    check("{{ map.b }} {{ map['a'] }} {{ list[1] }}", json, "it's 1 a");
    check("{{ 1 == 1 }} {{ none }} {{ 3 / 2 }} {{ 4 / 2 }}", json, "True None 1.5 2.0");
    check("  {{ i }}\n", json, "7");
    check("plain", json, "plain");
    check("{{ {'a': 1, 'b': [true]} }}", json, "{'a': 1, 'b': [True]}");
    check("{{ '<b>' }}", json, "<b>");
}

#[test]
fn undefined_is_nothing_and_its_members_are_errors() {
    check("[{{ missing }}]", "{}", "[]");
    check("[{{ value_json.missing }}]", r#"{"value_json":{}}"#, "[]");
    check("{{ value_json.a.b }}", r#"{"value_json":{}}"#, "error: template: `a` is undefined");
    check("{{ missing.a }}", "{}", "error: template: `missing` is undefined");
    assert!(matches!(render("{{ missing.a | upper }}", "{}"), Err(TemplateError::Undefined(_))));
    assert!(matches!(render("{{ v.x | float }}", r#"{"v":{}}"#), Err(TemplateError::Undefined(_))));
    assert!(matches!(render("{{ v.x | is_defined }}", r#"{"v":{}}"#), Err(TemplateError::Undefined(_))));
    check("{{ v.x | default('none given') }}", r#"{"v":{}}"#, "none given");
    check("{{ 'yes' if v.x is defined else 'no' }}", r#"{"v":{}}"#, "no");
}

#[test]
fn functions_follow_home_assistant() {
    check("{{ '1.5' | float + 1 }}", "{}", "2.5");
    check("{{ 'x' | float(0) }} {{ 'x' | float(default=-1) }} {{ float('2') }}", "{}", "0 -1 2.0");
    check(
        "{{ 'x' | float }}",
        "{}",
        "error: template: float got `x`, which is no number, and no default was given",
    );
    check(
        "{{ '7.9' | int }} {{ 7.9 | int }} {{ 'x' | int(3) }} {{ 'ff' | int(base=16) }}",
        "{}",
        "7 7 3 255",
    );
    check(
        "{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 2.25 | round(1) }}",
        "{}",
        "2 4 2.67 2.2",
    );
    check(
        "{{ 1.21 | round(1, 'ceil') }} {{ 1.29 | round(1, 'floor') }} {{ 1.3 | round(0, 'half') }}",
        "{}",
        "1.3 1.2 1",
    );
    check("{{ 'x' | round(1, default=9) }} {{ '21.456' | float | round(1) }}", "{}", "9 21.5");
    check("{{ iif(2 > 1, 'hi', 'lo') }} {{ (1 > 2) | iif }} {{ none | iif(1, 2, 3) }}", "{}", "hi False 3");
    check("{{ v | to_json }}", r#"{"v":{"b":[1,2.0,"x"],"a":null}}"#, r#"{"a":null,"b":[1,2.0,"x"]}"#);
    check("{{ '%.2f' | format(1.5) }} {{ is_number('4') }} {{ 'a' | is_number }}", "{}", "1.50 True False");
    check("{% if value == 'ON' %}heat{% else %}off{% endif %}", r#"{"value":"ON"}"#, "heat");
}

#[test]
fn the_short_way_and_the_engine_agree() {
    let json = r#"{"v":{"a":{"b":[10,{"c":"deep"}]},"f":1.0,"t":true,"n":null,"s":"x"},"w":"text"}"#;
    let paths = [
        "v",
        "v.a",
        "v.a.b",
        "v.a.b[0]",
        "v.a.b[1].c",
        "v['a'].b",
        "v.a.b[9]",
        "v.f",
        "v.t",
        "v.n",
        "v.s",
        "w",
        "w.x",
        "v.n.x",
        "nothing",
        "v.nothing",
        "v[\"f\"]",
        "v.a.b.c",
    ];
    for path in paths {
        let short = Template::parse(&format!("{{{{ {path} }}}}")).unwrap();
        let long = Template::parse(&format!("{{{{ {path} }}}}{{# engine #}}")).unwrap();
        assert!(matches!(*short.form, Form::Paths(_)) && matches!(*long.form, Form::Jinja(_)), "{path}");
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        let Data::Map(variables) = Data::from(json) else { panic!() };
        let context = Context::from(variables);
        assert_eq!(short.render(&context), long.render(&context), "{path}");
    }
    for text in ["{{ v.nothing.x }}", "{{ nothing.x }}"] {
        let long = format!("{text}{{# engine #}}");
        assert!(matches!(render(text, json), Err(TemplateError::Undefined(_))));
        assert!(matches!(render(&long, json), Err(TemplateError::Undefined(_))));
    }
}

#[test]
fn what_looks_like_a_path_and_is_none_goes_to_the_engine() {
    check("{{ true }}", "{}", "True");
    check("{{ 'a' ~ 1 }}", "{}", "a1");
    check("{{- 5 -}} x", "{}", "5x");
    check("{{ v.s|upper }}", r#"{"v":{"s":"x"}}"#, "X");
    check("{{ range(3) | list }}", "{}", "[0, 1, 2]");
}

#[test]
fn mistakes_are_found_at_compile_time_where_they_can_be() {
    for text in ["{{ a", "{% if %}", "{{ 1 + }}", "{% for x in %}"] {
        assert!(matches!(Template::parse(text), Err(TemplateError::Syntax { line: 1, .. })), "{text}");
    }
    assert!(matches!(render("{{ 1 | no_such_filter }}", "{}"), Err(TemplateError::Syntax { .. })));
    assert!(matches!(Template::parse(&"x".repeat(100_000)), Err(TemplateError::TooLong)));
}

#[test]
fn work_and_output_are_bounded() {
    let busy = "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}";
    assert_eq!(render(busy, "{}"), Err(TemplateError::OutOfFuel));
    assert!(matches!(render("{{ 'x' * 1000000 }}", "{}"), Err(TemplateError::Failed(_))));
    let long = "{{ 'x' * 200000 }}{{ 'x' * 200000 }}";
    assert_eq!(render(long, "{}"), Err(TemplateError::OutputTooLong));
    let endless = "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}";
    assert!(render(endless, "{}").is_err());
    assert!(render("{% include 'template' %}", "{}").is_err());
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000));
    assert!(Template::parse(&deep).is_err());
}

mod bounds;
mod corpus;
mod functions;
mod home;
mod jinja;
mod spelled;
mod times;

/// Checks many templates, and tells of all that differ.
#[track_caller]
fn check_all(context: &Context, cases: &[(&str, &str)]) {
    let output = |text: &str| match Template::parse(text).and_then(|template| template.render(context)) {
        Ok(output) => output,
        Err(error) => format!("error: {error}"),
    };
    let differing: Vec<String> = cases
        .iter()
        .map(|(text, expected)| (text, output(text), expected))
        .filter(|(_, output, expected)| output != *expected)
        .map(|(text, output, expected)| format!("{text}\n  gives    {output}\n  expected {expected}"))
        .collect();
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}

#[test]
fn templates_are_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Template>();
    assert!(is_template("{{ x }}") && is_template("{% x %}") && is_template("{# x #}"));
    assert!(!is_template("{ x }"));
}

#[test]
fn methods_of_python_are_there() {
    check("{{ v.split('/')[2] }}", r#"{"v":"a/b/c"}"#, "c");
    check("{{ v.split('/', 1) }}", r#"{"v":"a/b/c"}"#, "['a', 'b/c']");
    check("{{ v.split() }}", r#"{"v":" a  b "}"#, "['a', 'b']");
    check("{{ v.upper() }} {{ v.title() }} {{ v.capitalize() }}", r#"{"v":"ab cD"}"#, "AB CD Ab Cd Ab cd");
    check("{{ v.strip() }}|{{ v.lstrip(' a') }}|{{ v.rstrip() }}", r#"{"v":" ab "}"#, "ab|b | ab");
    check(
        "{{ v.replace('a', 'x') }} {{ v.startswith('a') }} {{ v.endswith('a') }}",
        r#"{"v":"aba"}"#,
        "xbx True True",
    );
    check("{{ '12'.isdigit() }} {{ ''.isdigit() }}", "{}", "True False");
    check("{{ v.get('b', 5) }} {{ v.get('b') }} {{ v.keys() | list }}", r#"{"v":{"a":1}}"#, "5 None ['a']");
    check("{% for key, value in v.items() %}{{ key }}{{ value }}{% endfor %}", r#"{"v":{"a":1}}"#, "a1");
    check("{{ v.values() | list }}", r#"{"v":{"a":1}}"#, "[1]");
    assert!(render("{{ 'a'.nothing() }}", "{}").is_err());
    assert!(
        render(
            "{{ v.replace('', 'yyyyyyyyyyyyyyyyyyyyyyyyyy') }}",
            &format!(r#"{{"v":"{}"}}"#, "x".repeat(100_000))
        )
        .is_err()
    );
}
