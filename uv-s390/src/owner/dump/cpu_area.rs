//! Layout of the encrypted area of a CPU note.

use bitflags::bitflags;
use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};
use zeroize::Zeroize;

use crate::abi::dump::CpuState;

bitflags! {
    /// Flags of a CPU note; reserved bits are kept.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct DumpCpuFlags: u16 {
        /// Bit 0: the state may hold partial results of an instruction.
        const PARTIAL_INSTRUCTION = 0x8000;
        const _ = !0;
    }
}

/// Encrypted area of a CPU note, 1520 bytes (s390-formats §7.5; the note's bytes 32 to 1552).
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct CpuArea {
    gprs: [U64; 16],
    psw_mask: U64,
    psw_address: U64,
    reserved176: [u8; 8],
    prefix: U32,
    fpc: U32,
    reserved192: [u8; 4],
    tod_programmable: U32,
    cpu_timer: U64,
    clock_comparator: U64,
    reserved216: [u8; 8],
    access_registers: [U32; 16],
    control_registers: [U64; 16],
    vector_registers: [[u8; 16]; 32],
    reserved928: [u8; 512],
    zero1440: [u8; 8],
    guarded_storage: [U64; 3],
    reserved1472: [u8; 64],
    flags: U16,
    reserved1538: [u8; 14],
}

const AT: usize = 32;
const _: () = {
    assert!(size_of::<CpuArea>() == 1520);
    assert!(core::mem::offset_of!(CpuArea, gprs) == 32 - AT);
    assert!(core::mem::offset_of!(CpuArea, psw_mask) == 160 - AT);
    assert!(core::mem::offset_of!(CpuArea, psw_address) == 168 - AT);
    assert!(core::mem::offset_of!(CpuArea, reserved176) == 176 - AT);
    assert!(core::mem::offset_of!(CpuArea, prefix) == 184 - AT);
    assert!(core::mem::offset_of!(CpuArea, fpc) == 188 - AT);
    assert!(core::mem::offset_of!(CpuArea, reserved192) == 192 - AT);
    assert!(core::mem::offset_of!(CpuArea, tod_programmable) == 196 - AT);
    assert!(core::mem::offset_of!(CpuArea, cpu_timer) == 200 - AT);
    assert!(core::mem::offset_of!(CpuArea, clock_comparator) == 208 - AT);
    assert!(core::mem::offset_of!(CpuArea, reserved216) == 216 - AT);
    assert!(core::mem::offset_of!(CpuArea, access_registers) == 224 - AT);
    assert!(core::mem::offset_of!(CpuArea, control_registers) == 288 - AT);
    assert!(core::mem::offset_of!(CpuArea, vector_registers) == 416 - AT);
    assert!(core::mem::offset_of!(CpuArea, reserved928) == 928 - AT);
    assert!(core::mem::offset_of!(CpuArea, zero1440) == 1440 - AT);
    assert!(core::mem::offset_of!(CpuArea, guarded_storage) == 1448 - AT);
    assert!(core::mem::offset_of!(CpuArea, reserved1472) == 1472 - AT);
    assert!(core::mem::offset_of!(CpuArea, flags) == 1536 - AT);
    assert!(core::mem::offset_of!(CpuArea, reserved1538) == 1538 - AT);
};

impl Drop for CpuArea {
    fn drop(&mut self) {
        self.as_mut_bytes().zeroize();
    }
}

impl CpuArea {
    pub(super) fn of(state: &CpuState) -> Self {
        let mut area = Self::new_zeroed();
        area.gprs = state.gprs.map(U64::new);
        area.psw_mask = U64::new(state.psw_mask);
        area.psw_address = U64::new(state.psw_address);
        area.prefix = U32::new(state.prefix);
        area.fpc = U32::new(state.fpc);
        area.tod_programmable = U32::new(state.tod_programmable);
        area.cpu_timer = U64::new(state.cpu_timer);
        area.clock_comparator = U64::new(state.clock_comparator);
        area.access_registers = state.access_registers.map(U32::new);
        area.control_registers = state.control_registers.map(U64::new);
        area.vector_registers = state.vector_registers;
        area.guarded_storage = state.guarded_storage.map(U64::new);
        let mut flags = DumpCpuFlags::empty();
        flags.set(DumpCpuFlags::PARTIAL_INSTRUCTION, state.partial_instruction);
        area.flags = U16::new(flags.bits());
        area
    }

    pub(super) fn state(&self) -> CpuState {
        let flags = DumpCpuFlags::from_bits_retain(self.flags.get());
        CpuState {
            gprs: self.gprs.map(U64::get),
            psw_mask: self.psw_mask.get(),
            psw_address: self.psw_address.get(),
            prefix: self.prefix.get(),
            fpc: self.fpc.get(),
            tod_programmable: self.tod_programmable.get(),
            cpu_timer: self.cpu_timer.get(),
            clock_comparator: self.clock_comparator.get(),
            access_registers: self.access_registers.map(U32::get),
            control_registers: self.control_registers.map(U64::get),
            vector_registers: self.vector_registers,
            guarded_storage: self.guarded_storage.map(U64::get),
            partial_instruction: flags.contains(DumpCpuFlags::PARTIAL_INSTRUCTION),
        }
    }
}
