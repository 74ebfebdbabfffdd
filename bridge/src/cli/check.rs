//! `gable check`: finds mistakes in the home's files without a node.

use super::failure::{Exit, Failure};
use super::palette::Palette;
use gable_rules::{Problem, Report, Severity, SourceFile};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  gable check home.yaml
  gable check entities.yaml automations/*.yaml
  gable check --json home.yaml | jq '.problems[] | .line'

All files are read as one home: an automation in one may use an entity of another.
Exit code 1 if something is broken, 0 if there are warnings at most.";

/// Find mistakes in a home's YAML files, with file, line and column.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The home's files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    let sources = args
        .files
        .iter()
        .map(|path| {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| {
                let error = anyhow::Error::new(error).context(format!("cannot read {name}"));
                Failure::new(Exit::No, error, "check the path; the files are read as UTF-8 text")
            })?;
            Ok(SourceFile { name, text })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let report = gable_rules::check(&sources);
    if args.json {
        super::tell(&format!("{}\n", to_json(&report)));
    } else {
        super::tell(&to_text(&report, Palette::for_stdout()));
    }
    let is_broken = report.problems.iter().any(|problem| problem.severity == Severity::Error);
    Ok(if is_broken { ExitCode::from(Exit::No as u8) } else { ExitCode::SUCCESS })
}

/// One problem a line as compilers print them, so that editors can jump to it.
pub(super) fn to_text(report: &Report, palette: Palette) -> String {
    let mut text: String = report.problems.iter().map(|problem| line(problem, palette) + "\n").collect();
    let count = |severity| report.problems.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let verdict = format!(
        "{}, {} ({} broken): {}, {}",
        several(report.entities, "entity", "entities"),
        several(report.automations + report.broken, "automation", "automations"),
        report.broken,
        several(errors, "error", "errors"),
        several(warnings, "warning", "warnings"),
    );
    text.push_str(&match (errors, warnings) {
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
    json!({
        "entities": report.entities,
        "automations": report.automations,
        "unsupported": report.unsupported,
        "broken": report.broken,
        "problems": report.problems.iter().map(crate::http::problems::to_json).collect::<Vec<_>>(),
    })
}

fn several(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gable_devices::yaml;

    #[test]
    fn a_problem_is_one_line_that_an_editor_can_jump_to() {
        let what = yaml::Problem {
            location: Some(yaml::Location { file: "home.yaml".into(), line: 12, column: 5 }),
            path: "automation[0].triggers[0].trigger".into(),
            message: "`stat` is not a kind of trigger".into(),
            hint: Some("state".into()),
        };
        let automation = Some("hall_light".into());
        let problem = Problem { severity: Severity::Error, automation, missing: None, what };
        let problems = vec![problem];
        let report = Report { entities: 1, automations: 2, broken: 1, problems, ..Report::default() };
        let expected = "home.yaml:12:5: error: automation `hall_light`: automation[0].triggers[0].trigger: \
                        `stat` is not a kind of trigger (did you mean `state`?)\n\
                        1 entity, 3 automations (1 broken): 1 error, 0 warnings\n";
        assert_eq!(to_text(&report, Palette::plain()), expected);
        assert_eq!(to_json(&report)["problems"][0]["line"], 12);
    }
}
