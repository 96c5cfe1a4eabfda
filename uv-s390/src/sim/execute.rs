//! The UVC instruction with all its fields, for callers that test what a program can do wrong.

use super::machine::Machine;
use crate::uvc::{Cc, PgmCode, ProgramInterruption, UvCall};

/// Fields of the instruction beside its operand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uvc {
    /// Extra field, must be 0.
    pub i3: u8,
    /// Extra field, must be 0.
    pub i4: u8,
    /// The CPU is in problem state.
    pub problem_state: bool,
}

impl Machine {
    /// Executes the instruction on a host CPU.
    ///
    /// # Errors
    /// In this order: privileged operation (0x02) in problem state; specification (0x06) for a non-zero extra field; then those
    /// of [`UvCall::uv_call`].
    pub fn execute(&self, instruction: Uvc, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
        if instruction.problem_state {
            return Err(ProgramInterruption::new(PgmCode::PRIVILEGED_OPERATION));
        }
        if instruction.i3 != 0 || instruction.i4 != 0 {
            return Err(ProgramInterruption::new(PgmCode::SPECIFICATION));
        }
        self.uv_call(block)
    }
}
