//! `gable certificate`: an authority of the home, and certificates for nodes and clients that it signs.
//!
//! Small devices read them: elliptic keys (P-256), one authority, no intermediate one.

use super::failure::{Exit, Failure};
use anyhow::Context;
use clap::Subcommand;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  gable certificate server gable.local node1.local 192.168.1.10 192.168.1.50
  gable certificate client hall_plug
  mosquitto_pub --cafile certificates/ca.crt -h gable.local -p 8883 ...

The first one makes the authority: ca.crt, which clients are given, and ca.key, which signs. Keep ca.key off
the nodes and in a safe place: who has it can pose as any of them. It is never overwritten.
A server's certificate is good for two years; make it anew with the same command, and send the node SIGHUP.
All names and addresses by which clients know the node have to be in it, a floating address too.
A client's is good for ten years. The name in it is the user, who needs no password then:
`gable user add hall_plug`, and `client_ca = \"ca.crt\"` in the settings.";

/// The files of the authority. Its name in certificates is fixed, so that its key is all that signs.
const CA: &str = "ca";
const CA_NAME: &str = "Gable home authority";

/// Small clocks may be behind.
const DAYS_BEFORE: i64 = 2;
/// What Apple's systems still take.
const SERVER_DAYS: i64 = 730;
const CLIENT_DAYS: i64 = 3_650;
const CA_DAYS: i64 = 7_300;

/// Longest common name (X.520).
const NAME_MAX: usize = 64;

/// Make certificates for TLS: of nodes, and of clients that need no password
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a node's certificate; the first name gives the files their names
    Server {
        /// Names and IP addresses by which clients know the node
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        folder: Folder,
    },
    /// Make a client's certificate
    Client {
        /// The user that it stands for
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
}

#[derive(Debug, clap::Args)]
struct Folder {
    /// Where the authority is, or will be, and the certificate goes
    #[arg(long, value_name = "FOLDER", default_value = "certificates")]
    folder: PathBuf,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let told = match args.command {
        Command::Server { names, folder } => make_server(&folder.folder, names, today),
        Command::Client { name, folder } => make_client(&folder.folder, &name, today),
    };
    let told = told.map_err(|error| {
        Failure::new(
            Exit::No,
            error,
            "check the names and the folder; `gable certificate --help` has examples",
        )
    })?;
    super::tell(&told);
    Ok(ExitCode::SUCCESS)
}

fn make_server(folder: &Path, names: Vec<String>, today: Date) -> anyhow::Result<String> {
    for name in &names {
        check_name(name)?;
    }
    let first = names.first().context("no name was given")?.clone();
    let mut params = CertificateParams::new(names).context("a name is neither a host's nor an IP address")?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (certificate, key) = make(folder, &first, params, SERVER_DAYS, today)?;
    Ok(format!(
        "made {} and {}\n\nIn the node's settings:\n\n[mqtt.server]\ntls_listen = [\"0.0.0.0:8883\"]\n\
         certificate = {:?}\nkey = {:?}\n\nClients trust {}.\n",
        certificate.display(),
        key.display(),
        certificate,
        key,
        folder.join("ca.crt").display(),
    ))
}

fn make_client(folder: &Path, name: &str, today: Date) -> anyhow::Result<String> {
    check_name(name)?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let (certificate, key) = make(folder, name, params, CLIENT_DAYS, today)?;
    Ok(format!(
        "made {} and {}\n\nIn the nodes' settings: client_ca = {:?} in [mqtt.server].\nThe user: gable user add {name}\n",
        certificate.display(),
        key.display(),
        folder.join("ca.crt"),
    ))
}

/// A name becomes a file's and a user's.
fn check_name(name: &str) -> anyhow::Result<()> {
    let is_good = !name.is_empty()
        && name.len() <= NAME_MAX
        && !name.starts_with('.')
        && name != CA
        && !name.contains(|c: char| c.is_control() || c.is_whitespace() || "/\\+#*".contains(c));
    anyhow::ensure!(
        is_good,
        "`{name}` can be no name: 1 to {NAME_MAX} bytes without spaces, /, \\, +, # and *"
    );
    Ok(())
}

/// Signs a certificate and writes it with its key.
fn make(
    folder: &Path,
    name: &str,
    mut params: CertificateParams,
    days: i64,
    today: Date,
) -> anyhow::Result<(PathBuf, PathBuf)> {
    let authority = authority(folder, today)?;
    params.distinguished_name = named(name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    last(&mut params, days, today)?;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority)?;
    // As a file's name; the colons of an IPv6 address confuse other tools.
    let file = name.replace(':', "-");
    let paths = (folder.join(format!("{file}.crt")), folder.join(format!("{file}.key")));
    write(&paths.1, &key.serialize_pem(), 0o600, OpenOptions::new().create(true).truncate(true))?;
    write(&paths.0, &certificate.pem(), 0o644, OpenOptions::new().create(true).truncate(true))?;
    Ok(paths)
}

/// The authority in the folder; a new one if there is none.
fn authority(folder: &Path, today: Date) -> anyhow::Result<Issuer<'static, KeyPair>> {
    let path = folder.join(format!("{CA}.key"));
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = named(CA_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    last(&mut params, CA_DAYS, today)?;
    let key = match fs::read_to_string(&path) {
        Ok(text) => KeyPair::from_pem(&text)
            .with_context(|| format!("{} is no key of an authority", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
            let key = KeyPair::generate()?;
            let certificate = params.self_signed(&key)?.pem();
            write(
                &folder.join(format!("{CA}.crt")),
                &certificate,
                0o644,
                OpenOptions::new().create_new(true),
            )?;
            write(&path, &key.serialize_pem(), 0o600, OpenOptions::new().create_new(true))?;
            key
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    Ok(Issuer::new(params, key))
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

/// Sets from when to when a certificate is good.
fn last(params: &mut CertificateParams, days: i64, today: Date) -> anyhow::Result<()> {
    let at = |days: i64| -> anyhow::Result<_> {
        let date = today.checked_add(days.days())?;
        let (month, day) = (u8::try_from(date.month())?, u8::try_from(date.day())?);
        Ok(date_time_ymd(date.year().into(), month, day))
    };
    (params.not_before, params.not_after) = (at(-DAYS_BEFORE)?, at(days)?);
    Ok(())
}

fn write(path: &Path, text: &str, mode: u32, options: &mut OpenOptions) -> anyhow::Result<()> {
    let written = options.write(true).mode(mode).open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn today() -> Date {
        "2026-05-01".parse().unwrap()
    }

    #[test]
    fn the_authority_is_made_once_and_its_key_is_for_the_owner() {
        let folder = tempfile::tempdir().unwrap();
        let told =
            make_server(folder.path(), vec!["node1.local".into(), "10.0.0.1".into()], today()).unwrap();
        assert!(told.contains("node1.local.crt"), "{told}");
        let ca = fs::read(folder.path().join("ca.crt")).unwrap();
        make_client(folder.path(), "hall_plug", today()).unwrap();
        make_server(folder.path(), vec!["node1.local".into()], today()).unwrap();
        assert_eq!(fs::read(folder.path().join("ca.crt")).unwrap(), ca);
        for key in ["ca.key", "node1.local.key", "hall_plug.key"] {
            let mode = fs::metadata(folder.path().join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
    }

    #[test]
    fn names_that_are_paths_or_filters_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "../x", "a/b", "a b", "#", "+", "ca", &"x".repeat(65)] {
            assert!(make_client(folder.path(), name, today()).is_err(), "{name}");
            assert!(make_server(folder.path(), vec![name.to_owned()], today()).is_err(), "{name}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_broken_key_of_the_authority_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.key"), "nothing").unwrap();
        let error = make_client(folder.path(), "x", today()).unwrap_err();
        assert!(error.to_string().contains("ca.key"), "{error:#}");
        assert_eq!(fs::read_to_string(folder.path().join("ca.key")).unwrap(), "nothing");
    }
}
