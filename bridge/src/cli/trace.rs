//! `gable trace`: what the last run of an automation did, or another one.

use super::client::segment;
use super::failure::{Exit, Failure};
use super::status::Targets;
use serde_json::Value;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  gable trace motion_light              its last run, step by step
  gable trace motion_light 57:0         another run that is kept
  gable trace motion_light --list       the runs that are kept
  gable trace motion_light --json

Each automation keeps its last five runs; `trace: {stored_traces: N}` in its file keeps more.";

/// Show what a run of an automation did, step by step.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The automation's id
    automation: String,
    /// A run's id; without one its last run
    run: Option<String>,
    /// List the runs that are kept instead
    #[arg(long, conflicts_with = "run")]
    list: bool,
    #[command(flatten)]
    target: Targets,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let path = format!("/api/traces?automation={}", segment(&args.automation));
    let answer = args.target.ask(&path).await?;
    let traces = answer["traces"].as_array().cloned().unwrap_or_default();
    if args.list {
        let text = if args.json { format!("{answer}\n") } else { traces.iter().map(line).collect() };
        super::tell(&text);
        return Ok(ExitCode::SUCCESS);
    }
    let last = traces.last().and_then(|trace| trace["run_id"].as_str()).map(str::to_owned);
    let Some(run_id) = args.run.or(last) else {
        return Err(Failure::new(
            Exit::No,
            anyhow::anyhow!("no run of {} is kept", args.automation),
            format!("`gable why-not {}` shows why it did not run", args.automation),
        ));
    };
    let answer = args.target.ask(&format!("/api/traces/{}", segment(&run_id))).await?;
    super::why::tell(&answer, args.json);
    Ok(ExitCode::SUCCESS)
}

fn line(trace: &Value) -> String {
    let text = |key: &str| trace[key].as_str().unwrap_or_default().to_owned();
    let how = trace["ended"]["how"]["state"].as_str().unwrap_or("not at its end");
    format!("{}  {}  {how}  {}\n", text("run_id"), text("started_at"), text("trigger"))
}
