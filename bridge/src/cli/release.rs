//! `gable release`: lets an automation fire again that the storm guard has set apart.

use super::client::{self, segment};
use super::failure::Failure;
use super::status::{Targets, unreachable};
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
    let mut last_error = None;
    for client in args.target.clients()? {
        match client.post(&path).await {
            Ok(_) => {
                super::tell(&format!("{} fires again\n", args.automation));
                return Ok(ExitCode::SUCCESS);
            }
            Err(error @ client::Error::Refused { .. }) => return Err(unreachable(error)),
            Err(error) => last_error = Some(error),
        }
    }
    Err(unreachable(last_error.unwrap_or(client::Error::Url { url: String::new() })))
}
