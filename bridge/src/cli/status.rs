//! `gable status`: how the cluster is, one line a node.

use super::client::{self, Client};
use super::failure::{Exit, Failure};
use super::palette::Palette;
use serde_json::{Value, json};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  gable status
  gable status --url http://192.168.1.11:7180 --url http://192.168.1.12:7180 --token SECRET
  gable status --json | jq '.[].applied_index'

Exit code 1 if a node is not ready, 5 if none answers.";

/// Ask nodes how they are and show them side by side.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    target: Targets,
    /// Print the nodes' answers as JSON
    #[arg(long)]
    json: bool,
}

/// Where the nodes are asked.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Targets {
    /// HTTP address of a node; repeat it for more nodes
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7180")]
    pub(super) url: Vec<String>,
    /// Secret of the nodes' HTTP API (`http.token` in their settings)
    #[arg(long, value_name = "TOKEN", env = "GABLE_HTTP__TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Targets {
    /// One node.
    pub(super) fn one(url: String, token: Option<String>) -> Targets {
        Targets { url: vec![url], token }
    }

    pub(super) fn clients(&self) -> Result<Vec<Client>, Failure> {
        self.url.iter().map(|url| Client::new(url, self.token.clone()).map_err(unreachable)).collect()
    }
}

impl Targets {
    /// Asks the nodes in their order until one answers, be it with a refusal.
    pub(super) async fn ask(&self, path: &str) -> Result<Value, Failure> {
        self.try_each(async |client| client.get(path).await).await
    }

    /// Tells the first node that answers to do something that needs no words.
    pub(super) async fn post(&self, path: &str) -> Result<Value, Failure> {
        self.try_each(async |client| client.post(path).await).await
    }

    /// Puts something in a place at the first node that answers.
    pub(super) async fn put(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.try_each(async |client| client.put(path, &body).await).await
    }

    /// Removes something at the first node that answers.
    pub(super) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.try_each(async |client| client.delete(path).await).await
    }

    async fn try_each(
        &self,
        ask: impl AsyncFn(Client) -> Result<Value, client::Error>,
    ) -> Result<Value, Failure> {
        let mut last_error = None;
        for client in self.clients()? {
            match ask(client).await {
                Ok(answer) => return Ok(answer),
                Err(error @ client::Error::Refused { .. }) => return Err(unreachable(error)),
                Err(error) => last_error = Some(error),
            }
        }
        Err(unreachable(last_error.unwrap_or(client::Error::Url { url: String::new() })))
    }
}

/// The failure of a command that got no usable answer.
pub(super) fn unreachable(error: client::Error) -> Failure {
    let exit = match &error {
        client::Error::Url { .. } => Exit::Usage,
        client::Error::Refused { .. } => Exit::No,
        _ => Exit::Unreachable,
    };
    let hint = error.hint();
    Failure::new(exit, error, hint)
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let clients = args.target.clients()?;
    let mut answers = Vec::new();
    let mut last_error = None;
    for client in &clients {
        match ask(client).await {
            Ok(answer) => answers.push(answer),
            Err(error) => {
                answers.push(
                    json!({ "url": client.address(), "error": error.to_string(), "hint": error.hint() }),
                );
                last_error = Some(error);
            }
        }
    }
    let all_silent = answers.iter().all(|answer| answer.get("error").is_some());
    match last_error {
        Some(error) if all_silent && !args.json => return Err(unreachable(error)),
        _ => {}
    }
    if args.json {
        super::tell(&format!("{}\n", Value::from(answers.clone())));
    } else {
        super::tell(&table(&answers, Palette::for_stdout()));
    }
    let ready = answers.iter().all(|answer| answer["ready"] == true);
    Ok(match (ready, all_silent) {
        (true, _) => ExitCode::SUCCESS,
        (false, true) => ExitCode::from(Exit::Unreachable as u8),
        (false, false) => ExitCode::from(Exit::No as u8),
    })
}

/// One node's status, with `url`, `ready` and, if it is not ready, `reason` added.
async fn ask(client: &Client) -> Result<Value, client::Error> {
    let mut answer = client.get("/api/status").await?;
    let (ready, reason) = match client.get("/api/ready").await {
        Ok(_) => (true, Value::Null),
        Err(client::Error::Refused { text, .. }) => (false, Value::from(text)),
        Err(error) => return Err(error),
    };
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("url".into(), client.address().into());
        answer.insert("ready".into(), ready.into());
        if !reason.is_null() {
            answer.insert("reason".into(), reason);
        }
    }
    Ok(answer)
}

const COLUMNS: [&str; 11] =
    ["NODE", "ROLE", "TERM", "LEADER", "APPLIED", "STATE HASH", "MQTT", "OUTBOX", "TIMERS", "RUNS", "URL"];

fn table(answers: &[Value], palette: Palette) -> String {
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    let mut remarks = Vec::new();
    for answer in answers {
        let url = text(&answer["url"]);
        if let Some(error) = answer["error"].as_str() {
            let mut row = [const { String::new() }; 11];
            row.fill("-".to_owned());
            (row[1], row[10]) = ("silent".to_owned(), url.clone());
            rows.push(row);
            remarks.push(palette.red(&format!("{url}: {error}")));
            continue;
        }
        let node = |value: &Value| value.as_u64().map_or("-".to_owned(), |id| format!("n{id}"));
        let mqtt = if answer["mqtt"]["link_up"] == true { "up" } else { "down" };
        rows.push([
            node(&answer["node"]),
            text(&answer["role"]),
            text(&answer["term"]),
            node(&answer["leader"]),
            text(&answer["applied_index"]),
            text(&answer["state_hash"]),
            mqtt.to_owned(),
            text(&answer["outbox"]),
            text(&answer["timers"]),
            text(&answer["runs"]),
            url.clone(),
        ]);
        if let Some(reason) = answer["reason"].as_str() {
            remarks.push(palette.yellow(&format!("{url}: not ready: {reason}")));
        }
        if let Some(broken) = answer["problems"].as_u64().filter(|broken| *broken > 0) {
            remarks.push(
                palette.yellow(&format!("{url}: {broken} problems in the home's files (GET /api/problems)")),
            );
        }
    }
    let mut out = aligned(&rows, palette);
    for remark in remarks {
        out.push_str(&remark);
        out.push('\n');
    }
    out
}

/// Puts columns under each other, the first row as a heading.
pub(super) fn aligned<const N: usize>(rows: &[[String; N]], palette: Palette) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let line = cells.join("  ");
        let line = line.trim_end();
        out.push_str(&if number == 0 { palette.bold(line) } else { line.to_owned() });
        out.push('\n');
    }
    out
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_stand_side_by_side_and_a_silent_one_is_told() {
        let answers = [
            json!({ "url": "a:1", "node": 1, "role": "leader", "term": 3, "leader": 1, "applied_index": 1042,
                "state_hash": "9f3a", "mqtt": { "link_up": true }, "outbox": 0, "timers": 2, "runs": 1,
                "problems": 1, "ready": true }),
            json!({ "url": "b:1", "error": "no answer from b:1", "hint": "" }),
        ];
        let expected = "\
NODE  ROLE    TERM  LEADER  APPLIED  STATE HASH  MQTT  OUTBOX  TIMERS  RUNS  URL
n1    leader  3     n1      1042     9f3a        up    0       2       1     a:1
-     silent  -     -       -        -           -     -       -       -     b:1
a:1: 1 problems in the home's files (GET /api/problems)
b:1: no answer from b:1
";
        assert_eq!(table(&answers, Palette::plain()), expected);
    }
}
