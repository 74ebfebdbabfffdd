//! Certificates made for one test.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// An authority with a folder of files.
pub(super) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its key, as PEM.
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Authority { folder: tempfile::tempdir().unwrap(), issuer: Issuer::new(params, key), certificate }
    }

    pub(super) fn pem(&self) -> &str {
        &self.certificate
    }

    /// Signs a server's certificate for 127.0.0.1.
    pub(super) fn server(&self) -> Issued {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// Signs a client's certificate.
    pub(super) fn client(&self, common_names: &[&str], alternatives: Vec<SanType>) -> Issued {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (place, name) in common_names.iter().enumerate() {
            // The builder replaces a second value of one type, so the first comes by its number.
            let kind = if place == 0 { DnType::CommonName } else { DnType::CustomDnType(vec![2, 5, 4, 3]) };
            params.distinguished_name.push(kind, *name);
        }
        params.distinguished_name.push(DnType::OrganizationName, "home");
        params.subject_alt_names = alternatives;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the authority's folder.
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Writes a fresh server certificate over the one before.
    pub(super) fn renew(&self) -> (PathBuf, PathBuf) {
        let server = self.server();
        (self.write("mqtt.crt", &server.certificate), self.write("mqtt.key", &server.key))
    }

    /// Settings that listen with TLS only, on a port of the system's choice.
    pub(super) fn settings(&self) -> gable_broker_config::Server {
        let (certificate, key) = self.renew();
        gable_broker_config::Server {
            listen: Vec::new(),
            tls_listen: vec![super::any_port()],
            certificate: Some(certificate),
            key: Some(key),
            ..gable_broker_config::Server::default()
        }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}
