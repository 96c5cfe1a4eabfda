//! ELF notes: writing them, and the notes of an ordinary s390 dump.

use alloc::vec::Vec;

use object::elf::{
    NT_FPREGSET, NT_PRPSINFO, NT_PRSTATUS, NT_S390_CTRS, NT_S390_GS_CB, NT_S390_PREFIX, NT_S390_TIMER, NT_S390_TODCMP,
    NT_S390_TODPREG, NT_S390_VXRS_HIGH, NT_S390_VXRS_LOW, NoteHeader64, NoteType,
};
use object::endian::{BigEndian, U32};
use object::pod::bytes_of;
use zeroize::Zeroizing;

use crate::abi::dump::CpuState;

/// Type of the note that carries a CPU note; its name is `LINUX`.
pub const NT_S390_PV_CPU_DATA: u32 = 0x30e;

const CORE: &[u8] = b"CORE\0";
const LINUX: &[u8] = b"LINUX\0";
const PRSTATUS_SIZE: usize = 336;
const PRPSINFO_SIZE: usize = 136;

/// Appends a note: header, name with its NUL, descriptor; both padded to 4 bytes. `None` (and nothing appended) if a part
/// is longer than a note can say.
#[must_use]
pub fn append_note(notes: &mut Vec<u8>, name: &[u8], kind: u32, descriptor: &[u8]) -> Option<()> {
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).ok().map(|size| U32::new(BigEndian, size));
    let header: NoteHeader64<BigEndian> = NoteHeader64 {
        n_namesz: size(name)?,
        n_descsz: size(descriptor)?,
        n_type: U32::new(BigEndian, NoteType(kind)),
    };
    notes.extend_from_slice(bytes_of(&header));
    for part in [name, descriptor] {
        notes.extend_from_slice(part);
        notes.resize(notes.len() + (part.len().next_multiple_of(4) - part.len()), 0);
    }
    Some(())
}

/// A descriptor under construction.
fn descriptor(parts: &[&[u8]], size: usize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes.resize(size, 0);
    bytes
}

fn words<const N: usize>(words: &[u64; N]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(words.iter().flat_map(|word| word.to_be_bytes()).collect())
}

/// Notes of an ordinary dump: one for the system, then for each CPU its registers (s390-formats §7.6). `None` never comes for any
/// state of registers.
#[must_use]
pub fn ordinary_notes(cpus: &[CpuState]) -> Option<Zeroizing<Vec<u8>>> {
    // One CPU has less than 2 KiB of notes: the vector does not grow and leave registers behind.
    let mut notes = Zeroizing::new(Vec::with_capacity(256 + cpus.len() * 2048));
    let mut system = [0; PRPSINFO_SIZE];
    system[1] = b'R'; // state
    system[40..47].copy_from_slice(b"vmlinux");
    append_note(&mut notes, CORE, NT_PRPSINFO.0, &system)?;
    for (number, cpu) in (1u32..).zip(cpus) {
        append_cpu_notes(&mut notes, number, cpu)?;
    }
    Some(notes)
}

/// Appends the ordinary notes of one CPU: registers, floating point, timers, control registers, prefix, vectors, guarded
/// storage. `number` is the process id that debuggers show. `None` never comes for any state of registers.
#[must_use]
pub fn append_cpu_notes(notes: &mut Vec<u8>, number: u32, cpu: &CpuState) -> Option<()> {
    let access: Zeroizing<Vec<u8>> =
        Zeroizing::new(cpu.access_registers.iter().flat_map(|register| register.to_be_bytes()).collect());
    let psw = words(&[cpu.psw_mask, cpu.psw_address]);
    let status =
        descriptor(&[&[0; 32], &number.to_be_bytes(), &[0; 76], &psw, &words(&cpu.gprs), &access], PRSTATUS_SIZE);
    let floating = cpu.floating_point_registers();
    let floating = descriptor(&[&cpu.fpc.to_be_bytes(), &[0; 4], floating.as_flattened()], 136);
    let (_, high) = cpu.vector_registers.split_at(16);
    let guarded = descriptor(&[&[0; 8], &words(&cpu.guarded_storage)], 32);
    append_note(notes, CORE, NT_PRSTATUS.0, &status)?;
    append_note(notes, CORE, NT_FPREGSET.0, &floating)?;
    for (kind, bytes) in [
        (NT_S390_TIMER, &cpu.cpu_timer.to_be_bytes()[..]),
        (NT_S390_TODCMP, &cpu.clock_comparator.to_be_bytes()),
        (NT_S390_TODPREG, &cpu.tod_programmable.to_be_bytes()),
        (NT_S390_CTRS, &words(&cpu.control_registers)),
        (NT_S390_PREFIX, &cpu.prefix.to_be_bytes()),
        (NT_S390_VXRS_LOW, cpu.vector_low_halves().as_flattened()),
        (NT_S390_VXRS_HIGH, high.as_flattened()),
        (NT_S390_GS_CB, &guarded),
    ] {
        append_note(notes, LINUX, kind.0, bytes)?;
    }
    Some(())
}
