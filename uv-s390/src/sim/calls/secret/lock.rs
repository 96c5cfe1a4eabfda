//! LOCK_SECRETS: no more secrets are taken.
//!
//! | # | check | rc |
//! |---|---|---|
//! | 1 | the store is not locked | 0x0102 |
//!
//! rc 0x0101 (not allowed) is not given: when a real machine does is not known (UNSURE).

use crate::sim::answer::Answer;
use crate::sim::conf::Conf;
use crate::uvc::UvRc;

pub(in crate::sim) fn lock(conf: &Conf) -> Answer {
    let mut store = conf.secrets.lock();
    if store.locked {
        return Err(UvRc::SECRET_LOCKED.into());
    }
    store.locked = true;
    Ok(())
}
