//! CONV_TO_SEC_STOR: import, a guest page becomes secure.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | rc 0x0020, rc 0x01f0 (UNSURE) |
//! | 2 | the address is in guest storage and page aligned | rc 0x01f4 (UNSURE) |
//! | 3 | the page is mapped, writable | rc 0x010a |
//! | 4 | … by a 4 KiB entry (1 MiB with feature bit 6) | rc 0x01f4 (UNSURE) |
//! | 5 | the frame exists | rc 0x0032 |
//! | 6 | nobody else is changing frame or page | cc 2 |
//! | 7 | the page is not secure in this frame already | rc 0x0104 |
//! | 8 | the frame belongs to nobody else (a shared frame of another configuration is taken over with feature bit 0), the page is in no other frame | rc 0x01f3 (UNSURE) |
//! | 9 | exported before: the content is the newest that was exported for this page of this guest | rc 0x01f1 (UNSURE) |
//! | 10 | the machine can hold one more secure page | rc 0x01f2 (this machine's own) |
//!
//! A page that never was secure is zero afterwards. A page that was shared when it was exported is shared again, with the
//! content that the frame has.

use crate::abi::ConvertTo;
use crate::sim::answer::Answer;
use crate::sim::machine::Machine;
use crate::uvc::UvRc;

pub(in crate::sim) fn import(machine: &Machine, block: &mut ConvertTo) -> Answer {
    let conf = machine.conf(block.guest_handle.get())?;
    let _open = conf.open_whole()?;
    let addr = conf.absolute(block.gaddr.get()).filter(|addr| addr.0 & 0xfff == 0).ok_or(UvRc::ADDRESS)?;
    let gfn = conf.gfn(addr).ok_or(UvRc::ADDRESS)?;
    let frame = machine.import_frame(&conf, addr)?;
    let frame = machine.storage.frames.claim(frame)?;
    machine.import(&conf, gfn, &frame)
}
