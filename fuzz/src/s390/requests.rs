//! Attestation and add-secret requests, exchange files, secret lists.

use std::sync::LazyLock;

use uv_s390::abi::secret::{LIST_PAGE_SIZE, SecretList, SecretType};
use uv_s390::owner::attest::{AdditionalData, Arcb, AttestationFlags, ExchangeFile, verify};
use uv_s390::owner::crypto::{HostPrivateKey, RequestKey};
use uv_s390::owner::request::{ConfigUid, ImageIdentity};
use uv_s390::owner::secret::{
    Asrcb, RetrievedSecret, UserDataVerifier, decode_plaintext, encode_plaintext, retrieve_buffer,
};

use super::seeds;

static HOST: LazyLock<HostPrivateKey> =
    LazyLock::new(|| HostPrivateKey::from_pem(seeds::REQUEST_HOST_KEY).expect("the fixture is a P-521 key"));
static ATTESTATION_KEY: LazyLock<RequestKey> =
    LazyLock::new(|| RequestKey::from_slice(seeds::ATTESTATION_KEY).expect("the fixture has 32 bytes"));
static IMAGE: LazyLock<ImageIdentity> =
    LazyLock::new(|| ImageIdentity::from_header(seeds::ATTESTED_HEADER).expect("the fixture is a header"));
static SIGNER: LazyLock<UserDataVerifier> =
    LazyLock::new(|| UserDataVerifier::from_document(seeds::SIGNER).expect("the fixture is a certificate"));

/// An attestation request, opened by its owner and by a machine.
pub fn attestation_request(data: &[u8]) {
    let _ = ImageIdentity::from_header(data);
    let _ = AdditionalData::split(AttestationFlags::KNOWN, data);
    let Ok(request) = Arcb::parse(data) else { return };
    let head = request.head();
    let _ = (head.check_layout(), head.check_flags(AttestationFlags::KNOWN), head.check_algorithm());
    assert!(!request.key_slots().is_empty());
    let _ = request.open_with_key(&ATTESTATION_KEY);
    if let Ok((opened, host_key)) = request.open([&*HOST]) {
        assert_eq!(opened.flags, head.attestation_flags());
        assert_eq!(host_key, HOST.public().phkh());
    }
}

/// An exchange file: written again, and verified as an answer.
pub fn exchange_file(data: &[u8]) {
    let Ok(file) = ExchangeFile::parse(data) else { return };
    let written = file.encode().expect("what was read within the limits is written within them");
    assert_eq!(ExchangeFile::parse(&written).as_ref(), Ok(&file));
    let Ok(response) = file.into_response() else { return };
    if let Ok(verification) = verify(&response, &ATTESTATION_KEY, &IMAGE) {
        let _ = verification.to_yaml();
    }
}

/// An add-secret request, opened by its owner and by a machine; its user data.
pub fn add_secret_request(data: &[u8]) {
    let _ = ConfigUid::from_file(data);
    let Ok(request) = Asrcb::parse(data) else { return };
    let _ = (request.secret_type(), request.secret_id(), request.head().check_layout());
    if let Ok((opened, _)) = request.open([&*HOST]) {
        assert_eq!(opened.secret.kind(), request.secret_type());
    }
    let _ = request.verify_user_data(&SIGNER);
}

/// A list of secrets, written again; what a guest retrieves.
pub fn secret_list(data: &[u8]) {
    if let Ok(list) = SecretList::decode(data) {
        let mut buffer = vec![0; data.len()];
        list.encode(&mut buffer).expect("the list came out of a buffer of this size");
        assert_eq!(SecretList::decode(&buffer).as_ref(), Ok(&list));
        for entry in list.entries.iter().take(8) {
            assert!(retrieve_buffer(entry).len() <= 8192);
        }
        let _ = SecretList::page(&list.entries, list.next_index)
            .map(|page| page.encode(&mut [0; LIST_PAGE_SIZE]).expect("a page holds its entries"));
    }
    if let Some(content) = decode_plaintext(data) {
        let encoded = encode_plaintext(content).expect("what was decoded is not too long");
        assert!(
            encoded.iter().zip(data).all(|(encoded, given)| encoded == given),
            "only the padding may be shorter or longer"
        );
    }
    if let Some((kind, answer)) = data.split_first_chunk() {
        let _ = RetrievedSecret::decode(SecretType(u16::from_be_bytes(*kind)), answer).to_pem();
    }
}
