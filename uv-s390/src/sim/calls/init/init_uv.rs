//! INIT_UV: gives the Ultravisor its storage and switches it on.
//!
//! | # | check | rc |
//! |---|---|---|
//! | 1 | not initialized yet | 0x0101 |
//! | 2 | one host CPU runs | 0x0102 |
//! | 3 | the length is the one of the query | 0x0103 |
//! | 4 | the origin is 1 MiB aligned | 0x0104 |
//! | 5 | the storage is there, all of it | 0x0105 |
//! | 6 | the origin is at or above 2 GiB | 0x0108 |

use core::sync::atomic::Ordering;

use uv_core::HostAddr;

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::{InitUv, Role};
use crate::sim::answer::Answer;
use crate::sim::frames::ConfId;
use crate::sim::machine::Machine;

const MIB: u64 = 1 << 20;
const TWO_GIB: u64 = 2 << 30;

pub(in crate::sim) fn init_uv(machine: &Machine, block: &mut InitUv) -> Answer {
    let (origin, len) = (block.stor_origin.get(), block.stor_len.get());
    let mut base = machine.base.lock();
    if base.is_some() {
        return Err(UvRc::INIT_ALREADY.into());
    }
    if machine.running_cpus.load(Ordering::Relaxed) > 1 {
        return Err(UvRc::INIT_CPUS.into());
    }
    if len != machine.generation.query(Role::Host).uv_base_stor_len.get() {
        return Err(UvRc::INIT_LENGTH.into());
    }
    if !origin.is_multiple_of(MIB) {
        return Err(UvRc::INIT_ORIGIN.into());
    }
    machine.storage.host_check(HostAddr(origin), len).map_err(|_| UvRc::INIT_STORAGE)?;
    if origin < TWO_GIB {
        return Err(UvRc::INIT_BELOW_2G.into());
    }
    *base =
        Some(machine.storage.donate(origin, len, ConfId::ULTRAVISOR).map_err(|error| error.or(UvRc::INIT_STORAGE))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::uvcb::UvCommand;
    use crate::sim::Generation;
    use crate::sim::rig::{GIB, OK, Rig, UV_BASE, refused};
    use uv_core::NormalMemory;

    #[test]
    fn codes_in_their_order() {
        let rig = Rig::new(Generation::Z17);
        let (end, len) = (4 * GIB, rig.info.uv_base_stor_len.get());
        let init = |origin, len| rig.call(&mut InitUv::new(origin, len));
        rig.machine.set_running_cpus(2);
        assert_eq!(init(1, 1), refused(UvRc::INIT_CPUS));
        rig.machine.set_running_cpus(1);
        assert_eq!(init(1, len - 8), refused(UvRc::INIT_LENGTH));
        assert_eq!(init(end + 8, len), refused(UvRc::INIT_ORIGIN));
        assert_eq!(init(end, len), refused(UvRc::INIT_STORAGE));
        assert_eq!(init(end - MIB, len), refused(UvRc::INIT_STORAGE));
        assert_eq!(init(GIB, len), refused(UvRc::INIT_BELOW_2G));
        assert_eq!(init(UV_BASE, len), OK);
        assert_eq!(init(1, 1), refused(UvRc::INIT_ALREADY));
        assert!(rig.is_closed(UV_BASE) && rig.is_closed(UV_BASE + len - 1) && !rig.is_closed(UV_BASE + len));
    }

    #[test]
    fn from_2_gib_on_and_only_where_there_is_storage() {
        let rig = Rig::new(Generation::Z17);
        let init = |rig: &Rig| rig.call(&mut InitUv::new(TWO_GIB, rig.info.uv_base_stor_len.get()));
        assert_eq!(init(&rig), OK);
        let small = Rig::with(|config| config.memory = GIB);
        let end = |at| small.call(&mut InitUv::new(at, small.info.uv_base_stor_len.get()));
        assert_eq!([end(GIB), end(GIB - MIB)], [refused(UvRc::INIT_STORAGE); 2], "before the place");
        assert_eq!(end(MIB), refused(UvRc::INIT_BELOW_2G));
    }

    #[test]
    fn a_load_normal_reset_gives_it_back_cleared() {
        let rig = Rig::new(Generation::Z17);
        rig.host.write(HostAddr(UV_BASE), &[7; 16]).unwrap();
        let init = || rig.call(&mut InitUv::new(UV_BASE, rig.info.uv_base_stor_len.get()));
        assert_eq!(init(), OK);
        let guest = rig.guest(0);
        let cpu = rig.cpu(&guest, 0);
        rig.verified(&guest);
        rig.machine.load_normal();
        for at in [UV_BASE, guest.create.conf_base_stor_origin.get(), cpu.storage, guest.base + 0x3000] {
            let mut word = [1; 16];
            rig.host.read(HostAddr(at), &mut word).unwrap();
            assert_eq!(word, [0; 16]);
        }
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, guest.conf), refused(UvRc::INVALID_STATE));
        assert_eq!(rig.machine.secure_frames_in_use(), 0);
        assert_eq!(init(), OK);
    }

    #[test]
    fn a_configuration_after_a_load_normal_reset_has_a_number_of_its_own() {
        let rig = Rig::ready(Generation::Z17);
        let number = |guest: &crate::sim::rig::Guest| rig.machine.conf(guest.conf).unwrap().id;
        let before = number(&rig.guest(0));
        rig.machine.load_normal();
        assert_eq!(rig.call(&mut InitUv::new(UV_BASE, rig.info.uv_base_stor_len.get())), OK);
        assert!(number(&rig.guest(0)) > before);
    }
}
