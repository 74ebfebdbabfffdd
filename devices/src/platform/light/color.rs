//! Colours in the ways in which services and devices say them, and from one way into another.
//!
//! The arithmetic is that of Home Assistant (the wide gamut of Philips Hue), with
//! powers by `libm`: every node has to come to the same bits, and a system's `pow` does not promise that.

use super::names;
use crate::Data;

/// A colour in one of the ways of saying it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Color {
    /// Hue in degrees, saturation in percent.
    Hs(f64, f64),
    /// Red, green and blue from 0 to 255.
    Rgb([i64; 3]),
    /// CIE 1931.
    Xy(f64, f64),
}

impl Color {
    /// The colour of a name, which may be written with spaces.
    pub(super) fn from_name(name: &str) -> Option<Color> {
        names::rgb_of(name).map(Color::Rgb)
    }

    /// The colour of a white light of this temperature, as Home Assistant shows it: Tanner Helland's
    /// approximation.
    pub(super) fn from_kelvin(kelvin: i64) -> Color {
        let hundreds = kelvin.clamp(1_000, 40_000) as f64 / 100.0;
        let red = 329.698_727_446 * libm::pow((hundreds - 60.0).max(1.0), -0.133_204_759_2);
        let green = 99.470_802_586_1 * libm::log(hundreds) - 161.119_568_166_1;
        let cold_green = 288.122_169_528_3 * libm::pow((hundreds - 60.0).max(1.0), -0.075_514_849_2);
        let blue = 138.517_731_223_1 * libm::log((hundreds - 10.0).max(1.0)) - 305.044_792_730_7;
        let rgb = [
            if hundreds <= 66.0 { 255.0 } else { red },
            if hundreds <= 66.0 { green } else { cold_green },
            if hundreds >= 66.0 {
                255.0
            } else if hundreds <= 19.0 {
                0.0
            } else {
                blue
            },
        ];
        let (hue, saturation) = hs_of_channels(rgb.map(|channel| channel.clamp(0.0, 255.0)));
        Color::Hs(hue, saturation)
    }

    pub(super) fn to_hs(self) -> (f64, f64) {
        match self {
            Color::Hs(hue, saturation) => (hue, saturation),
            Color::Rgb(rgb) => hs_of_rgb(rgb),
            Color::Xy(x, y) => hs_of_rgb(rgb_of_xy(x, y)),
        }
    }

    pub(super) fn to_rgb(self) -> [i64; 3] {
        match self {
            Color::Hs(hue, saturation) => rgb_of_hs(hue, saturation),
            Color::Rgb(rgb) => rgb,
            Color::Xy(x, y) => rgb_of_xy(x, y),
        }
    }

    pub(super) fn to_xy(self) -> (f64, f64) {
        match self {
            Color::Hs(hue, saturation) => xy_of_rgb(rgb_of_hs(hue, saturation)),
            Color::Rgb(rgb) => xy_of_rgb(rgb),
            Color::Xy(x, y) => (x, y),
        }
    }

    /// The name of its way among Home Assistant's colour modes.
    pub(super) fn mode(self) -> &'static str {
        match self {
            Color::Hs(..) => "hs",
            Color::Rgb(_) => "rgb",
            Color::Xy(..) => "xy",
        }
    }

    /// The same colour in a way that a light understands, the nearest first; none if it has no
    /// colours.
    pub(super) fn for_modes(self, has: impl Fn(&str) -> bool) -> Option<Color> {
        let order: [&str; 3] = match self {
            Color::Hs(..) => ["hs", "rgb", "xy"],
            Color::Rgb(_) => ["rgb", "hs", "xy"],
            Color::Xy(..) => ["xy", "hs", "rgb"],
        };
        Some(match order.into_iter().find(|mode| has(mode))? {
            "hs" => {
                let (hue, saturation) = self.to_hs();
                Color::Hs(hue, saturation)
            }
            "rgb" => Color::Rgb(self.to_rgb()),
            _ => {
                let (x, y) = self.to_xy();
                Color::Xy(x, y)
            }
        })
    }

    /// The attributes that show it.
    pub(super) fn attributes(self) -> [(&'static str, Data); 3] {
        let pair = |(a, b): (f64, f64), digits| {
            Data::Tuple(vec![Data::Float(rounded(a, digits)), Data::Float(rounded(b, digits))])
        };
        [
            ("hs_color", pair(self.to_hs(), 1e3)),
            ("rgb_color", Data::Tuple(self.to_rgb().map(Data::Int).to_vec())),
            ("xy_color", pair(self.to_xy(), 1e6)),
        ]
    }

    /// The same as the colour that the light has by now.
    pub(super) fn shown(self, has_temperature: bool) -> Vec<(&'static str, Data)> {
        let mut shown = vec![("color_mode", Data::from(self.mode()))];
        shown.extend(self.attributes());
        if has_temperature {
            shown.extend([("color_temp", Data::Null), ("color_temp_kelvin", Data::Null)]);
        }
        shown
    }
}

fn rounded(number: f64, digits: f64) -> f64 {
    (number * digits).round_ties_even() / digits
}

fn rgb_of_hs(hue: f64, saturation: f64) -> [i64; 3] {
    let saturation = (saturation / 100.0).clamp(0.0, 1.0);
    let sector = hue.rem_euclid(360.0) / 60.0;
    let part = sector.fract();
    let low = 1.0 - saturation;
    let (falling, rising) = (1.0 - saturation * part, 1.0 - saturation * (1.0 - part));
    let rgb = match sector as i64 {
        0 => [1.0, rising, low],
        1 => [falling, 1.0, low],
        2 => [low, 1.0, rising],
        3 => [low, falling, 1.0],
        4 => [rising, low, 1.0],
        _ => [1.0, low, falling],
    };
    rgb.map(|channel| (channel * 255.0).round_ties_even() as i64)
}

fn hs_of_rgb(rgb: [i64; 3]) -> (f64, f64) {
    hs_of_channels(rgb.map(|channel| channel as f64))
}

fn hs_of_channels(rgb: [f64; 3]) -> (f64, f64) {
    let [red, green, blue] = rgb.map(|channel| channel / 255.0);
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    if most <= least {
        return (0.0, 0.0);
    }
    let far = |channel: f64| (most - channel) / (most - least);
    let sector = if red == most {
        far(blue) - far(green)
    } else if green == most {
        2.0 + far(red) - far(blue)
    } else {
        4.0 + far(green) - far(red)
    };
    let hue = (sector / 6.0).rem_euclid(1.0) * 360.0;
    (rounded(hue, 1e3), rounded((most - least) / most * 100.0, 1e3))
}

fn xy_of_rgb(rgb: [i64; 3]) -> (f64, f64) {
    let [red, green, blue] = rgb.map(|channel| linear(channel as f64 / 255.0));
    let x = red * 0.664_511 + green * 0.154_324 + blue * 0.162_028;
    let y = red * 0.283_881 + green * 0.668_433 + blue * 0.047_685;
    let z = red * 0.000_088 + green * 0.072_310 + blue * 0.986_039;
    let sum = x + y + z;
    if sum <= 0.0 { (0.0, 0.0) } else { (rounded(x / sum, 1e3), rounded(y / sum, 1e3)) }
}

fn rgb_of_xy(x: f64, y: f64) -> [i64; 3] {
    let y = if y <= 0.0 { 1e-11 } else { y };
    let (big_x, big_z) = (x / y, (1.0 - x - y) / y);
    let rgb = [
        big_x * 1.656_492 - 0.354_851 - big_z * 0.255_038,
        big_x * -0.707_196 + 1.655_397 + big_z * 0.036_152,
        big_x * 0.051_713 - 0.121_364 + big_z * 1.011_530,
    ];
    let rgb = rgb.map(|channel| gamma(channel).max(0.0));
    let most = rgb[0].max(rgb[1]).max(rgb[2]);
    let scale = if most > 1.0 { most } else { 1.0 };
    rgb.map(|channel| (channel / scale * 255.0) as i64)
}

/// From a channel as screens have it to light.
fn linear(channel: f64) -> f64 {
    if channel <= 0.04045 {
        return channel / 12.92;
    }
    let base = (channel + 0.055) / 1.055;
    libm::pow(base, 2.4)
}

/// From light to a channel as screens have it.
fn gamma(light: f64) -> f64 {
    if light <= 0.003_130_8 {
        return light * 12.92;
    }
    1.055 * libm::pow(light, 1.0 / 2.4) - 0.055
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_turn_into_one_another() {
        let check = |color: Color, hs: (f64, f64), rgb: [i64; 3], xy: (f64, f64)| {
            assert_eq!((color.to_hs(), color.to_rgb(), color.to_xy()), (hs, rgb, xy), "{color:?}");
        };
        check(Color::Rgb([255, 0, 0]), (0.0, 100.0), [255, 0, 0], (0.701, 0.299));
        check(Color::Rgb([0, 255, 0]), (120.0, 100.0), [0, 255, 0], (0.172, 0.747));
        check(Color::Rgb([0, 0, 255]), (240.0, 100.0), [0, 0, 255], (0.136, 0.04));
        check(Color::Rgb([255, 255, 255]), (0.0, 0.0), [255, 255, 255], (0.323, 0.329));
        check(Color::Rgb([0, 0, 0]), (0.0, 0.0), [0, 0, 0], (0.0, 0.0));
        check(Color::Hs(30.0, 50.0), (30.0, 50.0), [255, 191, 128], (0.466, 0.384));
    }

    #[test]
    fn white_has_a_colour_too() {
        let check = |kelvin, rgb| assert_eq!(Color::from_kelvin(kelvin).to_rgb(), rgb, "{kelvin}");
        check(2_000, [255, 137, 14]);
        check(2_500, [255, 159, 70]);
        check(4_000, [255, 206, 166]);
        check(6_500, [255, 254, 250]);
        check(10_000, [202, 218, 255]);
    }

    #[test]
    fn any_point_has_a_colour() {
        for x in 0..=10 {
            for y in 0..=10 {
                let rgb = Color::Xy(f64::from(x) / 10.0, f64::from(y) / 10.0).to_rgb();
                assert!(rgb.iter().all(|channel| (0..=255).contains(channel)), "{x} {y}: {rgb:?}");
            }
        }
    }
}
