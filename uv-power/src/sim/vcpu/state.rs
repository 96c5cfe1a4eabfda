//! A virtual CPU: the guest's program, its registers, and what the ultravisor keeps while the hypervisor runs.

use alloc::{boxed::Box, collections::VecDeque, sync::Arc};
use core::cell::Cell;

use spin::Mutex;
use uv_sim::guest::{GuestCpu, Step};

use super::insn::{GuestInsn, GuestProgram};
use super::interrupt::Interrupt;
use super::view::Emulated;
use crate::abi::calls::Window;
use crate::abi::msr::Msr;
use crate::abi::regs::{Lpid, Regs};
use crate::sim::flow::{Flow, Port};
use crate::sim::svm::Svm;

/// A virtual CPU. Who holds the lock of its state is the CPU it runs on.
pub(crate) struct Vcpu {
    pub(crate) state: Mutex<VcpuState>,
}

/// What the ultravisor keeps while the hypervisor runs on behalf of a virtual CPU.
pub(crate) struct UvContext {
    pub(crate) cookie: u32,
    pub(crate) vector: u64,
    pub(crate) pidr: u32,
    /// The window of a reflected hypercall; none for a hypercall of the ultravisor's own.
    pub(crate) window: Option<Window>,
    /// The flow that made a hypercall.
    pub(crate) flow: Option<(Port, Flow)>,
}

pub(crate) struct VcpuState {
    pub(crate) cpu: GuestCpu<GuestInsn, Box<Regs>>,
    /// Steps of the program that `regs.nip` accounts for.
    pub(crate) counted: u64,
    /// The guest's registers. While the VM is normal and stopped, the hypervisor has them.
    pub(crate) regs: Regs,
    /// The VM, once it is secure.
    pub(crate) secure: Option<Arc<Svm>>,
    /// An instruction waits for its result.
    pub(crate) in_call: bool,
    pub(crate) context: Option<UvContext>,
    pub(crate) emulated: Cell<Option<Emulated>>,
    /// Interrupts that have arrived and were not taken yet.
    pub(crate) interrupts: VecDeque<Interrupt>,
    /// Status bits of SRR1 or HSRR1 that the exception at work came with.
    pub(crate) status: u64,
}

impl Vcpu {
    pub(crate) fn new(lpid: Lpid, id: u32, program: GuestProgram) -> Self {
        let msr = (Msr::SF | Msr::ME | Msr::LE).bits();
        let state = VcpuState {
            cpu: GuestCpu::new(program),
            counted: 0,
            regs: Regs { lpidr: lpid, vcpu: id, msr, ..Regs::default() },
            secure: None,
            in_call: false,
            context: None,
            emulated: Cell::new(None),
            interrupts: VecDeque::new(),
            status: 0,
        };
        Self { state: Mutex::new(state) }
    }

    /// A virtual CPU nobody gave a program to.
    pub(crate) fn idle(lpid: Lpid, id: u32) -> Self {
        Self::new(lpid, id, Box::new(|_| Step::Halt))
    }
}

impl VcpuState {
    /// The instruction at work is done: the guest goes on after it and gets its registers.
    pub(crate) fn finish_call(&mut self) {
        if core::mem::take(&mut self.in_call) {
            self.cpu.complete(Box::new(self.regs.clone()));
            self.counted = self.cpu.done();
        }
    }

    /// Moves the instruction address on by the steps that were done.
    pub(crate) fn count_steps(&mut self) {
        let steps = self.cpu.done() - self.counted;
        self.regs.nip = self.regs.nip.wrapping_add(steps * 4);
        self.counted += steps;
    }
}
