//! What becomes of the guest when work for it has ended.

use alloc::sync::Arc;

use crate::abi::msr::Msr;
use crate::abi::regs::Regs;
use crate::sim::flow::{FlowEnd, Next, Uv};
use crate::sim::inner::Inner;
use crate::sim::reflect::{enter, rtas};
use crate::sim::svm::Svm;
use crate::sim::vcpu::state::VcpuState;
use crate::sim::vcpu::view::Emulated;
use crate::sim::vectors;

/// Does to the guest what a flow ended with.
pub(super) fn apply(machine: &Inner, svm: &Arc<Svm>, st: &mut VcpuState, hv: &mut Regs, end: FlowEnd) -> Next {
    match end {
        FlowEnd::Retry => Next::Guest,
        FlowEnd::Result(code) => {
            st.regs.gpr[3] = code.to_register();
            st.finish_call();
            Next::Guest
        }
        FlowEnd::Keep => {
            st.finish_call();
            Next::Guest
        }
        FlowEnd::Loaded { at, value: Some(value) } => {
            st.emulated.set(Some(Emulated::Loaded { at, value }));
            Next::Guest
        }
        FlowEnd::Stored { at } => {
            st.emulated.set(Some(Emulated::Stored { at }));
            Next::Guest
        }
        // Nothing was emulated: the guest would repeat its instruction without end, so the next tick comes first.
        FlowEnd::Loaded { value: None, .. } => enter::exception(machine, svm, st, hv, vectors::HYPERVISOR_DECREMENTER),
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
            Next::Guest
        }
        FlowEnd::InitAbort => enter::init_abort(machine, st, hv),
        FlowEnd::Kill(why) => {
            tracing::warn!(lpid = svm.lpid.0, why, "secure VM killed");
            let (port, flow) = rtas::kill_flow(Uv::new(&machine.platform, svm));
            Next::Flow(Arc::clone(svm), port, flow)
        }
        FlowEnd::Dead => {
            svm.kill();
            enter::exception(machine, svm, st, hv, vectors::SYSTEM_RESET)
        }
        FlowEnd::Reflect(vector) => enter::exception(machine, svm, st, hv, vector),
    }
}
