//! Whether a CPU may be entered (s390-ultravisor §6.5, §11.4, §11.5).
//!
//! | # | check | validity (low byte: this library's numbering) |
//! |---|---|---|
//! | 1 | format 4 | 0x200b |
//! | 2 | the configuration handle is one | 0x2001 |
//! | 3 | the CPU handle is one | 0x2002 |
//! | 4 | the CPU is of this configuration, and was created with this state description | 0x2003 |
//! | 5 | it runs nowhere else | 0x2004 |
//! | 6 | control register 1 is the ASCE of the creation | 0x2005 |
//! | 7 | the SCA is an extended one | 0x200c |
//! | 8 | the SCA origin is the one of the creation | 0x200d |
//! | 9 | MSO is the one of the creation | 0x200e |
//! | 10 | MSL does not end before the guest storage of the creation | 0x200f |
//! | 11 | the image is verified; no dump is under way, no reset (from the guest's DIAG 308 on for the CPU that issued it, from SET_UNSHARE_ALL on for all: UNSURE) | 0x2009 |
//! | 12 | the CPU is operating and was reset where it had to be | 0x2006 |
//! | 13 | the CPU timer is not later than at the last exit, and not earlier than time passed | 0x2007 |
//!
//! That a machine compares 7 to 10, and where in the order, is not public (UNSURE); only that the extended SCA is mandatory
//! is. KVM creates a configuration with MSO 0 and the length of its slots and sets MSL to the highest address of the
//! machine; kvm-unit-tests takes MSO and length of the creation out of the state description, where MSL is the address of
//! the last MiB. So MSL is a bound from above that the storage must fit below, and cannot be asked to be equal.

use alloc::sync::Arc;

use uv_core::HostAddr;

use crate::abi::sie::{Asce, StateDescription, Validity, fields};
use crate::abi::uvcb::CpuState;
use crate::sim::conf::{Conf, Phase, Reset};
use crate::sim::cpu::{Core, Cpu};
use crate::sim::machine::Machine;

impl Machine {
    /// Checks 1 to 4.
    pub(super) fn find(&self, sd: &StateDescription, state: HostAddr) -> Result<(Arc<Conf>, Arc<Cpu>), Validity> {
        if sd.sdf != fields::SDF_PROTECTED {
            return Err(Validity::FORMAT);
        }
        let conf = self.confs.read().get(&sd.conf_handle.get()).cloned().ok_or(Validity::CONF_HANDLE)?;
        let cpu = self.cpus.read().get(&sd.cpu_handle.get()).cloned().ok_or(Validity::CPU_HANDLE)?;
        if cpu.conf != conf.id || cpu.state_origin != state {
            return Err(Validity::FOREIGN);
        }
        Ok((conf, cpu))
    }

    /// Checks 6 to 13, on a CPU that is ours alone now.
    pub(super) fn check_entry(
        &self,
        sd: &StateDescription,
        conf: &Conf,
        number: u16,
        core: &Core,
        asce: u64,
    ) -> Result<(), Validity> {
        if core.destroyed {
            return Err(Validity::CPU_HANDLE);
        }
        if conf.asce != Asce(asce) {
            return Err(Validity::ASCE);
        }
        as_created(sd, conf)?;
        let life = conf.life.lock();
        let resetting = match life.reset {
            Reset::None => false,
            Reset::Asked => life.initiator == Some(number),
            Reset::Unshared | Reset::Prepared => true,
        };
        if life.phase != Phase::Verified || resetting || life.dumping {
            return Err(Validity::CONF_STATE);
        }
        if core.state != CpuState::OPERATING || core.due.is_some() {
            return Err(Validity::CPU_STATE);
        }
        if let Some(mark) = core.timer {
            let gone = mark.timer.wrapping_sub(sd.cpu_timer.get()).cast_signed();
            let passed = self.clock.now().saturating_sub(mark.at);
            if u64::try_from(gone).map_or(true, |gone| gone > passed) {
                return Err(Validity::CPU_TIMER);
            }
        }
        Ok(())
    }
}

/// Checks 7 to 10: what CREATE_SEC_CONF was told.
fn as_created(sd: &StateDescription, conf: &Conf) -> Result<(), Validity> {
    if sd.ecb2 & fields::ECB2_EXTENDED_SCA == 0 {
        return Err(Validity::EXTENDED_SCA);
    }
    if sd.sca_origin() != conf.sca {
        return Err(Validity::SCA);
    }
    if sd.mso.get() != conf.mso {
        return Err(Validity::MSO);
    }
    if sd.storage_end() < conf.mso.saturating_add(conf.msl).saturating_sub(1) {
        return Err(Validity::MSL);
    }
    Ok(())
}
