//! Lists in both their spellings: as TOML arrays, and as one text with commas, which is how the
//! environment and command-line flags say them.

use crate::{FloatingAddress, Peer};
use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Reads a list of texts, or `a,b,c`.
pub(crate) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    read(deserializer, "a list of texts", |item| Ok(item.to_owned()))
}

/// Reads a list of paths, or `a,b,c`.
pub(crate) fn paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    read(deserializer, "a list of paths", |item| Ok(item.into()))
}

/// Reads a list of IP addresses with ports, or `a,b,c`.
pub(crate) fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    read(deserializer, "a list of IP addresses with ports", |item| {
        item.parse().map_err(|_| format!("`{item}` is not an IP address with a port"))
    })
}

/// Reads a list of `{ id, address }`, or `1=host:port,2=host:port`.
pub(crate) fn peers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Peer>, D::Error> {
    read(deserializer, "a list of peers `{ id = 1, address = \"host:port\" }`", |item| {
        item.split_once('=')
            .and_then(|(id, address)| {
                Some(Peer { id: id.trim().parse().ok()?, address: address.trim().into() })
            })
            .ok_or_else(|| format!("`{item}` is not a peer: expected `ID=HOST:PORT`"))
    })
}

/// Reads a list of `address/prefix`, or `a/24,b/64`.
pub(crate) fn floating<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<FloatingAddress>, D::Error> {
    read(deserializer, "a list of addresses such as \"192.168.1.50/24\"", str::parse)
}

fn read<'de, D, T>(
    deserializer: D,
    expected: &'static str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(ListVisitor { expected, parse, item: PhantomData })
}

struct ListVisitor<T> {
    expected: &'static str,
    parse: fn(&str) -> Result<T, String>,
    item: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| (self.parse)(item).map_err(E::custom))
            .collect()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }
}
