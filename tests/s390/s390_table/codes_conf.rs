//! §1.7: codes of configuration and CPU calls that no row of §11 asserts.

use crate::registry::Tests;
use crate::rig::{END, OK, Rig, items, refused};
use uv_s390::abi::ap::{ApMode, Apqn, PqapFunction};
use uv_s390::abi::uvc::{Cc, UvRc, UvRrc};
use uv_s390::abi::uvcb::{CpuState, DestroyFast, UvCommand};
use uv_s390::owner::crypto::SecretBytes;
use uv_s390::sim::GuestInsn;
use uv_sim::guest::Step;

pub(crate) fn register(tests: &mut Tests) {
    tests.row("s107_conf::create_0x8000_flag", || {
        let rig = Rig::ready();
        let mut block = rig.create_block(0);
        let base = block.conf_base_stor_origin.get();
        block.conf_virt_stor_origin = END.into();
        let (cc, rc, rrc) = rig.call(&mut block);
        let handle = block.guest_handle.get();
        assert_eq!((cc, rrc), (Cc::Error, UvRrc(0)));
        assert!(rc.needs_destroy() && rc.base().0 >= 0x100 && handle != 0);
        assert!(rig.is_closed(base), "the base storage is taken");
        assert_eq!(rig.call(&mut rig.create_block(0)), refused(0x0104), "its address space, too");
        assert_eq!(rig.no_data(UvCommand::VERIFY_IMG, handle), refused(UvRc::STATE.0), "nothing but an end");
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, handle), OK);
        assert!(!rig.is_closed(base));
        assert_eq!(rig.call(&mut rig.create_block(0)), OK);
    });
    tests.row("s107_conf::destroy_fast_ap", || {
        let rig = Rig::ready();
        let queue = Apqn::new(3, 7);
        rig.machine.install_ap_queue(queue, ApMode::Ep11, |_: &[u8], _: Option<&SecretBytes<32>>| Vec::new());
        let guest = rig.guest_with(0, |create| create.flags = 1.into());
        assert!(rig.machine.assign_ap_queue(queue, Some(guest.conf)));
        let bind = GuestInsn::Pqap { gr0: PqapFunction::BIND.register(queue), gr2: 0 };
        let (guest, cpu, _) = rig.boot(guest, [Step::Call(bind)]);
        rig.enter(&guest, cpu);
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle), OK);
        assert_eq!(rig.call(&mut DestroyFast::new(guest.conf)), refused(0x0104));
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, guest.conf), refused(UvRc::STATE.0));
        assert!(rig.machine.zeroize_ap_queue(queue));
        assert_eq!(rig.call(&mut DestroyFast::new(guest.conf)), OK);
        assert_eq!(rig.call(&mut DestroyFast::new(guest.conf)), refused(0x0020));
    });
    tests.row("s107_conf::create_sca_one_page", || {
        let rig = Rig::ready();
        let guest = rig.guest(0);
        let closed = guest.create.conf_base_stor_origin.get();
        let mut block = rig.create_block(1);
        block.guest_sca = closed.into();
        assert_eq!(rig.call(&mut block), refused(0x010d));
        block.guest_sca = (closed - 0x1000).into();
        assert_eq!(rig.call(&mut block), OK, "the next frame is closed");
    });
    tests.row("s107_conf::destroy_with_cpu", || {
        let rig = Rig::ready();
        let guest = rig.guest(0);
        let cpu = rig.cpu(&guest, 0);
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, guest.conf), refused(UvRc::STATE.0));
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle), OK);
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, guest.conf), OK);
    });
    let calls = [
        ("cpu_reset", (UvCommand::CPU_RESET, 0x0021)),
        ("cpu_reset_initial", (UvCommand::CPU_RESET_INITIAL, 0x0021)),
        ("cpu_reset_clear", (UvCommand::CPU_RESET_CLEAR, 0x0021)),
        ("cpu_set_state", (UvCommand::CPU_SET_STATE, 0x0021)),
        ("prepare_reset", (UvCommand::PREPARE_RESET, 0x0020)),
        ("unshare_all", (UvCommand::SET_UNSHARE_ALL, 0x0020)),
        ("verify", (UvCommand::VERIFY_IMG, 0x0020)),
    ];
    tests.each("s107_conf::reset_calls_bad_handle", items(calls), |(command, rc)| {
        let rig = Rig::ready();
        let (guest, mut cpu, _) = rig.booted(0, []);
        cpu.handle ^= 1;
        let codes = match (command, rc) {
            (UvCommand::CPU_SET_STATE, _) => rig.set_state(cpu, CpuState::STOPPED),
            (_, 0x0021) => rig.no_data(command, cpu.handle),
            _ => rig.no_data(command, guest.conf ^ 1),
        };
        assert_eq!(codes, refused(rc));
    });
}
