//! One certificate revocation list.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use der::Decode;
use der::oid::ObjectIdentifier;
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralNames};

use super::certificate::{Certificate, signed_part};
use super::container::{self, crl_pem};
use super::error::{ParseError, SignatureError};
use super::extensions::CrlExtensions;
use super::name::CanonicalName;
use super::signature::PublicKey;

/// A certificate revocation list (X.509 version 2).
#[derive(Clone)]
pub struct Crl {
    der: Vec<u8>,
    signed: Vec<u8>,
    list: CertificateList,
    pub(super) issuer: CanonicalName,
    pub(super) extensions: CrlExtensions,
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crl({}, {} entries)", self.list.tbs_cert_list.issuer, self.entries())
    }
}

impl Crl {
    /// Reads one DER revocation list.
    ///
    /// # Errors
    /// [`ParseError::Der`] for anything that is no list of version 2 or holds a damaged extension,
    /// [`ParseError::DuplicateExtension`], [`ParseError::TooLarge`].
    pub fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        if der.len() > container::MAX_INPUT {
            return Err(ParseError::TooLarge { actual: der.len(), limit: container::MAX_INPUT });
        }
        let damaged = |source| ParseError::Der { what: "certificate revocation list", source };
        let list = CertificateList::from_der(der).map_err(damaged)?;
        Ok(Self {
            signed: signed_part(der).map_err(damaged)?,
            der: der.to_vec(),
            issuer: CanonicalName::of(&list.tbs_cert_list.issuer),
            extensions: CrlExtensions::of(list.tbs_cert_list.crl_extensions.as_ref())?,
            list,
        })
    }

    /// The list in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The list in PEM, ending in a newline.
    #[must_use]
    pub fn to_pem(&self) -> String {
        crl_pem(&self.der)
    }

    /// Number of revoked certificates on it.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.list.tbs_cert_list.revoked_certificates.as_ref().map_or(0, Vec::len)
    }

    /// Unix time of its making.
    pub(super) fn this_update(&self) -> u64 {
        self.list.tbs_cert_list.this_update.to_unix_duration().as_secs()
    }

    /// Unix time from which it holds no more.
    pub(super) fn next_update(&self) -> Option<u64> {
        self.list.tbs_cert_list.next_update.map(|time| time.to_unix_duration().as_secs())
    }

    /// Whether `time` is in its update window. Without an end there is no window.
    pub(super) fn is_current(&self, time: u64) -> bool {
        self.this_update() <= time && self.next_update().is_some_and(|end| time < end)
    }

    /// An entry for this serial, whatever its reason.
    pub(super) fn revokes(&self, serial: &[u8]) -> bool {
        self.list
            .tbs_cert_list
            .revoked_certificates
            .iter()
            .flatten()
            .any(|entry| entry.serial_number.as_bytes() == serial)
    }

    /// A critical extension of the list or of one of its entries that this reader does not understand.
    pub(super) fn unknown_critical(&self) -> Option<ObjectIdentifier> {
        let entries = self.list.tbs_cert_list.revoked_certificates.iter().flatten();
        let in_entry = entries
            .filter_map(|entry| entry.crl_entry_extensions.as_ref())
            .flatten()
            .find(|extension| extension.critical)
            .map(|extension| extension.extn_id);
        self.extensions.unknown_critical.or(in_entry)
    }

    pub(super) fn verify_signature(&self, issuer: &PublicKey) -> Result<(), SignatureError> {
        let algorithm = &self.list.signature_algorithm;
        if *algorithm != self.list.tbs_cert_list.signature {
            return Err(SignatureError::AlgorithmInconsistent);
        }
        let signature = self.list.signature.as_bytes().ok_or(SignatureError::Invalid)?;
        issuer.verify(algorithm, &self.signed, signature)
    }

    /// Whether its issuing distribution point, if any, covers `certificate`: no delta, no indirect list, all
    /// reasons, the right kind of certificate, one common distribution point name.
    pub(super) fn covers(&self, certificate: &Certificate) -> bool {
        if self.extensions.delta {
            return false;
        }
        let Some(scope) = &self.extensions.scope else {
            return true;
        };
        let wrong_kind =
            if certificate.is_ca() { scope.only_contains_user_certs } else { scope.only_contains_ca_certs };
        if wrong_kind || scope.only_contains_attribute_certs || scope.indirect_crl || scope.only_some_reasons.is_some()
        {
            return false;
        }
        match &scope.distribution_point {
            None => true,
            Some(DistributionPointName::FullName(names)) => certificate
                .extensions
                .distribution_points
                .iter()
                .filter_map(|point| match &point.distribution_point {
                    Some(DistributionPointName::FullName(own)) if point.crl_issuer.is_none() => Some(own),
                    _ => None,
                })
                .any(|own| share_a_name(own, names)),
            Some(DistributionPointName::NameRelativeToCRLIssuer(_)) => false,
        }
    }
}

fn share_a_name(left: &GeneralNames, right: &GeneralNames) -> bool {
    left.iter().any(|name| right.contains(name))
}
