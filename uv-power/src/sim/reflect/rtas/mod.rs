//! RTAS calls of a secure VM (power-pef §9).

mod bounce;
mod buffers;
mod tokens;

use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::Ordering;

use uv_core::GuestAddr;

use crate::abi::codes::UvCode;
use crate::abi::msr::Msr;
use crate::abi::numbers::HvCall;
use crate::abi::regs::Regs;
use crate::sim::flow::{Flow, FlowEnd, Port, Uv};
use crate::sim::machine::Inner;
use crate::sim::reflect::cookies::Start;
use crate::sim::svm::Svm;
use crate::sim::vcpu::{Stop, VcpuState, go_on, poll_flow};
pub(crate) use tokens::{Service, Tokens};

/// Token of `ibm,os-term` that the ultravisor uses.
const OS_TERM: u32 = 0x201f;

/// What the ultravisor knows of the RTAS of a VM.
#[derive(Debug, Clone)]
pub(crate) struct Rtas {
    pub(crate) tokens: Tokens,
    /// Where the code lies.
    pub(crate) base: u64,
    /// Bytes of the whole area.
    pub(crate) size: u64,
    /// Bytes of the code.
    pub(crate) code: u64,
    /// The page for arguments of the ultravisor's own calls.
    pub(crate) args: GuestAddr,
    /// The first of 64 bounce blocks.
    pub(crate) bounce: GuestAddr,
    /// The page with one slot of 16 bytes for each virtual CPU that stops itself.
    pub(crate) stop_self: GuestAddr,
    /// Bounce blocks in use, one bit each.
    pub(crate) in_use: u64,
    /// Registered machine check address.
    pub(crate) machine_check: Option<u64>,
}

impl Rtas {
    pub(crate) const fn new(tokens: Tokens, args: GuestAddr, bounce: GuestAddr, stop_self: GuestAddr) -> Self {
        Self { tokens, base: 0, size: 0, code: 0, args, bounce, stop_self, in_use: 0, machine_check: None }
    }

    pub(crate) const fn set_area(&mut self, base: u64, size: u64, code: u64) {
        self.base = base;
        self.size = size;
        self.code = code;
    }
}

/// `H_RTAS` of a guest: R4 is the guest address of the call's block.
pub(crate) fn call(machine: &Inner, svm: &Arc<Svm>, st: &mut VcpuState, hv: &mut Regs) -> Stop {
    let uv = Uv { platform: Arc::clone(&machine.platform), svm: Arc::clone(svm), port: Port::default() };
    let (port, block, vcpu) = (uv.port.clone(), GuestAddr(st.regs.gpr[4]), st.regs.vcpu);
    poll_flow(machine, svm, st, hv, Box::pin(bounce::call(uv, block, vcpu)), port)
}

/// A virtual CPU that another one started comes to life.
pub(crate) fn start_vcpu(machine: &Inner, svm: &Arc<Svm>, start: Start, hv: &mut Regs) -> Result<(), UvCode> {
    let id = u32::try_from(start.cpu).ok().filter(|id| *id < svm.max_vcpus.load(Ordering::Relaxed));
    let id = id.ok_or(UvCode::U_PARAMETER)?;
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

/// The VM cannot go on: `ibm,os-term` is called for it, and it is dead.
pub(crate) fn kill_flow(machine: &Inner, svm: &Arc<Svm>) -> (Port, Flow) {
    let uv = Uv { platform: Arc::clone(&machine.platform), svm: Arc::clone(svm), port: Port::default() };
    (uv.port.clone(), Box::pin(os_term(uv)))
}

async fn os_term(uv: Uv) -> FlowEnd {
    let args = uv.svm.rtas.read().as_ref().map_or(GuestAddr(0), |rtas| rtas.args);
    let block = [OS_TERM, 1, 1, 0, 0].map(u32::to_be_bytes).concat();
    // Without the page the hypervisor still gets the call. A page that it does not give back is not written.
    if uv.put(args, &block).await.is_err() {
        tracing::warn!(lpid = uv.svm.lpid.0, "no page for the arguments of ibm,os-term");
    }
    uv.hypercall(HvCall::H_RTAS, &[args.0]).await;
    FlowEnd::Dead
}
