//! Marked and unmarked certificates never mix, and the test infrastructure issues marked ones only.

use super::super::test_pki::{TestPki, TestPkiError, name};
use super::super::{Certificate, HostKeyDocument, SIMULATION_MARK, SIMULATION_MARK_OID, VerifierBuilder};
use super::chains::{parties, run_with};
use super::*;
use crate::owner::crypto::{HostPrivateKey, HostPublicKey};

fn pki(seed: u64) -> (TestPki, HostPublicKey) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let key = HostPrivateKey::generate(&mut rng).public();
    (TestPki::generate(&mut rng, BEGIN, END).unwrap(), key)
}

fn unmark(draft: &mut CertificateDraft) {
    without(&mut draft.extensions, SIMULATION_MARK_OID);
}

fn real_parties() -> Vec<Party> {
    let mut parties = parties(0);
    parties[1].name = files::ibm_name("Armonk", "Root");
    parties
}

/// A verifier over a chain without any mark.
fn real_verifier(parties: &[Party]) -> VerifierBuilder {
    let mut builder = VerifierBuilder::new();
    let (mut signing, mut root) =
        (parties[1].draft(Role::SigningKey, &parties[0], 2), parties[1].draft(Role::Authority, &parties[1], 1));
    unmark(&mut signing);
    unmark(&mut root);
    builder.add_certificates(&parties[1].key.sign(signing)).unwrap();
    builder.add_roots(&parties[1].key.sign(root)).unwrap();
    builder.add_crls(&parties[1].crl(&[])).unwrap().add_crls(&parties[0].crl(&[])).unwrap();
    builder
}

#[test]
fn what_the_test_pki_issues_verifies_and_is_marked() {
    let (mut pki, key) = pki(1);
    let document = pki.issue(&key, "machine-1").unwrap();
    assert_eq!(*document.public_key(), key);
    let verifier = pki.verifier_builder().unwrap().build(NOW).unwrap();
    assert_eq!(verifier.verify(&document), Ok(()));
    assert!(verifier.is_simulated());
    for certificate in [pki.root(), pki.intermediate(), pki.signing_key(), document.certificate()] {
        assert!(certificate.is_simulated());
        assert!(certificate.extensions.simulated);
        assert!(certificate.subject().replace('\\', "").contains(SIMULATION_MARK), "{}", certificate.subject());
    }
    assert!(pki.signing_key().is_ibm_z_signing_key());
    let other = pki.issue(&key, "machine-2").unwrap();
    assert_ne!(other.certificate().serial(), document.certificate().serial());
    pki.revoke(&document);
    let verifier = pki.verifier_builder().unwrap().build(NOW).unwrap();
    assert_eq!(verifier.verify(&document), Err(VerifyError::Revoked));
    assert_eq!(verifier.verify(&other), Ok(()));
    assert_eq!(pki.crls().unwrap().map(|crl| crl.entries()), [0, 0, 1]);
    assert_eq!(
        pki.verifier_builder().unwrap().build(END).map(|_| ()),
        at(0, ChainError::CrlExpired),
        "lists end with the certificates"
    );
}

#[test]
fn one_seed_makes_one_set() {
    let make = |seed| {
        let (mut pki, key) = pki(seed);
        let document = pki.issue(&key, "m").unwrap().certificate().der().to_vec();
        let crls = pki.crls().unwrap().map(|crl| crl.der().to_vec());
        (pki.root().der().to_vec(), pki.intermediate().der().to_vec(), pki.signing_key().der().to_vec(), document, crls)
    };
    assert_eq!(make(3), make(3));
    assert_ne!(make(3), make(4));
}

#[test]
fn what_can_not_be_issued() {
    let (mut pki, key) = pki(1);
    assert!(matches!(pki.issue(&key, ""), Err(TestPkiError::MachineName(0))));
    assert!(matches!(pki.issue(&key, &"x".repeat(65)), Err(TestPkiError::MachineName(65))));
    assert!(pki.issue(&key, &"x".repeat(64)).is_ok());
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    assert!(matches!(TestPki::generate(&mut rng, NOW, NOW), Err(TestPkiError::Validity)));
    assert!(matches!(TestPki::generate(&mut rng, NOW, u64::MAX), Err(TestPkiError::Build(_))));
}

#[test]
fn simulated_documents_under_other_roots() {
    let (mut pki, key) = pki(1);
    let document = pki.issue(&key, "machine-1").unwrap();
    // A real chain.
    let real = real_verifier(&real_parties()).build(NOW).unwrap();
    assert!(!real.is_simulated());
    assert_eq!(real.verify(&document), Err(VerifyError::SimulatedHostKey));
    // The simulated chain with real roots only.
    let parties = real_parties();
    let mut root = parties[1].draft(Role::Authority, &parties[1], 1);
    unmark(&mut root);
    let mut builder = VerifierBuilder::new();
    builder.add_certificates(pki.signing_key().der()).unwrap();
    builder.add_certificates(pki.intermediate().der()).unwrap();
    builder.add_certificates(pki.root().der()).unwrap();
    builder.add_roots(&parties[1].key.sign(root)).unwrap();
    assert_eq!(builder.build(NOW).map(|_| ()), Err(VerifyError::SimulatedSigningKey));
    // Another simulated chain.
    let (other, _) = self::pki(2);
    let other = other.verifier_builder().unwrap().build(NOW).unwrap();
    assert_eq!(other.verify(&document), Err(VerifyError::AuthorityKeyIdMismatch));
}

#[test]
fn one_mark_is_enough() {
    let real = real_parties();
    let verifier = real_verifier(&real).build(NOW).unwrap();
    let check = |host: Name, marked: bool| {
        let host = Party { name: host, key: Key::p521(1) };
        let mut draft = real[0].draft(Role::HostKey, &host, 9);
        if !marked {
            unmark(&mut draft);
        }
        verifier.verify(&HostKeyDocument::from_bytes(&real[0].key.sign(draft)).unwrap())
    };
    let plain = files::ibm_name("Armonk", "IBM Z Host Key");
    assert_eq!(check(plain.clone(), false), Ok(()));
    assert_eq!(check(plain, true), Err(VerifyError::SimulatedHostKey));
    assert_eq!(check(name::of_machine("m").unwrap(), false), Err(VerifyError::SimulatedHostKey));
}

#[test]
fn a_simulated_root_vouches_for_simulated_machines_only() {
    let (marked, host) = (parties(0), Party { name: files::ibm_name("Armonk", "IBM Z Host Key"), key: Key::p521(1) });
    let mut builder = VerifierBuilder::new();
    builder.add_certificates(&marked[1].issue(Role::SigningKey, &marked[0], 2)).unwrap();
    builder.add_roots(&marked[1].issue(Role::Authority, &marked[1], 1)).unwrap();
    builder.add_crls(&marked[1].crl(&[])).unwrap().add_crls(&marked[0].crl(&[])).unwrap();
    let mut draft = marked[0].draft(Role::HostKey, &host, 9);
    unmark(&mut draft);
    let document = Certificate::from_der(&marked[0].key.sign(draft)).unwrap();
    assert_eq!(builder.build(NOW).unwrap().verify_certificate(&document), Err(VerifyError::UnmarkedHostKey));
}

#[test]
fn chains_do_not_mix() {
    let mut parties = parties(1);
    for party in &mut parties[1..] {
        party.name = name::of_authority("x").unwrap();
    }
    let names = ["Signing Root", "Signing Intermediate"];
    for (party, unit) in parties[1..].iter_mut().zip(names) {
        party.name = files::ibm_name("Armonk", unit);
    }
    let with_unmarked = |levels: &'static [usize]| {
        run_with(
            &parties,
            &move |level, draft| {
                if levels.contains(&level) {
                    unmark(draft);
                }
            },
            &|_, _| (),
        )
    };
    assert_eq!(with_unmarked(&[]), Ok(()));
    assert_eq!(with_unmarked(&[0, 1, 2]), Ok(()), "no mark at all");
    assert_eq!(with_unmarked(&[0]), at(0, ChainError::MixedSimulation));
    assert_eq!(with_unmarked(&[1]), at(1, ChainError::MixedSimulation));
    assert_eq!(with_unmarked(&[1, 2]), Err(VerifyError::SimulatedSigningKey));
    assert_eq!(with_unmarked(&[0, 2]), at(1, ChainError::MixedSimulation));
}
