//! The UVC instruction with all its fields, for callers that test what a program can do wrong.

use zerocopy::FromBytes;

use super::machine::Machine;
use crate::abi::uvc::{Cc, PgmCode, ProgramInterruption, UvCall};
use crate::abi::uvcb::UvcbHeader;

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

impl Uvc {
    pub(super) fn check(self) -> Result<(), ProgramInterruption> {
        if self.problem_state {
            return Err(ProgramInterruption::new(PgmCode::PRIVILEGED_OPERATION));
        }
        if self.i3 != 0 || self.i4 != 0 {
            return Err(ProgramInterruption::new(PgmCode::SPECIFICATION));
        }
        Ok(())
    }
}

impl Machine {
    /// Executes the instruction on a host CPU.
    ///
    /// # Errors
    /// In this order: privileged operation (0x02) in problem state; specification (0x06) for a non-zero extra field; then those
    /// of [`UvCall::uv_call`].
    pub fn execute(&self, instruction: Uvc, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
        instruction.check()?;
        self.uv_call(block)
    }

    /// Executes the instruction on a control block at a host virtual address, in the home space
    /// ([`Machine::set_home_space`]). The answer is stored there.
    ///
    /// # Errors
    /// In this order: those of the instruction, as [`Machine::execute`]; for a header, and for the rest of a known command's
    /// block, that cannot be reached: page translation (0x11), addressing (0x05) outside host memory, secure-storage access
    /// (0x3d) for a frame that the host does not own; page translation also for a page that cannot be stored to. Nothing was
    /// done then.
    pub fn execute_at(&self, instruction: Uvc, address: u64) -> Result<Cc, ProgramInterruption> {
        instruction.check()?;
        let (header, fault) = self.read_block(address, size_of::<UvcbHeader>());
        if let Some(fault) = fault {
            return Err(fault);
        }
        let len = UvcbHeader::ref_from_prefix(&header).map_or(0, |(header, _)| usize::from(header.len.get()));
        let (mut block, fault) = self.read_block(address, len.max(header.len()));
        // Where the answer goes is settled before anything is done. A host that donates the page of its control block never
        // sees the answer.
        let place = self.pieces(address, block.len() as u64, true).map_err(|error| self.home_fault(error))?;
        let cc = self.uv_call(&mut block).map_err(|interruption| match fault {
            Some(fault) if interruption.code == PgmCode::PAGE_TRANSLATION => fault,
            _ => interruption,
        })?;
        if matches!(cc, Cc::Done | Cc::Error) {
            self.store(&place, &block).map_err(|error| self.home_fault(error))?;
        }
        Ok(cc)
    }
}
