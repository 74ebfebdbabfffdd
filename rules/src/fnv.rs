//! Hashes that are the same on every build and machine, for agreement rather than for tables.
//!
//! Rust's own hashers are free to change between releases, so nothing that replicas compare or
//! derive from a hash may use them.

/// Returns the 64-bit FNV-1a hash of `bytes` (draft-eastlake-fnv).
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    extend(0xcbf2_9ce4_8422_2325, bytes)
}

/// Continues an FNV-1a hash with further bytes.
pub(crate) fn extend(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Hashes what a message says.
pub(crate) fn message(topic: &str, payload: &[u8]) -> u64 {
    extend(extend(fnv1a(topic.as_bytes()), &[0]), payload)
}

/// Spreads the bits of a hash (MurmurHash3's 64-bit finaliser).
///
/// FNV-1a moves its last bytes little, and rendezvous hashing compares whole words.
pub(crate) fn spread(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(extend(fnv1a(b"foo"), b"bar"), fnv1a(b"foobar"));
        assert_eq!(spread(0), 0);
    }
}
