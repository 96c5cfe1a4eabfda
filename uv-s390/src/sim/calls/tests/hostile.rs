//! What a host can do wrong on purpose, one call at a time and with two CPUs at once.

extern crate std;

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::thread;

use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_sim::guest::Step;

use super::random::check;
use crate::abi::dump::StorageState;
use crate::abi::se_header::PlaintextControlFlags;
use crate::abi::sie::{HostMapping, MappingSize, Validity};
use crate::abi::uvc::{Cc, PgmCode, UvCall, UvRc, UvRrc};
use crate::abi::uvcb::{ConvertTo, CpuState, CreateConf, DumpStorageState, SetParams, Share, UvCommand};
use crate::sim::rig::{COMPONENT, GIB, GUEST_LEN, Guest, MIB, OK, Rig, diag, refused, uvc};
use crate::sim::{Generation, GuestInsn, Uvc};

fn map(guest: &Guest, addr: u64, frame: u64) {
    let mapping = HostMapping { frame: HostAddr(frame), writable: true, size: MappingSize::Page };
    guest.tables.moved.lock().insert(addr, Some(mapping));
}

#[test]
fn a_header_and_a_verification_at_once_do_not_wait_for_each_other() {
    let rig = Arc::new(Rig::ready(Generation::Z17));
    let guest = rig.guest(0);
    rig.unpacked(&guest, PlaintextControlFlags::PCKMO);
    let (conf, at) = (guest.conf, guest.base + 24 * MIB);
    let other = Arc::clone(&rig);
    let setter = thread::spawn(move || {
        for _ in 0..20_000 {
            let (_, rc, _) = other.call(&mut SetParams::new(conf, at, 640));
            assert!([UvRc::STATE, UvRc(0)].contains(&rc), "{rc}");
        }
    });
    for _ in 0..20_000 {
        let _ = rig.no_data(UvCommand::VERIFY_IMG, conf);
    }
    setter.join().unwrap();
}

#[test]
fn a_take_over_that_fails_leaves_an_exported_page() {
    let rig = Rig::ready(Generation::Z17);
    let steps = [
        Step::store(GuestAddr(0x8000), b"shared"),
        uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, 0x8000)),
        diag(0x44, [0; 5]),
        Step::load(GuestAddr(0x8000), 6),
        diag(0x9c, [0; 5]),
    ];
    let (first, cpu, _) = rig.booted(0, steps);
    assert_eq!(rig.serve(&first, cpu).gr(5), 0x44);
    let second = rig.guest(1);
    assert_eq!(rig.import(&second, 0), OK);
    map(&second, 0, first.base + 0x8000);
    assert_eq!(rig.import(&second, 0), refused(UvRc::FOREIGN_FRAME), "its page is secure elsewhere");
    check(&rig);
    assert_eq!(rig.storage(UvCommand::PIN_PAGE_SHARED, first.base + 0x8000), refused(UvRc::STATE), "not shared now");
    let missing = rig.machine_enter(&first, cpu).unwrap_err();
    assert_eq!(missing.code, PgmCode::NON_SECURE_STORAGE_ACCESS);
    assert_eq!(rig.import(&first, 0x8000), OK, "shared again");
    assert_eq!(rig.serve(&first, cpu).gr(5), 0x9c);
    check(&rig);
}

#[test]
fn a_mapping_at_the_end_of_all_addresses_is_no_large_frame() {
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest(0);
    assert!((0..256).all(|page| rig.import(&guest, page << 12) == OK));
    map(&guest, 0, 0xffff_ffff_ffff_f000);
    let merge = rig.call(&mut ConvertTo::new(UvCommand::VERIFY_LARGE_FRAME, guest.conf, 0));
    assert_eq!(merge, refused(UvRc::LARGE_ORDER));
}

#[test]
fn sharing_never_fails_for_want_of_frames() {
    let memory = 3 * GIB + 64 * MIB;
    let rig = Rig::with(|config| config.memory = memory);
    let len = rig.info.uv_base_stor_len.get();
    assert_eq!(rig.call(&mut crate::abi::uvcb::InitUv::new(crate::sim::rig::UV_BASE, len)), OK);
    let unshare = uvc(&Share::new(UvCommand::REMOVE_SHARED_ACCESS, 0x8000));
    let share = uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, 0x8000));
    let (guest, cpu, seen) = rig.booted(0, [share, diag(0x44, [0; 5]), unshare]);
    assert_eq!(rig.serve(&guest, cpu).gr(5), 0x44);
    let other = rig.guest(1);
    assert!((0..GUEST_LEN >> 12).all(|page| rig.import(&other, page << 12) == OK));
    rig.serve(&guest, cpu);
    let seen = seen.lock();
    assert_eq!(crate::sim::rig::returned(seen.last().unwrap()).1, 1);
}

#[test]
fn a_control_block_that_cannot_be_answered_is_no_call() {
    let rig = Rig::ready(Generation::Z17);
    let at = rig.create_block(0).conf_base_stor_origin.get();
    rig.host.write(HostAddr(at), zerocopy::IntoBytes::as_bytes(&rig.create_block(0))).unwrap();
    // The block lies in the storage it donates: the call is done, and the host cannot read its answer.
    assert_eq!(rig.machine.execute_at(Uvc::default(), at), Ok(Cc::Done));
    assert!(rig.is_closed(at));
    let again = rig.call(&mut rig.create_block(0));
    assert_eq!(again, refused(UvRc::CONF_ASCE_USED));
}

#[test]
fn a_private_page_is_dumped_from_where_it_lies() {
    let rig = Rig::ready(Generation::Z17);
    let pages = [0x8000, 0x9000, 0xa000].map(|at| Step::store(GuestAddr(at), b"private"));
    let (guest, cpu, _) = rig.booted(0, pages);
    rig.serve(&guest, cpu);
    assert_eq!(rig.no_data(UvCommand::DUMP_INIT, guest.conf), OK);
    map(&guest, 0x8000, 4 * GIB);
    map(&guest, 0x9000, guest.base + 0x20_0000);
    guest.tables.moved.lock().insert(0xa000, None);
    let area = 0x50_0000;
    let storage = || rig.call(&mut DumpStorageState::new(guest.conf, area, 0));
    assert_eq!(storage(), OK, "wherever the host's tables lead");
    let entry = |page: u64| {
        let mut entry = [0; 16];
        rig.host.read(HostAddr(area + page * 16), &mut entry).unwrap();
        entry
    };
    let told = [8, 9, 10].map(entry);
    assert!(told.iter().all(|entry| matches!(StorageState::decode(entry), Ok(StorageState::Encrypted(_)))));
    for page in [0x8000, 0x9000, 0xa000] {
        let mut bytes = [0; 4096];
        rig.host.read(HostAddr(guest.base + page), &mut bytes).unwrap();
        assert!(bytes != [0; 4096] && !bytes.starts_with(b"private"), "ciphertext");
    }
    // What was told stays true until the dump is over.
    guest.tables.moved.lock().clear();
    assert_eq!(rig.import(&guest, 0x8000), refused(UvRc::STATE));
    assert_eq!((storage(), [8, 9, 10].map(entry)), (OK, told));
}

#[test]
fn a_dump_that_finds_a_cpu_at_work_changes_nothing() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, [diag(0x44, [0; 5])]);
    let running = rig.machine.cpu(cpu.handle).unwrap();
    let core = running.core.lock();
    let (cc, ..) = rig.no_data(UvCommand::DUMP_INIT, guest.conf);
    assert_eq!(cc, Cc::Busy);
    assert!(!rig.machine.conf(guest.conf).unwrap().life.lock().dumping);
    drop(core);
    assert_eq!(rig.serve(&guest, cpu).gr(5), 0x44);
}

#[test]
fn other_cpus_run_on_until_the_host_stops_them() {
    let rig = Rig::ready(Generation::Z17);
    let reset = Step::Call(GuestInsn::Diag308 { subcode: 1, address: 0, ipib: Vec::new() });
    let (guest, first, _) = rig.booted(0, [reset]);
    let second = rig.cpu(&guest, 1);
    rig.script(second, [diag(0x44, [0; 5]), diag(0x44, [0; 5])]);
    assert_eq!(rig.set_state(second, CpuState::OPERATING), OK);
    rig.change(second, |sd| sd.iictl = crate::abi::sie::InjectionControl::RESTART.0);
    assert_eq!(rig.enter(&guest, second).gr(5), 0x44);
    assert_eq!(rig.enter(&guest, first).gr(2), 1);
    assert_eq!(rig.enter(&guest, first).validity(), Some(Validity::CONF_STATE));
    assert_eq!(rig.enter(&guest, second).gr(5), 0x44, "nobody has stopped it");
    assert_eq!([first, second].map(|cpu| rig.set_state(cpu, CpuState::STOPPED)), [OK; 2]);
    assert_eq!(rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf), OK);
    assert_eq!(rig.no_data(UvCommand::PREPARE_RESET, guest.conf), OK);
    assert_eq!(rig.no_data(UvCommand::CPU_RESET, second.handle), OK);
    assert_eq!(rig.no_data(UvCommand::CPU_RESET_INITIAL, first.handle), OK);
    assert_eq!(rig.set_state(first, CpuState::OPERATING_LOAD), OK);
}

#[test]
fn a_reset_that_the_guest_did_not_ask_for_clears() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, [diag(0x44, [0; 5])]);
    assert_eq!(rig.serve(&guest, cpu).gr(5), 0x44);
    assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
    for command in [UvCommand::SET_UNSHARE_ALL, UvCommand::PREPARE_RESET] {
        assert_eq!(rig.no_data(command, guest.conf), OK);
    }
    assert_eq!(rig.no_data(UvCommand::CPU_RESET_INITIAL, cpu.handle), OK);
    assert_eq!(rig.set_state(cpu, CpuState::OPERATING_LOAD), OK);
    assert_eq!(rig.enter(&guest, cpu).validity(), Some(Validity::CPU_STATE), "the initial reset is not enough");
}

#[test]
fn what_was_measured_has_to_be_there() {
    let rig = Rig::ready(Generation::Z17);
    let guest = rig.guest(0);
    rig.unpacked(&guest, PlaintextControlFlags::PCKMO);
    assert_eq!(rig.storage(UvCommand::DESTR_SEC_STOR, guest.base + COMPONENT), OK);
    assert_eq!(rig.import(&guest, COMPONENT), OK, "zeros");
    let verify = || rig.no_data(UvCommand::VERIFY_IMG, guest.conf);
    assert_eq!(verify(), (Cc::Error, UvRc::VERIFY_MISMATCH, UvRrc(0x1b)));
    assert_eq!(verify(), refused(UvRc::STATE));
    assert_eq!(rig.import(&guest, 0x8000), OK, "a whole configuration, without a future");
}

#[test]
fn storage_that_another_call_holds_for_a_moment_is_busy() {
    let rig = Rig::ready(Generation::Z17);
    let mut block: CreateConf = rig.create_block(0);
    let (base, variable) = (block.conf_base_stor_origin.get(), block.conf_virt_stor_origin.get());
    rig.host.write(HostAddr(base), b"host").unwrap();
    for at in [base, variable] {
        let held = rig.machine.storage.claim(HostAddr(at)).ok().unwrap();
        assert_eq!((rig.call(&mut block).0, block.guest_handle.get()), (Cc::Busy, 0));
        drop(held);
        let mut word = [0; 4];
        rig.host.read(HostAddr(base), &mut word).unwrap();
        assert_eq!(&word, b"host", "nothing was taken or cleared");
    }
    assert_eq!(rig.call(&mut block), OK);
}

#[test]
fn a_page_that_leaves_while_frames_are_merged_takes_the_mark_along() {
    let rig = Arc::new(Rig::ready(Generation::Z17));
    let guest = rig.guest(0);
    assert!((0..256).all(|page| rig.import(&guest, page << 12) == OK));
    let (conf, base) = (guest.conf, guest.base);
    let other = Arc::clone(&rig);
    let exporter = thread::spawn(move || {
        let mut block = ConvertTo::new(UvCommand::CONV_TO_SEC_STOR, conf, 0x7000);
        for _ in 0..2000 {
            let _ = other.export(base + 0x7000);
            let _ = other.machine.uv_call(zerocopy::IntoBytes::as_mut_bytes(&mut block));
        }
        let _ = other.export(base + 0x7000);
    });
    let frames = &rig.machine.storage.frames;
    let owner = rig.machine.conf(conf).unwrap().id;
    while !exporter.is_finished() {
        let _ = rig.call(&mut ConvertTo::new(UvCommand::VERIFY_LARGE_FRAME, conf, 0));
    }
    exporter.join().unwrap();
    assert!(!frames.is_merged(HostAddr(base), owner, 0), "the last word was an export");
}
