//! From a secure guest to the hypervisor: who gets an interrupt, and what the registers show (power-pef §8).
//!
//! The hypervisor's registers are made new for every reflection: everything is neutral, and only what the tables of the
//! fact sheet name is put in. So a register that nobody thought of shows nothing.

pub(crate) mod cookies;
mod interrupt;
pub(crate) mod machine_check;
mod neutral;
pub(crate) mod rtas;
pub mod vectors;
pub(super) mod windows;

use super::flow::{Flow, FlowEnd, Port, Request};
use super::machine::Inner;
use super::svm::Svm;
use super::vcpu::{Stop, UvContext, VcpuState, apply};
use crate::abi::codes::HvCode;
use crate::abi::msr::{INTERRUPT_STATUS, Msr, SC_LEVEL_1, SC_LEVEL_MASK, STATUS_ILLEGAL, STATUS_PRIVILEGED};
use crate::abi::numbers::HvCall;
use crate::abi::regs::{Regs, Spr};
use alloc::boxed::Box;
use alloc::sync::Arc;
use cookies::Holder;
pub use interrupt::Interrupt;
pub(crate) use neutral::enter_guest;
use neutral::{Cause, Frame};
use vectors::Disposition;

/// What the hypervisor is entered for.
struct Reason {
    vector: u64,
    window: Option<windows::Window>,
    flow: Option<(Flow, Port)>,
}

/// Enters the hypervisor: the guest's context stays behind under a cookie.
fn enter(machine: &Inner, svm: &Arc<Svm>, st: &mut VcpuState, hv: &mut Regs, reason: Reason, frame: Frame) -> Stop {
    let Reason { vector, window, flow } = reason;
    let cookie = svm.cookies.lock().issue(Holder::Context(st.regs.vcpu));
    st.context = Some(UvContext { cookie, vector, pidr: st.regs.pidr, window, flow });
    machine.platform.mask_debug_registers(hv.thread);
    *hv = neutral::frame(&machine.platform, &st.regs, hv, Cause { cookie, vector, status: st.status }, frame);
    tracing::trace!(lpid = svm.lpid.0, vcpu = st.regs.vcpu, vector, "reflected to the hypervisor");
    Stop::Hypervisor
}

/// Reflects an exception.
pub(crate) fn exception(machine: &Inner, svm: &Arc<Svm>, st: &mut VcpuState, hv: &mut Regs, vector: u64) -> Stop {
    enter(machine, svm, st, hv, Reason { vector, window: None, flow: None }, Frame::Exception)
}

/// Puts the cause of an interrupt into the registers that tell it.
pub(crate) fn take(st: &mut VcpuState, hv: &mut Regs, interrupt: Interrupt) -> u64 {
    st.status = interrupt.status & INTERRUPT_STATUS;
    match interrupt.vector {
        vectors::FACILITY => {
            hv.hfscr = hv.hfscr & (u64::MAX >> 8) | u64::from(interrupt.facility) << 56;
        }
        vectors::EMULATION_ASSISTANCE => {
            st.regs.spr.set(Spr::HEIR, interrupt.instruction.into());
        }
        vectors::MACHINE_CHECK => {
            if let Some((dsisr, dar)) = interrupt.data {
                st.regs.spr.set(Spr::DSISR, dsisr);
                st.regs.spr.set(Spr::DAR, dar);
            }
        }
        _ => {}
    }
    interrupt.vector
}

/// An interrupt that arrived while the guest ran.
pub(crate) fn interrupt(
    machine: &Inner,
    svm: &Arc<Svm>,
    st: &mut VcpuState,
    hv: &mut Regs,
    interrupt: Interrupt,
) -> Stop {
    let vector = take(st, hv, interrupt);
    if vector == vectors::FACILITY && interrupt.facility == vectors::TRANSACTIONS {
        no_transactions(machine, st);
        return Stop::No;
    }
    match vectors::disposition(vector, machine.platform.firmware()) {
        Disposition::Reflect => exception(machine, svm, st, hv, vector),
        Disposition::ToGuest => {
            to_guest(st, vector, 0);
            Stop::No
        }
        Disposition::Kill => apply(machine, svm, st, hv, FlowEnd::Kill("hypervisor emulation assistance")),
        Disposition::Resume => {
            tracing::warn!(vector, "unexpected interrupt");
            Stop::No
        }
    }
}

/// The guest takes an interrupt itself: where it was and `status` stand in its SRR0 and SRR1.
pub(crate) fn to_guest(st: &mut VcpuState, vector: u64, status: u64) {
    let regs = &mut st.regs;
    regs.srr0 = regs.nip;
    regs.srr1 = (regs.msr & !INTERRUPT_STATUS) | status;
    regs.nip = vector;
    regs.msr = (Msr::SF | Msr::S | Msr::ME).bits() | (regs.msr & Msr::LE.bits());
}

/// An instruction of transactional memory: the guest gets a program interrupt. The firmware puts the status into the machine
/// state that it continues with and leaves SRR1 alone; the documents mean SRR1.
pub(crate) fn no_transactions(machine: &Inner, st: &mut VcpuState) {
    let srr1 = st.regs.srr1;
    if machine.platform.firmware() {
        to_guest(st, vectors::PROGRAM, 0);
        st.regs.srr1 = srr1;
        st.regs.msr |= STATUS_ILLEGAL;
    } else {
        to_guest(st, vectors::PROGRAM, STATUS_ILLEGAL);
    }
}

/// A hypercall of the guest.
///
/// | number | what happens |
/// |---|---|
/// | any, of user code | documented: the guest gets a program interrupt (privileged), nobody serves it; firmware: as of the kernel, SRR1 tells PR |
/// | `H_RANDOM` | not reflected; documented: the ultravisor makes the number (R4); firmware: `H_FUNCTION` |
/// | `H_CEDE` | external interrupts are enabled for the guest, then reflected with the real decrementer |
/// | `H_RTAS` | bounced |
/// | unknown, or without a window | `H_FUNCTION` (the published code stops the machine) |
/// | else | R3 … of its window |
pub(crate) fn hypercall(machine: &Inner, svm: &Arc<Svm>, st: &mut VcpuState, hv: &mut Regs) -> Stop {
    let number = HvCall(st.regs.gpr[3]);
    let answer = |st: &mut VcpuState, code: HvCode| {
        st.regs.gpr[3] = code.to_register();
        st.finish_call();
        Stop::No
    };
    if st.regs.msr().contains(Msr::PR) && !machine.platform.firmware() {
        // SRR0 is after the `sc`, as where a hypervisor gives this interrupt.
        to_guest(st, vectors::PROGRAM, STATUS_PRIVILEGED);
        st.finish_call();
        return Stop::No;
    }
    if number == HvCall::H_RANDOM {
        if machine.platform.firmware() {
            return answer(st, HvCode::H_FUNCTION);
        }
        st.regs.gpr[4] = machine.platform.random();
        return answer(st, HvCode::H_SUCCESS);
    }
    if number == HvCall::H_RTAS {
        return rtas::call(machine, svm, st, hv);
    }
    let Some(window) = windows::window(number.0) else { return answer(st, HvCode::H_FUNCTION) };
    if number == HvCall::H_CEDE {
        st.regs.msr |= Msr::EE.bits();
    }
    let frame = Frame::Hypercall { inputs: window.inputs, junk: machine.platform.random() };
    let reason = Reason { vector: vectors::SYSTEM_CALL, window: Some(window), flow: None };
    enter(machine, svm, st, hv, reason, frame)
}

/// A hypercall of the ultravisor itself, made in the place of the guest's exception.
pub(crate) fn ultravisors_hypercall(
    machine: &Inner,
    svm: &Arc<Svm>,
    st: &mut VcpuState,
    hv: &mut Regs,
    request: Request,
    flow: (Flow, Port),
) -> Stop {
    let frame = Frame::Ultravisors { number: request.number.0, args: Box::from(request.args) };
    enter(machine, svm, st, hv, Reason { vector: vectors::SYSTEM_CALL, window: None, flow: Some(flow) }, frame)
}

/// A flow that cannot go on yet: the hypervisor gets its decrementer interrupt first.
pub(crate) fn pause(machine: &Inner, svm: &Arc<Svm>, st: &mut VcpuState, hv: &mut Regs, flow: (Flow, Port)) -> Stop {
    st.status = 0;
    let reason = Reason { vector: vectors::HYPERVISOR_DECREMENTER, window: None, flow: Some(flow) };
    enter(machine, svm, st, hv, reason, Frame::Exception)
}

/// The transition failed: the hypervisor is entered as if the guest had made `H_SVM_INIT_ABORT` (power-pef §7.4). It goes
/// back to the guest by itself, so no cookie is left.
///
/// SRR1's call level is 1; in the published code an OR makes it 3.
pub(crate) fn init_abort(machine: &Inner, st: &mut VcpuState, hv: &mut Regs) -> Stop {
    let guest = &st.regs;
    let mut out = guest.clone();
    out.gpr[3] = HvCall::H_SVM_INIT_ABORT.0;
    out.srr0 = guest.nip;
    let level = if machine.platform.firmware() { SC_LEVEL_MASK } else { SC_LEVEL_1 };
    out.srr1 = (guest.msr & !(Msr::S.bits() | SC_LEVEL_MASK)) | level;
    out.msr = neutral::hypervisor_msr(&machine.platform, guest, vectors::SYSTEM_CALL, false);
    out.nip = vectors::SYSTEM_CALL;
    keep_hypervisors(&mut out, hv);
    *hv = out;
    Stop::Hypervisor
}

/// An exception of a guest that is not secure: everything is in the registers.
pub(crate) fn plain(st: &VcpuState, hv: &mut Regs, vector: u64) -> Stop {
    let guest = &st.regs;
    let mut out = guest.clone();
    let facilities = guest.msr & (Msr::FP | Msr::VEC | Msr::VSX).bits();
    out.msr = (Msr::SF | Msr::HV | Msr::ME).bits() | hv.msr & Msr::LE.bits() | facilities;
    out.nip = vector;
    let level = if vector == vectors::SYSTEM_CALL { SC_LEVEL_1 } else { 0 };
    let state = guest.msr & !(INTERRUPT_STATUS | SC_LEVEL_MASK | Msr::S.bits());
    let interrupted = (guest.nip, state | st.status | level);
    if vectors::is_hypervisors(vector, guest.lpcr) {
        (out.hsrr0, out.hsrr1) = interrupted;
    } else {
        (out.srr0, out.srr1) = interrupted;
    }
    keep_hypervisors(&mut out, hv);
    *hv = out;
    Stop::Hypervisor
}

/// Registers that are the hypervisor's own.
fn keep_hypervisors(out: &mut Regs, hv: &Regs) {
    out.hsprg = hv.hsprg;
    out.lpcr = hv.lpcr;
    out.hfscr = hv.hfscr;
    out.thread = hv.thread;
}
