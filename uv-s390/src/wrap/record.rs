//! Keeping calls, and answering them again.

use alloc::vec::Vec;

use crate::abi::uvc::{Cc, PgmCode, ProgramInterruption, UvCall};

/// One call: the block before and after, and how the instruction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCall {
    /// The block as it was issued.
    pub before: Vec<u8>,
    /// The block afterwards, as long as before.
    pub after: Vec<u8>,
    /// Condition code or program interruption.
    pub result: Result<Cc, ProgramInterruption>,
}

/// Passes calls on and keeps them, in the order in which they ended.
pub type Recorder<U> = uv_sim::wrap::Recorder<U, RecordedCall>;

impl<U: UvCall> UvCall for Recorder<U> {
    fn uv_call(&self, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
        let before = super::block_bytes(block);
        let result = self.inner().uv_call(block);
        let after = block[..before.len()].to_vec();
        self.keep(RecordedCall { before, after, result });
        result
    }
}

/// Answers calls from a recording, without a machine.
///
/// Calls must come in the recorded order with the recorded bytes (the codes in the header, which a caller may leave from an
/// earlier call, are not compared). Any other call, and any call behind the end, ends with an operation exception (0x01), and
/// nothing is used up.
pub type Replayer = uv_sim::wrap::Replayer<RecordedCall>;

/// A block without rc and rrc.
fn asked(block: &[u8]) -> (&[u8], &[u8]) {
    (&block[..block.len().min(4)], block.get(8..).unwrap_or(&[]))
}

impl UvCall for Replayer {
    fn uv_call(&self, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
        let bytes = super::block_bytes(block);
        let next = self.next_if(|call| asked(&call.before) == asked(&bytes));
        let call = next.ok_or(ProgramInterruption::new(PgmCode::OPERATION))?;
        block[..call.after.len()].copy_from_slice(&call.after);
        call.result
    }
}
