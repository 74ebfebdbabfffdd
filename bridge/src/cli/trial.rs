//! `gable try`: what changed files would have done with what was heard. Nothing is sent.
//!
//! Recorded messages go through the core with the changed files, in simulated time; the commands
//! that come of it are held against those that were sent. What devices would have answered to other
//! commands is not known: they answer as they did.

mod recording;

use super::failure::{Exit, Failure};
use super::status::{Targets, unreachable};
use crate::almanac;
use crate::calendar::iso8601;
use crate::home_files::Collector;
use gable_broker_config::Home;
use gable_devices::{Timestamp, duration};
use gable_rules::replay::{Command, Difference, Replay, compare};
use gable_rules::{InputKind, Severity, SourceFile};
use recording::Recording;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  gable try home.yaml --from http://127.0.0.1:7180 --since 2h
  gable try ~/homeassistant --from recorded.jsonl --since 2026-03-01T06:00:00Z
  gable events --json --after 0 > recorded.jsonl      records what a home has heard so far

RULES are the home's files as they would be, entities included: a file, several, or the home's folder.
All of the recording is played, so that entities have their values; only what happened since then is
compared. Devices answer as they did, also to commands that would be others. Times of day follow the
recorded time zone; the sun's times need `homeassistant: {latitude, longitude}` in the files.";

/// Show which commands changed files would have given, without sending any.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The home's files with the change, or its folder
    #[arg(required = true, value_name = "RULES")]
    rules: Vec<PathBuf>,
    /// A node's HTTP address, or a file that `gable events --json` has written
    #[arg(long, value_name = "HISTORY|URL")]
    from: String,
    /// Since when commands are compared: a time (2026-03-01T06:00:00Z) or a span before the end (2h)
    #[arg(long, value_name = "T")]
    since: String,
    /// Secret of the node's HTTP API (`http.token` in its settings)
    #[arg(long, value_name = "TOKEN", env = "GABLE_HTTP__TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print the differences as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let files = read_rules(&args.rules)?;
    let recording = if Path::new(&args.from).is_file() {
        recording::from_file(Path::new(&args.from)).map_err(|error| {
            Failure::new(Exit::Usage, error, "record one with `gable events --json --after 0`")
        })?
    } else {
        let targets = Targets::one(args.from.clone(), args.token.clone());
        recording::from_nodes(targets.clients()?).await.map_err(unreachable)?
    };
    let (Some(first), Some(last)) = (recording.begin(), recording.end()) else {
        let why = anyhow::anyhow!("nothing is recorded in {}", args.from);
        return Err(Failure::new(Exit::No, why, "record one with `gable events --json --after 0`"));
    };
    let since = parse_since(&args.since, last).ok_or_else(|| {
        let why = anyhow::anyhow!("`{}` is neither a time nor a span", args.since);
        Failure::new(Exit::Usage, why, "e.g. --since 2h or --since 2026-03-01T06:00:00Z")
    })?;
    let would = play(files, &recording, first, last);
    let is_asked = |command: &&Command| command.at >= since;
    let happened: Vec<Command> = recording.commands.iter().filter(is_asked).cloned().collect();
    let would: Vec<Command> = would.iter().filter(is_asked).cloned().collect();
    let differences = compare(&happened, &would);
    let text = if args.json {
        let differences: Value = differences.iter().map(difference_json).collect();
        let (happened, would) = (happened.len(), would.len());
        let since = iso8601(since);
        format!(
            "{}\n",
            json!({ "since": since, "happened": happened, "would": would, "differences": differences })
        )
    } else {
        table(&differences, happened.len(), would.len())
    };
    super::tell(&text);
    Ok(ExitCode::SUCCESS)
}

fn read_rules(paths: &[PathBuf]) -> Result<Vec<SourceFile>, Failure> {
    let collected = Collector::default().collect(paths);
    let files =
        collected.map_err(|error| Failure::new(Exit::No, error, "name files that can be read"))?.files;
    let report = gable_rules::check(&files);
    match report.problems.iter().find(|problem| problem.severity == Severity::Error) {
        None => Ok(files),
        Some(problem) => Err(Failure::new(
            Exit::No,
            anyhow::anyhow!("{problem}"),
            "mend it first; `gable check` shows all that is wrong",
        )),
    }
}

/// Plays the recording with the files; returns what would have been sent.
fn play(files: Vec<SourceFile>, recording: &Recording, first: Timestamp, last: Timestamp) -> Vec<Command> {
    let mut settings = Home::default();
    settings.time_zone.clone_from(&recording.time_zone);
    let mut replay = Replay::new(first);
    replay.apply(InputKind::Configure(files));
    let place = almanac::place(replay.state().declared_place(), &settings);
    for (at, message) in &recording.messages {
        replay.advance_to(*at);
        if almanac::is_needed(replay.state().calendar(), &place, *at) {
            let (calendar, _) = almanac::compute(place.clone(), *at);
            replay.apply(InputKind::Calendar(calendar));
        }
        replay.apply(InputKind::Message(message.clone()));
    }
    replay.advance_to(last);
    let mut commands = replay.commands().to_vec();
    for command in &mut commands {
        recording::normalize(&mut command.publish.payload);
    }
    commands
}

fn parse_since(text: &str, end: Timestamp) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(at.as_millisecond()));
    }
    let digits = text.trim_end_matches(char::is_alphabetic);
    let unit = match text.get(digits.len()..)? {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return duration::from_text(text).ok().map(|span| back(end, span.0)),
    };
    Some(back(end, digits.parse::<u64>().ok()?.saturating_mul(unit)))
}

fn back(end: Timestamp, millis: u64) -> Timestamp {
    Timestamp(end.0.saturating_sub(i64::try_from(millis).unwrap_or(i64::MAX)))
}

fn table(differences: &[Difference], happened: usize, would: usize) -> String {
    let mut text = String::new();
    for difference in differences {
        // Writing to a text does not fail.
        let _ = match difference {
            Difference::Missing(was) => writeln!(text, "{}  missing     {}", iso8601(was.at), words(was)),
            Difference::Additional(would) => {
                writeln!(text, "{}  additional  {}", iso8601(would.at), words(would))
            }
            Difference::OtherPayload { was, would } => {
                let payload = String::from_utf8_lossy(&would.publish.payload);
                writeln!(text, "{}  payload     {}, would be {payload}", iso8601(was.at), words(was))
            }
            Difference::OtherTime { was, would } => {
                writeln!(
                    text,
                    "{}  time        {}, would be at {}",
                    iso8601(was.at),
                    words(was),
                    iso8601(would.at)
                )
            }
        };
    }
    let count = differences.len();
    let _ =
        writeln!(text, "{happened} commands were sent, {would} would be; {count} differ. Nothing was sent.");
    text
}

fn words(command: &Command) -> String {
    let payload = String::from_utf8_lossy(&command.publish.payload);
    let by = command.automation.as_ref().map_or(String::new(), |automation| format!(" (by {automation})"));
    format!("{} {payload}{by}", command.publish.topic)
}

fn difference_json(difference: &Difference) -> Value {
    let (what, was, would) = match difference {
        Difference::Missing(was) => ("missing", Some(was), None),
        Difference::Additional(would) => ("additional", None, Some(would)),
        Difference::OtherPayload { was, would } => ("payload", Some(was), Some(would)),
        Difference::OtherTime { was, would } => ("time", Some(was), Some(would)),
    };
    json!({ "difference": what, "was": was.map(command_json), "would": would.map(command_json) })
}

fn command_json(command: &Command) -> Value {
    json!({
        "at": iso8601(command.at),
        "entity_id": command.entity_id.as_ref().map(|entity_id| entity_id.as_str()),
        "automation": command.automation,
        "topic": command.publish.topic,
        "payload": String::from_utf8_lossy(&command.publish.payload),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_times_are_read() {
        let end = Timestamp(1_700_000_000_000);
        let check = |text, expected: Option<i64>| {
            assert_eq!(parse_since(text, end).map(|at| at.0), expected, "{text}");
        };
        check("10s", Some(1_699_999_990_000));
        check("2h", Some(1_699_992_800_000));
        check("1d", Some(1_699_913_600_000));
        check("2023-11-14T22:13:20Z", Some(1_700_000_000_000));
        check("yesterday", None);
    }

    #[test]
    fn a_changed_rule_shows_what_would_differ() {
        let recorded = r#"
{"kind":"message","at_ms":1000,"topic":"motion","payload":"on"}
{"kind":"effect","effect":"run_started","at_ms":1000,"run_id":"1:0","automation":"hall"}
{"kind":"effect","effect":"command_queued","at_ms":1000,"run_id":"1:0","topic":"said","payload":1}
{"kind":"message","at_ms":9000,"topic":"motion","payload":"on"}
{"kind":"effect","effect":"command_queued","at_ms":9000,"topic":"said","payload":1}
"#;
        let recording = recording::from_text(recorded).unwrap();
        let text = "automation:\n  - alias: hall\n    triggers: {trigger: mqtt, topic: motion}\n    actions: \
                    [{delay: 3}, {action: mqtt.publish, data: {topic: said, payload: '1'}}]\n";
        let files = vec![SourceFile { name: "home.yaml".into(), text: text.into() }];
        let would = play(files, &recording, Timestamp(1000), Timestamp(9000));
        let differences = compare(&recording.commands, &would);
        let text = table(&differences, 2, would.len());
        let expected = "1970-01-01T00:00:01.000Z  time        said 1 (by hall), would be at 1970-01-01T00:00:04.000Z\n\
                        1970-01-01T00:00:09.000Z  missing     said 1\n\
                        2 commands were sent, 1 would be; 2 differ. Nothing was sent.\n";
        assert_eq!(text.replace("+00:00", "Z"), expected);
    }
}
