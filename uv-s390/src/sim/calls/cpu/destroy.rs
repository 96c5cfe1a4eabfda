//! DESTROY_SEC_CPU: ends a CPU.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a CPU's | rc 0x0021 |
//! | 2 | the CPU is not running | cc 2 |
//!
//! Afterwards its registers are wiped, its storage is zero and the host's, its number is free.

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::NoData;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::cpu::Core;
use crate::sim::machine::Machine;

pub(in crate::sim) fn destroy(machine: &Machine, block: &mut NoData) -> Answer {
    let cpu = machine.cpu(block.handle.get())?;
    let mut core = cpu.core.try_lock().ok_or(Refusal::Busy)?;
    if core.destroyed {
        return Err(UvRc::INVALID_CPU_HANDLE.into());
    }
    *core = Core::new();
    core.destroyed = true;
    machine.cpus.write().remove(&cpu.handle);
    if let Some(conf) = machine.owner(cpu.conf) {
        conf.cpus.write().remove(&cpu.number);
    }
    machine.storage.give_back(&cpu.storage);
    tracing::debug!(handle = cpu.handle, "secure CPU destroyed");
    Ok(())
}
