//! Certificates and revocation lists before they are signed.

use alloc::vec::Vec;
use core::time::Duration;

use der::Encode;
use der::asn1::{GeneralizedTime, UtcTime};
use p521::ecdsa::signature::{Keypair, Signer};
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::{Rfc5280, TbsCertificate};
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{
    DynSignatureAlgorithmIdentifier, EncodePublicKey, SignatureBitStringEncoding, SubjectPublicKeyInfoOwned,
    SubjectPublicKeyInfoRef,
};
use x509_cert::time::{Time, Validity};
use x509_cert::{Version, builder};

/// A certificate before it is signed. Times are Unix seconds.
#[derive(Clone, Debug)]
pub(in super::super) struct CertificateDraft {
    pub(in super::super) subject: Name,
    pub(in super::super) issuer: Name,
    pub(in super::super) serial: u64,
    pub(in super::super) not_before: u64,
    pub(in super::super) not_after: u64,
    pub(in super::super) extensions: Vec<Extension>,
    pub(in super::super) spki: SubjectPublicKeyInfoOwned,
}

/// A revocation list before it is signed. Times are Unix seconds.
#[derive(Clone, Debug)]
pub(in super::super) struct CrlDraft {
    pub(in super::super) issuer: Name,
    pub(in super::super) this_update: u64,
    pub(in super::super) next_update: Option<u64>,
    pub(in super::super) revoked: Vec<Vec<u8>>,
    pub(in super::super) extensions: Vec<Extension>,
}

/// UTCTime up to 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5).
fn time(seconds: u64) -> der::Result<Time> {
    let duration = Duration::from_secs(seconds);
    UtcTime::from_unix_duration(duration)
        .map(Time::from)
        .or_else(|_| GeneralizedTime::from_unix_duration(duration).map(Time::from))
}

/// The builder's view of a draft: the names and extensions are exactly those of the draft.
struct Exactly(CertificateDraft);

impl BuilderProfile for Exactly {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.0.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.0.subject.clone()
    }

    fn build_extensions(
        &self,
        _spk: SubjectPublicKeyInfoRef<'_>,
        _issuer_spk: SubjectPublicKeyInfoRef<'_>,
        _tbs: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        Ok(self.0.extensions.clone())
    }
}

impl CertificateDraft {
    /// Signs the draft; gives the certificate in DER.
    pub(in super::super) fn sign<S, Signature>(self, signer: &S) -> builder::Result<Vec<u8>>
    where
        S: Signer<Signature> + Keypair + DynSignatureAlgorithmIdentifier,
        S::VerifyingKey: EncodePublicKey,
        Signature: SignatureBitStringEncoding,
    {
        let serial = SerialNumber::from(self.serial);
        let validity = Validity::new(time(self.not_before)?, time(self.not_after)?);
        let spki = self.spki.clone();
        let certificate = CertificateBuilder::new(Exactly(self), serial, validity, spki)?.build(signer)?;
        Ok(certificate.to_der()?)
    }
}

impl CrlDraft {
    /// Signs the draft; gives the list in DER.
    pub(in super::super) fn sign<S, Signature>(self, signer: &S) -> builder::Result<Vec<u8>>
    where
        S: Signer<Signature> + DynSignatureAlgorithmIdentifier,
        Signature: SignatureBitStringEncoding,
    {
        let revocation_date = time(self.this_update)?;
        let entry = |serial: &Vec<u8>| {
            Ok(RevokedCert::<Rfc5280> {
                serial_number: SerialNumber::new(serial)?,
                revocation_date,
                crl_entry_extensions: None,
            })
        };
        let revoked = self.revoked.iter().map(entry).collect::<der::Result<Vec<_>>>()?;
        let list = TbsCertList {
            version: Version::V2,
            signature: signer.signature_algorithm_identifier()?,
            issuer: self.issuer,
            this_update: revocation_date,
            next_update: self.next_update.map(time).transpose()?,
            revoked_certificates: (!revoked.is_empty()).then_some(revoked),
            crl_extensions: (!self.extensions.is_empty()).then_some(self.extensions),
        };
        let signature = signer.try_sign(&list.to_der()?)?.to_bitstring()?;
        let signature_algorithm = list.signature.clone();
        Ok(CertificateList { tbs_cert_list: list, signature_algorithm, signature }.to_der()?)
    }
}
