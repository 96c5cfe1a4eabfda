//! The flat kernel image that a blob's kernel digest covers: what `objcopy -O binary -S` makes of an ELF (power-pef §12.4).
//!
//! Who uses it: the owner's tools.
//!
//! The image starts at the lowest load address of any section with contents and ends with the highest; each section
//! stands at its load address and gaps are zero. An ELF without section headers is laid out by its load segments.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _};

/// The longest flat image that is made, in bytes. A VM's real-mode area ends at 768 MiB.
pub const FLAT_MAX: usize = 768 << 20;

const ELF_MAGIC: &[u8] = b"\x7fELF";
const ELF_CLASS_64: u8 = 2;

/// Why an ELF cannot be flattened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// A 32-bit ELF.
    #[error("the kernel is a 32-bit ELF, a 64-bit one is needed")]
    Not64Bit,
    /// A header, table or section lies outside of the file, or makes no sense.
    #[error("the kernel is a damaged ELF: {0}")]
    Damaged(#[from] object::read::Error),
    /// A load segment lies outside of the file.
    #[error("the kernel is a damaged ELF: a load segment lies outside of the file")]
    Segment,
    /// Nothing to load.
    #[error("the kernel is an ELF with nothing to load")]
    Empty,
    /// More than [`FLAT_MAX`] bytes.
    #[error("the kernel's flat image would be longer than {FLAT_MAX} bytes")]
    TooLarge,
}

/// One piece of the image.
struct Piece<'a> {
    address: u64,
    data: &'a [u8],
}

/// A load segment, as far as it places sections.
struct Segment {
    file: core::ops::Range<u64>,
    memory: core::ops::Range<u64>,
    physical: u64,
}

/// Gives the flat image of an ELF; a file that is no ELF is flat already and given back as it is.
///
/// # Errors
/// [`KernelError`]; no memory is set aside before the sizes were checked.
pub fn flatten(file: &[u8]) -> Result<Cow<'_, [u8]>, KernelError> {
    if !file.starts_with(ELF_MAGIC) {
        return if file.len() > FLAT_MAX { Err(KernelError::TooLarge) } else { Ok(Cow::Borrowed(file)) };
    }
    if file.get(4).is_some_and(|class| *class != ELF_CLASS_64) {
        return Err(KernelError::Not64Bit);
    }
    let pieces = pieces(file)?;
    let mut total = 0_usize;
    let mut range: Option<(u64, u64)> = None;
    for piece in &pieces {
        total = total.checked_add(piece.data.len()).filter(|total| *total <= FLAT_MAX).ok_or(KernelError::TooLarge)?;
        let length = u64::try_from(piece.data.len()).map_err(|_| KernelError::TooLarge)?;
        let end = piece.address.checked_add(length).ok_or(KernelError::TooLarge)?;
        let (low, high) = range.unwrap_or((piece.address, end));
        range = Some((low.min(piece.address), high.max(end)));
    }
    let (low, high) = range.ok_or(KernelError::Empty)?;
    let size = usize::try_from(high - low).ok().filter(|size| *size <= FLAT_MAX).ok_or(KernelError::TooLarge)?;
    let mut flat = alloc::vec![0; size];
    for piece in pieces {
        let start = usize::try_from(piece.address - low).map_err(|_| KernelError::TooLarge)?;
        flat[start..start + piece.data.len()].copy_from_slice(piece.data);
    }
    Ok(Cow::Owned(flat))
}

fn pieces(file: &[u8]) -> Result<Vec<Piece<'_>>, KernelError> {
    let header = elf::FileHeader64::<Endianness>::parse(file)?;
    let endian = header.endian()?;
    let programs = header.program_headers(endian, file)?;
    let segments: Vec<_> = programs
        .iter()
        .filter(|program| program.p_type(endian) == elf::PT_LOAD)
        .map(|program| {
            let (offset, address) = (program.p_offset(endian), program.p_vaddr(endian));
            Segment {
                file: offset..offset.saturating_add(program.p_filesz(endian)),
                memory: address..address.saturating_add(program.p_memsz(endian)),
                physical: program.p_paddr(endian),
            }
        })
        .collect();
    // Linkers that know no physical addresses leave them all zero: then load address = virtual address.
    let physical = segments.len() < 2 || programs.iter().any(|program| program.p_paddr(endian) != 0);

    let mut pieces = Vec::new();
    for section in header.section_headers(endian, file)? {
        let allocated = section.sh_flags(endian).contains(elf::SHF_ALLOC);
        let (offset, size) = (section.sh_offset(endian), section.sh_size(endian));
        if !allocated || section.sh_type(endian) == elf::SHT_NOBITS || size == 0 {
            continue;
        }
        let address = section.sh_addr(endian);
        let inside = |segment: &&Segment| holds(&segment.file, offset, size) && holds(&segment.memory, address, size);
        let address = match segments.iter().find(inside).filter(|_| physical) {
            Some(segment) => segment.physical.wrapping_add(offset - segment.file.start),
            None => address,
        };
        pieces.push(Piece { address, data: section.data(endian, file)? });
    }
    if pieces.is_empty() {
        for program in programs.iter().filter(|program| program.p_type(endian) == elf::PT_LOAD) {
            let data = program.data(endian, file).map_err(|()| KernelError::Segment)?;
            let address = if physical { program.p_paddr(endian) } else { program.p_vaddr(endian) };
            pieces.push(Piece { address, data });
        }
        pieces.retain(|piece| !piece.data.is_empty());
    }
    Ok(pieces)
}

fn holds(range: &core::ops::Range<u64>, start: u64, size: u64) -> bool {
    start >= range.start && start.checked_add(size).is_some_and(|end| end <= range.end)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::{Cow, FLAT_MAX, KernelError, flatten};
    use crate::owner::samples::{VMLINUX, VMLINUX_FLAT};

    #[test]
    fn flattens_as_objcopy_does() {
        let flat = flatten(VMLINUX).unwrap();
        assert!(matches!(flat, Cow::Owned(_)));
        assert!(*flat == *VMLINUX_FLAT);
    }

    #[test]
    fn flat_files_stay_as_they_are() {
        for file in [VMLINUX_FLAT, b"", b"\x7fEL"] {
            assert!(matches!(flatten(file), Ok(Cow::Borrowed(same)) if same == file));
        }
    }

    #[test]
    fn cut_files_are_damaged() {
        for length in [4, 5, 63, 64, 100, VMLINUX.len() / 2, VMLINUX.len() - 1] {
            assert!(matches!(flatten(&VMLINUX[..length]), Err(KernelError::Damaged(_))), "{length}");
        }
    }

    /// An ELF of two load segments, without section headers.
    fn two_segments(first: u64, second: u64, size: u64) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(64, 0);
        for (at, value) in [(16, 2_u16), (18, 21), (52, 64), (54, 56), (56, 2)] {
            file[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        file[20] = 1;
        file[32] = 64;
        for (address, offset) in [(first, 176_u64), (second, 180)] {
            file.extend([1, 0, 0, 0, 7, 0, 0, 0]);
            for word in [offset, address, address, size, size, 4] {
                file.extend(word.to_le_bytes());
            }
        }
        file.extend(b"onestwos");
        file
    }

    #[test]
    fn segments_serve_where_sections_are_missing() {
        assert_eq!(*flatten(&two_segments(0x1008, 0x1000, 4)).unwrap(), *b"twos\0\0\0\0ones");
        assert_eq!(flatten(&two_segments(0, 0, 0)), Err(KernelError::Empty));
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let far = u64::try_from(FLAT_MAX).unwrap();
        assert_eq!(flatten(&two_segments(0x1000, 0x1000 + far, 4)), Err(KernelError::TooLarge));
        assert_eq!(flatten(&two_segments(0x1000, u64::MAX - 3, 4)), Err(KernelError::TooLarge));
        assert_eq!(flatten(&two_segments(0x1000, u64::MAX - 2, 4)), Err(KernelError::TooLarge));
        assert_eq!(flatten(&two_segments(0x1000, 0x2000, u64::MAX)), Err(KernelError::Segment));
        let mut narrow = VMLINUX.to_vec();
        narrow[4] = 1;
        assert_eq!(flatten(&narrow), Err(KernelError::Not64Bit));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_damage_makes_it_panic(edits in proptest::collection::vec((0..240_usize, any::<u8>()), 1..6)) {
            let mut file = two_segments(0x1000, 0x1010, 4);
            for (at, value) in edits {
                if let Some(byte) = file.get_mut(at) {
                    *byte = value;
                }
            }
            let _ = flatten(&file).map(|flat| flat.len());
        }
    }
}
