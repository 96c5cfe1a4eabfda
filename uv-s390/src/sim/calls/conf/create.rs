//! CREATE_SEC_CONF: makes a secure configuration.
//!
//! | # | check | rc |
//! |---|---|---|
//! | 1 | MSO is not beyond the highest guest address | 0x0101 |
//! | 2 | MSO + MSL is not beyond it, and MSL is not 0 | 0x0102 |
//! | 3 | MSO and MSL are whole pages | 0x0101, 0x0102 |
//! | 4 | ASCE: private bit on, bit 58 off | 0x0105 |
//! | 5 | the ASCE belongs to no other configuration | 0x0104 |
//! | 6 | there is room for one more configuration | 0x0106 (UNSURE: the code exists, its meaning is not public) |
//! | 7 | base storage is there and free | 0x0108 |
//! | 8 | base storage is not in the lowcore | 0x0109 |
//! | 9 | flags are known, and the machine has the features they need | 0x010b (UNSURE, as 6) |
//! | 10 | the SCA origin is not 0 | 0x010c |
//! | 11 | the SCA is accessible | 0x010d |
//! | 12 | variable storage is there and free | 0x810a (UNSURE, as 6): base storage is taken then, the handle is live |
//!
//! With rc 0x0001 and with flag 0x8000 the block gets a handle; in all other cases nothing was taken.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use rand_core::Rng;
use uv_core::HostAddr;

use crate::abi::{ConfFlags, CreateConf, Features, Role};
use crate::sie::Asce;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::{Conf, NewConf, Phase};
use crate::sim::frames::ConfId;
use crate::sim::machine::Machine;
use crate::sim::memory::overlaps_lowcore;
use crate::sim::profile::MAX_GUEST_ADDRESS;
use crate::uvc::UvRc;

/// Bytes of an extended SCA.
const SCA: u64 = 0x1000 * 4;

pub(in crate::sim) fn create(machine: &Machine, block: &mut CreateConf) -> Answer {
    let info = machine.generation.query(Role::Host);
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
    let base = machine.storage.donate(base, base_len, ConfId(id)).map_err(|_| UvRc::CONF_BASE)?;

    machine.next_id.store(id + 1, Ordering::Relaxed);
    let handle = fresh(machine, &confs);
    let mut uid = [0; 16];
    machine.rng.lock().fill_bytes(&mut uid);
    let space = machine.engine.create_space(msl >> 12, Machine::SUITE);
    let conf = Arc::new(Conf::new(NewConf { id: ConfId(id), handle, asce, mso, msl, space, uid }));
    conf.storage.lock().push(base);
    confs.insert(handle, Arc::clone(&conf));
    machine.owners.write().insert(conf.id, Arc::clone(&conf));
    block.guest_handle = handle.into();

    let variable = block.conf_virt_stor_origin.get();
    let variable = info.variable_storage_len(msl).and_then(|len| machine.storage.donate(variable, len, conf.id).ok());
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
