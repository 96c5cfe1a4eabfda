//! The note that carries the registers of one CPU (s390-formats §7.5).

use core::fmt;

use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::cpu_area::CpuArea;
use super::key::DumpKey;
use crate::abi::dump::BlockError;
use crate::abi::dump::CpuState;
use crate::owner::crypto::gcm::{self, IV_SIZE, TAG_SIZE};

/// Bytes of a CPU note, version 1.
pub const CPU_NOTE_SIZE: usize = 1568;
const VERSION: u32 = 1;
/// What the length field says. Real notes may say something else: readers do not check it.
const LENGTH: u32 = 1568;
/// Bytes before the encrypted area.
const AAD: usize = 32;
/// A note never has more bytes than this.
const MAX_NOTE: usize = 4096;

/// Sealed registers of one CPU, version 1, 1568 bytes.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CpuNote {
    /// Version, 1.
    pub version: U32,
    /// Length; authenticated, not checked.
    pub length: U32,
    /// AES-GCM initialisation vector.
    pub iv: [u8; IV_SIZE],
    /// Zero.
    pub reserved20: [u8; 12],
    /// Encrypted registers.
    pub area: [u8; 1520],
    /// GCM tag.
    pub tag: [u8; TAG_SIZE],
}

const _: () = {
    assert!(size_of::<CpuNote>() == CPU_NOTE_SIZE);
    assert!(core::mem::offset_of!(CpuNote, version) == 0);
    assert!(core::mem::offset_of!(CpuNote, length) == 4);
    assert!(core::mem::offset_of!(CpuNote, iv) == 8);
    assert!(core::mem::offset_of!(CpuNote, reserved20) == 20);
    assert!(core::mem::offset_of!(CpuNote, area) == AAD);
    assert!(core::mem::offset_of!(CpuNote, tag) == 1552);
    assert!(size_of::<CpuArea>() == 1520);
};

impl CpuNote {
    /// Seals the registers of a CPU, as the Ultravisor does. `iv` must be fresh for every note of a dump.
    #[must_use]
    pub fn seal(key: &DumpKey, iv: [u8; IV_SIZE], state: &CpuState) -> Self {
        let mut note = Self::new_zeroed();
        note.version = U32::new(VERSION);
        note.length = U32::new(LENGTH);
        note.iv = iv;
        let mut area = CpuArea::of(state);
        note.tag = gcm::seal(key.key(), &iv, &note.as_bytes()[..AAD], area.as_mut_bytes());
        note.area.copy_from_slice(area.as_bytes());
        note
    }

    /// Reads the content of a note of type 0x30e: 1568 to 4096 bytes, those after 1568 are ignored.
    ///
    /// # Errors
    /// [`BlockError::Size`], [`BlockError::Version`].
    pub fn parse(descriptor: &[u8]) -> Result<Self, BlockError> {
        let wrong = BlockError::Size(descriptor.len());
        if descriptor.len() > MAX_NOTE {
            return Err(wrong);
        }
        let (note, _) = Self::read_from_prefix(descriptor).map_err(|_| wrong)?;
        match note.version.get() {
            VERSION => Ok(note),
            other => Err(BlockError::Version(other)),
        }
    }

    /// Opens the note.
    ///
    /// # Errors
    /// [`BlockError::Authentication`] with another dump's key, or if anything was changed.
    pub fn open(&self, key: &DumpKey) -> Result<CpuState, BlockError> {
        let mut area = CpuArea::new_zeroed();
        area.as_mut_bytes().copy_from_slice(&self.area);
        gcm::open(key.key(), &self.iv, &self.as_bytes()[..AAD], area.as_mut_bytes(), &self.tag)
            .map_err(|_| BlockError::Authentication)?;
        Ok(area.state())
    }
}

impl fmt::Debug for CpuNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuNote(tag {})", hex::encode(self.tag))
    }
}
