//! §1.2: response codes that all commands share, each from a call that gives it.

use std::sync::Arc;

use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_s390::abi::sie::{AddressSpaces, GuestMap, HostMapping, MappingSize};
use uv_s390::abi::uvc::{Cc, UvRc, UvRrc};
use uv_s390::abi::uvcb::{CpuState, DumpComplete, NoData, SetParams, Share, UvCommand};
use uv_s390::sim::GuestInsn;
use uv_sim::guest::Step;
use zerocopy::IntoBytes;

use crate::registry::Tests;
use crate::rig::{END, OK, Rig, refused, uvc};

/// A home space in which each virtual page of the first MiB lies at the end of host memory, and nothing else is mapped.
struct Beyond;

impl GuestMap for Beyond {
    fn translate(&self, addr: GuestAddr) -> Option<HostMapping> {
        let frame = HostAddr(END + (addr.0 & !0xfff));
        (addr.0 < 1 << 20).then_some(HostMapping { frame, writable: true, size: MappingSize::Page })
    }
}

/// ASCE of the home space.
const HOME: u64 = 0x9000;
/// More pages than one issue of SET_UNSHARE_ALL takes.
const SHARED: u64 = 300;

/// A machine with a dump begun, and the codes of its end with the area at a host virtual address of [`Beyond`].
fn dump_area(asce: u64, at: u64) -> uv_s390::abi::uvc::UvRc {
    let rig = Rig::ready();
    let (guest, _, _) = rig.booted(0, []);
    assert_eq!(rig.no_data(UvCommand::DUMP_INIT, guest.conf), OK);
    rig.machine.attach(HOME, Arc::new(Beyond));
    rig.machine.set_home_space(Some(asce));
    let (cc, rc, _) = rig.call(&mut DumpComplete::new(guest.conf, at));
    assert_eq!(cc, Cc::Error);
    rig.machine.set_home_space(None);
    assert_eq!(rig.call(&mut DumpComplete::new(guest.conf, 0x50_0000)), OK, "the dump went on");
    rc
}

pub(crate) fn register(tests: &mut Tests) {
    tests.row("s102_common::r0007_no_resume", || {
        let rig = Rig::ready();
        let pages = (0x10..0x10 + SHARED).map(|page| page << 12);
        let shares = pages
            .flat_map(|at| [Step::store(GuestAddr(at), b"open"), uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, at))]);
        let (guest, cpu, _) = rig.booted(0, shares.chain([Step::Call(GuestInsn::Wait)]));
        rig.serve(&guest, cpu);
        assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
        let unshare = || {
            let mut block = NoData::new(UvCommand::SET_UNSHARE_ALL, guest.conf);
            let before = block.as_bytes().to_vec();
            let (cc, rc, rrc) = rig.call(&mut block);
            assert!(cc != Cc::Partial || block.as_bytes() == before, "a partial call leaves its block alone");
            (cc, rc, rrc)
        };
        let partial = (Cc::Partial, UvRc(0), UvRrc(0));
        assert_eq!(unshare(), partial);
        assert_eq!([rig.set_state(cpu, CpuState::OPERATING), rig.set_state(cpu, CpuState::STOPPED)], [OK; 2]);
        assert_eq!([unshare(), unshare()], [refused(0x0007), OK]);
    });
    tests.row("s102_common::r0030_home_real_space", || {
        assert_eq!(dump_area(HOME | 0x20, 0).0, 0x0030);
        let rig = Rig::ready();
        rig.machine.set_home_space(Some(HOME | 0x20));
        let guest = rig.create_block(0);
        assert_eq!(rig.call(&mut { guest }), refused(0x0030));
        assert_eq!(rig.call(&mut SetParams::new(7, 0, 640)), refused(0x0020), "the handle comes first");
    });
    tests.row("s102_common::r0031_translation", || assert_eq!(dump_area(HOME, 1 << 20).0, 0x0031));
    tests.row("s102_common::r0032_invalid_absolute", || {
        assert_eq!(dump_area(HOME, 0).0, 0x0032);
        let rig = Rig::ready();
        assert!(rig.host.check(HostAddr(END), 1).is_err());
    });
}
