//! Guest accesses to shared pages: nobody loses a VM over one that is at work, and none touches a page that was taken away before.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use uv_core::{Gfn, HostAddr, NormalMemory};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::regs::Regs;
use uv_power::abi::ultracall::{self, Ultracall};
use uv_power::abi::{HvCode, Profile, UvCode};
use uv_power::sim::{GfnState, GuestStep, Machine};
use uv_sim::HostMemory;
use uv_sim::guest::Script;
use uv_sim::wrap::Stalled;

use crate::l_reflection::{answer_word, rtas, word};
use crate::rig::*;
use crate::watch::all_views;

rows! {
    an_unshare_waits_for_a_store_of_another_virtual_cpu a_page_shared_again_waits_for_a_store_of_another_virtual_cpu
    a_hypervisors_call_is_busy_while_a_guest_stores a_slot_does_not_go_while_a_guest_stores
    a_normal_page_that_was_withdrawn_is_the_hypervisors_alone
}

const GPA: u64 = 0x100_0000;
const GFN: u64 = GPA >> 16;
const RA: u64 = 0x400_0000;

/// A VM of two virtual CPUs: the first has shared a page and then does `steps`; the second is about to store to that page.
struct Two {
    rig: Rig,
    memory: Arc<Stalled<Arc<HostMemory>>>,
    second: Regs,
    /// Steps of the first before `steps`.
    before: usize,
}

impl Two {
    fn new(profile: Profile, steps: Vec<GuestStep>) -> Self {
        let memory = Arc::new(HostMemory::new(0x800_0000));
        let stalled = Arc::new(Stalled::new(Arc::clone(&memory)));
        let mut rig = Rig::over(config(profile), memory, stalled.clone());
        rig.load(&Image::default());
        let mut all = rtas(&[0x2005, 3, 1, 1, 0x4000, 0], 1);
        all.extend([sc2(UltracallNumber::UV_SHARE_PAGE, &[GFN, 1]), pause()]);
        let before = all.len();
        all.extend(steps);
        rig.make_secure(all);
        assert_eq!(rig.machine.esm_failure(VM), None);
        let (script, _) = Script::new(vec![store(GPA, b"late"), pause()]);
        rig.machine.add_vcpu(VM, 1, Box::new(script));
        let mut second = Regs { lpidr: VM, vcpu: 1, ..Regs::hypervisor() };
        (second.gpr[0], second.gpr[3]) = (word(&rig, 5).into(), UltracallNumber::UV_RETURN.0);
        answer_word(&rig, 6, 0);
        rig.go();
        assert_eq!(rig.gfn(GFN), Some(GfnState::Shared));
        Self { rig, memory: stalled, second, before }
    }

    /// Runs `act` while the store of the second virtual CPU stands still in the normal page.
    fn during_the_store(&mut self, act: impl FnOnce(&mut Rig)) {
        struct Opens<'a>(&'a Stalled<Arc<HostMemory>>);
        impl Drop for Opens<'_> {
            fn drop(&mut self) {
                self.0.open();
            }
        }
        let (machine, second, memory) = (self.rig.machine.clone(), &mut self.second, &*self.memory);
        memory.arm(HostAddr(HOST + GPA)..HostAddr(HOST + GPA + 1));
        let rig = &mut self.rig;
        thread::scope(|scope| {
            let opens = Opens(memory);
            let store = scope.spawn(move || machine.ultracall(second));
            while !memory.is_stalling() {
                assert!(!store.is_finished(), "the store never came to the page");
                thread::yield_now();
            }
            act(rig);
            drop(opens);
            store.join().unwrap();
        });
    }
}

fn an_unshare_waits_for_a_store_of_another_virtual_cpu() {
    both(|p| {
        for call in [sc2(UltracallNumber::UV_UNSHARE_PAGE, &[GFN, 1]), sc2(UltracallNumber::UV_UNSHARE_ALL_PAGES, &[])]
        {
            let mut two = Two::new(p, vec![call, load(GPA, 4), pause()]);
            let (before, mark) = (two.before, two.rig.seen.len());
            two.during_the_store(|rig| {
                for _ in 0..3 {
                    rig.resume(HvCode::H_SUCCESS, &[]);
                    assert_eq!((rig.regs.nip, rig.steps()), (0x980, before), "the hypervisor has its turn");
                    assert_eq!(rig.gfn(GFN), Some(GfnState::Shared));
                }
            });
            assert_eq!(&two.rig.normal(HOST + GPA)[..4], b"late", "the store was made");
            two.rig.go();
            assert_eq!(two.rig.since(mark)[0].1, GPA, "asked back once");
            assert_eq!(two.rig.gfn(GFN), Some(GfnState::Secure));
            assert_eq!(two.rig.loaded(before + 1), [0; 4]);
            if p == Profile::Documented {
                assert_eq!(two.rig.returned(before).gpr[3], UvCode::U_SUCCESS.to_register());
            }
            all_views(&two.rig);
        }
    });
}

fn a_page_shared_again_waits_for_a_store_of_another_virtual_cpu() {
    both(|p| {
        let mut two = Two::new(p, vec![sc2(UltracallNumber::UV_SHARE_PAGE, &[GFN, 1]), pause(), load(GPA, 4), pause()]);
        two.during_the_store(|rig| {
            rig.resume(HvCode::H_SUCCESS, &[]);
            assert_eq!(rig.regs.nip, pick(p, 0x980, 0xc00), "the firmware leaves the page alone");
        });
        if p == Profile::Documented {
            two.rig.go();
            assert_eq!(two.rig.returned(two.before).gpr[3], UvCode::U_SUCCESS.to_register());
        }
        two.rig.go();
        assert_eq!(two.rig.gfn(GFN), Some(GfnState::Shared));
        assert_eq!(two.rig.loaded(two.before + 2), pick(p, [0; 4], *b"late"), "zeroed after the store");
    });
}

fn a_hypervisors_call_is_busy_while_a_guest_stores() {
    both(|p| {
        let busy = pick(p, UvCode::U_BUSY, UvCode::U_RETRY);
        let mut two = Two::new(p, vec![pause()]);
        two.during_the_store(|rig| {
            assert_eq!([rig.page_inval(GPA), rig.page_in(RA, GPA)], [busy; 2]);
            assert_eq!(rig.gfn(GFN), Some(GfnState::Shared));
        });
        let rig = &two.rig;
        assert_eq!(rig.page_inval(GPA), UvCode::U_SUCCESS);
        rig.fill(HOST + GPA, 0x77);
        assert_eq!(rig.page_in(RA, GPA), UvCode::U_SUCCESS);
        assert_eq!(rig.normal(HOST + GPA), [0x77; PAGE as usize]);
        all_views(rig);
    });
}

fn a_slot_does_not_go_while_a_guest_stores() {
    both(|p| {
        let busy = pick(p, UvCode::U_BUSY, UvCode::U_RETRY);
        let unregister = |rig: &Rig| rig.call(UltracallNumber::UV_UNREGISTER_MEM_SLOT, &[7, 0]);
        let mut two = Two::new(p, vec![pause()]);
        two.during_the_store(|rig| {
            assert_eq!(unregister(rig), busy);
            assert_eq!(rig.register(0, GUEST, 0, 0), busy);
            assert_eq!(rig.gfn(GFN), Some(GfnState::Shared), "the slot is there still");
        });
        assert_eq!(unregister(&two.rig), UvCode::U_SUCCESS);
        assert_eq!((two.rig.gfn(GFN), two.rig.machine.secure_pages().0), (None, 0));
        two.rig.fill(HOST + GPA, 0x77);
        assert_eq!(two.rig.normal(HOST + GPA), [0x77; PAGE as usize]);
        all_views(&two.rig);
    });
}

/// Lets the guest store until its program ends; a page that is away comes back when the hypervisor has no other use for it.
fn serve(machine: &Machine, regs: &mut Regs, page: &Mutex<()>) {
    loop {
        regs.gpr[0] = HvCode::H_SUCCESS.to_register();
        regs.gpr[2] = regs.srr1;
        regs.gpr[3] = UltracallNumber::UV_RETURN.0;
        regs.msr = Regs::hypervisor().msr;
        machine.ultracall(regs);
        match regs.nip {
            0xc00 if regs.gpr[3] == HvCall::H_CEDE.0 => return,
            0xe00 => {
                let _held = page.lock().unwrap();
                ultracall::call(machine, UltracallNumber::UV_PAGE_IN, &[7, HOST + GPA, GPA, 0, 16]);
            }
            0x980 => {}
            vector => panic!("{vector:#x}"),
        }
    }
}

fn a_normal_page_that_was_withdrawn_is_the_hypervisors_alone() {
    both(|p| {
        let mut steps = vec![sc2(UltracallNumber::UV_SHARE_PAGE, &[GFN, 1]), pause()];
        steps.extend((0..3000).map(|_| store(GPA, &[0x77; 4096])));
        let rig = Rig::secure(p, steps);
        let (machine, memory, mut regs) = (&rig.machine, &rig.memory, rig.regs.clone());
        let (page, over, taken) = (Mutex::new(()), AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let host = scope.spawn(|| {
                let at = HostAddr(HOST + GPA);
                while !over.load(Ordering::SeqCst) {
                    let _held = page.lock().unwrap();
                    let shared = machine.gfn_state(VM, Gfn(GFN)) == Some(GfnState::Shared);
                    if ultracall::call(machine, UltracallNumber::UV_PAGE_INVAL, &[7, GPA, 16]).0 != UvCode::U_SUCCESS {
                        continue;
                    }
                    taken.fetch_add(shared.into(), Ordering::SeqCst);
                    memory.write(at, &[0xee; 4096]).unwrap();
                    for _ in 0..20 {
                        thread::yield_now();
                        let mut bytes = [0; 4096];
                        memory.read(at, &mut bytes).unwrap();
                        assert!(bytes == [0xee; 4096], "the guest's store is in a page of the hypervisor");
                    }
                }
            });
            let guest = scope.spawn(|| serve(machine, &mut regs, &page));
            let ended = guest.join();
            over.store(true, Ordering::SeqCst);
            host.join().unwrap();
            ended.unwrap();
        });
        assert!(taken.load(Ordering::SeqCst) > 10, "{taken:?}");
        assert_eq!(rig.steps(), 3002);
    });
}
