//! What templates ask of the home, and what is noted of that.

use super::*;
use jiff::civil::DateTime;
use std::collections::BTreeMap;

/// A home in Berlin's winter, or rather one hour east of UTC, and two from the end of March on.
#[derive(Debug)]
pub(super) struct Fake {
    pub(super) now: i64,
}

/// 2024-03-31T01:00:00Z, when clocks go from 2:00 to 3:00.
const SUMMER: i64 = 1_711_846_800_000;

impl Fake {
    pub(super) fn context(now: &str) -> Context {
        let moment = strftime::parse_datetime(now).unwrap();
        let now = moment::micros_of(moment.wall) / 1000 - i64::from(moment.offset().unwrap_or(0)) * 1000;
        Context::default().with_world(Arc::new(Fake { now }))
    }
}

impl World for Fake {
    fn now(&self) -> Timestamp {
        Timestamp(self.now)
    }

    fn utc_offset(&self, at: Timestamp) -> i32 {
        if at.0 < SUMMER { 3600 } else { 7200 }
    }

    fn to_instant(&self, local: DateTime) -> Timestamp {
        let wall = moment::micros_of(local).div_euclid(1000);
        Timestamp(wall - if wall < SUMMER + 7_200_000 { 3_600_000 } else { 7_200_000 })
    }

    fn entity(&self, entity_id: &str) -> Option<Seen> {
        let (state, attributes) = match entity_id {
            "light.hall" => ("on", r#"{"friendly_name":"Hall light","brightness":128,"rgb":[1,2,3]}"#),
            "light.kitchen_left" => ("off", "{}"),
            "sensor.outside" => ("21.456", r#"{"unit_of_measurement":"°C","friendly_name":"Outside"}"#),
            "sensor.dead" => ("unavailable", "{}"),
            "group.all" => ("on", r#"{"entity_id":["light.kitchen_left","light.hall"]}"#),
            _ => return None,
        };
        let Data::Map(attributes) =
            Data::from(serde_json::from_str::<serde_json::Value>(attributes).unwrap())
        else {
            return None;
        };
        let at = Timestamp(1_704_110_400_123);
        Some(Seen {
            state: state.to_owned(),
            attributes,
            last_changed: at,
            last_updated: Timestamp(at.0 + 1000),
        })
    }

    fn entity_ids(&self, domain: Option<&str>) -> Vec<String> {
        let all = ["group.all", "light.hall", "light.kitchen_left", "sensor.dead", "sensor.outside"];
        let fits = |id: &&str| domain.is_none_or(|domain| id.split('.').next() == Some(domain));
        all.into_iter().filter(fits).map(str::to_owned).collect()
    }

    fn members(&self, kind: Group, name: &str) -> Vec<String> {
        match (kind, name) {
            (Group::Area, "Hall") => vec!["light.hall".to_owned()],
            (Group::Label, "warm") => vec!["sensor.outside".to_owned()],
            _ => Vec::new(),
        }
    }

    fn seed(&self) -> u64 {
        7
    }
}

#[test]
fn entities_are_seen() {
    check_all(&Fake::context("2024-01-01T13:00:00Z"), ENTITIES);
}

#[test]
fn what_is_read_is_noted() {
    let context = Fake::context("2024-01-01T13:00:00Z");
    let check = |text: &str, entities: &str, domains: &str, all: bool, time: bool| {
        let (_, reads) = Template::parse(text).unwrap().render_tracked(&context);
        let join = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(" ");
        let seen = (join(&reads.entities), join(&reads.domains), reads.all, reads.time);
        assert_eq!(seen, (entities.to_owned(), domains.to_owned(), all, time), "{text}");
    };
    check("{{ is_state('light.hall', 'on') and is_state('a.b', 'on') }}", "a.b light.hall", "", false, false);
    check("{{ is_state('light.hall', 'off') and is_state('a.b', 'on') }}", "light.hall", "", false, false);
    check("{{ states.light.hall.state }}", "light.hall", "", false, false);
    check("{{ states.light | list | length }}", "", "light", false, false);
    check("{{ states | list | length }}", "", "", true, false);
    check("{{ now().hour > 5 }}", "", "", false, true);
    check("{{ states('nonsense') }}{{ states('a.b') }}", "", "", false, false);
    check("{{ this.state }}", "", "", false, false);
    let reads = Template::parse("{{ states.light | list }}").unwrap().render_tracked(&context).1;
    assert!(reads.concerns("light.new") && !reads.concerns("lightish.new"));
}

#[test]
fn randomness_comes_from_the_log() {
    let context = Fake::context("2024-01-01T13:00:00Z");
    let draw = |text: &str| Template::parse(text).unwrap().render(&context).unwrap();
    let many = "{% for i in range(20) %}{{ range(10) | random }} {% endfor %}";
    assert_eq!(draw(many), draw(many));
    let distinct: BTreeSet<String> = draw(many).split_whitespace().map(str::to_owned).collect();
    assert!(distinct.len() > 4, "{distinct:?}");
    assert_eq!(draw("{{ [] | random }}{{ ['a'] | random }}"), "a");
    assert_ne!(draw("{{ range(100) | list | shuffle }}"), draw("{{ range(100) | list }}"));
}

#[test]
fn instants_in_variables_are_datetimes() {
    let mut state = BTreeMap::new();
    state.insert("last_changed".to_owned(), Data::Time(Timestamp(1_704_110_400_000)));
    state.insert("now".to_owned(), Data::LocalTime(Timestamp(1_704_110_400_000), 3600));
    let mut context = Fake::context("2024-01-01T13:00:00Z");
    context.set("this", Data::Map(state));
    check_all(
        &context,
        &[
            ("{{ this.last_changed }}", "2024-01-01 12:00:00+00:00"),
            ("{{ this.last_changed }}{# engine #}", "2024-01-01 12:00:00+00:00"),
            ("{{ this.last_changed.hour }} {{ (now() - this.last_changed).seconds }}", "12 3600"),
            // Alone they go the short way, with a word behind them through the engine.
            ("{{ this.last_changed.hour }}", "12"),
            ("{{ this.now.hour }}", "13"),
            ("{{ this.now.hour }}{# engine #}", "13"),
            ("{{ this.now.nothing }}", ""),
            ("{{ this.now }} {{ this.now == this.last_changed }}", "2024-01-01 13:00:00+01:00 True"),
            ("{{ this.now.isoformat() }}", "2024-01-01T13:00:00+01:00"),
            ("{{ this.last_changed | to_json }}", r#""2024-01-01T12:00:00+00:00""#),
        ],
    );
}

#[test]
fn results_are_values_where_they_spell_one() {
    let context = Fake::context("2024-01-01T13:00:00Z");
    let check = |text: &str, json: &str| {
        let data = Template::parse(text).unwrap().render_data(&context).unwrap();
        let expected = Data::from(serde_json::from_str::<serde_json::Value>(json).unwrap());
        assert_eq!(data, expected, "{text}");
    };
    check("{{ 1 + 1 }}", "2");
    check("{{ [1, 'a', none] }}", r#"[1,"a",null]"#);
    check("{{ {'a': states('light.hall')} }}", r#"{"a":"on"}"#);
    check("{{ states('light.hall') }}", "\"on\"");
    check("{{ is_state('light.hall', 'on') }}", "true");
    let tuple = Template::parse("{{ (1, 2) }}").unwrap().render_data(&context).unwrap();
    assert_eq!(tuple, Data::Tuple(vec![Data::Int(1), Data::Int(2)]));
    check("{{ now() }}", "\"2024-01-01 14:00:00+01:00\"");
    check(
        "{{ [now()] }}",
        "\"[datetime.datetime(2024, 1, 1, 14, 0, tzinfo=datetime.timezone(datetime.timedelta(seconds=3600)))]\"",
    );
}

/// Questions about the fake home.
const ENTITIES: &[(&str, &str)] = &[
    ("{{ states('light.hall') }} {{ states('light.nothing') }}", "on unknown"),
    ("{{ states.light.hall.state }} {{ states.light.hall.attributes.brightness }}", "on 128"),
    ("[{{ states.light.nothing }}] [{{ states.light.nothing.state }}]", "[None] []"),
    ("{{ states['sensor.outside'].name }}, {{ states.light.kitchen_left.name }}", "Outside, kitchen left"),
    (
        "{{ states('sensor.outside', with_unit=true) }} {{ states('sensor.dead', with_unit=True) }}",
        "21.456 °C unavailable",
    ),
    ("{{ states('sensor.outside') | float | round(1) }}", "21.5"),
    (
        "{{ is_state('light.hall', 'on') }} {{ is_state('light.hall', ['off', 'on']) }} {{ is_state('a.b', 'on') }}",
        "True True False",
    ),
    ("{{ state_attr('light.hall', 'brightness') + 1 }} {{ state_attr('light.hall', 'x') }}", "129 None"),
    (
        "{{ is_state_attr('light.hall', 'brightness', 128) }} {{ is_state_attr('light.hall', 'x', none) }}",
        "True False",
    ),
    (
        "{{ has_value('light.hall') }} {{ has_value('sensor.dead') }} {{ has_value('a.b') }}",
        "True False False",
    ),
    (
        "{{ 'light.hall' | has_value }} {{ 'light.hall' is is_state('on') }} {{ 'sensor.dead' is has_value }}",
        "True True False",
    ),
    ("{{ states('nonsense') }}", "error: template: `nonsense` is no entity id such as light.hall"),
    ("{{ states.light | map(attribute='entity_id') | list }}", "['light.hall', 'light.kitchen_left']"),
    ("{{ states | list | length }} {{ states.light | list | count }} {{ states.fan | list }}", "5 2 []"),
    (
        "{{ states.light | selectattr('state', 'eq', 'on') | map(attribute='name') | join(', ') }}",
        "Hall light",
    ),
    (
        "{% for s in states.light %}{{ s.entity_id }}={{ s.state }};{% endfor %}",
        "light.hall=on;light.kitchen_left=off;",
    ),
    (
        "{{ states.light | rejectattr('attributes.brightness', 'defined') | map(attribute='object_id') | list }}",
        "['kitchen_left']",
    ),
    ("{{ expand('group.all') | map(attribute='entity_id') | list }}", "['light.hall', 'light.kitchen_left']"),
    (
        "{{ expand('light.hall', ['sensor.dead'], states.sensor.outside) | map(attribute='state') | join(' ') }}",
        "on unavailable 21.456",
    ),
    (
        "{{ area_entities('Hall') }} {{ 'warm' | label_entities }} {{ area_entities('Attic') }}",
        "['light.hall'] ['sensor.outside'] []",
    ),
    ("{{ ['light.hall', 'light.kitchen_left'] | select('is_state', 'on') | list }}", "['light.hall']"),
    ("{{ ['light.hall', 'sensor.outside'] | map('states') | list }}", "['on', '21.456']"),
    ("{{ states.light.hall.last_changed }}", "2024-01-01 12:00:00.123000+00:00"),
    ("{{ now() - states.light.hall.last_changed }}", "0:59:59.877000"),
    ("{{ (now() - states.light.hall.last_updated).total_seconds() > 3000 }}", "True"),
    ("{{ states.light.hall.last_changed < now() - timedelta(minutes=10) }}", "True"),
    ("{{ state_translated('light.hall') }} {{ states.light.hall.domain }}", "on light"),
    ("{{ states.sensor.outside.state_with_unit }}", "21.456 °C"),
    (
        "{{ 128 in states.light.hall.attributes.values() }} {{ 'rgb' in states.light.hall.attributes }}",
        "True True",
    ),
    ("{{ states.light.hall.attributes.rgb[1] }} {{ state_attr('light.hall', 'rgb') }}", "2 [1, 2, 3]"),
];
