//! Runs a virtual CPU until the hypervisor is entered.

use super::view::{NormalGuest, SvmView};
use super::{Emulated, GuestInsn, VcpuState, faults};
use crate::abi::msr::{Msr, STATUS_NO_TRANSLATION};
use crate::abi::regs::Regs;
use crate::sim::calls::{self, Effect};
use crate::sim::flow::{self, Flow, FlowEnd, Port, Uv};
use crate::sim::machine::Inner;
use crate::sim::reflect::{self, vectors};
use crate::sim::svm::Svm;
use alloc::sync::Arc;
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
    match st.secure.clone() {
        Some(svm) => secure_step(machine, &svm, st, hv),
        None => normal_step(machine, st, hv),
    }
}

/// A guest of its own partition, without the ultravisor: exceptions go to the hypervisor with everything in the registers.
fn normal_step(machine: &Inner, st: &mut VcpuState, hv: &mut Regs) -> Stop {
    st.status = 0;
    if let Some(interrupt) = st.interrupts.pop_front() {
        let vector = reflect::take(st, hv, interrupt);
        return reflect::plain(st, hv, vector);
    }
    let slots = machine.partition_memory(st.regs.lpidr).unwrap_or(MemSlots::new(PageSize::K64));
    let last = Cell::new(Access::Load);
    let view = NormalView { slots: &slots, memory: &*machine.platform.memory };
    let event = st.cpu.advance(&NormalGuest { view, last: &last });
    st.count_steps();
    match event {
        GuestEvent::Halted => reflect::plain(st, hv, vectors::SYSTEM_RESET),
        GuestEvent::Call(insn) => {
            st.in_call = true;
            match insn {
                GuestInsn::Syscall { level: 1, gpr } => {
                    load_call(st, &gpr);
                    reflect::plain(st, hv, vectors::SYSTEM_CALL)
                }
                GuestInsn::Syscall { level: 2, gpr } => {
                    load_call(st, &gpr);
                    guest_ultracall(machine, st, hv)
                }
                other => {
                    harmless(st, other);
                    Stop::No
                }
            }
        }
        GuestEvent::Fault(fault) => {
            let (GuestFault::Missing { gfn, .. }
            | GuestFault::OutOfRange(gfn)
            | GuestFault::Busy(gfn)
            | GuestFault::Memory { gfn, .. }) = fault
            else {
                return reflect::plain(st, hv, vectors::SYSTEM_RESET);
            };
            st.regs.asdr = gfn.0 << PageSize::K64.shift();
            st.regs.hdar = st.regs.asdr;
            if last.get() == Access::Fetch {
                st.status = STATUS_NO_TRANSLATION;
                return reflect::plain(st, hv, vectors::INSTRUCTION_STORAGE);
            }
            reflect::plain(st, hv, vectors::DATA_STORAGE)
        }
    }
}

fn secure_step(machine: &Inner, svm: &Arc<Svm>, st: &mut VcpuState, hv: &mut Regs) -> Stop {
    if svm.is_killed() {
        return reflect::exception(machine, svm, st, hv, vectors::SYSTEM_RESET);
    }
    st.status = 0;
    reflect::enter_guest(&mut st.regs, hv);
    if let Some(interrupt) = st.interrupts.pop_front() {
        return reflect::interrupt(machine, svm, st, hv, interrupt);
    }
    let emulated = Cell::new(st.emulated.take());
    let last = Cell::new(None);
    let view = SvmView { svm, memory: &*machine.platform.memory, emulated: &emulated, last: &last };
    let event = st.cpu.advance(&view);
    st.emulated.set(emulated.get());
    st.count_steps();
    match event {
        GuestEvent::Halted => reflect::exception(machine, svm, st, hv, vectors::SYSTEM_RESET),
        GuestEvent::Call(insn) => {
            st.in_call = true;
            secure_insn(machine, svm, st, hv, insn)
        }
        GuestEvent::Fault(fault) => faults::serve(machine, svm, st, hv, fault, last.get()),
    }
}

fn secure_insn(machine: &Inner, svm: &Arc<Svm>, st: &mut VcpuState, hv: &mut Regs, insn: GuestInsn) -> Stop {
    match insn {
        GuestInsn::Syscall { level: 1, gpr } => {
            load_call(st, &gpr);
            reflect::hypercall(machine, svm, st, hv)
        }
        GuestInsn::Syscall { level: 2, gpr } => {
            load_call(st, &gpr);
            guest_ultracall(machine, st, hv)
        }
        GuestInsn::Syscall { level, gpr } => {
            tracing::warn!(level, "sc of a level that does not exist");
            load_call(st, &gpr);
            st.regs.gpr[3] = 0;
            st.finish_call();
            Stop::No
        }
        // Facility unavailable, cause 5.
        GuestInsn::Transaction => {
            reflect::no_transactions(machine, st);
            st.finish_call();
            Stop::No
        }
        GuestInsn::Emulate => apply(machine, svm, st, hv, FlowEnd::Kill("hypervisor emulation assistance")),
        other => {
            harmless(st, other);
            Stop::No
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
pub(crate) fn guest_ultracall(machine: &Inner, st: &mut VcpuState, hv: &mut Regs) -> Stop {
    let mut regs = st.regs.clone();
    let effect = calls::dispatch(machine, &mut regs);
    st.regs = regs;
    start(machine, st, hv, effect)
}

/// Carries out what a call of the guest came to.
pub(crate) fn start(machine: &Inner, st: &mut VcpuState, hv: &mut Regs, effect: Effect) -> Stop {
    match effect {
        Effect::Result(code) => {
            st.regs.gpr[3] = code.to_register();
            st.finish_call();
            Stop::No
        }
        Effect::Keep => {
            st.finish_call();
            Stop::No
        }
        Effect::Flow(svm, port, flow) => poll_flow(machine, &svm, st, hv, flow, port),
    }
}

/// Polls a flow: it makes its next hypercall, pauses or ends.
pub(crate) fn poll_flow(
    machine: &Inner,
    svm: &Arc<Svm>,
    st: &mut VcpuState,
    hv: &mut Regs,
    mut flow: Flow,
    port: Port,
) -> Stop {
    match flow::poll(&mut flow) {
        Poll::Pending => match port.take_request() {
            Some(request) => reflect::ultravisors_hypercall(machine, svm, st, hv, request, (flow, port)),
            None => reflect::pause(machine, svm, st, hv, (flow, port)),
        },
        Poll::Ready(end) => apply(machine, svm, st, hv, end),
    }
}

/// Does to the guest what a flow ended with.
pub(crate) fn apply(machine: &Inner, svm: &Arc<Svm>, st: &mut VcpuState, hv: &mut Regs, end: FlowEnd) -> Stop {
    match end {
        FlowEnd::Retry => Stop::No,
        FlowEnd::Result(code) => {
            st.regs.gpr[3] = code.to_register();
            st.finish_call();
            Stop::No
        }
        FlowEnd::Keep => {
            st.finish_call();
            Stop::No
        }
        FlowEnd::Loaded { at, value: Some(value) } => {
            st.emulated.set(Some(Emulated::Loaded { at, value }));
            Stop::No
        }
        FlowEnd::Stored { at } => {
            st.emulated.set(Some(Emulated::Stored { at }));
            Stop::No
        }
        // Nothing was emulated: the guest would repeat its instruction for ever, so the next tick comes first.
        FlowEnd::Loaded { value: None, .. } => {
            reflect::exception(machine, svm, st, hv, vectors::HYPERVISOR_DECREMENTER)
        }
        FlowEnd::Enter { nip, tree } => {
            st.secure = Some(Arc::clone(svm));
            let regs = &mut st.regs;
            let msr = (Msr::from_register(regs.msr) | Msr::S).difference(Msr::HV | Msr::EE);
            regs.gpr[4] = nip;
            regs.gpr[3] = tree;
            regs.gpr[5] = 0;
            regs.nip = nip;
            regs.msr = msr.bits();
            st.finish_call();
            Stop::No
        }
        FlowEnd::InitAbort => reflect::init_abort(machine, st, hv),
        FlowEnd::Kill(why) => {
            tracing::warn!(lpid = svm.lpid.0, why, "secure VM killed");
            let (port, flow) = reflect::rtas::kill_flow(machine, svm);
            poll_flow(machine, svm, st, hv, flow, port)
        }
        FlowEnd::Dead => {
            svm.kill();
            reflect::exception(machine, svm, st, hv, vectors::SYSTEM_RESET)
        }
        FlowEnd::Reflect(vector) => reflect::exception(machine, svm, st, hv, vector),
    }
}

/// The ultravisor at work for a VM, with a new way to the hypervisor.
pub(crate) fn uv(machine: &Inner, svm: &Arc<Svm>) -> Uv {
    Uv { platform: Arc::clone(&machine.platform), svm: Arc::clone(svm), port: Port::default() }
}
