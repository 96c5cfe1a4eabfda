//! Rows J: sharing, and guest accesses to pages that are not there.

use std::{cell::RefCell, rc::Rc};

use uv_core::{Gfn, GuestAddr};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::{HvCode, Profile, UvCode, ultracall};
use uv_power::sim::{GfnState, GuestStep};
use uv_sim::guest::Step;

use crate::rig::*;

rows! { j01 j02 j03 j04 j05 j06 j07 j08 j09 j10 j11 j12 j13 j14 j15 j16 }

const GPA: u64 = 0x100_0000;
const GFN: u64 = GPA >> 16;
const RA: u64 = 0x400_0000;
const PAGE_IN: u64 = HvCall::H_SVM_PAGE_IN.0;

pub(crate) fn share(gfn: u64, count: u64) -> GuestStep {
    sc2(UltracallNumber::UV_SHARE_PAGE, &[gfn, count])
}

pub(crate) fn unshare(gfn: u64, count: u64) -> GuestStep {
    sc2(UltracallNumber::UV_UNSHARE_PAGE, &[gfn, count])
}

/// R3 after a share call: the code in the documented profile, the call's number in the firmware's.
fn result(rig: &Rig, step: usize, code: UvCode, number: UltracallNumber) {
    let expected = pick(rig.machine.profile(), code.to_register(), number.0);
    assert_eq!(rig.returned(step).gpr[3], expected);
}

fn j01() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![store(GPA, b"mine"), pause(), share(GFN, 1), load(GPA, 4)]);
        rig.fill(HOST + GPA, 7);
        let mark = rig.seen.len();
        rig.go();
        assert_eq!(rig.since(mark), [(PAGE_IN, GPA, 1)]);
        assert_eq!(rig.normal(HOST + GPA), [0; PAGE as usize]);
        assert_eq!(rig.gfn(GFN), Some(GfnState::Shared));
        assert_eq!(rig.loaded(3), [0; 4]);
        result(&rig, 2, UvCode::U_SUCCESS, UltracallNumber::UV_SHARE_PAGE);
    });
}

fn j02() {
    both(|p| {
        let steps = vec![share(GFN, 1), store(GPA, b"kept?"), pause(), share(GFN, 1), load(GPA, 5)];
        let mut rig = Rig::secure(p, steps);
        let mark = rig.seen.len();
        rig.go();
        assert_eq!(rig.since(mark), []);
        assert_eq!(rig.loaded(4), pick(p, [0; 5], *b"kept?"), "documented: zeroed");
    });
}

fn j03() {
    both(|p| {
        let last = GUEST / PAGE - 1;
        let steps = vec![pause(), share(last, 2), share(last + 1, 1), share(GFN, 0), unshare(last, 2)];
        let mut rig = Rig::secure(p, steps);
        let mark = rig.seen.len();
        rig.go();
        assert_eq!(rig.since(mark), []);
        assert_eq!(rig.gfn(last), Some(GfnState::Secure));
        result(&rig, 1, UvCode::U_P2, UltracallNumber::UV_SHARE_PAGE);
        result(&rig, 2, UvCode::U_PARAMETER, UltracallNumber::UV_SHARE_PAGE);
        result(&rig, 3, UvCode::U_P2, UltracallNumber::UV_SHARE_PAGE);
        result(&rig, 4, UvCode::U_P2, UltracallNumber::UV_UNSHARE_PAGE);
    });
}

fn j04() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![store(GPA, b"mine"), pause(), share(GFN, 1)]);
        assert_eq!(rig.page_out(HOST + GPA, GPA), UvCode::U_SUCCESS);
        let mark = rig.seen.len();
        rig.go();
        assert_eq!(rig.since(mark), [(PAGE_IN, GPA, 0), (PAGE_IN, GPA, 1)]);
        assert_eq!(rig.gfn(GFN), Some(GfnState::Shared));
        // A hypervisor that refuses is asked once.
        let mut rig = Rig::secure(p, vec![store(GPA, b"mine"), pause(), share(GFN, 1)]);
        rig.page_out(HOST + GPA, GPA);
        rig.hook = Some(Box::new(|_, _| Some(HvCode::H_PARAMETER)));
        let mark = rig.seen.len();
        rig.go();
        assert_eq!(rig.since(mark), [(PAGE_IN, GPA, 0)]);
        result(&rig, 2, UvCode::U_P2, UltracallNumber::UV_SHARE_PAGE);
        // One that says yes and does not bring the page back: four times, then the call ends.
        let mut rig = Rig::secure(p, vec![store(GPA, b"mine"), pause(), share(GFN, 1)]);
        rig.page_out(HOST + GPA, GPA);
        rig.hook = Some(Box::new(|_, _| Some(HvCode::H_SUCCESS)));
        let mark = rig.seen.len();
        rig.go();
        assert_eq!(rig.since(mark), [(PAGE_IN, GPA, 0); 4]);
        result(&rig, 2, UvCode::U_P2, UltracallNumber::UV_SHARE_PAGE);
        assert_eq!(rig.gfn(GFN), Some(GfnState::PagedOut));
    });
}

fn j05() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![store(GPA, b"one"), pause(), share(GFN, 3), load(GPA, 3)]);
        rig.hook = Some(Box::new(|_, seen| {
            (seen.args[0] == GPA + 2 * PAGE && seen.args[1] == 1).then_some(HvCode::H_PARAMETER)
        }));
        let mark = rig.seen.len();
        rig.go();
        let third = GPA + 2 * PAGE;
        let expected = [
            (PAGE_IN, GPA, 1),
            (PAGE_IN, GPA + PAGE, 1),
            (PAGE_IN, third, 1),
            (PAGE_IN, GPA, 0),
            (PAGE_IN, GPA + PAGE, 0),
        ];
        assert_eq!(rig.since(mark), expected);
        assert!((0..3).all(|n| rig.gfn(GFN + n) == Some(GfnState::Secure)));
        assert_eq!(rig.loaded(3), b"one");
        result(&rig, 2, UvCode::U_P2, UltracallNumber::UV_SHARE_PAGE);
    });
}

fn j06() {
    both(|p| {
        let steps = vec![share(GFN, 1), store(GPA, b"open"), pause(), unshare(GFN, 1), load(GPA, 4)];
        let mut rig = Rig::secure(p, steps);
        let mark = rig.seen.len();
        rig.go();
        assert_eq!(rig.since(mark), [(PAGE_IN, GPA, 0)]);
        assert_eq!(rig.gfn(GFN), Some(GfnState::Secure));
        assert_eq!(rig.loaded(4), [0; 4]);
        result(&rig, 3, UvCode::U_SUCCESS, UltracallNumber::UV_UNSHARE_PAGE);
    });
}

fn j07() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![store(GPA, b"mine"), pause(), unshare(GFN, 1), load(GPA, 4)]);
        let mark = rig.seen.len();
        rig.go();
        assert_eq!(rig.since(mark), []);
        assert_eq!(rig.loaded(3), pick(p, [0; 4], *b"mine"), "documented: zeroed");
    });
}

/// The first page that the ultravisor shared for itself.
fn implicit(profile: Profile) -> u64 {
    let rig = Rig::secure(profile, vec![]);
    (0..GUEST / PAGE).find(|gfn| rig.gfn(*gfn) == Some(GfnState::SharedImplicit)).unwrap()
}

fn j08() {
    both(|p| {
        let gfn = implicit(p);
        let mut rig = Rig::secure(p, vec![pause(), unshare(gfn, 1), unshare(RTAS / PAGE, 1), share(gfn, 1)]);
        let mark = rig.seen.len();
        rig.go();
        assert_eq!(rig.since(mark), []);
        assert_eq!(rig.gfn(gfn), Some(GfnState::SharedImplicit));
        assert_eq!(rig.gfn(RTAS / PAGE), Some(GfnState::PseudoShared));
        result(&rig, 1, UvCode::U_PARAMETER, UltracallNumber::UV_UNSHARE_PAGE);
        result(&rig, 3, UvCode::U_SUCCESS, UltracallNumber::UV_SHARE_PAGE);
    });
}

/// The VM was killed: `ibm,os-term` was called for it, and it does not come back.
fn killed(rig: &mut Rig, mark: usize, steps: usize) {
    let (number, args, _) = *rig.since(mark).last().unwrap();
    assert_eq!(number, HvCall::H_RTAS.0);
    let block = rig.normal(HOST + (args & !0xffff));
    assert_eq!(block[..16], [0, 0, 0x20, 0x1f, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(rig.steps(), steps);
    rig.resume(HvCode::H_SUCCESS, &[]);
    rig.resume(HvCode::H_SUCCESS, &[]);
    assert_eq!(UvCode::from_register(rig.regs.gpr[3]), UvCode::U_STATE);
    assert_eq!(rig.steps(), steps);
}

fn j09() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![share(GFN, 1), pause(), unshare(GFN, 1)]);
        rig.hook = Some(Box::new(|_, seen| (seen.number == PAGE_IN).then_some(HvCode::H_PARAMETER)));
        let mark = rig.seen.len();
        rig.go();
        killed(&mut rig, mark, 2);
    });
}

fn j10() {
    both(|p| {
        let gfn = implicit(p);
        let steps = vec![
            share(GFN, 2),
            store(GPA, b"open"),
            pause(),
            sc2(UltracallNumber::UV_UNSHARE_ALL_PAGES, &[]),
            load(GPA, 4),
        ];
        let mut rig = Rig::secure(p, steps);
        rig.page_inval(GPA + PAGE);
        let mark = rig.seen.len();
        rig.go();
        assert_eq!(rig.since(mark), [(PAGE_IN, GPA, 0), (PAGE_IN, GPA + PAGE, 0)]);
        assert!((0..2).all(|n| rig.gfn(GFN + n) == Some(GfnState::Secure)));
        assert_eq!(rig.gfn(gfn), Some(GfnState::SharedImplicit));
        assert_eq!(rig.loaded(4), [0; 4]);
        result(&rig, 3, UvCode::U_SUCCESS, UltracallNumber::UV_UNSHARE_ALL_PAGES);
    });
}

fn j11() {
    both(|p| {
        let rig = Rig::secure(p, vec![share(0, 2), sc2(UltracallNumber::UV_UNSHARE_ALL_PAGES, &[])]);
        assert_eq!(rig.gfn(0), Some(pick(p, GfnState::Secure, GfnState::Shared)));
        assert_eq!(rig.gfn(1), Some(GfnState::Secure));
    });
}

fn j12() {
    both(|p| {
        let gfn = implicit(p);
        let mut rig = Rig::secure(p, vec![pause(), store(gfn * PAGE, b"x")]);
        let mark = rig.seen.len();
        rig.go();
        killed(&mut rig, mark, 1);
    });
}

fn j13() {
    both(|p| {
        let mut rig =
            Rig::secure(p, vec![share(GFN, 1), pause(), load(GPA + 0x24, 4), Step::Fetch { at: GuestAddr(GPA) }]);
        rig.page_inval(GPA);
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!((rig.regs.nip, rig.regs.hdar, rig.regs.asdr), (0xe00, GPA + 0x24, GPA));
        // The hypervisor maps a page and lets the guest try again.
        rig.fill(RA, 0x31);
        assert_eq!(rig.page_in(RA, GPA), UvCode::U_SUCCESS);
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!(rig.loaded(2), [0x31; 4]);
        // A fetch is not reflected: it is tried again.
        let mut rig = Rig::secure(p, vec![share(GFN, 1), pause(), Step::Fetch { at: GuestAddr(GPA) }]);
        rig.page_inval(GPA);
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!(rig.regs.nip, 0x980);
        rig.page_in(RA, GPA);
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!(rig.steps(), 3);
    });
}

/// A page that is out: the guest does `step`, the ultravisor asks for the page, the guest goes on.
fn asks_for(profile: Profile, step: GuestStep) {
    let mut rig = Rig::secure(profile, vec![store(GPA, b"mine"), pause(), step, load(GPA, 4)]);
    rig.page_out(HOST + GPA, GPA);
    let mark = rig.seen.len();
    rig.go();
    assert_eq!(rig.since(mark), [(PAGE_IN, GPA, 0)]);
    assert_eq!(rig.seen[mark].args[2], 16);
    assert_eq!(rig.loaded(3), b"mine");
}

fn j14() {
    both(|p| {
        asks_for(p, load(GPA, 4));
        asks_for(p, store(GPA + 8, b"x"));
    });
}

fn j15() {
    both(|p| asks_for(p, Step::Fetch { at: GuestAddr(GPA) }));
}

fn j16() {
    both(|p| {
        let device = 0x2000_0008;
        let steps = vec![load(device, 4), store(device, &[1, 2]), load(device, 3), pause()];
        let answers = Rc::new(RefCell::new(Vec::new()));
        let noted = Rc::clone(&answers);
        let mut rig = Rig::new(p);
        rig.load(&Image::default());
        rig.stop_at = Some(HvCall::H_LOGICAL_CI_LOAD.0);
        rig.make_secure(steps);
        assert_eq!((rig.regs.nip, rig.regs.gpr[3..6].to_vec()), (0xc00, vec![0x3c, 4, device]));
        rig.stop_at = None;
        rig.hook = Some(Box::new(move |_, seen| {
            noted.borrow_mut().push((seen.number, seen.args));
            None
        }));
        rig.resume(HvCode::H_SUCCESS, &[0xffff_ffff_1122_3344]);
        assert_eq!(rig.loaded(0), [0x11, 0x22, 0x33, 0x44]);
        assert_eq!((rig.regs.nip, rig.regs.gpr[3..7].to_vec()), (0xc00, vec![0x40, 2, device, 0x0102]));
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!(rig.steps(), 2);
        // Three bytes are no load that can be decoded: nothing is emulated.
        assert_eq!(rig.regs.nip, 0x980);
        // A fetch from there is the hypervisor's business.
        let mut rig = Rig::secure(p, vec![pause(), Step::Fetch { at: GuestAddr(device) }]);
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!((rig.regs.nip, rig.regs.asdr), (0xe20, device & !0xffff));
        assert!(ultracall::page_in(&rig.machine, VM, uv_core::HostAddr(RA), GuestAddr(0x2000_0000), 0).is_err());
        assert_eq!(rig.machine.gfn_state(VM, Gfn(0x2000)), None);
        assert!(answers.borrow().is_empty());
    });
}
