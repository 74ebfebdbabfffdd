//! The tables of the log's database, and the seal that every row of both databases carries.
//!
//! redb checks its pages when it opens and never again: after one flipped bit a plain read returns
//! wrong data. So each row starts with a version byte and a checksum over version, key and body,
//! and no body is looked at before its seal holds.

use super::Error;
use redb::TableDefinition;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Log index -> entry. The right edge, [`EDGE`], holds the committed log id: there it shares the
/// page of the newest entry, and saving it costs no page of its own.
pub(crate) const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
/// Name -> one fact about the node or its log; the names are the `META_` constants.
pub(crate) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// (snapshot, chunk) -> a piece of a snapshot.
pub(crate) const SNAPSHOT: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("snapshot");

/// The key of the committed log id in [`LOG`]; no entry ever gets this index.
pub(crate) const EDGE: u64 = u64::MAX;

pub(crate) const META_IDENTITY: &str = "identity";
pub(crate) const META_BOOT: &str = "boot";
/// Present once the node may vote; see `Store::take_seat`.
pub(crate) const META_SEAT: &str = "seat";
pub(crate) const META_VOTE: &str = "vote";
pub(crate) const META_PURGED: &str = "purged";
pub(crate) const META_SNAPSHOT: &str = "snapshot";

/// The layout of a body. A release that changes one raises it and still reads the older ones.
const VERSION: u8 = 1;
const SEAL_LEN: usize = 5;

/// Puts version and checksum before `body`. `key` enters the checksum, so that a row that turns up
/// under another key is found out.
pub(crate) fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(SEAL_LEN + body.len());
    row.push(VERSION);
    row.extend_from_slice(&checksum(VERSION, key, body).to_le_bytes());
    row.extend_from_slice(body);
    row
}

/// Returns the body of `row` if its seal holds; `what` names the row in the error.
pub(crate) fn unseal<'a>(what: impl Fn() -> String, key: &[u8], row: &'a [u8]) -> Result<&'a [u8], Error> {
    let corrupt = |why: &str| Error::Corrupt(format!("{}: {why}", what()));
    let (head, body) = row.split_at_checked(SEAL_LEN).ok_or_else(|| corrupt("the row is cut short"))?;
    let (version, sum) = (head[0], [head[1], head[2], head[3], head[4]]);
    if checksum(version, key, body) != u32::from_le_bytes(sum) {
        return Err(corrupt("the checksum does not match"));
    }
    if version != VERSION {
        return Err(Error::Version { what: what(), version });
    }
    Ok(body)
}

/// Serialises and seals `value`.
pub(crate) fn encode<T: Serialize>(what: &str, key: &[u8], value: &T) -> Result<Vec<u8>, Error> {
    let body =
        postcard::to_stdvec(value).map_err(|source| Error::Encode { what: what.to_owned(), source })?;
    Ok(seal(key, &body))
}

/// Unseals and deserialises a row.
pub(crate) fn decode<T: DeserializeOwned>(
    what: impl Fn() -> String,
    key: &[u8],
    row: &[u8],
) -> Result<T, Error> {
    let body = unseal(&what, key, row)?;
    postcard::from_bytes(body)
        .map_err(|error| Error::Corrupt(format!("{}: sealed, yet undecodable ({error})", what())))
}

fn checksum(version: u8, key: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&[version]), key), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> String {
        "row".to_owned()
    }

    #[test]
    fn every_flipped_bit_breaks_the_seal() {
        let row = seal(b"key", b"some body");
        assert_eq!(unseal(name, b"key", &row).unwrap(), b"some body");
        for bit in 0..row.len() * 8 {
            let mut bad = row.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(name, b"key", &bad).is_err(), "bit {bit} went unnoticed");
        }
    }

    #[test]
    fn a_row_under_another_key_breaks_the_seal() {
        let row = seal(b"key", b"body");
        assert!(matches!(unseal(name, b"kez", &row), Err(Error::Corrupt(_))));
    }

    #[test]
    fn a_row_of_a_later_version_is_named() {
        let mut row = vec![VERSION + 1];
        row.extend_from_slice(&checksum(VERSION + 1, b"key", b"body").to_le_bytes());
        row.extend_from_slice(b"body");
        let error = unseal(name, b"key", &row).unwrap_err();
        assert!(matches!(error, Error::Version { version: 2, .. }), "{error}");
    }

    #[test]
    fn a_short_row_is_no_panic() {
        for len in 0..SEAL_LEN {
            assert!(unseal(name, b"", &vec![0; len]).is_err());
        }
    }
}
