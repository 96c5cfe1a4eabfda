//! What is pending for one CPU, and what kind of entry its next one is.

use super::{MachineCheckIrq, ProgramIrq};
use crate::abi::sie::InterceptionCode;
use crate::hypervisor::kernel::HostError;
use alloc::collections::BTreeSet;

/// MCIC bits 0 and 1: exigent conditions.
const EXIGENT: u64 = 3 << 62;
/// MCIC bits 5, 7 and 8: repressible conditions that are not floating.
const REPRESSIBLE: u64 = 1 << 58 | 1 << 56 | 1 << 55;
/// Program interruption code of PER.
const PER: u16 = 0x80;

/// Pending interruptions of a CPU.
#[derive(Debug, Default)]
pub(in crate::hypervisor::kernel) struct Local {
    pub(super) restart: bool,
    pub(in crate::hypervisor::kernel) stop: bool,
    /// The stop that is requested stores the status.
    pub(in crate::hypervisor::kernel) stores_status: bool,
    /// A new prefix.
    pub(super) prefix: Option<u32>,
    /// Senders of emergency signals.
    pub(super) emergency: BTreeSet<u16>,
    /// Sender of an external call.
    pub(super) external_call: Option<u16>,
    pub(super) clock_comparator: bool,
    pub(super) cpu_timer: bool,
    pub(super) program: Option<ProgramIrq>,
    pub(super) exigent: bool,
    pub(super) repressible: bool,
    /// All machine checks since the last one was delivered, together.
    pub(super) machine_check: MachineCheckIrq,
    /// A floating machine check wants the CPU to leave the guest: the stop request is none.
    pub(super) kicked: bool,
    pub(super) entry: Entry,
}

/// What is known of the next entry of a protected CPU.
///
/// | last exit | program interruption | restart | external, I/O, machine check |
/// |---|---|---|---|
/// | 104 | may answer the instruction | no | no |
/// | 112 | no | not while an instruction is incomplete | no |
/// | none since the CPU was started | as before | as before | no |
/// | any other | no | yes | yes |
///
/// A program interruption of the host instead of an exit leaves it at that, except that the instruction was answered. UNSURE:
/// that a restart has to wait for an instruction; KVM asks for it at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    /// The entry is the first one after a 104.
    pub(super) answers: bool,
    /// The instruction of a 104 is perhaps not completed yet.
    pub(super) incomplete: bool,
    /// The copies of PSW and control registers are not to be relied on.
    pub(super) fenced: bool,
}

impl Entry {
    /// After an exit with this code, or without one.
    pub(super) fn left(&mut self, code: Option<InterceptionCode>) {
        match code {
            Some(InterceptionCode::PV_INSTRUCTION) => *self = Self { answers: true, incomplete: true, fenced: true },
            Some(InterceptionCode::PV_PREFIX) => (self.answers, self.fenced) = (false, true),
            None | Some(InterceptionCode::VALIDITY) => self.answers = false,
            Some(_) => *self = Self::default(),
        }
    }
}

impl Local {
    /// A CPU reset clears what is pending, and ends the instruction at work.
    pub(in crate::hypervisor::kernel) fn reset(&mut self) {
        let fenced = self.entry.fenced;
        *self = Self { entry: Entry { fenced, ..Entry::default() }, ..Self::default() };
    }

    /// The CPU was started: the Ultravisor may have loaded a PSW that the kernel has not seen.
    pub(in crate::hypervisor::kernel) fn started(&mut self) {
        self.entry.fenced = true;
    }

    /// The CPU is an ordinary one again.
    pub(in crate::hypervisor::kernel) fn unprotected(&mut self) {
        self.entry = Entry::default();
    }

    /// External calls do not queue.
    pub(super) fn add_external_call(&mut self, source: u16) -> Result<(), HostError> {
        if self.external_call.is_some() {
            return Err(HostError::InterruptionPending);
        }
        self.external_call = Some(source);
        Ok(())
    }

    /// Stop requests do not queue.
    pub(super) fn add_stop(&mut self, stores_status: bool) -> Result<(), HostError> {
        if core::mem::replace(&mut self.stop, true) {
            return Err(HostError::InterruptionPending);
        }
        self.stores_status = stores_status;
        Ok(())
    }

    /// Whether a stop or a restart is pending: other signals have to wait.
    pub(in crate::hypervisor::kernel) fn is_changing(&self) -> bool {
        self.stop || self.restart
    }

    /// Whether an external call is pending.
    pub(in crate::hypervisor::kernel) fn has_external_call(&self) -> bool {
        self.external_call.is_some()
    }

    /// Machine checks are reported together. One without a condition of its own waits for one that has.
    pub(super) fn add_machine_check(&mut self, new: &MachineCheckIrq) {
        let all = &mut self.machine_check;
        all.cr14 |= new.cr14;
        all.mcic |= new.mcic;
        all.external_damage |= new.external_damage;
        (all.failing_address, all.fixed_logout) = (new.failing_address, new.fixed_logout);
        if all.mcic & EXIGENT != 0 {
            self.exigent = true;
        } else if all.mcic & REPRESSIBLE != 0 {
            self.repressible = true;
        }
    }

    /// A PER event and another exception are reported together.
    pub(super) fn add_program(&mut self, new: ProgramIrq) {
        let old = self.program.unwrap_or_default();
        self.program = Some(if new.code == PER {
            ProgramIrq {
                code: old.code | PER,
                length: new.length,
                no_rewind: new.no_rewind,
                per_code: new.per_code,
                per_atmid: new.per_atmid,
                per_address: new.per_address,
                per_access: new.per_access,
                ..old
            }
        } else if new.code & PER == 0 {
            ProgramIrq {
                code: old.code & PER | new.code,
                per_code: old.per_code,
                per_atmid: old.per_atmid,
                per_address: old.per_address,
                per_access: old.per_access,
                ..new
            }
        } else {
            new
        });
    }
}
