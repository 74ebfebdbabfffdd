//! Reads and layers the sources, and keeps for each key where it came from, so that an error can
//! name the line or the variable.

use crate::Settings;
use config::{Config, ConfigError, Environment, File, FileFormat};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The documented defaults: every key above its value.
pub const DEFAULT_FILE: &str = include_str!("../config/default.toml");

/// Why settings can not be used. Each message names the file and line, variable or flag that said
/// the wrong thing, where one did.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{place}: not valid TOML: {reason}")]
    Syntax { place: Place, reason: String },
    #[error("{place}: unknown key `{key}`{}", suggest(.nearest))]
    Unknown { place: Place, key: String, nearest: Option<String> },
    #[error("{place}: `{key}`: {reason}")]
    Invalid { place: Place, key: String, reason: String },
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Default,
    File { path: PathBuf, line: usize },
    Environment(String),
    Override,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default => f.write_str("settings"),
            Place::File { path, line } => write!(f, "{}:{line}", path.display()),
            Place::Environment(variable) => write!(f, "environment variable {variable}"),
            Place::Override => f.write_str("command line"),
        }
    }
}

fn suggest(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|key| format!(", did you mean `{key}`?")).unwrap_or_default()
}

impl Settings {
    /// Loads, layers and validates settings: defaults, then `file`, then the environment, then
    /// `overrides` (pairs of a dotted key and its value, as command-line flags give them).
    ///
    /// Relative paths in the file are taken from its folder. Secrets named by file are read.
    pub fn load(file: Option<&Path>, overrides: &[(String, String)]) -> Result<Settings, Error> {
        Settings::load_with(file, std::env::vars().collect(), overrides)
    }

    /// Does what [`Settings::load`] does, with an environment that the caller gives.
    pub fn load_with(
        file: Option<&Path>,
        environment: HashMap<String, String>,
        overrides: &[(String, String)],
    ) -> Result<Settings, Error> {
        let mut sources = Sources { schema: schema(), places: BTreeMap::new() };
        let mut builder = Config::builder();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .map_err(|source| Error::Read { path: path.to_owned(), source })?;
            sources.note_file(path, &text)?;
            builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
        }
        let environment = sources.note_environment(environment)?;
        builder = builder.add_source(
            Environment::with_prefix("GABLE").prefix_separator("_").separator("__").source(Some(environment)),
        );
        for (key, value) in overrides {
            sources.note(key, Place::Override)?;
            builder = builder.set_override(key, value.as_str()).map_err(|error| sources.refuse(error))?;
        }
        let layered = builder.build().map_err(|error| sources.refuse(error))?;
        let mut settings: Settings = layered.try_deserialize().map_err(|error| sources.refuse(error))?;
        settings.resolve_paths(&sources);
        settings.read_secrets(&sources)?;
        settings.validate().map_err(|(key, reason)| sources.invalid(key, reason))?;
        Ok(settings)
    }

    fn resolve_paths(&mut self, sources: &Sources) {
        let resolve = |key: &str, path: &mut PathBuf| {
            if let Some(Place::File { path: file, .. }) = sources.places.get(key)
                && let Some(folder) = file.parent()
            {
                *path = folder.join(&*path);
            }
        };
        resolve("node.data_dir", &mut self.node.data_dir);
        self.home.files.iter_mut().for_each(|path| resolve("home.files", path));
        for (key, path) in [
            ("cluster.key_file", &mut self.cluster.key_file),
            ("mqtt.password_file", &mut self.mqtt.password_file),
            ("mqtt.server.certificate", &mut self.mqtt.server.certificate),
            ("mqtt.server.key", &mut self.mqtt.server.key),
            ("mqtt.server.client_ca", &mut self.mqtt.server.client_ca),
            ("http.token_file", &mut self.http.token_file),
        ] {
            if let Some(path) = path {
                resolve(key, path);
            }
        }
    }

    fn read_secrets(&mut self, sources: &Sources) -> Result<(), Error> {
        for (key, secret, path) in [
            ("cluster.key", &mut self.cluster.key, &self.cluster.key_file),
            ("mqtt.password", &mut self.mqtt.password, &self.mqtt.password_file),
            ("http.token", &mut self.http.token, &self.http.token_file),
        ] {
            let Some(path) = path else { continue };
            if secret.is_some() {
                return Err(sources.invalid(key, format!("set it or `{key}_file`, not both")));
            }
            let text =
                std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.clone(), source })?;
            *secret = Some(crate::Secret::new(text.trim_end_matches(['\r', '\n'])));
        }
        Ok(())
    }
}

/// What the sources said so far: which key came last from where, and which keys exist.
struct Sources {
    schema: BTreeMap<String, &'static str>,
    places: BTreeMap<String, Place>,
}

impl Sources {
    /// Checks the keys of a file and notes their lines.
    fn note_file(&mut self, path: &Path, text: &str) -> Result<(), Error> {
        let place = |start: usize| Place::File { path: path.to_owned(), line: line_of(text, start) };
        let table = DeTable::parse(text).map_err(|error| Error::Syntax {
            place: place(error.span().map_or(0, |span| span.start)),
            reason: error.message().to_owned(),
        })?;
        self.note_table("", table.get_ref(), &place)
    }

    fn note_table(
        &mut self,
        prefix: &str,
        table: &DeTable<'_>,
        place: &dyn Fn(usize) -> Place,
    ) -> Result<(), Error> {
        for (name, value) in table {
            let key = join(prefix, name.get_ref());
            let here = place(name.span().start);
            let section = format!("{key}.");
            if self.schema.keys().any(|known| known.starts_with(&section)) {
                let table = as_table(&key, value, &here)?;
                self.note_table(&key, table, place)?;
                continue;
            }
            self.note(&key, here.clone())?;
            let expected = self.schema[&key];
            let found = value.get_ref().type_str();
            if found != expected {
                let reason = format!("expected {expected}, found {found}");
                return Err(Error::Invalid { place: here, key, reason });
            }
        }
        Ok(())
    }

    /// Keeps the variables that name keys. `GABLE_CONFIG` and the like belong to the command line,
    /// but a key with its underscores wrong would be ignored in silence, so it is refused.
    fn note_environment(
        &mut self,
        environment: HashMap<String, String>,
    ) -> Result<HashMap<String, String>, Error> {
        let mut kept = HashMap::new();
        for (variable, value) in environment {
            let Some(rest) = variable.strip_prefix("GABLE_") else { continue };
            let key = rest.to_lowercase().replace("__", ".");
            let place = Place::Environment(variable.clone());
            let flat = |key: &str| key.replace(['.', '_'], "");
            if key.contains('.') {
                self.note(&key, place)?;
                kept.insert(variable, value);
            } else if let Some(meant) = self.schema.keys().find(|known| flat(known) == flat(&key)) {
                let nearest = Some(format!("GABLE_{}", meant.to_uppercase().replace('.', "__")));
                return Err(Error::Unknown { place, key: variable, nearest });
            }
        }
        Ok(kept)
    }

    /// Notes where a key came from; a key that does not exist is an error.
    fn note(&mut self, key: &str, place: Place) -> Result<(), Error> {
        if !self.schema.contains_key(key) {
            return Err(Error::Unknown { place, key: key.to_owned(), nearest: self.nearest(key) });
        }
        self.places.insert(key.to_owned(), place);
        Ok(())
    }

    /// Finds the known key or section that a typing mistake is nearest to. The same name in another
    /// section counts as one letter away.
    fn nearest(&self, key: &str) -> Option<String> {
        let sections =
            self.schema.keys().filter_map(|known| known.rsplit_once('.')).map(|(section, _)| section);
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        self.schema
            .keys()
            .map(String::as_str)
            .chain(sections)
            .map(|known| {
                let (its_section, its_name) = known.rsplit_once('.').unwrap_or(("", known));
                (distance(its_name, name) + usize::from(its_section != section), known)
            })
            .min()
            .filter(|(distance, _)| *distance <= 2)
            .map(|(_, known)| known.to_owned())
    }

    /// Finds where a key came from; an element of a list came from where its list did.
    fn place(&self, key: &str) -> Place {
        let key = key.split('[').next().unwrap_or(key);
        self.places.get(key).cloned().unwrap_or(Place::Default)
    }

    fn invalid(&self, key: &str, reason: String) -> Error {
        Error::Invalid { place: self.place(key), key: key.to_owned(), reason }
    }

    /// Turns the `config` crate's error into ours, with the place that its key came from.
    fn refuse(&self, error: ConfigError) -> Error {
        let (key, reason) = match error {
            ConfigError::Type { unexpected, expected, key, .. } => {
                (key.unwrap_or_default(), format!("expected {expected}, found {unexpected}"))
            }
            ConfigError::At { error, key, .. } => (key.unwrap_or_default(), error.to_string()),
            other => (String::new(), other.to_string()),
        };
        self.invalid(&key, reason)
    }
}

fn as_table<'a, 'i>(
    key: &str,
    value: &'a Spanned<DeValue<'i>>,
    place: &Place,
) -> Result<&'a DeTable<'i>, Error> {
    value.get_ref().as_table().ok_or_else(|| Error::Invalid {
        place: place.clone(),
        key: key.to_owned(),
        reason: format!("expected a section `[{key}]`, found {}", value.get_ref().type_str()),
    })
}

/// Lists the keys of the documented file with their TOML types. Keys without a default stand there
/// as `#key = ...`, without a space after the sign.
pub(crate) fn schema() -> BTreeMap<String, &'static str> {
    fn list(prefix: &str, table: &DeTable<'_>, keys: &mut BTreeMap<String, &'static str>) {
        for (name, value) in table {
            let key = join(prefix, name.get_ref());
            match value.get_ref() {
                DeValue::Table(table) => list(&key, table, keys),
                leaf => drop(keys.insert(key, leaf.type_str())),
            }
        }
    }
    let text = uncommented();
    let mut keys = BTreeMap::new();
    let table = DeTable::parse(&text).expect("the documented file is valid, a test parses it");
    list("", table.get_ref(), &mut keys);
    keys
}

/// Returns the documented file with the keys that have no default brought in.
pub(crate) fn uncommented() -> String {
    let line = |line: &'static str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|first: char| first.is_ascii_lowercase()) => key,
        _ => line,
    };
    DEFAULT_FILE.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// Levenshtein's distance: how many letters have to be put in, taken out or changed.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MqttMode, Peer, Secret};

    const KEY: (&str, &str) = ("GABLE_CLUSTER__KEY", "0123456789abcdef");

    fn load(
        file: &str,
        environment: &[(&str, &str)],
        overrides: &[(&str, &str)],
    ) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gable.toml");
        std::fs::write(&path, file).unwrap();
        std::fs::write(folder.path().join("secret"), "a secret out of a file\n").unwrap();
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<Vec<_>>()
        };
        let environment = pairs(environment).into_iter().collect();
        Settings::load_with(Some(&path), environment, &pairs(overrides))
            .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    /// Loads `file` with a valid key beside it and compares the error.
    #[track_caller]
    fn check(file: &str, expected: &str) {
        let found = load(file, &[KEY], &[]).map(drop).unwrap_err();
        assert_eq!(found, expected, "for\n{file}");
    }

    #[test]
    fn documented_defaults_are_the_defaults() {
        let documented: Settings = Config::builder()
            .add_source(File::from_str(DEFAULT_FILE, FileFormat::Toml))
            .build()
            .and_then(Config::try_deserialize)
            .unwrap();
        assert_eq!(documented, Settings::default());
    }

    #[test]
    fn every_key_is_documented_above_itself() {
        // Both directions: serde refuses a documented key that does not exist, and a field that is
        // missing from the file shows in the debug output of the settings.
        let all: Result<Settings, _> = Config::builder()
            .add_source(File::from_str(&uncommented(), FileFormat::Toml))
            .build()
            .and_then(Config::try_deserialize);
        let debug = format!("{:#?}", all.unwrap());
        let fields = debug.lines().filter_map(|line| line.trim().split_once(": ").map(|(name, _)| name));
        let known: Vec<String> = schema().into_keys().collect();
        for field in fields.filter(|field| !["id", "address"].contains(field)) {
            let is_section = known.iter().any(|key| key.split('.').any(|part| part == field));
            assert!(is_section, "`{field}` is not in default.toml");
        }
        for key in known {
            let variable = format!("GABLE_{}", key.to_uppercase().replace('.', "__"));
            let name = key.rsplit('.').next().unwrap();
            let place = DEFAULT_FILE
                .match_indices(&format!("{name} = "))
                .map(|(at, _)| DEFAULT_FILE[..at].trim_end_matches('#'))
                .find(|above| {
                    above.rsplit("\n\n").next().unwrap().contains(&format!("Environment: {variable}\n"))
                });
            let comment =
                place.unwrap_or_else(|| panic!("{key} is not documented")).rsplit("\n\n").next().unwrap();
            assert!(comment.contains("# Unit: "), "{key} has no unit");
        }
    }

    #[test]
    fn defaults_are_valid_but_for_the_key() {
        let (key, _) = Settings::default().validate().unwrap_err();
        assert_eq!(key, "cluster.key");
        let mut settings = Settings::default();
        settings.cluster.key = Some(Secret::new(KEY.1));
        assert_eq!(settings.validate(), Ok(()));
        assert_eq!(settings.client_id(), "gable-home-1");
    }

    #[test]
    fn later_layers_win() {
        let file = "[node]\nid = 2\n[http]\nlisten = \"127.0.0.1:1\"\n[mqtt]\nport = 1\nhost = \"file\"\n";
        let environment = [
            KEY,
            ("GABLE_HTTP__LISTEN", "127.0.0.1:2"),
            ("GABLE_MQTT__PORT", "2"),
            ("GABLE_MQTT__SHARED_BROKER", "true"),
            ("GABLE_CLUSTER__PEERS", "1=a:1, 2=b:2"),
            ("GABLE_MQTT__PASSWORD", "12345"),
            ("GABLE_MQTT__USERNAME", "gable"),
            ("GABLE_CONFIG", "for the command line"),
            ("UNRELATED", "x"),
        ];
        let overrides = [("mqtt.port", "3"), ("home.files", "a.yaml,b.yaml"), ("mqtt.mode", "embedded")];
        let refused = load(file, &environment, &overrides).unwrap_err();
        assert_eq!(
            refused,
            "environment variable GABLE_MQTT__SHARED_BROKER: `mqtt.shared_broker`: can not be true with mqtt.mode = \
             \"embedded\": that broker dies with its node"
        );
        let overrides = [overrides[0], overrides[1], ("mqtt.mode", "attach")];
        let settings = load(file, &environment, &overrides).unwrap();
        assert_eq!(settings.node.id, 2);
        assert_eq!(settings.http.listen.port(), 2);
        assert_eq!((settings.mqtt.host.as_str(), settings.mqtt.port), ("file", 3));
        assert_eq!(settings.mqtt.mode, MqttMode::Attach);
        assert_eq!(settings.mqtt.password, Some(Secret::new("12345")));
        assert_eq!(settings.cluster.peers[1], Peer { id: 2, address: "b:2".into() });
        assert_eq!(settings.home.files, [PathBuf::from("a.yaml"), "b.yaml".into()]);
    }

    #[test]
    fn paths_are_relative_to_what_names_them() {
        let file = "[cluster]\nkey_file = \"secret\"\n[home]\nfiles = [\"home.yaml\", \"/abs.yaml\"]\n";
        let settings = load(file, &[("GABLE_NODE__DATA_DIR", "here")], &[]).unwrap();
        assert_eq!(settings.cluster.key, Some(Secret::new("a secret out of a file")));
        assert!(settings.home.files[0].is_absolute() && settings.home.files[0].ends_with("home.yaml"));
        assert_eq!(settings.home.files[1], PathBuf::from("/abs.yaml"));
        assert_eq!(settings.node.data_dir, PathBuf::from("here"));
    }

    #[test]
    fn the_server_section_comes_by_every_way() {
        let file = "[mqtt.server]\ncertificate = \"mqtt.crt\"\ntls_listen = [\"[::]:8883\"]\n";
        let environment = [
            KEY,
            ("GABLE_MQTT__MODE", "server"),
            ("GABLE_MQTT__SERVER__LISTEN", "127.0.0.1:1883, 10.0.0.1:1883"),
            ("GABLE_MQTT__SERVER__KEY", "mqtt.key"),
            ("GABLE_MQTT__SERVER__ALLOW_ANONYMOUS", "false"),
            ("GABLE_MQTT__SERVER__TOPICS__RELAY", "frigate/+/snapshot,ota/#"),
        ];
        let server = load(file, &environment, &[("mqtt.server.grace_s", "3")]).unwrap().mqtt.server;
        let addresses =
            |list: &[std::net::SocketAddr]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(addresses(&server.listen), ["127.0.0.1:1883", "10.0.0.1:1883"]);
        assert_eq!(addresses(&server.tls_listen), ["[::]:8883"]);
        assert!(server.certificate.is_some_and(|path| path.is_absolute() && path.ends_with("mqtt.crt")));
        assert_eq!(server.key, Some("mqtt.key".into()));
        assert_eq!((server.allow_anonymous, server.grace_s), (Some(false), 3));
        assert_eq!(server.topics.relay, ["frigate/+/snapshot", "ota/#"]);
        check(
            "[mqtt.server]\nlisten = \"1883\"\n",
            "gable.toml:2: `mqtt.server.listen`: expected array, found string",
        );
        let flag = load("", &[KEY], &[("mqtt.server.listen", "1883")]).unwrap_err();
        assert_eq!(flag, "command line: `mqtt.server.listen`: `1883` is not an IP address with a port");
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest() {
        check("[node]\n\nidd = 1\n", "gable.toml:3: unknown key `node.idd`, did you mean `node.id`?");
        check("[mqqt]\nport = 1\n", "gable.toml:1: unknown key `mqqt`, did you mean `mqtt`?");
        check(
            "[mqtt]\nmax_conections = 1\n",
            "gable.toml:2: unknown key `mqtt.max_conections`, did you mean `mqtt.embedded.max_connections`?",
        );
        check("[http]\nport = 1\n", "gable.toml:2: unknown key `http.port`, did you mean `mqtt.port`?");
        check(
            "[cluster]\npeers = [{ id = 1, adress = \"a:1\" }]\n",
            "gable.toml:2: `cluster.peers[0]`: unknown field `adress`, expected `id` or `address`",
        );
        let variable = load("", &[KEY, ("GABLE_NODE_ID", "2")], &[]).unwrap_err();
        assert_eq!(
            variable,
            "environment variable GABLE_NODE_ID: unknown key `GABLE_NODE_ID`, did you mean `GABLE_NODE__ID`?"
        );
        let variable = load("", &[KEY, ("GABLE_NODE__IDS", "2")], &[]).unwrap_err();
        assert_eq!(
            variable,
            "environment variable GABLE_NODE__IDS: unknown key `node.ids`, did you mean `node.id`?"
        );
        let flag = load("", &[KEY], &[("mqtt.prot", "2")]).unwrap_err();
        assert_eq!(flag, "command line: unknown key `mqtt.prot`, did you mean `mqtt.port`?");
    }

    #[test]
    fn wrong_types_and_syntax_name_the_line() {
        check("[mqtt]\nport = true\n", "gable.toml:2: `mqtt.port`: expected integer, found boolean");
        check("[mqtt]\nport = \"1883\"\n", "gable.toml:2: `mqtt.port`: expected integer, found string");
        check("mqtt = 1\n", "gable.toml:1: `mqtt`: expected a section `[mqtt]`, found integer");
        check(
            "[mqtt]\nport = 70000\n",
            "gable.toml:2: `mqtt.port`: expected an unsigned 16 bit integer, found 64-bit unsigned integer `70000`",
        );
        check("[http]\nlisten = \"here\"\n", "gable.toml:2: `http.listen`: invalid socket address syntax");
        check(
            "[node]\nid = \n",
            "gable.toml:2: not valid TOML: string values must be quoted, expected literal string",
        );
        let flag = load("", &[KEY], &[("mqtt.port", "many")]).unwrap_err();
        assert_eq!(flag, "command line: `mqtt.port`: expected an integer, found string \"many\"");
        let flag = load("", &[KEY], &[("cluster.peers", "one")]).unwrap_err();
        assert_eq!(flag, "command line: `cluster.peers`: `one` is not a peer: expected `ID=HOST:PORT`");
    }

    #[test]
    fn a_missing_file_is_named() {
        let missing = Settings::load_with(Some(Path::new("no/such.toml")), HashMap::new(), &[]).unwrap_err();
        assert_eq!(missing.to_string(), "cannot read no/such.toml");
    }
}
