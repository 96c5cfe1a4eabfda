//! CPU_SET_STATE: stopped, operating, operating-load, check-stop.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a CPU's | rc 0x0021 |
//! | 2 | the CPU is not running | cc 2 |
//! | 3 | the state is 1, 2, 3 or 5 | rc 0x01f4 (UNSURE) |
//! | 4 | operating and operating-load: the image is verified | rc 0x01f0 (UNSURE) |
//! | 5 | operating-load: nobody has loaded since VERIFY_IMG or PREPARE_RESET, and no reset is half done | rc 0x01f0 (UNSURE) |
//! | 6 | operating: a CPU was set to operating-load before | rc 0x01f0 (UNSURE) |
//!
//! Operating-load takes the PSW of the SE header, or after PREPARE_RESET the short PSW at guest absolute 0, at the next
//! entry of the CPU.

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::{CpuState, SetCpuState};
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::{Phase, Reset};
use crate::sim::machine::Machine;

pub(in crate::sim) fn set_state(machine: &Machine, block: &mut SetCpuState) -> Answer {
    let cpu = machine.cpu(block.cpu_handle.get())?;
    let mut core = cpu.core.try_lock().ok_or(Refusal::Busy)?;
    let conf = machine.owner(cpu.conf).filter(|_| !core.destroyed).ok_or(UvRc::INVALID_CPU_HANDLE)?;
    let state = CpuState(block.state);
    let mut life = conf.life.lock();
    match state {
        CpuState::STOPPED | CpuState::CHECK_STOP => core.state = state,
        CpuState::OPERATING | CpuState::OPERATING_LOAD if life.phase != Phase::Verified => {
            return Err(UvRc::STATE.into());
        }
        CpuState::OPERATING if life.loaded => {
            core.no_injection |= core.is_stopped();
            core.state = state;
        }
        CpuState::OPERATING_LOAD if !life.loaded && matches!(life.reset, Reset::None | Reset::Prepared) => {
            core.state = CpuState::OPERATING;
            core.no_injection = true;
            core.load = Some(life.load_from);
            life.loaded = true;
            life.reset = Reset::None;
            life.initiator = None;
        }
        CpuState::OPERATING | CpuState::OPERATING_LOAD => return Err(UvRc::STATE.into()),
        _ => return Err(UvRc::ADDRESS.into()),
    }
    if !core.is_stopped() {
        conf.resumable.changed();
    }
    tracing::debug!(cpu = cpu.number, ?state, "CPU state set");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Generation;
    use crate::sim::rig::{OK, Rig, refused};

    #[test]
    fn operating_only_after_the_image_was_verified_and_loaded() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        let (boot, other) = (rig.cpu(&guest, 0), rig.cpu(&guest, 1));
        let state = refused(UvRc::STATE);
        assert_eq!(rig.set_state(boot, CpuState::STOPPED), OK);
        assert_eq!(rig.set_state(boot, CpuState::OPERATING_LOAD), state);
        assert_eq!(rig.set_state(boot, CpuState::OPERATING), state);
        rig.verified(&guest);
        assert_eq!(rig.set_state(boot, CpuState(4)), refused(UvRc::ADDRESS));
        assert_eq!(rig.set_state(other, CpuState::OPERATING), state, "nobody has loaded");
        assert_eq!(rig.set_state(boot, CpuState::OPERATING_LOAD), OK);
        assert_eq!(rig.set_state(boot, CpuState::OPERATING), OK);
        assert_eq!(rig.set_state(other, CpuState::OPERATING_LOAD), state, "one loads");
        assert_eq!(rig.set_state(other, CpuState::OPERATING), OK);
        assert_eq!(rig.set_state(other, CpuState::CHECK_STOP), OK);
    }
}
