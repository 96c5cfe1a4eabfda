//! PIN_PAGE_SHARED: the guest cannot take a shared page back. The host also uses it to find out whether a page is shared.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the address is that of a frame; where it is host virtual ([`FrameAddress`](crate::sim::FrameAddress)): it is mapped | rc 0x0032; rc 0x0030, 0x0031 |
//! | 2 | nobody else is changing frame or page | cc 2 |
//! | 3 | the frame is shared | rc 0x01f0 (UNSURE) |
//!
//! Pinning a pinned page is success (UNSURE).

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::ConvertFrom;
use crate::sim::answer::Answer;
use crate::sim::frames::Frame;
use crate::sim::machine::Machine;

pub(in crate::sim) fn pin(machine: &Machine, block: &mut ConvertFrom) -> Answer {
    let frame = machine.claim_named(block.paddr.get())?;
    match frame.old() {
        Frame::Pinned(..) => Ok(()),
        Frame::Shared(owner, gfn) => {
            let conf = machine.owner(owner).ok_or(UvRc::STATE)?;
            let _open = conf.open()?;
            frame.set(Frame::Pinned(owner, gfn));
            Ok(())
        }
        _ => Err(UvRc::STATE.into()),
    }
}
