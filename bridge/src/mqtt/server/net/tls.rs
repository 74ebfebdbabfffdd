//! TLS: the files with the certificates, and the handshake.

use super::identity;
use crate::mqtt::server::net::Error;
use gable_broker_config::Server;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

/// The certificates that new connections are greeted with. Each clone speaks of the same ones.
#[derive(Clone, Debug)]
pub struct Certificates {
    files: Arc<Files>,
    current: Arc<watch::Sender<Arc<ServerConfig>>>,
}

/// Where the certificates come from.
#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl Certificates {
    /// Reads the files that the settings name, if they name any.
    pub(super) fn read(settings: &Server) -> Result<Option<Certificates>, Error> {
        let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) else { return Ok(None) };
        let files = Files {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca: settings.client_ca.clone(),
        };
        let current = Arc::new(watch::Sender::new(files.read()?));
        Ok(Some(Certificates { files: Arc::new(files), current }))
    }

    /// Reads the files anew. Connections from now on meet the new certificates, those that are open
    /// stay as they are. If the files can not be used, all remains as it was.
    pub fn reload(&self) -> Result<(), Error> {
        match self.files.read() {
            Ok(config) => {
                self.current.send_replace(config);
                info!(path = %self.files.certificate.display(), "took over the MQTT certificates anew");
                Ok(())
            }
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "the new MQTT certificates can not be used; the old ones stay"
                );
                Err(error)
            }
        }
    }

    /// Lets a client greet, and returns whom its certificate names, if it has one.
    pub(super) async fn accept<S>(&self, stream: S) -> io::Result<(TlsStream<S>, Option<String>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.current.borrow().clone();
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let identity = certificate
            .map(identity::name)
            .transpose()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok((stream, identity))
    }
}

impl Files {
    fn read(&self) -> Result<Arc<ServerConfig>, Error> {
        // By name, because the process may hold other providers, whose choice is nobody's here.
        let provider = Arc::new(ring::default_provider());
        let certificates = certificates(&self.certificate, "mqtt.server.certificate")?;
        let key = self.key()?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|source| self.unusable(source.into()))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let verifier = client_verifier(path, provider)?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config =
            builder.with_single_cert(certificates, key).map_err(|source| self.unusable(source.into()))?;
        Ok(Arc::new(config))
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, Error> {
        let bytes = read(&self.key, "mqtt.server.key")?;
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|source| Error::Pem {
            path: self.key.clone(),
            key: "mqtt.server.key",
            expected: "a private key without a password",
            source,
        })
    }

    fn unusable(&self, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
        Error::Certificate { certificate: self.certificate.clone(), key: self.key.clone(), source }
    }
}

/// Asks clients for a certificate, and lets those without one in: they have a password, or not.
fn client_verifier(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn tokio_rustls::rustls::server::danger::ClientCertVerifier>, Error> {
    let unusable =
        |source: Box<dyn std::error::Error + Send + Sync>| Error::ClientCa { path: path.to_owned(), source };
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(path, "mqtt.server.client_ca")? {
        authorities.add(certificate).map_err(|source| unusable(source.into()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|source| unusable(source.into()))
}

/// Reads all certificates of a file; there is at least one.
fn certificates(path: &Path, key: &'static str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read(path, key)?;
    let wrong = |source| Error::Pem { path: path.to_owned(), key, expected: "a certificate", source };
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(wrong)?;
    if found.is_empty() { Err(wrong(pem::Error::NoItemsFound)) } else { Ok(found) }
}

fn read(path: &Path, key: &'static str) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), key, source })
}
