//! Logging: lines on stderr, for people or as JSON for programs.
//!
//! Field names are the same everywhere, so that one search tells one thing's life across nodes:
//! `node`, `entity_id`, `automation`, `run_id`, `log_index`, `topic`.

use gable_broker_config::Log;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// What is said by libraries only if it is wanted: they tell each election and each packet.
const QUIET: &str = "openraft=error,rumqttc=warn,rumqttd=off,hyper=warn";

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`log.level` is not understood: `{level}`")]
    Level {
        level: String,
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("logging was started twice in one process")]
    Twice,
}

/// Starts logging for the whole process.
pub fn start(settings: &Log) -> Result<(), Error> {
    // A directive of the settings for the same library comes later and replaces the quiet one.
    let filter = EnvFilter::try_new(format!("{QUIET},{}", settings.level))
        .map_err(|source| Error::Level { level: settings.level.clone(), source })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if settings.json {
        lines.json().flatten_event(true).try_init()
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    started.map_err(|_| Error::Twice)
}

/// An error with its causes in one line, for a log field.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let told = cause.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        next = cause.source();
    }
    text
}
