//! SET_UNSHARE_ALL: every shared page becomes private.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | rc 0x0020, rc 0x01f0 (UNSURE) |
//! | 2 | a part was done before, and a CPU was started since | rc 0x0007 (UNSURE), once |
//! | 3 | every CPU is stopped | rc 0x01f0 (UNSURE); cc 2 while one runs |
//! | 4 | nobody imports a page of it, and no call of a dump is at work | cc 2 |
//! | 5 | all pages are done, and none is held by another call or by a guest access | cc 3 after [`UNSHARE_SLICE`] pages or at the page that is held |
//!
//! Shared and pinned pages keep the content they have now. A shared page that the host exported has no content that the
//! guest could trust: it is destroyed, and is zero when it is next imported (UNSURE). Issued again after cc 3, the call goes
//! on with what is left.

use core::sync::atomic::Ordering;

use uv_core::{Gfn, PageRange, PageState};

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::NoData;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::{Conf, Reset};
use crate::sim::machine::Machine;
use crate::sim::resume::UNSHARE_SLICE;

pub(in crate::sim) fn unshare_all(machine: &Machine, block: &mut NoData) -> Answer {
    let conf = machine.conf(block.handle.get())?;
    let _open = conf.open_whole()?;
    conf.resumable.in_parts(block, || unshare(machine, &conf))
}

fn unshare(machine: &Machine, conf: &Conf) -> Answer {
    if !conf.all_stopped()? {
        return Err(UvRc::STATE.into());
    }
    // Held to the end: an import through another frame must not bring a page back that was seen withdrawn.
    let _imports = conf.dump.try_write().ok_or(Refusal::Busy)?;
    // From where the last issue came to, then once from the begin: what is done is not looked at again.
    let from = Gfn(conf.unshared.load(Ordering::Relaxed));
    let parts = [PageRange::new(from, u64::MAX), PageRange::new(Gfn(0), from.0)];
    let opened = |state| matches!(state, PageState::Shared | PageState::Withdrawn);
    let all = parts.into_iter().flat_map(|part| conf.space.used_in(part));
    let mut pages = all.filter(|(_, state)| opened(*state)).map(|(gfn, _)| gfn);
    for gfn in pages.by_ref().take(UNSHARE_SLICE) {
        take_back(machine, conf, gfn)
            .map_err(|refusal| if refusal == Refusal::Busy { Refusal::Partial } else { refusal })?;
        conf.unshared.store(gfn.0 + 1, Ordering::Relaxed);
    }
    if pages.next().is_some() {
        return Err(Refusal::Partial);
    }
    let mut life = conf.life.lock();
    if matches!(life.reset, Reset::None | Reset::Asked) {
        life.reset = Reset::Unshared;
    }
    Ok(())
}

fn take_back(machine: &Machine, conf: &Conf, gfn: Gfn) -> Answer {
    let Some(at) = conf.space.shared_at(gfn) else { return Ok(()) };
    let claim = machine.storage.claim(at)?;
    if conf.space.state(gfn)? == PageState::Withdrawn {
        conf.space.destroy(gfn)?;
    } else if claim.old().page() == Some((conf.id, gfn)) {
        machine.unshare(conf, gfn, &claim)?;
    }
    Ok(())
}
