//! The guest that makes a hypercall.

use alloc::sync::Arc;

use crate::abi::codes::HvCode;
use crate::abi::regs::Regs;
use crate::sim::flow::Next;
use crate::sim::inner::Inner;
use crate::sim::svm::Svm;
use crate::sim::vcpu::state::VcpuState;

/// The guest that makes the call, and the machine it runs on.
pub(super) struct Guest<'a> {
    pub(super) machine: &'a Inner,
    pub(super) svm: &'a Arc<Svm>,
    pub(super) st: &'a mut VcpuState,
    pub(super) hv: &'a mut Regs,
}

impl Guest<'_> {
    /// The guest goes on with this in R3.
    pub(super) fn answered(self, code: HvCode) -> Next {
        self.st.regs.gpr[3] = code.to_register();
        self.st.finish_call();
        Next::Guest
    }
}
