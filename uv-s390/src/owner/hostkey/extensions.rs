//! The extensions that the verification reads, taken out of a certificate or a revocation list once.

use alloc::vec::Vec;

use der::Decode;
use der::oid::ObjectIdentifier;
use der::oid::db::rfc5280;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::GeneralNames;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints, IssuingDistributionPoint, KeyUsage,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, Extensions};

use super::error::ParseError;
use super::mark::SIMULATION_MARK_OID;

/// An extension with its criticality.
#[derive(Clone, Debug)]
pub(super) struct Marked<T> {
    pub(super) critical: bool,
    pub(super) value: T,
}

/// The extensions of a certificate.
#[derive(Clone, Debug, Default)]
pub(super) struct CertificateExtensions {
    pub(super) count: usize,
    pub(super) basic: Option<Marked<BasicConstraints>>,
    pub(super) key_usage: Option<KeyUsage>,
    pub(super) subject_key: Option<Marked<SubjectKeyIdentifier>>,
    pub(super) authority: Option<Marked<AuthorityKeyIdentifier>>,
    pub(super) alternative_name: Option<Marked<GeneralNames>>,
    pub(super) distribution_points: Vec<DistributionPoint>,
    pub(super) unknown_critical: Option<ObjectIdentifier>,
    /// A name or policy constraint. They restrict what lies below, so that ignoring one would be too kind.
    pub(super) constraint: Option<ObjectIdentifier>,
    pub(super) simulated: bool,
}

/// The extensions of a revocation list.
#[derive(Clone, Debug, Default)]
pub(super) struct CrlExtensions {
    pub(super) authority: Option<AuthorityKeyIdentifier>,
    pub(super) scope: Option<IssuingDistributionPoint>,
    pub(super) unknown_critical: Option<ObjectIdentifier>,
    pub(super) delta: bool,
}

fn decode<'a, T: Decode<'a, Error = der::Error>>(
    extension: &'a Extension,
    what: &'static str,
) -> Result<T, ParseError> {
    T::from_der(extension.extn_value.as_bytes()).map_err(|source| ParseError::Der { what, source })
}

fn marked<'a, T: Decode<'a, Error = der::Error>>(
    extension: &'a Extension,
    what: &'static str,
) -> Result<Option<Marked<T>>, ParseError> {
    Ok(Some(Marked { critical: extension.critical, value: decode(extension, what)? }))
}

fn refuse_duplicates(extensions: &Extensions) -> Result<(), ParseError> {
    let mut ids: Vec<_> = extensions.iter().map(|extension| extension.extn_id).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(ParseError::DuplicateExtension(pair[0])),
        None => Ok(()),
    }
}

impl CertificateExtensions {
    pub(super) fn of(extensions: Option<&Extensions>) -> Result<Self, ParseError> {
        let mut found = Self::default();
        let Some(extensions) = extensions else {
            return Ok(found);
        };
        refuse_duplicates(extensions)?;
        found.count = extensions.len();
        for extension in extensions {
            match extension.extn_id {
                rfc5280::ID_CE_BASIC_CONSTRAINTS => found.basic = marked(extension, "basic constraints extension")?,
                rfc5280::ID_CE_KEY_USAGE => found.key_usage = Some(decode(extension, "key usage extension")?),
                rfc5280::ID_CE_SUBJECT_KEY_IDENTIFIER => {
                    found.subject_key = marked(extension, "subject key identifier extension")?;
                }
                rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER => {
                    found.authority = marked(extension, "authority key identifier extension")?;
                }
                rfc5280::ID_CE_SUBJECT_ALT_NAME => {
                    found.alternative_name = marked(extension, "subject alternative name extension")?;
                }
                rfc5280::ID_CE_CRL_DISTRIBUTION_POINTS => {
                    found.distribution_points =
                        decode::<CrlDistributionPoints>(extension, "CRL distribution points extension")?.0;
                }
                rfc5280::ID_CE_NAME_CONSTRAINTS
                | rfc5280::ID_CE_POLICY_CONSTRAINTS
                | rfc5280::ID_CE_POLICY_MAPPINGS
                | rfc5280::ID_CE_INHIBIT_ANY_POLICY => found.constraint = Some(extension.extn_id),
                SIMULATION_MARK_OID => found.simulated = true,
                // The purpose is "any" and no policy is asked for, so these two cannot say no.
                rfc5280::ID_CE_EXT_KEY_USAGE | rfc5280::ID_CE_CERTIFICATE_POLICIES => {}
                other if extension.critical => found.unknown_critical = Some(other),
                _ => {}
            }
        }
        Ok(found)
    }
}

impl CrlExtensions {
    pub(super) fn of(extensions: Option<&Extensions>) -> Result<Self, ParseError> {
        let mut found = Self::default();
        let Some(extensions) = extensions else {
            return Ok(found);
        };
        refuse_duplicates(extensions)?;
        for extension in extensions {
            match extension.extn_id {
                rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER => {
                    found.authority = Some(decode(extension, "authority key identifier extension")?);
                }
                rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT => {
                    found.scope = Some(decode(extension, "issuing distribution point extension")?);
                }
                rfc5280::ID_CE_DELTA_CRL_INDICATOR => found.delta = true,
                other if extension.critical => found.unknown_critical = Some(other),
                _ => {}
            }
        }
        Ok(found)
    }
}
