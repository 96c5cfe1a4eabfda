//! What lies where in guest memory before the guest starts.

use uv_core::{GuestAddr, HostAddr, NormalMemory};

use uv_power::guest::{EsmTree, RTAS_TOKENS, Rtas};
use uv_programs::Failure;

use super::Input;

/// Cores the VM can have, of one thread each.
const CORES: u32 = 4;
const PAGE: u64 = 1 << 16;
/// Where the kernel is loaded. Not 0: `UV_ESM` takes 0 for no address.
const KERNEL: u64 = 0x40_0000;
/// Memory that stays free above everything: the ultravisor reserves pages there.
const FREE: u64 = 16 << 20;
/// The guest's memory ends at a multiple of this.
const UNIT: u64 = 2 << 20;
/// Room for the device tree.
const TREE: u64 = 1 << 20;

/// A piece of guest memory.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Its first byte.
    pub at: GuestAddr,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Piece {
    /// The first byte after it.
    #[must_use]
    pub fn end(&self) -> GuestAddr {
        GuestAddr(self.at.0 + self.bytes.len() as u64)
    }

    /// Where it lies.
    #[must_use]
    pub fn range(&self) -> core::ops::Range<u64> {
        self.at.0..self.end().0
    }
}

/// Guest memory as the hypervisor loads it.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Bytes of guest memory, from address 0 on.
    pub memory: u64,
    /// The flat kernel.
    pub kernel: Piece,
    /// The initramfs, with the blob in front if it was asked for.
    pub initrd: Piece,
    /// The blob, if the device tree points to it.
    pub blob: Option<Piece>,
    /// The RTAS code.
    pub rtas: Piece,
    /// Where the device tree goes.
    pub tree: GuestAddr,
    /// A page that nothing is loaded to: the guest works there.
    pub work: GuestAddr,
}

impl Layout {
    /// Puts everything into place, each piece on pages of its own.
    ///
    /// # Errors
    /// Status 2 when the blob does not fit an archive.
    pub fn new(input: &Input) -> Result<Self, Failure> {
        let mut next = KERNEL;
        let mut place = |bytes: Vec<u8>| {
            let piece = Piece { at: GuestAddr(next), bytes };
            next = piece.end().0.next_multiple_of(PAGE);
            piece
        };
        let kernel = place(input.kernel.clone());
        let (initrd, blob) = if input.blob_in_initrd {
            let carrier = uv_power::owner::cpio::carrier(&input.blob, "esmb").map_err(Failure::unusable)?;
            (place([carrier, input.initrd.clone()].concat()), None)
        } else {
            (place(input.initrd.clone()), Some(place(input.blob.clone())))
        };
        let rtas = place(input.rtas.clone());
        let tree = GuestAddr(next);
        let work = GuestAddr(next + TREE);
        let memory = (work.0 + FREE).next_multiple_of(UNIT);
        Ok(Self { memory, kernel, initrd, blob, rtas, tree, work })
    }

    /// The same with `bytes` of memory that nothing is loaded to, from [`Layout::work`] on.
    #[must_use]
    pub fn with_work(mut self, bytes: u64) -> Self {
        self.memory = (self.work.0 + bytes + FREE).next_multiple_of(UNIT);
        self
    }

    /// Loads everything into the hypervisor's memory; guest memory begins there at `host`.
    ///
    /// # Errors
    /// Status 2 when the memory is not there or the command line does not fit the device tree.
    pub fn load(&self, memory: &dyn NormalMemory, host: HostAddr, bootargs: &str) -> Result<(), Failure> {
        let reserved: Vec<_> = self.pieces().map(Piece::range).collect();
        let tree = EsmTree {
            memory: self.memory,
            cores: CORES,
            bootargs,
            initrd: self.initrd.range(),
            blob: self.blob.as_ref().map(Piece::range),
            rtas: Rtas { code: self.rtas.range(), tokens: &RTAS_TOKENS },
            reserved: &reserved,
        };
        let tree = tree.to_bytes().map_err(Failure::unusable)?;
        let pieces = self.pieces().map(|piece| (piece.at, piece.bytes.as_slice()));
        for (at, bytes) in pieces.chain([(self.tree, tree.as_slice())]) {
            memory.write(HostAddr(host.0 + at.0), bytes).map_err(Failure::unusable)?;
        }
        Ok(())
    }

    /// What is loaded, without the device tree.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        [&self.kernel, &self.initrd, &self.rtas].into_iter().chain(&self.blob)
    }
}
