//! Tables of results: aligned for people, or as JSON for programs.

use super::samples::Spread;
use crate::cli::palette::Palette;
use serde_json::{Map, Value, json};

/// One table of the report.
#[derive(Debug)]
pub(super) struct Table {
    /// What `--only` and the JSON call it.
    pub(super) name: &'static str,
    pub(super) title: String,
    pub(super) columns: &'static [&'static str],
    pub(super) rows: Vec<Vec<Cell>>,
    /// What has to be known to read the numbers.
    pub(super) notes: Vec<String>,
}

/// One value of a table.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Empty,
    Text(String),
    Number(f64),
    /// The median, and between which values it lies.
    Spread(Spread),
    Goal(Goal),
}

/// What we want to reach, and whether this run did.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Goal {
    wanted: Wanted,
    is_met: Option<bool>,
}

/// A bound in the unit of the measured value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    pub(super) fn new(wanted: Wanted, measured: Option<f64>) -> Goal {
        let is_met = measured.map(|measured| match wanted {
            Wanted::AtLeast(bound) => measured >= bound,
            Wanted::AtMost(bound) => measured <= bound,
        });
        Goal { wanted, is_met }
    }

    fn shown(&self) -> String {
        let bound = match self.wanted {
            Wanted::AtLeast(bound) => format!(">= {}", number(bound)),
            Wanted::AtMost(bound) => format!("<= {}", number(bound)),
        };
        match self.is_met {
            Some(true) => format!("{bound} met"),
            Some(false) => format!("{bound} missed"),
            None => bound,
        }
    }
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Cell {
        Cell::Text(text.into())
    }

    pub(super) fn spread(spread: Option<Spread>) -> Cell {
        spread.map_or(Cell::Empty, Cell::Spread)
    }

    pub(super) fn number(value: Option<f64>) -> Cell {
        value.map_or(Cell::Empty, Cell::Number)
    }

    pub(super) fn goal(wanted: Wanted, measured: Option<f64>) -> Cell {
        Cell::Goal(Goal::new(wanted, measured))
    }

    fn shown(&self) -> String {
        match self {
            Cell::Empty => "-".to_owned(),
            Cell::Text(text) => text.clone(),
            Cell::Number(value) => number(*value),
            Cell::Spread(Spread { median, repeats: 1, .. }) => number(*median),
            Cell::Spread(Spread { median, min, max, .. }) => {
                format!("{} ({}-{})", number(*median), number(*min), number(*max))
            }
            Cell::Goal(goal) => goal.shown(),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Cell::Empty => Value::Null,
            Cell::Text(text) => json!(text),
            Cell::Number(value) => json!(value),
            Cell::Spread(Spread { median, min, max, repeats }) => {
                json!({ "median": median, "min": min, "max": max, "repeats": repeats })
            }
            Cell::Goal(Goal { wanted, is_met }) => {
                let (bound, value) = match wanted {
                    Wanted::AtLeast(value) => ("at_least", value),
                    Wanted::AtMost(value) => ("at_most", value),
                };
                json!({ bound: value, "met": is_met })
            }
        }
    }
}

impl Table {
    /// Lines for people: the first column to the left, the others to the right.
    pub(super) fn shown(&self, palette: Palette) -> String {
        let head: Vec<String> = self.columns.iter().map(|column| (*column).to_owned()).collect();
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(Cell::shown).collect()).collect();
        let widths: Vec<usize> = (0..head.len())
            .map(|at| {
                let cells = std::iter::once(&head).chain(&rows).filter_map(|row| row.get(at));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut shown = format!("{}\n  {}\n", palette.bold(&self.title), palette.dim(&line(&head, &widths)));
        for row in &rows {
            shown += &format!("  {}\n", line(row, &widths));
        }
        for note in &self.notes {
            shown += &format!("  {}\n", palette.dim(note));
        }
        shown
    }

    /// Each row as an object with the columns as keys.
    pub(super) fn to_json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let cells = self.columns.iter().zip(row);
                Value::Object(
                    cells.map(|(column, cell)| ((*column).to_owned(), cell.to_json())).collect::<Map<_, _>>(),
                )
            })
            .collect();
        json!({ "name": self.name, "title": self.title, "rows": rows, "notes": self.notes })
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let cells = cells.iter().zip(widths).enumerate().map(|(at, (cell, width))| match at {
        0 => format!("{cell:<width$}"),
        _ => format!("{cell:>width$}"),
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

/// Three digits that count; more for what is counted in thousands.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.1 => 2,
        _ => 3,
    };
    let shown = format!("{value:.digits$}");
    match shown.contains('.') {
        true => shown.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => with_spaces(&shown),
    }
}

fn with_spaces(digits: &str) -> String {
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        let rest = digits.len() - at;
        if at > 0 && rest.is_multiple_of(3) && digits.len() > 4 {
            shown.push(' ');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(row: Vec<Cell>, expected_line: &str, expected_json: Value) {
        let table = Table {
            name: "t",
            title: "Title".into(),
            columns: &["what", "value", "goal"],
            rows: vec![row],
            notes: vec![],
        };
        let shown = table.shown(Palette::plain());
        assert_eq!(shown.lines().nth(2).map(str::trim), Some(expected_line));
        assert_eq!(table.to_json()["rows"][0], expected_json);
    }

    #[test]
    fn a_row_reads_the_same_for_people_and_programs() {
        let spread = Spread::of([41_250.0, 39_000.0, 42_000.0]);
        check(
            vec![
                Cell::text("64"),
                Cell::spread(spread),
                Cell::goal(Wanted::AtLeast(20_000.0), Some(41_250.0)),
            ],
            "64    41 250 (39 000-42 000)  >= 20 000 met",
            json!({
                "what": "64",
                "value": { "median": 41_250.0, "min": 39_000.0, "max": 42_000.0, "repeats": 3 },
                "goal": { "at_least": 20_000.0, "met": true },
            }),
        );
        check(
            vec![Cell::text("gap"), Cell::number(Some(0.735)), Cell::goal(Wanted::AtMost(0.6), Some(0.735))],
            "gap    0.73  <= 0.6 missed",
            json!({ "what": "gap", "value": 0.735, "goal": { "at_most": 0.6, "met": false } }),
        );
        check(
            vec![Cell::text("rss"), Cell::number(None), Cell::Empty],
            "rss       -     -",
            json!({ "what": "rss", "value": null, "goal": null }),
        );
    }

    #[test]
    fn numbers_show_the_digits_that_count() {
        let shown: Vec<String> = [0.0, 0.0114, 0.47, 1.5, 12.34, 735.4, 1234.0, 81234.0].map(number).into();
        assert_eq!(shown, ["0", "0.011", "0.47", "1.5", "12.3", "735", "1234", "81 234"]);
    }
}
