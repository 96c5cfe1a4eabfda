//! `UV_RETURN`: the hypervisor goes (back) to a secure VM (power-pef §8.6).
//!
//! In: R0 result of the hypercall, R4 … R12 its outputs, R2 SRR1 of the guest (documented: interrupt number), R31 the
//! cookie, HSRR0 the cookie or a vector to inject, HSRR1 its byte order.
//!
//! | # | check | documented | firmware |
//! |---|---|---|---|
//! | 1 | the hypervisor runs a transaction | the guest gets a program interrupt (0x700) | the hypervisor continues at 0x700, status in its MSR |
//! | 2 | LPIDR has no object | `U_PARAMETER` | `U_PARAMETER` (the published code stops the machine) |
//! | 3 | the VM was killed | `U_STATE` | `U_STATE` |
//! | 4 | R0 is a start-cpu cookie | the new virtual CPU starts | the same |
//! | 5 | cookie unknown, used, of another VM | `U_PARAMETER` | `U_PARAMETER` (stops there) |
//! | 6 | virtual CPU number not below the maximum; PIDR changed | VM killed | VM killed |
//! | 7 | HSRR0 a legal vector | injected | injected |
//!
//! Documented, the interrupt number in R2 counts too: a legal vector there is injected; hypervisors that pass SRR1 in R2
//! have a value there that is no vector.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{Stop, go_on, settle};
use crate::abi::codes::UvCode;
use crate::abi::msr::{INTERRUPT_STATUS, Msr, STATUS_TM_BAD_THING};
use crate::abi::regs::Regs;
use crate::sim::flow::{Answer, FlowEnd, Next};
use crate::sim::inner::Inner;
use crate::sim::reflect::machine_check;
use crate::sim::svm::cookies::Start;
use crate::sim::svm::{Svm, SvmState};
use crate::sim::vcpu::state::{UvContext, VcpuState};
use crate::sim::vectors;

/// Lowest value of a cookie; vectors are below.
const LOWEST_COOKIE: u64 = 0x2000;

pub(crate) fn uv_return(machine: &Inner, hv: &mut Regs) {
    if let Err(code) = enter(machine, hv) {
        tracing::warn!(%code, lpid = hv.lpidr.0, "UV_RETURN refused");
        hv.gpr[3] = code.to_register();
    }
}

fn enter(machine: &Inner, hv: &mut Regs) -> Result<(), UvCode> {
    let in_transaction = hv.msr().in_transaction();
    if in_transaction && machine.platform.firmware() {
        hv.msr |= STATUS_TM_BAD_THING;
        hv.srr0 = hv.nip;
        hv.nip = vectors::PROGRAM;
        return Ok(());
    }
    let svm = machine.svm(hv.lpidr.0.into()).ok_or(UvCode::U_PARAMETER)?;
    if svm.is_killed() {
        return Err(UvCode::U_STATE);
    }
    let start = if hv.gpr[0] >= LOWEST_COOKIE { svm.cookies.lock().take_start(hv.gpr[0]) } else { None };
    if let Some(start) = start {
        // A context that stopped itself before is released.
        let stopped = svm.cookies.lock().take_context(hv.gpr[31]);
        if let Some(vcpu) = stopped.and_then(|id| machine.vcpu(svm.lpid, id)) {
            vcpu.state.lock().context = None;
        }
        return start_vcpu(machine, &svm, start, hv);
    }
    let holder = svm.cookies.lock().take_context(hv.gpr[31]).ok_or(UvCode::U_PARAMETER)?;
    let vcpu = machine.vcpu(svm.lpid, holder).ok_or(UvCode::U_PARAMETER)?;
    let mut st = vcpu.state.lock();
    let known = st.context.take_if(|context| u64::from(context.cookie) == hv.gpr[31]);
    let context = known.ok_or(UvCode::U_PARAMETER)?;
    let next = resume(machine, &svm, &mut st, hv, context, in_transaction);
    if settle(machine, &mut st, hv, next) == Stop::No {
        go_on(machine, &mut st, hv);
    }
    Ok(())
}

/// A virtual CPU that another one started comes to life.
fn start_vcpu(machine: &Inner, svm: &Arc<Svm>, start: Start, hv: &mut Regs) -> Result<(), UvCode> {
    let max = svm.max_vcpus.load(Ordering::Relaxed);
    let id = u32::try_from(start.cpu).ok().filter(|id| *id < max).ok_or(UvCode::U_PARAMETER)?;
    let vcpu = machine.vcpu_or_idle(svm.lpid, id);
    let mut st = vcpu.state.lock();
    // What it was doing before is given up; its cookie is good for nothing any more.
    if let Some(context) = st.context.take() {
        svm.cookies.lock().take(context.cookie.into());
    }
    st.secure = Some(Arc::clone(svm));
    st.regs.nip = start.address;
    st.regs.msr = (Msr::SF | Msr::ME | Msr::S).bits();
    st.regs.gpr[3] = start.r3;
    st.regs.pidr = hv.pidr;
    st.finish_call();
    go_on(machine, &mut st, hv);
    Ok(())
}

fn resume(
    machine: &Inner,
    svm: &Arc<Svm>,
    st: &mut VcpuState,
    hv: &mut Regs,
    context: UvContext,
    in_transaction: bool,
) -> Next {
    let max = svm.max_vcpus.load(Ordering::Relaxed);
    if svm.state() == SvmState::Secure && hv.vcpu >= max {
        return Next::End(Arc::clone(svm), FlowEnd::Kill("virtual CPU number past the maximum"));
    }
    if hv.pidr != context.pidr {
        return Next::End(Arc::clone(svm), FlowEnd::Kill("PIDR changed"));
    }
    st.regs.ic = st.regs.ic.wrapping_add(hv.ic);
    let mut out = [0; 9];
    out.copy_from_slice(&hv.gpr[4..13]);
    let (r0, inject) = (hv.gpr[0], injected(machine, hv, context.vector, svm));
    if let Some(window) = context.window {
        if window.outputs > 0 {
            st.regs.gpr[3] = r0;
        }
        for (register, value) in (4..3 + window.outputs).zip(out) {
            st.regs.gpr[register] = value;
        }
    }
    if context.vector == vectors::MACHINE_CHECK
        && let Some(vector) = inject
        && !machine_check::copy_log(machine, svm, st, r0, vector)
    {
        return Next::End(Arc::clone(svm), FlowEnd::Kill("malformed machine check log"));
    }
    if in_transaction {
        interrupt_guest(st, hv, vectors::PROGRAM, STATUS_TM_BAD_THING);
    } else if let Some(vector) = inject {
        interrupt_guest(st, hv, vector, hv.gpr[2]);
    }
    match context.flow {
        Some((port, flow)) => {
            if context.vector == vectors::SYSTEM_CALL {
                port.answer(Answer::new(r0, out));
            }
            Next::Flow(Arc::clone(svm), port, flow)
        }
        None => {
            st.finish_call();
            Next::Guest
        }
    }
}

/// The vector to inject, if the hypervisor names a legal one.
fn injected(machine: &Inner, hv: &Regs, reflected: u64, svm: &Svm) -> Option<u64> {
    let legal = |vector: u64| {
        if reflected == vectors::MACHINE_CHECK {
            vector == svm.machine_check_vector() && vector.is_multiple_of(16)
        } else {
            vector < LOWEST_COOKIE && vector.is_multiple_of(32)
        }
    };
    if hv.hsrr0 != hv.gpr[31] && legal(hv.hsrr0) {
        return Some(hv.hsrr0);
    }
    let number = hv.gpr[2];
    (!machine.platform.firmware() && number != 0 && legal(number)).then_some(number)
}

fn interrupt_guest(st: &mut VcpuState, hv: &Regs, vector: u64, status: u64) {
    let regs = &mut st.regs;
    regs.srr0 = regs.nip;
    regs.srr1 = (regs.msr & !INTERRUPT_STATUS) | (status & INTERRUPT_STATUS);
    regs.nip = vector;
    regs.msr = (Msr::SF | Msr::S | Msr::ME).bits() | (hv.hsrr1 & Msr::LE.bits());
}
