//! A CPU's registers in storage: the save areas behind the first page of its prefix area.
//!
//! | offset | field |
//! |---|---|
//! | 0xa3 | architectural-mode identification, 1 |
//! | 0x1200, 0x1280 | floating-point and general registers |
//! | 0x1300, 0x1318 | PSW, prefix (store status only) |
//! | 0x131c, 0x1324 | floating-point control, TOD programmable register |
//! | 0x1328, 0x1330 | CPU timer, clock comparator without its last byte |
//! | 0x1340, 0x1380 | access and control registers |

use alloc::vec::Vec;

use uv_core::GuestAddr;
use zerocopy::IntoBytes;

use super::cpu::Cpu;
use super::{HostError, Registers, Vm};
use crate::abi::sie::StateDescription;

/// Offset of the first save area.
const SAVE_AREAS: u64 = 0x1200;
/// Offset of the architectural-mode identification.
const ARCHITECTURE: u64 = 0xa3;

/// Where a status is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusPlace {
    /// At absolute 0, with the architectural mode.
    Absolute,
    /// In the prefix area of the CPU, with the architectural mode.
    Prefixed,
    /// The save areas alone, 512 bytes at this guest absolute address.
    At(u64),
}

/// Stores what store status and a machine check have in common. `put` stores at an offset of the prefix area.
pub(super) fn put_registers(
    registers: &Registers,
    state: &StateDescription,
    put: impl Fn(u64, &[u8]) -> Result<(), HostError>,
) -> Result<(), HostError> {
    let floating: Vec<u8> = registers.vrs.iter().take(16).flat_map(|[left, _]| left.to_be_bytes()).collect();
    put(0x1200, &floating)?;
    let general: Vec<u8> = registers.grs.iter().flat_map(|gr| gr.to_be_bytes()).collect();
    put(0x1280, &general)?;
    put(0x131c, &registers.fpc.to_be_bytes())?;
    put(0x1324, state.todpr.as_bytes())?;
    put(0x1328, state.cpu_timer.as_bytes())?;
    put(0x1330, &(state.clock_comparator.get() >> 8).to_be_bytes())?;
    let access: Vec<u8> = registers.ars.iter().flat_map(|ar| ar.to_be_bytes()).collect();
    put(0x1340, &access)?;
    put(0x1380, state.crs.as_bytes())
}

impl Vm {
    /// Stores the status of a CPU that does not run. Of a protected CPU it is what the kernel sees, and its place has to be a
    /// page that the host may have.
    ///
    /// # Errors
    /// [`HostError::Cpu`]; [`HostError::Access`] without storage there.
    pub fn store_status(&self, number: u16, place: StatusPlace) -> Result<(), HostError> {
        self.store_cpu_status(&*self.cpu(number)?, place)
    }

    pub(super) fn store_cpu_status(&self, cpu: &Cpu, place: StatusPlace) -> Result<(), HostError> {
        let state = self.host.hardware.read_state(cpu.block.origin())?;
        let registers = *cpu.registers.lock();
        let base = match place {
            StatusPlace::Absolute => 0,
            StatusPlace::Prefixed => state.prefix_address(),
            StatusPlace::At(address) => address.wrapping_sub(SAVE_AREAS),
        };
        let put = |offset: u64, bytes: &[u8]| self.host_write(GuestAddr(base.wrapping_add(offset)), bytes);
        if !matches!(place, StatusPlace::At(_)) {
            put(ARCHITECTURE, &[1])?;
        }
        put_registers(&registers, &state, put)?;
        put(0x1300, state.psw.as_bytes())?;
        let prefix = u32::try_from(state.prefix_address()).unwrap_or(0);
        put(0x1318, &prefix.to_be_bytes())
    }
}
