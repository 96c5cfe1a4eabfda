//! Pages and files whose way the calls' own rows do not follow to the end.

use std::cell::RefCell;
use std::rc::Rc;

use uv_core::{Gfn, HostAddr, NormalMemory};
use uv_power::abi::numbers::{HvCall, UvCall};
use uv_power::abi::regs::{Lpid, Regs};
use uv_power::abi::ultracall::{self, Ultracall};
use uv_power::abi::{HvCode, Msr, Privilege, Profile, UvCode};
use uv_power::owner::tree::Property;
use uv_power::sim::{GfnState, GuestInsn, SvmState};
use uv_sim::guest::Step;

use crate::l_reflection::{answer_word, rtas, word};
use crate::rig::*;

rows! {
    the_files_of_a_blob_are_the_secure_vms a_withdrawn_page_is_not_written_when_a_vm_is_killed
    a_withdrawn_bounce_page_is_asked_for_before_it_is_written a_store_to_a_write_protected_page_is_reflected
    a_withdrawn_page_that_is_shared_again_reads_zeros a_tree_without_a_cpu_aborts a_tree_that_begins_inside_a_page_brings_two
    an_empty_area_aborts after_an_abort_the_firmware_has_lost_the_content a_page_in_does_not_outlive_its_slot
    a_page_that_is_out_is_zeros_after_an_unshare a_pseudo_shared_page_shows_zeros a_refused_unshare_all_leaves_the_page_shared
    a_page_in_motion_is_not_shared_twice a_share_that_the_hypervisor_only_claims_ends_the_vm the_last_page_of_a_table_can_be_in_a_slot
    reservations_are_given_back_and_kept_once a_page_that_nobody_touched_goes_out_and_comes_back
}

const GPA: u64 = 0x100_0000;
const GFN: u64 = GPA >> 16;
const RA: u64 = 0x400_0000;
const PAGE_IN: u64 = HvCall::H_SVM_PAGE_IN.0;

fn share(gfn: u64, count: u64) -> uv_power::sim::GuestStep {
    sc2(UvCall::UV_SHARE_PAGE, &[gfn, count])
}

fn unshare(gfn: u64, count: u64) -> uv_power::sim::GuestStep {
    sc2(UvCall::UV_UNSHARE_PAGE, &[gfn, count])
}

fn the_files_of_a_blob_are_the_secure_vms() {
    both(|p| {
        for mode in Privilege::ALL {
            for lpid in [VM, Lpid(0), Lpid(9)] {
                let mut args = vec![0];
                args.extend(name("rootd"));
                let mut rig = Rig::secure(p, vec![pause(), sc2(UvCall::UV_ESMB_GET_FILE, &args), pause()]);
                let mut regs = Regs { lpidr: lpid, ..Regs::default() }.with_call(UvCall::UV_ESMB_GET_FILE, &args);
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
                        ultracall::call(machine, UvCall::UV_PAGE_IN, &[7, other, args, 0, 16]);
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
                ultracall::call(machine, UvCall::UV_PAGE_IN, &[7, RA, bounce, 0, 16]);
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
                ultracall::call(machine, UvCall::UV_PAGE_IN, &[7, RA + PAGE, bounce, 0, 16]);
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
            let protected = |rig: &Rig, flags| rig.call(UvCall::UV_PAGE_IN, &[7, RA, GPA, flags, 16]);
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

fn a_withdrawn_page_that_is_shared_again_reads_zeros() {
    both(|p| {
        let mut rig = Rig::secure(p, vec![share(GFN, 1), pause(), share(GFN, 1), load(GPA, 4), pause()]);
        rig.page_inval(GPA);
        rig.fill(RA, 0x55);
        rig.hook = Some(Box::new(|machine, seen| {
            (seen.number == PAGE_IN).then(|| {
                ultracall::call(machine, UvCall::UV_PAGE_IN, &[7, RA, GPA, 0, 16]);
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
        let expected = pick(p, UvCode::U_P2.to_register(), UvCall::UV_SHARE_PAGE.0);
        assert_eq!((rig.returned(2).gpr[3], rig.gfn(GFN)), (expected, Some(GfnState::SharedInv)));
    });
}

/// The transition of an image that a test changed, up to the abort.
fn aborts(profile: Profile, change: impl FnOnce(&mut Image)) -> Rig {
    let mut image = Image::default();
    change(&mut image);
    let mut rig = Rig::new(profile);
    rig.load(&image);
    rig.make_secure(vec![]);
    assert_eq!((rig.state(), rig.numbers().last()), (Some(SvmState::Abort), Some(&HvCall::H_SVM_INIT_ABORT.0)));
    rig
}

fn a_tree_without_a_cpu_aborts() {
    both(|p| {
        let rig = aborts(p, |image| image.tree.children.retain(|node| node.name != "cpus"));
        assert_eq!(rig.machine.esm_failure(VM).unwrap().stage(), "device-tree");
        aborts(p, |image| image.node("cpus").children[0].set(Property::text("device_type", "cpus")));
        // Wherever the node is; without a list of threads it has one.
        let mut image = Image::default();
        let mut cpu = image.node("cpus").children.remove(0);
        cpu.properties.retain(|property| property.name == "device_type");
        image.node("chosen").children.push(cpu);
        image.boot_cpu = 3;
        let mut rig = Rig::new(p);
        rig.load(&image);
        rig.make_secure(vec![]);
        assert_eq!(rig.state(), Some(SvmState::Secure), "four cores of one thread");
    });
}

fn a_tree_that_begins_inside_a_page_brings_two() {
    both(|p| {
        let at = TREE + 0x8000;
        let next = TREE + PAGE;
        let mut rig = Rig::new(p);
        rig.load(&Image::default());
        let tree = rig.normal(HOST + TREE);
        rig.memory.write(HostAddr(HOST + at), &tree[..0x4000]).unwrap();
        rig.fill(HOST + next, 0x5a);
        let mut all = vec![sc2(UvCall::UV_ESM, &[KERNEL, at])];
        all.push(load(next, 8));
        rig.start(all);
        rig.run();
        assert_eq!(rig.machine.esm_failure(VM), None);
        let asked: Vec<u64> = rig.seen.iter().filter(|s| s.number == PAGE_IN).take(2).map(|s| s.args[0]).collect();
        assert_eq!(asked, [TREE, next]);
        assert_eq!(rig.loaded(0), [0x5a; 8]);
    });
}

fn an_empty_area_aborts() {
    both(|p| {
        let rig = aborts(p, |image| image.node("rtas").set(Property::new("rtas-size", [0; 4])));
        assert_eq!(rig.machine.esm_failure(VM).unwrap().stage(), "page-in");
        // No code to measure is a wrong digest.
        let rig = aborts(p, |image| image.node("rtas").set(Property::new("slof,rtas-size", [0; 4])));
        assert_eq!(rig.machine.esm_failure(VM).unwrap().stage(), "rtas");
    });
}

fn after_an_abort_the_firmware_has_lost_the_content() {
    both(|p| {
        // A host that takes a new page for every page-out, as Linux does: it was zeros.
        let rig = Rig::aborted(p);
        for gfn in (0..GUEST / PAGE).filter(|gfn| rig.gfn(*gfn) == Some(GfnState::Secure)) {
            assert_eq!(rig.page_out(RA + gfn * PAGE, gfn * PAGE), UvCode::U_SUCCESS);
        }
        assert_eq!(rig.call(UvCall::UV_SVM_TERMINATE, &[7]), UvCode::U_SUCCESS);
        let kernel = rig.normal(RA + KERNEL);
        assert_eq!(kernel, pick(p, VMLINUX[..PAGE as usize].to_vec(), vec![0; PAGE as usize]));
    });
}

fn a_page_in_does_not_outlive_its_slot() {
    // The firmware waits for a page's lock: the call has seen the slot, and it is gone when the lock comes.
    let rig = Rig::active_with_slot(Profile::Firmware);
    rig.fill(RA, 0x21);
    let machine = &rig.machine;
    let moment = std::time::Duration::from_millis(60);
    std::thread::scope(|scope| {
        let (paged, removed) = machine
            .while_page_is_held(VM, Gfn(GFN), || {
                let paged = scope.spawn(|| ultracall::call(machine, UvCall::UV_PAGE_IN, &[7, RA, GPA, 0, 16]).0);
                std::thread::sleep(moment);
                let removed = scope.spawn(|| ultracall::call(machine, UvCall::UV_UNREGISTER_MEM_SLOT, &[7, 1]).0);
                std::thread::sleep(moment);
                (paged, removed)
            })
            .unwrap();
        assert_eq!((paged.join().unwrap(), removed.join().unwrap()), (UvCode::U_P3, UvCode::U_SUCCESS));
    });
    assert_eq!(rig.machine.secure_pages().0, 0, "no frame outside of the slots");
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

fn a_pseudo_shared_page_shows_zeros() {
    both(|p| {
        let rig = Rig::secure(p, vec![load(RTAS, 20), pause()]);
        assert_eq!(rig.gfn(RTAS / PAGE), Some(GfnState::PseudoShared));
        assert_eq!(rig.normal(HOST + RTAS), [0; PAGE as usize]);
        assert_eq!(rig.loaded(0), uv_power::owner::digests::RTAS_STUB, "the guest has its own");
    });
}

fn a_refused_unshare_all_leaves_the_page_shared() {
    both(|p| {
        for withdrawn in [false, true] {
            let steps =
                vec![share(GFN, 2), store(GPA, b"open"), pause(), sc2(UvCall::UV_UNSHARE_ALL_PAGES, &[]), load(GPA, 4)];
            let mut rig = Rig::secure(p, steps);
            rig.hook = Some(Box::new(move |machine, seen| {
                if seen.number != PAGE_IN {
                    return None;
                }
                if withdrawn {
                    ultracall::call(machine, UvCall::UV_PAGE_INVAL, &[7, GPA, 16]);
                }
                Some(HvCode::H_PARAMETER)
            }));
            let mark = rig.seen.len();
            rig.go();
            assert_eq!(rig.since(mark), [(PAGE_IN, GPA, 0)], "it stops at the first refusal");
            let state = if withdrawn { GfnState::SharedInv } else { GfnState::Shared };
            assert_eq!((rig.gfn(GFN), rig.gfn(GFN + 1)), (Some(state), Some(GfnState::Shared)));
            let expected = pick(p, UvCode::U_P2.to_register(), UvCall::UV_UNSHARE_ALL_PAGES.0);
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
fn share_elsewhere(machine: &uv_power::sim::Machine, number: UvCall) -> u64 {
    let mut regs = Regs { lpidr: VM, vcpu: 1, ..Regs::default() }.with_call(number, &[GFN, 1]);
    regs.msr = (Msr::SF | Msr::ME | Msr::S).bits();
    machine.ultracall(&mut regs);
    machine.guest_regs(VM, 1).unwrap().gpr[3]
}

fn a_page_in_motion_is_not_shared_twice() {
    both(|p| {
        let codes = Rc::new(RefCell::new(Vec::new()));
        let noted = Rc::clone(&codes);
        let mut rig = Rig::secure(p, vec![pause(), share(GFN, 1), pause()]);
        rig.hook = Some(Box::new(move |machine, seen| {
            if seen.number == PAGE_IN && noted.borrow().is_empty() {
                for number in [UvCall::UV_SHARE_PAGE, UvCall::UV_UNSHARE_PAGE] {
                    noted.borrow_mut().push(share_elsewhere(machine, number));
                }
                assert_eq!(machine.gfn_state(VM, Gfn(GFN)), Some(GfnState::HvSharing));
            }
            None
        }));
        let mark = rig.seen.len();
        rig.go();
        let busy = UvCode::U_BUSY.to_register();
        assert_eq!(*codes.borrow(), pick(p, [busy; 2], [UvCall::UV_SHARE_PAGE.0, UvCall::UV_UNSHARE_PAGE.0]));
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

fn the_last_page_of_a_table_can_be_in_a_slot() {
    both(|p| {
        // 4 TiB of guest memory.
        let last = (1 << 42) - PAGE;
        let rig = Rig::active(p);
        assert_eq!(rig.register(last, 2 * PAGE, 0, 1), pick(p, UvCode::U_P3, UvCode::U_PARAMETER));
        assert_eq!(rig.register(last, PAGE, 0, 1), UvCode::U_SUCCESS);
        rig.fill(RA, 1);
        assert_eq!(rig.page_in(RA, last), UvCode::U_SUCCESS);
        assert_eq!(rig.page_in(RA, last + PAGE), UvCode::U_P3);
        assert_eq!(rig.gfn(last / PAGE), Some(GfnState::Secure));
    });
}

fn reservations_are_given_back_and_kept_once() {
    let unit = 2 << 20;
    let rig = Rig::active(Profile::Firmware);
    let ok = UvCode::U_SUCCESS;
    // 64 units; the transition has one. What is refused reserves nothing.
    for _ in 0..3 {
        assert_eq!(rig.register(0, 64 * unit, 0, 0), UvCode::U_PARAMETER);
        assert_eq!(rig.register(PAGE / 2, 62 * unit, 0, 0), UvCode::U_PARAMETER);
    }
    assert_eq!((rig.register(0, 62 * unit, 0, 0), rig.register(62 * unit, PAGE, 0, 1)), (ok, ok));
    assert_eq!(rig.register(63 * unit, PAGE, 0, 2), UvCode::U_PARAMETER);
    // A slot that goes keeps its reservation until the VM ends.
    assert_eq!(rig.call(UvCall::UV_UNREGISTER_MEM_SLOT, &[7, 1]), ok);
    assert_eq!(rig.register(62 * unit, PAGE, 0, 1), UvCode::U_PARAMETER);
    // Another VM has what is left, which is nothing, and all of it afterwards.
    let other = |mut rig: Rig, expected| {
        rig.start(vec![sc2(UvCall::UV_ESM, &[KERNEL, TREE])]);
        rig.run();
        assert_eq!(rig.register(0, 63 * unit, 0, 0), expected);
        rig
    };
    assert_eq!(rig.call(UvCall::UV_SVM_TERMINATE, &[7]), ok);
    assert_eq!(rig.call(UvCall::UV_SVM_TERMINATE, &[7]), ok, "and not twice");
    let mut rig = other(rig, ok);
    rig.slots = vec![];
    assert_eq!(rig.register(63 * unit, PAGE, 0, 1), UvCode::U_PARAMETER, "all is taken");
    assert_eq!(rig.call(UvCall::UV_SVM_TERMINATE, &[7]), ok);
    other(rig, ok);
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
                .then(|| HvCode(ultracall::call(machine, UvCall::UV_PAGE_IN, &[7, RA, GPA, 0, 16]).0.0))
        }));
        rig.go();
        assert_eq!(rig.loaded(1), [0; 8]);
    });
}
