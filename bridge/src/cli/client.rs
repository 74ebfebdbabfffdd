//! The small HTTP client behind `status`, `events`, `bench` and `demo`.
//!
//! One connection per request, no TLS, no redirects: it speaks to a node of the own cluster, which
//! serves plain HTTP on a trusted address.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;

/// More than any answer of a node; a larger one is not from a node.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a node gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("`{url}` is not an address of a node: expected http://HOST:PORT")]
    Url { url: String },
    #[error("no answer from {address}")]
    Unreachable {
        address: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("no answer from {address} within {seconds} s")]
    TimedOut { address: String, seconds: u64 },
    #[error("{address} refused {path}: {text}")]
    Refused { address: String, path: String, status: StatusCode, text: String, hint: String },
    #[error("{address} did not answer {path} as a node does")]
    NotJson {
        address: String,
        path: String,
        #[source]
        source: serde_json::Error,
    },
}

impl Error {
    /// What a person can do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Error::Url { .. } => {
                "give the address that `gable run` printed, e.g. --url http://127.0.0.1:7180".into()
            }
            Error::Unreachable { address, .. } | Error::TimedOut { address, .. } => {
                format!(
                    "check that a node listens on {address} (its log line `the node listens` names the address)"
                )
            }
            Error::Refused { status: StatusCode::UNAUTHORIZED, .. } => {
                "give the token of the node's settings: --token TOKEN or GABLE_TOKEN=TOKEN".into()
            }
            Error::Refused { hint, .. } => hint.clone(),
            Error::NotJson { address, .. } => format!("check that {address} is a node's HTTP address"),
        }
    }
}

/// A handle on one node's API.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// `host:port`.
    address: String,
    token: Option<String>,
    timeout: Duration,
}

impl Client {
    /// Takes `http://host:port`, with or without the scheme and a trailing slash.
    pub(crate) fn new(url: &str, token: Option<String>) -> Result<Client, Error> {
        let wrong = || Error::Url { url: url.to_owned() };
        let address = url.strip_prefix("http://").unwrap_or(url);
        let address = address.strip_suffix('/').unwrap_or(address);
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        if host.is_empty() || host.contains('/') || port.parse::<u16>().is_err() {
            return Err(wrong());
        }
        Ok(Client { address: address.to_owned(), token, timeout: Duration::from_secs(5) })
    }

    /// The same node, with another patience.
    pub(crate) fn with_timeout(mut self, timeout: Duration) -> Client {
        self.timeout = timeout;
        self
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Asks, and reads the answer as JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Error> {
        self.ask(Method::GET, path, None).await
    }

    /// Tells the node to do something that needs no words, and reads the answer as JSON.
    pub(crate) async fn post(&self, path: &str) -> Result<Value, Error> {
        self.ask(Method::POST, path, None).await
    }

    /// Puts something in a place, and reads the answer as JSON.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.ask(Method::PUT, path, Some(body)).await
    }

    /// Removes something, and reads the answer as JSON.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Error> {
        self.ask(Method::DELETE, path, None).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let (status, body) = tokio::time::timeout(self.timeout, self.exchange(method, path, body))
            .await
            .map_err(|_| Error::TimedOut { address: self.address.clone(), seconds: self.timeout.as_secs() })?
            .map_err(|source| Error::Unreachable { address: self.address.clone(), source })?;
        if !status.is_success() {
            let told: Refusal = serde_json::from_slice(&body).unwrap_or_default();
            let text = if told.error.is_empty() { status.to_string() } else { told.error };
            let (address, path) = (self.address.clone(), path.to_owned());
            return Err(Error::Refused { address, path, status, text, hint: told.hint });
        }
        serde_json::from_slice(&body).map_err(|source| Error::NotJson {
            address: self.address.clone(),
            path: path.to_owned(),
            source,
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.address);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())))?;
        // The connection has to be polled for the answer to arrive; dropping it closes the socket.
        let answer = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok((status, body))
        };
        tokio::pin!(connection, answer);
        tokio::select! {
            // An answer that is already complete counts, also if the connection has ended.
            biased;
            result = &mut answer => result,
            _ = &mut connection => answer.await,
        }
    }
}

/// A text as one segment of a path (RFC 3986, section 2.1).
pub(crate) fn segment(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// The body of a refusal; a foreign server's body reads as an empty one.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: String,
    hint: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Option<&str>) {
        let client = Client::new(url, None).ok();
        assert_eq!(client.as_ref().map(Client::address), expected, "{url}");
    }

    #[test]
    fn segments_hold_any_text() {
        let check = |text, expected: &str| assert_eq!(segment(text), expected);
        check("light.hall_1", "light.hall_1");
        check("12:0", "12:0");
        check("Flur an/aus?", "Flur%20an%2Faus%3F");
        check("ü", "%C3%BC");
    }

    #[test]
    fn addresses_are_taken_with_and_without_scheme() {
        check("http://127.0.0.1:8421", Some("127.0.0.1:8421"));
        check("127.0.0.1:8421/", Some("127.0.0.1:8421"));
        check("http://[::1]:8421", Some("[::1]:8421"));
        check("https://box:8421", None);
        check("box", None);
        check("http://box:port", None);
        check("http://:80", None);
    }
}
