//! The language itself: expectations were computed with Jinja 3.1 on Python 3.11.

use super::*;

#[test]
fn jinja_and_python_agree() {
    check_all(&Context::default(), LANGUAGE);
}

#[test]
fn mistakes_are_errors_as_in_python() {
    let context = Context::default();
    for text in [
        "{{ '5' > 4 }}",
        "{{ 'a' + 1 }}",
        "{{ none + 1 }}",
        "{{ undefined_thing + 1 }}",
        "{{ undefined_thing > 1 }}",
        "{{ 1 / 0 }}",
        "{{ 1 % 0 }}",
        "{{ [1] < 1 }}",
        "{{ 'a' in 5 }}",
        "{{ [1].append(2) }}",
        "{{ {'a': 1}.update({'b': 2}) }}",
        "{{ undefined_thing.x.y }}",
        "{{ 'x' | int_typo }}",
        "{{ [1, 'a'] | sum }}",
        "{{ 'x'.nothing() }}",
        "{{ '%d' % 'x' }}",
        "{{ none.x.y }}",
        "{{ [1][0:1:0] }}",
    ] {
        let output = Template::parse(text).and_then(|template| template.render(&context));
        assert!(output.is_err(), "{text} gives {output:?}");
    }
}

#[test]
fn unknown_names_are_found_when_a_template_is_read() {
    let check = |text: &str, expected: &str| {
        let error = Template::parse(text).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check("{{ 1 | rond(2) }}", "template line 1: there is no filter `rond` (did you mean `round`?)");
    check(
        "a\n{{ is_stat('a.b') }}",
        "template line 2: there is no function `is_stat` (did you mean `is_state`?)",
    );
    check("{{ 1 is nummber }}", "template line 1: there is no test `nummber` (did you mean `number`?)");
    check("{{ 1 | __add(2) }}", "template line 1: there is no filter `__add`");
    check(
        "{{ closest('a.b') }}",
        "template line 1: the function `closest` is not offered: this home has no coordinates of its entities",
    );
    check(
        "{% from 'tools.jinja' import x %}",
        "template line 1: `from` takes templates from other files, which do not exist here; write it inline",
    );
    assert!(Template::parse("{% macro m() %}x{% endmacro %}{{ m() }}").is_ok());
    assert!(Template::parse("{% for f in [1] recursive %}{{ loop([]) }}{% endfor %}").is_ok());
}

/// Templates and what Jinja makes of them.
const LANGUAGE: &[(&str, &str)] = &[
    (
        "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }}",
        "3 -4 1 2 -2 3.0 0.5",
    ),
    (
        "{{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2.5 ** 2 }} {{ 4 ** 0.5 }} {{ 10 / 4 }} {{ 6 / 3 }} {{ 1e3 }} {{ 0.1 + 0.2 }}",
        "1024 0.5 6.25 2.0 2.5 2.0 1000.0 0.30000000000000004",
    ),
    ("{{ 1 + 2 * 3 - 4 / 2 }} {{ (1 + 2) * 3 }} {{ -2 ** 2 }} {{ 2 - -2 }} {{ 5 - 3 - 1 }}", "5.0 9 4 4 1"),
    (
        "{{ true + 1 }} {{ true and 'x' }} {{ '' or 'y' }} {{ not 0 }} {{ none or 0 }} {{ 1 if 0 }}|",
        "2 x y True 0 |",
    ),
    (
        "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ '1' == 1 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }}",
        "True False True True False True True",
    ),
    (
        "{{ 'a' in 'cat' }} {{ 'x' not in ['a'] }} {{ 1 in [1.0] }} {{ 'k' in {'k': 1} }} {{ (1, 2) == [1, 2] }}",
        "True True True True False",
    ),
    (
        "{{ 'ab' * 3 }} {{ [1] * 3 }} {{ 'a' ~ 1 ~ 2.0 ~ none ~ true ~ [1] }} {{ 'a' + 'b' }} {{ [1] + [2] }} {{ (1,) + (2,) }}",
        "ababab [1, 1, 1] a12.0NoneTrue[1] ab [1, 2] (1, 2)",
    ),
    (
        "{{ 'abcdef'[1:3] }} {{ 'abcdef'[-2:] }} {{ 'abcdef'[::-1] }} {{ 'abcdef'[4:1:-1] }} {{ [1, 2, 3][:2] }} {{ (1, 2, 3)[1:] }} {{ 'abc'[0] }} {{ [1, 2][-1] }}",
        "bc ef fedcba edc [1, 2] (2, 3) a 2",
    ),
    (
        r#"{{ (1, 2) }} {{ (1,) }} {{ () }} {{ {'b': 1, 'a': (1, none)} }} {{ [true, 'it\'s', "q\"", 'both\'"'] }}"#,
        r#"(1, 2) (1,) () {'b': 1, 'a': (1, None)} [True, "it's", 'q"', 'both\'"']"#,
    ),
    (
        "{{ '%d:%02d' % (5, 7) }} {{ '%.1f %%' % 5.25 }} {{ '%s' % 'x' }} {{ '%5s|%-5s|' % ('a', 'b') }} {{ '%x %X %o %e' % (255, 255, 8, 12345.678) }} {{ '%+d % d' % (5, 5) }}",
        "5:07 5.2 % x     a|b    | ff FF 10 1.234568e+04 +5  5",
    ),
    (
        "{{ '%s %s' | format('a', [1]) }} {{ '%05.1f' | format(3.14159) }} {{ '%(a)s' % {'a': 1} }} {{ '%r' % 'x' }} {{ '%g %g' % (0.00001, 123456789.0) }} {{ '%i' % 5.9 }}",
        "a [1] 003.1 1 'x' 1e-05 1.23457e+08 5",
    ),
    (
        "{{ '{:>5}|{:<5}|{:^5}|'.format('a', 'b', 'c') }} {{ '{:05d} {:.2f} {:,} {:x} {:+}'.format(42, 3.14159, 1234567, 255, 5) }} {{ '{0}{1}{0} {n}'.format('a', 'b', n=1) }}",
        "a|b    |  c  | 00042 3.14 1,234,567 ff +5 aba 1",
    ),
    (
        "{{ '{:.1%} {:e} {:g}'.format(0.256, 12345.6789, 0.0001) }} {{ '{{}}'.format() }} {{ '{:*^9}'.format('mid') }} {{ '{!r}'.format('a') }} {{ '{:08.3f}'.format(-3.14159) }} {{ '{:6}|'.format(5) }} {{ '{:6}|'.format('x') }}",
        "25.6% 1.234568e+04 0.0001 {} ***mid*** 'a' -003.142      5| x     |",
    ),
    (
        "{{ 'a,b,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a b c'.split(' ', 1) }} {{ 'a b  c'.split(none, 1) }} {{ 'a.b.c'.rsplit('.', 1) }} {{ 'a=b=c'.partition('=') }}",
        "['a', 'b', 'c'] ['a', 'b'] ['a', 'b c'] ['a', 'b  c'] ['a.b', 'c'] ('a', '=', 'b=c')",
    ),
    (
        "{{ 'hello world'.title() }} {{ 'hello'.capitalize() }} {{ 'Hi'.swapcase() }} {{ '5'.zfill(3) }} {{ '-5'.zfill(4) }} {{ 'x'.center(5, '*') }} {{ 'x'.ljust(3) }}| {{ 'x'.rjust(3) }}",
        "Hello World Hello hI 005 -005 **x** x  |   x",
    ),
    (
        "{{ 'banana'.count('an') }} {{ 'banana'.find('n') }} {{ 'banana'.find('x') }} {{ 'banana'.rfind('n') }} {{ 'banana'.index('n') }} {{ ','.join(['a', 'b']) }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }}",
        "2 2 -1 4 2 a,b bc ab",
    ),
    (
        "{{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ 'AB'.isupper() }} {{ 'ab'.islower() }} {{ ''.isdigit() }} {{ 'a1'.isalnum() }} {{ 'aXbX'.replace('X', '-', 1) }} {{ 'abc'.startswith(('x', 'a')) }}",
        "True True True True False True a-bX True",
    ),
    (
        "{{ [1, 2, 1].count(1) }} {{ [1, 2].index(2) }} {{ {'a': 1}.get('b', 5) }} {{ {'a': 1}.items() | list }} {{ {'a': 1, 'b': 2}.keys() | list }} {{ {'a': 1}.values() | list }}",
        "2 1 5 [('a', 1)] ['a', 'b'] [1]",
    ),
    (
        "{{ [3, 1, 2] | sort }} {{ [3, 1, 2] | sort(reverse=true) }} {{ ['b', 'A'] | sort }} {{ [1, 1, 2] | unique | list }} {{ [1, 2, 3] | sum }} {{ [1, 2, 3] | max }} {{ ['b', 'a'] | min }} {{ [] | max }}",
        "[1, 2, 3] [3, 2, 1] ['A', 'b'] [1, 2] 6 3 a",
    ),
    (
        "{{ [1, 2, 3] | select('odd') | list }} {{ [1, 2, 3] | reject('eq', 2) | list }} {{ [1, 2, 3] | select('ge', 2) | list }} {{ ['a', 'b'] | map('upper') | list }} {{ [{'a': 1}, {'a': 2}] | map(attribute='a') | list }} {{ [{'a': 1}, {'b': 2}] | map(attribute='a', default=0) | list }}",
        "[1, 3] [1, 3] [2, 3] ['A', 'B'] [1, 2] [1, 0]",
    ),
    (
        "{{ [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'y'}] | selectattr('a', 'gt', 1) | map(attribute='b') | first }} {{ [{'a': 2}, {'a': 1}] | sort(attribute='a') }} {{ [{'a': 2}, {'a': 1}] | sum(attribute='a') }} {{ [{'a': 2}, {'a': 1}] | max(attribute='a') }}",
        "y [{'a': 1}, {'a': 2}] 3 {'a': 2}",
    ),
    (
        "{{ [1, 2, 3, 4, 5] | batch(2) | list }} {{ [1, 2, 3] | batch(2, 0) | list }} {{ [1, 2, 3, 4, 5] | slice(2) | list }} {{ {'b': 1, 'a': 2} | dictsort }} {{ [1, 2] | reverse | list }} {{ 'abc' | reverse }} {{ [1, 2] | first }} {{ [1, 2] | last }} {{ 'abc' | first }}",
        "[[1, 2], [3, 4], [5]] [[1, 2], [3, 0]] [[1, 2, 3], [4, 5]] [('a', 2), ('b', 1)] [2, 1] cba 1 2 a",
    ),
    (
        "{% for k, v in [('a', 1), ('b', 2)] %}{{ loop.index }}{{ k }}{{ v }}{{ ',' if not loop.last }}{% endfor %}",
        "1a1,2b2",
    ),
    (
        "{% for g, items in [{'t': 'x', 'n': 1}, {'t': 'y', 'n': 2}, {'t': 'x', 'n': 3}] | groupby('t') %}{{ g }}={{ items | map(attribute='n') | list }} {% endfor %}",
        "x=[1, 3] y=[2]",
    ),
    (
        "{% set ns = namespace(n=0) %}{% for i in range(5) %}{% if i == 3 %}{% break %}{% endif %}{% if i == 1 %}{% continue %}{% endif %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}",
        "2",
    ),
    (
        "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=5, a=4) }}",
        "1-2 1-3 4-5",
    ),
    (
        "{% set x = 1, 2 %}{{ x }} {% set a, b = x %}{{ b }} {% set t %}  hi {% endset %}[{{ t }}] {% if false %}1{% elif none %}2{% elif 'x' %}3{% else %}4{% endif %}",
        "(1, 2) 2 [  hi ] 3",
    ),
    (
        "{% for i in [] %}x{% else %}none{% endfor %} {% for i in range(6) if i % 2 %}{{ i }}{% endfor %} {% with a = 5 %}{{ a }}{% endwith %} {% filter upper %}abc{% endfilter %}",
        "none 135 5 ABC",
    ),
    (
        "{{ 'Hello World' | lower }} {{ true | lower }} {{ none | upper }} {{ 'hello wORLD-foo (bar' | title }} {{ 'hELLO' | capitalize }} {{ '  x ' | trim }} {{ 'xxaxx' | trim('x') }} {{ 5 | string + '1' }} {{ 'aaa' | replace('a', 'b', 2) }}",
        "hello world true NONE Hello World-Foo (Bar Hello x a 51 bba",
    ),
    (
        "{{ [1, none, 'x', 2.0] | join('-') }} {{ [{'n': 'a'}, {'n': 'b'}] | join(', ', attribute='n') }} {{ 'abc' | join('.') }} {{ 'abc' | length }} {{ [1] | count }} {{ 'abc' | list }} {{ {'a': 1} | list }}",
        "1-None-x-2.0 a, b a.b.c 3 1 ['a', 'b', 'c'] ['a']",
    ),
    (
        "{{ x | default('d') }} {{ '' | default('d') }} {{ '' | default('d', true) }} {{ none | default('d') }} {{ none | default('d', boolean=true) }} {{ x is defined }} {{ none is none }} {{ 1 is number }} {{ 'a' is string }} {{ {} is mapping }} {{ [] is sequence }} {{ (1,2) is iterable }} {{ 4 is divisibleby 2 }} {{ 3 is odd }} {{ 'A' is upper }} {{ true is boolean }} {{ 1 is integer }} {{ 1.0 is float }}",
        "d  d None d False True True True True True True True True True True True True",
    ),
    (
        "{{ 'a' is sequence }} {{ {} is sequence }} {{ (1,) is sequence }} {{ range(3) is sequence }} {{ 3 is sequence }} {{ none is sequence }}",
        "True True True True False False",
    ),
    (
        r#"{{ 'a b&c/d' | urlencode }} {{ {'a b': 'c&d'} | urlencode }} {{ 'hello world foo' | truncate(11) }} {{ 'hello world foo bar' | truncate(11) }} {{ 'a\nb' | indent(2) }} {{ 'a b, c' | wordcount }} {{ 'x' | center(5) }}| {{ -3 | abs }} {{ 3.7 | abs }} {{ 'a' | pprint }}"#,
        "a%20b%26c/d a+b=c%26d hello world foo hello... a\n  b 3   x  | 3 3.7 'a'",
    ),
    (
        "{{ 1.0 }} {{ 1e16 }} {{ 1e-5 }} {{ 123456789.123 }} {{ 1/3 }} {{ 1e22 }} {{ 100000000000000000000 }} {{ 9007199254740993 }} {{ 2 ** 64 }} {{ -0.0 }} {{ 3 | float }} {{ '0x10' }}",
        "1.0 1e+16 1e-05 123456789.123 0.3333333333333333 1e+22 100000000000000000000 9007199254740993 18446744073709551616 -0.0 3.0 0x10",
    ),
    (
        "{{ range(5) | list }} {{ range(2, 8, 3) | list }} {{ range(3)[1] }} {{ range(5, 0, -2) | list }} {{ dict(a=1, b=2) }} {{ dict([('a', 1)]) }} {{ zip([1, 2], ['a', 'b']) | list }} {{ [[1, 2], [3]] | sum(start=[]) }} {{ ['a', 'b'] | map('replace', 'a', 'x') | list }}",
        "[0, 1, 2, 3, 4] [2, 5] 1 [5, 3, 1] {'a': 1, 'b': 2} {'a': 1} [(1, 'a'), (2, 'b')] [1, 2, 3] ['x', 'b']",
    ),
    (
        "{{ undefined_thing }}|{{ undefined_thing | length }}|{% for i in undefined_thing %}x{% endfor %}|{{ undefined_thing == none }}|{{ undefined_thing ~ 'a' }}|{{ 'a' in undefined_thing }}|{{ {}.x is defined }}|{{ {'a': {'b': 1}}.a.b }}",
        "|0||False|a|False|False|1",
    ),
    (
        "{{- 5 -}} {%- if true -%} x {%- endif -%} y {# comment #} {% raw %}{{ raw }}{% endraw %}",
        "5xy  {{ raw }}",
    ),
    (
        r#"{{ 'é'.upper() }} {{ 'ß' | upper }} {{ 'naïve' | length }} {{ '日本' | reverse }} {{ '\u00e9' }} {{ 'a\tb' }} {{ "multi" " part" }} {{ 'a\\d' }} {{ '\d+' }}"#,
        "É SS 5 本日 é a\tb multi part a\\d \\d+",
    ),
    (
        "{{ ['x', 'y'][1] }} {{ {'a': [10, 20]}['a'][0] }} {{ {1: 'one'}[1] }} {{ [1, 2, 3] | map('float') | sum }} {{ (5 | string) ~ 'x' }} {{ [1, 2] is contains(1) if false else 'skip' }} {{ 'yes' if 1 > 0 and not false else 'no' }}",
        "y 10 one 6.0 5x skip yes",
    ),
    (
        "{{ 5 | float | round(1) }} {{ [1,2,3][5] is defined }} {{ ([1,2,3] | length) > 2 }} {{ 10 | string | length }} {{ [0, '', none, [], 1] | select | list }} {{ [1,2,3,4] | map('string') | join }} {{ '3' | int + 4 }} {{ ('a', 'b') | join(' ') }}",
        "5.0 False True 2 [1] 1234 7 a b",
    ),
];
