//! Rows F: `UV_PAGE_OUT`.

use std::{cell::RefCell, rc::Rc};

use uv_core::Gfn;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::{HvCode, Profile, UvCode, ultracall};
use uv_power::sim::{GfnState, Machine};

use crate::rig::*;

rows! { f01 f02 f03 f04 f05 f06 f07 f08 f09 f10 f11 f12 f13 }

const GPA: u64 = 0x100_0000;
const GFN: u64 = GPA >> 16;
const RA: u64 = 0x400_0000;

fn out(machine: &Machine, args: [u64; 5]) -> UvCode {
    ultracall::call(machine, UltracallNumber::UV_PAGE_OUT, &args).0
}

fn stored(profile: Profile) -> Rig {
    Rig::secure(profile, vec![store(GPA, &[0x5a; PAGE as usize]), pause(), load(GPA, PAGE as usize)])
}

fn f01() {
    both(|p| {
        let mut rig = stored(p);
        assert_eq!(rig.page_out(RA, GPA), UvCode::U_SUCCESS);
        assert_eq!(rig.gfn(GFN), Some(GfnState::PagedOut));
        let sealed = rig.normal(RA);
        assert!(!sealed.windows(4).any(|w| w == [0x5a; 4]), "no plaintext in the normal page");
        // The guest's next access asks for it.
        rig.hook = Some(Box::new(|machine, seen| {
            let asked = (seen.number, seen.args) == (HvCall::H_SVM_PAGE_IN.0, [GPA, 0, 16, 0]);
            asked.then(|| {
                let code = ultracall::call(machine, UltracallNumber::UV_PAGE_IN, &[7, RA, GPA, 0, 16]).0;
                HvCode(code.0)
            })
        }));
        rig.go();
        assert_eq!(rig.loaded(2), [0x5a; PAGE as usize]);
    });
}

fn f02() {
    both(|p| {
        // The same machine and seed give the same key: the first page-out of two runs is the same, of two VMs it is not.
        let first = |lpid_before: bool| {
            let rig = if lpid_before {
                let rig = Rig::new(p);
                raw(
                    &rig.machine,
                    uv_power::abi::Privilege::Supervisor,
                    uv_power::abi::regs::Lpid(9),
                    UltracallNumber::UV_ESM,
                    &[1, 1],
                );
                let mut rig = rig;
                rig.load(&Image::default());
                rig.make_secure(vec![store(GPA, &[0x5a; PAGE as usize]), pause()]);
                rig
            } else {
                stored(p)
            };
            assert_eq!(rig.page_out(RA, GPA), UvCode::U_SUCCESS);
            rig.normal(RA)
        };
        assert_eq!(first(false), first(false));
        assert_ne!(first(false), first(true));
    });
}

fn f03() {
    both(|p| {
        let rig = stored(p);
        rig.page_out(RA, GPA);
        rig.page_in(RA, GPA);
        rig.page_out(RA + PAGE, GPA);
        assert_ne!(rig.normal(RA), rig.normal(RA + PAGE));
    });
}

fn f04() {
    both(|p| assert_eq!(out(&stored(p).machine, [7, RA, GPA, 0, 12]), UvCode::U_P5));
}

fn f05() {
    both(|p| {
        let rig = stored(p);
        for ra in [0, 1 << 48, RA + 1, 1 << 47] {
            assert_eq!(out(&rig.machine, [7, ra, GPA, 0, 16]), UvCode::U_P2);
        }
        assert_eq!(rig.gfn(GFN), Some(GfnState::Secure));
    });
}

fn f06() {
    both(|p| assert_eq!(out(&stored(p).machine, [99, RA, GPA, 0, 16]), UvCode::U_PARAMETER));
}

fn f07() {
    both(|p| {
        for gpa in [GUEST, GPA + 1] {
            assert_eq!(Rig::aborted(p).page_out(RA, gpa), UvCode::U_P3);
        }
    });
}

fn f08() {
    both(|p| {
        let rig = Rig::secure(p, vec![sc2(UltracallNumber::UV_SHARE_PAGE, &[GFN, 1]), pause()]);
        rig.fill(RA, 9);
        assert_eq!(rig.page_out(RA, GPA), pick(p, UvCode::U_SUCCESS, UvCode::U_PARAMETER));
        assert_eq!((rig.gfn(GFN), rig.normal(RA)[0]), (Some(GfnState::Shared), 9));
    });
}

fn f09() {
    both(|p| {
        let rig = stored(p);
        rig.page_out(RA, GPA);
        rig.fill(RA + PAGE, 9);
        assert_eq!(rig.page_out(RA + PAGE, GPA), pick(p, UvCode::U_P3, UvCode::U_PARAMETER));
        assert_eq!(rig.normal(RA + PAGE), [9; PAGE as usize]);
    });
}

/// Makes the guest do `steps`; at `H_SVM_PAGE_IN(gpa, flags)` page 0x100 is paged out. Gives what that returned.
fn out_during(
    profile: Profile,
    gpa: u64,
    flags: u64,
    steps: Vec<uv_power::sim::GuestStep>,
) -> (UvCode, Option<GfnState>) {
    let noted = Rc::new(RefCell::new(None));
    let result = Rc::clone(&noted);
    let mut rig = Rig::new(profile);
    rig.load(&Image::default());
    rig.hook = Some(Box::new(move |machine, seen| {
        if (seen.number, seen.args[0], seen.args[1]) == (HvCall::H_SVM_PAGE_IN.0, gpa, flags) {
            let code = out(machine, [7, RA, GPA, 0, 16]);
            noted.borrow_mut().get_or_insert((code, machine.gfn_state(VM, Gfn(GFN))));
        }
        None
    }));
    rig.make_secure(steps);
    result.borrow().unwrap()
}

fn f10() {
    both(|p| {
        let seen = out_during(p, GPA, 1, vec![sc2(UltracallNumber::UV_SHARE_PAGE, &[GFN, 1])]);
        let moving = pick(p, UvCode::U_BUSY, UvCode::U_PARAMETER);
        assert_eq!(seen, (moving, Some(GfnState::HvSharing)));
        // Delivered, while the second page is asked for.
        let seen = out_during(p, GPA + PAGE, 1, vec![sc2(UltracallNumber::UV_SHARE_PAGE, &[GFN, 2])]);
        assert_eq!(seen, (moving, Some(GfnState::HvShared)));
    });
}

fn f11() {
    both(|p| {
        let steps =
            vec![sc2(UltracallNumber::UV_SHARE_PAGE, &[GFN, 2]), sc2(UltracallNumber::UV_UNSHARE_PAGE, &[GFN, 2])];
        let seen = out_during(p, GPA + PAGE, 0, steps);
        assert_eq!(seen, (pick(p, UvCode::U_BUSY, UvCode::U_RETRY), Some(GfnState::HvUnshared)));
    });
}

fn f12() {
    both(|p| {
        let rig = Rig::aborted(p);
        rig.fill(RA, 9);
        assert_eq!(rig.gfn(KERNEL / PAGE), Some(GfnState::Secure));
        assert_eq!(rig.page_out(RA, KERNEL), UvCode::U_SUCCESS);
        let expected = pick(p, VMLINUX[..PAGE as usize].to_vec(), vec![9; PAGE as usize]);
        assert_eq!(rig.normal(RA), expected, "documented: what was taken over comes back");
        assert_eq!(rig.gfn(KERNEL / PAGE), Some(GfnState::Secure));
    });
}

fn f13() {
    both(|p| {
        let mut rig = stored(p);
        assert_eq!(out(&rig.machine, [7, RA, GPA, 0xff, 16]), pick(p, UvCode::U_P4, UvCode::U_SUCCESS));
        if p == Profile::Documented {
            // A snapshot keeps the page mapped, and its copy opens nowhere.
            assert_eq!(out(&rig.machine, [7, RA, GPA, 1, 16]), UvCode::U_SUCCESS);
            assert_eq!(rig.gfn(GFN), Some(GfnState::Secure));
            assert!(!rig.normal(RA).windows(4).any(|w| w == [0x5a; 4]));
            let busy = rig.machine.while_page_is_held(VM, Gfn(GFN), || rig.page_out(RA, GPA));
            assert_eq!(busy, Some(UvCode::U_BUSY));
            assert_eq!(rig.page_out(RA + PAGE, GPA), UvCode::U_SUCCESS);
            assert_eq!(rig.page_in(RA, GPA), UvCode::U_P3);
            assert_eq!(rig.page_in(RA + PAGE, GPA), UvCode::U_SUCCESS);
            rig.go();
            assert_eq!(rig.loaded(2), [0x5a; PAGE as usize]);
        } else {
            assert_eq!(rig.gfn(GFN), Some(GfnState::PagedOut));
        }
    });
}
