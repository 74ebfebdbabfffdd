//! Client libraries of other languages, which `tests/peers` installs beside the built programs.

use crate::programs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where `tests/peers` puts them.
fn folder() -> PathBuf {
    programs().parent().map(|target| target.join("peers")).expect("programs lie in target/PROFILE")
}

/// A library and what runs it.
#[derive(Clone, Copy, Debug)]
pub enum Library {
    /// paho-mqtt, Python.
    Paho,
    /// MQTT.js, Node.
    MqttJs,
}

impl Library {
    fn name(self) -> &'static str {
        match self {
            Library::Paho => "paho-mqtt for Python",
            Library::MqttJs => "MQTT.js",
        }
    }

    fn is_installed(self) -> bool {
        let of = |path: &str| folder().join(path).exists();
        match self {
            Library::Paho => of("paho/ready"),
            Library::MqttJs => of("mqttjs/node_modules/mqtt") && crate::is_installed("node"),
        }
    }

    /// Says whether the tests that need it can run: as [`crate::has_peer`] does.
    #[track_caller]
    #[expect(clippy::print_stderr, reason = "a skip has to be seen")]
    pub fn is_there(self) -> bool {
        let installed = self.is_installed();
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        let name = self.name();
        assert!(installed || !in_ci, "{name} is not installed, and in CI every peer must be: tests/peers");
        if !installed {
            eprintln!("skipped: {name} is not installed (tests/peers installs it)");
        }
        installed
    }

    /// Runs a script with it.
    pub fn run(self, script: &Path, arguments: &[String]) -> Output {
        let mut command = match self {
            Library::Paho => Command::new(folder().join("paho/bin/python")),
            Library::MqttJs => {
                let mut node = Command::new(crate::find("node").expect("the caller asked for it"));
                node.env("GABLE_MQTTJS", folder().join("mqttjs/node_modules/mqtt"));
                node
            }
        };
        command.arg(script).args(arguments).output().expect("what is installed can be started")
    }
}
