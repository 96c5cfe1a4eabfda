//! SIGP: signals between the CPUs of a guest (s390-ultravisor §6.2, §6.3).
//!
//! | order | guest sees | exit |
//! |---|---|---|
//! | 0x09 stop and store status | cc 1 with status 0x02 | none |
//! | 0x02 external call, no such CPU | cc 3 | none (UNSURE: a hypervisor that takes this exit looks the target up, and KVM stops when there is none) |
//! | any other, no such CPU | cc 3 | 108 |
//! | 0x01 sense | cc 1 with status 0x40 stopped, 0x80 external call pending; else cc 0 | 108 |
//! | 0x02 external call, one is pending at the target | cc 1 with status 0x80 | none (UNSURE) |
//! | 0x02 external call, the target has its CPU flag "wait" on | cc 0, call pending at the target | 0x38 (UNSURE) |
//! | 0x02 external call, else | cc 0, call pending at the target | 108 |
//! | others | cc 0 | 108 |
//!
//! # Who delivers an external call
//! The machine does: at the target's next entry, or as soon as the guest opens the external mask of its PSW (bit 7) and the
//! subclass mask in control register 0 (bit 50). The host has only to run the target, after either interception, and
//! injects nothing; if it injects external interruption 0x1202 all the same, the guest sees the call twice, as on a machine.
//! All other signals are the host's to deliver. CPU resets clear a pending call.
//!
//! UNSURE: a change of KVM ("s390/kvm: pv: don't present the ecall interrupt twice", 2022) says that the machine delivers, and
//! that a protected source gets 108 for a target that waits, where an ordinary one gets 0x38. A host has to serve both, so both are
//! shown here.

use alloc::sync::Arc;

use uv_core::{HostAddr, NormalMemory};

use super::intercept::Issue;
use super::subclass;
use crate::abi::psw::PSW_EXTERNAL;
use crate::abi::sie::{ExecutionControl, InterceptionCode, StateDescription};
use crate::sim::conf::Conf;
use crate::sim::cpu::{Core, Cpu};
use crate::sim::guest::{GuestInsn, InsnResult, Interruption};
use crate::sim::machine::Machine;
use crate::sim::memory::HostView;

/// Orders that are more than a notification.
mod order {
    pub(super) const SENSE: u8 = 0x01;
    pub(super) const EXTERNAL_CALL: u8 = 0x02;
    /// Not for protected guests.
    pub(super) const STOP_AND_STORE_STATUS: u8 = 0x09;
}

/// Bits of the status.
mod status {
    pub(super) const EXTERNAL_CALL_PENDING: u64 = 0x80;
    pub(super) const STOPPED: u64 = 0x40;
    pub(super) const INVALID_ORDER: u64 = 0x02;
}

/// What the guest sees of a CPU that is not there.
const NOT_OPERATIONAL: InsnResult = InsnResult::Condition { cc: 3, value: 0 };
/// External interruption code of an external call.
const EXTERNAL_CALL: u16 = 0x1202;

impl Machine {
    /// Lets the guest issue SIGP.
    pub(super) fn signal(
        &self,
        sd: &StateDescription,
        conf: &Conf,
        cpu: &Cpu,
        core: &mut Core,
        insn: GuestInsn,
    ) -> Issue {
        let stored = |status| Issue::Done(InsnResult::Condition { cc: 1, value: status });
        let code = match insn {
            GuestInsn::Sigp { order: order::STOP_AND_STORE_STATUS, .. } => return stored(status::INVALID_ORDER),
            GuestInsn::Sigp { order: order::EXTERNAL_CALL, cpu: target, .. } => {
                let target = conf.cpus.read().get(&target).cloned();
                match target {
                    Some(target) if !call(cpu, &target) => return stored(status::EXTERNAL_CALL_PENDING),
                    Some(target) if self.waits(&target) => InterceptionCode::PARTIAL_EXECUTION,
                    Some(_) => InterceptionCode::PV_NOTIFICATION,
                    None => return Issue::Done(NOT_OPERATIONAL),
                }
            }
            _ => InterceptionCode::PV_NOTIFICATION,
        };
        self.leave(sd, core, insn, code, &[])
    }

    /// Whether the host says that a CPU waits.
    fn waits(&self, cpu: &Cpu) -> bool {
        let mut flags = [0; 4];
        let read = HostView(Arc::clone(&self.storage)).read(HostAddr(cpu.state_origin.0), &mut flags);
        read.is_ok() && ExecutionControl::from_bits_retain(u32::from_be_bytes(flags)).contains(ExecutionControl::WAIT)
    }

    /// SIGP as the guest sees it when it goes on: condition code and status.
    pub(super) fn signalled(conf: &Conf, order: u8, target: u16) -> InsnResult {
        let Some(target) = conf.cpus.read().get(&target).cloned() else {
            return NOT_OPERATIONAL;
        };
        let mut status = 0;
        if order == order::SENSE {
            // A CPU that runs right now cannot be stopped.
            if target.core.try_lock().is_some_and(|core| core.is_stopped()) {
                status |= status::STOPPED;
            }
            if target.external_call.lock().is_some() {
                status |= status::EXTERNAL_CALL_PENDING;
            }
        }
        InsnResult::Condition { cc: u8::from(status != 0), value: status }
    }
}

/// Makes an external call pending at its target; `false` when one is pending already.
fn call(source: &Cpu, target: &Cpu) -> bool {
    let mut pending = target.external_call.lock();
    let first = pending.is_none();
    pending.get_or_insert(source.number);
    first
}

/// Delivers a pending external call to a CPU that is enabled for it.
pub(super) fn deliver(cpu: &Cpu, core: &mut Core) {
    let registers = &core.registers;
    if registers.psw.mask.get() & PSW_EXTERNAL == 0 || !subclass::is_open_for(&registers.cr, EXTERNAL_CALL) {
        return;
    }
    if let Some(source) = cpu.external_call.lock().take() {
        core.delivered.push_back(Interruption::External { code: EXTERNAL_CALL, cpu: source, parameter: 0 });
    }
}
