//! `gable user`: who may use the MQTT server.

use super::client::segment;
use super::failure::{Exit, Failure};
use super::status::Targets;
use crate::mqtt::server::password;
use clap::Subcommand;
use gable_rules::broker::RightSet;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Read;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  gable user add homeassistant --role admin     makes a password and shows it once
  gable user add hall_plug --client-id hall_plug
  echo secret | gable user add panel --role reader --password-stdin
  gable user grant hall_plug write energy/hall
  gable user grant panel all 'lock/#' --deny
  gable user grant role:anonymous listen 'public/#'
  gable user list
  gable acl explain hall_plug energy/hall

Roles: admin (everything), device (topics with its user name or client id in the first or second level,
and announcing itself; what users get unless told otherwise), reader (reads everything), anonymous (clients
without a name, where a listener lets them in: everything, until it is granted something).
Rights: read, write, subscribe, listen (read and subscribe), all; several with commas.
What no grant allows is denied, and a grant with --deny goes before those that allow.
Changes count at once, also for clients that are connected.";

/// Add, change and list the users of the MQTT server.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a user; its password is made and shown once, unless told otherwise
    Add {
        name: String,
        /// A role; repeat it for more [default: device]
        #[arg(long)]
        role: Vec<String>,
        /// Let only a client with this client id use the name
        #[arg(long, value_name = "ID")]
        client_id: Option<String>,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        target: Targets,
    },
    /// Give a user another password; it has to connect anew
    Passwd {
        name: String,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        target: Targets,
    },
    /// Let a user, or a role (`role:NAME`), do something with the topics of a filter
    Grant {
        name: String,
        /// read, write, subscribe, listen or all; several with commas
        rights: RightSet,
        /// A topic filter; `%u` stands for the user name, `%c` for the client id
        filter: String,
        /// Forbid it instead
        #[arg(long)]
        deny: bool,
        #[command(flatten)]
        target: Targets,
    },
    /// Take the grants on a filter away from a user, or a role (`role:NAME`)
    Revoke {
        name: String,
        filter: String,
        #[command(flatten)]
        target: Targets,
    },
    /// Remove a user, or a role (`role:NAME`) that was added; its clients are disconnected
    Remove {
        name: String,
        #[command(flatten)]
        target: Targets,
    },
    /// List users and roles
    List {
        #[command(flatten)]
        target: Targets,
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Password {
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Only a client certificate with this name lets it in
    #[arg(long)]
    no_password: bool,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Add { name, role, client_id, password, target } => {
            let known = users(&target).await?;
            if find(&known, "users", &name).is_some() {
                let error = anyhow::anyhow!("there is a user `{name}` already");
                return Err(Failure::new(Exit::No, error, format!("gable user passwd {name}")));
            }
            let role = if role.is_empty() { vec!["device".to_owned()] } else { role };
            let (hash, shown) = password.make()?;
            let change = json!({ "password_hash": hash, "roles": role, "client_id": client_id });
            target.put(&path(&name), change).await?;
            tell_password(&name, shown.as_deref());
        }
        Command::Passwd { name, password, target } => {
            expect_user(&users(&target).await?, &name)?;
            let (hash, shown) = password.make()?;
            target.put(&path(&name), json!({ "password_hash": hash })).await?;
            tell_password(&name, shown.as_deref());
        }
        Command::Grant { name, rights, filter, deny, target } => {
            let added = json!({ "filter": filter, "rights": rights.to_string(), "denies": deny });
            change_grants(&target, &name, |grants| {
                grants.retain(|grant| grant != &added);
                grants.push(added.clone());
            })
            .await?;
            super::tell(&format!("{name}: {}{rights} {filter}\n", if deny { "not " } else { "" }));
        }
        Command::Revoke { name, filter, target } => {
            change_grants(&target, &name, |grants| grants.retain(|grant| grant["filter"] != filter)).await?;
            super::tell(&format!("{name}: no grants on {filter}\n"));
        }
        Command::Remove { name, target } => {
            target.delete(&path(&name)).await?;
            super::tell(&format!("{name} is removed\n"));
        }
        Command::List { target, json } => {
            let known = users(&target).await?;
            super::tell(&if json { format!("{known:#}\n") } else { show(&known) });
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Password {
    /// Returns the hash, and the password if it was made here.
    fn make(&self) -> Result<(Option<String>, Option<String>), Failure> {
        if self.no_password {
            return Ok((None, None));
        }
        let (word, is_made) =
            if self.password_stdin { (read_password()?, false) } else { (random_password()?, true) };
        let hash =
            password::hash(word.as_bytes()).map_err(|error| Failure::new(Exit::No, error, "try again"))?;
        Ok((Some(hash), is_made.then_some(word)))
    }
}

fn read_password() -> Result<String, Failure> {
    let mut text = String::new();
    let hint = "echo PASSWORD | gable user ... --password-stdin";
    std::io::stdin().read_to_string(&mut text).map_err(|error| Failure::new(Exit::Usage, error, hint))?;
    let word = text.trim_end_matches(['\r', '\n']).to_owned();
    match word.is_empty() {
        true => Err(Failure::new(Exit::Usage, anyhow::anyhow!("the password is empty"), hint)),
        false => Ok(word),
    }
}

/// A password of 120 random bits, without letters that look alike.
fn random_password() -> Result<String, Failure> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Exit::No, anyhow::anyhow!("{error}"), "use --password-stdin"))?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

fn tell_password(name: &str, made: Option<&str>) {
    super::tell(&match made {
        Some(word) => {
            format!("user      {name}\npassword  {word}\n\nThe password is shown this once only.\n")
        }
        None => format!("user      {name}\n"),
    });
}

fn path(name: &str) -> String {
    match name.strip_prefix("role:") {
        Some(role) => format!("/api/roles/{}", segment(role)),
        None => format!("/api/users/{}", segment(name)),
    }
}

async fn users(target: &Targets) -> Result<Value, Failure> {
    target.ask("/api/access").await
}

fn find<'v>(known: &'v Value, kind: &str, name: &str) -> Option<&'v Value> {
    known[kind].as_array()?.iter().find(|entry| entry["name"] == name)
}

fn expect_user<'v>(known: &'v Value, name: &str) -> Result<&'v Value, Failure> {
    find(known, "users", name).ok_or_else(|| {
        let error = anyhow::anyhow!("there is no user `{name}`");
        Failure::new(Exit::No, error, format!("gable user add {name}"))
    })
}

/// Changes the grants of a user or a role; a new role has none.
async fn change_grants(
    target: &Targets,
    name: &str,
    change: impl FnOnce(&mut Vec<Value>),
) -> Result<(), Failure> {
    let known = users(target).await?;
    let entry = match name.strip_prefix("role:") {
        // Clients without a name may do everything only as long as nothing is said about them.
        Some("anonymous") if is_untouched(&known) => None,
        Some(role) => find(&known, "roles", role),
        None => Some(expect_user(&known, name)?),
    };
    let mut grants = entry.and_then(|entry| entry["grants"].as_array().cloned()).unwrap_or_default();
    change(&mut grants);
    target.put(&path(name), json!({ "grants": grants })).await?;
    Ok(())
}

fn is_untouched(known: &Value) -> bool {
    find(known, "roles", "anonymous").is_some_and(|role| role["is_changed"] == false)
}

fn show(known: &Value) -> String {
    let mut text = String::new();
    for user in known["users"].as_array().into_iter().flatten() {
        let roles: Vec<&str> =
            user["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut notes = vec![roles.join(", ")];
        notes.extend(user["client_id"].as_str().map(|id| format!("only as client {id}")));
        notes.extend((user["has_password"] == false).then(|| "by certificate only".to_owned()));
        let _ = writeln!(text, "{:<24} {}", user["name"].as_str().unwrap_or_default(), notes.join("; "));
        show_grants(user, &mut text);
    }
    if text.is_empty() {
        text.push_str("there are no users: gable user add NAME\n");
    }
    for role in known["roles"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "role:{:<19}", role["name"].as_str().unwrap_or_default());
        show_grants(role, &mut text);
    }
    text
}

fn show_grants(entry: &Value, text: &mut String) {
    for grant in entry["grants"].as_array().into_iter().flatten() {
        let not = if grant["denies"] == true { "not " } else { "" };
        let word = |key: &str| grant[key].as_str().unwrap_or_default().to_owned();
        let _ = writeln!(text, "    {not}{} {}", word("rights"), word("filter"));
    }
}
