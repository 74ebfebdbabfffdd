//! Lights in colors: what they say and what they are told.

use super::{commands, payloads};

/// As Zigbee2MQTT announces a bulb of colors and whites.
const ZIGBEE2MQTT: &str = "
light: {name: x, schema: json, command_topic: z/bulb/set, state_topic: z/bulb, brightness: true, brightness_scale: 254,
        supported_color_modes: [xy, color_temp], effect: true, effect_list: [blink, colorloop], max_mireds: 500,
        min_mireds: 153}
";

/// As Tasmota is declared by hand.
const TASMOTA: &str = "
light: {name: x, command_topic: cmnd/l/POWER, state_topic: stat/l/POWER,
        color_temp_command_topic: cmnd/l/CT, color_temp_state_topic: tele/l/STATE,
        color_temp_value_template: '{{ value_json.CT }}',
        hs_command_topic: cmnd/l/HSBColor, hs_state_topic: tele/l/STATE,
        hs_value_template: \"{{ value_json.HSBColor.split(',')[0:2] | join(',') }}\",
        effect_command_topic: cmnd/l/Scheme, effect_list: [0, 1, 2],
        brightness_command_topic: cmnd/l/Dimmer, brightness_scale: 100}
";

#[test]
fn json_lights_say_the_color_of_their_mode() {
    let check = payloads::check;
    check(
        ZIGBEE2MQTT,
        r#"z/bulb {"state":"ON","color":{"x":0.701,"y":0.299},"color_mode":"xy","color_temp":548}"#,
        r#"light.x on color_mode="xy" color_temp=null color_temp_kelvin=null hs_color=[0.0,100.0] rgb_color=[255,0,0] xy_color=[0.701,0.299]"#,
    );
    check(
        ZIGBEE2MQTT,
        r#"z/bulb {"state":"ON","color":{"x":0.5,"y":0.4},"color_mode":"color_temp","color_temp":370}"#,
        r#"light.x on color_mode="color_temp" color_temp=370 color_temp_kelvin=2702 hs_color=[28.391,65.659] rgb_color=[255,167,88] xy_color=[0.524,0.388]"#,
    );
    check(ZIGBEE2MQTT, r#"z/bulb {"color":{"x":0.5,"y":0.4}}"#, "");
    check(
        "light: {name: x, schema: json, command_topic: c, state_topic: s, color_temp_kelvin: true,
                 supported_color_modes: [color_temp, rgb, hs]}",
        r#"s {"color_mode":"hs","color":{"h":240,"s":100}}"#,
        r#"light.x color_mode="hs" color_temp=null color_temp_kelvin=null hs_color=[240.0,100.0] rgb_color=[0,0,255] xy_color=[0.136,0.04]"#,
    );
}

#[test]
fn json_lights_are_told_colors_as_they_know_them() {
    let on = |data: &str, expected: &str| {
        let expected = format!("z/bulb/set {expected}; expects on");
        commands::check(ZIGBEE2MQTT, "", &format!("turn_on {data}"), &expected);
    };
    on(r#"{"rgb_color":[255,0,0]}"#, r#"{"state":"ON","color":{"x":0.701,"y":0.299}}"#);
    on(r#"{"rgb_color":"[0, 0, 255]"}"#, r#"{"state":"ON","color":{"x":0.136,"y":0.04}}"#);
    on(r#"{"color_name":"Lime"}"#, r#"{"state":"ON","color":{"x":0.172,"y":0.747}}"#);
    on(r#"{"xy_color":[0.3,0.4]}"#, r#"{"state":"ON","color":{"x":0.3,"y":0.4}}"#);
    on(r#"{"hs_color":[30,50]}"#, r#"{"state":"ON","color":{"x":0.466,"y":0.384}}"#);
    on(r#"{"color_temp":250}"#, r#"{"state":"ON","color_temp":250}"#);
    on(r#"{"color_temp_kelvin":2700}"#, r#"{"state":"ON","color_temp":370}"#);
    on(r#"{"effect":"colorloop"}"#, r#"{"state":"ON","effect":"colorloop"}"#);
    on(r#"{"flash":"long","transition":2}"#, r#"{"state":"ON","flash":10,"transition":2.0}"#);
    let refused = |data: &str, problem: &str| {
        let expected = format!("! light.x: {problem}");
        commands::check(ZIGBEE2MQTT, "", &format!("turn_on {data}"), &expected);
    };
    refused(r#"{"rgb_color":[1,2]}"#, "`rgb_color` of `turn_on` is not 3 numbers from 0 to 255, 255, 255");
    refused(r#"{"hs_color":[400,0]}"#, "`hs_color` of `turn_on` is not 2 numbers from 0 to 360, 100");
    refused(r#"{"color_name":"mauvish"}"#, "`color_name` of `turn_on` `mauvish` is not a colour known here");
    refused(r#"{"flash":"now"}"#, "`flash` of `turn_on` is neither `short` nor `long`");
    commands::check(
        "light: {name: x, schema: json, command_topic: c, supported_color_modes: [rgb, color_temp], color_temp_kelvin: true}",
        "",
        r#"turn_on {"color_temp":400}"#,
        r#"c {"state":"ON","color_temp":2500}; assumes on color_mode="color_temp" color_temp=400 color_temp_kelvin=2500 hs_color=[28.874,72.522] rgb_color=[255,159,70] xy_color=[0.546,0.389]"#,
    );
    commands::check(
        "light: {name: x, schema: json, command_topic: c, supported_color_modes: [rgb]}",
        "",
        r#"turn_on {"hs_color":[240,100]}"#,
        r#"c {"state":"ON","color":{"r":0,"g":0,"b":255}}; assumes on color_mode="rgb" hs_color=[240.0,100.0] rgb_color=[0,0,255] xy_color=[0.136,0.04]"#,
    );
}

#[test]
fn lights_with_topics_say_colors() {
    let check = payloads::check;
    check(
        TASMOTA,
        r#"tele/l/STATE {"POWER":"ON","CT":250,"HSBColor":"120,100,50"}"#,
        r#"light.x color_mode="hs" color_temp=null color_temp_kelvin=null hs_color=[120.0,100.0] rgb_color=[0,255,0] xy_color=[0.172,0.747]"#,
    );
    let rgb = "light: {name: x, command_topic: c, rgb_command_topic: r, rgb_state_topic: rs, effect_state_topic: e}";
    check(
        rgb,
        "rs 255,0,0",
        r#"light.x color_mode="rgb" hs_color=[0.0,100.0] rgb_color=[255,0,0] xy_color=[0.701,0.299]"#,
    );
    check(
        rgb,
        "rs 255,0",
        "! light.x: the payload on rs gives `255,0`, expected numbers with commas between",
    );
    check(rgb, "rs red", "! light.x: the payload on rs gives `red`, expected a number");
    check(rgb, "e rainbow", r#"light.x effect="rainbow""#);
}

#[test]
fn lights_with_topics_are_told_colors() {
    let check = commands::check;
    check(
        TASMOTA,
        "",
        r#"turn_on {"rgb_color":[0,0,255]}"#,
        "cmnd/l/HSBColor 240.0,100.0; cmnd/l/POWER ON; expects on",
    );
    check(TASMOTA, "", r#"turn_on {"kelvin":4000}"#, "cmnd/l/CT 250; cmnd/l/POWER ON; expects on");
    check(
        TASMOTA,
        "",
        r#"turn_on {"brightness_pct":50,"effect":"2"}"#,
        "cmnd/l/Dimmer 50; cmnd/l/Scheme 2; cmnd/l/POWER ON; expects on",
    );
    check(
        "light: {name: x, command_topic: c, rgb_command_topic: r,
                 rgb_command_template: '{{ \"#%02x%02x%02x\" | format(red, green, blue) }}'}",
        "",
        r#"turn_on {"color_name":"red","brightness":128}"#,
        "r #800000; c ON; assumes on color_mode=\"rgb\" hs_color=[0.0,100.0] rgb_color=[255,0,0] xy_color=[0.701,0.299]",
    );
    check(
        "light: {name: x, command_topic: c, state_topic: s}",
        "",
        r#"turn_on {"rgb_color":[1,2,3],"color_temp":300,"effect":"blink"}"#,
        "c ON; expects on",
    );
}
