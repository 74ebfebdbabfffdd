//! Templates that mean harm: each ends with an error, soon, and without much memory.

use super::*;

#[track_caller]
fn refused(text: &str) {
    let result = Template::parse(text).and_then(|template| template.render(&Context::default()));
    assert!(result.is_err(), "{text:.200} gives {:.100}", result.unwrap_or_default());
}

#[test]
fn memory_is_bounded_inside_one_expression() {
    refused("{{ 'x' * 10000000 }}");
    refused("{{ ['x'] * 10000000 }}");
    refused("{{ range(10000000) | list }}");
    refused("{{ 'aaaaaaaaaaaaaaaaaaaa' | replace('', 'y' * 100000) }}");
    refused("{{ ('x' * 100000).replace('x', 'yyyy') }}");
    refused("{{ ('x' * 200000) ~ ('x' * 200000) }}");
    refused("{{ range(50000) | join('xxxxxxxxxx') }}");
    refused("{{ '%1000000d' % 5 }}");
    refused("{{ '{:1000000}'.format(5) }}");
    refused("{{ '%.1000000f' | format(1.5) }}");
    refused("{{ ('x' * 100000).split('') }}");
    refused("{{ 10 ** 100 }}");
    refused("{{ ('x,' * 100000).split(',') | map('replace', 'x', 'y' * 1000) | list }}");
    refused("{{ 'a' | regex_replace('', 'x' * 250000) ~ ('x' * 100000) }}");
    refused("{{ 'a' | regex_search('(a{1000}){1000}') }}");
    refused("{{ 'x' | regex_search('x(?=y)') }}");
    let growing = "{% set ns = namespace(l=[]) %}{% for i in range(20000) %}\
                   {% set ns.l = ns.l + ['x' * 50000] %}{% endfor %}{{ ns.l | length }}";
    refused(growing);
    let doubling = "{% set ns = namespace(l='x') %}{% for i in range(60) %}\
                    {% set ns.l = ns.l ~ ns.l %}{% endfor %}{{ ns.l | length }}";
    refused(doubling);
    let shared = "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}\
                  {% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l == ns.l }}";
    refused(shared);
    let captured = "{% set x %}{% for i in range(90000) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
                    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
                    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
                    {% endfor %}{% endset %}{{ x | length }}";
    refused(captured);
}

#[test]
fn nesting_is_bounded() {
    refused("{% set ns = namespace(l=[]) %}{% for i in range(9000) %}{% set ns.l = [ns.l] %}{% endfor %}x");
    refused(
        "{% set ns = namespace(l={}) %}{% for i in range(9000) %}{% set ns.l = {'a': ns.l} %}{% endfor %}x",
    );
    refused("{% set ns = namespace() %}{% set ns.a = ns %}x");
    refused("{% set ns = namespace() %}{% set ns.a = [ns] %}x");
    refused("{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}");
    refused("{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}");
    for part in ["1 + ", "1 ~ ", "not ", "-", "1 and ", "1 == ", "[", "{1: ", "(", "1 if 1 else ", "a|"] {
        refused(&format!("{{{{ {}1 }}}}", part.repeat(15_000)));
        refused(&format!("{{{{ {}1 }}}}", part.repeat(3_000)));
    }
    for part in [".a", "[0]", "|abs", "(1)", " is none", "**1", " if 1"] {
        refused(&format!("{{{{ a{} }}}}", part.repeat(8_000)));
        refused(&format!("{{{{ a{} }}}}", part.repeat(3_000)));
    }
    refused(&format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(4_000)));
    refused(&"{% if 1 %}".repeat(5_000));
    refused(&"{% for a in b %}".repeat(3_000));
    refused(&format!("{{{{ '{}' | from_json }}}}", "[".repeat(30_000)));
}

#[test]
fn time_is_bounded() {
    refused("{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}");
    refused("{% for a in range(5000) %}{% set x = range(50000) | select('eq', -1) | list %}{% endfor %}");
    refused("{% for a in range(5000) %}{% set x = 5 in range(50000) | list %}{% endfor %}");
    refused("{% for a in range(5000) %}{% set x = ('a' * 200000) | regex_search('b') %}{% endfor %}");
    refused("{% for a in range(9000) %}{% set x = ('a' * 200000) is search('b') %}{% endfor %}");
    refused(
        "{{ range(90000) | map('random') | list | unique | list }}{{ range(9000) | list | set | length }}",
    );
    refused("{% set l = range(50000) | list %}{{ l | set | length }}");
}
