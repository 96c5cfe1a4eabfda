//! What every certificate of the chain must say of itself: RFC 5280 as a strict reader takes it.

use x509_cert::Version;

use super::certificate::Certificate;
use super::error::{ChainError, VerifyError};

/// Checks extensions, certificate-authority flags, the strict rules and path lengths, from the signing key up.
pub(super) fn check(chain: &[&Certificate]) -> Result<(), VerifyError> {
    // Certificates between here and the signing key that count for path lengths.
    let mut below = 0_usize;
    for (level, certificate) in chain.iter().enumerate() {
        let is_last = level + 1 == chain.len();
        check_one(certificate, level, is_last, below).map_err(|reason| VerifyError::SigningKey { level, reason })?;
        if level > 0 && !certificate.is_self_issued() {
            below += 1;
        }
    }
    Ok(())
}

fn check_one(certificate: &Certificate, level: usize, is_last: bool, below: usize) -> Result<(), ChainError> {
    let extensions = &certificate.extensions;
    if let Some(oid) = extensions.unknown_critical {
        return Err(ChainError::UnknownCritical(oid));
    }
    if let Some(oid) = extensions.constraint {
        return Err(ChainError::Constraint(oid));
    }
    if level > 0 && !certificate.is_ca() {
        return Err(ChainError::NotCa);
    }
    match broken_rule(certificate, is_last) {
        Some(rule) => return Err(ChainError::Strict(rule)),
        None if level == 0 => return Ok(()),
        None => {}
    }
    let path_length = extensions.basic.as_ref().and_then(|basic| basic.value.path_len_constraint);
    if path_length.is_some_and(|allowed| below > usize::from(allowed)) {
        return Err(ChainError::PathLength);
    }
    Ok(())
}

/// The first rule of RFC 5280 that does not hold.
fn broken_rule(certificate: &Certificate, is_last: bool) -> Option<&'static str> {
    let tbs = certificate.x509.tbs_certificate();
    let extensions = &certificate.extensions;
    let basic = extensions.basic.as_ref();
    let ca = basic.is_some_and(|basic| basic.value.ca);
    let signs_certificates = extensions.key_usage.as_ref().is_some_and(|usage| usage.key_cert_sign());
    let signs_lists = extensions.key_usage.as_ref().is_some_and(|usage| usage.crl_sign());
    let has_path_length = basic.is_some_and(|basic| basic.value.path_len_constraint.is_some());
    let v3 = tbs.version() == Version::V3;
    let authority = extensions.authority.as_ref();
    let rules = [
        (has_path_length && !ca, "a path length stands in a certificate that is no authority"),
        (has_path_length && !signs_certificates, "a path length stands without the key usage to sign certificates"),
        (ca && basic.is_some_and(|basic| !basic.critical), "the basic constraints of an authority are not critical"),
        (ca && extensions.key_usage.is_none(), "an authority has no key usage"),
        (!ca && signs_certificates, "the key usage to sign certificates stands without an authority"),
        (certificate.issuer.is_empty(), "the issuer is empty"),
        (
            certificate.subject.is_empty() && (ca || signs_lists || extensions.alternative_name.is_none()),
            "the subject is empty",
        ),
        (
            certificate.subject.is_empty() && extensions.alternative_name.as_ref().is_some_and(|name| !name.critical),
            "the subject is empty and the alternative name not critical",
        ),
        (
            extensions.alternative_name.as_ref().is_some_and(|name| name.value.is_empty()),
            "the alternative name is empty",
        ),
        (
            certificate.x509.signature_algorithm() != tbs.signature(),
            "the signature algorithms inside and outside differ",
        ),
        (authority.is_some_and(|authority| authority.critical), "the authority key id is critical"),
        (extensions.subject_key.as_ref().is_some_and(|key| key.critical), "the subject key id is critical"),
        (
            v3 && !is_last && authority.is_none_or(|authority| authority.value.key_identifier.is_none()),
            "the authority key id is missing",
        ),
        (v3 && ca && extensions.subject_key.is_none(), "an authority has no subject key id"),
        (!v3 && extensions.count > 0, "extensions stand in a certificate before version 3"),
    ];
    rules.into_iter().find_map(|(broken, rule)| broken.then_some(rule))
}
