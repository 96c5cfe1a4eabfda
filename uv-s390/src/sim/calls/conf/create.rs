//! CREATE_SEC_CONF: makes a secure configuration.
//!
//! | # | check | rc |
//! |---|---|---|
//! | 1 | the home space is no real space | 0x0030 |
//! | 2 | MSO is not beyond the highest guest address | 0x0101 |
//! | 3 | MSO + MSL is not beyond it, and MSL is not 0 | 0x0102 |
//! | 4 | MSO and MSL are whole pages | 0x0101, 0x0102 |
//! | 5 | ASCE: private bit on, bit 58 off | 0x0105 |
//! | 6 | the ASCE belongs to no other configuration | 0x0104 |
//! | 7 | there is room for one more configuration | 0x0106 (UNSURE: the code exists, its meaning is not public) |
//! | 8 | base storage is there and free | 0x0108 |
//! | 9 | base storage is not in the lowcore | 0x0109 |
//! | 10 | flags are known, and the machine has the features they need | 0x010b (UNSURE, as 7) |
//! | 11 | the SCA origin is not 0 | 0x010c |
//! | 12 | the first page of the SCA is accessible | 0x010d |
//! | 13 | variable storage: host virtual, mapped | 0x0031, before anything is taken |
//! | 14 | variable storage is there and free | 0x810a (UNSURE, as 7): base storage is taken then, the handle is live |
//!
//! With rc 0x0001 and with flag 0x8000 the block gets a handle; in all other cases nothing was taken.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use rand_core::Rng;
use uv_core::HostAddr;

use crate::abi::sie::Asce;
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::{ConfFlags, CreateConf, Features, Role};
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::{Conf, NewConf, Phase};
use crate::sim::frames::ConfId;
use crate::sim::machine::Machine;
use crate::sim::memory::{NotAvailable, overlaps_lowcore};
use crate::sim::profile::MAX_GUEST_ADDRESS;

/// Bytes of the SCA that are looked at. An extended SCA is longer, but a program that gives one page is accepted: the
/// sie library of kvm-unit-tests allocates no more (UNSURE, no source says how far a machine looks).
const SCA: u64 = 0x1000;

pub(in crate::sim) fn create(machine: &Machine, block: &mut CreateConf) -> Answer {
    let info = machine.generation.query(Role::Host);
    machine.check_home_space()?;
    let (mso, msl) = (block.guest_stor_origin.get(), block.guest_stor_len.get());
    if mso > MAX_GUEST_ADDRESS {
        return Err(UvRc::CONF_MSO.into());
    }
    if msl == 0 || mso.checked_add(msl).is_none_or(|end| end - 1 > MAX_GUEST_ADDRESS) {
        return Err(UvRc::CONF_MSL.into());
    }
    if mso & 0xfff != 0 {
        return Err(UvRc::CONF_MSO.into());
    }
    if msl & 0xfff != 0 {
        return Err(UvRc::CONF_MSL.into());
    }
    let asce = Asce(block.guest_asce.get());
    if !asce.is_valid_for_guest() {
        return Err(UvRc::CONF_ASCE.into());
    }
    // Held to the end: two creations with one ASCE must not both find it unused.
    let mut confs = machine.confs.write();
    if confs.values().any(|conf| conf.asce == asce) {
        return Err(UvRc::CONF_ASCE_USED.into());
    }
    let id = machine.next_id.load(Ordering::Relaxed);
    if u64::try_from(confs.len()).is_ok_and(|count| count >= info.max_num_sec_conf.get().into()) || id > ConfId::MAX {
        return Err(UvRc::CONF_0106.into());
    }
    let (base, base_len) = (block.conf_base_stor_origin.get(), info.conf_base_phys_stor_len.get());
    if base & 0xfff != 0 || machine.storage.host_check(HostAddr(base), base_len).is_err() {
        return Err(UvRc::CONF_BASE.into());
    }
    if overlaps_lowcore(base, base_len) {
        return Err(UvRc::CONF_BASE_LOWCORE.into());
    }
    let flags = ConfFlags::from_bits_retain(block.flags.get());
    check_flags(flags, machine.features())?;
    let sca = block.guest_sca.get();
    if sca == 0 {
        return Err(UvRc::CONF_SCA_ZERO.into());
    }
    machine.storage.host_check(HostAddr(sca), SCA).map_err(|_| UvRc::CONF_SCA)?;
    let variable = block.conf_virt_stor_origin.get();
    let possible = |len: &u64| variable & 0xfff == 0 && *len <= machine.storage.size;
    let variable = match info.variable_storage_len(msl).filter(possible) {
        Some(len) => Some(machine.home_frames(variable, len)?),
        None => None,
    };
    let base = machine.storage.donate(base, base_len, ConfId(id)).map_err(|error| error.or(UvRc::CONF_BASE))?;
    // A configuration without variable storage has no room for what is kept for each page, and can do nothing but end.
    let variable = match variable.map(|frames| machine.storage.donate_frames(frames, ConfId(id))) {
        Some(Err(NotAvailable::Busy)) => {
            machine.storage.cancel(&base);
            return Err(Refusal::Busy);
        }
        taken => taken.and_then(Result::ok),
    };

    machine.next_id.store(id + 1, Ordering::Relaxed);
    let handle = fresh(machine, &confs);
    let mut uid = [0; 16];
    match machine.next_uid.lock().take() {
        Some(chosen) => uid = chosen.0,
        None => machine.rng.lock().fill_bytes(&mut uid),
    }
    let pages = if variable.is_some() { msl >> 12 } else { 0 };
    let space = machine.engine.create_space(pages, Machine::SUITE);
    let new = NewConf { id: ConfId(id), handle, flags, asce, mso, msl, sca, space, uid, in_place: false };
    let conf = Arc::new(Conf::new(new));
    conf.storage.lock().push(base);
    confs.insert(handle, Arc::clone(&conf));
    machine.owners.write().insert(conf.id, Arc::clone(&conf));
    block.guest_handle = handle.into();

    let variable = variable.ok_or_else(|| Refusal::from(UvRc::CONF_VARIABLE.with_destroy()))?;
    conf.storage.lock().push(variable);
    conf.life.lock().phase = Phase::Created;
    tracing::debug!(handle, pages = msl >> 12, "secure configuration created");
    Ok(())
}

fn check_flags(flags: ConfFlags, features: Features) -> Answer {
    let needs = [(ConfFlags::AP, Features::AP), (ConfFlags::AP_INTERRUPTIONS, Features::AP_INTERRUPTIONS)];
    let known = needs.iter().fold(ConfFlags::empty(), |known, (flag, _)| known | *flag);
    let missing = needs.iter().any(|(flag, feature)| flags.contains(*flag) && !features.contains(*feature));
    if missing || !known.contains(flags) { Err(UvRc::CONF_FLAGS.into()) } else { Ok(()) }
}

/// A fresh handle, for the holder of the table of configurations.
fn fresh(machine: &Machine, confs: &alloc::collections::BTreeMap<u64, Arc<Conf>>) -> u64 {
    loop {
        let handle = machine.rng.lock().next_u64();
        if handle != 0 && !confs.contains_key(&handle) && !machine.cpus.read().contains_key(&handle) {
            return handle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::uvc::Cc;
    use crate::abi::uvcb::UvCommand;
    use crate::sim::Generation;
    use crate::sim::rig::{Codes, GIB, MIB, OK, Rig, refused};

    /// The codes of a creation with something wrong, and the handle it left.
    fn with(rig: &Rig, n: u64, change: impl FnOnce(&mut CreateConf)) -> (Codes, u64) {
        let mut block = rig.create_block(n);
        change(&mut block);
        (rig.call(&mut block), block.guest_handle.get())
    }

    #[test]
    fn codes_in_their_order() {
        let rig = Rig::ready(Generation::Z16);
        let no = |rc| (refused(rc), 0);
        let max = MAX_GUEST_ADDRESS;
        let bad = |b: &mut CreateConf| b.guest_asce = 0.into();
        assert_eq!(with(&rig, 0, |b| b.guest_stor_origin = (max + 2 * MIB + 1).into()), no(UvRc::CONF_MSO));
        let beyond = |b: &mut CreateConf| {
            b.guest_stor_origin = (max - MIB).into();
            b.guest_stor_len = (42 * MIB).into();
        };
        assert_eq!(with(&rig, 0, beyond), no(UvRc::CONF_MSL));
        assert_eq!(with(&rig, 0, |b| b.guest_stor_len = u64::MAX.into()), no(UvRc::CONF_MSL));
        assert_eq!(with(&rig, 0, |b| b.guest_stor_len = 0.into()), no(UvRc::CONF_MSL));
        assert_eq!(with(&rig, 0, |b| b.guest_stor_origin = 1.into()), no(UvRc::CONF_MSO));
        assert_eq!(with(&rig, 0, |b| b.guest_stor_len = 0x1001.into()), no(UvRc::CONF_MSL));
        assert_eq!(with(&rig, 0, bad), no(UvRc::CONF_ASCE));
        assert_eq!(with(&rig, 0, |b| b.guest_asce = (b.guest_asce.get() | 0x20).into()), no(UvRc::CONF_ASCE));
        let beyond = |b: &mut CreateConf| b.conf_base_stor_origin = (4 * GIB + 8).into();
        assert_eq!(with(&rig, 0, beyond), no(UvRc::CONF_BASE));
        assert_eq!(with(&rig, 0, |b| b.conf_base_stor_origin = 0x1000.into()), no(UvRc::CONF_BASE_LOWCORE));
        assert_eq!(with(&rig, 0, |b| b.flags = 1.into()), no(UvRc::CONF_FLAGS), "z16 has no AP");
        assert_eq!(with(&rig, 0, |b| b.guest_sca = 0.into()), no(UvRc::CONF_SCA_ZERO));
        assert_eq!(with(&rig, 0, |b| b.guest_sca = (4 * GIB + 0x4000).into()), no(UvRc::CONF_SCA));
        assert_eq!(with(&rig, 0, |b| b.guest_sca = (4 * GIB - 0xfff).into()), no(UvRc::CONF_SCA));
        let (codes, handle) = with(&rig, 0, |_| ());
        assert!(codes == OK && handle != 0);
        assert_eq!(with(&rig, 0, |_| ()), no(UvRc::CONF_ASCE_USED), "the same storage and ASCE");
        let asce = Rig::asce(0);
        assert_eq!(with(&rig, 1, |b| b.guest_asce = asce.into()), no(UvRc::CONF_ASCE_USED));
        let storage = rig.create_block(0).conf_base_stor_origin;
        assert_eq!(with(&rig, 1, |b| b.conf_base_stor_origin = storage), no(UvRc::CONF_BASE));
    }

    #[test]
    fn half_a_creation_leaves_a_live_handle() {
        let rig = Rig::ready(Generation::Z17);
        let (codes, handle) = with(&rig, 0, |b| b.conf_virt_stor_origin = (4 * GIB).into());
        assert_eq!(codes, (Cc::Error, UvRc(0x810a), crate::abi::uvc::UvRrc(0)));
        let base = rig.create_block(0).conf_base_stor_origin.get();
        assert!(handle != 0 && rig.is_closed(base));
        assert_eq!(rig.no_data(UvCommand::VERIFY_IMG, handle), refused(UvRc::STATE));
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, handle), OK);
        assert!(!rig.is_closed(base));
        assert_eq!(with(&rig, 0, |b| b.flags = 3.into()).0, OK);
    }

    #[test]
    fn one_page_of_the_sca_is_enough() {
        let rig = Rig::ready(Generation::Z17);
        let first = rig.guest(0);
        // The frame before donated storage: the SCA's next page is closed.
        let last = first.create.conf_base_stor_origin.get() - 0x1000;
        assert!(rig.is_closed(last + 0x1000));
        assert_eq!(with(&rig, 1, |b| b.guest_sca = (last + 0x1000).into()), (refused(UvRc::CONF_SCA), 0));
        assert_eq!(with(&rig, 1, |b| b.guest_sca = last.into()).0, OK);
    }

    #[test]
    fn there_are_as_many_configurations_as_the_query_says() {
        let rig = Rig::ready(Generation::Z15);
        let most = u64::from(rig.info.max_num_sec_conf.get());
        let block = |n: u64| {
            let mut block = rig.create_block(0);
            block.guest_stor_len = 0x1000.into();
            block.guest_asce = ((GIB + (n << 12)) | 0x107).into();
            block.guest_sca = GIB.into();
            block.conf_base_stor_origin = (GIB + MIB + n * 0x1_0000).into();
            block.conf_virt_stor_origin = (GIB + MIB + n * 0x1_0000 + 0x8000).into();
            block
        };
        let mut handle = 0;
        for n in 0..most {
            let mut block = block(n);
            assert_eq!(rig.call(&mut block), OK, "number {n}");
            handle = block.guest_handle.get();
        }
        assert_eq!(rig.call(&mut block(most)), refused(UvRc::CONF_0106));
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, handle), OK);
        assert_eq!([rig.call(&mut block(most)), rig.call(&mut block(most - 1))], [OK, refused(UvRc::CONF_0106)]);
    }

    #[test]
    fn all_donated_storage_is_closed() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        let variable = rig.info.variable_storage_len(guest.create.guest_stor_len.get()).unwrap();
        for (origin, len) in [
            (guest.create.conf_base_stor_origin.get(), rig.info.conf_base_phys_stor_len.get()),
            (guest.create.conf_virt_stor_origin.get(), variable),
        ] {
            assert!((0..len).step_by(0x1000).all(|at| rig.is_closed(origin + at)));
            assert!(!rig.is_closed(origin + len));
        }
    }
}
