//! Rows G: `UV_PAGE_INVAL`.

use std::{cell::RefCell, rc::Rc};

use uv_core::Gfn;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::{Profile, UvCode, ultracall};
use uv_power::sim::{GfnState, GuestStep};

use crate::rig::*;

rows! { g01 g02 g03 g04 g05 g06 g07 g08 g09 g10 g11 g12 g13 }

const GPA: u64 = 0x100_0000;
const GFN: u64 = GPA >> 16;
const RA: u64 = 0x400_0000;

fn share() -> GuestStep {
    sc2(UltracallNumber::UV_SHARE_PAGE, &[GFN, 2])
}

fn unshare() -> GuestStep {
    sc2(UltracallNumber::UV_UNSHARE_PAGE, &[GFN, 2])
}

fn g01() {
    both(|p| assert_eq!(Rig::active_with_slot(p).call(UltracallNumber::UV_PAGE_INVAL, &[99, 1, 12]), UvCode::U_P3));
}

fn g02() {
    both(|p| assert_eq!(Rig::active(p).call(UltracallNumber::UV_PAGE_INVAL, &[99, GPA, 16]), UvCode::U_PARAMETER));
}

fn g03() {
    both(|p| assert_eq!(Rig::aborted(p).page_inval(1 << 50), pick(p, UvCode::U_PARAMETER, UvCode::U_STATE)));
}

fn g04() {
    both(|p| {
        let rig = Rig::secure(p, vec![pause()]);
        for gpa in [GUEST, GPA + 1] {
            assert_eq!(rig.page_inval(gpa), pick(p, UvCode::U_P2, UvCode::U_P3));
        }
    });
}

fn g05() {
    both(|p| {
        let rig = Rig::secure(p, vec![pause()]);
        assert_eq!(rig.page_inval(GPA), UvCode::U_P2);
        assert_eq!(rig.page_inval(KERNEL), UvCode::U_P2);
    });
}

fn g06() {
    both(|p| {
        let rig = Rig::secure(p, vec![pause()]);
        assert_eq!(rig.page_out(RA, KERNEL), UvCode::U_SUCCESS);
        assert_eq!(rig.page_inval(KERNEL), UvCode::U_P2);
        assert_eq!(rig.gfn(KERNEL / PAGE), Some(GfnState::PagedOut));
    });
}

fn g07() {
    both(|p| {
        let rig = Rig::secure(p, vec![share(), pause()]);
        assert_eq!(rig.page_inval(GPA), UvCode::U_SUCCESS);
        assert_eq!(rig.gfn(GFN), Some(GfnState::SharedInv));
        let busy = rig
            .machine
            .while_page_is_held(VM, Gfn(GFN + 1), || (p == Profile::Documented).then(|| rig.page_inval(GPA + PAGE)));
        assert_eq!(busy.flatten(), pick(p, Some(UvCode::U_BUSY), None));
    });
}

fn g08() {
    both(|p| {
        let rig = Rig::secure(p, vec![share(), pause()]);
        rig.page_inval(GPA);
        assert_eq!(rig.page_inval(GPA), UvCode::U_SUCCESS);
        assert_eq!(rig.gfn(GFN), Some(GfnState::SharedInv));
    });
}

/// What `UV_PAGE_INVAL` of page 0x100 gives at the moment of `H_SVM_PAGE_IN(gpa, flags)`: before or after the hypervisor
/// has served it.
fn inval_during(
    profile: Profile,
    gpa: u64,
    flags: u64,
    serve: bool,
    steps: Vec<GuestStep>,
) -> (UvCode, Option<GfnState>) {
    let noted = Rc::new(RefCell::new(None));
    let result = Rc::clone(&noted);
    let mut rig = Rig::new(profile);
    rig.load(&Image::default());
    rig.hook = Some(Box::new(move |machine, seen| {
        if (seen.number, seen.args[0], seen.args[1]) == (HvCall::H_SVM_PAGE_IN.0, gpa, flags) {
            if serve {
                ultracall::call(machine, UltracallNumber::UV_PAGE_IN, &[7, HOST + gpa, gpa, 0, 16]);
            }
            let code = ultracall::call(machine, UltracallNumber::UV_PAGE_INVAL, &[7, GPA, 16]).0;
            noted.borrow_mut().get_or_insert((code, machine.gfn_state(VM, Gfn(GFN))));
        }
        None
    }));
    rig.make_secure(steps);
    result.borrow().unwrap()
}

fn g09() {
    both(|p| {
        let seen = inval_during(p, GPA, 1, false, vec![share()]);
        assert_eq!(seen, (UvCode::U_P2, Some(GfnState::HvSharing)));
    });
}

fn g10() {
    both(|p| {
        let seen = inval_during(p, GPA, 1, true, vec![share()]);
        assert_eq!(seen, (UvCode::U_SUCCESS, Some(GfnState::HvSharedInv)));
    });
}

fn g11() {
    both(|p| {
        let seen = inval_during(p, GPA, 0, false, vec![share(), unshare()]);
        assert_eq!(seen, (UvCode::U_SUCCESS, Some(GfnState::HvUnsharingInv)));
    });
}

fn g12() {
    both(|p| {
        let seen = inval_during(p, GPA + PAGE, 0, false, vec![share(), unshare()]);
        assert_eq!(seen, (UvCode::U_P2, Some(GfnState::HvUnshared)));
    });
}

fn g13() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![pause(), load(RTAS, 20)]);
        assert_eq!(rig.page_inval(RTAS), UvCode::U_SUCCESS);
        rig.go();
        assert_eq!(rig.loaded(1), uv_power::owner::digests::RTAS_STUB);
    });
}
