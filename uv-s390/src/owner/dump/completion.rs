//! Completion data: the last thing a dump delivers, the first thing a reader needs (s390-formats §7.3).

use core::fmt;

use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::key::DumpKey;
use crate::abi::dump::BlockError;
use crate::owner::crypto::gcm::{self, IV_SIZE, TAG_SIZE};
use crate::owner::crypto::{Cck, PageKey};

/// Bytes of the completion data, version 1.
pub const COMPLETION_SIZE: usize = 288;
const VERSION: u32 = 1;
const LENGTH: u32 = 288;
/// Bytes before the encrypted area.
const AAD: usize = 96;
/// A section never has more bytes than this.
const MAX_SECTION: usize = 4096;

/// Completion data, version 1, 288 bytes.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CompletionBlock {
    /// Version, 1.
    pub version: U32,
    /// Length, 288.
    pub length: U32,
    /// Zero.
    pub reserved8: [u8; 8],
    /// Salt of the dump key.
    pub seed: [u8; 64],
    /// AES-GCM initialisation vector.
    pub iv: [u8; IV_SIZE],
    /// Zero.
    pub reserved92: [u8; 4],
    /// Encrypted: nonce, memory key, reserved bytes.
    pub area: [u8; 176],
    /// GCM tag.
    pub tag: [u8; TAG_SIZE],
}

/// Plaintext of the encrypted area.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Zeroize, ZeroizeOnDrop)]
#[repr(C)]
struct Area {
    nonce: [u8; 16],
    memory_key: [u8; 64],
    reserved176: [u8; 96],
}

const _: () = {
    assert!(size_of::<CompletionBlock>() == COMPLETION_SIZE);
    assert!(core::mem::offset_of!(CompletionBlock, version) == 0);
    assert!(core::mem::offset_of!(CompletionBlock, length) == 4);
    assert!(core::mem::offset_of!(CompletionBlock, reserved8) == 8);
    assert!(core::mem::offset_of!(CompletionBlock, seed) == 16);
    assert!(core::mem::offset_of!(CompletionBlock, iv) == 80);
    assert!(core::mem::offset_of!(CompletionBlock, reserved92) == 92);
    assert!(core::mem::offset_of!(CompletionBlock, area) == AAD);
    assert!(core::mem::offset_of!(CompletionBlock, tag) == 272);
    assert!(size_of::<Area>() == 176);
    assert!(core::mem::offset_of!(Area, nonce) == 96 - AAD);
    assert!(core::mem::offset_of!(Area, memory_key) == 112 - AAD);
    assert!(core::mem::offset_of!(Area, reserved176) == 176 - AAD);
};

/// What the completion data keeps secret.
#[derive(Clone, PartialEq, Eq)]
pub struct CompletionSecrets {
    /// Common part of the tweaks of all pages.
    pub nonce: [u8; 16],
    /// AES-256-XTS key of the memory pages.
    pub memory_key: PageKey,
}

impl fmt::Debug for CompletionSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompletionSecrets(..)")
    }
}

impl CompletionBlock {
    /// Seals the secrets, as the Ultravisor does at the end of a dump.
    #[must_use]
    pub fn seal(cck: &Cck, seed: [u8; 64], iv: [u8; IV_SIZE], secrets: &CompletionSecrets) -> Self {
        let mut block = Self::new_zeroed();
        block.version = U32::new(VERSION);
        block.length = U32::new(LENGTH);
        block.seed = seed;
        block.iv = iv;
        let mut area = Area::new_zeroed();
        area.nonce = secrets.nonce;
        area.memory_key = *secrets.memory_key.expose();
        let key = DumpKey::derive(cck, &seed);
        block.tag = gcm::seal(key.key(), &iv, &block.as_bytes()[..AAD], area.as_mut_bytes());
        block.area.copy_from_slice(area.as_bytes());
        block
    }

    /// Reads the content of a `pv_compl` section: 288 to 4096 bytes, those after 288 are ignored.
    ///
    /// # Errors
    /// [`BlockError::Size`], [`BlockError::Version`], [`BlockError::Length`].
    pub fn parse(section: &[u8]) -> Result<Self, BlockError> {
        let wrong = BlockError::Size(section.len());
        if section.len() > MAX_SECTION {
            return Err(wrong);
        }
        let (block, _) = Self::read_from_prefix(section).map_err(|_| wrong)?;
        if block.version.get() != VERSION {
            return Err(BlockError::Version(block.version.get()));
        }
        if block.length.get() != LENGTH {
            return Err(BlockError::Length(block.length.get()));
        }
        Ok(block)
    }

    /// Opens the block: gives the dump key, which also opens the CPU notes, and the secrets.
    ///
    /// # Errors
    /// [`BlockError::Authentication`] with another customer communication key, or if anything was changed.
    pub fn open(&self, cck: &Cck) -> Result<(DumpKey, CompletionSecrets), BlockError> {
        let key = DumpKey::derive(cck, &self.seed);
        let mut area = Area::new_zeroed();
        area.as_mut_bytes().copy_from_slice(&self.area);
        gcm::open(key.key(), &self.iv, &self.as_bytes()[..AAD], area.as_mut_bytes(), &self.tag)
            .map_err(|_| BlockError::Authentication)?;
        let secrets = CompletionSecrets { nonce: area.nonce, memory_key: PageKey::new(area.memory_key) };
        Ok((key, secrets))
    }
}

impl fmt::Debug for CompletionBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompletionBlock(tag {})", hex::encode(self.tag))
    }
}
