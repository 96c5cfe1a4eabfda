//! The chain of the signing key: building, strict rules, revocation, in the order of s390-formats §10 rule 4.

use der::Encode;
use der::asn1::Null;
use der::oid::ObjectIdentifier;
use der::oid::db::rfc5280;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages};

use super::super::container::MAX_BLOCKS;
use super::super::test_pki::{extension, name};
use super::super::{Certificate, CertificateKeyError, ParseError, VerifierBuilder};
use super::*;

/// An extension no reader knows.
const UNKNOWN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.390.99");

/// Signing key, intermediates, root: level 0 is the signing key.
pub(super) fn parties(intermediates: u64) -> Vec<Party> {
    let mut parties = alloc::vec![Party {
        name: name::of_signing_key("Armonk", "Host Key Signing Service").unwrap(),
        key: Key::p384(20),
    }];
    for level in 1..=intermediates + 1 {
        let name = name::of_authority(&std::format!("Level {level}")).unwrap();
        parties.push(Party { name, key: Key::p256(20 + level) });
    }
    parties
}

type Edit<'a, T> = &'a dyn Fn(usize, &mut T);

/// Issues the chain with the drafts as the edits leave them, and verifies it.
pub(super) fn run_with(
    parties: &[Party],
    edit: Edit<'_, CertificateDraft>,
    edit_crl: Edit<'_, CrlDraft>,
) -> Result<(), VerifyError> {
    let last = parties.len() - 1;
    let mut builder = VerifierBuilder::new();
    for (level, party) in parties.iter().enumerate() {
        let issuer = &parties[(level + 1).min(last)];
        let role = if level == 0 { Role::SigningKey } else { Role::Authority };
        let mut draft = issuer.draft(role, party, 100 + u64::try_from(level).unwrap());
        edit(level, &mut draft);
        let der = issuer.key.sign(draft);
        let _ = if level == last { builder.add_roots(&der) } else { builder.add_certificates(&der) }.unwrap();
        let mut draft = party.crl_draft(&[]);
        edit_crl(level, &mut draft);
        builder.add_crls(&party.key.sign_crl(draft)).unwrap();
    }
    builder.build(NOW).map(|_| ())
}

fn run(edit: Edit<'_, CertificateDraft>) -> Result<(), VerifyError> {
    run_with(&parties(1), edit, &|_, _| ())
}

fn run_crl(edit: Edit<'_, CrlDraft>) -> Result<(), VerifyError> {
    run_with(&parties(1), &|_, _| (), edit)
}

/// Replaces or adds an extension.
fn set(extensions: &mut Vec<Extension>, new: Extension) {
    extensions.retain(|old| old.extn_id != new.extn_id);
    extensions.push(new);
}

fn basic(ca: bool, path: Option<u8>, critical: bool) -> Extension {
    let value = BasicConstraints { ca, path_len_constraint: path };
    extension(rfc5280::ID_CE_BASIC_CONSTRAINTS, critical, &value).unwrap()
}

fn usage(usages: KeyUsages) -> Extension {
    extension(rfc5280::ID_CE_KEY_USAGE, true, &KeyUsage(usages.into())).unwrap()
}

#[test]
fn length_of_the_chain() {
    for intermediates in 0..=2 {
        assert_eq!(run_with(&parties(intermediates), &|_, _| (), &|_, _| ()), Ok(()), "{intermediates}");
    }
    assert_eq!(run_with(&parties(3), &|_, _| (), &|_, _| ()), at(3, ChainError::TooLong));
}

#[test]
fn a_chain_of_one_is_too_short() {
    let signing = &parties(0)[0];
    let der = signing.issue(Role::Authority, signing, 1);
    let mut builder = VerifierBuilder::new();
    builder.add_certificates(&der).unwrap().add_roots(&der).unwrap();
    assert_eq!(builder.clone().build(NOW).map(|_| ()), at(0, ChainError::TooShort));
    // The same without the trust.
    let other = parties(0)[1].clone();
    let mut builder = VerifierBuilder::new();
    builder.add_certificates(&der).unwrap().add_roots(&other.issue(Role::Authority, &other, 2)).unwrap();
    assert_eq!(builder.build(NOW).map(|_| ()), at(0, ChainError::UntrustedRoot));
}

#[test]
fn a_root_among_the_certificates_is_no_root() {
    let parties = parties(0);
    let root = parties[1].issue(Role::Authority, &parties[1], 1);
    let mut builder = VerifierBuilder::new();
    builder.add_certificates(&parties[1].issue(Role::SigningKey, &parties[0], 2)).unwrap();
    builder.add_certificates(&root).unwrap();
    assert_eq!(builder.build(NOW).map(|_| ()), at(1, ChainError::UntrustedRoot));
}

#[test]
fn issuers_are_found_by_name_and_key_id() {
    let other = name::of_authority("Other").unwrap();
    assert_eq!(
        run(&|level, draft| if level == 1 {
            draft.subject = other.clone()
        }),
        at(0, ChainError::NoIssuer)
    );
    let no_signing = |level, draft: &mut CertificateDraft| {
        if level == 1 {
            set(&mut draft.extensions, usage(KeyUsages::CRLSign));
        }
    };
    assert_eq!(run(&no_signing), at(1, ChainError::NotCa));
    let key = Key::p256(77).spki();
    let wrong_key_id = |level, draft: &mut CertificateDraft| {
        if level == 0 {
            set(&mut draft.extensions, authority_key(&key).unwrap());
        }
    };
    assert_eq!(run(&wrong_key_id), at(0, ChainError::NoIssuer));
}

#[test]
fn an_issuer_that_is_valid_now_goes_first() {
    let parties = parties(0);
    let mut old = parties[1].draft(Role::Authority, &parties[1], 1);
    old.not_after = NOW - DAY;
    let (old, new) = (parties[1].key.sign(old), parties[1].issue(Role::Authority, &parties[1], 2));
    let verify = |roots: &[&[u8]]| {
        let mut builder = VerifierBuilder::new();
        builder.add_certificates(&parties[1].issue(Role::SigningKey, &parties[0], 3)).unwrap();
        builder.add_crls(&parties[1].crl(&[])).unwrap();
        for root in roots {
            builder.add_roots(root).unwrap();
        }
        builder.build(NOW).map(|_| ())
    };
    assert_eq!(verify(&[&old, &new]), Ok(()));
    assert_eq!(verify(&[&old]), at(1, ChainError::Expired));
}

#[test]
fn critical_extensions_and_constraints() {
    for level in 0..=2 {
        let add = |id, critical| {
            move |now: usize, draft: &mut CertificateDraft| {
                if now == level {
                    draft.extensions.push(extension(id, critical, &Null).unwrap());
                }
            }
        };
        assert_eq!(run(&add(UNKNOWN, true)), at(level, ChainError::UnknownCritical(UNKNOWN)));
        assert_eq!(run(&add(UNKNOWN, false)), Ok(()));
        for id in [rfc5280::ID_CE_NAME_CONSTRAINTS, rfc5280::ID_CE_POLICY_CONSTRAINTS] {
            assert_eq!(run(&add(id, false)), at(level, ChainError::Constraint(id)));
        }
    }
}

#[test]
fn authorities_and_path_lengths() {
    let with = |level, new: Extension| {
        run(&|now: usize, draft: &mut CertificateDraft| {
            if now == level {
                set(&mut draft.extensions, new.clone());
            }
        })
    };
    assert_eq!(with(1, basic(false, None, true)), at(1, ChainError::NotCa));
    assert_eq!(with(2, basic(true, Some(1), true)), Ok(()));
    assert_eq!(with(2, basic(true, Some(0), true)), at(2, ChainError::PathLength));
    assert_eq!(with(1, basic(true, Some(0), true)), Ok(()));
    assert_eq!(
        with(1, basic(true, None, false)),
        at(1, ChainError::Strict("the basic constraints of an authority are not critical"))
    );
    assert_eq!(
        with(0, basic(false, Some(0), true)),
        at(0, ChainError::Strict("a path length stands in a certificate that is no authority"))
    );
    assert_eq!(
        with(0, usage(KeyUsages::KeyCertSign)),
        at(0, ChainError::Strict("the key usage to sign certificates stands without an authority"))
    );
}

#[test]
fn strict_rules() {
    let strict = |level, rule| at(level, ChainError::Strict(rule));
    let drop = |level, id| {
        run(&|now: usize, draft: &mut CertificateDraft| {
            if now == level {
                without(&mut draft.extensions, id);
            }
        })
    };
    let key_usage = drop(1, rfc5280::ID_CE_KEY_USAGE);
    assert_eq!(key_usage, strict(1, "an authority has no key usage"));
    let authority = drop(0, rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER);
    assert_eq!(authority, strict(0, "the authority key id is missing"));
    assert_eq!(drop(2, rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER), Ok(()), "the root needs none");
    let subject_key = drop(1, rfc5280::ID_CE_SUBJECT_KEY_IDENTIFIER);
    assert_eq!(subject_key, strict(1, "an authority has no subject key id"));
    let critical = |id| {
        run(&|level: usize, draft: &mut CertificateDraft| {
            if level == 1 {
                let mut extension = without(&mut draft.extensions, id);
                extension.critical = true;
                draft.extensions.push(extension);
            }
        })
    };
    assert_eq!(critical(rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER), strict(1, "the authority key id is critical"));
    assert_eq!(critical(rfc5280::ID_CE_SUBJECT_KEY_IDENTIFIER), strict(1, "the subject key id is critical"));
    let nobody = |level: usize, draft: &mut CertificateDraft| match level {
        0 => draft.issuer = Name::default(),
        1 => draft.subject = Name::default(),
        _ => {}
    };
    assert_eq!(run(&nobody), strict(0, "the issuer is empty"));
}

#[test]
fn dates_are_checked_from_the_root_down() {
    let expire = |levels: &'static [usize]| {
        run(&move |level: usize, draft: &mut CertificateDraft| {
            if levels.contains(&level) {
                draft.not_after = NOW;
            }
        })
    };
    assert_eq!(expire(&[0]), at(0, ChainError::Expired));
    assert_eq!(expire(&[0, 1]), at(1, ChainError::Expired));
    assert_eq!(expire(&[0, 1, 2]), at(2, ChainError::Expired));
    let window = |from, to| {
        run(&move |level: usize, draft: &mut CertificateDraft| {
            if level == 1 {
                (draft.not_before, draft.not_after) = (from, to);
            }
        })
    };
    assert_eq!(window(NOW, NOW + 1), Ok(()), "the first second belongs to it, the last does not");
    assert_eq!(window(NOW + 1, NOW + 2), at(1, ChainError::NotYetValid));
}

#[test]
fn revocation_lists_of_the_chain() {
    for level in 0..=1 {
        fn with(level: usize, edit: impl Fn(&mut CrlDraft)) -> Result<(), VerifyError> {
            run_crl(&|now, draft| {
                if now == level + 1 {
                    edit(draft);
                }
            })
        }
        assert_eq!(with(level, |draft| draft.next_update = None), at(level, ChainError::CrlExpired));
        assert_eq!(with(level, |draft| draft.next_update = Some(NOW)), at(level, ChainError::CrlExpired));
        assert_eq!(with(level, |draft| draft.next_update = Some(NOW + 1)), Ok(()));
        assert_eq!(with(level, |draft| draft.this_update = NOW + 1), at(level, ChainError::CrlNotYetValid));
        let unknown = |draft: &mut CrlDraft| draft.extensions.push(extension(UNKNOWN, true, &Null).unwrap());
        assert_eq!(with(level, unknown), at(level, ChainError::CrlUnknownCritical(UNKNOWN)));
        let delta = |draft: &mut CrlDraft| {
            draft.extensions.push(extension(rfc5280::ID_CE_DELTA_CRL_INDICATOR, true, &1_u8).unwrap());
        };
        assert_eq!(with(level, delta), at(level, ChainError::NoCrl));
    }
    let own = |now: usize, draft: &mut CrlDraft| {
        if now == 2 {
            draft.revoked = alloc::vec![alloc::vec![102]];
        }
    };
    assert_eq!(run_crl(&own), at(2, ChainError::Revoked), "the root on its own list");
    let may_not = |level, draft: &mut CertificateDraft| {
        if level == 1 {
            set(&mut draft.extensions, usage(KeyUsages::KeyCertSign));
        }
    };
    assert_eq!(run(&may_not), at(0, ChainError::CrlSignNotAllowed));
}

#[test]
fn two_algorithms_in_one_certificate() {
    let parties = parties(0);
    let mut der = parties[1].issue(Role::SigningKey, &parties[0], 2);
    // The outer algorithm stands behind the signed part: ecdsa-with-SHA256 becomes ecdsa-with-SHA384.
    let id = der::oid::db::rfc5912::ECDSA_WITH_SHA_256.to_der().unwrap();
    let at_byte = der.windows(id.len()).rposition(|window| window == id).unwrap() + id.len() - 1;
    der[at_byte] = 3;
    let mut builder = VerifierBuilder::new();
    builder.add_certificates(&der).unwrap();
    builder.add_roots(&parties[1].issue(Role::Authority, &parties[1], 1)).unwrap();
    builder.add_crls(&parties[1].crl(&[])).unwrap();
    let rule = "the signature algorithms inside and outside differ";
    assert_eq!(builder.build(NOW).map(|_| ()), at(0, ChainError::Strict(rule)));
}

#[test]
fn inputs_without_what_they_should_hold() {
    let parties = parties(0);
    let (certificate, crl) = (parties[1].issue(Role::Authority, &parties[1], 1), parties[1].crl(&[]));
    let mut builder = VerifierBuilder::new();
    assert_eq!(builder.add_certificates(b"").unwrap_err(), ParseError::NoCertificate);
    assert_eq!(builder.add_crls(b"text").unwrap_err(), ParseError::NoCrl);
    let pem = super::super::container::certificate_pem(&certificate);
    assert_eq!(builder.add_crls(pem.as_bytes()).unwrap_err(), ParseError::NoCrl);
    assert!(matches!(builder.add_crls(&certificate), Err(ParseError::Der { .. })));
    assert!(matches!(builder.add_roots(&crl), Err(ParseError::Der { .. })));
    let many = pem.repeat(MAX_BLOCKS + 1);
    assert_eq!(builder.add_roots(many.as_bytes()).unwrap_err(), ParseError::TooManyBlocks { limit: MAX_BLOCKS });
    assert!(builder.add_roots(pem.repeat(MAX_BLOCKS).as_bytes()).is_ok());
    let twice = |_: usize, draft: &mut CertificateDraft| draft.extensions.push(draft.extensions[0].clone());
    let mut draft = parties[1].draft(Role::Authority, &parties[1], 1);
    twice(0, &mut draft);
    let id = draft.extensions[0].extn_id;
    let parsed = Certificate::from_der(&parties[1].key.sign(draft));
    assert_eq!(parsed.unwrap_err(), ParseError::DuplicateExtension(id));
}

#[test]
fn weak_keys_are_named() {
    let mut draft = parties(0)[1].draft(Role::SigningKey, &parties(0)[0], 2);
    draft.spki = algorithms::short_rsa_spki();
    let certificate = Certificate::from_der(&parties(0)[1].key.sign(draft)).unwrap();
    assert_eq!(certificate.public_key().map(|_| ()).unwrap_err(), CertificateKeyError::Weak { bits: 1024 });
}
