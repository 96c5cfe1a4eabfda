//! Exits of a protected CPU that reach user space.

use crate::diag308::kernel::ResetFlags;
use crate::psw::Psw;
use crate::sie::{InterceptionCode, StateDescription};

/// An intercepted instruction as the Ultravisor shows it: normalized text, the registers that matter, nothing else
/// (s390-ultravisor §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intercept {
    /// Interception code.
    pub code: InterceptionCode,
    /// First two bytes of the instruction.
    pub ipa: u16,
    /// Next four bytes.
    pub ipb: u32,
    /// The general registers of the save area.
    pub grs: [u64; 16],
    /// The filtered PSW.
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

    /// Function code of an intercepted DIAGNOSE: GR5 of the normalized form. `None` for another instruction.
    #[must_use]
    pub fn diagnose(&self) -> Option<u16> {
        (self.ipa >> 8 == 0x83).then(|| u16::try_from(self.grs[5] & 0xffff).unwrap_or_default())
    }
}

/// Exits that only this machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum S390Exit {
    /// 104: emulate the instruction, put the results in the save area and the SIDA with
    /// [`S390Vcpu::answer`](super::S390Vcpu::answer), run again.
    Instruction(Intercept),
    /// 108: the guest tells of an instruction; changes are ignored.
    Notification(Intercept),
    /// The guest gives up its time slice (DIAG 0x44, 0x9c).
    Yield(Intercept),
    /// DIAG 308 subcode 3 or 4: KVM's reset exit.
    Reset(ResetFlags),
    /// A stop was requested and reached.
    Stop,
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
