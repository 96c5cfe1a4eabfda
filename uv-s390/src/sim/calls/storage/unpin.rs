//! UNPIN_PAGE_SHARED: the guest may take the page back again.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | rc 0x0020, rc 0x01f0 (UNSURE) |
//! | 2 | the address is in guest storage and page aligned | rc 0x01f4 (UNSURE) |
//! | 3 | the page is pinned | rc 0x01f0 (UNSURE) |
//! | 4 | nobody else is changing frame or page | cc 2 |

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::ConvertTo;
use crate::sim::answer::Answer;
use crate::sim::frames::Frame;
use crate::sim::machine::Machine;

pub(in crate::sim) fn unpin(machine: &Machine, block: &mut ConvertTo) -> Answer {
    let conf = machine.conf(block.guest_handle.get())?;
    let _open = conf.open_whole()?;
    let (_, gfn) = conf.seen_page(block.gaddr.get()).ok_or(UvRc::ADDRESS)?;
    let at = conf.space.shared_at(gfn).ok_or(UvRc::STATE)?;
    let frame = machine.storage.claim(at)?;
    if frame.old() != Frame::Pinned(conf.id, gfn) {
        return Err(UvRc::STATE.into());
    }
    frame.set(Frame::Shared(conf.id, gfn));
    Ok(())
}
