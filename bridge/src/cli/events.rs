//! `gable events`: what happened in the home, and what happens now.

use super::client::{self, Client};
use super::failure::Failure;
use super::palette::Palette;
use super::status::{Targets, unreachable};
use super::timeline::Timeline;
use serde_json::Value;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// How long a node may hold a request back until something happens.
const WAIT_S: u64 = 20;
/// How long after a lost connection the next node is asked.
const RETRY: Duration = Duration::from_millis(500);

const EXAMPLES: &str = "\
Examples:
  gable events                        the last happenings
  gable events --last 1000
  gable events --follow               and what comes, until Ctrl-C
  gable events --follow --json        one event a line, for programs
  gable events --follow --url http://192.168.1.11:7180 --url http://192.168.1.12:7180

History is the same on every node. With several addresses the next one is asked when one falls silent.";

/// Show what happened in the home, as a readable timeline.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    target: Targets,
    /// Go on with what happens now, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// How many past events to begin with
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "after")]
    last: u64,
    /// Begin after this cursor instead (the `next` of an earlier answer; 0 is the beginning)
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Print the events as JSON, one a line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let mut reader = Reader::new(args.target.clients()?, args.after.clone(), args.last);
    let mut timeline = Timeline::new(Palette::for_stdout());
    loop {
        let page = match reader.next(args.follow).await {
            Ok(page) => page,
            // A node that answered before may come back, and another may know more.
            Err(error)
                if args.follow && reader.has_read() && !matches!(error, client::Error::Refused { .. }) =>
            {
                tokio::time::sleep(RETRY).await;
                continue;
            }
            Err(error) => return Err(unreachable(error)),
        };
        let is_last = page.events.is_empty() && !args.follow;
        let mut lines: Vec<String> = Vec::new();
        for event in page.events {
            if args.json {
                lines.push(event.to_string());
            } else {
                lines.extend(timeline.push(event));
            }
        }
        lines.extend(if is_last { timeline.finish() } else { timeline.pause(page.now_ms) });
        if print(&lines).is_err() || is_last {
            // A reader that closed its end (`| head`) has seen enough.
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn print(lines: &[String]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    for line in lines {
        writeln!(stdout, "{line}")?;
    }
    stdout.flush()
}

/// Reads the history page by page, from any of several nodes.
#[derive(Debug)]
pub(super) struct Reader {
    clients: Vec<Client>,
    current: usize,
    /// None until the first answer, if the reading begins with the last events.
    cursor: Option<String>,
    last: u64,
    has_read: bool,
}

/// Some events in their order.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) events: Vec<Value>,
    /// The home's time when the node answered.
    pub(super) now_ms: i64,
}

impl Reader {
    /// Begins after the cursor, or with the `last` events if there is none.
    pub(super) fn new(clients: Vec<Client>, cursor: Option<String>, last: u64) -> Reader {
        let patience = Duration::from_secs(WAIT_S + 5);
        let clients = clients.into_iter().map(|client| client.with_timeout(patience)).collect();
        Reader { clients, current: 0, cursor, last, has_read: false }
    }

    pub(super) fn has_read(&self) -> bool {
        self.has_read
    }

    /// Returns the next events; with `wait` it waits some time for one. After an error the next
    /// call asks the next node.
    pub(super) async fn next(&mut self, wait: bool) -> Result<Page, client::Error> {
        let from = match &self.cursor {
            Some(cursor) => format!("after={cursor}"),
            None => format!("last={}", self.last),
        };
        let wait_s = if wait { WAIT_S } else { 0 };
        let path = format!("/api/events?limit=500&{from}&wait={wait_s}");
        let answer = match self.clients[self.current].get(&path).await {
            Ok(answer) => answer,
            Err(error) => {
                self.current = (self.current + 1) % self.clients.len();
                return Err(error);
            }
        };
        self.has_read = true;
        self.cursor =
            answer["next"].as_str().map(str::to_owned).or(answer["next"].as_u64().map(|n| n.to_string()));
        let events = answer["events"].as_array().cloned().unwrap_or_default();
        Ok(Page { events, now_ms: answer["now_ms"].as_i64().unwrap_or(0) })
    }
}
