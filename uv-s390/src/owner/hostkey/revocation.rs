//! Revocation within the chain of the signing key: the best fitting list of the issuer decides.

use super::certificate::Certificate;
use super::crl::Crl;
use super::error::ChainError;
use super::signature::PublicKey;

/// Checks one certificate of the chain against the lists of its issuer.
///
/// Of the lists that bear the issuer's name, fit its key id and cover the certificate, one decides: those in their
/// update window and without unknown critical extensions go first, then the newest. A bad newest list is an error even
/// when an older good one is there, as in the tool.
pub(super) fn check(
    certificate: &Certificate,
    issuer: &Certificate,
    issuer_key: &PublicKey,
    crls: &[Crl],
    time: u64,
) -> Result<(), ChainError> {
    let fits = |crl: &&Crl| {
        crl.issuer == certificate.issuer
            && crl.extensions.authority.as_ref().is_none_or(|authority| issuer.fits_authority(authority))
            && crl.covers(certificate)
    };
    let rank = |crl: &Crl| (crl.unknown_critical().is_none(), crl.is_current(time), crl.this_update());
    let mut best: Option<&Crl> = None;
    for crl in crls.iter().filter(fits) {
        if best.is_none_or(|best| rank(crl) > rank(best)) {
            best = Some(crl);
        }
    }
    let crl = best.ok_or(ChainError::NoCrl)?;
    if issuer.extensions.key_usage.as_ref().is_some_and(|usage| !usage.crl_sign()) {
        return Err(ChainError::CrlSignNotAllowed);
    }
    if time < crl.this_update() {
        return Err(ChainError::CrlNotYetValid);
    }
    if !crl.is_current(time) {
        return Err(ChainError::CrlExpired);
    }
    crl.verify_signature(issuer_key).map_err(ChainError::CrlSignature)?;
    if let Some(oid) = crl.unknown_critical() {
        return Err(ChainError::CrlUnknownCritical(oid));
    }
    if crl.revokes(certificate.serial()) {
        return Err(ChainError::Revoked);
    }
    Ok(())
}
