//! Guest accesses to pages that are not there (power-pef §5, §8.1: vectors 0xe00 and 0xe20).
//!
//! | page | load, store | fetch |
//! |---|---|---|
//! | in no slot | a device: the ultravisor makes `H_LOGICAL_CI_LOAD` or `_STORE` | reflected |
//! | secure, nothing in it yet | zeros | zeros |
//! | paged out | `H_SVM_PAGE_IN(gpa, 0, 16)` | the same |
//! | shared, normal page away | reflected | tried again |
//! | there, write protected | store: reflected | - |
//! | shared by the ultravisor | the VM is killed | tried again |
//! | everything else | tried again | tried again |
//!
//! Where the access is tried again and cannot work yet, the hypervisor gets its decrementer interrupt (0x980) first: on
//! hardware time passes, a script would spin.

use crate::abi::codes::HvCode;
use crate::abi::msr::STATUS_NO_TRANSLATION;
use crate::abi::numbers::{HvCall, PAGE_ORDER, PageInFlags};
use crate::abi::regs::Regs;
use crate::sim::flow::{FlowEnd, Next, Uv};
use crate::sim::inner::Inner;
use crate::sim::reflect::enter;
use crate::sim::svm::{GfnState, Svm};
use crate::sim::vcpu::state::VcpuState;
use crate::sim::vcpu::view::LastAccess;
use crate::sim::vectors;
use alloc::boxed::Box;
use alloc::sync::Arc;
use uv_core::{Access, Gfn, GuestAddr, PageState};
use uv_sim::GuestFault;

/// HDSISR of a load or store without translation.
const DSISR_NO_TRANSLATION: u64 = 0x4000_0000;
/// HDSISR of an access that the mapping does not allow.
const DSISR_PROTECTION: u64 = 0x0800_0000;
/// HDSISR of a store.
const DSISR_STORE: u64 = 0x0200_0000;

pub(super) fn serve(
    machine: &Inner,
    svm: &Arc<Svm>,
    st: &mut VcpuState,
    hv: &mut Regs,
    fault: GuestFault,
    last: Option<LastAccess>,
) -> Next {
    let (gfn, access) = match fault {
        GuestFault::Missing { gfn, access, .. } => (gfn, access),
        GuestFault::OutOfRange(gfn) | GuestFault::Busy(gfn) | GuestFault::Memory { gfn, .. } => (gfn, Access::Load),
        GuestFault::Closed => return enter::exception(machine, svm, st, hv, vectors::SYSTEM_RESET),
    };
    let at = last.map_or(GuestAddr(gfn.0 << PAGE_ORDER), |last| last.at);
    let vector = if access == Access::Fetch { vectors::INSTRUCTION_STORAGE } else { vectors::DATA_STORAGE };
    // An access that begins in the page before faults at the first byte of this one.
    st.regs.hdar = at.0.max(gfn.0 << PAGE_ORDER);
    st.regs.asdr = gfn.0 << PAGE_ORDER;
    st.status = if access == Access::Fetch { STATUS_NO_TRANSLATION } else { 0 };
    st.regs.hdsisr = DSISR_NO_TRANSLATION | if access == Access::Store { DSISR_STORE } else { 0 };
    if !svm.slots.read().contains(gfn) {
        return match (access, last) {
            (Access::Fetch, _) | (_, None) => enter::exception(machine, svm, st, hv, vectors::INSTRUCTION_STORAGE),
            (_, Some(last)) => {
                let uv = Uv::new(&machine.platform, svm);
                let (port, store) = (uv.port.clone(), access == Access::Store);
                Next::Flow(Arc::clone(svm), port, Box::pin(device(uv, last, gfn, store)))
            }
        };
    }
    if let GuestFault::Memory { .. } = fault {
        return enter::exception(machine, svm, st, hv, vector);
    }
    let state = svm.gfn_state(gfn);
    let there = matches!(svm.space.state(gfn), Ok(PageState::Secure | PageState::Shared));
    if access == Access::Store && there && svm.is_write_protected(gfn) {
        st.regs.hdsisr = DSISR_PROTECTION | DSISR_STORE;
        return enter::exception(machine, svm, st, hv, vector);
    }
    match (state, access) {
        (GfnState::PagedOut, _) => {
            let uv = Uv::new(&machine.platform, svm);
            let port = uv.port.clone();
            Next::Flow(Arc::clone(svm), port, Box::pin(bring_back(uv, gfn)))
        }
        (GfnState::SharedInv, Access::Load | Access::Store) => enter::exception(machine, svm, st, hv, vector),
        (GfnState::SharedImplicit | GfnState::SharedImplicitInv, Access::Load | Access::Store) => {
            Next::End(Arc::clone(svm), FlowEnd::Kill("access to a page shared by the ultravisor"))
        }
        _ if svm.space.state(gfn) == Ok(PageState::Absent) => {
            let uv = Uv::new(&machine.platform, svm);
            let port = uv.port.clone();
            Next::Flow(Arc::clone(svm), port, Box::pin(first_touch(uv, gfn)))
        }
        // The page came back meanwhile.
        _ if there => Next::Guest,
        _ => enter::exception(machine, svm, st, hv, vectors::HYPERVISOR_DECREMENTER),
    }
}

async fn bring_back(uv: Uv, gfn: Gfn) -> FlowEnd {
    // The answer does not matter: the access is tried again, and asks again if the page is still out.
    let code = uv.page_in(gfn, PageInFlags::empty()).await;
    tracing::trace!(%gfn, %code, "page asked back for the guest");
    FlowEnd::Retry
}

/// The first access to a page that no image provided: zeros.
async fn first_touch(uv: Uv, gfn: Gfn) -> FlowEnd {
    uv.make_room(gfn).await;
    let Some(_held) = uv.svm.hold(gfn) else { return FlowEnd::Retry };
    match uv.svm.space.zero_in(gfn) {
        // Somebody else was faster: fine too.
        Ok(()) | Err(uv_sim::SpaceError::State { .. } | uv_sim::SpaceError::Busy(_)) => FlowEnd::Retry,
        Err(_) => FlowEnd::Reflect(vectors::HYPERVISOR_DECREMENTER),
    }
}

/// A device access: the ultravisor makes the hypercall that stands for it.
async fn device(uv: Uv, access: LastAccess, gfn: Gfn, store: bool) -> FlowEnd {
    let at = access.at;
    let decoded = matches!(access.len, 1 | 2 | 4 | 8) && at.0 >> PAGE_ORDER == gfn.0;
    let size = access.len as u64;
    if !decoded {
        return FlowEnd::Loaded { at, value: None };
    }
    if store {
        let answer = uv.hypercall(HvCall::H_LOGICAL_CI_STORE, &[size, at.0, access.value]).await;
        return match answer.code {
            HvCode::H_SUCCESS => FlowEnd::Stored { at },
            _ => FlowEnd::Loaded { at, value: None },
        };
    }
    let answer = uv.hypercall(HvCall::H_LOGICAL_CI_LOAD, &[size, at.0]).await;
    FlowEnd::Loaded { at, value: (answer.code == HvCode::H_SUCCESS).then_some(answer.out[0]) }
}
