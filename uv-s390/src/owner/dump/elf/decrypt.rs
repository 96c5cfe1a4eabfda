//! Reading a protected dump with the customer communication key.

use alloc::vec;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::reader::{DumpReader, Extent};
use crate::abi::dump::elf::{DumpFileError, DumpSink, DumpSource, MemoryBlock, ordinary_headers, ordinary_notes};
use crate::abi::dump::{CpuState, StorageState};
use crate::owner::crypto::Cck;
use crate::owner::dump::{DUMP_PAGE_SIZE, DumpMemoryKey};

/// Pages read and decrypted at a time: 1 MiB.
const PAGES: usize = 256;
const PAGE_STEP: u64 = 4096;

/// Pages of a dump by how they are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DumpPageCounts {
    /// Encrypted.
    pub encrypted: u64,
    /// In clear, shared by the guest.
    pub shared: u64,
    /// Zero.
    pub zero: u64,
}

/// A dump whose keys and CPUs have been opened. Memory is decrypted when it is read.
#[derive(Debug)]
pub struct DecryptedDump<S> {
    reader: DumpReader<S>,
    key: DumpMemoryKey,
    cpus: Vec<CpuState>,
}

type Result<T, S> = core::result::Result<T, DumpFileError<<S as DumpSource>::Error>>;

impl<S: DumpSource> DecryptedDump<S> {
    /// Opens completion data and CPU notes.
    ///
    /// # Errors
    /// [`DumpFileError::Block`] with `Authentication` for a wrong key; [`DumpFileError::Io`].
    pub fn open(reader: DumpReader<S>, cck: &Cck) -> Result<Self, S> {
        let (dump_key, secrets) = reader.completion()?.open(cck).map_err(DumpFileError::Block)?;
        let notes = reader.cpu_notes()?;
        let cpus = notes
            .iter()
            .map(|note| note.open(&dump_key))
            .collect::<core::result::Result<Vec<_>, _>>()
            .map_err(DumpFileError::Block)?;
        for (cpu, state) in cpus.iter().enumerate() {
            if state.partial_instruction {
                tracing::warn!(cpu, "registers may hold results of an instruction that was only partly executed");
            }
        }
        Ok(Self { key: DumpMemoryKey::new(&secrets), reader, cpus })
    }

    /// The CPUs in the order of their notes.
    #[must_use]
    pub fn cpus(&self) -> &[CpuState] {
        &self.cpus
    }

    /// The memory in the dump.
    pub fn memory(&self) -> impl Iterator<Item = MemoryBlock> + '_ {
        self.reader.memory()
    }

    /// Gives the plain memory to `visit`, at most 1 MiB at a time, in the order of the file: guest absolute address and
    /// bytes. Stops at the first page that cannot be read; what came before has been given away by then.
    ///
    /// # Errors
    /// [`DumpFileError::StorageState`], [`DumpFileError::Io`], and those of `visit`.
    pub fn for_each_chunk(&self, mut visit: impl FnMut(u64, &[u8]) -> Result<(), S>) -> Result<(), S> {
        let mut pages = Zeroizing::new(vec![0; PAGES * DUMP_PAGE_SIZE]);
        for (block, extent) in &self.reader.memory {
            let mut done = 0;
            while done < block.size {
                let rest = usize::try_from(block.size - done).unwrap_or(usize::MAX);
                let length = rest.min(PAGES * DUMP_PAGE_SIZE);
                let chunk = &mut pages[..length];
                self.read_chunk(block, extent, done, chunk)?;
                visit(block.address.wrapping_add(done), chunk)?;
                done += u64::try_from(length).map_err(|_| DumpFileError::Damaged("memory size"))?;
            }
        }
        Ok(())
    }

    /// Reads and decrypts whole pages from `done` bytes into a block on.
    fn read_chunk(&self, block: &MemoryBlock, extent: &Extent, done: u64, chunk: &mut [u8]) -> Result<(), S> {
        let source = &self.reader.source;
        source.read_at(extent.offset + done, chunk)?;
        let (pages, _) = chunk.as_chunks_mut::<DUMP_PAGE_SIZE>();
        let mut entries = [[0; 16]; PAGES];
        let entries = &mut entries[..pages.len()];
        let first = self.reader.storage_state.offset + self.reader.first_entry(block) + done / 4096 * 16;
        source.read_at(first, entries.as_flattened_mut())?;
        let mut address = block.address.wrapping_add(done);
        for (page, entry) in pages.iter_mut().zip(entries) {
            let state = StorageState::decode(entry).map_err(|error| DumpFileError::StorageState { address, error })?;
            self.key.decrypt_page(&state, page);
            address = address.wrapping_add(PAGE_STEP);
        }
        Ok(())
    }

    /// Counts the pages by how they are kept. Reads the storage state only.
    ///
    /// # Errors
    /// [`DumpFileError::StorageState`], [`DumpFileError::Io`].
    pub fn page_counts(&self) -> Result<DumpPageCounts, S> {
        let mut counts = DumpPageCounts::default();
        for (block, _) in &self.reader.memory {
            let first = self.reader.storage_state.offset + self.reader.first_entry(block);
            for page in 0..block.size / PAGE_STEP {
                let mut entry = [0; 16];
                self.reader.source.read_at(first + page * 16, &mut entry)?;
                let address = block.address.wrapping_add(page * PAGE_STEP);
                let state = StorageState::decode(&entry);
                match state.map_err(|error| DumpFileError::StorageState { address, error })? {
                    StorageState::Encrypted(_) => counts.encrypted += 1,
                    StorageState::Shared { .. } => counts.shared += 1,
                    StorageState::Zero { .. } => counts.zero += 1,
                }
            }
        }
        Ok(counts)
    }

    /// Writes the plain memory, block after block, and nothing else.
    ///
    /// # Errors
    /// As [`Self::for_each_chunk`].
    pub fn write_raw<K: DumpSink<Error = S::Error>>(&self, sink: &mut K) -> Result<(), S> {
        self.for_each_chunk(|_, bytes| Ok(sink.write(bytes)?))
    }

    /// Writes an ordinary ELF dump: notes of the system and the CPUs, then the memory; no sections. A note with the
    /// guest kernel's vmcoreinfo is not written.
    ///
    /// # Errors
    /// As [`Self::for_each_chunk`].
    pub fn write_elf<K: DumpSink<Error = S::Error>>(&self, sink: &mut K) -> Result<(), S> {
        let notes = ordinary_notes(&self.cpus).ok_or(DumpFileError::Damaged("notes"))?;
        let blocks: Vec<MemoryBlock> = self.memory().collect();
        sink.write(&ordinary_headers(&notes, &blocks).ok_or(DumpFileError::Damaged("memory size"))?)?;
        sink.write(&notes)?;
        self.write_raw(sink)
    }
}
