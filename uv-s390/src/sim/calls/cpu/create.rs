//! CREATE_SEC_CPU: makes a CPU of a configuration.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | rc 0x0020, rc 0x01f0 (UNSURE) |
//! | 2 | the number is not above the highest | rc 0x0103 |
//! | 3 | the number is free | rc 0x0104 |
//! | 4 | CPU storage is there and free | rc 0x0105 |
//! | 5 | CPU storage is not in the lowcore | rc 0x0106 |
//! | 6 | the state description is accessible and aligned to 512 bytes | rc 0x0107 |
//!
//! A new CPU is stopped.

use alloc::sync::Arc;
use core::sync::atomic::AtomicBool;

use spin::Mutex;
use uv_core::HostAddr;

use crate::abi::{CreateCpu, Role};
use crate::sie::StateDescription;
use crate::sim::answer::Answer;
use crate::sim::cpu::{Core, Cpu};
use crate::sim::machine::Machine;
use crate::sim::memory::overlaps_lowcore;
use crate::sim::profile::MAX_CPU;
use crate::uvc::UvRc;

pub(in crate::sim) fn create(machine: &Machine, block: &mut CreateCpu) -> Answer {
    let conf = machine.conf(block.guest_handle.get())?;
    let _open = conf.open_whole()?;
    let number = block.num.get();
    if number > MAX_CPU {
        return Err(UvRc::CPU_NUMBER.into());
    }
    let mut cpus = conf.cpus.write();
    if cpus.contains_key(&number) {
        return Err(UvRc::CPU_DEFINED.into());
    }
    let (origin, len) = (block.stor_origin.get(), machine.generation.query(Role::Host).cpu_stor_len.get());
    if origin & 0xfff != 0 || machine.storage.host_check(HostAddr(origin), len).is_err() {
        return Err(UvRc::CPU_STORAGE.into());
    }
    if overlaps_lowcore(origin, len) {
        return Err(UvRc::CPU_STORAGE_LOWCORE.into());
    }
    let state_origin = HostAddr(block.state_origin.get());
    let reachable = machine.storage.host_check(state_origin, StateDescription::SIZE).is_ok();
    if !reachable || state_origin.0 & 0x1ff != 0 {
        return Err(UvRc::CPU_STATE_DESCRIPTION.into());
    }
    let storage = machine.storage.donate(origin, len, conf.id).map_err(|_| UvRc::CPU_STORAGE)?;
    let handle = machine.fresh_handle();
    let (running, core) = (AtomicBool::new(false), Mutex::new(Core::new()));
    let cpu = Arc::new(Cpu { handle, conf: Arc::downgrade(&conf), number, state_origin, storage, running, core });
    machine.cpus.write().insert(handle, Arc::clone(&cpu));
    cpus.insert(number, cpu);
    block.cpu_handle = handle.into();
    tracing::debug!(handle, number, "secure CPU created");
    Ok(())
}
