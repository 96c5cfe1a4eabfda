//! DUMP_INIT: begins a dump. The guest cannot be entered until it is complete.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | rc 0x0020, rc 0x01f0 (UNSURE) |
//! | 2 | the image is verified | rc 0x01f0 (UNSURE) |
//! | 3 | the owner allows it: PCF bit 34, and no add-secret request has forbidden it | rc 0x01f5 (UNSURE) |
//! | 4 | no dump has begun | rc 0x01f0 (UNSURE) |
//! | 5 | no CPU is running | cc 2 |

use alloc::vec::Vec;

use rand_core::Rng;

use crate::abi::se_header::PlaintextControlFlags;
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::NoData;
use crate::owner::crypto::Cck;
use crate::owner::dump::DumpKey;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::Phase;
use crate::sim::machine::Machine;
use crate::sim::session::Session;

pub(in crate::sim) fn init(machine: &Machine, block: &mut NoData) -> Answer {
    let conf = machine.conf(block.handle.get())?;
    let _open = conf.open_whole()?;
    let mut dump = conf.dump.write();
    if conf.life.lock().phase != Phase::Verified {
        return Err(UvRc::STATE.into());
    }
    let image = conf.image.read().clone().ok_or(UvRc::STATE)?;
    if !image.header.pcf().contains(PlaintextControlFlags::ALLOW_DUMP) || conf.secrets.lock().no_dump {
        return Err(UvRc::NOT_ALLOWED.into());
    }
    if dump.is_some() {
        return Err(UvRc::STATE.into());
    }
    // While their cores are held no CPU is in the guest and none gets in; the next entry sees the dump.
    let cpus = conf.cpus.read();
    let cores = cpus.values().map(|cpu| cpu.core.try_lock().ok_or(Refusal::Busy)).collect::<Result<Vec<_>, _>>()?;
    conf.life.lock().dumping = true;
    drop(cores);
    let mut seed = [0; 64];
    machine.rng.lock().fill_bytes(&mut seed);
    let replaced = conf.secrets.lock().cck.clone();
    let cck = replaced.unwrap_or_else(|| Cck::new(image.opened.confidential.cck));
    let key = DumpKey::derive(&cck, &seed);
    *dump = Some(Session { seed, cck, key });
    Ok(())
}
