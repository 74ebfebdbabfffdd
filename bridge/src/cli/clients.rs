//! `gable clients`: who is connected over MQTT, at which node.

use super::failure::Failure;
use super::palette::Palette;
use super::status::{Targets, aligned};
use serde_json::Value;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  gable clients
  gable clients --json | jq '.clients[] | select(.node == null) | .client_id'

Every node knows the clients of all nodes. Those that are away are listed while their session is kept:
`waiting` are messages that they have not acknowledged.";

/// List the clients of the MQTT server, of all nodes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    target: Targets,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let answer = args.target.ask("/api/clients").await?;
    super::tell(&if args.json { format!("{answer:#}\n") } else { table(&answer, Palette::for_stdout()) });
    Ok(ExitCode::SUCCESS)
}

fn table(answer: &Value, palette: Palette) -> String {
    let clients = answer["clients"].as_array().map_or(&[][..], Vec::as_slice);
    if clients.is_empty() {
        return "no clients\n".to_owned();
    }
    let heads = ["client", "user", "node", "since", "MQTT", "session", "filters", "waiting"];
    let rows: Vec<_> = std::iter::once(heads.map(str::to_owned)).chain(clients.iter().map(row)).collect();
    aligned(&rows, palette)
}

fn row(client: &Value) -> [String; 8] {
    let text = |value: &Value| value.as_str().map_or_else(|| "-".to_owned(), str::to_owned);
    let number = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), |number| number.to_string());
    let session = &client["session"];
    let version = match client["protocol_version"].as_u64() {
        Some(3) => "3.1",
        Some(4) => "3.1.1",
        Some(5) => "5",
        _ => "-",
    };
    [
        text(&client["client_id"]),
        text(&client["username"]),
        number(&client["node"]),
        text(&client["since"]),
        version.to_owned(),
        if session.is_null() { "clean".to_owned() } else { "kept".to_owned() },
        session["subscriptions"]
            .as_array()
            .map_or_else(|| "-".to_owned(), |filters| filters.len().to_string()),
        number(&session["waiting"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn clients_stand_one_a_line() {
        let answer = json!({ "clients": [
            { "client_id": "ha", "username": "ha", "node": 2, "since": "2026-05-01T10:00:00Z",
              "protocol_version": 5, "session": null },
            { "client_id": "plug", "username": null, "node": null, "since": null, "protocol_version": null,
              "session": { "subscriptions": ["cmnd/plug/#"], "waiting": 3 } },
        ]});
        let expected = "\
client  user  node  since                 MQTT  session  filters  waiting
ha      ha    2     2026-05-01T10:00:00Z  5     clean    -        -
plug    -     -     -                     -     kept     1        3
";
        assert_eq!(table(&answer, Palette::plain()), expected);
        assert_eq!(table(&json!({ "clients": [] }), Palette::plain()), "no clients\n");
    }
}
