//! SET_UNSHARE_ALL: every shared page becomes private.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | rc 0x0020, rc 0x01f0 (UNSURE) |
//! | 2 | every CPU is stopped | rc 0x01f0 (UNSURE); cc 2 while one runs |
//!
//! Shared and pinned pages keep the content they have now. A shared page that the host exported has no content that the
//! guest could trust: it is destroyed, and is zero when it is next imported (UNSURE). While the call is at work on a page
//! that another call holds, it answers cc 3; issued again it goes on with what is left.

use alloc::vec::Vec;

use uv_core::{Gfn, PageState};

use crate::abi::NoData;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::Reset;
use crate::sim::machine::Machine;
use crate::uvc::UvRc;

pub(in crate::sim) fn unshare_all(machine: &Machine, block: &mut NoData) -> Answer {
    let conf = machine.conf(block.handle.get())?;
    let _open = conf.open_whole()?;
    if !conf.all_stopped()? {
        return Err(UvRc::STATE.into());
    }
    let opened = |state| matches!(state, PageState::Shared | PageState::Withdrawn);
    let pages: Vec<Gfn> = conf.space.used().filter(|(_, state)| opened(*state)).map(|(gfn, _)| gfn).collect();
    for gfn in pages {
        let claim = match conf.space.shared_at(gfn) {
            Some(at) => machine.storage.frames.claim(at).map_err(|_| Refusal::Partial)?,
            None => continue,
        };
        if conf.space.state(gfn)? == PageState::Withdrawn {
            conf.space.destroy(gfn)?;
        } else if claim.old().page() == Some((conf.id, gfn)) {
            machine.unshare(&conf, gfn, &claim)?;
        }
    }
    let mut life = conf.life.lock();
    if matches!(life.reset, Reset::None | Reset::Asked) {
        life.reset = Reset::Unshared;
    }
    Ok(())
}
