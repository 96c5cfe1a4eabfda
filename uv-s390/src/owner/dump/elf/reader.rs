//! Finding the parts of a dump file.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use object::elf::{
    ELFCLASS64, ELFDATA2MSB, ELFMAG, EM_S390, ET_CORE, FileHeader64, NoteHeader64, PN_XNUM, PT_LOAD, PT_NOTE,
    ProgramHeader64, SectionHeader64,
};
use object::endian::BigEndian;
use object::pod::{Pod, from_bytes};

use crate::abi::dump::elf::{DumpFileError, DumpSource, MemoryBlock, NT_S390_PV_CPU_DATA};
use crate::owner::dump::{CPU_NOTE_SIZE, CompletionBlock, CpuNote};

const BE: BigEndian = BigEndian;
/// A section-name table never has more bytes than this.
const MAX_NAMES: u64 = 4096;
/// A completion section or CPU note never has more bytes than this.
const MAX_BLOCK: u64 = 4096;

/// Bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Extent {
    /// Lies the extent inside a file of `size` bytes?
    fn within(self, size: u64) -> bool {
        self.offset.checked_add(self.size).is_some_and(|end| end <= size)
    }
}

/// The parts of a protected dump, found but not read.
#[derive(Clone)]
pub struct DumpReader<S> {
    pub(super) source: S,
    pub(super) memory: Vec<(MemoryBlock, Extent)>,
    pub(super) storage_state: Extent,
    notes: Vec<Extent>,
    completion: Extent,
}

/// Memory blocks with their place in the file, and where the CPU notes are.
type Segments = (Vec<(MemoryBlock, Extent)>, Vec<Extent>);

impl<S> fmt::Debug for DumpReader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DumpReader({} memory blocks, {} CPU notes)", self.memory.len(), self.notes.len())
    }
}

type Result<T, S> = core::result::Result<T, DumpFileError<<S as DumpSource>::Error>>;

/// Reads one ELF structure.
fn structure<T: Pod, S: DumpSource>(source: &S, offset: u64) -> Result<T, S> {
    let mut bytes = [0; 64];
    let bytes = bytes.get_mut(..size_of::<T>()).ok_or(DumpFileError::Damaged("header"))?;
    let size = u64::try_from(size_of::<T>()).map_err(|_| DumpFileError::Damaged("header"))?;
    if !(Extent { offset, size }).within(source.size()) {
        return Err(DumpFileError::Damaged("header"));
    }
    source.read_at(offset, bytes)?;
    from_bytes::<T>(bytes).map(|(structure, _)| *structure).map_err(|()| DumpFileError::Damaged("header"))
}

/// Reads an extent of at most [`MAX_BLOCK`] bytes.
fn block<S: DumpSource>(source: &S, extent: Extent, what: &'static str) -> Result<Vec<u8>, S> {
    let size = usize::try_from(extent.size).map_err(|_| DumpFileError::Damaged(what))?;
    if extent.size > MAX_BLOCK || !extent.within(source.size()) {
        return Err(DumpFileError::Damaged(what));
    }
    let mut bytes = vec![0; size];
    source.read_at(extent.offset, &mut bytes)?;
    Ok(bytes)
}

/// Offset of entry `index` of a table.
fn entry(table: u64, index: u32, size: u64) -> Option<u64> {
    u64::from(index).checked_mul(size)?.checked_add(table)
}

impl<S: DumpSource> DumpReader<S> {
    /// Opens a dump file and finds its parts.
    ///
    /// # Errors
    /// [`DumpFileError::NotS390Core`]; [`DumpFileError::NotProtected`] without a `pv_compl` section;
    /// [`DumpFileError::StorageStateSize`] if the storage state does not cover the memory; [`DumpFileError::Damaged`].
    pub fn open(source: S) -> Result<Self, S> {
        let header: FileHeader64<BigEndian> = structure(&source, 0).map_err(|error| match error {
            DumpFileError::Damaged(_) => DumpFileError::NotS390Core,
            other => other,
        })?;
        let ident = header.e_ident;
        if ident.magic != ELFMAG
            || ident.class != ELFCLASS64
            || ident.data != ELFDATA2MSB
            || header.e_type.get(BE) != ET_CORE
            || header.e_machine.get(BE) != EM_S390
        {
            return Err(DumpFileError::NotS390Core);
        }
        let (storage_state, completion) = Self::sections(&source, &header)?;
        let (memory, notes) = Self::segments(&source, &header)?;
        let reader = Self { source, memory, storage_state, notes, completion };
        reader.check_storage_state()?;
        Ok(reader)
    }

    /// Finds the storage state and the completion data.
    fn sections(source: &S, header: &FileHeader64<BigEndian>) -> Result<(Extent, Extent), S> {
        let damaged = DumpFileError::Damaged("section headers");
        let count = header.e_shnum.get(BE);
        if count == 0 {
            return Err(DumpFileError::NotProtected);
        }
        let section = |index: u32| -> Result<SectionHeader64<BigEndian>, S> {
            let offset = entry(header.e_shoff.get(BE), index, 64).ok_or(DumpFileError::Damaged("section headers"))?;
            structure(source, offset)
        };
        let extent = |section: &SectionHeader64<BigEndian>| Extent {
            offset: section.sh_offset.get(BE),
            size: section.sh_size.get(BE),
        };
        let names = extent(&section(u32::from(header.e_shstrndx.get(BE).0))?);
        if names.size > MAX_NAMES {
            return Err(damaged);
        }
        let names = block(source, names, "section names")?;
        let (mut storage_state, mut completion) = (None, None);
        for index in 0..u32::from(count) {
            let section = section(index)?;
            let start = usize::try_from(section.sh_name.get(BE)).unwrap_or(usize::MAX);
            let name = names.get(start..).and_then(|rest| rest.split(|&byte| byte == 0).next());
            let found = match name {
                Some(b"pv_mem_meta") => &mut storage_state,
                Some(b"pv_compl") => &mut completion,
                _ => continue,
            };
            if !extent(&section).within(source.size()) {
                return Err(damaged);
            }
            found.get_or_insert(extent(&section));
        }
        let completion = completion.ok_or(DumpFileError::NotProtected)?;
        Ok((storage_state.ok_or(DumpFileError::Damaged("no storage state"))?, completion))
    }

    /// Finds memory and CPU notes.
    fn segments(source: &S, header: &FileHeader64<BigEndian>) -> Result<Segments, S> {
        let mut count = u32::from(header.e_phnum.get(BE));
        if count == u32::from(PN_XNUM) {
            let first: SectionHeader64<BigEndian> = structure(source, header.e_shoff.get(BE))?;
            count = first.sh_info.get(BE);
        }
        let (mut memory, mut notes) = (Vec::new(), Vec::new());
        // Segments that share bytes could name many times more memory and notes than the file holds.
        let mut unclaimed = source.size();
        for index in 0..count {
            let offset = entry(header.e_phoff.get(BE), index, 56).ok_or(DumpFileError::Damaged("program headers"))?;
            let segment: ProgramHeader64<BigEndian> = structure(source, offset)?;
            let extent = Extent { offset: segment.p_offset.get(BE), size: segment.p_filesz.get(BE) };
            let kind = segment.p_type.get(BE);
            if kind != PT_LOAD && kind != PT_NOTE {
                continue;
            }
            if !extent.within(source.size()) {
                return Err(DumpFileError::Damaged("segment outside the file"));
            }
            unclaimed = unclaimed.checked_sub(extent.size).ok_or(DumpFileError::Damaged("segments overlap"))?;
            if kind == PT_NOTE {
                Self::find_notes(source, extent, &mut notes)?;
            } else {
                let block = MemoryBlock { address: segment.p_paddr.get(BE), size: extent.size };
                if !block.size.is_multiple_of(4096) || !block.address.is_multiple_of(4096) {
                    return Err(DumpFileError::Damaged("memory is not a whole number of pages"));
                }
                memory.push((block, extent));
            }
        }
        if memory.is_empty() {
            return Err(DumpFileError::Damaged("no memory"));
        }
        Ok((memory, notes))
    }

    /// Collects the places of the CPU notes; other notes are passed over, names are not looked at.
    fn find_notes(source: &S, segment: Extent, found: &mut Vec<Extent>) -> Result<(), S> {
        const DAMAGED: &str = "note";
        let end = segment.offset.saturating_add(segment.size);
        let mut at = segment.offset;
        while at < end {
            let note: NoteHeader64<BigEndian> = structure(source, at)?;
            let name = u64::from(note.n_namesz.get(BE)).next_multiple_of(4);
            let size = u64::from(note.n_descsz.get(BE));
            let descriptor = Extent { offset: at + 12 + name, size };
            let next = descriptor.offset + size.next_multiple_of(4);
            // The last descriptor may lack its padding.
            if !descriptor.within(end) {
                return Err(DumpFileError::Damaged(DAMAGED));
            }
            if note.n_type.get(BE).0 == NT_S390_PV_CPU_DATA {
                let smallest = u64::try_from(CPU_NOTE_SIZE).map_err(|_| DumpFileError::Damaged(DAMAGED))?;
                if !(smallest..=MAX_BLOCK).contains(&size) {
                    return Err(DumpFileError::Damaged("CPU note size"));
                }
                found.push(descriptor);
            }
            at = next;
        }
        Ok(())
    }

    /// Offset of the first entry for a block in the storage state. With a single block entries count from its start, as
    /// existing readers do; several blocks are found by absolute address, as the writer places them. Both agree for
    /// memory that begins at 0.
    pub(super) fn first_entry(&self, block: &MemoryBlock) -> u64 {
        if self.memory.len() == 1 { 0 } else { block.address / 4096 * 16 }
    }

    fn check_storage_state(&self) -> Result<(), S> {
        let size = self.storage_state.size;
        let needed =
            |(block, _): &(MemoryBlock, Extent)| self.first_entry(block).saturating_add(block.size / 4096 * 16);
        let needed = self.memory.iter().map(needed).max().unwrap_or(0);
        if size == 0 || !size.is_multiple_of(16) || needed > size {
            return Err(DumpFileError::StorageStateSize { size, needed });
        }
        Ok(())
    }

    /// The memory in the file.
    pub fn memory(&self) -> impl Iterator<Item = MemoryBlock> + '_ {
        self.memory.iter().map(|(block, _)| *block)
    }

    /// Reads the completion data.
    ///
    /// # Errors
    /// [`DumpFileError::Block`], [`DumpFileError::Io`].
    pub fn completion(&self) -> Result<CompletionBlock, S> {
        CompletionBlock::parse(&block(&self.source, self.completion, "completion data")?).map_err(DumpFileError::Block)
    }

    /// Reads the notes of all CPUs, still sealed.
    ///
    /// # Errors
    /// [`DumpFileError::Block`], [`DumpFileError::Io`].
    pub fn cpu_notes(&self) -> Result<Vec<CpuNote>, S> {
        self.notes
            .iter()
            .map(|&note| CpuNote::parse(&block(&self.source, note, "CPU note")?).map_err(DumpFileError::Block))
            .collect()
    }
}
