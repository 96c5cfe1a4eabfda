//! What can be wrong with the certificates and revocation lists, one sentence per reason.

use der::oid::ObjectIdentifier;

/// A file or byte string that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The input is longer than this reader accepts.
    #[error(
        "the input has {actual} bytes, more than the {limit} accepted; give one file of certificates or one revocation list"
    )]
    TooLarge {
        /// Length of the input in bytes.
        actual: usize,
        /// Accepted length in bytes.
        limit: usize,
    },
    /// A PEM file with more blocks than this reader accepts.
    #[error("the file holds more than {limit} PEM blocks; split it")]
    TooManyBlocks {
        /// Accepted number of blocks.
        limit: usize,
    },
    /// No certificate in the input.
    #[error("the input holds no certificate; give an X.509 certificate in PEM or DER")]
    NoCertificate,
    /// No revocation list in the input.
    #[error("the input holds no certificate revocation list; give an X.509 CRL in PEM or DER")]
    NoCrl,
    /// A PEM block without its end line, or with text that is not base64.
    #[error("a PEM block is damaged; fetch the file again")]
    Pem,
    /// The bytes are not the structure they should be.
    #[error("the {what} is not valid DER ({source}); fetch the file again")]
    Der {
        /// Which structure.
        what: &'static str,
        /// What the DER reader says.
        source: der::Error,
    },
    /// The same extension twice.
    #[error("extension {0} is there twice; the issuer made a wrong certificate")]
    DuplicateExtension(ObjectIdentifier),
    /// The key of a host-key document is not on P-521.
    #[error("the certificate holds no P-521 public key; give the host-key document of the machine")]
    NotP521,
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The algorithm named inside the signed part and the one named outside differ.
    #[error("it names two different signature algorithms; fetch it again")]
    AlgorithmInconsistent,
    /// MD5 or SHA-1.
    #[error("its signature algorithm {0} is too weak; ask the issuer for one with SHA-256 or better")]
    WeakAlgorithm(ObjectIdentifier),
    /// An algorithm outside the list of [`hostkey`](crate::owner::hostkey).
    #[error("its signature algorithm {0} is not supported; use RSA or ECDSA with SHA-256, SHA-384 or SHA-512")]
    UnsupportedAlgorithm(ObjectIdentifier),
    /// The parameters of the algorithm are missing, damaged or not supported.
    #[error("the parameters of its signature algorithm {0} are not supported")]
    Parameters(ObjectIdentifier),
    /// The key of the signer does not go with the algorithm.
    #[error("its signature algorithm does not go with the key of the issuer; fetch both again")]
    WrongKeyType,
    /// The signature is over other bytes or by another key.
    #[error("its signature was not made by the issuer's key; fetch it again")]
    Invalid,
}

/// Why a public key does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateKeyError {
    /// Fewer than 112 bits of security.
    #[error("its RSA key has {bits} bits, fewer than 2048; ask the issuer for a stronger key")]
    Weak {
        /// Bits of the modulus.
        bits: usize,
    },
    /// Neither RSA nor ECDSA on P-256, P-384 or P-521.
    #[error("its key type {0} is not supported; use RSA or a key on P-256, P-384 or P-521")]
    Unsupported(ObjectIdentifier),
    /// Parameters or point or modulus are damaged.
    #[error("its public key is damaged; fetch it again")]
    Malformed,
}

/// Why the chain from the IBM Z signing key to a root does not hold at one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Nobody's certificate fits issuer name, key id and usage.
    #[error("the certificate of its issuer is missing; add the intermediate certificates or the root")]
    NoIssuer,
    /// The chain ends in a self-signed certificate that is no given root.
    #[error("it is self-signed and not one of the given roots; give its root only if you trust it")]
    UntrustedRoot,
    /// More than two intermediates.
    #[error("the chain is longer than two intermediates; give the issuers that belong to this key")]
    TooLong,
    /// The signing key is its own root.
    #[error("the chain has one certificate only; an IBM Z signing key needs an issuer")]
    TooShort,
    /// Marked and unmarked certificates in one chain.
    #[error("it mixes simulated and real certificates; take all of one kind")]
    MixedSimulation,
    /// A critical extension this reader does not understand.
    #[error("it has the critical extension {0}, which is not supported")]
    UnknownCritical(ObjectIdentifier),
    /// A name or policy constraint, which this reader refuses.
    #[error("it has the constraint extension {0}, which is not supported")]
    Constraint(ObjectIdentifier),
    /// Issues certificates without being a certificate authority.
    #[error("it issues certificates without being a certificate authority; fetch the right intermediate")]
    NotCa,
    /// A rule of RFC 5280 that only strict readers hold.
    #[error("it breaks a rule of RFC 5280: {0}")]
    Strict(&'static str),
    /// More certificates below than its path length allows.
    #[error("more certificates are below it than its path length allows")]
    PathLength,
    /// Its public key does not count.
    #[error("{0}")]
    Key(CertificateKeyError),
    /// Its signature does not count.
    #[error("{0}")]
    Signature(SignatureError),
    /// Before its validity.
    #[error("it is not valid yet; check the clock")]
    NotYetValid,
    /// After its validity.
    #[error("it is no longer valid; fetch its replacement")]
    Expired,
    /// No revocation list of its issuer.
    #[error("no revocation list of its issuer fits; add the CRL of the issuer")]
    NoCrl,
    /// The best fitting revocation list is not yet valid.
    #[error("the revocation list of its issuer is not valid yet; check the clock")]
    CrlNotYetValid,
    /// The best fitting revocation list is too old, or does not say until when it holds.
    #[error("the revocation list of its issuer is out of date; fetch the newest")]
    CrlExpired,
    /// A critical extension of the list that this reader does not understand.
    #[error("the revocation list of its issuer has the critical extension {0}, which is not supported")]
    CrlUnknownCritical(ObjectIdentifier),
    /// The issuer may not sign lists.
    #[error("its issuer may not sign revocation lists; fetch the right issuer certificate")]
    CrlSignNotAllowed,
    /// The signature of the list does not count.
    #[error("the revocation list of its issuer does not count: {0}")]
    CrlSignature(SignatureError),
    /// The list names it.
    #[error("its issuer has revoked it; do not use it")]
    Revoked,
}

/// Why a host-key document is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// No certificate with the subject of the IBM Z signing key among the given ones.
    #[error("no IBM Z signing key among the certificates; give exactly one")]
    NoSigningKey,
    /// More than one such certificate.
    #[error("more than one IBM Z signing key among the certificates; give exactly one")]
    ManySigningKeys,
    /// The signing key is marked as simulated and no given root is.
    #[error("the IBM Z signing key is marked as simulated and the roots are not; it stands for no real machine")]
    SimulatedSigningKey,
    /// The chain from the signing key does not hold.
    #[error("the IBM Z signing key could not be verified, certificate {level} of its chain: {reason}")]
    SigningKey {
        /// Position in the chain: 0 is the signing key, the root is last.
        level: usize,
        /// What is wrong there.
        reason: ChainError,
    },
    /// The document is marked as simulated and the root of the signing key is not.
    #[error("the host-key document is marked as simulated and the root is not; it stands for no real machine")]
    SimulatedHostKey,
    /// The root is marked as simulated and the document is not.
    #[error(
        "the root is marked as simulated and the host-key document is not; a simulated root vouches for simulated machines only"
    )]
    UnmarkedHostKey,
    /// The key of the document does not count.
    #[error("the host-key document does not count: {0}")]
    Key(CertificateKeyError),
    /// Before the validity of the document.
    #[error("the host-key document is not valid yet; check the clock")]
    NotYetValid,
    /// After the validity of the document.
    #[error("the host-key document is no longer valid; fetch the current one of the machine")]
    Expired,
    /// The document names another issuer key.
    #[error(
        "the authority key id of the host-key document is not that of the signing key; give the signing key that issued it"
    )]
    AuthorityKeyIdMismatch,
    /// The signature of the document does not count.
    #[error("the host-key document does not count: {0}")]
    Signature(SignatureError),
    /// A critical extension of the document that this reader does not understand.
    #[error("the host-key document has the critical extension {0}, which is not supported")]
    UnknownCritical(ObjectIdentifier),
    /// None of the lists found counts.
    #[error(
        "none of the {found} revocation lists of the signing key counts; give a current CRL of the IBM Z signing key"
    )]
    NoValidCrl {
        /// How many lists bear the name of the signing key.
        found: usize,
    },
    /// A list names the document.
    #[error("the host-key document is revoked; fetch the current one of the machine")]
    Revoked,
}
