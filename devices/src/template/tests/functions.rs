//! The functions that Home Assistant adds, one table a file of `template/`; expectations follow its
//! documentation, and Python's `round`, `statistics`, `re`, `json` and `base64`.

use super::*;

#[test]
fn numbers() {
    check_all(&Context::default(), NUMBERS);
}

#[test]
fn texts_and_expressions() {
    check_all(&Context::default(), TEXTS);
}

#[test]
fn lists_and_mappings() {
    check_all(&Context::default(), LISTS);
}

const NUMBERS: &[(&str, &str)] = &[
    (
        "{{ '21.5' | float }} {{ ' 7 ' | float }} {{ '1_000' | float }} {{ 'nan' | float }} {{ true | float }}",
        "21.5 7.0 1000.0 nan 1.0",
    ),
    (
        "{{ 'x' | float('d') }} {{ none | float(0) }} {{ float('x', default=none) }} {{ x | float(1) }}",
        "d 0 None 1",
    ),
    (
        "{{ '7.9' | int }} {{ -7.9 | int }} {{ '0x1F' | int(base=16) }} {{ '101' | int(0, 2) }} {{ 'x' | int(-1) }} {{ 1e20 | int }}",
        "7 -7 31 5 -1 100000000000000000000",
    ),
    (
        "{{ 'on' | bool }} {{ 'No' | bool }} {{ 1 | bool }} {{ bool('x', 'd') }} {{ 0.0 | bool }}",
        "True False True d False",
    ),
    (
        "{{ 21.456 | round(1) }} {{ 2.5 | round }} {{ 3.5 | round }} {{ 0.5 | round }} {{ 1234 | round(-2) }} {{ '7.25' | round(1) }}",
        "21.5 2 4 0 1200.0 7.2",
    ),
    (
        "{{ 2.1 | round(0, 'ceil') }} {{ 2.19 | round(1, 'floor') }} {{ 2.3 | round(1, 'half') }} {{ 'x' | round(1, 'common', 0) }} {{ 2.0 | round(2) }}",
        "3 2.1 2.5 0 2.0",
    ),
    (
        "{{ 1.005 | round(2) }} {{ 2.675 | round(2) }} {{ 1e20 | round(2) }} {{ -0.4 | round }} {{ round(3.14159, 3) }}",
        "1.0 2.67 1e+20 0 3.142",
    ),
    (
        "{{ '4' | is_number }} {{ is_number('inf') }} {{ is_number('x') }} {{ is_number(none) }} {{ '5' is is_number }} {{ is_number('1e3') }}",
        "True False False False True True",
    ),
    (
        "{{ 5 | multiply(2) }} {{ '2.5' | multiply(2) }} {{ 'x' | multiply(2, 0) }} {{ multiply(3, 3) }} {{ 5 | add(1) }} {{ 'x' | add(1, default='d') }}",
        "10.0 5.0 0 9.0 6.0 d",
    ),
    (
        "{{ min(1, 2) }} {{ max([1, 5, 3]) }} {{ max(1.5, 1) }} {{ min('b', 'a') }} {{ [1, 2] | min }} {{ max(2, 2.0) }}",
        "1 5 1.5 a 1 2",
    ),
    (
        "{{ average([1, 2, 3, 4]) }} {{ average(1, 2) }} {{ [0.1, 0.2, 0.4] | average | round(3) }} {{ average([], 0) }} {{ average(['a'], default='d') }}",
        "2.5 1.5 0.233 0 d",
    ),
    (
        "{{ median([3, 1, 2]) }} {{ median(1, 2, 3, 4) }} {{ [1.5] | median }} {{ median([], 'd') }} {{ statistical_mode([1, 2, 2, 3]) }} {{ [0.1] * 10 | average if false else ([0.1] * 10) | average }}",
        "2 2.5 1.5 d 2 0.1",
    ),
    (
        "{{ sqrt(16) }} {{ 2 | sqrt }} {{ sqrt(-1, 0) }} {{ -5 | abs }} {{ pi | round(4) }} {{ tau > e }} {{ inf }}",
        "4.0 1.4142135623730951 0 5 3.1416 True inf",
    ),
    (
        "{{ 1 | ordinal }} {{ 2 | ordinal }} {{ 3 | ordinal }} {{ 11 | ordinal }} {{ 112 | ordinal }} {{ 21 | ordinal }}",
        "1st 2nd 3rd 11th 112th 21st",
    ),
    (
        "{{ 6 | bitwise_and(3) }} {{ bitwise_or(6, 1) }} {{ bitwise_xor(6, 3) }} {{ [1, 2.5] | sum }} {{ 0.1 + 0.2 == 0.3 }}",
        "2 7 5 3.5 False",
    ),
    ("{{ x | float }}", "error: template: float got ``, which is no number, and no default was given"),
    ("{{ 'abc' | int }}", "error: template: int got `abc`, which is no number, and no default was given"),
    // What Python gives, to the last digit.
    (
        "{{ 2 ** 0.3 }} {{ 9 ** -0.5 }} {{ log(100, 10) }} {{ 8 | log(2) }} {{ 17.27 * log(0.55) }} {{ log(0, 1, 'd') }} {{ log('x', default=1) }}",
        "1.2311444133449163 0.3333333333333333 2.0 3.0 -10.324645003049564 d 1",
    ),
    (
        "{{ sin(1) }} {{ cos(2) }} {{ tan(0.5) }} {{ asin(0.5) }} {{ 0.25 | acos }} {{ 3 | atan }} {{ asin(2, 'd') }}",
        "0.8414709848078965 -0.4161468365471424 0.5463024898437905 0.5235987755982989 1.318116071652818 1.2490457723982544 d",
    ),
    (
        "{{ atan2(1, -2) }} {{ [1, -2] | atan2 }} {{ atan2(1, 'x', 'd') }} {{ atan2([1], 'd') }}",
        "2.677945044588987 2.677945044588987 d d",
    ),
    ("{{ log(-1) }}", "error: template: log got `-1`, which is out of its range, and no default was given"),
    ("{{ (-8) ** 0.5 }}", "error: template: `**` of a negative number takes whole exponents"),
    ("{{ 10.0 ** 400 }}", "error: template: the number becomes too large"),
];

const TEXTS: &[(&str, &str)] = &[
    (
        "{{ 'abc' | regex_match('ab') }} {{ 'xabc' | regex_match('ab') }} {{ 'xabc' | regex_search('AB') }} {{ 'xABc' | regex_search('ab', ignorecase=true) }}",
        "True False False True",
    ),
    (
        r"{{ '10:32' | regex_replace('(\\d+):(\\d+)', '\\2-\\1') }} {{ 'aaa' | regex_replace('a', 'b') }} {{ 'x1' | regex_replace('(?P<n>\\d)', '<\\g<n>>') }}",
        "32-10 bbb x<1>",
    ),
    (
        r"{{ 'a1b22' | regex_findall('\\d+') }} {{ 'k=v' | regex_findall('(\\w)=(\\w)') }} {{ 'a1' | regex_findall('([a-z])\\d') }}",
        "['1', '22'] [('k', 'v')] ['a']",
    ),
    (
        r"{{ 'a1b22' | regex_findall_index('\\d+', 1) }} {{ 'a1b22' | regex_findall_index('\\d+', index=-1) }} {{ 5 | regex_match('5') }}",
        "22 22 True",
    ),
    (
        "{{ 'abc' is match('ab') }} {{ 'xab' is search('ab') }} {{ ['light.a', 'fan.b'] | select('match', 'light') | list }} {{ ['a', 'ba'] | select('search', 'b') | list }}",
        "True True ['light.a'] ['ba']",
    ),
    (
        "{{ 'a' | regex_search('(') }}",
        "error: template: the regular expression `(` is wrong: error: unclosed group",
    ),
    (
        "{{ 'a' | regex_search('a(?!b)') }}",
        "error: template: the regular expression `a(?!b)` looks ahead or behind, which is not offered: it can take forever",
    ),
    (
        "{{ 'Küche & Bad' | slugify }} {{ slugify('a b', separator='-') }} {{ '' | slugify }}|{{ 'x y' | urlencode }}",
        "kuche_bad a-b |x%20y",
    ),
    (
        "{{ 'héllo' | base64_encode }} {{ 'aMOpbGxv' | base64_decode }} {{ 'a' | base64_encode }} {{ 'YQ==' | base64_decode }} {{ 'ab' | base64_encode | base64_decode }} {{ 'a' | ord }}",
        "aMOpbGxv héllo YQ== a ab 97",
    ),
    (
        r#"{{ {'b': [1, 2.0, none], 'a': 'é"'} | to_json }} {{ 'é' | to_json(ensure_ascii=true) }} {{ {'b': 1, 'a': 2} | to_json(sort_keys=true) }}"#,
        r#"{"b":[1,2.0,null],"a":"é\""} "\u00e9" {"a":2,"b":1}"#,
    ),
    ("{{ {'a': [1], 'b': {}} | to_json(pretty_print=true) }}", "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}"),
    (
        r#"{{ '{"b": 1, "a": [1.5, null, true]}' | from_json }} {{ ('{"a": {"b": 2}}' | from_json).a.b }} {{ 'x' | from_json('d') }}"#,
        "{'b': 1, 'a': [1.5, None, True]} 2 d",
    ),
    ("{{ 'x' | from_json }}", "error: template: from_json got no JSON, and no default was given"),
    (
        "{{ is_defined(1) }} {{ 'abc' is string_like }} {{ 5 is string }} {{ ['a', 'b'] | contains('a') }} {{ 'abc' is contains('b') }}",
        "1 True False True True",
    ),
];

const LISTS: &[(&str, &str)] = &[
    (
        "{{ [1, [2, [3]]] | flatten }} {{ [1, [2, [3]]] | flatten(levels=1) }} {{ [1, 2, 3] | intersect([2, 3, 4]) }} {{ [1, 2] | difference([2]) }}",
        "[1, 2, 3] [1, 2, [3]] [2, 3] [1]",
    ),
    (
        "{{ [1, 2] | symmetric_difference([2, 3]) }} {{ [1, 2] | union([2, 3]) }} {{ set([1, 2, 1]) | list }} {{ tuple([1]) }} {{ list('ab') }}",
        "[1, 3] [1, 2, 3] [1, 2] (1,) ['a', 'b']",
    ),
    (
        "{{ {'a': 1} | combine({'b': 2}, {'a': 3}) }} {{ dict({'a': 1}, b=2) }} {{ dict([['x', 1]], y=2) }} {{ zip([1, 2], [3, 4]) | list }}",
        "{'a': 3, 'b': 2} {'a': 1, 'b': 2} {'x': 1, 'y': 2} [(1, 3), (2, 4)]",
    ),
    (
        "{{ typeof(1) }} {{ 1.0 | typeof }} {{ none | typeof }} {{ [] | typeof }} {{ () | typeof }} {{ {} | typeof }} {{ 'x' | typeof }} {{ timedelta() | typeof }}",
        "int float NoneType list tuple dict str timedelta",
    ),
    (
        "{{ iif(1 > 0, 'y', 'n') }} {{ none | iif(1, 2, 3) }} {{ 0 | iif('y', 'n') }} {{ [] is list }} {{ () is list }} {{ () is tuple }} {{ 1 is eq(1.0) }}",
        "y 3 n True False True True",
    ),
    (
        "{{ ['b', 'a', 'C'] | sort }} {{ ['a', 'A'] | unique | list }} {{ ['bb', 'a'] | max }} {{ {'a': 1, 'b': 2}.items() | map('first') | list }} {{ {'x': 1} | items | list }}",
        "['a', 'b', 'C'] ['a'] bb ['a', 'b'] [('x', 1)]",
    ),
    (
        "{% set l = namespace(x=[]) %}{% for i in range(3) %}{% set l.x = l.x + [i] %}{% endfor %}{{ l.x }} {{ l.x[1:] }} {{ l.x[-1] }}",
        "[0, 1, 2] [1, 2] 2",
    ),
    (
        "{{ [1, 2, 3] | random in [1, 2, 3] }} {{ 'x' in {'x': none} }} {{ [none, 1] | map('default', 0, true) | list }}",
        "True True [0, 1]",
    ),
];
