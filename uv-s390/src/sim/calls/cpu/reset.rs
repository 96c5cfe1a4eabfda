//! CPU_RESET, CPU_RESET_INITIAL, CPU_RESET_CLEAR: the three CPU resets.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a CPU's | rc 0x0021 |
//! | 2 | the CPU is not running | cc 2 |
//! | 3 | the CPU is stopped | rc 0x01f0 (UNSURE) |
//!
//! Normal: what the CPU was doing is forgotten, and so are interruptions that are pending. Initial: also PSW, prefix, timers, control registers. Clear: also general,
//! floating-point, access and vector registers. The CPU stays stopped. A reset that is due since PREPARE_RESET is done when
//! its kind is at least the one asked for (subcode 0: clear everywhere; subcode 1: initial on the CPU that asked, normal
//! elsewhere).

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::{NoData, UvCommand};
use crate::sim::answer::{Answer, Refusal};
use crate::sim::cpu::ResetKind;
use crate::sim::machine::Machine;

pub(in crate::sim) fn reset(machine: &Machine, block: &mut NoData) -> Answer {
    let kind = match block.header.command() {
        UvCommand::CPU_RESET_CLEAR => ResetKind::Clear,
        UvCommand::CPU_RESET_INITIAL => ResetKind::Initial,
        _ => ResetKind::Normal,
    };
    let cpu = machine.cpu(block.handle.get())?;
    let mut core = cpu.core.try_lock().ok_or(Refusal::Busy)?;
    if core.destroyed {
        return Err(UvRc::INVALID_CPU_HANDLE.into());
    }
    if !core.is_stopped() {
        return Err(UvRc::STATE.into());
    }
    core.reset(kind);
    *cpu.external_call.lock() = None;
    Ok(())
}
