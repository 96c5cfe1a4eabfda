//! PREPARE_RESET: second step of a reset inside protection.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | rc 0x0020, rc 0x01f0 (UNSURE) |
//! | 2 | the image is verified | rc 0x01f0 (UNSURE) |
//! | 3 | every CPU is stopped | rc 0x01f0 (UNSURE); cc 2 while one runs |
//! | 4 | SET_UNSHARE_ALL was done before | rc 0x01f0 (UNSURE) |
//!
//! Afterwards every CPU needs its reset (which kind is a choice where the sources show one CPU only: UNSURE), and the next
//! operating-load takes the PSW at guest absolute 0. A host that does all this without the guest having asked for it
//! (no DIAG 308) is not refused (UNSURE), but every CPU needs a clear reset then. Whether service signals are masked stays as it
//! was, as KVM keeps its own note of it over such a reset (UNSURE).

use alloc::vec::Vec;

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::NoData;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::{Phase, Reset};
use crate::sim::cpu::LoadFrom;
use crate::sim::cpu::ResetKind;
use crate::sim::machine::Machine;

pub(in crate::sim) fn prepare_reset(machine: &Machine, block: &mut NoData) -> Answer {
    let conf = machine.conf(block.handle.get())?;
    let _open = conf.open_whole()?;
    // CPUs before the configuration's life: the order in which every call locks.
    let cpus = conf.cpus.read();
    let mut cores = Vec::with_capacity(cpus.len());
    for cpu in cpus.values() {
        cores.push((cpu.number, cpu.core.try_lock().ok_or(Refusal::Busy)?));
    }
    let mut life = conf.life.lock();
    let stopped = cores.iter().all(|(_, core)| core.is_stopped());
    if life.phase != Phase::Verified || !stopped || life.reset != Reset::Unshared {
        return Err(UvRc::STATE.into());
    }
    life.reset = Reset::Prepared;
    life.load_from = LoadFrom::Zero;
    life.loaded = false;
    for (number, core) in &mut cores {
        let due = match (life.clearing, life.initiator == Some(*number)) {
            (true, _) => ResetKind::Clear,
            _ if life.initiator.is_none() => ResetKind::Clear,
            (false, true) => ResetKind::Initial,
            (false, false) => ResetKind::Normal,
        };
        core.due = Some(due);
    }
    Ok(())
}
