//! Passwords: hashes that are slow to guess, checks that do not give themselves away, and patience
//! with an address that guesses.
//!
//! argon2id (RFC 9106) with the parameters that OWASP recommends for it, 19 MiB and two passes. That is
//! some ten milliseconds and as much memory, so checks take turns, and a password that was right is
//! remembered as a keyed digest: three hundred devices that come back at once wait for no hash.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How many checks may run at once: each takes 19 MiB and a processor.
const CHECKS_MAX: usize = 2;

/// How many right passwords are remembered. With more the memory begins anew.
const KNOWN_MAX: usize = 4_096;

/// How often an address may be wrong in [`WINDOW`] before it has to wait for the window's end.
const FAILURES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// How many addresses are watched. With more the memory begins anew.
const ADDRESSES_MAX: usize = 4_096;

/// How long the answer to a wrong password takes.
pub(super) const WRONG_DELAY: Duration = Duration::from_secs(1);

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
#[error("the password can not be hashed: {0}")]
pub struct HashError(String);

/// Hashes a password for [`gable_rules::broker::User::password`].
pub fn hash(password: &[u8]) -> Result<String, HashError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| HashError(error.to_string()))?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| HashError(error.to_string()))?;
    let hashed = Argon2::default().hash_password(password, &salt);
    hashed.map(|hash| hash.to_string()).map_err(|error| HashError(error.to_string()))
}

/// Whether a text is a hash that can be checked against.
pub fn is_hash(text: &str) -> bool {
    PasswordHash::new(text).is_ok_and(|hash| hash.algorithm == argon2::ARGON2ID_IDENT && hash.hash.is_some())
}

/// What a check comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
    /// The address was wrong too often.
    Waits,
}

/// Checks passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    turns: Semaphore,
    key: [u8; 32],
    /// Digests of hashes together with the passwords that they are of.
    known: Mutex<BTreeMap<[u8; 32], ()>>,
    failures: Mutex<BTreeMap<IpAddr, (Instant, u32)>>,
}

impl Passwords {
    pub(super) fn new() -> Passwords {
        let mut key = [0; 32];
        // Without randomness nothing is remembered that a reader of this memory could not guess; the
        // hashes stay what protects.
        let _ = getrandom::fill(&mut key);
        Passwords {
            turns: Semaphore::new(CHECKS_MAX),
            key,
            known: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Checks a password that came from an address. Nobody's takes as long as somebody's.
    pub(super) async fn check(&self, hash: Option<&str>, password: &[u8], address: IpAddr) -> Verdict {
        if self.has_to_wait(address) {
            return Verdict::Waits;
        }
        let digest = self.digest(hash.unwrap_or_default(), password);
        if hash.is_some() && lock(&self.known).contains_key(&digest) {
            return Verdict::Right;
        }
        let is_right = self.verify(hash, password).await;
        if is_right {
            let mut known = lock(&self.known);
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(digest, ());
            return Verdict::Right;
        }
        self.fail(address);
        Verdict::Wrong
    }

    async fn verify(&self, hash: Option<&str>, password: &[u8]) -> bool {
        // It is never closed.
        let Ok(_turn) = self.turns.acquire().await else { return false };
        let (is_user, hash) = (hash.is_some(), hash.unwrap_or_else(|| nobody()).to_owned());
        let password = password.to_vec();
        let checked = tokio::task::spawn_blocking(move || {
            let hash = PasswordHash::new(&hash).ok();
            hash.is_some_and(|hash| Argon2::default().verify_password(&password, &hash).is_ok())
        });
        checked.await.unwrap_or(false) && is_user
    }

    fn digest(&self, hash: &str, password: &[u8]) -> [u8; 32] {
        // A key of any length is taken.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return [0; 32] };
        mac.update(&(hash.len() as u64).to_be_bytes());
        mac.update(hash.as_bytes());
        mac.update(password);
        mac.finalize().into_bytes().into()
    }

    fn has_to_wait(&self, address: IpAddr) -> bool {
        let failures = lock(&self.failures);
        failures
            .get(&address)
            .is_some_and(|(since, count)| since.elapsed() < WINDOW && *count >= FAILURES_MAX)
    }

    fn fail(&self, address: IpAddr) {
        let mut failures = lock(&self.failures);
        if failures.len() >= ADDRESSES_MAX {
            failures.clear();
        }
        let entry = failures.entry(address).or_insert_with(|| (Instant::now(), 0));
        if entry.0.elapsed() >= WINDOW {
            *entry = (Instant::now(), 0);
        }
        entry.1 += 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A hash that no password is right for, made once.
fn nobody() -> &'static str {
    static NOBODY: OnceLock<String> = OnceLock::new();
    NOBODY.get_or_init(|| hash(b"nobody has this one").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn right_and_wrong_are_told_apart() {
        let (passwords, hash) = (Passwords::new(), hash(b"secret").unwrap());
        assert!(is_hash(&hash) && !is_hash("secret") && !is_hash("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA"));
        assert_eq!(passwords.check(Some(&hash), b"secret", HERE).await, Verdict::Right);
        assert_eq!(passwords.check(Some(&hash), b"secret", HERE).await, Verdict::Right);
        assert_eq!(passwords.check(Some(&hash), b"Secret", HERE).await, Verdict::Wrong);
        assert_eq!(passwords.check(None, b"nobody has this one", HERE).await, Verdict::Wrong);
        assert_eq!(passwords.check(Some("broken"), b"secret", HERE).await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn an_address_that_guesses_has_to_wait_and_no_other() {
        let (passwords, hash) = (Passwords::new(), hash(b"secret").unwrap());
        for _ in 0..FAILURES_MAX {
            assert_eq!(passwords.check(Some("broken"), b"guess", HERE).await, Verdict::Wrong);
        }
        assert_eq!(passwords.check(Some(&hash), b"secret", HERE).await, Verdict::Waits);
        let other = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(passwords.check(Some(&hash), b"secret", other).await, Verdict::Right);
    }
}
