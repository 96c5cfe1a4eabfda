//! A virtual CPU as its VMM runs it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use spin::Mutex;
use uv_core::{ErrorType, Exit, Vcpu};

use super::VmmError;
use super::diag308::{self, IplStores, MachineModel, Operand, Outcome, ResetRequest};
use crate::abi::diag308::{Diag308, Response};
use crate::hypervisor::kernel::{HostError, Intercept, Irq, ProgramIrq, S390Exit, S390Vcpu};

/// Function code of DIAGNOSE 0x308.
const DIAG_308: u16 = 0x308;

/// A virtual CPU as its VMM runs it: [`S390Vcpu`], with DIAGNOSE 0x308 of an ordinary guest served.
///
/// | subcode of an ordinary guest | served here | exit |
/// |---|---|---|
/// | 5, 6, 8, 9 | with the IPIBs of the VM | |
/// | 10 with a PV IPIB | | [`Exit::EnterSecureMode`] |
/// | 0, 1 | | [`S390Exit::Instruction`]: the machine's reset |
/// | 3, 4 | | [`S390Exit::Reset`] |
/// | others | specification exception | |
///
/// All other exits are those of [`S390Vcpu`].
#[derive(Debug)]
pub struct VmmVcpu {
    inner: S390Vcpu,
    stores: Arc<Mutex<IplStores>>,
    /// The last exit asked to enter; the number of its register r1.
    asked: Option<u8>,
}

impl VmmVcpu {
    /// A virtual CPU of a VM whose IPIBs are in `stores`, which all its CPUs share.
    #[must_use]
    pub const fn new(inner: S390Vcpu, stores: Arc<Mutex<IplStores>>) -> Self {
        Self { inner, stores, asked: None }
    }

    /// The virtual CPU of the kernel.
    #[must_use]
    pub const fn inner(&self) -> &S390Vcpu {
        &self.inner
    }

    /// The virtual CPU of the kernel, to answer an exit.
    pub const fn inner_mut(&mut self) -> &mut S390Vcpu {
        &mut self.inner
    }

    /// The PV IPIB, if the last exit asked to enter, and the register that the response goes behind. Asked once.
    pub(super) fn take_request(&mut self) -> Option<(u8, Vec<u8>)> {
        let ipib = self.stores.lock().pv()?.to_vec();
        Some((self.asked.take()?, ipib))
    }

    /// Puts the response into GR r1+1 of the guest.
    pub(super) fn respond(&mut self, r1: u8, response: Response) -> Result<(), HostError> {
        self.inner.answer(|answer| answer.set_gr(usize::from((r1 + 1) & 0xf), response.0))
    }

    /// Serves DIAG 308 of an ordinary guest. `Some` when the hypervisor has to act.
    fn diag308(&mut self, intercept: Intercept) -> Result<Option<Exit<S390Exit>>, HostError> {
        let r1 = u8::try_from(intercept.ipa >> 4 & 0xf).unwrap_or(0);
        // The machine has checked for problem state before it intercepted.
        let call = Diag308 { problem_state: false, r1, address: intercept.gr_r1(), subcode: intercept.gr_r3() };
        let storage = Operand::Guest(self.inner.vm().storage());
        let machine = MachineModel { huge_pages: self.inner.vm().has_huge_pages(), ..MachineModel::default() };
        let outcome = diag308::handle(&mut self.stores.lock(), &machine, call, storage);
        match outcome {
            Outcome::Response(response) => self.respond(r1, response)?,
            Outcome::Program(code) => {
                let program = ProgramIrq { code: code.0, ..ProgramIrq::default() };
                self.inner.vm().inject(Some(self.inner.number()), Irq::Program(program))?;
            }
            Outcome::Reset(ResetRequest::Protected) => {
                self.asked = Some(r1);
                return Ok(Some(Exit::EnterSecureMode));
            }
            Outcome::Reset(_) => return Ok(Some(Exit::Arch(S390Exit::Instruction(intercept)))),
        }
        Ok(None)
    }
}

impl ErrorType for VmmVcpu {
    type Error = VmmError;
}

impl Vcpu for VmmVcpu {
    type Arch = S390Exit;

    /// # Errors
    /// Those of [`S390Vcpu::run`](Vcpu::run), in [`VmmError::Kernel`].
    fn run(&mut self) -> Result<Exit<S390Exit>, VmmError> {
        if let Some(r1) = self.asked.take() {
            self.respond(r1, Response::CANNOT_ENTER)?;
        }
        loop {
            match self.inner.run()? {
                Exit::Arch(S390Exit::Instruction(intercept))
                    if intercept.diagnose() == Some(DIAG_308) && !self.inner.vm().is_protected() =>
                {
                    if let Some(exit) = self.diag308(intercept)? {
                        return Ok(exit);
                    }
                }
                exit => return Ok(exit),
            }
        }
    }
}
