//! The run loop of a virtual CPU.
//!
//! A guest that is not secure is entered by HRFID; whenever the saved machine state of the interrupt had S set, the way back
//! is the ultracall `UV_RETURN` (power-pef §8.6): R0 = the guest's R3, R2 = SRR1, R31 and HSRR0 untouched (they hold the
//! ultravisor's cookie). `H_SVM_INIT_ABORT` arrives with S = 0: the guest is entered by HRFID after its `UV_ESM`, with the
//! result in R3 (§7.4).
//!
//! | vector | served here | goes to the user |
//! |---|---|---|
//! | 0xc00 | `H_SVM_*` | `H_SVM_INIT_START`: [`Exit::EnterSecureMode`]; `H_SVM_INIT_ABORT` too late: [`Exit::EnterAborted`]; a secure page that is out: [`Exit::PageMissing`]; `H_CEDE`: [`Exit::Halted`]; any other call: [`PowerExit::Hypercall`] |
//! | 0xe00, 0xe20 | a page that is resident or shared | a shared page that was taken away: [`Exit::PageMissing`]; no such memory: an error |
//! | 0x500, 0x980, 0xe80, 0xea0 | resumed | 0x980 when nothing else came for a while: [`PowerExit::Interrupt`] |
//! | other, also a system reset (0x100) | | [`PowerExit::Interrupt`] |

use alloc::{boxed::Box, sync::Arc};

use uv_core::{Access, ErrorType, Exit, GuestAddr, Vcpu};

use super::{GfnState, KvmError, SecureGuest, Vm, hcall};
use crate::abi::codes::{HvCode, UvCode};
use crate::abi::msr::{INTERRUPT_STATUS, Msr};
use crate::abi::numbers::{HvCall, PAGE_ORDER, UvCall};
use crate::abi::regs::Regs;
use crate::abi::ultracall::UvError;

/// Where the hypervisor's own `sc 2` stands: no interrupt vector, so that a refused `UV_RETURN` can be told from an interrupt.
const CALL_SITE: u64 = 0xc000_0000_0000_0000;
/// Ends of a time slice (0x980) in a row after which the user gets a say.
const TICKS: u32 = 64;
/// LPCR.LPES (PPC bit 60): external interrupts use SRR0/1.
const LPES: u64 = 1 << 3;

/// Whether an interrupt saves its state in HSRR0/1 (power-pef §8.1).
const fn uses_hsrr(vector: u64, lpcr: u64) -> bool {
    match vector {
        0x980 | 0xf80 | 0x1500 | 0xe00..=0xea0 => true,
        0x500 => lpcr & LPES == 0,
        _ => false,
    }
}

/// An exit that only this machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerExit {
    /// A hypercall that the kernel leaves to user space: number and R4 … R12. Answer with [`KvmVcpu::complete`]; without an
    /// answer the guest gets `H_FUNCTION`. `H_CEDE` is none: it is [`Exit::Halted`].
    Hypercall {
        /// The number.
        call: HvCall,
        /// R4 … R12.
        args: [u64; 9],
    },
    /// Another interrupt: the vector. With 0x980 the guest has used up its time without getting anywhere (it accesses a device
    /// in a way that cannot be emulated); running it again is allowed.
    Interrupt(u64),
}

/// A virtual CPU of KVM-HV.
#[derive(Debug)]
pub struct KvmVcpu {
    vm: Arc<Vm>,
    regs: Box<Regs>,
    /// Where a normal guest goes on: address and machine state, as the last interrupt saved them.
    resume: (u64, u64),
    /// The last interrupt came from the ultravisor: the way back is `UV_RETURN`.
    secure: bool,
    /// The last exit waits for its answer.
    waiting: Waiting,
    /// Pages the ultravisor asks for are served without the user.
    entering: bool,
    /// What `H_SVM_INIT_ABORT` was answered with.
    aborted: Option<HvCode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// Nothing: enter as the registers are.
    Entry,
    /// A page that the ultravisor asked for.
    Page(GuestAddr),
    /// A hypercall of the user.
    Hypercall,
    /// `H_CEDE`: running again is the end of the wait.
    Cede,
    /// `H_SVM_INIT_START`.
    Transition,
}

impl KvmVcpu {
    /// Virtual CPU `number` of a VM, ready to enter its guest for the first time at address 0.
    #[must_use]
    pub fn new(vm: Arc<Vm>, number: u32) -> Self {
        let regs = Regs { lpidr: vm.lpid(), vcpu: number, ..Regs::hypervisor() };
        let state = Msr::SF | Msr::ME | Msr::RI | Msr::LE;
        Self {
            vm,
            regs: Box::new(regs),
            resume: (0, state.bits()),
            secure: false,
            waiting: Waiting::Entry,
            entering: false,
            aborted: None,
        }
    }

    /// The same, with the guest starting at `at`.
    #[must_use]
    pub fn starting_at(mut self, at: GuestAddr) -> Self {
        self.resume.0 = at.0;
        self
    }

    /// Virtual CPU `number` that a guest started by the RTAS call start-cpu with `r3` as the value for R3. In a secure VM
    /// that value is the ultravisor's cookie, and the way in is `UV_RETURN` from the first time on (power-pef §9.3).
    #[must_use]
    pub fn started(vm: Arc<Vm>, number: u32, at: GuestAddr, r3: u64) -> Self {
        let mut cpu = Self::new(vm, number).starting_at(at);
        cpu.secure = cpu.vm.secure_guest().contains(SecureGuest::INIT_DONE);
        cpu.regs.gpr[if cpu.secure { 0 } else { 3 }] = r3;
        cpu
    }

    /// The VM.
    #[must_use]
    pub fn vm(&self) -> &Arc<Vm> {
        &self.vm
    }

    /// The registers as the last interrupt left them: what the hypervisor sees of the guest.
    #[must_use]
    pub fn regs(&self) -> &Regs {
        &self.regs
    }

    /// Answers [`PowerExit::Hypercall`]: R3 and R4 … of the guest; also the `H_CEDE` of [`Exit::Halted`], which gets `H_SUCCESS`
    /// otherwise. After any other exit nothing is answered.
    pub fn complete(&mut self, code: HvCode, outputs: &[u64]) {
        if !matches!(self.waiting, Waiting::Hypercall | Waiting::Cede) {
            return;
        }
        for (register, value) in self.regs.gpr[4..13].iter_mut().zip(outputs) {
            *register = *value;
        }
        self.answer(code);
    }

    /// Whether the last exit was [`Exit::EnterSecureMode`].
    pub(super) fn asks_to_enter(&self) -> bool {
        self.waiting == Waiting::Transition
    }

    /// Serves the transition from `H_SVM_INIT_START`, at which the virtual CPU stands, to `H_SVM_INIT_DONE`. The guest is not
    /// entered after that.
    ///
    /// # Errors
    /// [`KvmError::Refused`] with what `H_SVM_INIT_ABORT` was answered with; [`KvmError::Vector`]; those of entering.
    pub(super) fn run_transition(&mut self) -> Result<(), KvmError> {
        self.entering = true;
        self.aborted = None;
        let result = self.transition();
        self.entering = false;
        result
    }

    fn transition(&mut self) -> Result<(), KvmError> {
        loop {
            match self.regs.nip {
                0xc00 => drop(self.hypercall()),
                0x500 | 0x980 | 0xe80 | 0xea0 => {}
                vector => return Err(KvmError::Vector(vector)),
            }
            if let Some(code) = self.aborted.take() {
                return Err(KvmError::Refused(code));
            }
            if self.vm.secure_guest().contains(SecureGuest::INIT_DONE) {
                return Ok(());
            }
            self.settle();
            self.enter()?;
        }
    }

    /// Puts a hypercall's result where the way back takes it from.
    fn answer(&mut self, code: HvCode) {
        self.regs.gpr[if self.secure { 0 } else { 3 }] = code.to_register();
        self.waiting = Waiting::Entry;
    }

    /// Settles what the last exit left open.
    fn settle(&mut self) {
        match self.waiting {
            Waiting::Entry => {}
            Waiting::Hypercall => self.answer(HvCode::H_FUNCTION),
            Waiting::Cede => self.answer(HvCode::H_SUCCESS),
            // As for a VM that may not become secure. The ultravisor goes on with H_SVM_INIT_ABORT, which needs the flag.
            Waiting::Transition => {
                self.vm.set_secure_guest(SecureGuest::INIT_START);
                self.answer(HvCode::H_AUTHORITY);
            }
            Waiting::Page(at) => {
                let resident = matches!(self.vm.gfn_state(Vm::PAGE_SIZE.gfn(at)), GfnState::Uvmem(_));
                self.answer(if resident { HvCode::H_SUCCESS } else { HvCode::H_PARAMETER });
            }
        }
    }

    /// Enters the guest and comes back at the next interrupt.
    fn enter(&mut self) -> Result<(), KvmError> {
        let _inside = self.vm.enter();
        let regs = &mut *self.regs;
        regs.nip = CALL_SITE;
        regs.msr = Regs::hypervisor().msr;
        if self.secure {
            regs.gpr[2] = regs.srr1;
            regs.gpr[3] = UvCall::UV_RETURN.0;
            self.vm.host.uv.ultracall(regs);
            if regs.nip == CALL_SITE {
                let code = UvCode::from_register(regs.gpr[3]);
                return Err(UvError { call: UvCall::UV_RETURN, code }.into());
            }
        } else {
            (regs.hsrr0, regs.hsrr1) = self.resume;
            self.vm.host.entry.enter(regs);
        }
        let saved = if uses_hsrr(regs.nip, regs.lpcr) { (regs.hsrr0, regs.hsrr1) } else { (regs.srr0, regs.srr1) };
        self.secure = Msr::from_register(saved.1).contains(Msr::S);
        self.resume = (saved.0, saved.1 & !INTERRUPT_STATUS);
        tracing::trace!(vector = regs.nip, vcpu = regs.vcpu, secure = self.secure, "the hypervisor is entered");
        Ok(())
    }

    /// Serves a hypercall of the guest or of the ultravisor. `Some` when the user has to act.
    fn hypercall(&mut self) -> Option<Exit<PowerExit>> {
        let call = HvCall(self.regs.gpr[3]);
        let args = [self.regs.gpr[4], self.regs.gpr[5], self.regs.gpr[6]];
        if self.secure && !self.entering && call == HvCall::H_SVM_INIT_START && self.vm.secure_guest().is_empty() {
            self.waiting = Waiting::Transition;
            return Some(Exit::EnterSecureMode);
        }
        if self.secure && !self.entering && call == HvCall::H_SVM_PAGE_IN && args[1..] == [0, PAGE_ORDER] {
            let gfn = Vm::PAGE_SIZE.gfn(GuestAddr(args[0]));
            let done = self.vm.secure_guest().contains(SecureGuest::INIT_DONE);
            if done && self.vm.gfn_state(gfn) == GfnState::PagedOut {
                self.waiting = Waiting::Page(GuestAddr(args[0]));
                return Some(Exit::PageMissing { gfn, access: Access::Load });
            }
        }
        if let Some(code) = hcall::dispatch(&self.vm, call, args, self.secure) {
            self.answer(code);
            if call == HvCall::H_SVM_INIT_ABORT {
                self.aborted = Some(code);
            }
            if (call, code) == (HvCall::H_SVM_INIT_ABORT, HvCode::H_STATE) {
                self.vm.set_aborted();
                return Some(Exit::EnterAborted);
            }
            return None;
        }
        if call == HvCall::H_CEDE {
            self.waiting = Waiting::Cede;
            return Some(Exit::Halted);
        }
        self.waiting = Waiting::Hypercall;
        let mut all = [0; 9];
        all.copy_from_slice(&self.regs.gpr[4..13]);
        Some(Exit::Arch(PowerExit::Hypercall { call, args: all }))
    }

    /// Serves a storage interrupt. `Some` when the user has to act.
    fn storage(&mut self, vector: u64) -> Result<Option<Exit<PowerExit>>, KvmError> {
        let gfn = Vm::PAGE_SIZE.gfn(GuestAddr(self.regs.asdr));
        match self.vm.gfn_state(gfn) {
            _ if !self.secure => Err(KvmError::Fault(gfn)),
            GfnState::Uvmem(_) => Ok(None),
            GfnState::Shared => self.vm.guest_faults(gfn).map(|()| None),
            GfnState::Invalidated => {
                let access = if vector == 0xe20 { Access::Fetch } else { Access::Load };
                Ok(Some(Exit::PageMissing { gfn, access }))
            }
            GfnState::Normal | GfnState::PagedOut => Err(KvmError::Fault(gfn)),
        }
    }
}

impl ErrorType for KvmVcpu {
    type Error = KvmError;
}

impl Vcpu for KvmVcpu {
    type Arch = PowerExit;

    fn run(&mut self) -> Result<Exit<PowerExit>, KvmError> {
        self.settle();
        let mut ticks = 0;
        loop {
            self.enter()?;
            ticks = if self.regs.nip == 0x980 { ticks + 1 } else { 0 };
            match self.regs.nip {
                0xc00 => {
                    if let Some(exit) = self.hypercall() {
                        return Ok(exit);
                    }
                }
                vector @ (0xe00 | 0xe20) => {
                    if let Some(exit) = self.storage(vector)? {
                        return Ok(exit);
                    }
                }
                0x980 if ticks >= TICKS => return Ok(Exit::Arch(PowerExit::Interrupt(0x980))),
                0x500 | 0x980 | 0xe80 | 0xea0 => {}
                vector => return Ok(Exit::Arch(PowerExit::Interrupt(vector))),
            }
        }
    }
}
