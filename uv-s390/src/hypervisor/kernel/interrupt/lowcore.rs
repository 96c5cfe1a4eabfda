//! Delivery to an ordinary CPU: the kernel does what the machine does at an interruption. The cause and the old PSW go into the
//! prefix area, the new PSW becomes the CPU's.
//!
//! | class | old PSW | new PSW | cause |
//! |---|---|---|---|
//! | restart | 0x120 | 0x1a0 | |
//! | external | 0x130 | 0x1b0 | parameter 0x80, CPU address 0x84, code 0x86, 64-bit parameter 0x11b8 |
//! | program | 0x150 | 0x1d0 | `program` |
//! | machine check | 0x160 | 0x1e0 | `machine_check` |
//! | I/O | 0x170 | 0x1f0 | subchannel identification 0xb8, number 0xba, parameter 0xbc, word 0xc0 |

use uv_core::GuestAddr;
use zerocopy::{FromZeros, IntoBytes};

use super::priority::{Kind, View};
use super::protected::Taken;
use crate::abi::psw::Psw;
use crate::abi::sie::StateDescription;
use crate::hypervisor::kernel::cpu::Cpu;
use crate::hypervisor::kernel::{HostError, Vm};

/// Old PSWs in the prefix area; the new one of each class lies 0x80 bytes behind.
mod old_psw {
    pub(super) const RESTART: u64 = 0x120;
    pub(super) const EXTERNAL: u64 = 0x130;
    pub(super) const PROGRAM: u64 = 0x150;
    pub(super) const MACHINE_CHECK: u64 = 0x160;
    pub(super) const IO: u64 = 0x170;
}

/// From an old PSW to the new one.
const NEW: u64 = 0x80;
/// Offset of the program-new PSW in the prefix area.
pub(in crate::hypervisor::kernel) const PROGRAM_NEW_PSW: u64 = old_psw::PROGRAM + NEW;
/// What is in the place of a CPU address: a virtio device, a resolved page fault.
const VIRTIO: u16 = 0x0d00;
const PFAULT_DONE: u16 = 0x0680;

/// The prefix area of an ordinary CPU.
pub(super) struct Lowcore<'a> {
    /// Its storage is reached as the kernel reaches it: what is secure there still is converted.
    pub(super) guest: &'a Vm,
    prefix: u64,
}

impl Lowcore<'_> {
    /// Stores a value at an offset.
    pub(super) fn put(&self, offset: u64, value: &[u8]) -> Result<(), HostError> {
        self.guest.host_write(GuestAddr(self.prefix + offset), value)
    }

    fn external(
        &self,
        code: u16,
        cpu: u16,
        parameter: Option<u32>,
        parameter64: Option<u64>,
    ) -> Result<u64, HostError> {
        self.put(0x86, &code.to_be_bytes())?;
        self.put(0x84, &cpu.to_be_bytes())?;
        if let Some(parameter) = parameter {
            self.put(0x80, &parameter.to_be_bytes())?;
        }
        if let Some(parameter) = parameter64 {
            self.put(0x11b8, &parameter.to_be_bytes())?;
        }
        Ok(old_psw::EXTERNAL)
    }
}

impl Vm {
    /// Delivers one interruption. It is gone when its prefix area cannot be reached, as with KVM.
    pub(super) fn deliver_ordinary(
        &self,
        cpu: &Cpu,
        mut view: View<'_>,
        kind: Kind,
        state: &StateDescription,
    ) -> Result<(), HostError> {
        let lowcore = Lowcore { guest: self, prefix: state.prefix_address() };
        let mut psw = state.psw;
        let old = match (kind, view.take(kind)) {
            (_, Some(Taken::MachineCheck(check))) => {
                lowcore.put_machine_check(&check, &cpu.registers.lock(), state)?;
                old_psw::MACHINE_CHECK
            }
            (_, Some(Taken::External((code, source, parameter)))) => {
                let parameter = matches!(kind, Kind::Service | Kind::ServiceEvent).then_some(parameter);
                lowcore.external(code, source, parameter, None)?
            }
            (_, Some(Taken::Io(io))) => {
                lowcore.put(0xb8, &io.subchannel_id.to_be_bytes())?;
                lowcore.put(0xba, &io.subchannel_nr.to_be_bytes())?;
                lowcore.put(0xbc, &io.parameter.to_be_bytes())?;
                lowcore.put(0xc0, &io.word.to_be_bytes())?;
                old_psw::IO
            }
            (Kind::Program, None) => {
                let program = view.local.program.take().unwrap_or_default();
                lowcore.put_program(&program, &mut psw, state)?;
                old_psw::PROGRAM
            }
            (Kind::PfaultDone, None) => {
                let token = view.floating.pfault.pop_front().unwrap_or_default();
                lowcore.external(0x2603, PFAULT_DONE, None, Some(token))?
            }
            (Kind::Virtio, None) => {
                let (parameter, parameter64) = view.floating.virtio.pop_front().unwrap_or_default();
                lowcore.external(0x2603, VIRTIO, Some(parameter), Some(parameter64))?
            }
            (_, None) => {
                view.local.restart = false;
                old_psw::RESTART
            }
        };
        lowcore.put(old, psw.as_bytes())?;
        let mut new = Psw::new_zeroed();
        lowcore.guest.host_read(GuestAddr(lowcore.prefix + old + NEW), new.as_mut_bytes())?;
        self.store(cpu, core::mem::offset_of!(StateDescription, psw), new.as_bytes())
    }
}
