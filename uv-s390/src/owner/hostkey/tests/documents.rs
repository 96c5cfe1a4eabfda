//! Host-key documents: reading them, and rules 5 and 6 of s390-formats §10.

use der::asn1::{Any, BitString, Null};
use der::oid::ObjectIdentifier;
use der::oid::db::{rfc4519, rfc5280};
use x509_cert::ext::pkix::IssuingDistributionPoint;

use super::super::container::certificate_pem;
use super::super::test_pki::{extension, name};
use super::super::{
    Certificate, CertificateKeyError, HostKeyDocument, ParseError, SignatureError, Verifier, VerifierBuilder,
};
use super::chains::parties;
use super::files::{FILES, IBM};
use super::*;

fn host() -> Party {
    Party { name: name::of_machine("host").unwrap(), key: Key::p521(40) }
}

/// A verifier whose signing key is level 0 of [`parties`], with these lists for the host key.
fn verifier(crls: &[CrlDraft], signing: &Party) -> Verifier {
    let root = &parties(0)[1];
    let mut builder = VerifierBuilder::new();
    builder.add_certificates(&root.issue(Role::SigningKey, signing, 2)).unwrap();
    builder.add_roots(&root.issue(Role::Authority, root, 1)).unwrap();
    builder.add_crls(&root.crl(&[])).unwrap();
    for crl in crls {
        builder.add_crls(&signing.key.sign_crl(crl.clone())).unwrap();
    }
    builder.build(NOW).unwrap()
}

fn verify(edit: impl Fn(&mut CertificateDraft)) -> Result<(), VerifyError> {
    let signing = &parties(0)[0];
    let mut draft = signing.draft(Role::HostKey, &host(), 50);
    edit(&mut draft);
    let certificate = Certificate::from_der(&signing.key.sign(draft)).unwrap();
    verifier(&[signing.crl_draft(&[])], signing).verify_certificate(&certificate)
}

#[test]
fn reading() {
    let Key::P521(signer) = host().key else { unreachable!("a P-521 key") };
    let signing = &parties(0)[0];
    let der = signing.issue(Role::HostKey, &host(), 50);
    let pem = certificate_pem(&der);
    let point = signer.verifying_key().to_sec1_point(false);
    for input in
        [der.clone(), pem.clone().into_bytes(), std::format!("Subject: x\r\n{pem}").replace('\n', "\r\n").into()]
    {
        let document = HostKeyDocument::from_bytes(&input).unwrap();
        assert_eq!(document.public_key().coordinates().x[14..], point.as_bytes()[1..67]);
        assert_eq!(document.public_key().coordinates().y[14..], point.as_bytes()[67..]);
        assert_eq!(document.certificate().to_pem(), pem);
        assert_eq!(document.certificate().der(), der);
        assert!(document.is_simulated());
    }
    let first = [FILES["host2.crt"].clone(), FILES["host.crt"].clone()].concat();
    let second = Certificate::from_bytes(&FILES["host2.crt"]).unwrap();
    assert_eq!(HostKeyDocument::from_bytes(&first).unwrap().certificate().serial(), second.serial());
    assert_eq!(HostKeyDocument::from_bytes(&FILES["ibm.crt"]).unwrap_err(), ParseError::NotP521);
    assert_eq!(HostKeyDocument::from_bytes(&FILES["ibm.crl"]).unwrap_err(), ParseError::NoCertificate);
    assert!(matches!(HostKeyDocument::from_bytes(&der[..der.len() - 1]), Err(ParseError::Der { .. })));
    assert!(matches!(HostKeyDocument::from_bytes(&[&der[..], &[0]].concat()), Err(ParseError::Der { .. })));
    assert_eq!(HostKeyDocument::from_bytes(&pem.as_bytes()[..pem.len() - 9]).unwrap_err(), ParseError::Pem);
}

#[test]
fn the_document_itself() {
    assert_eq!(verify(|_| ()), Ok(()));
    assert_eq!(verify(|draft| draft.not_after = NOW), Err(VerifyError::Expired));
    assert_eq!(verify(|draft| draft.not_before = NOW + 1), Err(VerifyError::NotYetValid));
    let other = Key::p256(41).spki();
    let wrong_id = |draft: &mut CertificateDraft| {
        without(&mut draft.extensions, rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER);
        draft.extensions.push(authority_key(&other).unwrap());
    };
    assert_eq!(verify(wrong_id), Err(VerifyError::AuthorityKeyIdMismatch));
    let no_id = |draft: &mut CertificateDraft| {
        without(&mut draft.extensions, rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER);
    };
    assert_eq!(verify(no_id), Ok(()));
    assert_eq!(verify(|draft| draft.issuer = Name::default()), Ok(()), "the issuer name is not compared");
    let unknown = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.390.99");
    let critical = |draft: &mut CertificateDraft| draft.extensions.push(extension(unknown, true, &Null).unwrap());
    assert_eq!(verify(critical), Err(VerifyError::UnknownCritical(unknown)));
    assert_eq!(
        verify(|draft| draft.spki = algorithms::short_rsa_spki()),
        Err(VerifyError::Key(CertificateKeyError::Weak { bits: 1024 }))
    );
    let bad_point = |draft: &mut CertificateDraft| draft.spki.subject_public_key = BitString::from_bytes(&[4]).unwrap();
    assert_eq!(verify(bad_point), Err(VerifyError::Key(CertificateKeyError::Malformed)));
}

#[test]
fn the_first_error_is_told() {
    let signing = &parties(0)[0];
    let verifier = verifier(&[], signing);
    let mut draft = signing.draft(Role::HostKey, &host(), 50);
    let check = |draft: &CertificateDraft, key: &Key| {
        verifier.verify_certificate(&Certificate::from_der(&key.sign(draft.clone())).unwrap())
    };
    let other = Key::p384(42);
    assert_eq!(check(&draft, &signing.key), Err(VerifyError::NoValidCrl { found: 0 }));
    assert_eq!(check(&draft, &other), Err(VerifyError::Signature(SignatureError::Invalid)));
    without(&mut draft.extensions, rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER);
    draft.extensions.push(authority_key(&other.spki()).unwrap());
    assert_eq!(check(&draft, &other), Err(VerifyError::AuthorityKeyIdMismatch));
    draft.not_after = NOW - 1;
    assert_eq!(check(&draft, &other), Err(VerifyError::Expired));
    draft.not_before = NOW + 1;
    assert_eq!(check(&draft, &other), Err(VerifyError::NotYetValid));
    without(&mut draft.extensions, super::super::SIMULATION_MARK_OID);
    draft.subject = Name::default();
    assert_eq!(check(&draft, &other), Err(VerifyError::UnmarkedHostKey));
}

#[test]
fn changed_bits_of_a_document_are_refused() {
    let signing = &parties(0)[0];
    let verifier = verifier(&[signing.crl_draft(&[])], signing);
    let der = signing.issue(Role::HostKey, &host(), 50);
    for bit in (0..der.len() * 8).step_by(7) {
        let mut changed = der.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let accepted =
            Certificate::from_der(&changed).is_ok_and(|document| verifier.verify_certificate(&document).is_ok());
        assert!(!accepted, "bit {bit}");
    }
}

#[test]
fn one_list_must_count_and_none_may_name_the_document() {
    let signing = &parties(0)[0];
    let document = Certificate::from_der(&signing.issue(Role::HostKey, &host(), 50)).unwrap();
    let check = |crls: &[CrlDraft]| verifier(crls, signing).verify_certificate(&document);
    let (good, revoking) = (signing.crl_draft(&[51]), signing.crl_draft(&[49, 50]));
    let outdated = CrlDraft { next_update: Some(NOW), ..revoking.clone() };
    let endless = CrlDraft { next_update: None, ..good.clone() };
    let other_key = alloc::vec![authority_key(&Key::p256(43).spki()).unwrap()];
    assert_eq!(check(core::slice::from_ref(&good)), Ok(()));
    assert_eq!(check(&[good.clone(), revoking.clone()]), Err(VerifyError::Revoked));
    assert_eq!(check(&[revoking, good.clone()]), Err(VerifyError::Revoked));
    assert_eq!(check(&[outdated.clone(), good.clone()]), Ok(()), "an outdated list says nothing");
    assert_eq!(check(&[outdated, endless]), Err(VerifyError::NoValidCrl { found: 2 }));
    let of_other = CrlDraft { extensions: other_key, ..good.clone() };
    assert_eq!(check(&[of_other]), Err(VerifyError::NoValidCrl { found: 1 }));
    let scoped = |only_contains_user_certs, only_contains_ca_certs, indirect_crl| {
        let scope = IssuingDistributionPoint {
            distribution_point: None,
            only_contains_user_certs,
            only_contains_ca_certs,
            only_some_reasons: None,
            indirect_crl,
            only_contains_attribute_certs: false,
        };
        let scope = extension(rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT, true, &scope).unwrap();
        check(&[CrlDraft { extensions: alloc::vec![scope], ..good.clone() }])
    };
    assert_eq!(scoped(true, false, false), Ok(()));
    assert_eq!(scoped(false, true, false), Err(VerifyError::NoValidCrl { found: 1 }));
    assert_eq!(scoped(false, false, true), Err(VerifyError::NoValidCrl { found: 1 }));
}

#[test]
fn lookup_names_of_lists() {
    const UNIT: &str = "IBM Z Host Key Signing Service";
    let reordered = |locality| {
        name::of(&[
            (rfc4519::COUNTRY_NAME, "US"),
            (rfc4519::ORGANIZATION_NAME, IBM),
            (rfc4519::ORGANIZATIONAL_UNIT_NAME, UNIT),
            (rfc4519::LOCALITY_NAME, locality),
            (rfc4519::ST, "New York"),
            (rfc4519::COMMON_NAME, IBM),
        ])
        .unwrap()
    };
    let own = |locality| name::of_signing_key(locality, UNIT).unwrap();
    let find = |signing: Name, lists: &[Name]| {
        let signing = Party { name: signing, ..parties(0)[0].clone() };
        let document = Certificate::from_der(&signing.issue(Role::HostKey, &host(), 50)).unwrap();
        // Which list was used shows in the number of lists under its name: the first has one, the second two, ...
        let mut drafts = Vec::new();
        for (index, name) in lists.iter().enumerate() {
            let draft = CrlDraft { issuer: name.clone(), next_update: None, ..signing.crl_draft(&[]) };
            drafts.extend(core::iter::repeat_n(draft, index + 1));
        }
        match verifier(&drafts, &signing).verify_certificate(&document) {
            Err(VerifyError::NoValidCrl { found }) => found,
            other => panic!("no list counts here: {other:?}"),
        }
    };
    let armonk = own("Armonk");
    let names = [own("Armonk"), own("Poughkeepsie"), reordered("Poughkeepsie"), reordered("Armonk")];
    assert_eq!(find(armonk.clone(), &names), 1);
    assert_eq!(find(armonk.clone(), &names[1..]), 1);
    assert_eq!(find(armonk.clone(), &names[2..]), 1);
    assert_eq!(find(armonk.clone(), &names[3..]), 1);
    let [first, second, third, last] = names;
    assert_eq!(find(armonk.clone(), &[last.clone(), third.clone()]), 2, "Poughkeepsie goes before Armonk reordered");
    assert_eq!(find(armonk.clone(), &[third.clone(), second.clone()]), 2);
    assert_eq!(find(own("Poughkeepsie"), &[first, last]), 0);
    assert_eq!(find(own("Poughkeepsie"), &[third]), 1);
    let shouting = name::of_signing_key("ARMONK", "IBM  Z host key Signing Service ").unwrap();
    assert_eq!(find(armonk, &[shouting]), 1, "case and blanks do not count in a lookup");
}

#[test]
fn subjects_of_signing_keys() {
    let is = |name: Name| super::super::name::is_signing_key_subject(&name);
    assert!(is(name::of_signing_key("Armonk", "Key Signing Service").unwrap()));
    assert!(is(files::ibm_name("Poughkeepsie", "IBM Z Host Key Signing Service")));
    assert!(!is(files::ibm_name("Boeblingen", "IBM Z Host Key Signing Service")));
    assert!(!is(files::ibm_name("Armonk", "Key Signing Service Invalid")));
    assert!(!is(files::ibm_name("ARMONK", "Key Signing Service")), "here case counts");
    assert!(!is(Name::default()));
    let country = (rfc4519::COUNTRY_NAME, "US");
    assert!(!is(name::of(&[country; 6]).unwrap()));
    let mut six = alloc::vec![
        country,
        (rfc4519::ST, "New York"),
        (rfc4519::LOCALITY_NAME, "Armonk"),
        (rfc4519::ORGANIZATION_NAME, IBM),
        (rfc4519::COMMON_NAME, IBM),
        (rfc4519::ORGANIZATIONAL_UNIT_NAME, "Key Signing Service"),
    ];
    assert!(is(name::of(&six).unwrap()));
    six.push((rfc4519::STREET, "x"));
    assert!(!is(name::of(&six).unwrap()));
    let bmp = Any::new(der::Tag::BmpString, [0, b'U', 0, b'S']).unwrap();
    assert_eq!(super::super::name::text(&bmp).unwrap(), "US");
    assert_eq!(super::super::name::text(&Any::null()), None);
}
