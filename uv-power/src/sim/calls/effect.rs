//! What a call came to.

use alloc::sync::Arc;

use crate::abi::codes::UvCode;
use crate::sim::flow::{Flow, Port};
use crate::sim::svm::Svm;

/// What a call came to. Whoever dispatched it carries it out.
pub(crate) enum Effect {
    /// R3 gets this.
    Result(UvCode),
    /// R3 stays as it is.
    Keep,
    /// A flow begins.
    Flow(Arc<Svm>, Port, Flow),
    /// The hypervisor goes (back) to a secure VM.
    Return,
}

impl From<UvCode> for Effect {
    fn from(code: UvCode) -> Self {
        Self::Result(code)
    }
}
