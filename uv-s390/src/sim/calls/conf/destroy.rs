//! DESTROY_SEC_CONF: ends a configuration.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a configuration's | rc 0x0020 |
//! | 2 | no other call is at work on it | cc 2 |
//! | 3 | no CPU of it exists | rc 0x01f0 (UNSURE) |
//! | 4 | no AP queue is bound to it | rc 0x01f0 (UNSURE) |
//! | 5 | all of its frames are given back | cc 3 after [`DESTROY_SLICE`] frames; until the call is done every other call on the handle gets rc 0x01f0 (UNSURE) |
//!
//! Afterwards the keys and everything secret of the guest are wiped; frames that were private are zero and the host's,
//! shared ones are the host's as they are (UNSURE); the donated storage is zero and the host's; the handle is gone.

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::NoData;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::Phase;
use crate::sim::machine::Machine;
use crate::sim::resume::DESTROY_SLICE;

pub(in crate::sim) fn destroy(machine: &Machine, block: &mut NoData) -> Answer {
    let conf = machine.conf(block.handle.get())?;
    let mut alive = conf.close()?;
    if !conf.cpus.read().is_empty() || machine.has_bound_ap_queues(&conf) {
        return Err(UvRc::STATE.into());
    }
    // From here on its frames have a dead owner, and whatever the host does to one of them only makes it free earlier.
    conf.life.lock().phase = Phase::Ending;
    machine.owners.write().remove(&conf.id);
    if !machine.release_frames(&conf, DESTROY_SLICE) {
        return Err(Refusal::Partial);
    }
    *alive = false;
    machine.confs.write().remove(&conf.handle);
    conf.forget();
    machine.unassign_ap_queues(Some(&conf));
    conf.storage.lock().drain(..).for_each(|donation| machine.storage.give_back(&donation));
    tracing::debug!(handle = conf.handle, "secure configuration destroyed");
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
    fn codes_in_their_order() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        let cpu = rig.cpu(&guest, 0);
        let destroy = |handle| rig.no_data(UvCommand::DESTROY_SEC_CONF, handle);
        assert_eq!(destroy(guest.conf + 1), refused(UvRc::INVALID_CONF_HANDLE));
        assert_eq!(destroy(cpu.handle), refused(UvRc::INVALID_CONF_HANDLE));
        assert_eq!(destroy(guest.conf), refused(UvRc::STATE), "a CPU is left");
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle), OK);
        rig.verified(&guest);
        let conf = rig.machine.conf(guest.conf).unwrap();
        assert_eq!(destroy(guest.conf), OK);
        assert_eq!(conf.open().err(), Some(UvRc::INVALID_CONF_HANDLE.into()), "for a call that has found it before");
        assert_eq!(conf.close().err(), Some(UvRc::INVALID_CONF_HANDLE.into()));
        assert!(conf.image.read().is_none(), "its keys are wiped");
        assert_eq!(destroy(guest.conf), refused(UvRc::INVALID_CONF_HANDLE));
        rig.guest(0);
    }

    #[test]
    fn donated_storage_comes_back_cleared_whoever_ends_its_owner() {
        let rig = Rig::ready(Generation::Z17);
        let ends: [fn(&Rig, u64); 3] = [
            |rig, conf| assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, conf), OK),
            |rig, conf| assert_eq!(rig.call(&mut crate::abi::uvcb::DestroyFast::new(conf)), OK),
            |rig, _| rig.machine.load_normal(),
        ];
        for (n, end) in (0..).zip(ends) {
            let block = rig.create_block(n);
            let (base, variable) = (block.conf_base_stor_origin.get(), block.conf_virt_stor_origin.get());
            let variable_len = rig.info.variable_storage_len(block.guest_stor_len.get()).unwrap();
            let last = [base + rig.info.conf_base_phys_stor_len.get() - 8, variable + variable_len - 8];
            let places = [base, last[0], variable, last[1]];
            places.iter().for_each(|at| rig.host.write(HostAddr(*at), b"old data").unwrap());
            let guest = rig.guest(n);
            let cpu = rig.cpu_block(&guest, 0).stor_origin.get();
            rig.host.write(HostAddr(cpu), b"old data").unwrap();
            let cpu = rig.cpu(&guest, 0);
            if n < 2 {
                assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle), OK);
            }
            end(&rig, guest.conf);
            for at in places.into_iter().chain([cpu.storage]) {
                let mut bytes = [1; 8];
                rig.host.read(HostAddr(at), &mut bytes).unwrap();
                assert_eq!(bytes, [0; 8], "{at:#x} of VM {n}");
            }
        }
    }
}
