//! A machine check in the prefix area of an ordinary CPU: cause, logout and register save areas.
//!
//! | offset | field |
//! |---|---|
//! | 0xa3 | architectural-mode identification, 1 |
//! | 0xe8 | MCIC |
//! | 0xf4, 0xf8 | external damage code, failing storage address |
//! | 0x1300 | fixed logout |
//! | others from 0x1200 on | registers, see `status` |
//!
//! The extended save area is not written, and the MCIC says so: bits 25 and 36, validity of vector registers and guarded
//! storage, are taken away.

use super::MachineCheckIrq;
use super::lowcore::Lowcore;
use crate::abi::sie::StateDescription;
use crate::hypervisor::kernel::status::put_registers;
use crate::hypervisor::kernel::{HostError, Registers};

/// MCIC bits 25 and 36.
const EXTENDED: u64 = 1 << (63 - 25) | 1 << (63 - 36);

impl Lowcore<'_> {
    pub(super) fn put_machine_check(
        &self,
        check: &MachineCheckIrq,
        registers: &Registers,
        state: &StateDescription,
    ) -> Result<(), HostError> {
        self.put(0xa3, &[1])?;
        self.put(0xe8, &(check.mcic & !EXTENDED).to_be_bytes())?;
        self.put(0xf4, &check.external_damage.to_be_bytes())?;
        self.put(0xf8, &check.failing_address.to_be_bytes())?;
        self.put(0x1300, &check.fixed_logout)?;
        put_registers(registers, state, |offset, bytes| self.put(offset, bytes))
    }
}
