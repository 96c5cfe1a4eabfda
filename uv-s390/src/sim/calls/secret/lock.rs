//! LOCK_SECRETS: no more secrets are taken.
//!
//! | # | check | rc |
//! |---|---|---|
//! | 1 | the operator allows changes of the store (UNSURE: who decides on a real machine is not known) | 0x0101 |
//! | 2 | the store is not locked | 0x0102 |

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::NoData;
use crate::sim::answer::Answer;
use crate::sim::view::GuestView;

pub(in crate::sim) fn lock(guest: &GuestView<'_>, _: &mut NoData) -> Answer {
    let mut store = guest.conf.secrets.lock();
    if store.closed {
        return Err(UvRc::SECRET_NOT_ALLOWED.into());
    }
    if store.locked {
        return Err(UvRc::SECRET_LOCKED.into());
    }
    store.locked = true;
    Ok(())
}
