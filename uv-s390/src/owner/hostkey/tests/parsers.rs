//! No input makes a reader panic, and what a reader takes it gives back.

use proptest::prelude::*;

use super::super::{Certificate, Crl, HostKeyDocument, MAX_INPUT, ParseError, VerifierBuilder};
use super::files::FILES;
use super::*;

/// Feeds every reader.
fn read(input: &[u8]) {
    let _ = HostKeyDocument::from_bytes(input);
    if let Ok(certificate) = Certificate::from_der(input) {
        assert_eq!(certificate.der(), input);
        let _ = std::format!("{certificate:?} {} {}", certificate.subject(), certificate.issuer());
        let _ = certificate.public_key().map(|key| certificate.verify_signature(&key));
    }
    if let Ok(crl) = Crl::from_der(input) {
        assert_eq!(crl.der(), input);
        let _ = std::format!("{crl:?}");
    }
    let mut builder = VerifierBuilder::new();
    let _ = builder.add_certificates(input).map(|_| ());
    let _ = builder.add_crls(input).map(|_| ());
    let _ = builder.add_roots(input).map(|_| ());
    let _ = builder.build(NOW);
}

fn der_of(name: &str) -> Vec<u8> {
    let mut certificates = super::super::container::read(&FILES[name]).unwrap();
    certificates.certificates.pop().or_else(|| certificates.crls.pop()).unwrap()
}

#[test]
fn inputs_are_bounded() {
    let long = alloc::vec![b' '; MAX_INPUT + 1];
    let too_large = ParseError::TooLarge { actual: MAX_INPUT + 1, limit: MAX_INPUT };
    assert_eq!(Certificate::from_bytes(&long).unwrap_err(), too_large);
    assert_eq!(Certificate::from_der(&long).unwrap_err(), too_large);
    assert_eq!(Crl::from_der(&long).unwrap_err(), too_large);
    assert_eq!(VerifierBuilder::new().add_crls(&long).unwrap_err(), too_large);
    assert_eq!(Certificate::from_bytes(&long[1..]).unwrap_err(), ParseError::NoCertificate);
}

#[test]
fn lengths_that_promise_too_much() {
    for length in [[0x84, 0xff, 0xff, 0xff, 0xff], [0x84, 0x0f, 0xff, 0xff, 0xff], [0x83, 0xff, 0xff, 0xff, 0x30]] {
        read(&[&[0x30][..], &length, &[0x30, 0x80]].concat());
    }
    read(&[0x30, 0x80].repeat(100_000));
    read(&[0x30, 0x84, 0, 0, 0, 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(input in proptest::collection::vec(any::<u8>(), 0..512)) {
        read(&input);
        read(&[&[0x30, 0x82, 1, 0][..], &input].concat());
    }

    #[test]
    fn random_text(input in "(-----BEGIN (CERTIFICATE|X509 CRL|X)-----\n)?[A-Za-z0-9+/=\r\n-]{0,200}(-----END (CERTIFICATE|X509 CRL)-----)?") {
        read(input.as_bytes());
    }

    #[test]
    fn changed_structures(
        name in prop::sample::select(&["host.crt", "ibm.crt", "root_ca.crt", "ibm.crl"][..]),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut der = der_of(name);
        for (at, value) in changes {
            let at = at.index(der.len());
            der[at] = value;
        }
        if let Some(cut) = cut {
            der.truncate(cut.index(der.len()));
        }
        read(&der);
    }

    #[test]
    fn pem_and_der_say_the_same(name in prop::sample::select(&["host.crt", "ibm.crt", "root_ca.crt"][..])) {
        let certificate = Certificate::from_bytes(&FILES[name]).unwrap();
        let pem = certificate.to_pem();
        let again = Certificate::from_bytes(pem.as_bytes()).unwrap();
        prop_assert_eq!(again.der(), certificate.der());
        prop_assert_eq!(pem.as_bytes(), &FILES[name][..]);
    }
}
