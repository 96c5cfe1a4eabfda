//! SET_SHARED_ACCESS: the guest opens a page to the host.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the address is in guest storage and page aligned | rc 0x0101 |
//! | 2 | the page is secure | the *host* takes non-secure storage access (0x3e) first (UNSURE); the guest issues the call again |
//! | 3 | nobody else is changing the page | cc 2 |
//!
//! The content goes along. Sharing a shared page is success.

use crate::abi::uvcb::Share;
use crate::sim::answer::Answer;
use crate::sim::view::GuestView;

pub(in crate::sim) fn set(guest: &GuestView<'_>, block: &mut Share) -> Answer {
    let (machine, conf) = (guest.machine, guest.conf);
    if let Some(done) = super::in_place(machine, conf, block, false) {
        return done;
    }
    let (gfn, frame) = super::page(machine, conf, block)?;
    machine.share(conf, gfn, &frame)
}
