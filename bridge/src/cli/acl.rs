//! `gable acl`: why a client may do something with a topic, or may not.

use super::client::segment;
use super::failure::Failure;
use super::status::Targets;
use clap::Subcommand;
use serde_json::Value;
use std::fmt::Write;
use std::process::ExitCode;

/// Explain who may do what with which topic.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what decides whether a user may read, write and subscribe to a topic
    Explain {
        /// A user, or `-` for clients without a name
        user: String,
        /// A topic, or a filter to subscribe with
        topic: String,
        /// The client id, for grants with `%c`
        #[arg(long, value_name = "ID", default_value = "")]
        client_id: String,
        #[command(flatten)]
        target: Targets,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let Command::Explain { user, topic, client_id, target, json } = args.command;
    let mut path = format!("/api/access/explain?topic={}&client_id={}", segment(&topic), segment(&client_id));
    if user != "-" {
        let _ = write!(path, "&user={}", segment(&user));
    }
    let answer = target.ask(&path).await?;
    super::tell(&if json { format!("{answer:#}\n") } else { show(&answer) });
    Ok(ExitCode::SUCCESS)
}

fn show(answer: &Value) -> String {
    let mut text = String::new();
    for decision in answer["decisions"].as_array().into_iter().flatten() {
        let word = if decision["allowed"] == true { "yes" } else { "no " };
        let grant = &decision["by"]["grant"];
        let by = match grant["filter"].as_str() {
            None => "no grant allows it".to_owned(),
            Some(filter) => {
                let not = if grant["denies"] == true { "not " } else { "" };
                let whose = decision["by"]["role"]
                    .as_str()
                    .map_or("its own".to_owned(), |role| format!("role {role}"));
                format!("{whose}: {not}{} {filter}", grant["rights"].as_str().unwrap_or_default())
            }
        };
        let _ = writeln!(text, "{:<10} {word}  {by}", decision["right"].as_str().unwrap_or_default());
    }
    text
}
