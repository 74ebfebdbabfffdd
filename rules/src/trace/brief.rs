//! Big data cut to a size that can be kept for each run.

use gable_devices::Data;

/// How many values are kept.
const VALUES_MAX: usize = 60;
/// How many bytes of one text.
const TEXT_MAX: usize = 120;
/// How deep maps and lists are kept.
const DEPTH_MAX: usize = 4;

/// The first values of `data`, and `…` for the rest. What it costs does not grow with the data.
pub(crate) fn brief(data: &Data) -> Data {
    cut(data, DEPTH_MAX, &mut VALUES_MAX.clone())
}

fn cut(data: &Data, depth: usize, left: &mut usize) -> Data {
    let more = || Data::Text("…".to_owned());
    *left = left.saturating_sub(1);
    match data {
        Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::Time(_) | Data::LocalTime(..) => {
            data.clone()
        }
        Data::Text(text) if text.len() <= TEXT_MAX => data.clone(),
        Data::Text(text) => {
            let end = (0..=TEXT_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            Data::Text(format!("{}…", text.get(..end).unwrap_or_default()))
        }
        Data::List(items) | Data::Tuple(items) if !items.is_empty() && (depth == 0 || *left == 0) => more(),
        Data::Map(map) if !map.is_empty() && (depth == 0 || *left == 0) => more(),
        Data::List(items) | Data::Tuple(items) => {
            let mut kept = Vec::new();
            for item in items {
                if *left == 0 {
                    kept.push(more());
                    break;
                }
                kept.push(cut(item, depth - 1, left));
            }
            Data::List(kept)
        }
        Data::Map(map) => {
            let mut kept = std::collections::BTreeMap::new();
            for (key, value) in map {
                if *left == 0 || key.len() > TEXT_MAX {
                    kept.insert("…".to_owned(), Data::Null);
                    break;
                }
                kept.insert(key.clone(), cut(value, depth - 1, left));
            }
            Data::Map(kept)
        }
        Data::Spelled(_, meaning) => cut(meaning, depth, left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(json: Value, expected: Value) {
        assert_eq!(brief(&Data::from(json)).to_json(), expected);
    }

    #[test]
    fn small_data_is_kept_and_big_data_cut() {
        check(json!({"a": [1, true, null, "x"], "b": {}}), json!({"a": [1, true, null, "x"], "b": {}}));
        check(json!("ä".repeat(100)), json!(format!("{}…", "ä".repeat(60))));
        check(json!([[[[[1]]]]]), json!([[[["…"]]]]));
        check(json!([[[[[]]]]]), json!([[[[[]]]]]));
        let many: Vec<Value> = (0..59).map(Value::from).chain([json!("…")]).collect();
        check(json!((0..1000).collect::<Vec<_>>()), json!(many));
    }
}
