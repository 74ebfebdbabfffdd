//! Clients that speak TLS and WebSocket.

use super::authority::{Authority, Issued};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::client::IntoClientRequest;
use tungstenite::{ClientRequestBuilder, Message, WebSocket};

/// Trusts the authority, and shows a certificate if it has one.
pub(super) fn config(authority: &Authority, shown: Option<&Issued>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match shown {
        None => builder.with_no_client_auth(),
        Some(Issued { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            builder
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
                .unwrap()
        }
    })
}

/// Connects with TLS. That the server does not like a certificate shows with the first read only.
pub(super) async fn tls(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(config).connect(ServerName::from(address.ip()), stream).await
}

/// Runs a conversation over WebSocket in a thread, because its client blocks.
pub(super) async fn websocket<T: Send + 'static>(
    address: SocketAddr,
    protocol: &'static str,
    talk: impl FnOnce(WebSocket<std::net::TcpStream>) -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(move || {
        let stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(request("ws", address, protocol), stream)
            .map_err(|error| error.to_string())?;
        Ok(talk(socket))
    })
    .await
    .unwrap()
}

/// Has a word sent back over WebSocket and TLS.
pub(super) async fn secure_websocket(address: SocketAddr, config: Arc<ClientConfig>) -> Message {
    tokio::task::spawn_blocking(move || {
        let stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
        let connection = ClientConnection::new(config, ServerName::from(address.ip())).unwrap();
        let stream = StreamOwned::new(connection, stream);
        let (mut socket, _) = tungstenite::client(request("wss", address, "mqtt"), stream).unwrap();
        socket.send(Message::binary(&b"word"[..])).unwrap();
        socket.read().unwrap()
    })
    .await
    .unwrap()
}

fn request(scheme: &str, address: SocketAddr, protocol: &str) -> tungstenite::handshake::client::Request {
    let uri = format!("{scheme}://{address}/mqtt").parse().unwrap();
    let builder = ClientRequestBuilder::new(uri);
    let builder = if protocol.is_empty() { builder } else { builder.with_sub_protocol(protocol) };
    builder.into_client_request().unwrap()
}
