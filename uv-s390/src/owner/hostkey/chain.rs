//! The chain from the IBM Z signing key to a root (s390-formats §10, rule 4).
//!
//! The chain is built first, one issuer at a time and roots first, never going back: the work is linear in the number
//! of certificates. Then it is checked in this order: extensions and strict rules, key strength, revocation,
//! signatures and validity from the root down.

use alloc::vec::Vec;

use super::certificate::Certificate;
use super::crl::Crl;
use super::error::{ChainError, VerifyError};
use super::revocation;
use super::strict;

/// Intermediates allowed between signing key and root.
const MAX_INTERMEDIATES: usize = 2;

/// Everything the chain may be built of, and the time of the check.
pub(super) struct Store<'a> {
    pub(super) roots: &'a [Certificate],
    pub(super) intermediates: &'a [Certificate],
    pub(super) crls: &'a [Crl],
    pub(super) time: u64,
}

fn at(level: usize) -> impl Fn(ChainError) -> VerifyError {
    move |reason| VerifyError::SigningKey { level, reason }
}

/// Builds and checks the chain; gives its root.
pub(super) fn verify<'a>(leaf: &'a Certificate, store: &Store<'a>) -> Result<&'a Certificate, VerifyError> {
    let chain = build(leaf, store)?;
    let last = chain.len() - 1;
    let root = chain[last];
    for (level, certificate) in chain.iter().enumerate() {
        if certificate.is_simulated() != root.is_simulated() {
            return Err(at(level)(ChainError::MixedSimulation));
        }
    }
    strict::check(&chain)?;
    let mut keys = Vec::with_capacity(chain.len());
    for (level, certificate) in chain.iter().enumerate() {
        keys.push(certificate.public_key().map_err(|error| at(level)(ChainError::Key(error)))?);
    }
    // The root stands above itself: its own list is asked for too.
    let above = |level: usize| (level + 1).min(last);
    for (level, certificate) in chain.iter().enumerate() {
        revocation::check(certificate, chain[above(level)], &keys[above(level)], store.crls, store.time)
            .map_err(at(level))?;
    }
    for (level, certificate) in chain.iter().enumerate().rev() {
        certificate.verify_signature(&keys[above(level)]).map_err(|error| at(level)(ChainError::Signature(error)))?;
        check_validity(certificate, store.time).map_err(at(level))?;
    }
    tracing::debug!(certificates = chain.len(), "IBM Z signing key verified");
    Ok(root)
}

fn check_validity(certificate: &Certificate, time: u64) -> Result<(), ChainError> {
    if time < certificate.not_before() {
        Err(ChainError::NotYetValid)
    } else if time >= certificate.not_after() {
        Err(ChainError::Expired)
    } else {
        Ok(())
    }
}

fn build<'a>(leaf: &'a Certificate, store: &Store<'a>) -> Result<Vec<&'a Certificate>, VerifyError> {
    let mut chain = alloc::vec![leaf];
    let mut trusted = is_one_of(store.roots, leaf);
    loop {
        let level = chain.len() - 1;
        let last = chain[level];
        if last.is_self_signed() {
            return match (trusted, level) {
                (false, _) => Err(at(level)(ChainError::UntrustedRoot)),
                (true, 0) => Err(at(level)(ChainError::TooShort)),
                (true, _) => Ok(chain),
            };
        }
        if level > MAX_INTERMEDIATES {
            return Err(at(level)(ChainError::TooLong));
        }
        let issuer = match issuer_among(store.roots, last, &chain, store.time) {
            Some(issuer) => {
                trusted = true;
                issuer
            }
            // What a given root does not vouch for is not looked for among the untrusted.
            None if trusted => return Err(at(level)(ChainError::NoIssuer)),
            None => {
                issuer_among(store.intermediates, last, &chain, store.time).ok_or(at(level)(ChainError::NoIssuer))?
            }
        };
        chain.push(issuer);
    }
}

fn is_one_of(certificates: &[Certificate], wanted: &Certificate) -> bool {
    certificates.iter().any(|certificate| certificate.der() == wanted.der())
}

/// The issuer of `child`: fitting name and key id; before others one that may sign certificates, and of these one that
/// is valid now.
fn issuer_among<'a>(
    candidates: &'a [Certificate],
    child: &Certificate,
    chain: &[&Certificate],
    time: u64,
) -> Option<&'a Certificate> {
    let fits = |candidate: &&Certificate| {
        candidate.subject == child.issuer
            && candidate.fits_authority_of_certificate(child)
            && !chain.iter().any(|used| used.der() == candidate.der())
    };
    let rank = |candidate: &Certificate| (candidate.may_sign_certificates(), check_validity(candidate, time).is_ok());
    let mut best: Option<&Certificate> = None;
    for candidate in candidates.iter().filter(fits) {
        if best.is_none_or(|best| rank(candidate) > rank(best)) {
            best = Some(candidate);
        }
    }
    best
}
