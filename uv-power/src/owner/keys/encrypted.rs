//! Pass phrases: PKCS#1 PEM files as OpenSSL's traditional form has them (RFC 1421 headers), and PKCS#8 with PBES2.

use alloc::vec::Vec;

use aes::{Aes128, Aes192, Aes256};
use cbc::Decryptor;
use cipher::block_padding::Pkcs7;
use cipher::{BlockModeDecrypt, KeyIvInit};
use des::TdesEde3;
use md5::{Digest as _, Md5};
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::pbes2::Kdf;
use zeroize::Zeroizing;

use super::KeyError;

/// Most rounds of PBKDF2 that a key file may ask for: some seconds of work.
const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;
/// Most memory that scrypt may take, in blocks of 128 bytes: 128 MiB.
const SCRYPT_BLOCKS_MAX: u64 = 1 << 20;
/// Most lanes that scrypt may run, one after the other.
const SCRYPT_LANES_MAX: u16 = 16;

/// Decrypts an `EncryptedPrivateKeyInfo` (PBES2 only) and gives the DER of the `PrivateKeyInfo` in it.
///
/// The file says how much work the pass phrase costs; more than the limits above is refused before it is done.
pub(super) fn decrypt_pkcs8(der: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| KeyError::UnsupportedEncryption)?;
    let scheme = info.encryption_algorithm.pbes2().ok_or(KeyError::UnsupportedEncryption)?;
    let affordable = match &scheme.kdf {
        Kdf::Pbkdf2(kdf) => kdf.iteration_count <= PBKDF2_ROUNDS_MAX,
        Kdf::Scrypt(kdf) => {
            let blocks = kdf.cost_parameter.checked_mul(kdf.block_size.into());
            blocks.is_some_and(|blocks| blocks <= SCRYPT_BLOCKS_MAX) && kdf.parallelization <= SCRYPT_LANES_MAX
        }
        _ => false,
    };
    if !affordable {
        return Err(KeyError::UnsupportedEncryption);
    }
    let plain = info.decrypt(passphrase).map_err(|_| KeyError::WrongPassphrase)?;
    Ok(Zeroizing::new(Vec::from(plain.as_bytes())))
}

/// Cipher and iv out of a `DEK-Info` line.
pub(super) struct Encryption {
    cipher: Cipher,
    iv: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Cipher {
    DesEde3,
    Aes128,
    Aes192,
    Aes256,
}

impl Encryption {
    /// Reads `CIPHER,IV-IN-HEX`.
    pub(super) fn from_dek_info(line: &str) -> Result<Self, KeyError> {
        let (name, iv) = line.split_once(',').ok_or(KeyError::UnsupportedEncryption)?;
        let (cipher, length) = match name.trim() {
            "DES-EDE3-CBC" => (Cipher::DesEde3, 8),
            "AES-128-CBC" => (Cipher::Aes128, 16),
            "AES-192-CBC" => (Cipher::Aes192, 16),
            "AES-256-CBC" => (Cipher::Aes256, 16),
            _ => return Err(KeyError::UnsupportedEncryption),
        };
        let iv = hex::decode(iv.trim()).map_err(|_| KeyError::UnsupportedEncryption)?;
        if iv.len() == length { Ok(Self { cipher, iv }) } else { Err(KeyError::UnsupportedEncryption) }
    }

    /// Decrypts the DER of the key. A wrong pass phrase shows as bad padding here or as bad DER afterwards.
    pub(super) fn decrypt(&self, data: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let salt = &self.iv[..8];
        match self.cipher {
            Cipher::DesEde3 => run::<Decryptor<TdesEde3>>(&derive::<24>(passphrase, salt)[..], &self.iv, data),
            Cipher::Aes128 => run::<Decryptor<Aes128>>(&derive::<16>(passphrase, salt)[..], &self.iv, data),
            Cipher::Aes192 => run::<Decryptor<Aes192>>(&derive::<24>(passphrase, salt)[..], &self.iv, data),
            Cipher::Aes256 => run::<Decryptor<Aes256>>(&derive::<32>(passphrase, salt)[..], &self.iv, data),
        }
    }
}

fn run<D: KeyIvInit + BlockModeDecrypt>(key: &[u8], iv: &[u8], data: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let decryptor = D::new_from_slices(key, iv).map_err(|_| KeyError::UnsupportedEncryption)?;
    let mut buffer = Zeroizing::new(Vec::from(data));
    let length = decryptor.decrypt_padded::<Pkcs7>(&mut buffer).map_err(|_| KeyError::WrongPassphrase)?.len();
    buffer.truncate(length);
    Ok(buffer)
}

/// MD5 chain with one round: D1 = MD5(pass phrase, salt), Dn = MD5(Dn-1, pass phrase, salt).
fn derive<const N: usize>(passphrase: &[u8], salt: &[u8]) -> Zeroizing<[u8; N]> {
    let mut key = Zeroizing::new([0; N]);
    let mut block = Zeroizing::new([0; 16]);
    for (at, chunk) in key.chunks_mut(16).enumerate() {
        let mut hash = Md5::new();
        if at > 0 {
            hash.update(&block[..]);
        }
        hash.update(passphrase);
        hash.update(salt);
        block.copy_from_slice(&hash.finalize());
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
    key
}
