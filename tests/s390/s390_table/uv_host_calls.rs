//! §11.1, rows 22 to 52: configurations, CPUs, SE header.

use uv_s390::abi::uvc::UvRc;
use uv_s390::abi::uvcb::{CreateConf, CreateCpu, NoData, SetParams, UvCommand};
use uv_s390::sim::Generation;

use crate::registry::Tests;
use crate::rig::{Codes, END, MIB, OK, Rig, home, refused};

/// Creates a configuration and holds what every case of the table asks for: a handle comes back only with rc 1 or flag
/// 0x8000, and then it can be destroyed.
fn cgc(rig: &Rig, len: u16, change: impl FnOnce(&mut CreateConf)) -> Codes {
    let mut block = rig.create_block(0);
    block.guest_stor_len = (42 * MIB).into();
    block.guest_asce = ((home(0) + 69 * MIB) | 0x103).into();
    change(&mut block);
    let codes = rig.call_len(&mut block, len);
    let handle = block.guest_handle.get();
    let live = codes.1 == UvRc::EXECUTED || codes.1.needs_destroy();
    assert_eq!(live, handle != 0);
    if live {
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, handle), OK);
    } else {
        assert!(!rig.is_closed(home(0) + 64 * MIB) && !rig.is_closed(home(0) + 65 * MIB), "nothing was taken");
    }
    codes
}

fn refused_create(tests: &mut Tests, name: &str, rc: u16, change: fn(&Rig, &mut CreateConf)) {
    tests.row(name, move || {
        let rig = Rig::ready();
        assert_eq!(cgc(&rig, 0x80, |block| change(&rig, block)), refused(rc));
    });
}

pub(crate) fn register(tests: &mut Tests) {
    creation(tests);
    donated(tests);
    cpus(tests);
    header(tests);
    destruction(tests);
}

fn creation(tests: &mut Tests) {
    tests.row("uv_host::r22_cgc_hdr_length", || assert_eq!(cgc(&Rig::ready(), 0x78, |_| ()), refused(0x0005)));
    refused_create(tests, "uv_host::r23_cgc_mso", 0x0101, |rig, block| {
        block.guest_stor_origin = (rig.info.max_guest_stor_addr.get() + 2 * MIB + 1).into();
    });
    refused_create(tests, "uv_host::r24_cgc_mso_msl", 0x0102, |rig, block| {
        block.guest_stor_origin = (rig.info.max_guest_stor_addr.get() - MIB).into();
    });
    refused_create(tests, "uv_host::r25_cgc_asce_p_off", 0x0105, |_, block| {
        block.guest_asce = (block.guest_asce.get() & !0x100).into();
    });
    refused_create(tests, "uv_host::r26_cgc_asce_bit_58", 0x0105, |_, block| {
        block.guest_asce = (block.guest_asce.get() | 0x20).into();
    });
    refused_create(tests, "uv_host::r27_cgc_base_beyond_memory", 0x0108, |_, block| {
        block.conf_base_stor_origin = (END + 8).into();
    });
    refused_create(tests, "uv_host::r28_cgc_base_in_lowcore", 0x0109, |_, block| {
        block.conf_base_stor_origin = 0x1000.into();
    });
    refused_create(tests, "uv_host::r29_cgc_sca_0", 0x010c, |_, block| block.guest_sca = 0.into());
    refused_create(tests, "uv_host::r30_cgc_sca_inaccessible", 0x010d, |_, block| {
        block.guest_sca = (END + 0x4000).into();
    });
    tests.row("uv_host::r31_cgc_success", || assert_eq!(cgc(&Rig::ready(), 0x80, |_| ()), OK));
}

/// Every page of an area raises 0x3d on read and on write, the page after it does not.
fn assert_closed(rig: &Rig, origin: u64, len: u64) {
    let end = origin + len.next_multiple_of(0x1000);
    assert!(len > 0 && (origin..end).step_by(0x1000).all(|page| rig.is_closed(page)));
    assert!(!rig.is_closed(end) && !rig.is_closed(origin - 1));
}

fn donated(tests: &mut Tests) {
    tests.row("uv_host::r32_cgc_base_protection", || {
        let rig = Rig::ready();
        let guest = rig.guest(0);
        assert_closed(&rig, guest.create.conf_base_stor_origin.get(), rig.info.conf_base_phys_stor_len.get());
    });
    tests.row("uv_host::r33_cgc_variable_protection", || {
        let rig = Rig::ready();
        let guest = rig.guest(0);
        let len = rig.info.variable_storage_len(guest.create.guest_stor_len.get()).unwrap();
        assert_closed(&rig, guest.create.conf_virt_stor_origin.get(), len);
    });
    tests.row("uv_host::r34_cgc_reuse_uvcb", || {
        let rig = Rig::ready();
        rig.guest(0);
        let mut again = rig.create_block(0);
        assert_eq!((rig.call(&mut again), again.guest_handle.get()), (refused(0x0104), 0));
        again.guest_asce = (again.guest_asce.get() + 0x1000).into();
        assert_eq!((rig.call(&mut again), again.guest_handle.get()), (refused(0x0108), 0), "the storage alone");
    });
    tests.row("uv_host::r35_cgc_reuse_asce", || {
        let rig = Rig::ready();
        let first = rig.guest(0);
        let mut block = rig.create_block(1);
        block.guest_asce = first.asce.into();
        assert_eq!((rig.call(&mut block), block.guest_handle.get()), (refused(0x0104), 0));
    });
}

/// Creates a CPU; a handle comes back only with rc 1.
fn csc(rig: &Rig, len: u16, change: impl FnOnce(&mut CreateCpu)) -> Codes {
    let guest = rig.guest(0);
    let mut block = rig.cpu_block(&guest, 0);
    change(&mut block);
    let codes = rig.call_len(&mut block, len);
    assert_eq!(codes == OK, block.cpu_handle.get() != 0);
    codes
}

fn refused_cpu(tests: &mut Tests, name: &str, rc: u16, change: fn(&Rig, &mut CreateCpu)) {
    tests.row(name, move || {
        let rig = Rig::ready();
        assert_eq!(csc(&rig, 0x60, |block| change(&rig, block)), refused(rc));
    });
}

fn cpus(tests: &mut Tests) {
    tests.row("uv_host::r36_csc_hdr_length", || assert_eq!(csc(&Rig::ready(), 0x58, |_| ()), refused(0x0005)));
    refused_cpu(tests, "uv_host::r37_csc_bad_guest_handle", 0x0020, |_, block| {
        block.guest_handle = (block.guest_handle.get() + 1).into();
    });
    refused_cpu(tests, "uv_host::r38_csc_cpu_number", 0x0103, |rig, block| {
        block.num = (rig.info.max_guest_cpu_id.get() + 1).into();
    });
    refused_cpu(tests, "uv_host::r39_csc_storage_inaccessible", 0x0105, |_, block| {
        block.stor_origin = (END + 0x1000).into();
    });
    refused_cpu(tests, "uv_host::r40_csc_storage_lowcore", 0x0106, |_, block| block.stor_origin = 0.into());
    refused_cpu(tests, "uv_host::r41_csc_state_inaccessible", 0x0107, |_, block| {
        block.state_origin = (END + 0x1000).into();
    });
    tests.row("uv_host::r42_csc_success", || assert_eq!(csc(&Rig::ready(), 0x60, |_| ()), OK));
    tests.row("uv_host::r43_csc_storage_protection", || {
        let rig = Rig::ready();
        let guest = rig.guest(0);
        let cpu = rig.cpu(&guest, 0);
        assert_closed(&rig, cpu.storage, rig.info.cpu_stor_len.get());
    });
    tests.row("uv_host::r44_csc_already_defined", || {
        let rig = Rig::ready();
        let guest = rig.guest(0);
        rig.cpu(&guest, 0);
        let mut block = rig.cpu_block(&guest, 0);
        block.stor_origin = (block.stor_origin.get() + 16 * MIB).into();
        assert_eq!((rig.call(&mut block), block.cpu_handle.get()), (refused(0x0104), 0));
    });
}

fn header(tests: &mut Tests) {
    for (name, len, wrong, origin, rc) in [
        ("uv_host::r45_sscp_hdr_length", 0x48, 0, home(0), 0x0005),
        ("uv_host::r46_sscp_bad_handle", 0x50, 1, home(0), 0x0020),
        ("uv_host::r47_sscp_header_access", 0x50, 0, END, 0x0103),
        ("uv_host::r48_sscp_header_crossing", 0x50, 0, END - 0x20, 0x0103),
    ] {
        tests.row(name, move || {
            let rig = Rig::ready();
            let guest = rig.guest(0);
            let mut block = SetParams::new(guest.conf + wrong, origin, 0x1000);
            assert_eq!(rig.call_len(&mut block, len), refused(rc));
        });
    }
}

fn destruction(tests: &mut Tests) {
    tests.row("uv_host::r49_dcpu_hdr_length", || {
        let rig = Rig::ready();
        let cpu = rig.cpu(&rig.guest(0), 0);
        let mut block = NoData::new(UvCommand::DESTROY_SEC_CPU, cpu.handle);
        assert_eq!(rig.call_len(&mut block, 0x38), refused(0x0005));
    });
    tests.row("uv_host::r50_dcpu_bad_handle", || {
        for generation in [Generation::Z16, Generation::Z17] {
            let rig = Rig::ready_on(generation);
            let cpu = rig.cpu(&rig.guest(0), 0);
            assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle + 1), refused(0x0021));
        }
    });
    tests.row("uv_host::r51_dcpu_success", || {
        let rig = Rig::ready();
        let cpu = rig.cpu(&rig.guest(0), 0);
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle), OK);
        assert!(!rig.is_closed(cpu.storage));
    });
    tests.row("uv_host::r52a_dsc_hdr_length", || {
        let rig = Rig::ready();
        let mut block = NoData::new(UvCommand::DESTROY_SEC_CONF, rig.guest(0).conf);
        assert_eq!(rig.call_len(&mut block, 0x38), refused(0x0005));
    });
    tests.row("uv_host::r52b_dsc_bad_handle", || {
        let rig = Rig::ready();
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, rig.guest(0).conf + 1), refused(0x0020));
    });
    tests.row("uv_host::r52c_dsc_success", || {
        let rig = Rig::ready();
        let guest = rig.guest(0);
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, guest.conf), OK);
        let create = guest.create;
        assert!(!rig.is_closed(create.conf_base_stor_origin.get()));
        assert!(!rig.is_closed(create.conf_virt_stor_origin.get()));
    });
}
