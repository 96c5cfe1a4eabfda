//! Registers of a CPU.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Registers of one CPU of a dumped guest. Guest content: wiped on drop, not shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Default, Zeroize, ZeroizeOnDrop)]
pub struct CpuState {
    /// General registers.
    pub gprs: [u64; 16],
    /// PSW mask.
    pub psw_mask: u64,
    /// PSW address.
    pub psw_address: u64,
    /// Prefix register.
    pub prefix: u32,
    /// Floating-point control register.
    pub fpc: u32,
    /// TOD programmable register.
    pub tod_programmable: u32,
    /// CPU timer.
    pub cpu_timer: u64,
    /// TOD clock comparator, as the note carries it.
    pub clock_comparator: u64,
    /// Access registers.
    pub access_registers: [u32; 16],
    /// Control registers.
    pub control_registers: [u64; 16],
    /// Vector registers; the first 8 bytes of register 0 to 15 are the floating-point register.
    pub vector_registers: [[u8; 16]; 32],
    /// Guarded storage: designation, section mask, event parameter list address.
    pub guarded_storage: [u64; 3],
    /// The state may hold results of an instruction that was only partly executed.
    pub partial_instruction: bool,
}

impl CpuState {
    /// Floating-point registers: the first halves of vector registers 0 to 15.
    #[must_use]
    pub fn floating_point_registers(&self) -> [[u8; 8]; 16] {
        self.halves(0)
    }

    /// Second halves of vector registers 0 to 15.
    #[must_use]
    pub fn vector_low_halves(&self) -> [[u8; 8]; 16] {
        self.halves(8)
    }

    fn halves(&self, start: usize) -> [[u8; 8]; 16] {
        core::array::from_fn(|register| core::array::from_fn(|byte| self.vector_registers[register][start + byte]))
    }
}

impl fmt::Debug for CpuState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CpuState(..)")
    }
}
