//! The secret of a request, from the command line.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use uv_s390::abi::secret::{MAX_PLAINTEXT, SecretId, SecretType};
use uv_s390::owner::crypto::Cck;
use uv_s390::owner::secret::GuestSecret;
use zeroize::Zeroizing;

use crate::keys::read_key;
use uv_programs::Failure;
use uv_programs::files::read_file_limited;

/// Kinds of secret.
#[derive(Subcommand, Debug)]
pub enum SecretKind {
    /// No secret: the request carries its flags and user data only
    Meta,
    /// Association secret: connects a trusted I/O device to the guest
    Association {
        /// Name of the secret
        name: String,
        /// Print the id instead of writing NAME.yaml
        #[arg(long)]
        stdout: bool,
        /// The secret, 32 bytes (default: random)
        #[arg(long, value_name = "FILE", conflicts_with = "output_secret")]
        input_secret: Option<PathBuf>,
        /// Where a random secret goes
        #[arg(long, value_name = "FILE")]
        output_secret: Option<PathBuf>,
    },
    /// Retrievable secret: the guest gets it back, keys wrapped
    #[command(visible_alias = "retr")]
    Retrievable {
        /// Name of the secret
        name: String,
        /// Print the id instead of writing NAME.yaml
        #[arg(long)]
        stdout: bool,
        /// The secret
        #[arg(long, value_name = "FILE")]
        secret: PathBuf,
        /// Its type
        #[arg(long = "type", value_name = "TYPE", value_enum)]
        kind: InputKind,
    },
    /// New customer communication key for the guest
    #[command(visible_alias = "cck")]
    UpdateCck {
        /// The key, 32 bytes
        #[arg(long, value_name = "FILE")]
        secret: PathBuf,
    },
}

/// Types of retrievable secrets; the length of a key tells which one it is.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Any bytes, up to 8190
    Plain,
    /// AES key: 16, 24 or 32 bytes
    Aes,
    /// AES-XTS key: 32 or 64 bytes
    AesXts,
    /// HMAC-SHA key: 64 or 128 bytes
    HmacSha,
    /// EC private key, PEM or DER
    Ec,
}

/// A secret with what is known about it outside of the request.
pub(super) struct Named {
    pub(super) secret: GuestSecret,
    pub(super) name: Option<String>,
    /// A secret that is to be kept.
    pub(super) generated: Option<Zeroizing<Vec<u8>>>,
}

impl Named {
    fn unnamed(secret: GuestSecret) -> Self {
        Self { secret, name: None, generated: None }
    }
}

impl SecretKind {
    /// The files that are read.
    pub(super) fn files(&self) -> Option<&PathBuf> {
        match self {
            Self::Meta => None,
            Self::Association { input_secret, .. } => input_secret.as_ref(),
            Self::Retrievable { secret, .. } | Self::UpdateCck { secret } => Some(secret),
        }
    }

    /// Where a random secret goes.
    pub(super) fn output(&self) -> Option<&PathBuf> {
        match self {
            Self::Association { output_secret, .. } => output_secret.as_ref(),
            _ => None,
        }
    }

    /// Name of the secret, if its id goes to a file beside the request.
    pub(super) fn side_file(&self) -> Option<&str> {
        match self {
            Self::Association { name, stdout: false, .. } | Self::Retrievable { name, stdout: false, .. } => Some(name),
            _ => None,
        }
    }

    /// Reads or draws the secret.
    pub(super) fn read(&self, use_name: bool, rng: &mut ChaCha20Rng) -> Result<Named, Failure> {
        let id = |name: &str| if use_name { SecretId::from_name(name) } else { SecretId::of_name(name) };
        match self {
            Self::Meta => Ok(Named::unnamed(GuestSecret::null())),
            Self::UpdateCck { secret } => {
                Ok(Named::unnamed(GuestSecret::update_cck(&Cck::from(read_key::<32>(secret)?))))
            }
            Self::Association { name, input_secret, output_secret, .. } => {
                let mut value = Zeroizing::new([0; 32]);
                match input_secret {
                    Some(path) => value.copy_from_slice(read_key::<32>(path)?.expose()),
                    None => rng.fill_bytes(value.as_mut()),
                }
                let generated = output_secret.as_ref().map(|_| Zeroizing::new(value.to_vec()));
                let secret = GuestSecret::association(id(name), &value);
                Ok(Named { secret, name: Some(name.clone()), generated })
            }
            Self::Retrievable { name, secret, kind, .. } => {
                let secret = kind.read(id(name), secret).map_err(|failure| failure.at(secret.display()))?;
                Ok(Named { secret, name: Some(name.clone()), generated: None })
            }
        }
    }
}

impl InputKind {
    fn read(self, id: SecretId, path: &Path) -> Result<GuestSecret, Failure> {
        let bytes = Zeroizing::new(read_file_limited(path, super::super::MAX_INPUT)?);
        let kind = match (self, bytes.len()) {
            (Self::Plain, _) => {
                return GuestSecret::plaintext(id, &bytes)
                    .map_err(|_| Failure::unusable(format_args!("longer than {MAX_PLAINTEXT} bytes")));
            }
            (Self::Ec, _) => return GuestSecret::ec_private_key(id, &bytes).map_err(Failure::unusable),
            (Self::Aes, 16) => SecretType::AES_128,
            (Self::Aes, 24) => SecretType::AES_192,
            (Self::Aes, 32) => SecretType::AES_256,
            (Self::AesXts, 32) => SecretType::AES_XTS_128,
            (Self::AesXts, 64) => SecretType::AES_XTS_256,
            (Self::HmacSha, 64) => SecretType::HMAC_SHA_256,
            (Self::HmacSha, 128) => SecretType::HMAC_SHA_512,
            (_, length) => {
                return Err(Failure::unusable(format_args!("no key of this type has {length} bytes")));
            }
        };
        GuestSecret::key(kind, id, &bytes).map_err(Failure::unusable)
    }
}
