//! The registers of a CPU as the hypervisor finds and leaves them.
//!
//! Who uses it: all parties.

mod restricted;
mod spr;

use zeroize::Zeroize;

use crate::abi::msr::Msr;
use crate::abi::numbers::UltracallNumber;
pub use restricted::{SMFCTRL_D, SMFCTRL_E, SprAccess, direct_access};
pub use spr::{MASKED_SPRS, MaskedSpr, Spr, SprFile};

/// Number of a partition (VM); 0 is the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Zeroize)]
pub struct Lpid(pub u32);

impl Lpid {
    /// The value of an argument register; `None` when it does not fit 32 bits.
    #[must_use]
    pub fn from_register(register: u64) -> Option<Self> {
        u32::try_from(register).ok().map(Self)
    }
}

impl core::fmt::Display for Lpid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// The registers of one CPU.
///
/// One type for both directions: what the hypervisor has loaded when it makes an ultracall or enters a guest, and what it
/// finds when it is entered again. `Debug` shows where the CPU is, not what it computes with.
#[derive(Clone, PartialEq, Eq, Zeroize)]
pub struct Regs {
    /// General purpose registers R0 … R31.
    pub gpr: [u64; 32],
    /// Next instruction address; after an entry of the hypervisor the interrupt vector.
    pub nip: u64,
    /// Machine state; see [`Regs::msr`].
    pub msr: u64,
    /// Condition register.
    pub cr: u32,
    /// Fixed point exception register.
    pub xer: u64,
    /// Link register.
    pub lr: u64,
    /// Count register.
    pub ctr: u64,
    /// Come-from address.
    pub cfar: u64,
    /// Save/restore registers of supervisor interrupts: interrupted address.
    pub srr0: u64,
    /// Interrupted machine state and cause.
    pub srr1: u64,
    /// Save/restore registers of hypervisor interrupts: interrupted address.
    pub hsrr0: u64,
    /// Interrupted machine state and cause.
    pub hsrr1: u64,
    /// SPRG0 … SPRG3.
    pub sprg: [u64; 4],
    /// HSPRG0, HSPRG1.
    pub hsprg: [u64; 2],
    /// Hypervisor data address.
    pub hdar: u64,
    /// Hypervisor data storage interrupt status.
    pub hdsisr: u64,
    /// Access segment descriptor: the guest physical page of a hypervisor storage interrupt.
    pub asdr: u64,
    /// Decrementer.
    pub dec: u64,
    /// Logical partitioning control.
    pub lpcr: u64,
    /// Partition that guest accesses and interrupts belong to.
    pub lpidr: Lpid,
    /// Process.
    pub pidr: u32,
    /// Instruction counter.
    pub ic: u64,
    /// Monitor mode control 0.
    pub mmcr0: u64,
    /// Monitor mode control A.
    pub mmcra: u64,
    /// Authority mask: not masked by the firmware.
    pub amr: u64,
    /// Facility status and control.
    pub hfscr: u64,
    /// The registers the ultravisor masks, DAR and DSISR among them.
    pub spr: SprFile,
    /// Vector-scalar registers 0 … 63; the floating point registers are the upper halves of the first 32, the vector
    /// registers are the last 32.
    pub vsr: [u128; 64],
    /// Floating point status and control.
    pub fpscr: u64,
    /// Vector status and control.
    pub vscr: u32,
    /// Number of the virtual CPU whose context the hypervisor has loaded. On hardware the loaded registers *are* the virtual
    /// CPU; a scripted guest has no instructions at `nip`, so this number says whose program goes on.
    pub vcpu: u32,
    /// Number of the hardware thread that these are the registers of. Debug registers are each thread's own; a machine of one
    /// thread leaves it at 0.
    pub thread: u32,
}

impl core::fmt::Debug for Regs {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Regs")
            .field("nip", &format_args!("{:#x}", self.nip))
            .field("msr", &format_args!("{:#x}", self.msr))
            .field("lpidr", &self.lpidr.0)
            .field("vcpu", &self.vcpu)
            .finish_non_exhaustive()
    }
}

impl Default for Regs {
    fn default() -> Self {
        Self {
            gpr: [0; 32],
            nip: 0,
            msr: 0,
            cr: 0,
            xer: 0,
            lr: 0,
            ctr: 0,
            cfar: 0,
            srr0: 0,
            srr1: 0,
            hsrr0: 0,
            hsrr1: 0,
            sprg: [0; 4],
            hsprg: [0; 2],
            hdar: 0,
            hdsisr: 0,
            asdr: 0,
            dec: 0x7fff_ffff,
            lpcr: 0,
            lpidr: Lpid(0),
            pidr: 0,
            ic: 0,
            mmcr0: 0,
            mmcra: 0,
            amr: 0,
            hfscr: 0,
            spr: SprFile::neutral(),
            vsr: [0; 64],
            fpscr: 0,
            vscr: 0,
            vcpu: 0,
            thread: 0,
        }
    }
}

impl Regs {
    /// The registers of a hypervisor that runs 64-bit, little endian, on behalf of the host.
    #[must_use]
    pub fn hypervisor() -> Self {
        let msr = Msr::SF | Msr::HV | Msr::ME | Msr::RI | Msr::LE;
        Self { msr: msr.bits(), ..Self::default() }
    }

    /// The same with an ultracall loaded: number in R3, arguments from R4 on. At most nine arguments are loaded.
    #[must_use]
    pub fn with_call(mut self, call: UltracallNumber, args: &[u64]) -> Self {
        self.gpr[3] = call.0;
        for (register, value) in self.gpr[4..13].iter_mut().zip(args) {
            *register = *value;
        }
        self
    }

    /// The machine state as bits.
    #[must_use]
    pub const fn msr(&self) -> Msr {
        Msr::from_register(self.msr)
    }

    /// Whether the interrupted guest runs in secure state, as SRR1 of a reflected interrupt tells (HSRR1 holds the same).
    /// KVM takes the `H_SVM_*` calls of such an interrupt as the ultravisor's.
    #[must_use]
    pub const fn came_from_secure_guest(&self) -> bool {
        Msr::from_register(self.srr1).contains(Msr::S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::msr::Privilege;

    #[test]
    fn a_hypervisor_has_its_privilege_and_its_arguments() {
        let regs = Regs::hypervisor().with_call(UltracallNumber::UV_PAGE_INVAL, &[1, 2, 3]);
        assert_eq!(regs.msr().privilege(), Privilege::Hypervisor);
        assert_eq!(regs.gpr[3..8], [0xf138, 1, 2, 3, 0]);
        assert!(!regs.came_from_secure_guest());
        assert!(!alloc::format!("{regs:?}").contains("gpr"));
    }
}
