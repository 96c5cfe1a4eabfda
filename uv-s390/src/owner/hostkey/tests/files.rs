//! The files of a certificate directory, by name: the shapes of the sets of s390-formats §10, with keys made here.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use std::sync::LazyLock;

use der::oid::db::rfc4519;

use super::super::container::{certificate_pem, crl_pem};
use super::super::test_pki::{Role, name};
use super::*;

pub(super) static FILES: LazyLock<BTreeMap<&'static str, Vec<u8>>> = LazyLock::new(make);

pub(super) const IBM: &str = "International Business Machines Corporation";
const SERVICE: &str = "IBM Z Host Key Signing Service";

/// Names in the order C, O, CN, ST, L, OU, as `openssl req` writes them.
pub(super) fn ibm_name(locality: &str, unit: &str) -> Name {
    name::of(&[
        (rfc4519::COUNTRY_NAME, "US"),
        (rfc4519::ORGANIZATION_NAME, IBM),
        (rfc4519::COMMON_NAME, IBM),
        (rfc4519::ST, "New York"),
        (rfc4519::LOCALITY_NAME, locality),
        (rfc4519::ORGANIZATIONAL_UNIT_NAME, unit),
    ])
    .unwrap()
}

fn party(locality: &str, unit: &str, key: Key) -> Party {
    Party { name: ibm_name(locality, unit), key }
}

fn make() -> BTreeMap<&'static str, Vec<u8>> {
    let root = party("Armonk", "IBM Z Root CA", Key::p256(1));
    let inter = party("Armonk", "IBM Z Intermediate CA", Key::p256(2));
    let ibm = party("Poughkeepsie", SERVICE, Key::p256(3));
    let ibm_armonk = Party { name: ibm_name("Armonk", SERVICE), ..ibm.clone() };
    let other_service = party("Poughkeepsie", "Key Signing Service Invalid", Key::p256(4));
    let fake_root = Party { key: Key::p256(5), ..root.clone() };
    let fake_inter = Party { key: Key::p256(6), ..inter.clone() };
    let fake_ibm = Party { key: Key::p256(7), ..ibm.clone() };
    let host = party("Armonk", "IBM Z Host Key", Key::p521(8));
    let host2 = party("Armonk", "IBM Z Host Key", Key::p521(9));

    let mut files = BTreeMap::new();
    let mut certificate = |name, der: Vec<u8>| {
        files.insert(name, certificate_pem(&der).into_bytes());
        der
    };
    let root_der = certificate("root_ca.crt", root.issue(Role::Authority, &root, 1));
    let inter_der = certificate("inter_ca.crt", root.issue(Role::Authority, &inter, 2));
    let ibm_der = certificate("ibm.crt", inter.issue(Role::SigningKey, &ibm, 3));
    certificate("ibm_armonk.crt", inter.issue(Role::SigningKey, &ibm_armonk, 4));
    certificate("ibm_rev.crt", inter.issue(Role::SigningKey, &ibm, 5));
    certificate("ibm_wrong_subject.crt", inter.issue(Role::SigningKey, &other_service, 6));
    let mut expired = inter.draft(Role::SigningKey, &ibm, 7);
    (expired.not_before, expired.not_after) = (NOW - 900 * DAY, NOW - 800 * DAY);
    certificate("ibm_expired.crt", inter.key.sign(expired));
    certificate("host.crt", ibm.issue(Role::HostKey, &host, 10));
    certificate("host2.crt", ibm.issue(Role::HostKey, &host2, 11));
    certificate("host_rev.crt", ibm.issue(Role::HostKey, &host, 12));
    certificate("host_armonk.crt", ibm_armonk.issue(Role::HostKey, &host, 13));
    certificate("host_invalid_signing_key.crt", other_service.issue(Role::HostKey, &host, 14));
    certificate("host_uri_na.crt", ibm.issue(Role::HostKey, &host, 15));
    let mut expired = ibm.draft(Role::HostKey, &host, 16);
    (expired.not_before, expired.not_after) = (NOW - 900 * DAY, NOW - 800 * DAY);
    certificate("host_crt_expired.crt", ibm.key.sign(expired));
    certificate("fake_host.crt", fake_ibm.issue(Role::HostKey, &host, 17));
    certificate("fake_inter_ca.crt", fake_root.issue(Role::Authority, &fake_inter, 18));
    certificate("fake_ibm.crt", fake_root.issue(Role::SigningKey, &fake_ibm, 19));
    files.insert("der.crt", ibm_der.clone());

    let mut crl = |name, der: Vec<u8>| {
        files.insert(name, crl_pem(&der).into_bytes());
        der
    };
    let root_crl = crl("root_ca.crl", root.crl(&[333]));
    let inter_crl = crl("inter_ca.crl", inter.crl(&[444, 5]));
    let ibm_crl = crl("ibm.crl", ibm.crl(&[555, 12]));
    crl("ibm_armonk.crl", ibm_armonk.crl(&[555, 12]));
    crl("fake_ibm.crl", fake_ibm.crl(&[555]));
    crl("fake_inter_ca.crl", fake_inter.crl(&[444]));
    crl("ibm_wrong_subject.crl", other_service.crl(&[555]));
    let mut early = ibm.crl_draft(&[]);
    (early.this_update, early.next_update) = (NOW + 1000 * DAY, Some(NOW + 2000 * DAY));
    crl("ibm_outdated_early.crl", ibm.key.sign_crl(early));
    let mut late = ibm.crl_draft(&[]);
    (late.this_update, late.next_update) = (NOW - 900 * DAY, Some(NOW - 800 * DAY));
    crl("ibm_outdated_late.crl", ibm.key.sign_crl(late));
    let mut wrong_issuer = ibm.crl_draft(&[]);
    (wrong_issuer.issuer, wrong_issuer.this_update) = (inter.name.clone(), BEGIN + 1);
    wrong_issuer.extensions.clear();
    crl("ibm_wrong_issuer.crl", ibm.key.sign_crl(wrong_issuer));
    let mut invalid_hash = ibm.crl_draft(&[555, 10]);
    invalid_hash.extensions.clear();
    let mut invalid_hash = ibm.key.sign_crl(invalid_hash);
    *invalid_hash.last_mut().unwrap() ^= 1;
    crl("ibm_invalid_hash.crl", invalid_hash);
    let mut late = inter.crl_draft(&[444]);
    (late.this_update, late.next_update) = (BEGIN + DAY, Some(BEGIN + 2 * DAY));
    crl("inter_ca.invalid_date.crl", inter.key.sign_crl(late));
    let mut invalid_signer = root.crl_draft(&[444]);
    invalid_signer.issuer = inter.name.clone();
    crl("inter_ca.invalid_signer.crl", root.key.sign_crl(invalid_signer));

    let chained = |certificate: &[u8], crl: &[u8], crl_first: bool| -> Vec<u8> {
        let (certificate, crl) = (certificate_pem(certificate), crl_pem(crl));
        let text: String = if crl_first { crl + &certificate } else { certificate + &crl };
        text.into_bytes()
    };
    files.insert("root_ca.chained.crt", chained(&root_der, &root_crl, false));
    files.insert("inter_ca.chained.crt", chained(&inter_der, &inter_crl, false));
    files.insert("ibm.chained.crt", chained(&ibm_der, &ibm_crl, true));
    files
}
