//! The core's traits on a VM: where a range stops, what each state permits.

use uv_core::{
    ArgumentError, DestroyPages, Gfn, PageIn, PageOut, PageRange, PageSize, PageState, RangeError, SecureVm,
    SharePages, VmState,
};
use uv_s390::abi::uvc::UvRc;
use uv_s390::abi::uvcb::UvCommand as C;
use uv_s390::hypervisor::kernel::{HostError, MpState};
use uv_s390::hypervisor::vmm::VmmError;
use uv_s390::sim::Generation;

use crate::rig::{PAGES, Rig, Spoil, rc, refuse};

fn range(first: u64, pages: u64) -> PageRange {
    PageRange::new(Gfn(first), pages)
}

fn refused(result: Result<(), RangeError<HostError>>) -> (u64, UvRc) {
    let error = result.expect_err("refused");
    (error.done, rc(error.error))
}

#[test]
fn a_range_stops_where_it_fails() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let not_protected = Err(RangeError { done: 0, error: HostError::NotProtected });
    assert_eq!(guest.page_in_range(range(0x300, 4)), not_protected);
    assert_eq!(guest.page_out_range(range(0x300, 4)), not_protected);
    assert_eq!(guest.destroy_range(range(0x300, 4)), not_protected);
    let outside = Err(RangeError { done: 0, error: ArgumentError::NoSlot(Gfn(PAGES)).into() });
    assert_eq!(guest.page_in_range(range(PAGES - 1, 2)), outside, "before protection is looked at");
    assert_eq!((guest.vm_state(), guest.page_size()), (VmState::Normal, PageSize::K4));
    assert_eq!((guest.terminate(), rig.log()), (Ok(()), vec![]), "nothing to end");
    rig.verified(&guest);
    assert_eq!(guest.vm_state(), VmState::Secure);
    rig.log();
    assert_eq!(guest.page_in_range(range(PAGES - 1, 2)), outside);
    assert_eq!(rig.log(), [], "not even the page that is there");
    // Each page that is not mapped is tried twice.
    rig.uvc.plan(C::CONV_TO_SEC_STOR, [Spoil::Pass, Spoil::Pass, refuse(0x1f0)]);
    assert_eq!(refused(guest.page_in_range(range(0x300, 4))), (1, UvRc(0x1f0)));
    assert_eq!(rig.log(), [C::CONV_TO_SEC_STOR; 3]);
    let state = |page: u64| guest.page_state(Gfn(page)).unwrap();
    assert_eq!([0x300, 0x301].map(state), [PageState::Secure, PageState::Absent]);
    guest.page_in_range(range(0x302, 2)).unwrap();
    rig.log();
    rig.uvc.plan(C::CONV_FROM_SEC_STOR, [Spoil::Pass, refuse(0x1f1)]);
    assert_eq!(refused(guest.page_out_range(range(0x300, 4))), (2, UvRc(0x1f1)));
    assert_eq!(rig.log(), [C::CONV_FROM_SEC_STOR; 2], "none for a page that is out");
    assert_eq!([0x300, 0x301, 0x302, 0x303].map(state)[..2], [PageState::Sealed, PageState::Absent]);
    assert_eq!(state(0x302), PageState::Secure);
    // An exported page has to come back before it can be destroyed.
    guest.destroy_range(range(0x300, 1)).unwrap();
    assert_eq!(rig.log(), [C::CONV_TO_SEC_STOR, C::DESTR_SEC_STOR]);
    rig.uvc.plan(C::DESTR_SEC_STOR, [Spoil::Pass, refuse(0x1f2)]);
    assert_eq!(refused(guest.destroy_range(range(0x302, 2))), (1, UvRc(0x1f2)));
    assert_eq!([0x300, 0x302, 0x303].map(state), [PageState::Absent, PageState::Absent, PageState::Secure]);
    assert!(guest.as_destroy_pages().is_some());
    for page in [0x300, 0x303] {
        assert_eq!(guest.withdraw(Gfn(page)), Err(HostError::NotShared(Gfn(page))));
        assert_eq!(guest.is_shared(Gfn(page)), Ok(false));
    }
    assert_eq!(guest.page_state(Gfn(PAGES)), Err(ArgumentError::NoSlot(Gfn(PAGES)).into()));
    guest.terminate().unwrap();
    assert_eq!(guest.vm_state(), VmState::Normal);
}

#[test]
fn the_lowest_cpu_starts_the_guest() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(0);
    for number in [5, 2, 9] {
        guest.add_cpu(number).unwrap();
    }
    guest.set_mp_state(9, MpState::Operating).unwrap();
    let started = guest.start_protected(&rig.ipib).unwrap();
    assert_eq!(started.components.len(), rig.components.len());
    assert_eq!([2, 5, 9].map(|cpu| guest.is_stopped(cpu).unwrap()), [false, true, true]);
    assert_eq!(guest.start_protected(&rig.ipib), Err(VmmError::Kernel(HostError::Protected)));
}
