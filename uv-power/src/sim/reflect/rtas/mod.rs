//! RTAS calls of a secure VM (power-pef §9).

mod bounce;
mod buffers;

use alloc::boxed::Box;
use alloc::sync::Arc;

use uv_core::GuestAddr;

use super::caller::Guest;
use crate::abi::calls::HypercallRow;
use crate::abi::numbers::HvCall;
use crate::sim::flow::{Flow, FlowEnd, Next, Port, Uv};

/// Token of `ibm,os-term` that the ultravisor uses.
const OS_TERM: u32 = 0x201f;

/// `H_RTAS` of a guest: R4 is the guest address of the call's block.
pub(super) fn rtas(guest: Guest<'_>, _: &HypercallRow) -> Next {
    let uv = Uv::new(&guest.machine.platform, guest.svm);
    let (port, block, vcpu) = (uv.port.clone(), GuestAddr(guest.st.regs.gpr[4]), guest.st.regs.vcpu);
    Next::Flow(Arc::clone(guest.svm), port, Box::pin(bounce::call(uv, block, vcpu)))
}

/// The VM cannot go on: `ibm,os-term` is called for it, and it is dead.
pub(crate) fn kill_flow(uv: Uv) -> (Port, Flow) {
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
