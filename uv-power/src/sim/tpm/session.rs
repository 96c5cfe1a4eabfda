//! What both ends of a session compute: HMACs and the encryption of a parameter (TPM 2.0 Library, Part 1, "Session-based encryption" and
//! "Authorizations and acknowledgments").
//!
//! The session is neither salted nor bound, so its key is empty: all of its secrecy is the key's authorisation value, which the hypervisor does
//! not know. Both nonces go into every HMAC and into every key, so a response is good for one command.

use alloc::vec::Vec;

use aes::Aes128;
use cipher::BlockCipherEncrypt as _;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use uv_crypto::digest::sha256;
use zeroize::Zeroizing;

use super::wire::Command;

/// Bytes of a digest, of a nonce and of an HMAC.
pub(crate) const DIGEST: usize = 32;
/// Bytes of an AES block.
const BLOCK: usize = 16;

pub(crate) type Digest = [u8; DIGEST];

fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<Digest> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any length is a key of an HMAC");
    parts.iter().for_each(|part| mac.update(part));
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// The digest of a policy that was `before`, after an assertion.
pub(crate) fn extended(before: &Digest, command: Command, with: &[u8]) -> Digest {
    sha256(&[before, &command.code(), with])
}

/// The digest after `TPM2_PolicyOR`.
pub(crate) fn any_of(policies: &[Digest]) -> Digest {
    let list: Vec<u8> = policies.concat();
    extended(&[0; DIGEST], Command::PolicyOr, &list)
}

/// Nonces of one side and the other, in the order in which they were made.
pub(crate) struct Nonces<'a> {
    pub(crate) newer: &'a [u8],
    pub(crate) older: &'a [u8],
}

/// The HMAC of a command or response: `parameters` is its digest (cpHash, rpHash).
pub(crate) fn authorisation(secret: &[u8], parameters: &Digest, nonces: &Nonces<'_>, attributes: u8) -> Digest {
    *hmac(secret, &[parameters, nonces.newer, nonces.older, &[attributes]])
}

/// The stream that encrypts a parameter: AES-128 in CFB mode, key and iv by KDFa from the secret and the nonces.
struct Cfb {
    cipher: Aes128,
    previous: [u8; BLOCK],
}

impl Cfb {
    fn new(secret: &[u8], nonces: &Nonces<'_>) -> Self {
        // KDFa: one block of the counter mode of SP 800-108 gives all 256 bits.
        let bits = 256_u32.to_be_bytes();
        let made = hmac(secret, &[&1_u32.to_be_bytes(), b"CFB\0", nonces.newer, nonces.older, &bits]);
        let (mut key, mut previous) = (Zeroizing::new([0; BLOCK]), [0; BLOCK]);
        key.copy_from_slice(&made[..BLOCK]);
        previous.copy_from_slice(&made[BLOCK..]);
        Self { cipher: Aes128::new((&*key).into()), previous }
    }

    fn apply(mut self, data: &mut [u8], encrypt: bool) {
        for piece in data.chunks_mut(BLOCK) {
            let mut stream = Zeroizing::new(self.previous);
            self.cipher.encrypt_block((&mut *stream).into());
            for ((byte, mask), kept) in piece.iter_mut().zip(*stream).zip(&mut self.previous) {
                let before = *byte;
                *byte ^= mask;
                *kept = if encrypt { *byte } else { before };
            }
        }
    }
}

/// Encrypts a parameter.
pub(crate) fn encrypt(secret: &[u8], nonces: &Nonces<'_>, data: &mut [u8]) {
    Cfb::new(secret, nonces).apply(data, true);
}

/// Decrypts a parameter.
pub(crate) fn decrypt(secret: &[u8], nonces: &Nonces<'_>, data: &mut [u8]) {
    Cfb::new(secret, nonces).apply(data, false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cfb_gives_the_vectors_of_sp_800_38a() {
        let key = hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap();
        let iv: Vec<u8> = (0..16).collect();
        let plain = hex::decode("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c8").unwrap();
        let cfb = || Cfb { cipher: Aes128::new_from_slice(&key).unwrap(), previous: iv.as_slice().try_into().unwrap() };
        let mut data = plain.clone();
        cfb().apply(&mut data, true);
        assert_eq!(hex::encode(&data[..32]), "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b");
        assert_eq!(hex::encode(&data[32..]), "2675", "a part of a block");
        cfb().apply(&mut data, false);
        assert_eq!(data, plain);
    }

    /// The digests that the firmware's device tree carries (power-pef §13).
    #[test]
    fn policies_have_the_digests_of_the_sheet() {
        let decrypt = extended(&[0; DIGEST], Command::PolicyCommandCode, &Command::RsaDecrypt.code());
        let a = extended(&decrypt, Command::PolicyAuthValue, &[]);
        assert_eq!(hex::encode(a), "8dbd2aa10f701b1eda230fa8a38803d342f3b48c2ffcbed56c04674c79dff00f");
        let any = any_of(&[a, super::super::key::POLICY_B]);
        assert_eq!(hex::encode(any), "e86c7354251aa8e6ce27fddc541946f48120ff95c3d7a4d343f463321bd3e55c");
    }

    #[test]
    fn every_nonce_and_the_secret_count() {
        let stream = |secret: &[u8], newer: &[u8], older: &[u8]| {
            let mut data = [0; 20];
            encrypt(secret, &Nonces { newer, older }, &mut data);
            data
        };
        let all = [
            stream(b"pw", &[1], &[2]),
            stream(b"pv", &[1], &[2]),
            stream(b"pw", &[2], &[2]),
            stream(b"pw", &[1], &[3]),
            stream(b"pw", &[2], &[1]),
        ];
        assert!((0..5).all(|one| (0..one).all(|other| all[one] != all[other])));
    }
}
