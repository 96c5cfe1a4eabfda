//! The run loop of a virtual CPU.
//!
//! A guest that is not secure is entered by HRFID; whenever SRR1 of the interrupt had S set, the way back is the ultracall
//! `UV_RETURN` (power-pef §8.6): R0 = the guest's R3, R2 = SRR1, R31 and HSRR0 untouched (they hold the ultravisor's cookie).
//!
//! | vector | served here | goes to the user |
//! |---|---|---|
//! | 0x100 | | [`Exit::Halted`] |
//! | 0xc00 | `H_SVM_*` | a secure page that is out: [`Exit::PageMissing`]; any other call: [`PowerExit::Hypercall`] |
//! | 0xe00, 0xe20 | a resident page | an invalidated shared page: [`Exit::PageMissing`]; no such memory: an error |
//! | 0x500, 0x980, 0xe80, 0xea0 | resumed | |
//! | other | | [`PowerExit::Interrupt`] |

use alloc::{boxed::Box, sync::Arc};

use uv_core::{Access, ErrorType, Exit, GuestAddr, Vcpu};

use super::{GfnState, KvmError, Vm, hcall};
use crate::codes::HvCode;
use crate::numbers::{HvCall, PageInFlags, UvCall};
use crate::regs::Regs;

/// An exit that only this machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerExit {
    /// A hypercall that the kernel leaves to user space: number and R4 … R12. Answer with [`KvmVcpu::complete`]; without an
    /// answer the guest gets `H_FUNCTION`.
    Hypercall {
        /// The number.
        call: HvCall,
        /// R4 … R12.
        args: [u64; 9],
    },
    /// Another interrupt: the vector.
    Interrupt(u64),
}

/// A virtual CPU of KVM-HV.
#[derive(Debug)]
pub struct KvmVcpu {
    vm: Arc<Vm>,
    regs: Box<Regs>,
    /// The last exit waits for its answer.
    waiting: Waiting,
    halted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// Nothing: enter as the registers are.
    Entry,
    /// A page that the ultravisor asked for.
    Page(GuestAddr),
    /// A hypercall of the user.
    Hypercall,
}

impl KvmVcpu {
    /// Virtual CPU `number` of a VM, ready to enter its guest for the first time.
    #[must_use]
    pub fn new(vm: Arc<Vm>, number: u32) -> Self {
        let regs = Regs { lpidr: vm.lpid(), vcpu: number, ..Regs::hypervisor() };
        Self { vm, regs: Box::new(regs), waiting: Waiting::Entry, halted: false }
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

    /// Answers [`PowerExit::Hypercall`]: R3 and R4 … of the guest.
    pub fn complete(&mut self, code: HvCode, outputs: &[u64]) {
        for (register, value) in self.regs.gpr[4..13].iter_mut().zip(outputs) {
            *register = *value;
        }
        self.answer(code);
    }

    /// Puts a hypercall's result where the way back takes it from.
    fn answer(&mut self, code: HvCode) {
        let secure = self.regs.came_from_secure_guest();
        self.regs.gpr[if secure { 0 } else { 3 }] = code.to_register();
        self.waiting = Waiting::Entry;
    }

    /// Settles what the last exit left open.
    fn settle(&mut self) {
        match self.waiting {
            Waiting::Entry => {}
            Waiting::Hypercall => self.answer(HvCode::H_FUNCTION),
            Waiting::Page(at) => {
                let resident = matches!(self.vm.gfn_state(Vm::PAGE_SIZE.gfn(at)), GfnState::Uvmem(_));
                self.answer(if resident { HvCode::H_SUCCESS } else { HvCode::H_PARAMETER });
            }
        }
    }

    /// Enters the guest and comes back at the next interrupt.
    fn enter(&mut self) {
        let _inside = self.vm.enter();
        let regs = &mut *self.regs;
        let hypervisor = Regs::hypervisor();
        if regs.came_from_secure_guest() {
            regs.gpr[2] = regs.srr1;
            regs.gpr[3] = UvCall::UV_RETURN.0;
            regs.msr = hypervisor.msr;
            self.vm.host.uv.ultracall(regs);
        } else {
            regs.hsrr0 = regs.srr0;
            regs.hsrr1 = regs.srr1;
            self.vm.host.entry.enter(regs);
        }
        tracing::trace!(vector = regs.nip, vcpu = regs.vcpu, "the hypervisor is entered");
    }

    /// Serves a hypercall of the guest or of the ultravisor. `Some` when the user has to act.
    fn hypercall(&mut self) -> Option<Exit<PowerExit>> {
        let call = HvCall(self.regs.gpr[3]);
        let args = [self.regs.gpr[4], self.regs.gpr[5], self.regs.gpr[6]];
        let secure = self.regs.came_from_secure_guest();
        let at = GuestAddr(args[0]);
        let gfn = Vm::PAGE_SIZE.gfn(at);
        let out = self.vm.gfn_state(gfn) == GfnState::PagedOut;
        if secure && call == HvCall::H_SVM_PAGE_IN && args[1] & PageInFlags::SHARED.bits() == 0 && out {
            self.waiting = Waiting::Page(at);
            return Some(Exit::PageMissing { gfn, access: Access::Load });
        }
        if let Some(code) = hcall::dispatch(&self.vm, call, args, secure) {
            self.answer(code);
            return None;
        }
        self.waiting = Waiting::Hypercall;
        let mut all = [0; 9];
        all.copy_from_slice(&self.regs.gpr[4..13]);
        Some(Exit::Arch(PowerExit::Hypercall { call, args: all }))
    }
}

impl ErrorType for KvmVcpu {
    type Error = KvmError;
}

impl Vcpu for KvmVcpu {
    type Arch = PowerExit;

    fn run(&mut self) -> Result<Exit<PowerExit>, KvmError> {
        self.settle();
        while !self.halted {
            self.enter();
            match self.regs.nip {
                0x100 => self.halted = true,
                0xc00 => {
                    if let Some(exit) = self.hypercall() {
                        return Ok(exit);
                    }
                }
                vector @ (0xe00 | 0xe20) => {
                    let gfn = Vm::PAGE_SIZE.gfn(GuestAddr(self.regs.asdr));
                    match self.vm.gfn_state(gfn) {
                        GfnState::Uvmem(_) => {}
                        GfnState::Invalidated | GfnState::Shared => {
                            let access = if vector == 0xe20 { Access::Fetch } else { Access::Load };
                            return Ok(Exit::PageMissing { gfn, access });
                        }
                        GfnState::Normal | GfnState::PagedOut => return Err(KvmError::Fault(gfn)),
                    }
                }
                0x500 | 0x980 | 0xe80 | 0xea0 => {}
                vector => return Ok(Exit::Arch(PowerExit::Interrupt(vector))),
            }
        }
        Ok(Exit::Halted)
    }
}
