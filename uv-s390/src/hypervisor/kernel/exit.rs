//! Exits of a CPU that reach user space.

use super::{Registers, SubchannelTest, SystemInformationRequest};
use crate::abi::psw::Psw;
use crate::abi::sie::{InterceptionCode, StateDescription};
use crate::hypervisor::kernel::diag308::ResetFlags;

/// An intercepted instruction. Of a protected guest the Ultravisor shows normalized text, the registers that matter, nothing
/// else (s390-ultravisor §6.3); of an ordinary guest everything is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intercept {
    /// Interception code.
    pub code: InterceptionCode,
    /// First two bytes of the instruction.
    pub ipa: u16,
    /// Next four bytes.
    pub ipb: u32,
    /// The general registers; of a protected guest those of the save area.
    pub grs: [u64; 16],
    /// The PSW, behind the instruction; of a protected guest the filtered copy.
    pub psw: Psw,
}

impl Intercept {
    pub(super) fn of(state: &StateDescription) -> Self {
        Self {
            code: state.interception(),
            ipa: state.ipa.get(),
            ipb: state.ipb.get(),
            grs: core::array::from_fn(|number| state.gr(number)),
            psw: state.psw,
        }
    }

    /// The same for an ordinary CPU.
    pub(super) fn ordinary(state: &StateDescription, registers: &Registers) -> Self {
        Self { grs: registers.grs, ..Self::of(state) }
    }

    /// Function code of an intercepted DIAGNOSE, the last 16 bits of its second-operand address. In the normalized form that
    /// is GR5. `None` for another instruction.
    #[must_use]
    pub fn diagnose(&self) -> Option<u16> {
        diagnose(self.ipa, self.ipb, |number| self.gr(number))
    }

    /// Content of the register that the instruction names as r1.
    #[must_use]
    pub fn gr_r1(&self) -> u64 {
        self.gr(u32::from(self.ipa >> 4 & 0xf))
    }

    /// Content of the register that the instruction names as r3: the subcode of DIAGNOSE 0x308.
    #[must_use]
    pub fn gr_r3(&self) -> u64 {
        self.gr(u32::from(self.ipa & 0xf))
    }

    fn gr(&self, number: u32) -> u64 {
        usize::try_from(number).ok().and_then(|number| self.grs.get(number)).copied().unwrap_or(0)
    }
}

/// Function code of a DIAGNOSE: the last 16 bits of base and displacement.
pub(crate) fn diagnose(ipa: u16, ipb: u32, gr: impl FnOnce(u32) -> u64) -> Option<u16> {
    if ipa >> 8 != 0x83 {
        return None;
    }
    let base = match ipb >> 28 {
        0 => 0,
        base => gr(base),
    };
    u16::try_from(base.wrapping_add(u64::from(ipb >> 16 & 0xfff)) & 0xffff).ok()
}

/// Exits that only this machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum S390Exit {
    /// 104 of a protected CPU: emulate the instruction, put the results in the save area and the SIDA with
    /// [`S390Vcpu::answer`](super::S390Vcpu::answer), run again. 0x04 of an ordinary CPU: the same, with its registers and its
    /// storage; its PSW is behind the instruction already. What the kernel serves does not come here.
    Instruction(Intercept),
    /// 108: the guest tells of an instruction; changes are ignored. SERVC and most orders of SIGP are the kernel's.
    Notification(Intercept),
    /// The guest gives up its time slice (DIAG 0x44, 0x9c).
    Yield(Intercept),
    /// DIAG 308 subcode 3 or 4: KVM's reset exit.
    Reset(ResetFlags),
    /// A stop was requested and reached.
    Stop,
    /// STSI, which the kernel has served: user space completes the block.
    SystemInformation(SystemInformationRequest),
    /// TEST SUBCHANNEL: the kernel has taken the interruption, user space does the rest and sets the condition code.
    TestSubchannel(SubchannelTest),
    /// 0x38, or 108 for a target that does not wait: the guest has sent an external call. The machine delivers it; run the
    /// target (if there is such a CPU), and inject nothing. The guest goes on when this CPU is run again.
    ExternalCall {
        /// CPU number of the target.
        target: u16,
    },
    /// Any other interception. After 0x08 and 0x14 the guest loops through a new PSW and every further run ends the same way; the
    /// code of the external interruption is in the state description.
    Other(Intercept),
}
