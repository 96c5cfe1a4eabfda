//! CREATE_SEC_CPU: makes a CPU of a configuration.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | rc 0x0020, rc 0x01f0 (UNSURE) |
//! | 2 | the number is not above the highest | rc 0x0103 |
//! | 3 | the number is free | rc 0x0104 |
//! | 4 | CPU storage is there and free | rc 0x0105 |
//! | 5 | CPU storage is not in the lowcore | rc 0x0106 |
//! | 6 | the state description is accessible and aligned to 512 bytes | rc 0x0107 |
//!
//! A new CPU is stopped (UNSURE).

use alloc::sync::Arc;
use core::sync::atomic::AtomicBool;

use spin::Mutex;
use uv_core::HostAddr;

use crate::abi::sie::StateDescription;
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::{CreateCpu, Role};
use crate::sim::answer::Answer;
use crate::sim::cpu::{Core, Cpu};
use crate::sim::machine::Machine;
use crate::sim::memory::overlaps_lowcore;
use crate::sim::profile::MAX_CPU;

pub(in crate::sim) fn create(machine: &Machine, block: &mut CreateCpu) -> Answer {
    let conf = machine.conf(block.guest_handle.get())?;
    let _open = conf.open_whole()?;
    let number = block.num.get();
    if number > MAX_CPU {
        return Err(UvRc::CPU_NUMBER.into());
    }
    let mut cpus = conf.cpus.write();
    if cpus.contains_key(&number) {
        return Err(UvRc::CPU_DEFINED.into());
    }
    let (origin, len) = (block.stor_origin.get(), machine.generation.query(Role::Host).cpu_stor_len.get());
    if origin & 0xfff != 0 || machine.storage.host_check(HostAddr(origin), len).is_err() {
        return Err(UvRc::CPU_STORAGE.into());
    }
    if overlaps_lowcore(origin, len) {
        return Err(UvRc::CPU_STORAGE_LOWCORE.into());
    }
    let state_origin = HostAddr(block.state_origin.get());
    let reachable = machine.storage.host_check(state_origin, StateDescription::SIZE).is_ok();
    if !reachable || state_origin.0 & 0x1ff != 0 {
        return Err(UvRc::CPU_STATE_DESCRIPTION.into());
    }
    let storage = machine.storage.donate(origin, len, conf.id).map_err(|error| error.or(UvRc::CPU_STORAGE))?;
    let handle = machine.fresh_handle();
    let (running, core) = (AtomicBool::new(false), Mutex::new(Core::new()));
    let external_call = Mutex::new(None);
    let cpu = Arc::new(Cpu { handle, conf: conf.id, number, state_origin, storage, running, external_call, core });
    machine.cpus.write().insert(handle, Arc::clone(&cpu));
    cpus.insert(number, cpu);
    block.cpu_handle = handle.into();
    tracing::debug!(handle, number, "secure CPU created");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::uvcb::{CpuState, UvCommand};
    use crate::sim::Generation;
    use crate::sim::rig::{Codes, GIB, OK, Rig, refused};

    #[test]
    fn codes_in_their_order() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        let with = |number: u16, change: &dyn Fn(&mut CreateCpu)| -> (Codes, u64) {
            let mut block = rig.cpu_block(&guest, number);
            change(&mut block);
            (rig.call(&mut block), block.cpu_handle.get())
        };
        let no = |rc| (refused(rc), 0);
        let end = 4 * GIB;
        let bad_handle = |b: &mut CreateCpu| b.guest_handle = (guest.conf + 1).into();
        assert_eq!(with(0, &bad_handle), no(UvRc::INVALID_CONF_HANDLE));
        assert_eq!(with(0, &|b| b.num = (MAX_CPU + 1).into()), no(UvRc::CPU_NUMBER));
        assert_eq!(with(0, &|b| b.stor_origin = (end + 0x1000).into()), no(UvRc::CPU_STORAGE));
        assert_eq!(with(0, &|b| b.stor_origin = 0x123.into()), no(UvRc::CPU_STORAGE));
        assert_eq!(with(0, &|b| b.stor_origin = 0.into()), no(UvRc::CPU_STORAGE_LOWCORE));
        let state = |b: &mut CreateCpu| b.state_origin = (end + 0x1000).into();
        assert_eq!(with(0, &state), no(UvRc::CPU_STATE_DESCRIPTION));
        let unaligned = |b: &mut CreateCpu| b.state_origin = (b.state_origin.get() + 8).into();
        assert_eq!(with(0, &unaligned), no(UvRc::CPU_STATE_DESCRIPTION));
        let half = |b: &mut CreateCpu| b.state_origin = (b.state_origin.get() + 256).into();
        assert_eq!(with(0, &half), no(UvRc::CPU_STATE_DESCRIPTION), "a multiple of 512");
        let (codes, handle) = with(0, &|_| ());
        assert!(codes == OK && handle != 0);
        assert_eq!(with(0, &|b| b.stor_origin = (end + 0x1000).into()), no(UvRc::CPU_DEFINED));
        let origin = rig.cpu_block(&guest, 0).stor_origin;
        let len = rig.info.cpu_stor_len.get();
        assert!((0..len).step_by(0x1000).all(|at| rig.is_closed(origin.get() + at)));
        assert_eq!(with(1, &|b| b.stor_origin = origin), no(UvRc::CPU_STORAGE), "given away already");
        let multiple = |b: &mut CreateCpu| b.state_origin = (b.state_origin.get() + 512).into();
        assert_eq!(with(1, &multiple).0, OK, "a page's begin is not needed");
    }

    #[test]
    fn limits_and_what_comes_first() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        let donated = guest.create.conf_base_stor_origin;
        let with = |number: u16, change: &dyn Fn(&mut CreateCpu)| {
            let mut block = rig.cpu_block(&guest, number);
            change(&mut block);
            rig.call(&mut block)
        };
        let bad = |b: &mut CreateCpu| b.state_origin = donated;
        assert_eq!(with(0, &bad), refused(UvRc::CPU_STATE_DESCRIPTION), "given away");
        for origin in [donated.get(), donated.get() + 8] {
            let bad = |b: &mut CreateCpu| (b.stor_origin, b.state_origin) = (origin.into(), donated);
            assert_eq!(with(0, &bad), refused(UvRc::CPU_STORAGE), "before the state description");
        }
        let lowcore = |b: &mut CreateCpu| (b.stor_origin, b.state_origin) = (0.into(), donated);
        assert_eq!(with(0, &lowcore), refused(UvRc::CPU_STORAGE_LOWCORE));
        assert_eq!(with(MAX_CPU, &|_| ()), OK, "the highest number");
    }

    #[test]
    fn a_call_that_has_found_a_cpu_before_its_end_finds_it_gone() {
        let rig = Rig::ready(Generation::Z17);
        let (guest, cpu, _) = rig.booted(0, []);
        let found = rig.machine.cpu(cpu.handle).unwrap();
        found.core.lock().registers.gr[7] = 7;
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle), OK);
        let core = found.core.lock();
        assert!(core.destroyed && core.registers.gr == [0; 16] && core.guest.is_none());
        drop(core);
        // As if each call had looked the handle up just before.
        let calls: [&dyn Fn() -> Codes; 5] = [
            &|| rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle),
            &|| rig.no_data(UvCommand::CPU_RESET, cpu.handle),
            &|| rig.set_state(cpu, CpuState::STOPPED),
            &|| rig.set_state(cpu, CpuState::OPERATING),
            &|| rig.no_data(UvCommand::CPU_RESET_CLEAR, cpu.handle),
        ];
        for call in calls {
            rig.machine.cpus.write().insert(cpu.handle, Arc::clone(&found));
            assert_eq!(call(), refused(UvRc::INVALID_CPU_HANDLE));
        }
        assert_eq!(rig.enter(&guest, cpu).validity(), Some(crate::abi::sie::Validity::CPU_HANDLE));
    }

    #[test]
    fn a_cpu_ends_and_its_number_is_free_again() {
        let rig = Rig::ready(Generation::Z17);
        let guest = rig.guest(0);
        let cpu = rig.cpu(&guest, 3);
        let destroy = || rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle);
        assert_eq!(destroy(), OK);
        assert_eq!(destroy(), refused(UvRc::INVALID_CPU_HANDLE));
        assert!(!rig.is_closed(cpu.storage));
        assert_eq!(rig.set_state(cpu, CpuState::STOPPED), refused(UvRc::INVALID_CPU_HANDLE));
        rig.cpu(&guest, 3);
    }
}
