//! Rows E: `UV_PAGE_IN`.

use std::{cell::RefCell, rc::Rc};

use uv_core::{GuestAddr, HostAddr};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::{HvCode, Profile, UvCode, ultracall};
use uv_power::sim::{GfnState, Machine};

use crate::rig::*;

rows! { e01 e02 e03 e04 e05 e06 e07 e08 e09 e10 e11 e12 e13 e14 e15 e16 e17 e18 e19 e20 e21 e22 e23 }

/// A guest page that no image provides, its normal page, and another normal page.
const GPA: u64 = 0x100_0000;
const RA: u64 = HOST + GPA;
const RA2: u64 = 0x400_0000;
const GFN: u64 = GPA >> 16;

fn page_in_args(rig: &Rig, args: [u64; 5]) -> UvCode {
    rig.call(UltracallNumber::UV_PAGE_IN, &args)
}

fn e01() {
    both(|p| assert_eq!(page_in_args(&Rig::active_with_slot(p), [7, RA, GPA, 0, 12]), UvCode::U_P5));
}

fn e02() {
    both(|p| assert_eq!(page_in_args(&Rig::active(p), [99, 0, 1 << 50, 0, 12]), UvCode::U_P5));
}

fn e03() {
    both(|p| assert_eq!(page_in_args(&Rig::active(p), [99, 0, GPA, 0, 16]), UvCode::U_P2));
}

fn e04() {
    both(|p| {
        let rig = Rig::active_with_slot(p);
        assert_eq!(rig.page_in(1 << 48, GPA), UvCode::U_P2);
        assert_eq!(rig.page_in(RA + 8, GPA), UvCode::U_P2, "not a page address");
        assert_eq!(rig.page_in(1 << 47, GPA), UvCode::U_P2, "no memory there");
    });
}

fn e05() {
    both(|p| assert_eq!(page_in_args(&Rig::active(p), [99, RA, 1 << 50, 0, 16]), UvCode::U_PARAMETER));
}

fn e06() {
    both(|p| assert_eq!(Rig::aborted(p).page_in(RA, 1 << 50), pick(p, UvCode::U_PARAMETER, UvCode::U_STATE)));
}

fn e07() {
    both(|p| {
        let rig = Rig::active_with_slot(p);
        assert_eq!(rig.page_in(RA, GUEST), UvCode::U_P3);
        assert_eq!(rig.page_in(RA, GPA + 8), UvCode::U_P3, "not a page address");
    });
}

fn e08() {
    both(|p| {
        let rig = Rig::active_with_slot(p);
        assert_eq!(page_in_args(&rig, [7, RA, GPA, 0xff, 16]), pick(p, UvCode::U_P4, UvCode::U_SUCCESS));
        for flags in [1, 2, 4, 5, 6] {
            assert_eq!(page_in_args(&rig, [7, RA, GPA, flags, 16]), UvCode::U_SUCCESS, "the flags of the document");
        }
        for flags in [3, 7] {
            let both = pick(p, UvCode::U_P4, UvCode::U_SUCCESS);
            assert_eq!(page_in_args(&rig, [7, RA, GPA, flags, 16]), both, "cached and not");
        }
    });
}

/// Lets the transition that waits at its start go on: the guest becomes secure with `GPA` as it is now.
fn finish(mut rig: Rig) -> Rig {
    rig.stop_at = None;
    rig.slots = vec![];
    rig.go();
    assert_eq!(rig.machine.esm_failure(VM), None);
    rig
}

/// An active VM whose program looks at `GPA` once it is secure.
fn active_and_looks(profile: Profile) -> Rig {
    let mut rig = Rig::new(profile);
    rig.load(&Image::default());
    rig.stop_at = Some(HvCall::H_SVM_INIT_START.0);
    rig.make_secure(vec![load(GPA, PAGE as usize)]);
    assert_eq!(rig.register(0, GUEST, 0, 1), UvCode::U_SUCCESS);
    rig
}

fn e09() {
    both(|p| {
        let rig = active_and_looks(p);
        rig.fill(RA, 0x21);
        assert_eq!(rig.page_in(RA, GPA), UvCode::U_SUCCESS);
        assert_eq!(rig.gfn(GFN), Some(GfnState::Secure));
        rig.fill(RA, 0x99);
        assert_eq!(finish(rig).loaded(0), [0x21; PAGE as usize]);
    });
}

fn e10() {
    both(|p| {
        let rig = active_and_looks(p);
        rig.fill(RA, 1);
        rig.fill(RA2, 2);
        assert_eq!(rig.page_in(RA, GPA), UvCode::U_SUCCESS);
        assert_eq!(rig.page_in(RA2, GPA), UvCode::U_SUCCESS);
        assert_eq!(finish(rig).loaded(0), [2; PAGE as usize]);
    });
}

/// A secure VM that stored `bytes` at `GPA`, pauses, and then loads them.
fn stored(profile: Profile) -> Rig {
    Rig::secure(profile, vec![store(GPA, b"guest data"), pause(), load(GPA, 10)])
}

fn e11() {
    both(|p| {
        let mut rig = stored(p);
        rig.fill(RA2, 0x66);
        assert_eq!(rig.page_in(RA2, GPA), pick(p, UvCode::U_P3, UvCode::U_P2));
        rig.go();
        assert_eq!(rig.loaded(2), b"guest data");
    });
}

fn e12() {
    both(|p| {
        let mut rig = stored(p);
        assert_eq!(rig.page_out(RA2, GPA), UvCode::U_SUCCESS);
        assert_eq!(rig.page_in(RA2, GPA), UvCode::U_SUCCESS);
        assert_eq!(rig.gfn(GFN), Some(GfnState::Secure));
        rig.go();
        assert_eq!(rig.loaded(2), b"guest data");
    });
}

fn flip(rig: &Rig, ra: u64) {
    let byte = rig.normal(ra)[100] ^ 4;
    uv_core::NormalMemory::write(&*rig.memory, HostAddr(ra + 100), &[byte]).unwrap();
}

fn e13() {
    both(|p| {
        let rig = stored(p);
        rig.page_out(RA2, GPA);
        flip(&rig, RA2);
        assert_eq!(rig.page_in(RA2, GPA), UvCode::U_P3);
        assert_eq!(rig.gfn(GFN), Some(GfnState::PagedOut));
    });
}

fn e14() {
    both(|p| {
        let mut rig = stored(p);
        rig.page_out(RA2, GPA);
        flip(&rig, RA2);
        assert_eq!(rig.page_in(RA2, GPA), UvCode::U_P3);
        flip(&rig, RA2);
        assert_eq!(rig.page_in(RA2, GPA), UvCode::U_SUCCESS);
        rig.go();
        assert_eq!(rig.loaded(2), b"guest data");
    });
}

fn e15() {
    both(|p| {
        let other = GPA + PAGE;
        let rig = Rig::secure(p, vec![store(GPA, b"one"), store(other, b"two"), pause()]);
        rig.page_out(RA2, GPA);
        rig.page_out(RA2 + PAGE, other);
        assert_eq!(rig.page_in(RA2 + PAGE, GPA), UvCode::U_P3);
        assert_eq!(rig.page_in(RA2, other), UvCode::U_P3);
        assert_eq!(rig.page_in(RA2, GPA), UvCode::U_SUCCESS);
    });
}

fn e16() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![store(GPA, b"old"), pause(), store(GPA, b"new"), pause(), load(GPA, 3)]);
        rig.page_out(RA2, GPA);
        rig.page_in(RA2, GPA);
        rig.go();
        rig.page_out(RA, GPA);
        assert_eq!(rig.page_in(RA2, GPA), UvCode::U_P3, "an older version");
        assert_eq!(rig.page_in(RA, GPA), UvCode::U_SUCCESS);
        rig.go();
        assert_eq!(rig.loaded(4), b"new");
    });
}

/// A secure VM that shared the page at `GPA`, pauses, and then loads from it.
fn shared(profile: Profile) -> Rig {
    let rig = Rig::secure(profile, vec![sc2(UltracallNumber::UV_SHARE_PAGE, &[GFN, 1]), pause(), load(GPA, 8)]);
    assert_eq!(rig.gfn(GFN), Some(GfnState::Shared));
    rig
}

fn e17() {
    both(|p| {
        let mut rig = shared(p);
        rig.fill(RA2, 0x42);
        assert_eq!(rig.page_in(RA2, GPA), UvCode::U_SUCCESS);
        assert_eq!(rig.normal(RA2), [0x42; PAGE as usize]);
        rig.go();
        assert_eq!(rig.loaded(2), [0x42; 8]);
    });
}

fn e18() {
    both(|p| {
        let rig = shared(p);
        assert_eq!(rig.page_inval(GPA), UvCode::U_SUCCESS);
        assert_eq!(rig.gfn(GFN), Some(GfnState::SharedInv));
        assert_eq!(rig.page_in(RA, GPA), UvCode::U_SUCCESS);
        assert_eq!(rig.gfn(GFN), Some(GfnState::Shared));
    });
}

/// The first page that the ultravisor shared for itself.
fn implicit(rig: &Rig) -> u64 {
    (0..GUEST / PAGE).find(|gfn| rig.gfn(*gfn) == Some(GfnState::SharedImplicit)).unwrap()
}

fn e19() {
    both(|p| {
        let at = implicit(&Rig::secure(p, vec![])) * PAGE;
        let mut rig = Rig::secure(p, vec![pause(), load(at, 8)]);
        assert_eq!(rig.page_inval(at), UvCode::U_SUCCESS);
        assert_eq!(rig.gfn(at / PAGE), Some(GfnState::SharedImplicitInv));
        assert_eq!(rig.page_in(HOST + at, at), UvCode::U_SUCCESS);
        assert_eq!(rig.gfn(at / PAGE), Some(GfnState::SharedImplicit));
        let mark = rig.seen.len();
        rig.go();
        assert_eq!(rig.since(mark)[0].0, HvCall::H_RTAS.0, "still not the guest's: it is killed");
        assert_eq!(rig.steps(), 1);
    });
}

fn e20() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![pause(), load(RTAS, 20)]);
        assert_eq!(rig.gfn(RTAS / PAGE), Some(GfnState::PseudoShared));
        assert_eq!(rig.page_inval(RTAS), UvCode::U_SUCCESS);
        assert_eq!(rig.gfn(RTAS / PAGE), Some(GfnState::PseudoSharedInv));
        assert_eq!(rig.page_in(RA2, RTAS), UvCode::U_SUCCESS);
        assert_eq!(rig.gfn(RTAS / PAGE), Some(GfnState::PseudoShared));
        rig.fill(RA2, 0xee);
        rig.go();
        assert_eq!(rig.loaded(1), uv_power::owner::digests::RTAS_STUB);
    });
}

/// Runs `steps`; at the `H_SVM_PAGE_IN` of `gpa` with `flags` the hypervisor does `act` and answers success.
fn at_page_in(
    profile: Profile,
    gpa: u64,
    flags: u64,
    steps: Vec<uv_power::sim::GuestStep>,
    act: impl Fn(&Machine) -> UvCode + 'static,
) -> Vec<(UvCode, Option<GfnState>)> {
    let noted = Rc::new(RefCell::new(Vec::new()));
    let out = Rc::clone(&noted);
    let mut rig = Rig::new(profile);
    rig.load(&Image::default());
    rig.hook = Some(Box::new(move |machine, seen| {
        if (seen.number, seen.args[0], seen.args[1]) != (HvCall::H_SVM_PAGE_IN.0, gpa, flags) {
            return None;
        }
        let code = act(machine);
        noted.borrow_mut().push((code, machine.gfn_state(VM, uv_core::Gfn(gpa / PAGE))));
        Some(HvCode::H_SUCCESS)
    }));
    rig.make_secure(steps);
    out.take()
}

fn uv_page_in(machine: &Machine, gpa: u64) -> UvCode {
    ultracall::call(machine, UltracallNumber::UV_PAGE_IN, &[7, HOST + gpa, gpa, 0, 16]).0
}

fn e21() {
    both(|p| {
        let share = vec![sc2(UltracallNumber::UV_SHARE_PAGE, &[GFN, 1])];
        let noted = at_page_in(p, GPA, 1, share, |machine| uv_page_in(machine, GPA));
        assert_eq!(noted, [(UvCode::U_SUCCESS, Some(GfnState::HvShared))]);
    });
}

fn e22() {
    both(|p| {
        let steps =
            vec![sc2(UltracallNumber::UV_SHARE_PAGE, &[GFN, 1]), sc2(UltracallNumber::UV_UNSHARE_PAGE, &[GFN, 1])];
        let noted = at_page_in(p, GPA, 0, steps, |machine| {
            ultracall::page_inval(machine, VM, GuestAddr(GPA)).unwrap();
            assert_eq!(machine.gfn_state(VM, uv_core::Gfn(GFN)), Some(GfnState::HvUnsharingInv));
            uv_page_in(machine, GPA)
        });
        assert_eq!(noted, [(UvCode::U_SUCCESS, Some(GfnState::HvUnsharing))]);
    });
}

fn e23() {
    both(|p| {
        // While the second page is asked back the first one is confirmed and not committed.
        let steps =
            vec![sc2(UltracallNumber::UV_SHARE_PAGE, &[GFN, 2]), sc2(UltracallNumber::UV_UNSHARE_PAGE, &[GFN, 2])];
        let noted = at_page_in(p, GPA + PAGE, 0, steps, |machine| {
            assert_eq!(machine.gfn_state(VM, uv_core::Gfn(GFN)), Some(GfnState::HvUnshared));
            uv_page_in(machine, GPA)
        });
        assert_eq!(noted[0].0, pick(p, UvCode::U_BUSY, UvCode::U_P2));
    });
}
