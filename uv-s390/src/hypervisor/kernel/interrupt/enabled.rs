//! What a CPU is enabled for, as far as its state description tells. Of a protected CPU that is a filtered copy of the last
//! exit, whose PSW masks the kernel takes away where nothing may be injected.

use crate::abi::psw::{PSW_EXTERNAL, PSW_IO, PSW_MACHINE_CHECK};
use crate::abi::sie::StateDescription;

/// Bits of control register 0: subclass masks of external interruptions.
pub(super) mod cr0 {
    pub(in super::super) const EMERGENCY: u64 = 1 << (63 - 49);
    pub(in super::super) const EXTERNAL_CALL: u64 = 1 << (63 - 50);
    pub(in super::super) const CLOCK_COMPARATOR: u64 = 1 << (63 - 52);
    pub(in super::super) const CPU_TIMER: u64 = 1 << (63 - 53);
    pub(in super::super) const SERVICE: u64 = 1 << (63 - 54);
}

/// The masks of a CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Enabled {
    psw: u64,
    cr0: u64,
    cr6: u64,
    cr14: u64,
}

impl Enabled {
    pub(super) const fn of(state: &StateDescription) -> Self {
        Self { psw: state.psw.mask.get(), cr0: state.crs[0].get(), cr6: state.crs[6].get(), cr14: state.crs[14].get() }
    }

    /// Whether the PSW is open for external interruptions.
    pub(super) const fn external(self) -> bool {
        self.psw & PSW_EXTERNAL != 0
    }

    /// Whether the PSW is open for I/O interruptions.
    pub(super) const fn io(self) -> bool {
        self.psw & PSW_IO != 0
    }

    /// Whether the PSW is open for machine checks.
    pub(super) const fn machine_check(self) -> bool {
        self.psw & PSW_MACHINE_CHECK != 0
    }

    /// Whether PSW and control register 0 are open for an external interruption.
    pub(super) const fn external_subclass(self, mask: u64) -> bool {
        self.external() && self.cr0 & mask != 0
    }

    /// Whether PSW and control register 6 are open for an I/O interruption.
    pub(super) const fn io_subclass(self, subclass: usize) -> bool {
        self.io() && self.cr6 & 0x8000_0000 >> subclass != 0
    }

    /// Whether PSW and control register 14 are open for a repressible machine check.
    pub(super) const fn machine_check_subclass(self, mask: u64) -> bool {
        self.machine_check() && self.cr14 & mask != 0
    }
}
