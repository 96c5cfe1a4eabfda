//! Writing a dump file, as QEMU lays it out (s390-ultravisor §8.4).

use alloc::vec::Vec;
use core::fmt;

use object::elf::{
    ELFCLASS64, ELFDATA2MSB, ELFMAG, ELFOSABI_NONE, EM_S390, ET_CORE, EV_CURRENT, FileFlags, FileHeader64, Ident, PF_R,
    PF_W, PF_X, PN_XNUM, PT_LOAD, PT_NOTE, ProgramFlags, ProgramHeader64, ProgramType, SHT_NULL, SHT_PROGBITS,
    SHT_STRTAB, SectionFlags, SectionHeader64, SectionType, SymbolSection,
};
use object::endian::{BigEndian, U16, U32, U64};
use object::pod::bytes_of;

use super::MemoryBlock;
use super::error::DumpFileError;
use super::io::DumpSink;

const BE: BigEndian = BigEndian;
const FILE_HEADER: u64 = 64;
const SECTION_HEADER: u64 = 64;
const PROGRAM_HEADER: u64 = 56;
/// Names stand in slots of 12 bytes after the empty one.
const NAMES: &[u8] = b"\0pv_mem_meta\0pv_compl\0\0\0\0.shstrtab\0";
const NAMES_ORDINARY: &[u8] = b"\0.shstrtab\0";

/// Sizes of the two sections of a protected dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PvSizes {
    /// Bytes of storage state: what one MiB needs, times the MiB up to the end of memory.
    pub storage_state: u64,
    /// Bytes of completion data.
    pub completion: u64,
}

fn length(bytes: &[u8]) -> Option<u64> {
    u64::try_from(bytes.len()).ok()
}

fn file_header(phoff: u64, phnum: u16, shoff: u64, shnum: u16) -> FileHeader64<BigEndian> {
    let entry_size = |count: u16, size: u64| if count == 0 { 0 } else { u16::try_from(size).unwrap_or(0) };
    FileHeader64 {
        e_ident: Ident {
            magic: ELFMAG,
            class: ELFCLASS64,
            data: ELFDATA2MSB,
            version: EV_CURRENT,
            os_abi: ELFOSABI_NONE,
            abi_version: 0,
            padding: [0; 7],
        },
        e_type: U16::new(BE, ET_CORE),
        e_machine: U16::new(BE, EM_S390),
        e_version: U32::new(BE, u32::from(EV_CURRENT.0)),
        e_entry: U64::new(BE, 0),
        e_phoff: U64::new(BE, phoff),
        e_shoff: U64::new(BE, shoff),
        e_flags: U32::new(BE, FileFlags(0)),
        e_ehsize: U16::new(BE, entry_size(1, FILE_HEADER)),
        e_phentsize: U16::new(BE, entry_size(1, PROGRAM_HEADER)),
        e_phnum: U16::new(BE, phnum),
        e_shentsize: U16::new(BE, entry_size(shnum, SECTION_HEADER)),
        e_shnum: U16::new(BE, shnum),
        e_shstrndx: U16::new(BE, SymbolSection(shnum.saturating_sub(1))),
    }
}

fn segment(kind: ProgramType, flags: ProgramFlags, offset: u64, block: MemoryBlock) -> ProgramHeader64<BigEndian> {
    ProgramHeader64 {
        p_type: U32::new(BE, kind),
        p_flags: U32::new(BE, flags),
        p_offset: U64::new(BE, offset),
        p_vaddr: U64::new(BE, 0),
        p_paddr: U64::new(BE, block.address),
        p_filesz: U64::new(BE, block.size),
        p_memsz: U64::new(BE, block.size),
        p_align: U64::new(BE, 0),
    }
}

fn section(name: u32, kind: SectionType, offset: u64, size: u64, info: u32) -> SectionHeader64<BigEndian> {
    SectionHeader64 {
        sh_name: U32::new(BE, name),
        sh_type: U32::new(BE, kind),
        sh_flags: U64::new(BE, SectionFlags(0)),
        sh_addr: U64::new(BE, 0),
        sh_offset: U64::new(BE, offset),
        sh_size: U64::new(BE, size),
        sh_link: U32::new(BE, 0),
        sh_info: U32::new(BE, info),
        sh_addralign: U64::new(BE, 0),
        sh_entsize: U64::new(BE, 0),
    }
}

/// Appends the program headers: notes at `notes_at`, memory directly after them. Gives the end of the memory.
fn segments(headers: &mut Vec<u8>, notes_at: u64, notes: u64, blocks: &[MemoryBlock]) -> Option<u64> {
    let note = segment(PT_NOTE, ProgramFlags(0), notes_at, MemoryBlock { address: 0, size: notes });
    headers.extend_from_slice(bytes_of(&note));
    let mut at = notes_at.checked_add(notes)?;
    for block in blocks {
        headers.extend_from_slice(bytes_of(&segment(PT_LOAD, PF_R | PF_W | PF_X, at, *block)));
        at = at.checked_add(block.size)?;
    }
    Some(at)
}

/// Headers of a dump without sections. `None` when there are more blocks than a file without sections can count, or sizes that
/// make no file.
#[must_use]
pub fn ordinary_headers(notes: &[u8], blocks: &[MemoryBlock]) -> Option<Vec<u8>> {
    let count = blocks.len().checked_add(1)?;
    let phnum = u16::try_from(count).ok().filter(|&count| count < PN_XNUM)?;
    let notes_at = FILE_HEADER + PROGRAM_HEADER * u64::from(phnum);
    let mut headers = bytes_of(&file_header(FILE_HEADER, phnum, 0, 0)).to_vec();
    segments(&mut headers, notes_at, length(notes)?, blocks)?;
    Some(headers)
}

/// Writes a dump of a protected guest: headers and notes at once, then memory, storage state and completion data as they
/// come. Holds no key and sees only ciphertext of secure pages.
pub struct DumpWriter<K> {
    sink: K,
    /// Bytes still to come: memory, storage state, completion data.
    memory: u64,
    storage_state: u64,
    completion: u64,
    names: &'static [u8],
}

impl<K> fmt::Debug for DumpWriter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (memory, state, completion) = (self.memory, self.storage_state, self.completion);
        write!(f, "DumpWriter({memory} bytes of memory, {state} of storage state, {completion} of completion to come)")
    }
}

type Result<T, K> = core::result::Result<T, DumpFileError<<K as DumpSink>::Error>>;

impl<K: DumpSink> DumpWriter<K> {
    /// Begins the file. `notes` are the notes of all CPUs ([`append_note`](super::append_note)); `blocks` the memory that
    /// will follow; `pv` the sizes of the sections, or `None` if the Ultravisor refused the dump: the file is then an
    /// ordinary one.
    ///
    /// # Errors
    /// [`DumpFileError::Sequence`] if the sizes do not fit in a file; [`DumpFileError::Io`].
    pub fn begin(sink: K, notes: &[u8], blocks: &[MemoryBlock], pv: Option<PvSizes>) -> Result<Self, K> {
        let (headers, mut writer) = Self::lay_out(sink, notes, blocks, pv).ok_or(DumpFileError::Sequence("headers"))?;
        writer.sink.write(&headers)?;
        writer.sink.write(notes)?;
        Ok(writer)
    }

    fn lay_out(sink: K, notes: &[u8], blocks: &[MemoryBlock], pv: Option<PvSizes>) -> Option<(Vec<u8>, Self)> {
        let count = u32::try_from(blocks.len()).ok()?.checked_add(1)?;
        // A count that does not fit stands in the first section header.
        let phnum = u16::try_from(count).ok().filter(|&count| count < PN_XNUM).unwrap_or(PN_XNUM);
        let real_count = if phnum == PN_XNUM { count } else { 0 };
        let shnum: u16 = if pv.is_some() { 4 } else { 2 };
        let names = if pv.is_some() { NAMES } else { NAMES_ORDINARY };
        let phoff = FILE_HEADER + SECTION_HEADER * u64::from(shnum);
        let notes_at = phoff + PROGRAM_HEADER * u64::from(count);
        let mut program_headers = Vec::new();
        let memory_end = segments(&mut program_headers, notes_at, length(notes)?, blocks)?;

        let mut headers = bytes_of(&file_header(phoff, phnum, FILE_HEADER, shnum)).to_vec();
        headers.extend_from_slice(bytes_of(&section(0, SHT_NULL, 0, 0, real_count)));
        let mut at = memory_end;
        if let Some(sizes) = pv {
            for (name, size) in [(1, sizes.storage_state), (13, sizes.completion)] {
                headers.extend_from_slice(bytes_of(&section(name, SHT_PROGBITS, at, size, 0)));
                at = at.checked_add(size)?;
            }
        }
        let own_name = if pv.is_some() { 25 } else { 1 };
        headers.extend_from_slice(bytes_of(&section(own_name, SHT_STRTAB, at, length(names)?, 0)));
        headers.append(&mut program_headers);
        let memory = memory_end - notes_at - length(notes)?;
        let (storage_state, completion) = pv.map_or((0, 0), |sizes| (sizes.storage_state, sizes.completion));
        Some((headers, Self { sink, memory, storage_state, completion, names }))
    }

    /// Takes bytes off what is still to come.
    fn take(left: &mut u64, bytes: &[u8], what: &'static str) -> Result<(), K> {
        *left = length(bytes).and_then(|bytes| left.checked_sub(bytes)).ok_or(DumpFileError::Sequence(what))?;
        Ok(())
    }

    /// Writes the next bytes of memory, as exported; all blocks one after the other.
    ///
    /// # Errors
    /// [`DumpFileError::Sequence`] for more bytes than announced; [`DumpFileError::Io`].
    pub fn memory(&mut self, bytes: &[u8]) -> Result<(), K> {
        Self::take(&mut self.memory, bytes, "memory")?;
        Ok(self.sink.write(bytes)?)
    }

    /// Writes the next bytes of storage state; all memory must be there.
    ///
    /// # Errors
    /// [`DumpFileError::Sequence`], [`DumpFileError::Io`].
    pub fn storage_state(&mut self, bytes: &[u8]) -> Result<(), K> {
        if self.memory != 0 {
            return Err(DumpFileError::Sequence("storage state"));
        }
        Self::take(&mut self.storage_state, bytes, "storage state")?;
        Ok(self.sink.write(bytes)?)
    }

    /// Writes the next bytes of completion data; all storage state must be there.
    ///
    /// # Errors
    /// [`DumpFileError::Sequence`], [`DumpFileError::Io`].
    pub fn completion(&mut self, bytes: &[u8]) -> Result<(), K> {
        if self.memory != 0 || self.storage_state != 0 {
            return Err(DumpFileError::Sequence("completion data"));
        }
        Self::take(&mut self.completion, bytes, "completion data")?;
        Ok(self.sink.write(bytes)?)
    }

    /// Ends the file and gives the sink back.
    ///
    /// # Errors
    /// [`DumpFileError::Sequence`] if something announced is missing; [`DumpFileError::Io`].
    pub fn finish(mut self) -> Result<K, K> {
        if (self.memory, self.storage_state, self.completion) != (0, 0, 0) {
            return Err(DumpFileError::Sequence("end of the file"));
        }
        self.sink.write(self.names)?;
        Ok(self.sink)
    }
}
