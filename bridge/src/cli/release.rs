//! `gable release`: lets an automation fire again that the storm guard has set apart.

use super::client::segment;
use super::failure::Failure;
use super::status::Targets;
use std::process::ExitCode;

/// Let an automation fire again that is quarantined because it ran too often.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The automation's id
    automation: String,
    #[command(flatten)]
    target: Targets,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let path = format!("/api/automations/{}/release", segment(&args.automation));
    args.target.post(&path).await?;
    super::tell(&format!("{} fires again\n", args.automation));
    Ok(ExitCode::SUCCESS)
}
