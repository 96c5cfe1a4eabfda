//! How the hypervisor is entered: for an exception, for a hypercall, or for a guest that is not secure.

use super::neutral::{self, Cause, Frame, hypervisor_msr};
use crate::abi::calls::Window;
use crate::abi::msr::{INTERRUPT_STATUS, Msr, SC_LEVEL_1, SC_LEVEL_MASK, STATUS_ILLEGAL};
use crate::abi::numbers::HvCall;
use crate::abi::regs::{Regs, Spr};
use crate::sim::flow::{Flow, FlowEnd, Next, Port, Request};
use crate::sim::inner::Inner;
use crate::sim::svm::Svm;
use crate::sim::svm::cookies::Holder;
use crate::sim::vcpu::interrupt::Interrupt;
use crate::sim::vcpu::state::{UvContext, VcpuState};
use crate::sim::vectors::{self, Disposition};
use alloc::boxed::Box;
use alloc::sync::Arc;

/// What the hypervisor is entered for.
pub(super) struct Reason {
    pub(super) vector: u64,
    pub(super) window: Option<Window>,
    pub(super) flow: Option<(Port, Flow)>,
}

/// Enters the hypervisor: the guest's context stays behind under a cookie.
pub(super) fn enter(
    machine: &Inner,
    svm: &Arc<Svm>,
    st: &mut VcpuState,
    hv: &mut Regs,
    reason: Reason,
    frame: Frame,
) -> Next {
    let Reason { vector, window, flow } = reason;
    let cookie = svm.cookies.lock().issue(Holder::Context(st.regs.vcpu));
    st.context = Some(UvContext { cookie, vector, pidr: st.regs.pidr, window, flow });
    machine.platform.mask_debug_registers(hv.thread);
    *hv = neutral::frame(&machine.platform, &st.regs, hv, Cause { cookie, vector, status: st.status }, frame);
    tracing::trace!(lpid = svm.lpid.0, vcpu = st.regs.vcpu, vector, "reflected to the hypervisor");
    Next::Hypervisor
}

/// Reflects an exception.
pub(crate) fn exception(machine: &Inner, svm: &Arc<Svm>, st: &mut VcpuState, hv: &mut Regs, vector: u64) -> Next {
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
) -> Next {
    let vector = take(st, hv, interrupt);
    if vector == vectors::FACILITY && interrupt.facility == vectors::TRANSACTIONS {
        no_transactions(machine, st);
        return Next::Guest;
    }
    match vectors::disposition(vector, machine.platform.firmware()) {
        Disposition::Reflect => exception(machine, svm, st, hv, vector),
        Disposition::ToGuest => {
            to_guest(st, vector, 0);
            Next::Guest
        }
        Disposition::Kill => Next::End(Arc::clone(svm), FlowEnd::Kill("hypervisor emulation assistance")),
        Disposition::Resume => {
            tracing::warn!(vector, "unexpected interrupt");
            Next::Guest
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

/// A hypercall of the ultravisor itself, made in the place of the guest's exception.
pub(crate) fn ultravisors_hypercall(
    machine: &Inner,
    svm: &Arc<Svm>,
    st: &mut VcpuState,
    hv: &mut Regs,
    request: Request,
    flow: (Port, Flow),
) -> Next {
    let frame = Frame::Ultravisors { number: request.number.0, args: Box::from(request.args) };
    enter(machine, svm, st, hv, Reason { vector: vectors::SYSTEM_CALL, window: None, flow: Some(flow) }, frame)
}

/// A flow that cannot go on yet: the hypervisor gets its decrementer interrupt first.
pub(crate) fn pause(machine: &Inner, svm: &Arc<Svm>, st: &mut VcpuState, hv: &mut Regs, flow: (Port, Flow)) -> Next {
    st.status = 0;
    let reason = Reason { vector: vectors::HYPERVISOR_DECREMENTER, window: None, flow: Some(flow) };
    enter(machine, svm, st, hv, reason, Frame::Exception)
}

/// The transition failed: the hypervisor is entered as if the guest had made `H_SVM_INIT_ABORT` (power-pef §7.4). It goes
/// back to the guest by itself, so no cookie is left.
///
/// SRR1's call level is 1; in the published code an OR makes it 3.
pub(crate) fn init_abort(machine: &Inner, st: &mut VcpuState, hv: &mut Regs) -> Next {
    let guest = &st.regs;
    let mut out = guest.clone();
    out.gpr[3] = HvCall::H_SVM_INIT_ABORT.0;
    out.srr0 = guest.nip;
    let level = if machine.platform.firmware() { SC_LEVEL_MASK } else { SC_LEVEL_1 };
    out.srr1 = (guest.msr & !(Msr::S.bits() | SC_LEVEL_MASK)) | level;
    out.msr = hypervisor_msr(&machine.platform, guest, vectors::SYSTEM_CALL, false);
    out.nip = vectors::SYSTEM_CALL;
    keep_hypervisors(&mut out, hv);
    *hv = out;
    Next::Hypervisor
}

/// An exception of a guest that is not secure: everything is in the registers.
pub(crate) fn plain(st: &VcpuState, hv: &mut Regs, vector: u64) -> Next {
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
    Next::Hypervisor
}

/// Registers that are the hypervisor's own.
fn keep_hypervisors(out: &mut Regs, hv: &Regs) {
    out.hsprg = hv.hsprg;
    out.lpcr = hv.lpcr;
    out.hfscr = hv.hfscr;
    out.thread = hv.thread;
}
