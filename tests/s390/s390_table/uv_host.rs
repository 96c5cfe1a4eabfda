//! §11.1, rows 1 to 21 and 53 to 55: the instruction, the query, initialization, the reset of the machine.

use uv_s390::abi::uvc::{Cc, PgmCode, UvRc};
use uv_s390::abi::uvcb::{QueryInfo, Role, Share, UvCommand};
use uv_s390::sim::{Generation, Uvc};
use zerocopy::IntoBytes;

use crate::registry::Tests;
use crate::rig::{END, GIB, MIB, OK, Rig, UV_BASE, h16, h17, header_only, refused};

fn new() -> Rig {
    Rig::new(Generation::Z17)
}

pub(crate) fn register(tests: &mut Tests) {
    instruction(tests);
    query(tests);
    init(tests);
    access(tests);
    load_normal(tests);
}

fn instruction(tests: &mut Tests) {
    tests.row("uv_host::r01_i3", || {
        let block = &mut header_only(UvCommand::INIT_UV, 0x48);
        let extra = Uvc { i3: 4, i4: 2, problem_state: false };
        assert_eq!(new().machine.execute(extra, block).unwrap_err().code, PgmCode(0x06));
    });
    tests.each("uv_host::r02_privileged", h17(), |(command, len)| {
        let problem = Uvc { problem_state: true, ..Uvc::default() };
        let answer = new().machine.execute(problem, &mut header_only(command, len));
        assert_eq!(answer.unwrap_err().code, PgmCode(0x02));
    });
    for (name, command, len, bit) in [
        ("uv_host::r03_invalid_bogus", 0x4242, 8, None),
        ("uv_host::r04_invalid_share", 0x1000, 0x30, Some(8)),
        ("uv_host::r05_invalid_unshare", 0x1001, 0x30, Some(9)),
        ("uv_host::r06_invalid_attest", 0x1020, 0x188, Some(28)),
    ] {
        tests.row(name, move || {
            for rig in [new(), Rig::ready()] {
                assert_eq!(rig.bytes(&mut header_only(UvCommand(command), len)), Ok(refused(0x0002)));
                assert!(bit.is_none_or(|bit| !rig.info.calls.bit(bit)));
            }
        });
    }
    tests.each("uv_host::r07_uninitialized", h16(), |(command, len)| {
        assert_eq!(new().bytes(&mut header_only(command, len)), Ok(refused(0x0003)));
    });
}

fn query(tests: &mut Tests) {
    tests.row("uv_host::r08_query_length", || {
        assert_eq!(new().call_len(&mut QueryInfo::new(), 0xa0), refused(0x0005));
    });
    tests.row("uv_host::r09_query_insf_length", || {
        let mut block = QueryInfo::new();
        assert_eq!(new().call_len(&mut block, 0xa8), refused(0x0100));
        let whole = Generation::Z17.query(Role::Host);
        assert_eq!(block.as_bytes()[8..0xa8], whole.as_bytes()[8..0xa8]);
        assert!(block.as_bytes()[0xa8..].iter().all(|byte| *byte == 0), "nothing behind the length");
    });
    tests.row("uv_host::r10_successful_query", || {
        let mut block = QueryInfo::new();
        assert_eq!(new().call(&mut block), OK);
        assert_eq!(block.as_bytes()[8..], Generation::Z17.query(Role::Host).as_bytes()[8..]);
    });
    tests.each("uv_host::r11_query_calls", h17(), |(command, _)| {
        let mut block = QueryInfo::new();
        assert_eq!(new().call(&mut block), OK);
        assert_eq!(block.calls.has(command), Some(true));
    });
}

fn init(tests: &mut Tests) {
    tests.row("uv_host::r12_init_hdr_length", || {
        let mut block = uv_s390::abi::uvcb::InitUv::new(UV_BASE, new().info.uv_base_stor_len.get());
        assert_eq!(new().call_len(&mut block, 0x40), refused(0x0005));
    });
    tests.row("uv_host::r13_init_storage_length", || assert_eq!(new().init(UV_BASE, 8), refused(0x0103)));
    tests.row("uv_host::r14_init_origin_invalid", || assert_eq!(new().init(END, 0), refused(0x0105)));
    tests.row("uv_host::r15_init_origin_len", || {
        let rig = new();
        assert!(rig.info.uv_base_stor_len.get() > MIB, "the row is for machines that want more");
        assert_eq!(rig.init(END - MIB, 0), refused(0x0105));
    });
    tests.row("uv_host::r16_init_below_2g", || assert_eq!(new().init(GIB, 0), refused(0x0108)));
    tests.row("uv_host::r17_init_too_many_cpus", || {
        let rig = new();
        rig.machine.set_running_cpus(2);
        assert_eq!(rig.init(UV_BASE, 0), refused(0x0102));
        rig.machine.set_running_cpus(1);
        assert_eq!(rig.init(UV_BASE, 0), OK);
    });
    tests.row("uv_host::r18_init_success", || {
        let rig = new();
        assert_eq!(rig.init(UV_BASE, 0), OK);
        assert!(rig.is_closed(UV_BASE) && rig.is_closed(UV_BASE + rig.info.uv_base_stor_len.get() - 1));
    });
    tests.row("uv_host::r19_init_double", || {
        let rig = Rig::ready();
        assert_eq!(rig.init(UV_BASE + 64 * MIB, 0), refused(0x0101));
        assert!(!rig.is_closed(UV_BASE + 64 * MIB));
    });
}

fn access(tests: &mut Tests) {
    tests.each("uv_host::r20_access_non_crossing", h17(), |(command, len)| {
        let rig = Rig::ready();
        for accessible in [0, 7] {
            let block = &mut header_only(command, len)[..accessible];
            assert_eq!(rig.bytes(block).unwrap_err().code, PgmCode(0x11));
        }
    });
    tests.each("uv_host::r21_access_crossing", h17(), |(command, len)| {
        let rig = Rig::ready();
        for accessible in [8, usize::from(len) - 1] {
            let block = &mut header_only(command, len)[..accessible];
            assert_eq!(rig.bytes(block).unwrap_err().code, PgmCode(0x11));
            assert_eq!(block[4..8], [0; 4], "no rc is stored");
        }
    });
}

/// A machine with one configuration and one CPU, then reset; donated storage was not zero before.
fn after_reset(storage: impl FnOnce(&Rig, &crate::rig::Guest, crate::rig::Vcpu) -> u64) {
    let rig = new();
    let marked = rig.create_block(0);
    for at in [UV_BASE, marked.conf_base_stor_origin.get(), marked.conf_virt_stor_origin.get()] {
        rig.put(at, &[0xee; 8]);
    }
    assert_eq!(rig.init(UV_BASE, 0), OK);
    let guest = rig.guest(0);
    rig.put(rig.cpu_block(&guest, 0).stor_origin.get(), &[0xee; 8]);
    let cpu = rig.cpu(&guest, 0);
    let at = storage(&rig, &guest, cpu);
    assert!(rig.is_closed(at));
    rig.machine.load_normal();
    assert_eq!(rig.word(at), 0);
    assert!(!rig.is_closed(at));
}

fn load_normal(tests: &mut Tests) {
    tests.row("uv_host::r53_load_normal_init_storage", || after_reset(|_, _, _| UV_BASE));
    tests.row("uv_host::r54a_load_normal_conf_base", || {
        after_reset(|_, guest, _| guest.create.conf_base_stor_origin.get());
    });
    tests.row("uv_host::r54b_load_normal_conf_variable", || {
        after_reset(|_, guest, _| guest.create.conf_virt_stor_origin.get());
    });
    tests.row("uv_host::r54c_load_normal_cpu", || after_reset(|_, _, cpu| cpu.storage));
    tests.each("uv_host::r55_load_normal_uninitialized", h16(), |(command, len)| {
        let rig = Rig::ready();
        let ready = rig.bytes(&mut header_only(command, len)).unwrap();
        assert_ne!(ready.1, UvRc(0x0003), "initialized");
        rig.machine.load_normal();
        assert_eq!(rig.bytes(&mut header_only(command, len)), Ok(refused(0x0003)));
        assert_eq!(rig.call(&mut Share::new(UvCommand::SET_SHARED_ACCESS, 0)).0, Cc::Error);
    });
}
