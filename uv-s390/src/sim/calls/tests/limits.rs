//! Limits of a creation, what comes first, and frames that are not the host's to give.

use core::sync::atomic::Ordering;

use uv_sim::guest::Step;

use crate::abi::uvc::{Cc, UvRc};
use crate::abi::uvcb::{CreateConf, Share, UvCommand};
use crate::sim::Generation;
use crate::sim::frames::ConfId;
use crate::sim::profile::MAX_GUEST_ADDRESS;
use crate::sim::rig::{Codes, OK, Rig, refused, uvc};

/// The codes of a creation with something wrong, and the handle it left.
fn with(rig: &Rig, n: u64, change: impl FnOnce(&mut CreateConf)) -> (Codes, u64) {
    let mut block = rig.create_block(n);
    change(&mut block);
    (rig.call(&mut block), block.guest_handle.get())
}

#[test]
fn limits_and_what_comes_first() {
    let rig = Rig::ready(Generation::Z17);
    let no = |rc| (refused(rc), 0);
    let (max, first) = (MAX_GUEST_ADDRESS, rig.guest(0));
    let donated = first.create.conf_base_stor_origin;
    let end_at = |b: &mut CreateConf, end: u64| b.guest_stor_origin = (end - b.guest_stor_len.get()).into();
    assert_eq!(with(&rig, 1, |b| b.guest_stor_origin = max.into()), no(UvRc::CONF_MSL), "an address there is");
    assert_eq!(with(&rig, 1, |b| b.guest_stor_origin = (max + 1).into()), no(UvRc::CONF_MSO));
    assert_eq!(with(&rig, 1, |b| end_at(b, max + 0x1001)), no(UvRc::CONF_MSL));
    let unaligned = |b: &mut CreateConf| end_at(b, max + 2);
    assert_eq!(with(&rig, 1, unaligned), no(UvRc::CONF_MSL), "the end before whole pages");
    let taken = |b: &mut CreateConf| (b.conf_base_stor_origin, b.flags) = (donated, 4.into());
    assert_eq!(with(&rig, 1, taken), no(UvRc::CONF_BASE), "base storage before flags");
    let unaligned = |b: &mut CreateConf| {
        b.conf_base_stor_origin = (b.conf_base_stor_origin.get() + 8).into();
        b.flags = 4.into();
    };
    assert_eq!(with(&rig, 1, unaligned), no(UvRc::CONF_BASE));
    assert_eq!(with(&rig, 1, |b| b.conf_base_stor_origin = 8.into()), no(UvRc::CONF_BASE));
    let lowcore = |b: &mut CreateConf| (b.conf_base_stor_origin, b.flags) = (0.into(), 4.into());
    assert_eq!(with(&rig, 1, lowcore), no(UvRc::CONF_BASE_LOWCORE), "before flags");
    let flags = |b: &mut CreateConf| (b.flags, b.guest_sca) = (4.into(), 0.into());
    assert_eq!(with(&rig, 1, flags), no(UvRc::CONF_FLAGS), "before the SCA");
    let partial = (Cc::Error, UvRc(0x810a), crate::abi::uvc::UvRrc(0));
    let half = |change: &dyn Fn(&mut CreateConf)| {
        let (codes, handle) = with(&rig, 1, change);
        assert_eq!(codes, partial);
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, handle), OK);
    };
    half(&|b| b.conf_virt_stor_origin = (b.conf_virt_stor_origin.get() + 8).into());
    half(&|b| b.conf_virt_stor_origin = donated);
    half(&|b| b.guest_stor_len = (max + 1).into());
    for (n, flags) in [(1, 1), (2, 2), (3, 3)] {
        assert_eq!(with(&rig, n, |b| b.flags = flags.into()).0, OK);
    }
    assert_eq!(with(&rig, 4, |b| end_at(b, max + 1)).0, OK, "up to the highest address");
}

#[test]
fn the_numbers_of_configurations_end() {
    let rig = Rig::ready(Generation::Z17);
    rig.machine.next_id.store(ConfId::MAX, Ordering::Relaxed);
    assert_eq!(with(&rig, 0, |_| ()).0, OK, "the last one");
    assert_eq!(with(&rig, 1, |_| ()), (refused(UvRc::CONF_0106), 0));
}

#[test]
fn a_frame_that_a_guest_shares_is_not_the_hosts_to_give() {
    let rig = Rig::ready(Generation::Z17);
    let share = uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, 0x8000));
    let (guest, cpu, _) = rig.booted(0, [Step::store(uv_core::GuestAddr(0x8000), b"open"), share]);
    rig.serve(&guest, cpu);
    let shared = guest.base + 0x8000;
    assert!(!rig.is_closed(shared));
    assert_eq!(with(&rig, 1, |b| b.conf_base_stor_origin = shared.into()), (refused(UvRc::CONF_BASE), 0));
    assert_eq!(with(&rig, 1, |b| b.conf_virt_stor_origin = shared.into()).0.1, UvRc(0x810a));
    let mut block = rig.cpu_block(&guest, 1);
    block.stor_origin = shared.into();
    assert_eq!((rig.call(&mut block), block.cpu_handle.get()), (refused(UvRc::CPU_STORAGE), 0));
}
