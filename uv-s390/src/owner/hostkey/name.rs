//! Distinguished names: comparison, the subject of the IBM Z signing key, the lookup names of its revocation lists.

use alloc::string::String;
use alloc::vec::Vec;

use der::asn1::Any;
use der::oid::ObjectIdentifier;
use der::oid::db::rfc4519;
use der::{Encode, Tag, Tagged};
use x509_cert::name::Name;

const IBM: &str = "International Business Machines Corporation";
const POUGHKEEPSIE: &str = "Poughkeepsie";
const ARMONK: &str = "Armonk";
const SIGNING_SERVICE: &str = "Key Signing Service";

/// The text of an attribute, if its type is one of text.
pub(super) fn text(value: &Any) -> Option<String> {
    let bytes = value.value();
    match value.tag() {
        Tag::Utf8String => core::str::from_utf8(bytes).ok().map(String::from),
        Tag::PrintableString | Tag::Ia5String | Tag::VisibleString => {
            core::str::from_utf8(bytes).ok().filter(|s| s.is_ascii()).map(String::from)
        }
        Tag::TeletexString => Some(bytes.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let (units, odd) = bytes.as_chunks::<2>();
            if !odd.is_empty() {
                return None;
            }
            char::decode_utf16(units.iter().map(|unit| u16::from_be_bytes(*unit))).collect::<Result<_, _>>().ok()
        }
        _ => None,
    }
}

/// A name as it is compared: text without regard to case, string type and the amount of blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CanonicalName(Vec<Vec<(ObjectIdentifier, Vec<u8>)>>);

impl CanonicalName {
    pub(super) fn of(name: &Name) -> Self {
        let set = |rdn: &x509_cert::name::RelativeDistinguishedName| {
            let mut set: Vec<_> = rdn.iter().map(|atv| (atv.oid, canonical(&atv.value))).collect();
            set.sort();
            set
        };
        Self(name.iter_rdn().map(set).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn attributes(&self) -> impl Iterator<Item = &(ObjectIdentifier, Vec<u8>)> {
        self.0.iter().flatten()
    }

    fn in_poughkeepsie(&self) -> Self {
        let mut moved = self.clone();
        for (oid, value) in moved.0.iter_mut().flatten() {
            if *oid == rfc4519::LOCALITY_NAME && *value == fold(ARMONK) {
                *value = fold(POUGHKEEPSIE);
            }
        }
        moved
    }

    fn reordered(&self) -> Self {
        const ORDER: [ObjectIdentifier; 6] = [
            rfc4519::COUNTRY_NAME,
            rfc4519::ORGANIZATION_NAME,
            rfc4519::ORGANIZATIONAL_UNIT_NAME,
            rfc4519::LOCALITY_NAME,
            rfc4519::ST,
            rfc4519::COMMON_NAME,
        ];
        let of =
            |oid| self.attributes().filter(move |(o, _)| *o == oid).map(|attribute| alloc::vec![attribute.clone()]);
        Self(ORDER.into_iter().flat_map(of).collect())
    }

    /// The names under which the revocation lists of this signing key are looked for, in order
    /// (s390-formats §10, rule 6).
    pub(super) fn crl_lookup_names(&self) -> [Self; 4] {
        let moved = self.in_poughkeepsie();
        [self.clone(), moved.clone(), moved.reordered(), self.reordered()]
    }
}

fn canonical(value: &Any) -> Vec<u8> {
    match text(value) {
        Some(text) => fold(&text),
        // No text: compared as it is. No UTF-8 text holds the byte in front.
        None => [&[0xff][..], &value.to_der().unwrap_or_default()].concat(),
    }
}

fn fold(text: &str) -> Vec<u8> {
    let mut folded = Vec::with_capacity(text.len());
    for word in text.split_ascii_whitespace() {
        if !folded.is_empty() {
            folded.push(b' ');
        }
        folded.extend(word.bytes().map(|b| b.to_ascii_lowercase()));
    }
    folded
}

/// Whether this is the subject of an IBM Z signing key (s390-formats §10, rule 3).
pub(super) fn is_signing_key_subject(name: &Name) -> bool {
    let one = |oid: ObjectIdentifier| {
        let mut values = name.iter().filter(|atv| atv.oid == oid);
        let value = values.next().and_then(|atv| text(&atv.value));
        if values.next().is_some() { None } else { value }
    };
    let is = |oid, expected: &str| one(oid).is_some_and(|value| value == expected);
    name.iter().count() == 6
        && is(rfc4519::COUNTRY_NAME, "US")
        && is(rfc4519::ST, "New York")
        && (is(rfc4519::LOCALITY_NAME, POUGHKEEPSIE) || is(rfc4519::LOCALITY_NAME, ARMONK))
        && is(rfc4519::ORGANIZATION_NAME, IBM)
        && is(rfc4519::COMMON_NAME, IBM)
        && one(rfc4519::ORGANIZATIONAL_UNIT_NAME).is_some_and(|value| value.ends_with(SIGNING_SERVICE))
}
