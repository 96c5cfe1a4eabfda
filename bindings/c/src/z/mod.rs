//! IBM Z.

// In the order in which the header tells them.
mod config;

mod host;

mod spaces;

mod closed;

mod guest;

mod diag308;

mod text;

use core::fmt;
use std::sync::Arc;

use uv_s390::abi::uvc::{Cc, ProgramInterruption};
use uv_s390::sim::{GuestAnswer, Uvc};

use crate::raw;
use crate::status::{Done, Failure};

pub use closed::*;
pub use config::*;
pub use diag308::*;
pub use guest::*;
pub use host::*;
pub use spaces::*;
pub use text::*;

/// A machine with what the interface keeps for it.
pub(crate) struct Machine {
    pub(crate) sim: uv_s390::sim::Machine,
    /// The bits and the counter, at the place that `uvsim_z_closed_frames` has told.
    pub(crate) closed: Arc<uv_s390::sim::ClosedFrames>,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sim.fmt(f)
    }
}

/// Fields of a UVC instruction beside its operand. A NULL pointer in its place is all zeros: a correct UVC in supervisor
/// state.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct uvsim_z_instruction {
    /// Extra field, 0 in a correct one.
    pub i3: u8,
    /// Extra field, 0 in a correct one.
    pub i4: u8,
    /// Not 0: the CPU is in problem state.
    pub problem_state: u8,
    /// 0.
    pub reserved: u8,
}

impl uvsim_z_instruction {
    /// # Safety
    /// `from` is NULL or points to an instruction that may be read.
    unsafe fn read(from: *const Self) -> Uvc {
        if from.is_null() {
            return Uvc::default();
        }
        // SAFETY: not NULL, so the caller says that one is there.
        let fields = unsafe { from.read_unaligned() };
        Uvc { i3: fields.i3, i4: fields.i4, problem_state: fields.problem_state != 0 }
    }
}

/// The CPU goes on behind the instruction, with the condition code `cc`.
pub const UVSIM_Z_DONE: u32 = 0;
/// A program interruption on the CPU that issued the instruction: `program`, `teid`.
pub const UVSIM_Z_PROGRAM: u32 = 1;
/// A guest's call: a program interruption on the host's CPU, which serves it and lets the guest issue the call again.
pub const UVSIM_Z_HOST_PROGRAM: u32 = 2;
/// A guest's call: interception 108; the host unpins the page that the block names and lets the guest issue the call again.
pub const UVSIM_Z_INTERCEPT: u32 = 3;

/// What became of a UVC.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct uvsim_z_answer {
    /// UVSIM_Z_DONE, UVSIM_Z_PROGRAM, UVSIM_Z_HOST_PROGRAM or UVSIM_Z_INTERCEPT.
    pub kind: u32,
    /// Condition code: 0 done, 1 refused (rc and rrc are in the block), 2 busy, 3 partially done.
    pub cc: u32,
    /// Program interruption code.
    pub program: u32,
    /// Not 0: `teid` is valid.
    pub has_teid: u32,
    /// Translation-exception identification.
    pub teid: u64,
}

impl From<Cc> for uvsim_z_answer {
    fn from(cc: Cc) -> Self {
        Self { cc: u8::from(cc).into(), ..Self::default() }
    }
}

impl uvsim_z_answer {
    fn program(kind: u32, interruption: ProgramInterruption) -> Self {
        Self {
            kind,
            program: interruption.code.0.into(),
            has_teid: interruption.teid.is_some().into(),
            teid: interruption.teid.map_or(0, |teid| teid.0),
            ..Self::default()
        }
    }
}

impl From<Result<Cc, ProgramInterruption>> for uvsim_z_answer {
    fn from(answer: Result<Cc, ProgramInterruption>) -> Self {
        answer.map_or_else(|interruption| Self::program(UVSIM_Z_PROGRAM, interruption), Self::from)
    }
}

impl From<GuestAnswer> for uvsim_z_answer {
    fn from(answer: GuestAnswer) -> Self {
        match answer {
            GuestAnswer::Done(cc) => cc.into(),
            GuestAnswer::Exception(interruption) => Self::program(UVSIM_Z_PROGRAM, interruption),
            GuestAnswer::Host(interruption) => Self::program(UVSIM_Z_HOST_PROGRAM, interruption),
            GuestAnswer::Intercept => Self { kind: UVSIM_Z_INTERCEPT, ..Self::default() },
        }
    }
}

/// Makes a call for a caller who can be told its answer.
///
/// # Safety
/// `instruction` is NULL or can be read; `answer` is NULL or can be written.
unsafe fn answered(
    instruction: *const uvsim_z_instruction,
    answer: *mut uvsim_z_answer,
    call: impl FnOnce(Uvc) -> Result<uvsim_z_answer, Failure>,
) -> Done {
    // SAFETY: the caller's promise.
    let instruction = unsafe { uvsim_z_instruction::read(instruction) };
    // SAFETY: the caller's promise.
    unsafe { raw::put(answer, uvsim_z_answer::default(), "answer") }?;
    let done = call(instruction)?;
    // SAFETY: the caller's promise.
    unsafe { raw::put(answer, done, "answer") }
}
