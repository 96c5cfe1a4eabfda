//! Keeping calls, and answering them again.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use spin::Mutex;

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
#[derive(Debug)]
pub struct Recorder<U> {
    inner: U,
    calls: Mutex<Vec<RecordedCall>>,
}

impl<U> Recorder<U> {
    /// Records what goes to `inner`.
    #[must_use]
    pub const fn new(inner: U) -> Self {
        Self { inner, calls: Mutex::new(Vec::new()) }
    }

    /// What was recorded so far.
    #[must_use]
    pub fn calls(&self) -> Vec<RecordedCall> {
        self.calls.lock().clone()
    }

    /// Ends the recording.
    #[must_use]
    pub fn into_calls(self) -> Vec<RecordedCall> {
        self.calls.into_inner()
    }
}

impl<U: UvCall> UvCall for Recorder<U> {
    fn uv_call(&self, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
        let before = super::block_bytes(block);
        let result = self.inner.uv_call(block);
        let after = block[..before.len()].to_vec();
        self.calls.lock().push(RecordedCall { before, after, result });
        result
    }
}

/// Answers calls from a recording, without a machine.
///
/// Calls must come in the recorded order with the recorded bytes (the codes in the header, which a caller may leave from an
/// earlier call, are not compared). Any other call, and any call behind the end, ends with an operation exception (0x01), and
/// nothing is used up.
#[derive(Debug)]
pub struct Replayer(Mutex<VecDeque<RecordedCall>>);

impl Replayer {
    /// Answers from these calls.
    #[must_use]
    pub fn new(calls: impl IntoIterator<Item = RecordedCall>) -> Self {
        Self(Mutex::new(calls.into_iter().collect()))
    }

    /// Whether every recorded call was asked for.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.lock().is_empty()
    }
}

/// A block without rc and rrc.
fn asked(block: &[u8]) -> (&[u8], &[u8]) {
    (&block[..block.len().min(4)], block.get(8..).unwrap_or(&[]))
}

impl UvCall for Replayer {
    fn uv_call(&self, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
        let mut calls = self.0.lock();
        let bytes = super::block_bytes(block);
        let next = calls.pop_front_if(|call| asked(&call.before) == asked(&bytes));
        let call = next.ok_or(ProgramInterruption::new(PgmCode::OPERATION))?;
        block[..call.after.len()].copy_from_slice(&call.after);
        call.result
    }
}
