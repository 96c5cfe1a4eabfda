//! Interruptions that the host asks to be injected (s390-ultravisor §6.4).
//!
//! | # | check | validity |
//! |---|---|---|
//! | 1 | the class is known | 0x2008 |
//! | 2 | specification, operand: the entry completes an interception 104 that permits it | 0x2008 |
//! | 3 | machine check, external, I/O: the entry completes no interception 104 or 112 and does not start the CPU | 0x2008 |
//! | 4 | … and the guest is enabled for it: mask in the PSW; external and I/O: subclass mask in control register 0 or 6 | 0x2008 |
//! | 5 | service signal that answers: interception 108 of a SERVC came since the last one | 0x2008 |
//!
//! UNSURE: that a machine looks at subclass masks; and that it does not for machine checks (control register 14). UNSURE: that
//! a service signal which only tells of events (bits 30 and 31 of the parameter, no SCCB) needs no SERVC; KVM injects those
//! at any time.

use core::sync::atomic::Ordering;

use super::subclass;
use crate::abi::psw::{PSW_EXTERNAL, PSW_IO, PSW_MACHINE_CHECK};
use crate::abi::sie::{InjectionControl, StateDescription, Validity};
use crate::abi::uvc::PgmCode;
use crate::sim::conf::Conf;
use crate::sim::cpu::{Core, Lasting, LoadFrom, Pending};
use crate::sim::guest::{InsnResult, Interruption, SERVICE_SIGNAL};

/// Takes over what the state description asks for.
pub(super) fn take(sd: &StateDescription, conf: &Conf, core: &mut Core) -> Result<(), Validity> {
    let interruption = match sd.injection() {
        InjectionControl::NONE => return Ok(()),
        InjectionControl::SPECIFICATION => {
            return program(core, InjectionControl::SPECIFICATION, PgmCode::SPECIFICATION);
        }
        InjectionControl::OPERAND => return program(core, InjectionControl::OPERAND, PgmCode::OPERAND),
        InjectionControl::MACHINE_CHECK => Interruption::MachineCheck {
            mcic: mcic(sd),
            failing_address: sd.failing_address.get(),
            external_damage: sd.external_damage.get(),
        },
        InjectionControl::EXTERNAL => Interruption::External {
            code: sd.ext_code.get(),
            cpu: sd.ext_cpu_addr.get(),
            parameter: sd.ext_params.get(),
        },
        InjectionControl::IO => Interruption::Io {
            subchannel: u32::from(sd.subchannel_id.get()) << 16 | u32::from(sd.subchannel_nr.get()),
            parameter: sd.io_int_parm.get(),
            word: sd.io_int_word.get(),
        },
        InjectionControl::RESTART => Interruption::Restart,
        _ => return Err(Validity::INJECTION),
    };
    if matches!(core.pending, Pending::Instruction(_)) {
        return Err(Validity::INJECTION);
    }
    let mask = core.registers.psw.mask.get();
    let enabled = match interruption {
        Interruption::Restart => {
            core.load = Some(LoadFrom::Restart);
            core.delivered.push_back(interruption);
            return Ok(());
        }
        Interruption::MachineCheck { .. } => mask & PSW_MACHINE_CHECK != 0,
        Interruption::External { .. } => mask & PSW_EXTERNAL != 0,
        Interruption::Io { .. } => mask & PSW_IO != 0,
    };
    if !enabled || core.no_injection || !subclass::is_open(&core.registers.cr, &interruption) {
        return Err(Validity::INJECTION);
    }
    let is_signal = match interruption {
        Interruption::External { code: SERVICE_SIGNAL, parameter, .. } => !only_events(parameter),
        _ => false,
    };
    if is_signal && conf.service_masked.swap(true, Ordering::AcqRel) {
        return Err(Validity::INJECTION);
    }
    core.lasting = Lasting::of(&interruption).or(core.lasting);
    core.delivered.push_back(interruption);
    Ok(())
}

/// A program interruption instead of the result of the instruction at work.
fn program(core: &mut Core, control: InjectionControl, code: PgmCode) -> Result<(), Validity> {
    match &core.pending {
        Pending::Instruction(insn) if insn.permits(control) => {}
        _ => return Err(Validity::INJECTION),
    }
    core.pending = Pending::None;
    if let Some(guest) = &mut core.guest {
        guest.complete(InsnResult::Exception(code));
    }
    Ok(())
}

/// Whether a service signal tells of events and answers nothing.
const fn only_events(parameter: u32) -> bool {
    parameter & 0xffff_fff8 == 0 && parameter & 3 != 0
}

/// The machine-check interruption code lies over parameter, CPU address and code of an external interruption.
fn mcic(sd: &StateDescription) -> u64 {
    u64::from(sd.ext_params.get()) << 32 | u64::from(sd.ext_cpu_addr.get()) << 16 | u64::from(sd.ext_code.get())
}
