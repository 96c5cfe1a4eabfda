//! What the certificates of a Secure Execution chain look like: names and extensions.

use alloc::vec::Vec;

use der::asn1::{Any, OctetString, Utf8StringRef};
use der::oid::db::rfc5280;
use der::referenced::OwnedToRef;
use der::{Encode, Tag};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier};
use x509_cert::spki::{ObjectIdentifier, SubjectPublicKeyInfoOwned};

use super::super::mark::{SIMULATION_MARK, SIMULATION_MARK_OID};

/// The place of a certificate in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Role {
    /// Root or intermediate.
    Authority,
    /// The IBM Z signing key.
    SigningKey,
    /// A host-key document.
    HostKey,
}

/// Distinguished names.
pub(in super::super) mod name {
    use der::Decode;
    use der::oid::db::rfc4519;
    use x509_cert::attr::AttributeTypeAndValue;
    use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

    use super::{Any, Encode, ObjectIdentifier, SIMULATION_MARK, Tag};

    const IBM: &str = "International Business Machines Corporation";

    /// A name of single attributes in the given order. A country is a PrintableString, the rest is UTF8String.
    pub(in super::super::super) fn of(attributes: &[(ObjectIdentifier, &str)]) -> der::Result<Name> {
        let mut sequence = RdnSequence::default();
        for (oid, text) in attributes {
            let tag = if *oid == rfc4519::COUNTRY_NAME { Tag::PrintableString } else { Tag::Utf8String };
            let value = Any::new(tag, text.as_bytes())?;
            sequence
                .push(RelativeDistinguishedName::try_from(alloc::vec![AttributeTypeAndValue { oid: *oid, value }])?);
        }
        Name::from_der(&sequence.to_der()?)
    }

    /// Root or intermediate of the test infrastructure.
    pub(in super::super::super) fn of_authority(kind: &str) -> der::Result<Name> {
        of(&[
            (rfc4519::ORGANIZATION_NAME, SIMULATION_MARK),
            (rfc4519::COMMON_NAME, &alloc::format!("Test {kind} Authority")),
        ])
    }

    /// The six attributes of an IBM Z signing key.
    pub(in super::super::super) fn of_signing_key(locality: &str, unit: &str) -> der::Result<Name> {
        of(&[
            (rfc4519::COUNTRY_NAME, "US"),
            (rfc4519::ST, "New York"),
            (rfc4519::LOCALITY_NAME, locality),
            (rfc4519::ORGANIZATION_NAME, IBM),
            (rfc4519::COMMON_NAME, IBM),
            (rfc4519::ORGANIZATIONAL_UNIT_NAME, unit),
        ])
    }

    /// A simulated machine.
    pub(in super::super::super) fn of_machine(machine: &str) -> der::Result<Name> {
        of(&[
            (rfc4519::ORGANIZATION_NAME, SIMULATION_MARK),
            (rfc4519::ORGANIZATIONAL_UNIT_NAME, "Simulated Host Key"),
            (rfc4519::COMMON_NAME, machine),
        ])
    }
}

/// One extension.
pub(in super::super) fn extension(id: ObjectIdentifier, critical: bool, value: &impl Encode) -> der::Result<Extension> {
    Ok(Extension { extn_id: id, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// The extensions of a certificate, the mark of simulation last.
pub(in super::super) fn extensions(
    role: Role,
    own: &SubjectPublicKeyInfoOwned,
    issuer: &SubjectPublicKeyInfoOwned,
) -> der::Result<Vec<Extension>> {
    let usage = match role {
        Role::Authority => KeyUsages::KeyCertSign | KeyUsages::CRLSign,
        Role::SigningKey => KeyUsages::DigitalSignature | KeyUsages::CRLSign,
        Role::HostKey => KeyUsages::KeyAgreement.into(),
    };
    let basic = BasicConstraints { ca: role == Role::Authority, path_len_constraint: None };
    let subject_key = SubjectKeyIdentifier::try_from(own.owned_to_ref())?;
    Ok(alloc::vec![
        extension(rfc5280::ID_CE_BASIC_CONSTRAINTS, true, &basic)?,
        extension(rfc5280::ID_CE_KEY_USAGE, true, &KeyUsage(usage))?,
        extension(rfc5280::ID_CE_SUBJECT_KEY_IDENTIFIER, false, &subject_key)?,
        authority_key(issuer)?,
        extension(SIMULATION_MARK_OID, false, &Utf8StringRef::new(SIMULATION_MARK)?)?,
    ])
}

/// The authority key id of what `issuer` signs.
pub(in super::super) fn authority_key(issuer: &SubjectPublicKeyInfoOwned) -> der::Result<Extension> {
    let id = AuthorityKeyIdentifier::try_from(issuer.owned_to_ref())?;
    extension(rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER, false, &id)
}
