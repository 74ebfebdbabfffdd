//! `gable check`: finds mistakes in the home's files without a node, and counts what does not run.

mod summary;

use super::failure::{Exit, Failure};
use super::palette::Palette;
use crate::almanac;
use crate::home_files::{self, Collector};
use gable_devices::yaml;
use gable_rules::{Problem, Report, Severity};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use summary::missing;

const EXAMPLES: &str = "\
Examples:
  gable check home.yaml
  gable check entities.yaml automations/*.yaml
  gable check ~/homeassistant
  gable check --json home.yaml | jq '.problems[] | .line'

What a file includes is read with it. All files are read as one home: an automation in one may use
an entity of another. A folder stands for its configuration.yaml. A folder that has none and
declares nothing (no `mqtt:`, no `homeassistant:`) is a collection: each of its files is read by itself.
Exit codes: 0 if nothing is broken (there may be warnings, and automations that hold something Gable
does not run); 1 if something is broken, or a file can not be read; 2 for wrong flags.";

/// Find mistakes in a home's YAML files, with file, line and column.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The home's files, or its folder
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    let report = match args.files.as_slice() {
        [folder] if folder.is_dir() && is_collection(folder)? => {
            let files = home_files::yaml_files(folder).map_err(unreadable)?;
            let reports = files.iter().map(|file| check(std::slice::from_ref(file)));
            sum(reports.collect::<Result<_, _>>()?)
        }
        files => check(files)?,
    };
    if args.json {
        super::tell(&format!("{}\n", to_json(&report)));
    } else {
        super::tell(&to_text(&report, Palette::for_stdout()));
    }
    let is_broken = report.problems.iter().any(|problem| problem.severity == Severity::Error);
    Ok(if is_broken { ExitCode::from(Exit::No as u8) } else { ExitCode::SUCCESS })
}

/// Checks what these files and folders make; places name files as a person here would.
fn check(paths: &[PathBuf]) -> Result<Report, Failure> {
    let collected = Collector::default().collect(paths).map_err(unreadable)?;
    let mut report = gable_rules::check(&collected.files);
    report.problems.extend(zone_problem(&report));
    for problem in &mut report.problems {
        hint_at_file(&collected.folder, &mut problem.what);
    }
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).unwrap_or_default();
    for problem in &mut report.problems {
        if let Some(location) = &mut problem.what.location {
            let path = collected.folder.join(&*location.file);
            location.file = Arc::from(path.strip_prefix(&here).unwrap_or(&path).display().to_string());
        }
    }
    Ok(report)
}

/// Names the file that a missing one was probably meant to be. The core knows only those that
/// something refers to.
fn hint_at_file(folder: &Path, what: &mut yaml::Problem) {
    let begins = ["there is no blueprint `", "there is no file `"];
    let rest = begins.iter().find_map(|begin| what.message.strip_prefix(begin));
    let Some(name) = rest.and_then(|rest| rest.split('`').next()).filter(|_| what.hint.is_none()) else {
        return;
    };
    let paths = home_files::yaml_files(folder).unwrap_or_default();
    let relative = paths.iter().filter_map(|path| path.strip_prefix(folder).ok()?.to_str());
    what.hint = yaml::did_you_mean(name, relative).map(str::to_owned);
}

/// What is wrong with the home's time zone. The core knows none, so it is asked here.
fn zone_problem(report: &Report) -> Option<Problem> {
    let (name, location) = report.time_zone.as_ref()?;
    let hint = almanac::check_zone(name).err()?;
    let message = format!("there is no time zone `{name}`; times of day would count in UTC");
    let what = yaml::Problem {
        location: Some(location.clone()),
        path: "homeassistant.time_zone".to_owned(),
        message,
        hint,
    };
    Some(Problem { severity: Severity::Error, automation: None, missing: None, what })
}

fn unreadable(error: home_files::Error) -> Failure {
    Failure::new(Exit::No, error, "check the path; the files are read as UTF-8 text")
}

/// Whether the folder's files are no home but a collection of examples.
fn is_collection(folder: &Path) -> Result<bool, Failure> {
    if home_files::has_beginning(folder) {
        return Ok(false);
    }
    let files = home_files::yaml_files(folder).map_err(unreadable)?;
    let declares = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().any(|line| line.starts_with("mqtt:") || line.starts_with("homeassistant:"))
    };
    Ok(!files.iter().any(declares))
}

/// One report of many.
fn sum(reports: Vec<Report>) -> Report {
    let mut all = Report::default();
    for report in reports {
        all.entities += report.entities;
        all.automations += report.automations;
        all.unsupported += report.unsupported;
        all.broken += report.broken;
        all.blueprints += report.blueprints;
        all.problems.extend(report.problems);
    }
    all
}

/// The table of what runs and what does not; then one problem a line as compilers print them, so
/// that editors can jump to it.
pub(super) fn to_text(report: &Report, palette: Palette) -> String {
    let mut text = summary::to_text(report, palette);
    for (problem, more) in summary::listed(report) {
        text += &(line(problem, palette) + "\n");
        if more > 0 {
            text += &format!("  ... and {more} more like this, which `--json` shows\n");
        }
    }
    let advice = summary::advice(report);
    if !advice.is_empty() {
        text += &format!("{}\n", palette.bold("what helps:"));
        text.extend(advice.iter().map(|line| format!("  {line}\n")));
    }
    let count = |severity| report.problems.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let out_of_use = match report.unsupported {
        0 => format!("{} broken", report.broken),
        unsupported => format!("{} broken, {unsupported} not run", report.broken),
    };
    let verdict = format!(
        "{}, {} ({out_of_use}): {}, {}",
        several(report.entities, "entity", "entities"),
        several(report.automations + report.unsupported + report.broken, "automation", "automations"),
        several(errors, "error", "errors"),
        several(warnings, "warning", "warnings"),
    );
    text.push_str(&match (errors, warnings + report.unsupported) {
        (0, 0) => palette.green(&verdict),
        (0, _) => palette.yellow(&verdict),
        _ => palette.red(&verdict),
    });
    text.push('\n');
    text
}

/// `home.yaml:12:5: error: automation[0].triggers: ... (did you mean `state`?)`
pub(super) fn line(problem: &Problem, palette: Palette) -> String {
    let what = &problem.what;
    let place = what.location.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
    let severity = match problem.severity {
        Severity::Error => palette.red("error"),
        Severity::Warning => palette.yellow("warning"),
        Severity::Unsupported => palette.yellow("unsupported"),
        Severity::Info => "info".to_owned(),
    };
    let automation = problem.automation.as_ref().map(|id| format!("automation `{id}`: ")).unwrap_or_default();
    let path = if what.path.is_empty() { String::new() } else { format!("{}: ", what.path) };
    let hint = what.hint.as_ref().map(|hint| format!(" (did you mean `{hint}`?)")).unwrap_or_default();
    format!("{}{severity}: {automation}{path}{}{hint}", palette.bold(&place), what.message)
}

fn to_json(report: &Report) -> Value {
    let missing = missing(report).into_iter();
    let missing = missing.map(|((what, word), tally)| {
        json!({ "what": what, "word": word, "count": tally.count, "automations": tally.automations.len() })
    });
    json!({
        "entities": report.entities,
        "automations": report.automations,
        "unsupported": report.unsupported,
        "broken": report.broken,
        "blueprints": report.blueprints,
        "advice": summary::advice(report),
        "missing": missing.collect::<Vec<_>>(),
        "problems": report.problems.iter().map(crate::http::problems::to_json).collect::<Vec<_>>(),
    })
}

fn several(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gable_rules::Missing;

    fn problem(severity: Severity, automation: &str, message: &str) -> Problem {
        let what = yaml::Problem {
            location: Some(yaml::Location { file: "home.yaml".into(), line: 12, column: 5 }),
            path: "automation[0].triggers[0].trigger".into(),
            message: message.into(),
            hint: None,
        };
        Problem { severity, automation: Some(automation.into()), missing: None, what }
    }

    #[test]
    fn a_problem_is_one_line_that_an_editor_can_jump_to() {
        let mut error = problem(Severity::Error, "hall_light", "`stat` is not a kind of trigger");
        error.what.hint = Some("state".into());
        let report =
            Report { entities: 1, automations: 2, broken: 1, problems: vec![error], ..Report::default() };
        let expected = "automations: 2 run, 1 broken\n\n\
                        home.yaml:12:5: error: automation `hall_light`: automation[0].triggers[0].trigger: \
                        `stat` is not a kind of trigger (did you mean `state`?)\n\
                        1 entity, 3 automations (1 broken): 1 error, 0 warnings\n";
        assert_eq!(to_text(&report, Palette::plain()), expected);
        assert_eq!(to_json(&report)["problems"][0]["line"], 12);
    }

    #[test]
    fn what_is_not_run_is_counted_by_kind() {
        let unsupported = |automation, what, word: &str| Problem {
            missing: Some(Missing { what, word: word.into(), count: 1 }),
            ..problem(Severity::Unsupported, automation, "no")
        };
        let problems = vec![
            unsupported("a", "trigger", "device"),
            unsupported("a", "trigger", "device"),
            unsupported("b", "trigger", "device"),
            unsupported("b", "service", "tts.speak"),
        ];
        let report = Report { unsupported: 2, blueprints: 3, problems, ..Report::default() };
        let text = to_text(&report, Palette::plain());
        let table: Vec<&str> = text.lines().take(5).collect();
        assert!(!text.contains("would run"), "device triggers stay: {text}");
        assert_eq!(
            table,
            [
                "automations: 0 run, 2 not run, 0 broken; 3 blueprints",
                "what Gable does not run:    times  automations",
                "  trigger  device               3            2",
                "  service  tts.speak            1            1",
                "",
            ],
            "{text}"
        );
        assert_eq!(to_json(&report)["missing"][0]["count"], 3);
    }

    #[test]
    fn many_problems_of_one_kind_are_told_in_short() {
        let service = |n: usize| Problem {
            missing: Some(Missing { what: "service", word: format!("tts.say_{n}"), count: 1 }),
            ..problem(Severity::Unsupported, &format!("a{n}"), &format!("no `tts.say_{n}`"))
        };
        let mut report = Report { problems: (0..40).map(service).collect(), ..Report::default() };
        let lines = |report: &Report| {
            let text = to_text(report, Palette::plain());
            text.lines().filter(|line| line.contains("unsupported: ")).count()
        };
        assert_eq!(lines(&report), 40);
        report.problems.extend((40..45).map(service));
        assert!(
            to_text(&report, Palette::plain())
                .contains("  service  ... and 25 others       25           25\n")
        );
        report.problems.push(problem(Severity::Error, "b", "broken"));
        assert_eq!(lines(&report), 10);
        let text = to_text(&report, Palette::plain());
        assert!(text.contains("\n  ... and 35 more like this, which `--json` shows\n"), "{text}");
        assert!(text.contains("error: automation `b`"), "{text}");
        assert!(text.contains(": 45 of these automations would run\n"), "{text}");
        assert_eq!(to_json(&report)["problems"].as_array().unwrap().len(), 46);
    }
}
