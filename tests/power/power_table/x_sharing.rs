//! Sharing that goes wrong, and what is left of it.

use std::cell::RefCell;
use std::rc::Rc;

use uv_core::Gfn;
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::Regs;
use uv_power::abi::ultracall::{self, Ultracall};
use uv_power::abi::{HvCode, Msr, Profile, UvCode};
use uv_power::sim::{GfnState, Machine};
use uv_sim::guest::Script;

use crate::j_share::{share, unshare};
use crate::l_reflection::{answer_word, word};
use crate::rig::*;

rows! {
    a_withdrawn_page_that_is_shared_again_reads_zeros a_refused_unshare_all_leaves_the_page_shared
    a_page_in_motion_is_not_shared_twice a_share_that_the_hypervisor_only_claims_ends_the_vm
    a_page_that_is_out_is_zeros_after_an_unshare
}

const GPA: u64 = 0x100_0000;
const GFN: u64 = GPA >> 16;
const RA: u64 = 0x400_0000;
const PAGE_IN: u64 = HvCall::H_SVM_PAGE_IN.0;

fn a_withdrawn_page_that_is_shared_again_reads_zeros() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![share(GFN, 1), pause(), share(GFN, 1), load(GPA, 4), pause()]);
        rig.page_inval(GPA);
        rig.fill(RA, 0x55);
        rig.hook = Some(Box::new(|machine, seen| {
            (seen.number == PAGE_IN).then(|| {
                ultracall::call(machine, UltracallNumber::UV_PAGE_IN, &[7, RA, GPA, 0, 16]);
                HvCode::H_SUCCESS
            })
        }));
        let mark = rig.seen.len();
        rig.go();
        if p == Profile::Documented {
            assert_eq!(rig.since(mark)[0], (PAGE_IN, GPA, 1));
            assert_eq!((rig.loaded(3), rig.normal(RA)), (vec![0; 4], vec![0; PAGE as usize]));
        } else {
            // Left alone: the load is the hypervisor's to serve, and shows what it puts there.
            assert_eq!(rig.regs.nip, 0xe00);
            assert_eq!(rig.page_in(RA, GPA), UvCode::U_SUCCESS);
            rig.resume(HvCode::H_SUCCESS, &[]);
            assert_eq!(rig.loaded(3), [0x55; 4]);
        }
        // A hypervisor that does not give the page: the share fails, the page stays away.
        let mut rig = Rig::secure(p, vec![share(GFN, 1), pause(), share(GFN, 1), pause()]);
        rig.page_inval(GPA);
        rig.hook = Some(Box::new(|_, seen| (seen.number == PAGE_IN).then_some(HvCode::H_PARAMETER)));
        rig.go();
        let expected = pick(p, UvCode::U_P2.to_register(), UltracallNumber::UV_SHARE_PAGE.0);
        assert_eq!((rig.returned(2).gpr[3], rig.gfn(GFN)), (expected, Some(GfnState::SharedInv)));
    });
}

fn a_refused_unshare_all_leaves_the_page_shared() {
    both(|p| {
        for withdrawn in [false, true] {
            let steps = vec![
                share(GFN, 2),
                store(GPA, b"open"),
                pause(),
                sc2(UltracallNumber::UV_UNSHARE_ALL_PAGES, &[]),
                load(GPA, 4),
            ];
            let mut rig = Rig::secure(p, steps);
            rig.hook = Some(Box::new(move |machine, seen| {
                if seen.number != PAGE_IN {
                    return None;
                }
                if withdrawn {
                    ultracall::call(machine, UltracallNumber::UV_PAGE_INVAL, &[7, GPA, 16]);
                }
                Some(HvCode::H_PARAMETER)
            }));
            let mark = rig.seen.len();
            rig.go();
            assert_eq!(rig.since(mark), [(PAGE_IN, GPA, 0)], "it stops at the first refusal");
            let state = if withdrawn { GfnState::SharedInv } else { GfnState::Shared };
            assert_eq!((rig.gfn(GFN), rig.gfn(GFN + 1)), (Some(state), Some(GfnState::Shared)));
            let expected = pick(p, UvCode::U_P2.to_register(), UltracallNumber::UV_UNSHARE_ALL_PAGES.0);
            assert_eq!(rig.returned(3).gpr[3], expected);
            if withdrawn {
                assert_eq!(rig.regs.nip, 0xe00, "the page is away");
            } else {
                assert_eq!(rig.loaded(4), b"open");
            }
        }
    });
}

/// What a second virtual CPU's share call comes to.
fn share_elsewhere(machine: &Machine, number: UltracallNumber) -> u64 {
    let mut regs = Regs { lpidr: VM, vcpu: 1, ..Regs::default() }.with_call(number, &[GFN, 1]);
    regs.msr = (Msr::SF | Msr::ME | Msr::S).bits();
    assert!(machine.interrupt(VM, 1, 0x980), "its decrementer stops it after the call");
    machine.ultracall(&mut regs);
    machine.guest_regs(VM, 1).unwrap().gpr[3]
}

fn a_page_in_motion_is_not_shared_twice() {
    both(|p| {
        let codes = Rc::new(RefCell::new(Vec::new()));
        let noted = Rc::clone(&codes);
        let mut rig = Rig::secure(p, vec![pause(), share(GFN, 1), pause()]);
        rig.machine.add_vcpu(VM, 1, Box::new(Script::new(vec![]).0));
        rig.hook = Some(Box::new(move |machine, seen| {
            if seen.number == PAGE_IN && noted.borrow().is_empty() {
                for number in [UltracallNumber::UV_SHARE_PAGE, UltracallNumber::UV_UNSHARE_PAGE] {
                    noted.borrow_mut().push(share_elsewhere(machine, number));
                }
                assert_eq!(machine.gfn_state(VM, Gfn(GFN)), Some(GfnState::HvSharing));
            }
            None
        }));
        let mark = rig.seen.len();
        rig.go();
        let busy = UvCode::U_BUSY.to_register();
        assert_eq!(
            *codes.borrow(),
            pick(p, [busy; 2], [UltracallNumber::UV_SHARE_PAGE.0, UltracallNumber::UV_UNSHARE_PAGE.0])
        );
        assert_eq!(rig.since(mark)[..1], [(PAGE_IN, GPA, 1)]);
        assert_eq!(rig.gfn(GFN), Some(GfnState::Shared));
    });
}

fn a_share_that_the_hypervisor_only_claims_ends_the_vm() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![store(GPA, b"mine"), pause(), share(GFN, 1), pause()]);
        rig.fill(HOST + GPA, 0x33);
        rig.hook = Some(Box::new(|_, seen| (seen.number == PAGE_IN).then_some(HvCode::H_SUCCESS)));
        rig.go();
        assert_eq!((rig.regs.nip, rig.regs.gpr[3]), (0xc00, HvCall::H_RTAS.0), "killed");
        assert_eq!((word(&rig, 0), rig.steps()), (0x201f, 2));
        assert_eq!(rig.normal(HOST + GPA), [0x33; PAGE as usize], "no page was given, none is written");
        answer_word(&rig, 4, 0);
    });
}

fn a_page_that_is_out_is_zeros_after_an_unshare() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![store(GPA, b"mine"), pause(), unshare(GFN, 1), load(GPA, 4), pause()]);
        assert_eq!(rig.page_out(RA, GPA), UvCode::U_SUCCESS);
        let mark = rig.seen.len();
        rig.go();
        // The record is gone: nothing is asked for, and what was out opens no more.
        assert_eq!(rig.since(mark).iter().filter(|seen| seen.0 == PAGE_IN).count(), 0);
        assert_eq!(rig.loaded(3), [0; 4]);
        assert_eq!(rig.page_in(RA, GPA), pick(p, UvCode::U_P3, UvCode::U_P2));
    });
}
