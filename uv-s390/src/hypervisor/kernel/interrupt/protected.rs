//! Delivery to a protected CPU: what is to be injected goes into the state description, one with each entry.
//!
//! | interruption | IICTL | fields |
//! |---|---|---|
//! | machine check | 0x01 | MCIC 0xc0, external damage code 0xcc, failing address 0xd0 |
//! | external | 0x02 | parameter 0xc0, CPU address 0xc4, code 0xc6 |
//! | I/O | 0x03 | 0xe8 to 0xf3 |
//! | restart | 0x04 | none |
//! | program 0x06, 0x15 | 0x10, 0x11 | none |

use core::mem::offset_of;

use super::priority::{Kind, View};
use super::{IoIrq, MachineCheckIrq};
use crate::abi::sie::{InjectionControl, StateDescription};
use crate::abi::uvc::PgmCode;
use crate::hypervisor::kernel::cpu::Cpu;
use crate::hypervisor::kernel::{HostError, Vm};

/// Program interruption code of PER, which is the Ultravisor's matter.
const PER: u16 = 0x80;

/// External interruption: code, CPU address, parameter.
pub(super) type External = (u16, u16, u32);

/// An interruption that was taken from what is pending.
pub(super) enum Taken {
    MachineCheck(MachineCheckIrq),
    External(External),
    Io(IoIrq),
}

impl View<'_> {
    /// Takes the machine check. Everything that is pending is reported together.
    pub(super) fn take_machine_check(&mut self) -> MachineCheckIrq {
        let mut check = MachineCheckIrq::default();
        if self.local.exigent || self.local.repressible {
            check = core::mem::take(&mut self.local.machine_check);
            (self.local.exigent, self.local.repressible) = (false, false);
        }
        if core::mem::take(&mut self.floating.repressible) {
            let floating = core::mem::take(&mut self.floating.machine_check);
            check.mcic |= floating.mcic;
        }
        check
    }

    /// Takes what a CPU of either kind takes; `None` for other kinds.
    pub(super) fn take(&mut self, kind: Kind) -> Option<Taken> {
        Some(match kind {
            Kind::Exigent | Kind::Repressible => Taken::MachineCheck(self.take_machine_check()),
            Kind::Emergency => Taken::External((0x1201, self.local.emergency.pop_first()?, 0)),
            Kind::ExternalCall => Taken::External((0x1202, self.local.external_call.take()?, 0)),
            Kind::ClockComparator => {
                self.local.clock_comparator = false;
                Taken::External((0x1004, 0, 0))
            }
            Kind::CpuTimer => {
                self.local.cpu_timer = false;
                Taken::External((0x1005, 0, 0))
            }
            Kind::ServiceEvent => Taken::External((0x2401, 0, self.floating.take_service_event())),
            Kind::Service => Taken::External((0x2401, 0, self.floating.take_service(self.protected))),
            Kind::Io(subclass) => Taken::Io(self.floating.io.get_mut(subclass)?.pop_front()?),
            Kind::Program | Kind::PfaultDone | Kind::Virtio | Kind::Restart | Kind::SetPrefix => return None,
        })
    }
}

impl Vm {
    /// Asks for the injection.
    pub(super) fn deliver_protected(&self, cpu: &Cpu, mut view: View<'_>, kind: Kind) -> Result<(), HostError> {
        let control = match (kind, view.take(kind)) {
            (_, Some(Taken::MachineCheck(check))) => {
                self.store(cpu, offset_of!(StateDescription, ext_params), &check.mcic.to_be_bytes())?;
                let damage = check.external_damage.to_be_bytes();
                self.store(cpu, offset_of!(StateDescription, external_damage), &damage)?;
                let address = check.failing_address.to_be_bytes();
                self.store(cpu, offset_of!(StateDescription, failing_address), &address)?;
                InjectionControl::MACHINE_CHECK
            }
            (_, Some(Taken::External((code, source, parameter)))) => {
                self.store(cpu, offset_of!(StateDescription, ext_params), &parameter.to_be_bytes())?;
                self.store(cpu, offset_of!(StateDescription, ext_cpu_addr), &source.to_be_bytes())?;
                self.store(cpu, offset_of!(StateDescription, ext_code), &code.to_be_bytes())?;
                InjectionControl::EXTERNAL
            }
            (_, Some(Taken::Io(io))) => {
                self.store(cpu, offset_of!(StateDescription, subchannel_id), &io.subchannel_id.to_be_bytes())?;
                self.store(cpu, offset_of!(StateDescription, subchannel_nr), &io.subchannel_nr.to_be_bytes())?;
                self.store(cpu, offset_of!(StateDescription, io_int_parm), &io.parameter.to_be_bytes())?;
                self.store(cpu, offset_of!(StateDescription, io_int_word), &io.word.to_be_bytes())?;
                InjectionControl::IO
            }
            (Kind::Program, None) => program(&mut view)?,
            (_, None) => {
                view.local.restart = false;
                InjectionControl::RESTART
            }
        };
        self.store(cpu, offset_of!(StateDescription, iictl), &[control.0])
    }
}

/// A program interruption is gone whether it can be injected or not. It can be the answer to an instruction, and nothing else
/// (UNSURE: KVM does not look whether there is one, and leaves it to the machine to refuse the entry).
fn program(view: &mut View<'_>) -> Result<InjectionControl, HostError> {
    let code = view.local.program.take().map_or(0, |program| program.code & !PER);
    match PgmCode(code) {
        _ if !view.local.entry.answers || view.occupied => Err(HostError::InterruptionRefused),
        PgmCode::SPECIFICATION => Ok(InjectionControl::SPECIFICATION),
        PgmCode::OPERAND => Ok(InjectionControl::OPERAND),
        _ => Err(HostError::InterruptionRefused),
    }
}
