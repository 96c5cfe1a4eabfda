//! The registers of a virtual CPU that are not in its state description.

use alloc::sync::Arc;

use super::cpu::Cpu;
use super::{CpuReset, HostError, S390Vcpu, Vm};
use crate::abi::psw::Psw;
use crate::abi::sie::{ExecutionControl, StateDescription, fields};

/// CR0 after an initial reset: three external-interruption submasks.
pub const CR0_INITIAL: u64 = 0xe0;
/// CR14 after an initial reset: the two bits that are always one, and the external-damage submask.
pub const CR14_INITIAL: u64 = 0xc200_0000;
/// A pfault token that is none.
pub const PFAULT_NONE: u64 = u64::MAX;

/// Register file of an ordinary CPU, as KVM keeps it beside the state description.
///
/// Control registers, prefix, PSW, CPU timer, clock comparator, epoch, TOD programmable register, program parameter and
/// breaking-event address are in the [`StateDescription`]. For a protected CPU none of these is the guest's: they are what
/// the CPU had before, until the reset that follows the end of protection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Registers {
    /// General registers. 14 and 15 are put into the state description for as long as the guest runs.
    pub grs: [u64; 16],
    /// Access registers.
    pub ars: [u32; 16],
    /// Vector registers; the left halves of the first 16 are the floating-point registers.
    pub vrs: [[u64; 2]; 32],
    /// Floating-point control.
    pub fpc: u32,
    /// Token of asynchronous page faults; [`PFAULT_NONE`] when the guest did not ask for them.
    pub pfault_token: u64,
    /// PSW mask bits that are compared for them.
    pub pfault_select: u64,
    /// What they are compared with.
    pub pfault_compare: u64,
}

impl core::fmt::Debug for Registers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Registers").field("grs", &self.grs).finish_non_exhaustive()
    }
}

impl Default for Registers {
    /// After a clear reset.
    fn default() -> Self {
        Self {
            grs: [0; 16],
            ars: [0; 16],
            vrs: [[0; 2]; 32],
            fpc: 0,
            pfault_token: PFAULT_NONE,
            pfault_select: 0,
            pfault_compare: 0,
        }
    }
}

impl Registers {
    /// What a reset does to them.
    ///
    /// | reset | registers |
    /// |---|---|
    /// | normal | no pfault token |
    /// | initial | floating-point control too |
    /// | clear | general, access and vector registers too |
    pub fn reset(&mut self, kind: CpuReset) {
        self.pfault_token = PFAULT_NONE;
        if kind != CpuReset::Normal {
            self.fpc = 0;
        }
        if kind == CpuReset::Clear {
            (self.grs, self.ars, self.vrs) = ([0; 16], [0; 16], [[0; 2]; 32]);
        }
    }
}

/// Prefixing: the absolute address of a real one. The prefix area and the first 8 KiB change places.
pub(super) const fn prefixed(real: u64, prefix: u64) -> u64 {
    const AREA: u64 = 0x2000;
    if real < AREA {
        real + prefix
    } else if real >= prefix && real - prefix < AREA {
        real - prefix
    } else {
        real
    }
}

/// What a reset does to the state description. A normal one ends a wait and takes back what is to be injected. An initial one leaves
/// what lies under fields of format 4 alone while the CPU is protected.
pub(super) fn reset_state(state: &mut StateDescription, kind: CpuReset) {
    state.iictl = 0;
    // With the pending interruptions a stop that was asked for is gone, too.
    let over = ExecutionControl::WAIT | ExecutionControl::STOP_INTERCEPT;
    state.cpu_flags = (state.cpu_flags.get() & !over.bits()).into();
    if kind == CpuReset::Normal {
        return;
    }
    // The Ultravisor takes a protected CPU's prefix back to 0 too, and is to find both prefix pages there.
    state.psw = Psw::new(0, 0);
    state.set_prefix_address(0);
    state.cpu_timer = 0.into();
    state.clock_comparator = 0.into();
    state.crs = [0.into(); 16];
    state.crs[0] = CR0_INITIAL.into();
    state.crs[14] = CR14_INITIAL.into();
    if state.sdf != fields::SDF_PROTECTED {
        state.sidad = fields::GBEA_RESET.into();
        state.pp = 0.into();
        state.todpr = 0.into();
    }
}

impl Vm {
    /// The register file of a CPU, as it is between two runs.
    ///
    /// # Errors
    /// [`HostError::Cpu`].
    pub fn registers(&self, number: u16) -> Result<Registers, HostError> {
        Ok(*self.cpu(number)?.registers.lock())
    }

    /// The state description of a CPU, as it is now.
    ///
    /// # Errors
    /// [`HostError::Cpu`], [`HostError::Access`].
    pub fn state(&self, number: u16) -> Result<StateDescription, HostError> {
        self.host.hardware.read_state(self.cpu(number)?.block.origin())
    }

    /// Changes registers of a CPU that does not run: the file, and what the state description has of them. For a protected CPU
    /// the file means nothing, and of the state description the Ultravisor takes what an exit permits.
    ///
    /// # Errors
    /// [`HostError::Cpu`], [`HostError::Access`].
    pub fn change_registers(
        &self,
        number: u16,
        change: impl FnOnce(&mut Registers, &mut StateDescription),
    ) -> Result<(), HostError> {
        self.change_cpu_registers(&*self.cpu(number)?, change)
    }

    pub(super) fn change_cpu_registers(
        &self,
        cpu: &Cpu,
        change: impl FnOnce(&mut Registers, &mut StateDescription),
    ) -> Result<(), HostError> {
        let mut registers = cpu.registers.lock();
        self.host.hardware.update_state(cpu.block.origin(), |state| change(&mut registers, state))
    }
}

impl S390Vcpu {
    /// The register file, as [`Vm::registers`] gives it.
    #[must_use]
    pub fn registers(&self) -> Registers {
        *self.cpu().registers.lock()
    }

    /// As [`Vm::change_registers`].
    ///
    /// # Errors
    /// [`HostError::Access`].
    pub fn change_registers(
        &mut self,
        change: impl FnOnce(&mut Registers, &mut StateDescription),
    ) -> Result<(), HostError> {
        let cpu: &Arc<Cpu> = self.cpu();
        self.vm().change_cpu_registers(cpu, change)
    }
}
