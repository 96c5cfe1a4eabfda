//! SIGNAL PROCESSOR.
//!
//! | order | kernel |
//! |---|---|
//! | 0x01 sense | cc 1 with status 0x40 stopped, 0x80 external call pending; else cc 0 |
//! | 0x02 external call | pending at the target; cc 1 with status 0x80 when one is |
//! | 0x03 emergency signal, 0x13 conditional emergency signal | pending at the target |
//! | 0x15 sense running | cc 1 with status 0x400 unless somebody runs the target |
//! | 0x05 stop, 0x09 stop and store status | requested; cc 2 when a stop is |
//! | 0x0d set prefix | a request to a stopped target; cc 1 with status 0x100 without storage there, 0x200 unless it is stopped |
//! | 0x0e store status at address | stored for a stopped target; cc 1 with status 0x200, 0x100 likewise |
//! | 0x12 set architecture | cc 1 with status 0x100 |
//! | 0x04 start, 0x06 restart, resets, unknown orders | user space |
//!
//! In this order: with [`VmOptions::USER_SIGP`] all orders but the first four rows are user space's; set architecture needs no
//! target; no such CPU gives cc 3; a target with a stop or a restart pending is busy (cc 2), except for
//! resets.
//!
//! The conditional emergency signal is sent always: its conditions begin with a source that is stopped, and such a one sends
//! nothing.

use uv_core::{GuestAddr, PageSize};

use super::Service;
use super::context::Context;
use crate::abi::sie::StateDescription;
use crate::hypervisor::kernel::cpu::Cpu;
use crate::hypervisor::kernel::{HostError, Irq, S390Exit, S390Vcpu, StatusPlace, VmOptions};

/// Orders.
mod order {
    pub(super) const SENSE: u8 = 0x01;
    pub(super) const EXTERNAL_CALL: u8 = 0x02;
    pub(super) const EMERGENCY_SIGNAL: u8 = 0x03;
    pub(super) const STOP: u8 = 0x05;
    pub(super) const STOP_AND_STORE_STATUS: u8 = 0x09;
    pub(super) const INITIAL_CPU_RESET: u8 = 0x0b;
    pub(super) const CPU_RESET: u8 = 0x0c;
    pub(super) const SET_PREFIX: u8 = 0x0d;
    pub(super) const STORE_STATUS_AT_ADDRESS: u8 = 0x0e;
    pub(super) const SET_ARCHITECTURE: u8 = 0x12;
    pub(super) const CONDITIONAL_EMERGENCY: u8 = 0x13;
    pub(super) const SENSE_RUNNING: u8 = 0x15;
}

/// Bits of the status.
mod status {
    pub(super) const STOPPED: u64 = 0x40;
    pub(super) const EXTERNAL_CALL_PENDING: u64 = 0x80;
    pub(super) const INVALID_PARAMETER: u64 = 0x100;
    pub(super) const INCORRECT_STATE: u64 = 0x200;
    pub(super) const NOT_RUNNING: u64 = 0x400;
}

/// What the source is answered.
enum Reply {
    /// cc 0.
    Accepted,
    /// cc 1, with the status in the right half of GR r1.
    Status(u64),
    /// cc 2.
    Busy,
    /// cc 3.
    NotOperational,
    UserSpace,
}

/// Prefix and place of a status, as the orders cut their parameter.
const PREFIX: u64 = 0x7fff_e000;
const STATUS_AREA: u64 = 0x7fff_fe00;

impl S390Vcpu {
    pub(super) fn sigp(&self, insn: &Context<'_>) -> Result<Service, HostError> {
        let (r1, r3) = insn.registers_rs();
        let [.., order] = insn.second_operand().to_be_bytes();
        let kernel_only = matches!(
            order,
            order::SENSE
                | order::EXTERNAL_CALL
                | order::EMERGENCY_SIGNAL
                | order::CONDITIONAL_EMERGENCY
                | order::SENSE_RUNNING
        );
        if !kernel_only && self.vm().options().contains(VmOptions::USER_SIGP) {
            return Ok(Service::UserSpace);
        }
        let reply = if order == order::SET_ARCHITECTURE {
            Reply::Status(status::INVALID_PARAMETER)
        } else {
            // A CPU address is the low 16 bits of its register.
            let target = u16::try_from(insn.gr(r3) & 0xffff).unwrap_or(u16::MAX);
            self.signal(order, target, insn.gr(r1 | 1))?
        };
        match reply {
            Reply::Accepted => insn.condition(0),
            Reply::Status(status) => {
                insn.set_gr(r1, insn.gr(r1) & !0xffff_ffff | status)?;
                insn.condition(1)
            }
            Reply::Busy => insn.condition(2),
            Reply::NotOperational => insn.condition(3),
            Reply::UserSpace => Ok(Service::UserSpace),
        }
    }

    fn signal(&self, order: u8, target: u16, parameter: u64) -> Result<Reply, HostError> {
        let (guest, source) = (self.vm(), self.number());
        let Ok(cpu) = guest.cpu(target) else { return Ok(Reply::NotOperational) };
        if !matches!(order, order::INITIAL_CPU_RESET | order::CPU_RESET) && cpu.local.lock().is_changing() {
            return Ok(Reply::Busy);
        }
        let inject = |irq, pending| match guest.inject(Some(target), irq) {
            Ok(()) => Ok(Reply::Accepted),
            Err(HostError::InterruptionPending) => Ok(pending),
            Err(error) => Err(error),
        };
        match order {
            order::SENSE => Ok(sense(&cpu)),
            order::EXTERNAL_CALL => inject(Irq::ExternalCall { source }, Reply::Status(status::EXTERNAL_CALL_PENDING)),
            order::EMERGENCY_SIGNAL | order::CONDITIONAL_EMERGENCY => {
                inject(Irq::Emergency { source }, Reply::Accepted)
            }
            order::SENSE_RUNNING if cpu.mutex.is_locked() => Ok(Reply::Accepted),
            order::SENSE_RUNNING => Ok(Reply::Status(status::NOT_RUNNING)),
            order::STOP => inject(Irq::Stop, Reply::Busy),
            order::STOP_AND_STORE_STATUS => inject(Irq::StopAndStoreStatus, Reply::Busy),
            order::SET_PREFIX => {
                let address = parameter & PREFIX;
                if guest.gmap.frame(PageSize::K4.gfn(GuestAddr(address))).is_none() {
                    return Ok(Reply::Status(status::INVALID_PARAMETER));
                }
                let address = u32::try_from(address).unwrap_or(0);
                inject(Irq::SetPrefix { address }, Reply::Status(status::INCORRECT_STATE))
            }
            order::STORE_STATUS_AT_ADDRESS => {
                if !*cpu.stopped.lock() {
                    return Ok(Reply::Status(status::INCORRECT_STATE));
                }
                match guest.store_cpu_status(&cpu, StatusPlace::At(parameter & STATUS_AREA)) {
                    Ok(()) => Ok(Reply::Accepted),
                    Err(_) => Ok(Reply::Status(status::INVALID_PARAMETER)),
                }
            }
            _ => Ok(Reply::UserSpace),
        }
    }

    /// The exit for an external call that the machine has made pending (interception 0x38; 108 of a protected CPU): its
    /// target is to be woken if it waits. `None` for another instruction.
    ///
    /// # Errors
    /// [`HostError::Cpu`] for a target that does not exist. No machine shows that: all error cases of the order lead to an
    /// instruction interception or to none.
    pub(in crate::hypervisor::kernel) fn external_call(
        &self,
        state: &StateDescription,
    ) -> Result<Option<S390Exit>, HostError> {
        let insn = Context::new(self, state);
        let [.., order] = insn.second_operand().to_be_bytes();
        if state.ipa.get() >> 8 != 0xae || order != order::EXTERNAL_CALL {
            return Ok(None);
        }
        let (_, r3) = insn.registers_rs();
        let target = u16::try_from(insn.gr(r3) & 0xffff).unwrap_or(u16::MAX);
        self.vm().cpu(target)?;
        insn.condition(0)?;
        Ok(Some(S390Exit::ExternalCall { target }))
    }
}

fn sense(cpu: &Cpu) -> Reply {
    let mut status = 0;
    if *cpu.stopped.lock() {
        status |= status::STOPPED;
    }
    if cpu.local.lock().has_external_call() {
        status |= status::EXTERNAL_CALL_PENDING;
    }
    if status == 0 { Reply::Accepted } else { Reply::Status(status) }
}
