//! What a hypervisor answers to an exit.

use super::{HostError, S390Vcpu};
use crate::abi::psw::with_condition_code;
use crate::abi::sie::{InjectionControl, StateDescription};

impl S390Vcpu {
    /// Sets general registers and the condition code, and asks for an injection: what a hypervisor may change of a protected
    /// CPU between two entries, in the save area. The Ultravisor takes of it what the exit permits. Of an ordinary CPU the
    /// registers themselves are changed, and there is nothing to inject.
    ///
    /// # Errors
    /// [`HostError::Access`].
    pub fn answer(&mut self, change: impl FnOnce(&mut Answer<'_>)) -> Result<(), HostError> {
        let protected = self.cpu().is_protected();
        self.vm().change_cpu_registers(self.cpu(), |registers, state| {
            change(&mut Answer { state, grs: (!protected).then_some(&mut registers.grs) });
        })
    }
}

/// What a hypervisor may change of a CPU between two entries.
#[derive(Debug)]
pub struct Answer<'a> {
    state: &'a mut StateDescription,
    /// The general registers of an ordinary CPU.
    grs: Option<&'a mut [u64; 16]>,
}

impl Answer<'_> {
    /// Sets a general register: of the save area for a protected CPU, the register itself for an ordinary one. Nothing happens
    /// for a number above 15.
    pub fn set_gr(&mut self, number: usize, value: u64) {
        match &mut self.grs {
            None => self.state.set_gr(number, value),
            Some(grs) => {
                if let Some(gr) = grs.get_mut(number) {
                    *gr = value;
                }
            }
        }
    }

    /// Sets the condition code (cut to two bits).
    pub fn set_cc(&mut self, cc: u8) {
        self.state.psw.mask = with_condition_code(self.state.psw.mask.get(), cc).into();
    }

    /// Asks for an injection at the next entry.
    pub fn inject(&mut self, control: InjectionControl) {
        self.state.iictl = control.0;
    }

    /// The fields that describe the interruption to inject, and all others.
    pub fn state(&mut self) -> &mut StateDescription {
        self.state
    }
}
