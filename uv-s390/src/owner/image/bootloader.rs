//! The two boot-loader blobs of an image and the arguments that are patched into them.
//!
//! Source: s390-formats §4.2 and §4.3.

use alloc::vec::Vec;
use core::mem::{offset_of, size_of};

use thiserror::Error;
use zerocopy::byteorder::big_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::abi::psw::Psw;

/// Guest address of stage3a.
pub const STAGE3A_ADDRESS: u64 = 0x10000;

/// Guest address at which stage3a is entered; the short PSW at address 0 points here.
pub const STAGE3A_ENTRY: u64 = 0x11000;

/// Guest address at which stage3b enters the kernel.
pub const KERNEL_ENTRY: u64 = 0x10000;

/// Arguments of stage3a: the last 24 bytes of its blob. Offsets count from the guest address of this
/// structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Stage3aArgs {
    /// SE header address less the address of this structure.
    pub header_offset: U64,
    /// Bytes of the SE header.
    pub header_size: U64,
    /// IPIB address less the address of this structure.
    pub ipib_offset: U64,
}

const _: () = {
    assert!(size_of::<Stage3aArgs>() == 24);
    assert!(offset_of!(Stage3aArgs, header_offset) == 0);
    assert!(offset_of!(Stage3aArgs, header_size) == 8);
    assert!(offset_of!(Stage3aArgs, ipib_offset) == 16);
};

/// Where a component lies in guest memory; all zero for an absent one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Stage3bSource {
    /// Guest absolute address.
    pub address: U64,
    /// Bytes before padding.
    pub size: U64,
}

/// Arguments of stage3b: the last 64 bytes of its blob, before padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Stage3bArgs {
    /// The kernel.
    pub kernel: Stage3bSource,
    /// The command line; its size counts the NUL.
    pub command_line: Stage3bSource,
    /// The RAM disk.
    pub ramdisk: Stage3bSource,
    /// PSW that stage3b loads to enter the kernel.
    pub psw: Psw,
}

const _: () = {
    assert!(size_of::<Stage3bSource>() == 16);
    assert!(offset_of!(Stage3bSource, address) == 0);
    assert!(offset_of!(Stage3bSource, size) == 8);
    assert!(size_of::<Stage3bArgs>() == 64);
    assert!(offset_of!(Stage3bArgs, kernel) == 0);
    assert!(offset_of!(Stage3bArgs, command_line) == 16);
    assert!(offset_of!(Stage3bArgs, ramdisk) == 32);
    assert!(offset_of!(Stage3bArgs, psw) == 48);
};

impl Stage3bArgs {
    /// Finds the arguments in a decrypted and padded stage3b, together with the blob's size before
    /// padding.
    ///
    /// The size is not recorded anywhere. It is found from the end: the last non-zero byte must be that
    /// of the kernel entry address, and the PSW must be the one that builders write. `None` for any
    /// other code, so nothing is guessed.
    #[must_use]
    pub fn find(stage3b: &[u8]) -> Option<(Self, usize)> {
        let entry = KERNEL_ENTRY.to_be_bytes();
        let last = stage3b.iter().rposition(|&byte| byte != 0)?;
        let end = last + entry.len() - entry.iter().rposition(|&byte| byte != 0)?;
        let start = end.checked_sub(size_of::<Self>())?;
        let args = Self::read_from_bytes(stage3b.get(start..end)?).ok()?;
        (args.psw == Psw::at(KERNEL_ENTRY)).then_some((args, end))
    }
}

/// Why boot-loader blobs cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BootLoaderError {
    /// stage3a has no room for its arguments.
    #[error("stage3a has {0} bytes; it must be longer than its 24 bytes of arguments")]
    Stage3a(usize),
    /// stage3b has no room for its arguments.
    #[error("stage3b has {0} bytes; it must be longer than its 64 bytes of arguments")]
    Stage3b(usize),
}

/// The two blobs of the boot loader, unpatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootLoader {
    stage3a: Vec<u8>,
    stage3b: Vec<u8>,
}

impl BootLoader {
    /// Name of the stage3a file in a boot-loader folder.
    pub const STAGE3A_FILE: &'static str = "stage3a.bin";
    /// Name of the stage3b file in a boot-loader folder.
    pub const STAGE3B_FILE: &'static str = "stage3b_reloc.bin";

    /// Takes the contents of the two blob files.
    ///
    /// # Errors
    /// [`BootLoaderError`] if a blob is not longer than its arguments.
    pub fn new(stage3a: Vec<u8>, stage3b: Vec<u8>) -> Result<Self, BootLoaderError> {
        if stage3a.len() <= size_of::<Stage3aArgs>() {
            return Err(BootLoaderError::Stage3a(stage3a.len()));
        }
        if stage3b.len() <= size_of::<Stage3bArgs>() {
            return Err(BootLoaderError::Stage3b(stage3b.len()));
        }
        Ok(Self { stage3a, stage3b })
    }

    /// Blobs without code, for images that are measured and started but never run: two zero bytes (an
    /// invalid instruction), a readable mark, and the arguments. 64 bytes of stage3a, 128 of stage3b.
    ///
    /// An image with them has a correct layout and correct digests, and an Ultravisor takes it; a real
    /// CPU stops at the first instruction with an operation exception.
    #[must_use]
    pub fn placeholder() -> Self {
        let blob = |mark: &[u8], size: usize| {
            let mut blob = Vec::with_capacity(size);
            blob.extend_from_slice(&[0; 2]);
            blob.extend_from_slice(mark);
            blob.resize(size, 0);
            blob
        };
        Self { stage3a: blob(b"stage3a placeholder, no code", 64), stage3b: blob(b"stage3b placeholder, no code", 128) }
    }

    /// The stage3a blob.
    #[must_use]
    pub fn stage3a(&self) -> &[u8] {
        &self.stage3a
    }

    /// The stage3b blob.
    #[must_use]
    pub fn stage3b(&self) -> &[u8] {
        &self.stage3b
    }

    /// Guest address of the arguments of stage3a.
    #[must_use]
    pub fn stage3a_args_address(&self) -> u64 {
        STAGE3A_ADDRESS + size_as_u64(self.stage3a.len() - size_of::<Stage3aArgs>())
    }

    /// stage3a with its arguments for a header and an IPIB at these guest addresses.
    pub(crate) fn patched_stage3a(&self, header: u64, header_size: u64, ipib: u64) -> Vec<u8> {
        let base = self.stage3a_args_address();
        let args = Stage3aArgs {
            header_offset: U64::new(header.wrapping_sub(base)),
            header_size: U64::new(header_size),
            ipib_offset: U64::new(ipib.wrapping_sub(base)),
        };
        patched(&self.stage3a, args.as_bytes())
    }

    /// stage3b with its arguments.
    pub(crate) fn patched_stage3b(&self, args: &Stage3bArgs) -> Vec<u8> {
        patched(&self.stage3b, args.as_bytes())
    }
}

fn patched(blob: &[u8], args: &[u8]) -> Vec<u8> {
    let mut blob = blob.to_vec();
    let start = blob.len() - args.len();
    blob[start..].copy_from_slice(args);
    blob
}

/// A length in memory as a 64-bit number.
pub(crate) fn size_as_u64(size: usize) -> u64 {
    u64::try_from(size).expect("no machine has more than 64 address bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn blobs_need_room_for_arguments() {
        assert_eq!(BootLoader::new(vec![1; 24], vec![1; 65]), Err(BootLoaderError::Stage3a(24)));
        assert_eq!(BootLoader::new(vec![1; 25], vec![1; 64]), Err(BootLoaderError::Stage3b(64)));
        assert!(BootLoader::new(vec![1; 25], vec![1; 65]).is_ok());
    }

    #[test]
    fn arguments_are_found_behind_padding() {
        let args = Stage3bArgs {
            kernel: Stage3bSource { address: U64::new(0x15000), size: U64::new(5) },
            command_line: Stage3bSource::default(),
            ramdisk: Stage3bSource::default(),
            psw: Psw::at(KERNEL_ENTRY),
        };
        let blob = BootLoader::placeholder().patched_stage3b(&args);
        let mut padded = blob.clone();
        padded.resize(4096, 0);
        assert_eq!(Stage3bArgs::find(&padded), Some((args, 128)));
        assert_eq!(Stage3bArgs::find(&blob), Some((args, 128)));
        padded[200] = 1;
        assert_eq!(Stage3bArgs::find(&padded), None);
        assert_eq!(Stage3bArgs::find(&blob[..127]), None);
        assert_eq!(Stage3bArgs::find(&blob[80..]), None);
        assert_eq!(Stage3bArgs::find(&[0; 4096]), None);
    }

    #[test]
    fn stage3a_arguments_are_relative() {
        let blob = BootLoader::placeholder().patched_stage3a(0x14000, 640, 0x17000);
        let (_, args) = Stage3aArgs::read_from_suffix(&blob).unwrap();
        assert_eq!(args.header_offset.get(), 0x14000 - 0x10000 - 64 + 24);
        assert_eq!(args.header_size.get(), 640);
        assert_eq!(args.ipib_offset.get(), 0x17000 - 0x10000 - 64 + 24);
    }
}
