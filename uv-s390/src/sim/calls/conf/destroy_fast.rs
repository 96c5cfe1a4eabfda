//! DESTROY_SEC_CONF_FAST: ends a configuration and leaves its frames to be destroyed one by one.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a configuration's | rc 0x0020 |
//! | 2 | no other call is at work on it | cc 2 |
//! | 3 | no AP queue is bound to it | rc 0x0104 |
//! | 4 | no CPU of it exists | rc 0x01f0 (UNSURE) |
//!
//! Afterwards as DESTROY_SEC_CONF, but the frames that were private or shared keep a dead owner: private ones raise
//! secure-storage access (0x3d) until DESTR_SEC_STOR or an export gives them back, zeroed.

use core::sync::atomic::Ordering;

use crate::abi::DestroyFast;
use crate::sim::answer::Answer;
use crate::sim::machine::Machine;
use crate::uvc::UvRc;

pub(in crate::sim) fn destroy_fast(machine: &Machine, block: &mut DestroyFast) -> Answer {
    let conf = machine.conf(block.guest_handle.get())?;
    let mut alive = conf.close()?;
    if conf.ap_queues.load(Ordering::Relaxed) > 0 {
        return Err(UvRc::DESTROY_FAST_AP.into());
    }
    if !conf.cpus.read().is_empty() {
        return Err(UvRc::STATE.into());
    }
    *alive = false;
    conf.space.close();
    machine.confs.write().remove(&conf.handle);
    machine.owners.write().remove(&conf.id);
    conf.forget();
    conf.storage.lock().drain(..).for_each(|donation| machine.storage.give_back(&donation));
    tracing::debug!(handle = conf.handle, "secure configuration destroyed, frames left");
    Ok(())
}
