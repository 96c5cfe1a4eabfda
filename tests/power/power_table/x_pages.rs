//! Pages and files whose way the calls' own rows do not follow to the end.

use uv_core::{HostAddr, NormalMemory};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::{Lpid, Regs};
use uv_power::abi::ultracall::{self, Ultracall};
use uv_power::abi::{HvCode, Msr, Privilege, Profile, UvCode};
use uv_power::sim::{GfnState, GuestInsn};
use uv_sim::guest::Step;

use crate::j_share::share;
use crate::l_reflection::rtas;
use crate::rig::*;

rows! {
    the_files_of_a_blob_are_the_secure_vms a_withdrawn_page_is_not_written_when_a_vm_is_killed
    a_withdrawn_bounce_page_is_asked_for_before_it_is_written a_store_to_a_write_protected_page_is_reflected
    a_pseudo_shared_page_shows_zeros a_page_that_nobody_touched_goes_out_and_comes_back
}

const GPA: u64 = 0x100_0000;
const GFN: u64 = GPA >> 16;
const RA: u64 = 0x400_0000;
const PAGE_IN: u64 = HvCall::H_SVM_PAGE_IN.0;

fn the_files_of_a_blob_are_the_secure_vms() {
    both(|p| {
        for mode in Privilege::ALL {
            for lpid in [VM, Lpid(0), Lpid(9)] {
                let mut args = vec![0];
                args.extend(name("rootd"));
                let mut rig = Rig::secure(p, vec![pause(), sc2(UltracallNumber::UV_ESMB_GET_FILE, &args), pause()]);
                let mut regs =
                    Regs { lpidr: lpid, ..Regs::default() }.with_call(UltracallNumber::UV_ESMB_GET_FILE, &args);
                regs.msr = (mode.msr() | Msr::SF | Msr::ME).bits();
                let before = regs.clone();
                rig.machine.ultracall(&mut regs);
                let code = UvCode::from_register(regs.gpr[3]);
                rig.go();
                let guest = UvCode::from_register(rig.returned(1).gpr[3]);
                let own = matches!(mode, Privilege::SecureSupervisor | Privilege::SecureProblem);
                match (p, own, lpid == VM) {
                    (Profile::Documented, false, _) => {
                        assert_eq!(code, UvCode::U_PERMISSION, "{mode:?}");
                        assert!(regs.gpr[4..] == before.gpr[4..], "{mode:?}: nothing is shown");
                        assert_eq!(guest, UvCode(28), "the guest's own call is not spoilt");
                    }
                    (_, _, false) => assert_eq!((code, guest), (UvCode::U_PARAMETER, UvCode(28)), "{mode:?}"),
                    // The published code asks nobody who he is: whoever names the VM has read the file, and the guest cannot.
                    (_, _, true) => assert_eq!((code, guest), (UvCode(28), UvCode::U_PARAMETER), "{mode:?}"),
                }
            }
        }
    });
}

/// The page of the arguments of the ultravisor's own RTAS calls: the first of the six that it reserved.
fn rtas_pages(profile: Profile) -> u64 {
    let rig = Rig::secure(profile, vec![]);
    (0..GUEST / PAGE).find(|gfn| rig.gfn(*gfn) == Some(GfnState::SharedImplicit)).unwrap()
}

/// First of the six pages for RTAS, in a tree of one reservation below another: TPM pages lie below them.
fn args_page(profile: Profile) -> u64 {
    let first = rtas_pages(profile);
    let rig = Rig::secure(profile, vec![]);
    let implicit: Vec<u64> =
        (first..GUEST / PAGE).filter(|gfn| rig.gfn(*gfn) == Some(GfnState::SharedImplicit)).collect();
    let start = implicit.iter().position(|gfn| (0..6).all(|n| implicit.contains(&(gfn + n)))).unwrap();
    implicit[start]
}

fn a_withdrawn_page_is_not_written_when_a_vm_is_killed() {
    both(|p| {
        let args = args_page(p) * PAGE;
        for gives in [true, false] {
            let mut rig = Rig::secure(p, vec![pause(), Step::Call(GuestInsn::Emulate)]);
            assert_eq!(rig.page_inval(args), UvCode::U_SUCCESS);
            // The host uses its page for something else from now on.
            rig.fill(HOST + args, 0x77);
            let other = RA;
            rig.hook = Some(Box::new(move |machine, seen| {
                let asked = seen.number == PAGE_IN && seen.args[..2] == [args, 1];
                asked.then(|| match gives {
                    true => {
                        ultracall::call(machine, UltracallNumber::UV_PAGE_IN, &[7, other, args, 0, 16]);
                        HvCode::H_SUCCESS
                    }
                    false => HvCode::H_PARAMETER,
                })
            }));
            let mark = rig.seen.len();
            rig.go();
            let asked = if gives { 1 } else { 10 };
            let mut expected = vec![(PAGE_IN, args, 1); asked];
            expected.push((HvCall::H_RTAS.0, args, 0));
            let seen: Vec<_> =
                rig.since(mark).into_iter().map(|(n, a, f)| if n == PAGE_IN { (n, a, f) } else { (n, a, 0) }).collect();
            assert_eq!(seen, expected);
            assert_eq!(rig.normal(HOST + args), [0x77; PAGE as usize], "a page of the host is not written");
            let block = &rig.normal(other)[..12];
            assert_eq!(block == [0, 0, 0x20, 0x1f, 0, 0, 0, 1, 0, 0, 0, 1], gives);
        }
    });
}

fn a_withdrawn_bounce_page_is_asked_for_before_it_is_written() {
    both(|p| {
        let bounce = (args_page(p) + 1) * PAGE;
        let mut steps = vec![pause()];
        steps.extend(rtas(&[0x2004, 1, 1, 7], 1));
        let mut rig = Rig::secure(p, steps);
        rig.page_inval(bounce);
        rig.fill(HOST + bounce, 0x77);
        rig.hook = Some(Box::new(move |machine, seen| {
            let asked = seen.number == PAGE_IN && seen.args[..2] == [bounce, 1];
            asked.then(|| {
                ultracall::call(machine, UltracallNumber::UV_PAGE_IN, &[7, RA, bounce, 0, 16]);
                HvCode::H_SUCCESS
            })
        }));
        let mark = rig.seen.len();
        rig.go();
        assert_eq!(rig.since(mark)[0], (PAGE_IN, bounce, 1));
        assert_eq!((rig.regs.nip, rig.regs.gpr[3..5].to_vec()), (0xc00, vec![HvCall::H_RTAS.0, bounce]));
        // Taken away again while the hypervisor serves the call, and used: the answer is read where the page is then.
        assert_eq!(rig.page_inval(bounce), UvCode::U_SUCCESS);
        let answer = [0, 0, 0, 5];
        let mut block = rig.normal(RA);
        block[16..20].copy_from_slice(&answer);
        rig.fill(RA, 0x66);
        rig.hook = Some(Box::new(move |machine, seen| {
            (seen.number == PAGE_IN).then(|| {
                ultracall::call(machine, UltracallNumber::UV_PAGE_IN, &[7, RA + PAGE, bounce, 0, 16]);
                HvCode::H_SUCCESS
            })
        }));
        rig.memory.write(HostAddr(RA + PAGE), &block).unwrap();
        rig.resume(HvCode::H_SUCCESS, &[]);
        rig.run();
        assert_eq!(rig.loaded(3), answer);
        assert_eq!(rig.normal(HOST + bounce), [0x77; PAGE as usize]);
        assert_eq!(rig.normal(RA), [0x66; PAGE as usize]);
    });
}

fn a_store_to_a_write_protected_page_is_reflected() {
    both(|p| {
        for shared in [true, false] {
            let first = if shared { share(GFN, 1) } else { store(GPA, b"first") };
            let mut rig = Rig::secure(p, vec![first, pause(), load(GPA, 1), store(GPA + 8, b"x"), load(GPA + 8, 1)]);
            let protected = |rig: &Rig, flags| rig.call(UltracallNumber::UV_PAGE_IN, &[7, RA, GPA, flags, 16]);
            let out = |rig: &Rig| if shared { UvCode::U_SUCCESS } else { rig.page_out(RA, GPA) };
            assert_eq!((out(&rig), protected(&rig, 4)), (UvCode::U_SUCCESS, UvCode::U_SUCCESS));
            rig.resume(HvCode::H_SUCCESS, &[]);
            if p == Profile::Documented {
                assert_eq!((rig.regs.nip, rig.regs.hdar, rig.regs.asdr), (0xe00, GPA + 8, GPA));
                assert_eq!(rig.regs.hdsisr, 0x0a00_0000, "protection, a store");
                assert_eq!(rig.steps(), 3, "loads are fine");
                // Again and again, until the page is there without protection.
                rig.resume(HvCode::H_SUCCESS, &[]);
                assert_eq!((rig.regs.nip, rig.steps()), (0xe00, 3));
                assert_eq!((out(&rig), protected(&rig, 0)), (UvCode::U_SUCCESS, UvCode::U_SUCCESS));
                rig.resume(HvCode::H_SUCCESS, &[]);
            }
            assert_eq!(rig.loaded(4), b"x", "the firmware ignores the flag");
        }
    });
}

fn a_pseudo_shared_page_shows_zeros() {
    both(|p| {
        let rig = Rig::secure(p, vec![load(RTAS, 20), pause()]);
        assert_eq!(rig.gfn(RTAS / PAGE), Some(GfnState::PseudoShared));
        assert_eq!(rig.normal(HOST + RTAS), [0; PAGE as usize]);
        assert_eq!(rig.loaded(0), uv_power::owner::digests::RTAS_STUB, "the guest has its own");
    });
}

fn a_page_that_nobody_touched_goes_out_and_comes_back() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![pause(), load(GPA, 8), pause()]);
        rig.fill(RA, 0x44);
        let used = rig.machine.secure_pages().0;
        assert_eq!((rig.page_out(RA, GPA), rig.gfn(GFN)), (UvCode::U_SUCCESS, Some(GfnState::PagedOut)));
        assert_eq!(rig.machine.secure_pages().0, used);
        let out = rig.normal(RA);
        assert!(out != [0x44; PAGE as usize] && out != [0; PAGE as usize], "ciphertext of zeros");
        rig.hook = Some(Box::new(|machine, seen| {
            (seen.number == PAGE_IN)
                .then(|| HvCode(ultracall::call(machine, UltracallNumber::UV_PAGE_IN, &[7, RA, GPA, 0, 16]).0.0))
        }));
        rig.go();
        assert_eq!(rig.loaded(1), [0; 8]);
    });
}
