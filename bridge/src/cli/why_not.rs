//! `gable why-not`: why an automation does not run.

use super::client::segment;
use super::failure::Failure;
use super::status::Targets;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  gable why-not motion_light
  gable why-not motion_light --json

It shows the last time that a trigger fired and no run began: the condition that was not fulfilled with the
values it saw, the mode, or that the automation is off, broken or quarantined.";

/// Show why an automation did not run.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The automation's id
    automation: String,
    #[command(flatten)]
    target: Targets,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let answer = args.target.ask(&format!("/api/why-not/{}", segment(&args.automation))).await?;
    super::why::tell(&answer, args.json);
    Ok(ExitCode::SUCCESS)
}
