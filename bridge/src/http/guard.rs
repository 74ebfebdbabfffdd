//! Who may use the API.
//!
//! With a token, whoever sends it. Without one the API listens on a loopback address only, and then
//! a request must name a loopback host: otherwise a web page could reach it through a name that its
//! owner points to 127.0.0.1 (DNS rebinding), and a form on a page could post to it.

use super::error::ApiError;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// What a request has to show.
#[derive(Clone)]
pub(crate) enum Guard {
    /// SHA-256 of the token. Digests are compared, so that neither the time a comparison takes nor
    /// a copy of this process's memory tells the token.
    Token([u8; 32]),
    LoopbackHost,
}

impl Guard {
    pub(crate) fn new(token: Option<&str>) -> Guard {
        match token {
            Some(token) => Guard::Token(digest(token)),
            None => Guard::LoopbackHost,
        }
    }

    fn admits(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        match self {
            Guard::Token(expected) => {
                let given = headers
                    .get(AUTHORIZATION)
                    .and_then(|value| value.to_str().ok())
                    .and_then(|value| value.strip_prefix("Bearer "));
                match given {
                    Some(given) if same_bytes(&digest(given.trim()), expected) => Ok(()),
                    _ => Err(ApiError::new(
                        StatusCode::UNAUTHORIZED,
                        "this needs the node's token",
                        "send the header `Authorization: Bearer TOKEN` with the value of `http.token`",
                    )),
                }
            }
            Guard::LoopbackHost => {
                let host = headers.get(HOST).and_then(|value| value.to_str().ok());
                let origin = headers.get(ORIGIN).map(|value| value.to_str().unwrap_or(""));
                if host.is_some_and(is_loopback) && origin.is_none_or(is_loopback_origin) {
                    return Ok(());
                }
                Err(ApiError::new(
                    StatusCode::FORBIDDEN,
                    "without a token only loopback hosts are served",
                    "use http://127.0.0.1:PORT, or set `http.token` and send it",
                ))
            }
        }
    }
}

/// Lets a request pass or answers it.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.admits(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Compares without stopping at the first difference.
fn same_bytes(left: &[u8; 32], right: &[u8; 32]) -> bool {
    left.iter().zip(right).fold(0, |difference, (l, r)| difference | (l ^ r)) == 0
}

fn is_loopback_origin(origin: &str) -> bool {
    origin.strip_prefix("http://").is_some_and(is_loopback)
}

/// Whether `host[:port]` names this machine by itself.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(token: Option<&str>, headers: &[(axum::http::HeaderName, &str)], admitted: bool) {
        let map = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        assert_eq!(Guard::new(token).admits(&map).is_ok(), admitted, "{headers:?}");
    }

    #[test]
    fn a_token_is_asked_for_and_compared_whole() {
        let token = Some("0123456789abcdef");
        check(token, &[(AUTHORIZATION, "Bearer 0123456789abcdef")], true);
        check(token, &[(AUTHORIZATION, "Bearer 0123456789abcdeF")], false);
        check(token, &[(AUTHORIZATION, "Bearer 0123456789abcde")], false);
        check(token, &[(AUTHORIZATION, "0123456789abcdef")], false);
        check(token, &[(HOST, "127.0.0.1:7180")], false);
        check(token, &[], false);
    }

    #[test]
    fn without_a_token_only_loopback_names_are_served() {
        check(None, &[(HOST, "127.0.0.1:7180")], true);
        check(None, &[(HOST, "localhost:7180")], true);
        check(None, &[(HOST, "[::1]:7180")], true);
        check(None, &[(HOST, "evil.example:7180")], false);
        check(None, &[(HOST, "127.0.0.1.evil.example")], false);
        check(None, &[], false);
    }

    #[test]
    fn a_foreign_page_is_refused_without_a_token() {
        let host = (HOST, "127.0.0.1:7180");
        check(None, &[host.clone(), (ORIGIN, "http://127.0.0.1:7180")], true);
        check(None, &[host.clone(), (ORIGIN, "https://evil.example")], false);
        check(None, &[host, (ORIGIN, "null")], false);
    }
}
