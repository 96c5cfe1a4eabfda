//! DESTROY_SEC_CONF_FAST: ends a configuration and leaves its frames to be destroyed one by one.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a configuration's | rc 0x0020 |
//! | 2 | no other call is at work on it, nor (after row 4) a guest access to a shared page | cc 2 |
//! | 3 | no AP queue is bound to it | rc 0x0104 |
//! | 4 | no CPU of it exists, and DESTROY_SEC_CONF has not done a part | rc 0x01f0 (UNSURE) |
//!
//! Afterwards as DESTROY_SEC_CONF, but the frames that were private or shared keep a dead owner: private ones raise
//! secure-storage access (0x3d) until DESTR_SEC_STOR or an export gives them back, zeroed.

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::DestroyFast;
use crate::sim::answer::Answer;
use crate::sim::conf::Phase;
use crate::sim::machine::Machine;

pub(in crate::sim) fn destroy_fast(machine: &Machine, block: &mut DestroyFast) -> Answer {
    let conf = machine.conf(block.guest_handle.get())?;
    let mut alive = conf.close()?;
    if machine.has_bound_ap_queues(&conf) {
        return Err(UvRc::DESTROY_FAST_AP.into());
    }
    if !conf.cpus.read().is_empty() || conf.life.lock().phase == Phase::Ending {
        return Err(UvRc::STATE.into());
    }
    conf.space.close()?;
    *alive = false;
    machine.confs.write().remove(&conf.handle);
    machine.owners.write().remove(&conf.id);
    conf.forget();
    machine.unassign_ap_queues(Some(&conf));
    conf.storage.lock().drain(..).for_each(|donation| machine.storage.give_back(&donation));
    tracing::debug!(handle = conf.handle, "secure configuration destroyed, frames left");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::uvcb::UvCommand;
    use crate::sim::Generation;
    use crate::sim::rig::{OK, Rig, refused};
    use uv_core::{HostAddr, NormalMemory};

    #[test]
    fn frames_stay_until_they_are_destroyed_or_exported() {
        let rig = Rig::ready(Generation::Z16);
        let guest = rig.guest(0);
        let cpu = rig.cpu(&guest, 0);
        rig.verified(&guest);
        let fast = || rig.call(&mut DestroyFast::new(guest.conf));
        assert_eq!(fast(), refused(UvRc::STATE), "a CPU is left");
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle), OK);
        let conf = rig.machine.conf(guest.conf).unwrap();
        assert_eq!(fast(), OK);
        assert_eq!(conf.open().err(), Some(UvRc::INVALID_CONF_HANDLE.into()), "for a call that has found it before");
        assert!(conf.image.read().is_none(), "its keys are wiped");
        assert_eq!(fast(), refused(UvRc::INVALID_CONF_HANDLE));
        assert!(!rig.is_closed(guest.create.conf_base_stor_origin.get()));
        let (one, other) = (guest.base + 0x3000, guest.base + 0x4000);
        assert!(rig.is_closed(one) && rig.is_closed(other));
        assert_eq!(rig.storage(UvCommand::DESTR_SEC_STOR, one), OK);
        assert_eq!(rig.export(other), OK);
        for at in [one, other] {
            let mut page = [1; 4096];
            rig.host.read(HostAddr(at), &mut page).unwrap();
            assert_eq!(page, [0; 4096], "nothing of the guest is left");
        }
    }
}
