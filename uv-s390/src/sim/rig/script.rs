//! Steps of scripts, and what became of them.

use alloc::vec::Vec;

use uv_core::GuestAddr;
use uv_sim::guest::{Outcome, Step};

use crate::abi::uvc::Block;
use crate::sim::{GuestInsn, InsnResult};

/// Where a script of [`requesting`] has its request.
pub const REQUEST: u64 = 0x8000;
/// Where it has room for the answer.
pub const ANSWER: u64 = 0xc000;

/// A script that stores a request at [`REQUEST`] and issues one call; the pages from [`ANSWER`] on are for answers.
#[must_use]
pub fn requesting(request: &[u8], block: &impl Block) -> Vec<Step<GuestInsn>> {
    let pages = (0x8..0x10).map(|page| Step::store(GuestAddr(page << 12), &[0]));
    pages.chain([Step::store(GuestAddr(REQUEST), request), uvc(block)]).collect()
}

/// DIAGNOSE.
#[must_use]
pub const fn diag(code: u16, gr: [u64; 5]) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Diag { code, gr })
}

/// A UV call.
#[must_use]
pub fn uvc(block: &impl Block) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Uvc { block: block.as_bytes().to_vec() })
}

/// Condition code, rc and control block that a guest's call returned.
#[must_use]
pub fn returned(outcome: &Outcome<InsnResult>) -> (u8, u16, Vec<u8>) {
    match outcome {
        Outcome::Returned(InsnResult::Data { cc, bytes }) => {
            (*cc, u16::from_be_bytes([bytes[4], bytes[5]]), bytes.to_vec())
        }
        other => panic!("{other:?}"),
    }
}

/// The bytes that a guest loaded.
#[must_use]
pub fn loaded(outcome: &Outcome<InsnResult>) -> Vec<u8> {
    match outcome {
        Outcome::Loaded(bytes) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}
