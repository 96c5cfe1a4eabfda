//! What a scripted POWER guest can do beside loads, stores and fetches.

use alloc::{boxed::Box, vec::Vec};

use uv_sim::guest::{Program, Step};

use crate::abi::msr::Msr;
use crate::abi::numbers::{HvCall, UltracallNumber};
use crate::abi::regs::Regs;

/// An instruction (or a few) of a guest. Each gives the guest's registers back when it is done.
#[derive(Clone)]
pub enum GuestInsn {
    /// `sc` with a level: 1 hypercall, 2 ultracall. The values are loaded from R3 on, at most 29.
    Syscall {
        /// The level.
        level: u8,
        /// R3, R4, …
        gpr: Vec<u64>,
    },
    /// Looks at the registers.
    Look,
    /// Loads all registers that a guest can load: general, special, vector. `nip`, `msr` and what belongs to the
    /// hypervisor are left alone.
    Load(Box<Regs>),
    /// Changes bits of the machine state. A guest cannot reach HV and S.
    Msr {
        /// Bits to set.
        set: Msr,
        /// Bits to clear.
        clear: Msr,
    },
    /// An instruction of transactional memory, a facility that secure VMs do not have.
    Transaction,
    /// An instruction that raises hypervisor emulation assistance, for example `mfspr` of a register that belongs
    /// to the ultravisor.
    Emulate,
}

impl GuestInsn {
    /// `sc 1`.
    #[must_use]
    pub fn hypercall(number: HvCall, args: &[u64]) -> Self {
        Self::Syscall { level: 1, gpr: [&[number.0], args].concat() }
    }

    /// `sc 2`.
    #[must_use]
    pub fn ultracall(number: UltracallNumber, args: &[u64]) -> Self {
        Self::Syscall { level: 2, gpr: [&[number.0], args].concat() }
    }
}

/// Shows what kind of instruction, never a value.
impl core::fmt::Debug for GuestInsn {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Syscall { level: 1, .. } => "sc 1",
            Self::Syscall { level: 2, .. } => "sc 2",
            Self::Syscall { .. } => "sc",
            Self::Look => "look",
            Self::Load(_) => "load registers",
            Self::Msr { .. } => "mtmsr",
            Self::Transaction => "transaction",
            Self::Emulate => "emulate",
        })
    }
}

/// A step of a POWER guest.
pub type GuestStep = Step<GuestInsn>;

/// A program of a POWER guest. What an instruction gives back are the guest's registers after it.
pub type GuestProgram = Box<dyn Program<GuestInsn, Box<Regs>>>;
