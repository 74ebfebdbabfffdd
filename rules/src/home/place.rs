//! `homeassistant:` as far as it says where the home is: `time_zone`, `latitude`, `longitude`,
//! `elevation`. The other keys are other readers' or mean nothing here.

use super::Problem;
use crate::DeclaredPlace;
use gable_devices::yaml::{Location, Node, join};

/// Reads the sections; a later one goes before an earlier one, key by key.
/// Returns also where the time zone stands.
pub(super) fn read(
    sections: &[(Node, String)],
    problems: &mut Vec<Problem>,
) -> (DeclaredPlace, Option<(String, Location)>) {
    let mut place = DeclaredPlace::default();
    let mut time_zone = None;
    for (section, path) in sections {
        let mut number = |key, limit: f64, unit| {
            let node = section.get(key)?;
            let path = join(path, key);
            let number = node.number(&path).and_then(|number| match number.abs() <= limit {
                true => Ok(number),
                false => Err(node.problem(&path, format!("lies between -{limit} and {limit} {unit}"))),
            });
            number.map_err(|problem| problems.push(Problem::error(problem))).ok()
        };
        place.latitude = number("latitude", 90.0, "degrees").or(place.latitude);
        place.longitude = number("longitude", 180.0, "degrees").or(place.longitude);
        place.elevation = number("elevation", 10_000.0, "metres").or(place.elevation);
        if let Some(node) = section.get("time_zone") {
            match node.text(&join(path, "time_zone")) {
                Ok(name) => time_zone = Some((name, node.location.clone())),
                Err(problem) => problems.push(Problem::error(problem)),
            }
        }
    }
    place.time_zone = time_zone.as_ref().map(|(name, _)| name.clone());
    (place, time_zone)
}
