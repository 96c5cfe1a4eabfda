//! CPUs that run scripts.

use alloc::boxed::Box;
use alloc::vec::Vec;

use uv_sim::guest::{Outcome, Program, Script, Step, Transcript};

use super::{Guest, OK, Rig, Vcpu, diag};
use crate::abi::psw::Psw;
use crate::abi::sie::{InterceptionCode, Sie, StateDescription};
use crate::abi::uvc::{PgmCode, ProgramInterruption};
use crate::abi::uvcb::CpuState;
use crate::sim::{GuestInsn, InsnResult};

impl Rig {
    /// VM number `n` with one CPU that is ready to run a script, prefix pages in.
    #[must_use]
    pub fn booted(
        &self,
        n: u64,
        steps: impl IntoIterator<Item = Step<GuestInsn>>,
    ) -> (Guest, Vcpu, Transcript<InsnResult>) {
        self.boot(self.guest(n), steps)
    }

    /// As [`Rig::booted`], for a VM that is there.
    #[must_use]
    pub fn boot(
        &self,
        guest: Guest,
        steps: impl IntoIterator<Item = Step<GuestInsn>>,
    ) -> (Guest, Vcpu, Transcript<InsnResult>) {
        let cpu = self.cpu(&guest, 0);
        self.verified(&guest);
        let seen = self.script(cpu, steps);
        assert_eq!(self.set_state(cpu, CpuState::OPERATING_LOAD), OK);
        assert_eq!([self.import(&guest, 0), self.import(&guest, 0x1000)], [OK, OK]);
        (guest, cpu, seen)
    }

    /// What the CPU runs when it is first started. Started again, it issues DIAG 0x9c with the address of its PSW.
    pub fn script(&self, cpu: Vcpu, steps: impl IntoIterator<Item = Step<GuestInsn>>) -> Transcript<InsnResult> {
        let (script, seen) = Script::new(steps);
        let mut first = Some(script);
        let code = move |psw: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
            match first.take() {
                Some(script) => Box::new(script),
                None => Box::new(Script::new([diag(0x9c, [psw.address.get(), 0, 0, 0, 0])]).0),
            }
        };
        self.machine.set_guest(cpu.state, code);
        seen
    }

    /// Enters the CPU and gives the state description after the exit.
    pub fn enter(&self, guest: &Guest, cpu: Vcpu) -> StateDescription {
        self.try_enter(guest, cpu).unwrap()
    }

    /// Enters the CPU.
    ///
    /// # Errors
    /// The program interruption.
    pub fn try_enter(&self, guest: &Guest, cpu: Vcpu) -> Result<StateDescription, ProgramInterruption> {
        self.machine_enter(guest, cpu).map(|()| self.sd(cpu))
    }

    /// Enters the CPU, with general registers that nothing may change.
    ///
    /// # Errors
    /// The program interruption.
    pub fn machine_enter(&self, guest: &Guest, cpu: Vcpu) -> Result<(), ProgramInterruption> {
        let mut grs = [0x5a; 16];
        let result = self.machine.enter(cpu.state, guest.asce, &mut grs);
        assert_eq!(grs, [0x5a; 16], "a protected guest's registers are not the host's");
        result
    }

    /// Runs the guest until it exits, giving it every page it asks for.
    pub fn serve(&self, guest: &Guest, cpu: Vcpu) -> StateDescription {
        loop {
            match self.machine_enter(guest, cpu) {
                Ok(()) => return self.sd(cpu),
                Err(interruption) => {
                    assert_eq!(interruption.code, PgmCode::NON_SECURE_STORAGE_ACCESS);
                    assert_eq!(self.import(guest, interruption.teid.unwrap().page() - guest.mso), OK);
                }
            }
        }
    }

    /// Boots VM number `n` with a script, runs it to its end and gives what it saw.
    #[must_use]
    pub fn run(&self, n: u64, steps: impl IntoIterator<Item = Step<GuestInsn>>) -> Vec<Outcome<InsnResult>> {
        let (guest, cpu, seen) = self.booted(n, steps);
        assert_eq!(self.serve(&guest, cpu).interception(), InterceptionCode::WAIT);
        core::mem::take(&mut *seen.lock())
    }

    /// The interception code of an entry.
    #[must_use]
    pub fn icpt(&self, guest: &Guest, cpu: Vcpu) -> InterceptionCode {
        self.enter(guest, cpu).interception()
    }
}
