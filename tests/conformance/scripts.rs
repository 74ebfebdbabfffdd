//! Mosquitto's broker scripts: each starts and ends its broker itself, which is Gable here.

use super::bench::{Case, Job};
use gable_tests::{ports, programs};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Stands between a script and Gable: starts nodes, and says their settings in Gable's words.
const RUN: &str = include_str!("scripts_run.py");

/// How long a script may take; the longest wait for half a minute.
const PATIENCE: Duration = Duration::from_secs(180);

/// The scripts in the order of their names.
pub(crate) fn jobs(folder: &Path) -> Vec<Job> {
    let folder = folder.join("test/broker");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
        .filter_map(|name| {
            Some(name.strip_suffix(".py")?.to_owned()).filter(|name| !name.ends_with("-helper"))
        })
        .collect();
    names.sort();
    names.into_iter().map(|name| job(&folder, name)).collect()
}

fn job(folder: &Path, name: String) -> Job {
    let script = folder.join(format!("{name}.py"));
    let name = format!("scripts v2.0 {name}");
    let case = Case { name: name.clone(), run: Box::new(move |_| run(&script)) };
    Job { title: name, settings: None, prepare: |_| {}, cases: vec![case] }
}

fn run(script: &Path) -> Result<(), String> {
    let script = script.canonicalize().map_err(|error| error.to_string())?;
    // Scripts write their files where they run, and nothing may be written into the checkout.
    let folder = TempDir::new().map_err(|error| error.to_string())?;
    let said = folder.path().join("said");
    let output = File::create(&said).map_err(|error| error.to_string())?;
    let errors = output.try_clone().map_err(|error| error.to_string())?;
    let ports: Vec<String> = (0..5).map(|_| ports::free().port().to_string()).collect();
    let driver = folder.path().join("run.py");
    fs::write(&driver, RUN).map_err(|error| error.to_string())?;
    let mut child = Command::new("python3")
        .arg("-B")
        .arg(&driver)
        .arg(&script)
        .arg(programs().join("gable"))
        .args(ports)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::from(output))
        .stderr(Stdio::from(errors))
        .spawn()
        .map_err(|error| format!("python3: {error}"))?;
    let started = std::time::Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if started.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it did not end within {PATIENCE:?}"));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let said = fs::read_to_string(&said).unwrap_or_default();
    if status.success() { Ok(()) } else { Err(summary(&said)) }
}

/// The lines of a failed script that say most: what was expected and found, or the error.
fn summary(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let tells =
        |line: &&&str| ["FAIL:", "Received", "Expected", "needs "].iter().any(|word| line.starts_with(word));
    let told: Vec<&str> = lines.iter().filter(tells).take(3).copied().collect();
    match (told.is_empty(), lines.last()) {
        (false, _) => told.join(" "),
        (true, Some(last)) => (*last).to_owned(),
        (true, None) => "it failed without a word".to_owned(),
    }
}
