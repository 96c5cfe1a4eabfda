//! What a key file holds, for people who gave another file than they meant.

use std::path::Path;

use der::asn1::{AnyRef, ContextSpecific};
use der::{Decode as _, Reader as _, SliceReader, Tag, TagNumber};

use crate::exit::Failure;

/// Labels of PEM blocks by their ends, the longer ones first.
const LABELS: [(&str, &str); 8] = [
    ("OPENSSH PRIVATE KEY", "a private key in OpenSSH's own format"),
    ("ENCRYPTED PRIVATE KEY", "an encrypted private key"),
    ("PRIVATE KEY", "a private key"),
    ("PUBLIC KEY", "a public key"),
    ("CERTIFICATE REQUEST", "a certificate request"),
    ("CERTIFICATE", "a certificate"),
    ("X509 CRL", "a certificate revocation list"),
    ("EC PARAMETERS", "a set of curve parameters"),
];

/// What the first block of a PEM file is; a certificate may be DER too.
#[must_use]
pub fn kind(bytes: &[u8]) -> Option<&'static str> {
    // Curve parameters often stand before the key that belongs to them.
    let text = String::from_utf8_lossy(bytes);
    let labels = text.lines().filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
    let mut kinds =
        labels.filter_map(|label| LABELS.iter().find(|(end, _)| label.ends_with(end)).map(|(_, kind)| *kind));
    match kinds.next() {
        Some(first) => Some(if first.starts_with("a set") { kinds.next().unwrap_or(first) } else { first }),
        None => is_certificate(bytes).then_some("a certificate"),
    }
}

/// Whether this is a certificate in DER: nothing else begins with two sequences and version 3 in a tag of its own.
fn is_certificate(bytes: &[u8]) -> bool {
    let version = || -> der::Result<bool> {
        let whole = AnyRef::from_der(bytes)?;
        let body: AnyRef<'_> = SliceReader::new(whole.value())?.decode()?;
        let version = ContextSpecific::<u8>::decode_explicit(&mut SliceReader::new(body.value())?, TagNumber(0))?;
        let sequences = [whole, body].map(|any| der::Tagged::tag(&any)) == [Tag::Sequence; 2];
        Ok(sequences && version.is_some_and(|version| version.value == 2))
    };
    version().unwrap_or(false)
}

/// Status 2 for a key file that cannot be read. If it is something else than `needed`, the sentence says so; else it says
/// `error`.
pub fn unusable(path: &Path, bytes: &[u8], needed: &str, error: impl core::fmt::Display) -> Failure {
    let failure = match kind(bytes) {
        Some(kind) if kind != needed => Failure::unusable(format_args!("this is {kind}, {needed} is needed")),
        _ => Failure::unusable(error),
    };
    failure.at(path.display())
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn the_first_block_counts() {
        let block = |label: &str| format!("text before\n-----BEGIN {label}-----\nAA==\n-----END {label}-----\n");
        for (label, expected) in [
            ("CERTIFICATE", "a certificate"),
            ("EC PRIVATE KEY", "a private key"),
            ("ENCRYPTED PRIVATE KEY", "an encrypted private key"),
            ("PUBLIC KEY", "a public key"),
            ("X509 CRL", "a certificate revocation list"),
        ] {
            assert_eq!(kind(block(label).as_bytes()), Some(expected));
            assert_eq!(kind((block("EC PARAMETERS") + &block(label)).as_bytes()), Some(expected));
        }
        assert_eq!(kind((block("PUBLIC KEY") + &block("PRIVATE KEY")).as_bytes()), Some("a public key"));
        for other in [&b""[..], b"-----BEGIN ", b"-----BEGIN LETTER-----", &[0xff; 32]] {
            assert_eq!(kind(other), None);
        }
    }

    #[test]
    fn a_certificate_may_be_binary() {
        let certificate = include_bytes!("../../../tests/fixtures/pvimg/keys/host2.crt.der");
        assert_eq!(kind(certificate), Some("a certificate"));
        assert_eq!(kind(&certificate[..certificate.len() - 1]), None);
        assert_eq!(kind(&certificate[4..]), None);
    }
}
