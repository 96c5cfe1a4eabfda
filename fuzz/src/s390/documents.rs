//! Certificates, revocation lists and key files.

use std::sync::LazyLock;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use uv_s390::owner::crypto::{HostPrivateKey, HostPublicKey};
use uv_s390::owner::hostkey::test_pki::TestPki;
use uv_s390::owner::hostkey::{Certificate, Crl, HostKeyDocument, Verifier, VerifierBuilder};
use uv_s390::owner::secret::{UserDataSigner, UserDataVerifier};

const BEGIN: u64 = 1_767_225_600;
const NOW: u64 = 1_800_000_000;
const END: u64 = 2_082_758_400;

/// A chain of simulated authorities with one machine.
pub(crate) struct Chain {
    pki: TestPki,
    document: HostKeyDocument,
    verifier: Verifier,
}

static CHAIN: LazyLock<Chain> = LazyLock::new(|| {
    let mut rng = ChaCha20Rng::from_seed([7; 32]);
    let key = HostPrivateKey::generate(&mut rng).public();
    let mut pki = TestPki::generate(&mut rng, BEGIN, END).expect("the end is after the begin");
    let document = pki.issue(&key, "machine").expect("the name is short");
    let verifier =
        pki.verifier_builder().expect("the chain reads").build(NOW).expect("the chain is whole and valid now");
    Chain { pki, document, verifier }
});

impl Chain {
    /// Every document of the chain, as PEM and as DER.
    pub(crate) fn documents() -> Vec<Vec<u8>> {
        let pki = &CHAIN.pki;
        let certificates = [CHAIN.document.certificate(), pki.signing_key(), pki.intermediate(), pki.root()];
        let lists = pki.crls().expect("the lists were built before");
        let all_pem: String = certificates.iter().map(|it| it.to_pem()).chain(lists.iter().map(Crl::to_pem)).collect();
        let mut documents =
            vec![all_pem.into_bytes(), certificates[0].to_pem().into_bytes(), lists[0].to_pem().into_bytes()];
        documents.extend(certificates.iter().map(|it| it.der().to_vec()));
        documents.extend(lists.iter().map(|it| it.der().to_vec()));
        documents
    }
}

/// A host-key document, as certificate of every role; checked against a good chain.
pub fn certificate(data: &[u8]) {
    let _ = HostPublicKey::from_certificate(data);
    let Ok(certificate) = Certificate::from_bytes(data) else { return };
    assert_eq!(
        Certificate::from_der(certificate.der()).map(|again| again.serial().to_vec()),
        Ok(certificate.serial().to_vec())
    );
    let _ = (certificate.subject(), certificate.issuer(), certificate.not_before(), certificate.not_after());
    let _ = format!("{certificate:?}");
    let verdict = CHAIN.verifier.verify_certificate(&certificate);
    assert!(verdict.is_err() || certificate.is_simulated(), "only simulated machines are under this root");
    if let Ok(document) = HostKeyDocument::from_bytes(data) {
        let _ = document.public_key().phkh();
    }
}

/// Files that a verifier is built from: certificates, revocation lists and roots, each in the place of the good one.
pub fn host_key_chain(data: &[u8]) {
    let _ = Crl::from_der(data).map(|list| (list.entries(), list.to_pem(), format!("{list:?}")));
    for place in 0..3 {
        let mut builder = VerifierBuilder::new();
        let added = match place {
            0 => builder.add_certificates(data),
            1 => builder.add_crls(data),
            _ => builder.add_roots(data),
        };
        if added.is_err() {
            continue;
        }
        let pki = &CHAIN.pki;
        for good in [pki.signing_key(), pki.intermediate()].iter().filter(|_| place != 0) {
            builder.add_certificates(good.der()).expect("a good certificate");
        }
        for good in pki.crls().expect("the lists were built before").iter().filter(|_| place != 1) {
            builder.add_crls(good.der()).expect("a good list");
        }
        if place != 2 {
            builder.add_roots(pki.root().der()).expect("a good root");
        }
        if let Ok(verifier) = builder.build(NOW) {
            let _ = verifier.verify(&CHAIN.document);
        }
    }
}

/// Private and public keys in every container.
pub fn s390_key(data: &[u8]) {
    let keys =
        [HostPrivateKey::from_pkcs8_der(data), HostPrivateKey::from_sec1_der(data), HostPrivateKey::from_scalar(data)];
    for key in keys.iter().flatten() {
        let _ = key.public().phkh();
    }
    let _ = (
        HostPublicKey::from_spki_der(data),
        UserDataVerifier::from_spki_der(data),
        UserDataVerifier::from_document(data),
    );
    let Ok(text) = str::from_utf8(data) else { return };
    let _ = (HostPrivateKey::from_pem(text), HostPublicKey::from_pem(text));
    if let Ok(signer) = UserDataSigner::from_pem(text) {
        assert_eq!(signer.verifier().kind(), signer.kind());
    }
}
