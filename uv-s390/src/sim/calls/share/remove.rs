//! REMOVE_SHARED_ACCESS: the guest takes a shared page back.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the address is in guest storage and page aligned | rc 0x0101 |
//! | 2 | the page is secure or shared | the *host* takes non-secure storage access (0x3e) first (UNSURE); the guest issues the call again |
//! | 3 | nobody else is changing the page | cc 2 |
//! | 4 | the page is not pinned | interception 108; the guest issues the call again |
//!
//! The content stays. Taking back a private page is success.

use crate::abi::uvcb::Share;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::frames::Frame;
use crate::sim::view::GuestView;

pub(in crate::sim) fn remove(guest: &GuestView<'_>, block: &mut Share) -> Answer {
    let (machine, conf) = (guest.machine, guest.conf);
    if let Some(done) = super::in_place(machine, conf, block, true) {
        return done;
    }
    let (gfn, frame) = super::page(machine, conf, block)?;
    if let Frame::Pinned(..) = frame.old() {
        return Err(Refusal::Intercept);
    }
    machine.unshare(conf, gfn, &frame)
}
