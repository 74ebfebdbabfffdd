//! Who a client certificate belongs to.
//!
//! Only certificates that rustls has verified come here. Which part of one names the client is not
//! its business but ours: the common name, as brokers and their tools have it, or else the first
//! alternative name.

use tokio_rustls::rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;

/// `id-at-commonName`, 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// Longer names are refused; the standard's own limit for a common name is 64 characters.
const NAME_BYTES_MAX: usize = 256;

/// Why a certificate names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoName {
    #[error("the client certificate can not be read")]
    Unreadable,
    #[error("the client certificate has more than one common name")]
    Ambiguous,
    #[error("the client certificate has no common name and no DNS or URI name")]
    Missing,
    #[error("the name in the client certificate is too long, or has control characters or wildcards")]
    Unusable,
}

/// Returns whom a certificate names.
pub(super) fn name(certificate: &CertificateDer<'_>) -> Result<String, NoName> {
    let certificate = EndEntityCert::try_from(certificate).map_err(|_| NoName::Unreadable)?;
    let name = match common_name(certificate.subject())? {
        Some(name) => name,
        None => certificate
            .valid_dns_names()
            .chain(certificate.valid_uri_names())
            .next()
            .ok_or(NoName::Missing)?
            .to_owned(),
    };
    // With wildcards in it, a right for the topics of its own would be one for those of others.
    let is_usable = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.contains(|c: char| c.is_control() || matches!(c, '+' | '#' | '*' | '/'));
    if is_usable { Ok(name) } else { Err(NoName::Unusable) }
}

/// Finds the common name in a subject: sets of pairs of a type and a value, RFC 5280 section 4.1.2.4.
fn common_name(subject: &[u8]) -> Result<Option<String>, NoName> {
    let mut found = None;
    let mut subject = Der(subject);
    while !subject.0.is_empty() {
        let mut set = Der(subject.take(SET)?);
        while !set.0.is_empty() {
            let mut pair = Der(set.take(SEQUENCE)?);
            if pair.take(OBJECT_IDENTIFIER)? != COMMON_NAME {
                continue;
            }
            let (tag, value) = pair.next()?;
            let is_text = matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING);
            let text = std::str::from_utf8(value).ok().filter(|_| is_text).ok_or(NoName::Unusable)?;
            if found.replace(text.to_owned()).is_some() {
                return Err(NoName::Ambiguous);
            }
        }
    }
    Ok(found)
}

/// The rest of a series of DER values.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn take(&mut self, expected: u8) -> Result<&'a [u8], NoName> {
        let (tag, value) = self.next()?;
        if tag == expected { Ok(value) } else { Err(NoName::Unreadable) }
    }

    /// Takes the next value. Those of 64 kB and more do not occur in a name.
    fn next(&mut self) -> Result<(u8, &'a [u8]), NoName> {
        let (tag, length, rest) = match *self.0 {
            [tag, length @ 0..=0x7f, ref rest @ ..] => (tag, usize::from(length), rest),
            [tag, 0x81, length, ref rest @ ..] => (tag, usize::from(length), rest),
            [tag, 0x82, high, low, ref rest @ ..] => {
                (tag, usize::from(u16::from_be_bytes([high, low])), rest)
            }
            _ => return Err(NoName::Unreadable),
        };
        let (value, rest) = rest.split_at_checked(length).ok_or(NoName::Unreadable)?;
        self.0 = rest;
        Ok((tag, value))
    }
}
