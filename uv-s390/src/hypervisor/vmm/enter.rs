//! The start as a protected guest, as `uv-core` has it: asked for by a virtual CPU, done for that one.

use alloc::sync::Arc;

use spin::Mutex;
use uv_core::{EnterSecureMode, ErrorType, Exit, Vcpu};

use super::diag308::{self, IplStores, Machine, Operand, Outcome, ResetRequest};
use super::ipl::{self, IplOptions, Started};
use crate::abi::diag308::Diag308;
use crate::abi::diag308::Response;
use crate::hypervisor::kernel::{Guest, HostError, Intercept, Irq, ProgramIrq, S390Exit, S390Vcpu};

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

    /// Puts the response into GR r1+1 of the guest.
    fn respond(&mut self, r1: u8, response: Response) -> Result<(), HostError> {
        self.inner.answer(|answer| answer.set_gr(usize::from((r1 + 1) & 0xf), response.0))
    }

    /// Serves DIAG 308 of an ordinary guest. `Some` when the hypervisor has to act.
    fn diag308(&mut self, intercept: Intercept) -> Result<Option<Exit<S390Exit>>, HostError> {
        let r1 = u8::try_from(intercept.ipa >> 4 & 0xf).unwrap_or(0);
        // The machine has checked for problem state before it intercepted.
        let call = Diag308 { problem_state: false, r1, address: intercept.gr_r1(), subcode: intercept.gr_r3() };
        let storage = Operand::Guest(self.inner.guest().storage());
        let machine = Machine { huge_pages: self.inner.guest().has_huge_pages(), ..Machine::default() };
        let outcome = diag308::handle(&mut self.stores.lock(), &machine, call, storage);
        match outcome {
            Outcome::Response(response) => self.respond(r1, response)?,
            Outcome::Program(code) => {
                let program = ProgramIrq { code: code.0, ..ProgramIrq::default() };
                self.inner.guest().inject(Some(self.inner.number()), Irq::Program(program))?;
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
    type Error = HostError;
}

impl Vcpu for VmmVcpu {
    type Arch = S390Exit;

    /// # Errors
    /// Those of [`S390Vcpu::run`](Vcpu::run).
    fn run(&mut self) -> Result<Exit<S390Exit>, HostError> {
        if let Some(r1) = self.asked.take() {
            self.respond(r1, Response::CANNOT_ENTER)?;
        }
        loop {
            match self.inner.run()? {
                Exit::Arch(S390Exit::Instruction(intercept))
                    if intercept.diagnose() == Some(DIAG_308) && !self.inner.guest().is_protected() =>
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

impl Guest {
    /// QEMU's sequence behind DIAG 308 subcode 10 with this PV IPIB, on the lowest CPU number, whoever asked for it. The response
    /// for the guest is in [`HostError::Start`].
    ///
    /// # Errors
    /// [`HostError::Protected`], [`HostError::Start`].
    pub fn start_protected(&self, ipib: &[u8]) -> Result<Started, HostError> {
        let initiator = self.cpu_numbers().into_iter().min().unwrap_or(0);
        self.start_on(initiator, ipib)
    }

    fn start_on(&self, initiator: u16, ipib: &[u8]) -> Result<Started, HostError> {
        // A protected guest cannot ask for it (subcode 10 is a specification exception there), and the resets would end it.
        if self.is_protected() {
            return Err(HostError::Protected);
        }
        let mut others = self.cpu_numbers();
        others.retain(|number| *number != initiator);
        let options = IplOptions { initiator, others, ..IplOptions::default() };
        Ok(ipl::start(self, &self.storage(), ipib, &options, &mut |_| {})?)
    }
}

impl EnterSecureMode for Guest {
    type Cpu = VmmVcpu;
    type Entry = Started;

    /// QEMU's sequence behind DIAG 308 subcode 10. After a refusal GR r1+1 of the guest has the response.
    ///
    /// # Errors
    /// [`HostError::Protected`], [`HostError::NotAsked`]: nothing was done. [`HostError::Start`].
    fn enter_secure_mode(&self, cpu: &mut VmmVcpu) -> Result<Started, HostError> {
        if self.is_protected() {
            return Err(HostError::Protected);
        }
        let mine = core::ptr::eq(Arc::as_ptr(cpu.inner.guest()), self);
        let r1 = cpu.asked.filter(|_| mine).ok_or(HostError::NotAsked)?;
        let ipib = cpu.stores.lock().pv().map(<[u8]>::to_vec).ok_or(HostError::NotAsked)?;
        cpu.asked = None;
        let started = self.start_on(cpu.inner.number(), &ipib);
        if let Err(HostError::Start(error)) = &started {
            cpu.respond(r1, error.response)?;
        }
        started
    }
}
