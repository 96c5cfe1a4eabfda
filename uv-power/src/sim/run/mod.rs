//! Runs a virtual CPU until the hypervisor is entered. What calls, reflections and flows come to is carried out here, in one place.

mod apply;
mod faults;
pub(crate) mod uv_return;

use crate::abi::msr::{Msr, STATUS_NO_TRANSLATION};
use crate::abi::numbers::HvCall;
use crate::abi::regs::Regs;
use crate::sim::calls;
use crate::sim::calls::effect::Effect;
use crate::sim::flow::{self, Flow, FlowEnd, Next, Port};
use crate::sim::inner::Inner;
use crate::sim::reflect::enter;
use crate::sim::reflect::enter_guest;
use crate::sim::reflect::hypercalls::hypercall;
use crate::sim::svm::Svm;
use crate::sim::vcpu::insn::GuestInsn;
use crate::sim::vcpu::state::VcpuState;
use crate::sim::vcpu::view::{NormalGuest, SvmView};
use crate::sim::vectors;
use alloc::sync::Arc;
use apply::apply;
use core::cell::Cell;
use core::task::Poll;
use uv_core::{Access, MemSlots, PageSize};
use uv_sim::GuestFault;
use uv_sim::guest::{GuestEvent, NormalView};

/// Whether the guest goes on or the hypervisor is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    No,
    /// `hv` holds the registers that the hypervisor finds.
    Hypervisor,
}

/// Runs the guest until the hypervisor is entered; `hv` are the hypervisor's registers before and after.
pub(crate) fn go_on(machine: &Inner, st: &mut VcpuState, hv: &mut Regs) {
    while step(machine, st, hv) == Stop::No {}
}

fn step(machine: &Inner, st: &mut VcpuState, hv: &mut Regs) -> Stop {
    let next = match st.secure.clone() {
        Some(svm) => secure_step(machine, &svm, st, hv),
        None => normal_step(machine, st, hv),
    };
    settle(machine, st, hv, next)
}

/// Carries out what a step came to, until the guest can go on or the hypervisor is entered.
pub(crate) fn settle(machine: &Inner, st: &mut VcpuState, hv: &mut Regs, mut next: Next) -> Stop {
    loop {
        next = match next {
            Next::Guest => return Stop::No,
            Next::Hypervisor => return Stop::Hypervisor,
            Next::End(svm, end) => apply(machine, &svm, st, hv, end),
            Next::Flow(svm, port, flow) => poll(machine, svm, st, hv, (port, flow)),
        };
    }
}

/// A guest of its own partition, without the ultravisor: exceptions go to the hypervisor with everything in the registers.
fn normal_step(machine: &Inner, st: &mut VcpuState, hv: &mut Regs) -> Next {
    st.status = 0;
    if let Some(interrupt) = st.interrupts.pop_front() {
        let vector = enter::take(st, hv, interrupt);
        return enter::plain(st, hv, vector);
    }
    let slots = machine.partition_memory(st.regs.lpidr).unwrap_or(MemSlots::new(PageSize::K64));
    let last = Cell::new(Access::Load);
    let view = NormalView { slots: &slots, memory: &*machine.platform.memory };
    let event = st.cpu.advance(&NormalGuest { view, last: &last });
    st.count_steps();
    match event {
        GuestEvent::Halted => {
            load_call(st, &[HvCall::H_CEDE.0]);
            enter::plain(st, hv, vectors::SYSTEM_CALL)
        }
        GuestEvent::Call(insn) => {
            st.in_call = true;
            match insn {
                GuestInsn::Syscall { level: 1, gpr } => {
                    load_call(st, &gpr);
                    enter::plain(st, hv, vectors::SYSTEM_CALL)
                }
                GuestInsn::Syscall { level: 2, gpr } => {
                    load_call(st, &gpr);
                    guest_ultracall(machine, st)
                }
                other => {
                    harmless(st, other);
                    Next::Guest
                }
            }
        }
        GuestEvent::Fault(fault) => {
            let (GuestFault::Missing { gfn, .. }
            | GuestFault::OutOfRange(gfn)
            | GuestFault::Busy(gfn)
            | GuestFault::Memory { gfn, .. }) = fault
            else {
                return enter::plain(st, hv, vectors::SYSTEM_RESET);
            };
            st.regs.asdr = gfn.0 << PageSize::K64.shift();
            st.regs.hdar = st.regs.asdr;
            if last.get() == Access::Fetch {
                st.status = STATUS_NO_TRANSLATION;
                return enter::plain(st, hv, vectors::INSTRUCTION_STORAGE);
            }
            enter::plain(st, hv, vectors::DATA_STORAGE)
        }
    }
}

fn secure_step(machine: &Inner, svm: &Arc<Svm>, st: &mut VcpuState, hv: &mut Regs) -> Next {
    if svm.is_killed() {
        return enter::exception(machine, svm, st, hv, vectors::SYSTEM_RESET);
    }
    st.status = 0;
    enter_guest(&mut st.regs, hv);
    if let Some(interrupt) = st.interrupts.pop_front() {
        return enter::interrupt(machine, svm, st, hv, interrupt);
    }
    let emulated = Cell::new(st.emulated.take());
    let last = Cell::new(None);
    let view = SvmView { svm, memory: &*machine.platform.memory, emulated: &emulated, last: &last };
    let event = st.cpu.advance(&view);
    st.emulated.set(emulated.get());
    st.count_steps();
    match event {
        GuestEvent::Halted => {
            load_call(st, &[HvCall::H_CEDE.0]);
            hypercall(machine, svm, st, hv)
        }
        GuestEvent::Call(insn) => {
            st.in_call = true;
            secure_insn(machine, svm, st, hv, insn)
        }
        GuestEvent::Fault(fault) => faults::serve(machine, svm, st, hv, fault, last.get()),
    }
}

fn secure_insn(machine: &Inner, svm: &Arc<Svm>, st: &mut VcpuState, hv: &mut Regs, insn: GuestInsn) -> Next {
    match insn {
        GuestInsn::Syscall { level: 1, gpr } => {
            load_call(st, &gpr);
            hypercall(machine, svm, st, hv)
        }
        GuestInsn::Syscall { level: 2, gpr } => {
            load_call(st, &gpr);
            guest_ultracall(machine, st)
        }
        GuestInsn::Syscall { level, gpr } => {
            tracing::warn!(level, "sc of a level that does not exist");
            load_call(st, &gpr);
            st.regs.gpr[3] = 0;
            st.finish_call();
            Next::Guest
        }
        // Facility unavailable, cause 5.
        GuestInsn::Transaction => {
            enter::no_transactions(machine, st);
            st.finish_call();
            Next::Guest
        }
        GuestInsn::Emulate => Next::End(Arc::clone(svm), FlowEnd::Kill("hypervisor emulation assistance")),
        other => {
            harmless(st, other);
            Next::Guest
        }
    }
}

/// Instructions that do not leave the guest.
fn harmless(st: &mut VcpuState, insn: GuestInsn) {
    match insn {
        GuestInsn::Load(from) => {
            let keep = st.regs.clone();
            st.regs = *from;
            st.regs.nip = keep.nip;
            st.regs.msr = keep.msr;
            st.regs.lpidr = keep.lpidr;
            st.regs.lpcr = keep.lpcr;
            st.regs.hsprg = keep.hsprg;
            st.regs.vcpu = keep.vcpu;
        }
        GuestInsn::Msr { set, clear } => {
            let beyond = (Msr::HV | Msr::S).bits();
            st.regs.msr = (st.regs.msr & !(clear.bits() & !beyond)) | (set.bits() & !beyond);
        }
        _ => {}
    }
    st.regs.nip = st.regs.nip.wrapping_add(4);
    st.finish_call();
}

/// Loads R3 … and moves on to the instruction after the `sc`.
fn load_call(st: &mut VcpuState, gpr: &[u64]) {
    for (register, value) in st.regs.gpr[3..].iter_mut().zip(gpr) {
        *register = *value;
    }
    st.regs.nip = st.regs.nip.wrapping_add(4);
}

/// An `sc 2` of the guest.
fn guest_ultracall(machine: &Inner, st: &mut VcpuState) -> Next {
    let mut regs = st.regs.clone();
    let effect = calls::dispatch(machine, &mut regs);
    st.regs = regs;
    match effect {
        Effect::Result(code) => {
            st.regs.gpr[3] = code.to_register();
            st.finish_call();
            Next::Guest
        }
        // Only a hypervisor goes back to a guest.
        Effect::Keep | Effect::Return => {
            st.finish_call();
            Next::Guest
        }
        Effect::Flow(svm, port, flow) => Next::Flow(svm, port, flow),
    }
}

/// Polls a flow: it makes its next hypercall, pauses or ends.
fn poll(machine: &Inner, svm: Arc<Svm>, st: &mut VcpuState, hv: &mut Regs, (port, mut flow): (Port, Flow)) -> Next {
    match flow::poll(&mut flow) {
        Poll::Pending => match port.take_request() {
            Some(request) => enter::ultravisors_hypercall(machine, &svm, st, hv, request, (port, flow)),
            None => enter::pause(machine, &svm, st, hv, (port, flow)),
        },
        Poll::Ready(end) => Next::End(svm, end),
    }
}
