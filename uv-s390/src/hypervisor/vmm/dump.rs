//! The VMM's dump of a protected guest: what QEMU does with KVM's dump command (s390-ultravisor §8.2, §8.4).
//!
//! Who uses it: a VMM that is told to dump a guest.
//!
//! ```text
//! begin ── notes with DUMP_CPU ── memory ── DUMP_CONF_STOR_STATE for each MiB ── DUMP_COMPLETE
//! ```
//! The hypervisor's side: it holds no key, sees ciphertext and shared pages, and keeps one MiB at a time. Everything goes
//! through [`KvmPv`] and a way to read guest memory, so it runs unchanged against a real kernel.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use uv_core::GuestAddr;

use crate::abi::dump::CpuState;
use crate::abi::dump::elf::{
    DumpFileError, DumpSink, DumpWriter, MemoryBlock, NT_S390_PV_CPU_DATA, PvSizes, append_cpu_notes, append_note,
};
use crate::hypervisor::uapi::client::{self, PvError};
use crate::hypervisor::uapi::{InfoDump, KvmPv};

/// Memory is read, and storage state asked for, in pieces of this size.
const MIB: u64 = 1 << 20;
const MIB_BYTES: usize = 1 << 20;

/// Reads guest memory from an address on, as a device model does: secure pages come as ciphertext.
pub type ReadMemory<'m, M> = dyn FnMut(GuestAddr, &mut [u8]) -> Result<(), M> + 'm;

/// How far a dump has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpStep {
    /// The registers of this CPU are written next.
    Cpu(u16),
    /// So many bytes of memory are written.
    Memory(u64),
    /// The storage state of so many bytes of memory is written.
    StorageState(u64),
    /// The completion data is written next.
    Complete,
}

/// A dump was not written. The VM can run again, unless ending the dump was what failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DumpError<M: core::error::Error + 'static, E: core::error::Error + 'static> {
    /// A dump command was refused.
    #[error(transparent)]
    Command(PvError),
    /// Guest memory cannot be read.
    #[error("guest memory at {at}: {error}")]
    Memory {
        /// Guest address of the piece.
        at: GuestAddr,
        /// Why.
        error: M,
    },
    /// The memory is not dumped in whole MiB, or the machine's sizes make no sense.
    #[error("the memory of a protected guest is dumped in whole MiB")]
    Alignment,
    /// Writing the file failed.
    #[error(transparent)]
    File(#[from] DumpFileError<E>),
}

/// A dump of a protected VM that has been begun: no vCPU runs until [`GuestDump::write`] has ended it.
///
/// Dropped without that, the dump stays open, as KVM keeps it.
#[must_use = "the VM cannot run until the dump is written"]
pub struct GuestDump<'k> {
    kvm: &'k dyn KvmPv,
    sizes: InfoDump,
}

impl fmt::Debug for GuestDump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestDump").field("sizes", &self.sizes).finish_non_exhaustive()
    }
}

/// Where the commands' errors go: into a [`DumpError`] with the right parameters.
macro_rules! command {
    ($call:expr) => {
        $call.map_err(DumpError::Command)
    };
}

impl<'k> GuestDump<'k> {
    /// Asks for the sizes and begins the dump. Nothing has been written so far, so a VMM that gets an error can still decide
    /// to write an ordinary dump, or none.
    ///
    /// # Errors
    /// [`PvError`]: the VM is not protected, a dump is in progress, or the owner does not allow dumps.
    pub fn begin(kvm: &'k dyn KvmPv) -> Result<Self, PvError> {
        let sizes = client::info_dump(kvm)?;
        client::dump_init(kvm)?;
        Ok(Self { kvm, sizes })
    }

    /// Writes the file and ends the dump. `cpus` are the CPUs with what the hypervisor sees of their registers; `blocks` the guest's
    /// memory, whole MiB each, in ascending order; `memory` reads it as a device model does, so that secure pages come as ciphertext.
    ///
    /// # Errors
    /// [`DumpError`]. The dump is ended in any case, so that the VM can run again; the sink then holds a part of a file.
    pub fn write<K: DumpSink, M: core::error::Error + 'static>(
        self,
        cpus: &[(u16, CpuState)],
        blocks: &[MemoryBlock],
        memory: &mut ReadMemory<'_, M>,
        sink: K,
        report: &mut dyn FnMut(DumpStep),
    ) -> Result<K, DumpError<M, K::Error>> {
        let mut open = true;
        let written = self.parts(cpus, blocks, memory, sink, report, &mut open);
        if open {
            // The VM is not left standing; if this fails too there is nothing else to try.
            let _ = client::dump_complete(self.kvm, self.sizes.config_finalize_len.get());
        }
        written
    }

    fn parts<K: DumpSink, M: core::error::Error + 'static>(
        &self,
        cpus: &[(u16, CpuState)],
        blocks: &[MemoryBlock],
        memory: &mut ReadMemory<'_, M>,
        sink: K,
        report: &mut dyn FnMut(DumpStep),
        open: &mut bool,
    ) -> Result<K, DumpError<M, K::Error>> {
        let sizes = self.check_blocks(blocks).ok_or(DumpError::Alignment)?;
        let mut notes = Vec::new();
        for (number, state) in cpus {
            report(DumpStep::Cpu(*number));
            let sealed = command!(client::dump_cpu(self.kvm, *number, self.sizes.cpu_buffer_len.get()))?;
            let appended = append_cpu_notes(&mut notes, u32::from(*number) + 1, state)
                .and_then(|()| append_note(&mut notes, b"LINUX\0", NT_S390_PV_CPU_DATA, &sealed));
            appended.ok_or(DumpFileError::Sequence("notes"))?;
        }
        let mut writer = DumpWriter::begin(sink, &notes, blocks, Some(sizes))?;
        let mut piece = vec![0; MIB_BYTES];
        let mut done = 0;
        for at in mibs(blocks) {
            memory(at, &mut piece).map_err(|error| DumpError::Memory { at, error })?;
            writer.memory(&piece)?;
            done += MIB;
            report(DumpStep::Memory(done));
        }
        drop(piece);
        self.storage_state(blocks, &mut writer, report)?;
        report(DumpStep::Complete);
        let completion = client::dump_complete(self.kvm, sizes.completion);
        *open = completion.is_err();
        writer.completion(&command!(completion)?)?;
        Ok(writer.finish()?)
    }

    /// The entries of a MiB stand at the place of its absolute address; there is none for a hole between blocks.
    fn storage_state<K: DumpSink, M: core::error::Error + 'static>(
        &self,
        blocks: &[MemoryBlock],
        writer: &mut DumpWriter<K>,
        report: &mut dyn FnMut(DumpStep),
    ) -> Result<(), DumpError<M, K::Error>> {
        let per_mib = self.sizes.config_mem_buffer_per_1m.get();
        let hole = vec![0; usize::try_from(per_mib).map_err(|_| DumpError::Alignment)?];
        let (mut next, mut done) = (0, 0);
        for at in mibs(blocks) {
            while next < at.0 {
                writer.storage_state(&hole)?;
                next += MIB;
            }
            writer.storage_state(&command!(client::dump_storage_state(self.kvm, at.0, per_mib))?)?;
            next += MIB;
            done += MIB;
            report(DumpStep::StorageState(done));
        }
        Ok(())
    }

    /// Sizes of the sections; `None` for blocks that are not whole MiB, overlap, or do not ascend, or for sizes that make no file.
    fn check_blocks(&self, blocks: &[MemoryBlock]) -> Option<PvSizes> {
        let mut end = 0;
        for block in blocks {
            if block.address < end || block.size == 0 || (block.address | block.size) % MIB != 0 {
                return None;
            }
            end = block.address.checked_add(block.size)?;
        }
        let per_mib = self.sizes.config_mem_buffer_per_1m.get();
        let storage_state = (end / MIB).checked_mul(per_mib).filter(|_| per_mib > 0)?;
        Some(PvSizes { storage_state, completion: self.sizes.config_finalize_len.get() })
    }
}

fn mibs(blocks: &[MemoryBlock]) -> impl Iterator<Item = GuestAddr> + '_ {
    blocks.iter().flat_map(|block| (0..block.size / MIB).map(|index| GuestAddr(block.address + index * MIB)))
}
