//! A machine check in the prefix area of an ordinary CPU: cause, logout and register save areas.
//!
//! | offset | field |
//! |---|---|
//! | 0xa3 | architectural-mode identification, 1 |
//! | 0xe8 | MCIC |
//! | 0xf4, 0xf8 | external damage code, failing storage address |
//! | 0x1200, 0x1280 | floating-point and general registers |
//! | 0x1300 | fixed logout |
//! | 0x131c, 0x1324 | floating-point control, TOD programmable register |
//! | 0x1328, 0x1330 | CPU timer, clock comparator without its last byte |
//! | 0x1340, 0x1380 | access and control registers |
//!
//! The extended save area is not written, and the MCIC says so: bits 25 and 36, validity of vector registers and guarded
//! storage, are taken away.

use alloc::vec::Vec;

use zerocopy::IntoBytes;

use super::MachineCheckIrq;
use super::lowcore::Lowcore;
use crate::abi::sie::StateDescription;
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
        let floating: Vec<u8> = registers.vrs.iter().take(16).flat_map(|[left, _]| left.to_be_bytes()).collect();
        self.put(0x1200, &floating)?;
        let general: Vec<u8> = registers.grs.iter().flat_map(|gr| gr.to_be_bytes()).collect();
        self.put(0x1280, &general)?;
        self.put(0x1300, &check.fixed_logout)?;
        self.put(0x131c, &registers.fpc.to_be_bytes())?;
        self.put(0x1324, state.todpr.as_bytes())?;
        self.put(0x1328, state.cpu_timer.as_bytes())?;
        self.put(0x1330, &(state.clock_comparator.get() >> 8).to_be_bytes())?;
        let access: Vec<u8> = registers.ars.iter().flat_map(|ar| ar.to_be_bytes()).collect();
        self.put(0x1340, &access)?;
        self.put(0x1380, state.crs.as_bytes())
    }
}
