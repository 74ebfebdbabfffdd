//! What a template made and spelled otherwise than Python prints it, seen by later templates.

use super::super::{Context, Template};
use crate::Data;

/// Renders with a mapping, a list and a tuple that were spelled by templates; on both ways, where there
/// are two.
#[track_caller]
fn check(text: &str, expected: &str) {
    let made = |text: &str| Template::parse(text).unwrap().render_data(&Context::default()).unwrap();
    let variables = [
        ("m", made(r#"{{ '{"b":1,"a":[1]}' }}"#)),
        ("l", made(r#"{{ [1, 'x'] | to_json }}"#)),
        ("t", made("{{ '1,2' }}")),
        ("inside", Data::List(vec![made("{{ '[1,2]' }}")])),
    ];
    assert!(variables[..3].iter().all(|(_, data)| matches!(data, Data::Spelled(..))));
    let context = Context::new(variables);
    for text in [text.to_owned(), format!("{text}{{# engine #}}")] {
        assert_eq!(Template::parse(&text).unwrap().render(&context).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn as_a_text_it_is_as_it_was_spelled() {
    check("{{ m }} {{ l }} {{ t }}", r#"{"b":1,"a":[1]} [1,"x"] 1,2"#);
    check("{{ m ~ '' }} {{ m | string }}", r#"{"b":1,"a":[1]} {"b":1,"a":[1]}"#);
    check("{{ l | upper }} {{ l | replace('x', 'y') }}", r#"[1,"X"] [1,"y"]"#);
    check("{{ '%s' % l }} {{ '%s' | format(l) }} {{ '{}'.format(l) }}", r#"[1,"x"] [1,"x"] [1,"x"]"#);
    check("{{ [l, t] | join(';') }}", r#"[1,"x"];1,2"#);
    check("{{ l | regex_replace('x', 'z') }} {{ l | trim }}", r#"[1,"z"] [1,"x"]"#);
    check("{% set q = l %}{{ q }}", r#"[1,"x"]"#);
    check("{% set ns = namespace(x=l) %}{{ ns.x }}", r#"[1,"x"]"#);
    check(
        "{{ l if true }} {{ l or 3 }} {{ l | default(1) }} {{ iif(true, l) }}",
        &[r#"[1,"x"]"#; 4].join(" "),
    );
    check("{{ inside[0] }}", "[1,2]");
}

#[test]
fn inside_of_others_and_worked_on_it_prints_as_in_python() {
    check("{{ [l, t] }} {{ {'k': m} }}", "[[1, 'x'], (1, 2)] {'k': {'a': [1], 'b': 1}}");
    check("{{ inside }}", "[[1, 2]]");
    check("{{ '%r' % l }}", "[1, 'x']");
    check("{{ l + [2] }} {{ l[:] }} {{ l | list }} {{ l * 1 }}", "[1, 'x', 2] [1, 'x'] [1, 'x'] [1, 'x']");
    check("{{ t + (3,) }} {{ t[0:2] }} {{ t | list }}", "(1, 2, 3) (1, 2) [1, 2]");
    check("{{ dict(m) }} {{ m.copy() }} {{ l.copy() }}", "{'a': [1], 'b': 1} {'a': [1], 'b': 1} [1, 'x']");
    check(
        "{{ l | unique | list }} {{ l | reverse | list }} {{ l | select | list }}",
        "[1, 'x'] ['x', 1] [1, 'x']",
    );
    check("{{ combine(m, {'c': 1}) }}", "{'a': [1], 'b': 1, 'c': 1}");
}

#[test]
fn otherwise_it_is_what_it_means() {
    check("{{ m.b }} {{ m['a'][0] }} {{ l[1] }} {{ t[0] }}", "1 1 x 1");
    check("{{ l[-1] }} {{ l | first }} {{ t | last }} {{ t | sum }} {{ t | max }}", "x 1 2 3 2");
    check("{{ m | length }} {{ l | count }} {{ m.items() | list }}", "2 2 [('a', [1]), ('b', 1)]");
    check(
        "{{ m.get('b') }} {{ m.get('z', 5) }} {{ m.keys() | list }} {{ l.index('x') }}",
        "1 5 ['a', 'b'] 1",
    );
    check(
        "{% for k, v in m.items() %}{{ k }}{{ v }} {% endfor %}{% for i in t %}{{ i }}{% endfor %}",
        "a[1] b1 12",
    );
    check("{% for k in m %}{{ k }}{% endfor %}", "ab");
    check(
        "{{ m is mapping }} {{ l is list }} {{ l is string }} {{ t is tuple }} {{ t is list }}",
        "True True False True False",
    );
    check(
        "{{ m is sequence }} {{ t is sequence }} {{ m is iterable }} {{ l is iterable }}",
        "True True True True",
    );
    check(
        "{{ l == [1, 'x'] }} {{ t == (1, 2) }} {{ t == [1, 2] }} {{ m == {'a': [1], 'b': 1} }}",
        "True True False True",
    );
    check("{{ 'a' in m }} {{ 'x' in l }} {{ 3 in t }} {{ t < (1, 3) }}", "True True False True");
    check("{{ m | to_json }} {{ l | to_json }}", r#"{"a":[1],"b":1} [1,"x"]"#);
    check("{{ '%s-%s' % t }} {{ typeof(t) }}", "1-2 tuple");
    check("{{ l | int(7) }} {{ l is number }} {{ 'yes' if m }}", "7 False yes");
    check(
        "{{ [m, m] | map(attribute='b') | list }} {{ [m] | selectattr('b', 'eq', 1) | list | count }}",
        "[1, 1] 1",
    );
}
