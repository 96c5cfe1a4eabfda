//! Building an add-secret request.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};
use zeroize::Zeroizing;

use super::extension::ExtensionSecret;
use super::head::{AddSecretFlags, AsrcbHead, CUSTOMER_AT, EXTENSION_SIZE, MAGIC, SecretHead};
use super::sign::{SignatureError, UserDataSigner};
use super::signed;
use super::user_data::{USER_DATA_SIZE, UserDataKind};
use super::value::GuestSecret;
use crate::abi::secret::SecretType;
use crate::owner::crypto::{BadLength, HostPublicKey};
use crate::owner::request::{
    BuildError, ConfigUid, ImageIdentity, REQUEST_HEADER_SIZE, RequestParts, RequestSecrets, reseal, seal,
};

/// Offset of the user data area in the request.
const AREA_AT: usize = CUSTOMER_AT - USER_DATA_SIZE;

/// An add-secret request cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddSecretError {
    /// Wrong number of host keys.
    #[error(transparent)]
    Request(#[from] BuildError),
    /// More user data than its kind allows (`expected` is the limit).
    #[error("user data is too long: {0}")]
    UserData(#[from] BadLength),
    /// The user data cannot be signed.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// User data of a request that is not signed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum UserData {
    /// None.
    #[default]
    None,
    /// Up to 512 bytes.
    Unsigned(Vec<u8>),
}

/// What the guest owner asks for.
#[derive(Debug, Clone)]
pub struct AddSecretRequest {
    /// The image whose guest may take the secret.
    pub image: ImageIdentity,
    /// The running guest that may take it, or [`ConfigUid::ANY`].
    pub cuid: ConfigUid,
    /// What else the request does.
    pub flags: AddSecretFlags,
    /// The secret.
    pub secret: GuestSecret,
    /// The extension secret.
    pub extension: ExtensionSecret,
}

impl AddSecretRequest {
    /// Builds the request for one or more machines.
    ///
    /// # Errors
    /// [`AddSecretError::UserData`] for more than 512 bytes of user data; [`AddSecretError::Request`] unless there are
    /// 1 to 255 host keys.
    pub fn seal(
        &self,
        user_data: &UserData,
        secrets: &RequestSecrets,
        hosts: &[HostPublicKey],
    ) -> Result<Vec<u8>, AddSecretError> {
        match user_data {
            UserData::None => self.build(UserDataKind::NONE, &[], secrets, hosts),
            UserData::Unsigned(data) => self.build(UserDataKind::UNSIGNED, data, secrets, hosts),
        }
    }

    /// Builds the request with signed user data: at most 256 bytes, 128 with an RSA-3072 key; none is allowed. The
    /// signature covers the ciphertext, so the request is encrypted, signed, and its tag computed again.
    ///
    /// # Errors
    /// As [`Self::seal`], and [`AddSecretError::Signature`].
    pub fn seal_signed<R: CryptoRng>(
        &self,
        user_data: &[u8],
        signer: &UserDataSigner,
        secrets: &RequestSecrets,
        hosts: &[HostPublicKey],
        rng: &mut R,
    ) -> Result<Vec<u8>, AddSecretError> {
        let kind = signer.kind();
        let mut request = self.build(kind, user_data, secrets, hosts)?;
        let signature = signer.sign(&signed::message(kind, &request)?, rng)?;
        let encrypted_size = self.secret.expose().len() + EXTENSION_SIZE;
        reseal(&mut request, encrypted_size, secrets, |aad| {
            let area = aad.get_mut(AREA_AT..).and_then(<[u8]>::first_chunk_mut).ok_or(SignatureError::Sign)?;
            signed::insert(kind, area, &signature)
        })?;
        Ok(request)
    }

    fn build(
        &self,
        kind: UserDataKind,
        user_data: &[u8],
        secrets: &RequestSecrets,
        hosts: &[HostPublicKey],
    ) -> Result<Vec<u8>, AddSecretError> {
        let mut head = AsrcbHead::new_zeroed();
        head.flags = U64::new(self.flags.bits());
        head.image = self.image;
        head.cuid = self.cuid;
        let limit = kind.max_data().unwrap_or(0);
        match head.user_data.get_mut(..user_data.len()) {
            Some(area) if user_data.len() <= limit => area.copy_from_slice(user_data),
            _ => return Err(BadLength { expected: limit, actual: user_data.len() }.into()),
        }
        let mut magic = [0; 8];
        magic[..MAGIC.len()].copy_from_slice(&MAGIC);
        magic[MAGIC.len()..].copy_from_slice(&kind.0.to_be_bytes());

        let value = self.secret.expose();
        let secret_head = SecretHead {
            reserved0: [0; 2],
            kind: U16::new(self.secret.kind().0),
            length: U32::new(u32::try_from(value.len()).map_err(|_| BuildError::TooLong(value.len()))?),
            reserved8: [0; 8],
        };
        let mut secret_header = secret_head.as_bytes().to_vec();
        if self.secret.kind() != SecretType::NULL {
            secret_header.extend_from_slice(&self.secret.id().0);
        }
        let mut plaintext = Zeroizing::new(Vec::with_capacity(value.len() + EXTENSION_SIZE));
        plaintext.extend_from_slice(value);
        plaintext.extend_from_slice(self.extension.value(&self.image.tag).expose());
        let parts = RequestParts {
            magic,
            before_keys: &head.as_bytes()[REQUEST_HEADER_SIZE..],
            after_keys: &secret_header,
            secret: &plaintext,
        };
        Ok(seal(&parts, secrets, hosts)?)
    }
}

/// User data that names a policy: SHA-256 of the policy file, then the path as given, at most 480 bytes.
///
/// # Errors
/// [`BadLength`] if the path is longer (`expected` is the limit).
pub fn policy_user_data(policy: &[u8], path: &str) -> Result<UserData, BadLength> {
    const MAX_PATH: usize = USER_DATA_SIZE - 32;
    if path.len() > MAX_PATH {
        return Err(BadLength { expected: MAX_PATH, actual: path.len() });
    }
    let mut data = Sha256::digest(policy).to_vec();
    data.extend_from_slice(path.as_bytes());
    Ok(UserData::Unsigned(data))
}
