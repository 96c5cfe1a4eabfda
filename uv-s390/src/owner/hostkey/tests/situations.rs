//! The 33 certificate sets that the real tool was run on (s390-formats §10), made again with our own keys.

use super::super::{Certificate, ChainError, SignatureError, VerifierBuilder, VerifyError};
use super::files::FILES;
use super::*;

struct Set {
    host: &'static str,
    certificates: &'static [&'static str],
    crls: &'static [&'static str],
    root: Option<&'static str>,
}

const GOOD: Set = Set {
    host: "host.crt",
    certificates: &["ibm.crt", "inter_ca.crt"],
    crls: &["ibm.crl", "inter_ca.crl"],
    root: Some("root_ca.chained.crt"),
};

fn verify(set: &Set) -> Result<(), VerifyError> {
    let mut builder = VerifierBuilder::new();
    for name in set.certificates {
        builder.add_certificates(&FILES[name]).unwrap();
    }
    for name in set.crls {
        builder.add_crls(&FILES[name]).unwrap();
    }
    if let Some(name) = set.root {
        builder.add_roots(&FILES[name]).unwrap();
    }
    builder.build(NOW)?.verify_certificate(&Certificate::from_bytes(&FILES[set.host]).unwrap())
}

fn host(host: &'static str) -> Result<(), VerifyError> {
    verify(&Set { host, ..GOOD })
}

fn certificates(certificates: &'static [&'static str]) -> Result<(), VerifyError> {
    verify(&Set { certificates, ..GOOD })
}

fn crls(crls: &'static [&'static str]) -> Result<(), VerifyError> {
    verify(&Set { crls, ..GOOD })
}

fn armonk(host: &'static str, crl: &'static [&'static str]) -> Result<(), VerifyError> {
    verify(&Set { host, certificates: &["ibm_armonk.crt", "inter_ca.crt"], crls: crl, ..GOOD })
}

#[test]
fn host_keys() {
    assert_eq!(verify(&GOOD), Ok(()));
    assert_eq!(host("host2.crt"), Ok(()));
    assert_eq!(host("host_uri_na.crt"), Ok(()));
    assert_eq!(host("der.crt"), Err(VerifyError::AuthorityKeyIdMismatch), "the signing certificate as host key");
    assert_eq!(host("host_rev.crt"), Err(VerifyError::Revoked));
    assert_eq!(host("host_crt_expired.crt"), Err(VerifyError::Expired));
    assert_eq!(host("host_invalid_signing_key.crt"), Err(VerifyError::AuthorityKeyIdMismatch));
    assert_eq!(host("fake_host.crt"), Err(VerifyError::AuthorityKeyIdMismatch));
}

#[test]
fn armonk_and_poughkeepsie() {
    assert_eq!(armonk("host.crt", &["ibm.crl", "inter_ca.crl"]), Ok(()));
    assert_eq!(armonk("host_armonk.crt", &["ibm_armonk.crl", "inter_ca.crl"]), Ok(()));
    assert_eq!(host("host_armonk.crt"), Ok(()), "the issuer name is not compared");
    assert_eq!(crls(&["ibm_armonk.crl", "inter_ca.crl"]), Err(VerifyError::NoValidCrl { found: 0 }), "one way only");
}

#[test]
fn missing_pieces() {
    assert_eq!(crls(&["inter_ca.crl"]), Err(VerifyError::NoValidCrl { found: 0 }));
    assert_eq!(crls(&["ibm.crl"]), at(0, ChainError::NoCrl));
    assert_eq!(verify(&Set { root: Some("root_ca.crt"), ..GOOD }), at(1, ChainError::NoCrl));
    let separately = Set { crls: &["ibm.crl", "inter_ca.crl", "root_ca.crl"], root: Some("root_ca.crt"), ..GOOD };
    assert_eq!(verify(&separately), Ok(()));
    assert_eq!(certificates(&["ibm.crt"]), at(0, ChainError::NoIssuer));
    assert_eq!(certificates(&["inter_ca.crt"]), Err(VerifyError::NoSigningKey));
    assert_eq!(certificates(&["ibm.crt", "inter_ca.crt", "ibm_armonk.crt"]), Err(VerifyError::ManySigningKeys));
    let chained = Set { certificates: &["ibm.chained.crt", "inter_ca.chained.crt"], crls: &[], ..GOOD };
    assert_eq!(verify(&chained), Ok(()));
}

#[test]
fn signing_certificates() {
    assert_eq!(certificates(&["ibm_expired.crt", "inter_ca.crt"]), at(0, ChainError::Expired));
    assert_eq!(certificates(&["ibm_rev.crt", "inter_ca.crt"]), at(0, ChainError::Revoked));
    assert_eq!(certificates(&["ibm_wrong_subject.crt", "inter_ca.crt"]), Err(VerifyError::NoSigningKey));
    let fake = Set {
        host: "fake_host.crt",
        certificates: &["fake_ibm.crt", "fake_inter_ca.crt"],
        crls: &["fake_ibm.crl", "fake_inter_ca.crl"],
        ..GOOD
    };
    assert_eq!(verify(&fake), at(0, ChainError::NoIssuer));
}

#[test]
fn revocation_lists() {
    let unusable = Err(VerifyError::NoValidCrl { found: 1 });
    assert_eq!(crls(&["ibm_outdated_early.crl", "inter_ca.crl"]), unusable);
    assert_eq!(crls(&["ibm_outdated_late.crl", "inter_ca.crl"]), unusable);
    assert_eq!(crls(&["ibm_invalid_hash.crl", "inter_ca.crl"]), unusable);
    assert_eq!(crls(&["ibm_wrong_subject.crl", "inter_ca.crl"]), Err(VerifyError::NoValidCrl { found: 0 }));
    let by_other = at(0, ChainError::CrlSignature(SignatureError::Invalid));
    assert_eq!(crls(&["ibm_wrong_issuer.crl", "inter_ca.crl"]), by_other);
    assert_eq!(crls(&["ibm.crl", "inter_ca.invalid_date.crl"]), at(0, ChainError::CrlExpired));
    assert_eq!(crls(&["ibm.crl", "inter_ca.invalid_signer.crl"]), at(0, ChainError::NoCrl));
}

#[test]
fn roots() {
    assert_eq!(verify(&Set { root: None, ..GOOD }), at(1, ChainError::NoIssuer));
    let intermediate = Set { certificates: &["ibm.crt"], root: Some("inter_ca.chained.crt"), ..GOOD };
    assert_eq!(verify(&intermediate), at(1, ChainError::NoIssuer));
}
