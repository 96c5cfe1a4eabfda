//! INIT_UV: gives the Ultravisor its storage and switches it on.
//!
//! | # | check | rc |
//! |---|---|---|
//! | 1 | not initialized yet | 0x0101 |
//! | 2 | one host CPU runs | 0x0102 |
//! | 3 | the length is the one of the query | 0x0103 |
//! | 4 | the origin is 1 MiB aligned | 0x0104 |
//! | 5 | the storage is there, all of it | 0x0105 |
//! | 6 | the origin is at or above 2 GiB | 0x0108 |

use core::sync::atomic::Ordering;

use uv_core::HostAddr;

use crate::abi::{InitUv, Role};
use crate::sim::answer::Answer;
use crate::sim::frames::ConfId;
use crate::sim::machine::Machine;
use crate::uvc::UvRc;

const MIB: u64 = 1 << 20;
const TWO_GIB: u64 = 2 << 30;

pub(in crate::sim) fn init_uv(machine: &Machine, block: &mut InitUv) -> Answer {
    let (origin, len) = (block.stor_origin.get(), block.stor_len.get());
    let mut base = machine.base.lock();
    if base.is_some() {
        return Err(UvRc::INIT_ALREADY.into());
    }
    if machine.running_cpus.load(Ordering::Relaxed) > 1 {
        return Err(UvRc::INIT_CPUS.into());
    }
    if len != machine.generation.query(Role::Host).uv_base_stor_len.get() {
        return Err(UvRc::INIT_LENGTH.into());
    }
    if !origin.is_multiple_of(MIB) {
        return Err(UvRc::INIT_ORIGIN.into());
    }
    machine.storage.host_check(HostAddr(origin), len).map_err(|_| UvRc::INIT_STORAGE)?;
    if origin < TWO_GIB {
        return Err(UvRc::INIT_BELOW_2G.into());
    }
    *base = Some(machine.storage.donate(origin, len, ConfId::ULTRAVISOR).map_err(|_| UvRc::INIT_STORAGE)?);
    Ok(())
}
