//! Pages and slots: what a refused or finished call leaves of them.

use uv_core::{Gfn, HostAddr, NormalMemory, PageState};
use uv_sim::HostMemory;

use super::*;
use crate::sim::svm::{GfnState, SvmState};

fn first_byte(memory: &HostMemory, at: HostAddr) -> u8 {
    let mut byte = [0];
    memory.read(at, &mut byte).unwrap();
    byte[0]
}

#[test]
fn a_refused_page_in_changes_nothing() {
    for profile in Profile::ALL {
        let (machine, memory) = plain(profile);
        let svm = active(&machine);
        memory.write(RA, &[5; 16]).unwrap();
        assert_eq!(page_in(&machine, RA), UvCode::U_SUCCESS);
        assert_eq!(page_in(&machine, NOWHERE), UvCode::U_P2);
        assert_eq!(page_out(&machine, NOWHERE), UvCode::U_P2);
        assert_eq!((svm.gfn_state(GFN), svm.space.state(GFN)), (GfnState::Secure, Ok(PageState::Secure)));
        // A page that is out keeps its record.
        assert_eq!(page_out(&machine, RA), UvCode::U_SUCCESS);
        assert_eq!(page_in(&machine, NOWHERE), UvCode::U_P2);
        assert_eq!(svm.gfn_state(GFN), GfnState::PagedOut);
        assert_eq!(page_in(&machine, RA), UvCode::U_SUCCESS);
        // A normal page that is only noted, and one that is mapped.
        for state in [GfnState::HvSharing, GfnState::HvShared, GfnState::HvSharedInv, GfnState::PseudoSharedInv] {
            svm.set_gfn_state(GFN, state).unwrap();
            svm.forget_note(GFN);
            assert_eq!((page_in(&machine, NOWHERE), svm.gfn_state(GFN)), (UvCode::U_P2, state));
            assert_eq!(svm.noted(GFN), None);
            assert_eq!((page_in(&machine, RA), svm.noted(GFN)), (UvCode::U_SUCCESS, Some(RA)));
        }
        svm.space.share(GFN, &*memory, RA, uv_sim::Content::Kept).unwrap();
        for state in [GfnState::SharedInv, GfnState::SharedImplicitInv] {
            svm.set_gfn_state(GFN, state).unwrap();
            assert_eq!((page_in(&machine, NOWHERE), svm.gfn_state(GFN)), (UvCode::U_P2, state));
            assert_eq!(svm.space.shared_at(GFN), Some(RA));
        }
    }
}

#[test]
fn what_was_noted_of_a_page_ends_with_its_old_content() {
    for profile in Profile::ALL {
        let (machine, memory) = plain(profile);
        let svm = active(&machine);
        memory.write(RA, &[5; 16]).unwrap();
        svm.note(GFN, RA);
        assert_eq!((page_in(&machine, RA), svm.noted(GFN)), (UvCode::U_SUCCESS, None));
        // A page whose frame is still there when the share is taken back: nothing is mapped that could be withdrawn.
        for (before, after) in
            [(GfnState::HvShared, GfnState::HvSharedInv), (GfnState::PseudoShared, GfnState::PseudoSharedInv)]
        {
            svm.set_gfn_state(GFN, before).unwrap();
            svm.note(GFN, RA);
            assert_eq!(hv(&machine, UltracallNumber::UV_PAGE_INVAL, &[7, GPA, 16]), UvCode::U_SUCCESS);
            assert_eq!((svm.gfn_state(GFN), svm.noted(GFN)), (after, None));
        }
        svm.set_gfn_state(GFN, GfnState::HvUnsharing).unwrap();
        assert_eq!(hv(&machine, UltracallNumber::UV_PAGE_INVAL, &[7, GPA, 16]), UvCode::U_SUCCESS);
        assert_eq!((svm.gfn_state(GFN), svm.space.state(GFN)), (GfnState::HvUnsharingInv, Ok(PageState::Secure)));
        svm.set_gfn_state(GFN, GfnState::Shared).unwrap();
        svm.space.share(GFN, &*memory, RA, uv_sim::Content::Kept).unwrap();
        assert_eq!(hv(&machine, UltracallNumber::UV_PAGE_INVAL, &[7, GPA, 16]), UvCode::U_SUCCESS);
        assert_eq!((svm.gfn_state(GFN), svm.space.state(GFN)), (GfnState::SharedInv, Ok(PageState::Withdrawn)));
        // The slot goes: nothing of its pages is kept, of one that is out neither.
        let out = HostAddr(0x9_0000);
        for (number, flags) in [(UltracallNumber::UV_PAGE_IN, 0), (UltracallNumber::UV_PAGE_OUT, 0)] {
            assert_eq!(hv(&machine, number, &[7, out.0, 0x3_0000, flags, 16]), UvCode::U_SUCCESS);
        }
        assert_eq!(svm.space.state(Gfn(3)), Ok(PageState::Sealed));
        svm.note(GFN, RA);
        svm.brought.lock().insert(GFN.0);
        svm.note(Gfn(9), RA);
        assert_eq!(hv(&machine, UltracallNumber::UV_UNREGISTER_MEM_SLOT, &[7, 0]), UvCode::U_SUCCESS);
        assert_eq!((svm.noted(GFN), svm.has_brought(GFN), svm.noted(Gfn(9))), (None, false, Some(RA)));
        assert_eq!([GFN, Gfn(3)].map(|gfn| svm.space.state(gfn)), [Ok(PageState::Absent); 2]);
        assert_eq!((machine.secure_pages().0, svm.space.counts().sealed), (0, 0));
    }
}

#[test]
fn after_a_failed_transition_a_page_goes_out_once() {
    let (machine, memory) = plain(Profile::Documented);
    let svm = active(&machine);
    memory.write(RA, &[5; 16]).unwrap();
    assert_eq!(page_in(&machine, RA), UvCode::U_SUCCESS);
    svm.set_state(SvmState::Abort);
    let out = HostAddr(0x9_0000);
    assert_eq!(page_out(&machine, NOWHERE), UvCode::U_P2);
    assert_eq!((page_out(&machine, out), first_byte(&memory, out)), (UvCode::U_SUCCESS, 5));
    assert_eq!((svm.space.state(GFN), machine.secure_pages().0), (Ok(PageState::Absent), 0));
    // What is not there any more stays where it is.
    memory.write(out, &[6]).unwrap();
    assert_eq!((page_out(&machine, out), first_byte(&memory, out)), (UvCode::U_SUCCESS, 6));
    assert_eq!(page_out(&machine, NOWHERE), UvCode::U_P2);
    assert_eq!(svm.space.state(GFN), Ok(PageState::Absent));
}

#[test]
fn a_page_out_that_cannot_be_takes_no_frame() {
    for profile in Profile::ALL {
        let (machine, _) = plain(profile);
        let svm = active(&machine);
        svm.set_state(SvmState::Secure);
        assert_eq!((page_out(&machine, NOWHERE), machine.secure_pages().0), (UvCode::U_P2, 0));
        // A page of zeros needs a frame to be sealed from.
        let others = || (1000..1128).map(Gfn);
        others().for_each(|gfn| svm.space.zero_in(gfn).unwrap());
        let none = if profile == Profile::Firmware { UvCode::U_RETRY } else { UvCode::U_BUSY };
        assert_eq!((page_out(&machine, RA), svm.space.state(GFN)), (none, Ok(PageState::Absent)));
        others().for_each(|gfn| svm.space.destroy(gfn).unwrap());
        // A share that the engine knows and the page's state does not.
        let refused = if profile == Profile::Firmware { UvCode::U_PARAMETER } else { UvCode::U_P3 };
        svm.space.zero_in(GFN).unwrap();
        svm.space.share(GFN, &*machine.inner().platform.memory, RA, uv_sim::Content::Kept).unwrap();
        assert_eq!((page_out(&machine, RA), svm.space.state(GFN)), (refused, Ok(PageState::Shared)));
    }
}

#[test]
fn the_end_of_the_page_table_and_the_order_of_checks() {
    for profile in Profile::ALL {
        let (machine, _) = plain(profile);
        active(&machine);
        let told = |code| if profile == Profile::Firmware { UvCode::U_PARAMETER } else { code };
        let register = |args: [u64; 4]| {
            hv(&machine, UltracallNumber::UV_REGISTER_MEM_SLOT, &[7, args[0], args[1], args[2], args[3]])
        };
        let last = (1 << 42) - 0x1_0000;
        assert_eq!(register([last, 0x1_0001, 0, 600]), told(UvCode::U_P3));
        assert_eq!(register([last, 0x1_0000, 0, 600]), told(UvCode::U_P5));
        assert_eq!(register([0, 0x1_0000, 9, 1]), told(UvCode::U_P2), "overlaps, and wrong flags");
        assert_eq!(register([last, 0x1_0000, 0, 0x7_0001]), UvCode::U_SUCCESS, "16 bits are the number");
        let svm = machine.inner().svm(7).unwrap();
        assert!(svm.slots.read().contains(Gfn(last >> 16)));
        assert_eq!(svm.space.state(GFN), Ok(PageState::Absent));
    }
}

#[test]
fn a_slot_that_is_replaced_gives_its_pages_up() {
    for profile in Profile::ALL {
        let (machine, _) = plain(profile);
        let svm = active(&machine);
        assert_eq!((page_in(&machine, RA), machine.secure_pages().0), (UvCode::U_SUCCESS, 1));
        assert_eq!(hv(&machine, UltracallNumber::UV_REGISTER_MEM_SLOT, &[7, 0, 0x4_0000, 0, 0]), UvCode::U_SUCCESS);
        assert_eq!((svm.space.state(GFN), machine.secure_pages().0), (Ok(PageState::Absent), 0));
    }
}

#[test]
fn a_vm_gives_back_what_it_reserved_and_no_more() {
    let (machine, _) = plain(Profile::Firmware);
    // Four units: the VM and its slot have two, another VM one.
    active(&machine);
    call(&machine, Msr::empty(), Lpid(8), UltracallNumber::UV_ESM, &[0x1_0000, 0x2_0000]);
    assert_eq!(hv(&machine, UltracallNumber::UV_SVM_TERMINATE, &[8]), UvCode::U_SUCCESS);
    let register =
        |first: u64, id| hv(&machine, UltracallNumber::UV_REGISTER_MEM_SLOT, &[7, first << 21, 0x1_0000, 0, id]);
    let ok = UvCode::U_SUCCESS;
    assert_eq!([register(1, 1), register(2, 2), register(3, 3)], [ok, ok, UvCode::U_PARAMETER]);
}
