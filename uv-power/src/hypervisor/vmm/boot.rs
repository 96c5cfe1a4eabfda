//! From files to a guest that can ask for secure mode: what lies where in guest memory before `UV_ESM` (power-pef §7.1, §7.3).

use alloc::vec::Vec;
use core::ops::Range;

use uv_core::{AccessError, GuestAddr, HostAddr, NormalMemory};

use crate::abi::numbers::PAGE_BYTES;
use crate::guest::{EsmRequest, EsmTree, EsmTreeError, RTAS_TOKENS, Rtas};

/// Where the kernel is loaded, as QEMU does. Not 0: `UV_ESM` takes 0 for no address.
pub const KERNEL_LOAD_ADDR: GuestAddr = GuestAddr(0x40_0000);
/// Most bytes of a device tree that an ultravisor takes (power-pef §7.3 row 4).
pub const TREE_MAX: u64 = 1 << 20;
/// An ultravisor reserves its pages below this address, or below the end of memory (power-pef §7.3 row 5).
const RESERVED_BELOW: u64 = 768 << 20;
/// What it reserves: 1 page and 1 for the blob, 6 for RTAS, 2 for the TPM.
const RESERVED: u64 = 10 * PAGE_BYTES;
/// Memory that stays free above everything, when the size of memory follows from what is loaded.
const FREE: u64 = 16 << 20;
/// The size of memory is then a multiple of this.
const UNIT: u64 = 2 << 20;

/// What a VMM loads.
#[derive(Clone, Copy)]
pub struct BootFiles<'a> {
    /// The flat kernel.
    pub kernel: &'a [u8],
    /// The initramfs, with the ESM blob in front if that is where it is (`owner::cpio::carrier`).
    pub initrd: &'a [u8],
    /// The ESM blob, if the device tree is to point to it.
    pub blob: Option<&'a [u8]>,
    /// The RTAS code.
    pub rtas: &'a [u8],
    /// The kernel's command line.
    pub bootargs: &'a str,
    /// Cores that the VM can have, of one thread each.
    pub cores: u32,
}

impl core::fmt::Debug for BootFiles<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BootFiles")
            .field("kernel", &self.kernel.len())
            .field("initrd", &self.initrd.len())
            .field("blob", &self.blob.map(<[u8]>::len))
            .field("rtas", &self.rtas.len())
            .field("bootargs", &self.bootargs)
            .field("cores", &self.cores)
            .finish()
    }
}

/// A file in guest memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its first byte.
    pub at: GuestAddr,
    /// Its content.
    pub bytes: &'a [u8],
}

impl Piece<'_> {
    /// The first byte behind it.
    #[must_use]
    pub fn end(&self) -> GuestAddr {
        GuestAddr(self.range().end)
    }

    /// The guest addresses of its bytes.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.at.0..self.at.0.saturating_add(length(self.bytes))
    }
}

impl core::fmt::Debug for Piece<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:#x?}", self.range())
    }
}

/// Why a guest cannot be loaded.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// What is loaded leaves no pages for the ultravisor below 768 MiB, or below the end of memory.
    #[error("what is loaded ends at {end}, which leaves an ultravisor no room below {limit}")]
    NoRoom {
        /// The first byte behind everything that is loaded.
        end: GuestAddr,
        /// Where the ultravisor's pages have to end.
        limit: GuestAddr,
    },
    /// The device tree cannot be written.
    #[error(transparent)]
    Tree(#[from] EsmTreeError),
    /// The device tree is longer than [`TREE_MAX`]: its bytes. A command line can be that long.
    #[error("the device tree has {0} bytes, an ultravisor takes at most {TREE_MAX}")]
    TreeTooLong(u64),
    /// The hypervisor's memory cannot be written.
    #[error(transparent)]
    Memory(#[from] AccessError),
}

/// What lies where, each piece on pages of its own, in the order kernel, initramfs, blob, RTAS, device tree.
///
/// Who calls: the VMM, once for each VM before its guest runs, and again after a reset.
///
/// ```
/// use uv_core::{GuestAddr, HostAddr, NormalMemory};
/// use uv_power::hypervisor::vmm::boot::{BootError, BootFiles, BootLayout};
///
/// # fn load(memory: &dyn NormalMemory, kernel: &[u8], initrd: &[u8], blob: &[u8], rtas: &[u8]) -> Result<(), BootError> {
/// let files = BootFiles { kernel, initrd, blob: Some(blob), rtas, bootargs: "svm=on", cores: 4 };
/// let layout = BootLayout::new(&files)?.with_memory(1 << 30)?;
/// // Guest address 0 is at 16 MiB of the hypervisor's memory.
/// layout.load(memory, HostAddr(16 << 20))?;
/// // The guest starts at the kernel and asks with this.
/// let request = layout.request();
/// assert_eq!(request.kernel, GuestAddr(0x40_0000));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootLayout<'a> {
    /// Bytes of guest memory, from address 0 on.
    pub memory: u64,
    /// The kernel.
    pub kernel: Piece<'a>,
    /// The initramfs.
    pub initrd: Piece<'a>,
    /// The blob, if the device tree points to it.
    pub blob: Option<Piece<'a>>,
    /// The RTAS code.
    pub rtas: Piece<'a>,
    /// The device tree, which has [`TREE_MAX`] bytes of room.
    pub tree: GuestAddr,
    /// The first byte behind everything that is loaded, at a page boundary.
    pub free: GuestAddr,
    bootargs: &'a str,
    cores: u32,
}

impl<'a> BootLayout<'a> {
    /// Puts everything into place. Memory is as large as that needs, with 16 MiB or more behind it.
    ///
    /// # Errors
    /// [`BootError::NoRoom`].
    pub fn new(files: &BootFiles<'a>) -> Result<Self, BootError> {
        let mut next = KERNEL_LOAD_ADDR.0;
        let mut place = |bytes: &'a [u8]| {
            let piece = Piece { at: GuestAddr(next), bytes };
            let full = BootError::NoRoom { end: piece.end(), limit: GuestAddr(RESERVED_BELOW) };
            next =
                piece.end().0.checked_next_multiple_of(PAGE_BYTES).filter(|end| *end <= RESERVED_BELOW).ok_or(full)?;
            Ok::<_, BootError>(piece)
        };
        let kernel = place(files.kernel)?;
        let initrd = place(files.initrd)?;
        let blob = files.blob.map(&mut place).transpose()?;
        let rtas = place(files.rtas)?;
        let (tree, free) = (GuestAddr(next), GuestAddr(next + TREE_MAX));
        let layout =
            Self { memory: 0, kernel, initrd, blob, rtas, tree, free, bootargs: files.bootargs, cores: files.cores };
        layout.with_free(0)
    }

    /// The same with `bytes` or more of memory that nothing is loaded to, from [`BootLayout::free`] on, and the 16 MiB.
    ///
    /// # Errors
    /// [`BootError::NoRoom`].
    pub fn with_free(self, bytes: u64) -> Result<Self, BootError> {
        let memory = self.free.0.saturating_add(FREE).checked_add(bytes);
        let memory = memory.and_then(|end| end.checked_next_multiple_of(UNIT));
        let full = BootError::NoRoom { end: self.free, limit: GuestAddr(RESERVED_BELOW) };
        self.with_memory(memory.ok_or(full)?)
    }

    /// The same with `bytes` of memory.
    ///
    /// # Errors
    /// [`BootError::NoRoom`].
    pub fn with_memory(self, bytes: u64) -> Result<Self, BootError> {
        let limit = GuestAddr(bytes.min(RESERVED_BELOW));
        if self.free.0 + RESERVED > limit.0 {
            return Err(BootError::NoRoom { end: self.free, limit });
        }
        Ok(Self { memory: bytes, ..self })
    }

    /// What the guest asks with; its kernel is also where it starts.
    #[must_use]
    pub const fn request(&self) -> EsmRequest {
        EsmRequest { kernel: self.kernel.at, tree: self.tree }
    }

    /// What is loaded, without the device tree.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'a>> + use<'a> {
        [self.kernel, self.initrd, self.rtas].into_iter().chain(self.blob)
    }

    /// The device tree.
    ///
    /// # Errors
    /// [`BootError::Tree`], [`BootError::TreeTooLong`].
    pub fn device_tree(&self) -> Result<Vec<u8>, BootError> {
        let reserved: Vec<_> = self.pieces().map(|piece| piece.range()).collect();
        let tree = EsmTree {
            memory: self.memory,
            cores: self.cores,
            bootargs: self.bootargs,
            initrd: self.initrd.range(),
            blob: self.blob.map(|blob| blob.range()),
            rtas: Rtas { code: self.rtas.range(), tokens: &RTAS_TOKENS },
            reserved: &reserved,
        };
        let bytes = tree.to_bytes()?;
        match length(&bytes) {
            len if len > TREE_MAX => Err(BootError::TreeTooLong(len)),
            _ => Ok(bytes),
        }
    }

    /// Loads everything into the hypervisor's memory, where guest address 0 is at `host`. Other bytes are left as they are.
    ///
    /// # Errors
    /// Those of [`BootLayout::device_tree`], with nothing written. [`BootError::Memory`]: the memory may be partly written.
    pub fn load(&self, memory: &dyn NormalMemory, host: HostAddr) -> Result<(), BootError> {
        let tree = self.device_tree()?;
        for piece in self.pieces().chain([Piece { at: self.tree, bytes: &tree }]) {
            let unmapped = AccessError::Unmapped { at: host, len: piece.bytes.len() };
            let at = host.0.checked_add(piece.at.0).ok_or(unmapped)?;
            memory.write(HostAddr(at), piece.bytes)?;
        }
        Ok(())
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(all(test, feature = "sim"))]
mod tests;
