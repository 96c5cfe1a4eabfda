//! Host-key documents and their offline verification (s390-formats §10).
//!
//! Who uses it: whoever encrypts to a machine: builders of images and of requests.
//!
//! A host-key document is an X.509 certificate with the public P-521 key of one machine. Whoever builds an SE image, an
//! attestation request or a secret request encrypts to that key, so it must be known to belong to a real machine: the
//! document is signed by an *IBM Z signing key*, which chains over at most two intermediates to a root that the caller
//! trusts; every certificate of the chain and the document itself need a current revocation list.
//!
//! ```text
//! root ── intermediate ── IBM Z signing key ── host-key document
//!  │CRL      │CRL              │CRL
//! ```
//!
//! Nothing is fetched: the caller gives certificates, lists, roots and the time.
//!
//! * [`HostKeyDocument`]: one document and its key, not yet verified.
//! * [`VerifierBuilder`]: takes the files, finds the signing key, verifies its chain; gives a [`Verifier`].
//! * [`Verifier::verify`]: verifies documents.
//! * [`test_pki`]: issues documents for simulated machines.
//!
//! # Which algorithms
//!
//! RSA with 2048 to 8192 bits (PKCS #1 v1.5 and PSS) and ECDSA on P-256, P-384, P-521, each with SHA-256, SHA-384 or
//! SHA-512. MD5 and SHA-1 are refused everywhere, in the signature of a root too.
//!
//! # Where this reader is stricter than the tool
//!
//! * Name and policy constraints in the chain are refused, critical or not: to ignore one would widen what a real
//!   authority meant, and no known chain has them.
//! * A document or a list with an unknown critical extension does not count.
//! * Times are half-open: in the second of `notAfter` or `nextUpdate` a certificate or list does not hold any more.
//! * Lists of X.509 version 1, delta lists and indirect lists do not count. An entry of a list revokes whatever its
//!   reason is, `removeFromCRL` too.
//! * SHA-224, EdDSA and other curves, which the tool's library could verify, are not supported; no known chain has them.
//! * There is no system trust store: without a given root nothing is accepted.
//!
//! # Simulated machines
//!
//! Certificates of [`test_pki`] bear [`SIMULATION_MARK`], and no such chain ends in a real root, because the keys of
//! [`test_pki`] are made at run time and never signed by anybody. On top of that, [`Verifier`] holds one rule: **marked
//! and unmarked never mix**. A marked document or signing key is accepted only under a given root that is itself marked,
//! so a caller who gives real roots can not be talked into a simulated machine even by a mistake of a real issuer; and
//! under a marked root only marked documents count, so a root made for tests can not vouch for something that looks
//! real. Who wants simulated machines has to give the simulated root, knowingly; [`Verifier::is_simulated`] tells.

mod certificate;
mod chain;
mod container;
mod crl;
mod document;
mod error;
mod extensions;
mod mark;
mod name;
mod revocation;
mod signature;
mod strict;
pub mod test_pki;
mod verifier;

#[cfg(test)]
mod tests;

pub use certificate::Certificate;
pub use container::{MAX_BLOCKS, MAX_INPUT};
pub use crl::Crl;
pub use document::HostKeyDocument;
pub use error::{CertificateKeyError, ChainError, ParseError, SignatureError, VerifyError};
pub use mark::{SIMULATION_MARK, SIMULATION_MARK_OID};
pub use verifier::{Verifier, VerifierBuilder};
