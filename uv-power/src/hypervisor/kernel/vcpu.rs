//! The run loop of a virtual CPU.
//!
//! A VM whose `secure_guest` is 0 is entered by HRFID, every other one by the ultracall `UV_RETURN`; S of the interrupt plays no
//! part (power-pef §8.6). R0 = the guest's R3, R2 = SRR1, R31 and HSRR0 untouched (they hold the ultravisor's cookie). After
//! `H_SVM_INIT_ABORT` the guest goes on by HRFID after its `UV_ESM`, with the result in R3; an abort that is answered
//! `H_STATE` leaves the VM secure, and `UV_RETURN` meets an ultravisor that expects none (§7.4).
//!
//! | vector | served here | goes to the user |
//! |---|---|---|
//! | 0xc00 | `H_SVM_*` | `H_SVM_INIT_START`: [`Exit::EnterSecureMode`]; `H_SVM_INIT_ABORT` too late: [`Exit::EnterAborted`]; a secure page that is out: [`Exit::PageMissing`]; `H_CEDE`: [`Exit::Halted`]; any other call: [`PowerExit::Hypercall`] |
//! | 0xe00, 0xe20 | a page that is resident or shared | a shared page that was taken away: [`Exit::PageMissing`]; no such memory: an error |
//! | 0x500, 0x980, 0xe80, 0xea0 | resumed | 0x980 when nothing else came for a while: [`PowerExit::Interrupt`] |
//! | other, also a system reset (0x100) | | [`PowerExit::Interrupt`] |

use super::hcall::Served;
use super::{GfnState, KvmError, SecureGuest, Vm, hcall};
use crate::abi::codes::{HvCode, UvCode};
use crate::abi::msr::{INTERRUPT_STATUS, Msr};
use crate::abi::numbers::{HvCall, PAGE_ORDER, UltracallNumber};
use crate::abi::regs::Regs;
use crate::abi::ultracall::UvError;
use alloc::boxed::Box;
use alloc::sync::Arc;
use uv_core::{Access, ErrorType, Exit, GuestAddr, Vcpu};

/// Where the hypervisor's own `sc 2` stands: no interrupt vector, so that a refused `UV_RETURN` can be told from an interrupt.
const CALL_SITE: u64 = 0xc000_0000_0000_0000;
/// Ends of a time slice (0x980) in a row after which the user gets a say.
const TICKS: u32 = 64;
/// LPCR.LPES (PPC bit 60): external interrupts use SRR0/1.
const LPES: u64 = 1 << 3;

/// Whether an interrupt saves its state in HSRR0/1 (power-pef §8.1).
pub(super) const fn uses_hsrr(vector: u64, lpcr: u64) -> bool {
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
    pub(super) regs: Box<Regs>,
    /// Where a normal guest goes on: address and machine state, as the last interrupt saved them.
    pub(super) resume: (u64, u64),
    /// The last exit waits for its answer.
    waiting: Waiting,
    /// Pages the ultravisor asks for are served without the user.
    entering: bool,
    /// Pages are served without the user.
    in_kernel: bool,
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
            waiting: Waiting::Entry,
            entering: false,
            in_kernel: false,
            aborted: None,
        }
    }

    /// The same, with the guest starting at `at`.
    #[must_use]
    pub fn starting_at(mut self, at: GuestAddr) -> Self {
        self.resume.0 = at.0;
        self
    }

    /// Pages that the guest needs are served here, as the kernel does, without [`Exit::PageMissing`].
    #[must_use]
    pub fn paging_in_kernel(mut self) -> Self {
        self.in_kernel = true;
        self
    }

    /// Virtual CPU `number` that a guest started by the RTAS call start-cpu with `r3` as the value for R3. In a secure VM
    /// that value is the ultravisor's cookie, and the way in is `UV_RETURN` from the first time on (power-pef §9.3).
    #[must_use]
    pub fn started(vm: Arc<Vm>, number: u32, at: GuestAddr, r3: u64) -> Self {
        let mut cpu = Self::new(vm, number).starting_at(at);
        cpu.regs.gpr[3] = r3;
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

    /// Puts a hypercall's result into the guest's R3; the way back takes it from there.
    fn answer(&mut self, code: HvCode) {
        self.regs.gpr[3] = code.to_register();
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
        (regs.hsrr0, regs.hsrr1) = self.resume;
        if !self.vm.secure_guest().is_empty() {
            (regs.gpr[0], regs.gpr[2]) = (regs.gpr[3], regs.srr1);
            regs.gpr[3] = UltracallNumber::UV_RETURN.0;
            self.vm.host.uv.ultracall(regs);
            if regs.nip == CALL_SITE {
                let code = UvCode::from_register(regs.gpr[3]);
                return Err(UvError { call: UltracallNumber::UV_RETURN, code }.into());
            }
        } else {
            self.vm.host.entry.enter(regs);
        }
        let saved = if uses_hsrr(regs.nip, regs.lpcr) { (regs.hsrr0, regs.hsrr1) } else { (regs.srr0, regs.srr1) };
        self.resume = (saved.0, saved.1 & !INTERRUPT_STATUS);
        tracing::trace!(vector = regs.nip, vcpu = regs.vcpu, "the hypervisor is entered");
        Ok(())
    }

    /// Whether the call is the guest's wish to become secure.
    fn wishes_to_enter(&self, call: HvCall) -> bool {
        !self.entering
            && call == HvCall::H_SVM_INIT_START
            && self.regs.came_from_secure_guest()
            && self.vm.secure_guest().is_empty()
    }

    /// Whether a page that the ultravisor asks for goes to the user: one of a secure VM that is out.
    fn is_for_user(&self, call: HvCall, [gpa, flags, shift]: [u64; 3]) -> bool {
        !(self.entering || self.in_kernel)
            && (call, flags, shift) == (HvCall::H_SVM_PAGE_IN, 0, PAGE_ORDER)
            && self.regs.came_from_secure_guest()
            && self.vm.secure_guest().contains(SecureGuest::INIT_DONE)
            && self.vm.gfn_state(Vm::PAGE_SIZE.gfn(GuestAddr(gpa))) == GfnState::PagedOut
    }

    /// Serves a hypercall of the guest or of the ultravisor. `Some` when the user has to act.
    fn hypercall(&mut self) -> Option<Exit<PowerExit>> {
        let call = HvCall(self.regs.gpr[3]);
        let args = [self.regs.gpr[4], self.regs.gpr[5], self.regs.gpr[6]];
        let srr1 = Msr::from_register(self.regs.srr1);
        let supervisor = !srr1.contains(Msr::PR);
        if supervisor && self.wishes_to_enter(call) {
            self.waiting = Waiting::Transition;
            return Some(Exit::EnterSecureMode);
        }
        if supervisor && self.is_for_user(call, args) {
            self.waiting = Waiting::Page(GuestAddr(args[0]));
            return Some(Exit::PageMissing { gfn: Vm::PAGE_SIZE.gfn(GuestAddr(args[0])), access: Access::Load });
        }
        match hcall::dispatch(&self.vm, call, args, srr1) {
            Served::Answer(code) => {
                self.answer(code);
                if call == HvCall::H_SVM_INIT_ABORT {
                    self.aborted = Some(code);
                    if code == HvCode::H_STATE {
                        self.vm.set_aborted();
                        return Some(Exit::EnterAborted);
                    }
                }
                return None;
            }
            Served::Interrupt(vector, status) => {
                self.inject(vector, status);
                return None;
            }
            Served::UserSpace if call == HvCall::H_SVM_TPM_COMM && (self.entering || self.vm.has_tpm()) => {
                let args = core::array::from_fn(|index| self.regs.gpr[4 + index]);
                let (code, len) = self.vm.tpm_comm(args);
                self.regs.gpr[4] = len;
                self.answer(code);
                return None;
            }
            Served::UserSpace => {}
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
        if !self.vm.secure_guest().contains(SecureGuest::INIT_DONE) {
            return Err(KvmError::Fault(gfn));
        }
        if !self.in_kernel && self.vm.gfn_state(gfn) == GfnState::Invalidated {
            let access = if vector == 0xe20 { Access::Fetch } else { Access::Load };
            return Ok(Some(Exit::PageMissing { gfn, access }));
        }
        self.vm.guest_faults(gfn).map(|()| None)
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
