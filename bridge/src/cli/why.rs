//! `gable why`: what changed an entity, or what a run did and why it began.

use super::client::segment;
use super::failure::Failure;
use super::status::Targets;
use serde_json::Value;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  gable why light.hall          which message changed it, which run wanted that, and why
  gable why 57:0                what the run 57:0 did
  gable why light.hall --json

The answer is the same on every node.";

/// Show what changed an entity last, or what a run did.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// An entity's id, or a run's (as the timeline shows it)
    #[arg(value_name = "ENTITY|RUN")]
    what: String,
    #[command(flatten)]
    target: Targets,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let resource = if args.what.contains(':') { "traces" } else { "why" };
    let answer = args.target.ask(&format!("/api/{resource}/{}", segment(&args.what))).await?;
    tell(&answer, args.json);
    Ok(ExitCode::SUCCESS)
}

/// Prints what an answer says to people, or all of it.
pub(super) fn tell(answer: &Value, json: bool) {
    match answer["text"].as_str() {
        Some(text) if !json => super::tell(text),
        _ => super::tell(&format!("{answer}\n")),
    }
}
