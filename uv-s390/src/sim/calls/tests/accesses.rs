//! Guest accesses to shared pages: a page that was taken away is not touched by one that began before.

extern crate std;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use spin::Mutex;
use uv_core::{Gfn, GuestAddr, HostAddr, NormalMemory, PageState};
use uv_sim::guest::Step;
use uv_sim::wrap::Stalled;

use super::random::check;
use super::threads::until_done;
use crate::abi::sie::{HostMapping, InterceptionCode, MappingSize, Sie};
use crate::abi::uvc::{Cc, PgmCode, UvRc, UvRrc};
use crate::abi::uvcb::{CpuState, DestroyFast, Share, UvCommand};
use crate::sim::Generation;
use crate::sim::rig::{Codes, Guest, OK, Rig, Vcpu, diag, returned, uvc};

const AT: u64 = 0x8000;
const BUSY: Codes = (Cc::Busy, UvRc(0), UvRrc(0));
const PARTIAL: Codes = (Cc::Partial, UvRc(0), UvRrc(0));

fn share() -> Step<crate::sim::GuestInsn> {
    uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, AT))
}

/// Runs `act` while a store of another CPU of the guest to its page [`AT`] stands still in the normal page.
fn during_a_store(rig: &Rig, guest: &Guest, act: impl FnOnce()) {
    struct Opens<'a>(&'a Stalled<Arc<dyn NormalMemory>>);
    impl Drop for Opens<'_> {
        fn drop(&mut self) {
            self.0.open();
        }
    }
    let memory = Stalled::new(Arc::clone(&rig.machine.storage.bytes));
    memory.arm(HostAddr(guest.base + AT)..HostAddr(guest.base + AT + 1));
    let conf = rig.machine.conf(guest.conf).unwrap();
    thread::scope(|scope| {
        let store = scope.spawn(|| conf.space.guest_write(&memory, GuestAddr(AT), b"late"));
        let opens = Opens(&memory);
        while !memory.is_stalling() {
            assert!(!store.is_finished(), "the store never came to the page");
            thread::yield_now();
        }
        act();
        drop(opens);
        assert_eq!(store.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_shared_page_is_busy_while_a_guest_stores_to_it() {
    let rig = Rig::ready(Generation::Z17);
    let remove = uvc(&Share::new(UvCommand::REMOVE_SHARED_ACCESS, AT));
    let (guest, cpu, seen) = rig.booted(0, [Step::store(GuestAddr(AT), b"open"), share(), diag(0x44, [0; 5]), remove]);
    rig.serve(&guest, cpu);
    // What another VM maps to the frame takes it over.
    let other = rig.guest(1);
    let frame = guest.base + AT;
    let mapping = HostMapping { frame: HostAddr(frame), writable: true, size: MappingSize::Page };
    other.tables.moved.lock().insert(0x5000, Some(mapping));
    during_a_store(&rig, &guest, || {
        assert_eq!(rig.export(frame), BUSY);
        assert_eq!(rig.storage(UvCommand::DESTR_SEC_STOR, frame), BUSY);
        assert_eq!(rig.import(&other, 0x5000), BUSY);
        rig.serve(&guest, cpu);
        assert_eq!(returned(seen.lock().last().unwrap()).0, 2, "the guest's own call");
        assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
        assert_eq!(rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf), PARTIAL);
        assert_eq!(rig.machine.page_counts(guest.conf).unwrap().shared, 1, "nothing has changed");
    });
    let mut bytes = [0; 4];
    rig.host.read(HostAddr(frame), &mut bytes).unwrap();
    assert_eq!(&bytes, b"late");
    assert_eq!(rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf), OK);
    assert!(rig.is_closed(frame));
    check(&rig);
}

#[test]
fn a_configuration_does_not_end_before_the_stores_of_its_guest() {
    type End = fn(&Rig, &Guest) -> Codes;
    let ends: [(End, Codes); 2] = [
        (|rig, guest| rig.call(&mut DestroyFast::new(guest.conf)), BUSY),
        (|rig, guest| rig.no_data(UvCommand::DESTROY_SEC_CONF, guest.conf), PARTIAL),
    ];
    for (n, (end, meanwhile)) in (0..).zip(ends) {
        let rig = Rig::ready(Generation::Z17);
        let (guest, cpu, _) = rig.booted(n, [Step::store(GuestAddr(AT), b"open"), share(), diag(0x44, [0; 5])]);
        rig.serve(&guest, cpu);
        assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle), OK);
        during_a_store(&rig, &guest, || assert_eq!([end(&rig, &guest), end(&rig, &guest)], [meanwhile; 2]));
        assert_eq!(end(&rig, &guest), OK);
        assert_eq!(rig.machine.secure_frames_in_use(), 0);
    }
}

/// Runs the guest until it waits; the page comes back only while the host does not use its frame.
fn run(rig: &Rig, guest: &Guest, cpu: Vcpu, frame: &Mutex<()>) {
    loop {
        match rig.machine.enter(cpu.state, guest.asce, &mut [0; 16]) {
            Ok(()) if rig.sd(cpu).interception() == InterceptionCode::WAIT => return,
            Ok(()) => {}
            Err(interruption) => {
                assert_eq!(interruption.code, PgmCode::NON_SECURE_STORAGE_ACCESS);
                let _held = frame.lock();
                assert_eq!(until_done(|| rig.import(guest, interruption.teid.unwrap().page())), OK);
            }
        }
    }
}

#[test]
fn a_frame_that_was_taken_from_a_shared_page_is_the_hosts_alone() {
    let rig = Rig::ready(Generation::Z17);
    let steps = (0..4000).map(|n| if n % 8 == 0 { share() } else { Step::store(GuestAddr(AT), &[0x77; 4096]) });
    let (guest, cpu, _) = rig.booted(0, steps);
    let (frame, over, taken) = (Mutex::new(()), AtomicBool::new(false), AtomicU64::new(0));
    let conf = rig.machine.conf(guest.conf).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let at = HostAddr(guest.base + AT);
            for round in 0_u64.. {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let held = frame.lock();
                let shared = conf.space.state(Gfn(AT >> 12)) == Ok(PageState::Shared);
                let command = if round % 4 == 3 { UvCommand::DESTR_SEC_STOR } else { UvCommand::CONV_FROM_SEC_STOR };
                // A private page that is destroyed is zeros; that is the host's choice.
                assert_eq!(until_done(|| rig.storage(command, at.0)), OK);
                taken.fetch_add(shared.into(), Ordering::SeqCst);
                let mut sealed = [0; 4096];
                rig.host.read(at, &mut sealed).unwrap();
                rig.host.write(at, &[0xee; 4096]).unwrap();
                for _ in 0..20 {
                    thread::yield_now();
                    let mut page = [0; 4096];
                    rig.host.read(at, &mut page).unwrap();
                    assert!(page == [0xee; 4096], "the guest's store is in a page of the host");
                }
                rig.host.write(at, &sealed).unwrap();
                drop(held);
                thread::yield_now();
            }
        });
        let ended = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| run(&rig, &guest, cpu, &frame)));
        over.store(true, Ordering::SeqCst);
        ended.unwrap();
    });
    assert!(taken.load(Ordering::SeqCst) > 10, "{taken:?} times the page was shared");
    check(&rig);
}
