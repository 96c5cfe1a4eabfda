//! Wrapped VMs of the bare backend.

use alloc::{sync::Arc, vec::Vec};

use uv_core::{
    AccessError, EnterSecureMode, ErrorKind, Exit, Gfn, HostAddr, MemSlot, MemSlots, NormalMemory, PageIn, PageOut,
    PageRange, PageSize, PageState, RangeError, SecureVm, SharePages, SlotId, Vcpu, VmState,
};

use super::{Event, EventLog, Flaky, FlakyError, FlakyVm, Traced, TracedVm};
use crate::bare::{BareCall, BareVm, Image};
use crate::guest::{Script, Step};
use crate::{Engine, EngineConfig, HostMemory};

fn vm() -> BareVm {
    let engine = Arc::new(Engine::new(EngineConfig { page_size: PageSize::K4, frames: 64, seed: 5 }));
    let mut slots = MemSlots::new(PageSize::K4);
    slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: 32, host: HostAddr(0) }).unwrap();
    let vm = BareVm::new(engine, Arc::new(HostMemory::new(32 << 12)), slots);
    vm.enter_secure_mode(&Image { pages: PageRange::new(Gfn(0), 16) }).unwrap();
    vm
}

#[test]
fn a_struck_range_says_how_far_it_came_and_can_be_taken_up_there() {
    let flaky = FlakyVm::new(vm(), 4, 200);
    let (mut next, mut struck) = (0, 0);
    while next < 16 {
        match flaky.page_out_range(PageRange::new(Gfn(next), 16 - next)) {
            Ok(()) => next = 16,
            Err(stopped) => {
                assert_eq!(uv_core::Error::kind(&stopped), ErrorKind::Busy);
                next += stopped.done;
                struck += 1;
            }
        }
    }
    assert!(struck > 0, "the seed must strike");
    assert!((0..16).all(|n| flaky.page_state(Gfn(n)) == Ok(PageState::Sealed)));
}

#[test]
fn a_trace_names_calls_and_ends() {
    let log = EventLog::default();
    let traced = TracedVm::new(vm(), Arc::clone(&log));
    traced.page_out(Gfn(1)).unwrap();
    traced.page_in(Gfn(99)).unwrap_err();
    traced.terminate().unwrap();
    let events: Vec<Event> = log.lock().clone();
    assert_eq!(
        events,
        [
            Event::PageOut(Gfn(1).into(), None),
            Event::PageIn(Gfn(99).into(), Some(ErrorKind::InvalidArgument)),
            Event::Terminate(None),
        ]
    );
}

/// The guest shares a page.
fn share(vm: &BareVm, gfn: Gfn) {
    let mut cpu = vm.vcpu(alloc::boxed::Box::new(Script::new([Step::Call(BareCall::Share(gfn))]).0));
    assert_eq!(cpu.run(), Ok(Exit::Halted));
}

/// A schedule that strikes nearly always, or never.
fn flaky(strikes: bool) -> FlakyVm<BareVm> {
    FlakyVm::new(vm(), 5, if strikes { 255 } else { 0 })
}

#[test]
fn a_struck_range_is_done_to_its_half() {
    let flaky = flaky(true);
    let all = PageRange::new(Gfn(0), 16);
    assert_eq!(flaky.page_out_range(all), Err(RangeError { done: 8, error: FlakyError::Struck }));
    assert!(all.iter().all(|gfn| flaky.page_state(gfn) == Ok(state_of_half(gfn))));
    assert_eq!(flaky.page_in_range(all), Err(RangeError { done: 8, error: FlakyError::Struck }));
    assert!(all.iter().all(|gfn| flaky.page_state(gfn) == Ok(PageState::Secure)));
    let beyond = flaky.page_in_range(PageRange::new(Gfn(28), 10));
    assert!(matches!(beyond, Err(RangeError { done: 0, error: FlakyError::Inner(_) })), "{beyond:?}");
}

fn state_of_half(gfn: Gfn) -> PageState {
    if gfn.0 < 8 { PageState::Sealed } else { PageState::Secure }
}

#[test]
fn what_a_schedule_does_not_strike_is_the_vms_own() {
    let flaky = flaky(false);
    assert_eq!((flaky.page_out(Gfn(1)), flaky.page_state(Gfn(1))), (Ok(()), Ok(PageState::Sealed)));
    assert_eq!((flaky.page_in(Gfn(1)), flaky.page_state(Gfn(1))), (Ok(()), Ok(PageState::Secure)));
    assert_eq!(
        (flaky.vm_state(), flaky.page_size(), flaky.is_shared(Gfn(3))),
        (VmState::Secure, PageSize::K4, Ok(false))
    );
    share(flaky.inner(), Gfn(3));
    assert_eq!(flaky.is_shared(Gfn(3)), Ok(true));
    assert_eq!((flaky.withdraw(Gfn(3)), flaky.page_state(Gfn(3))), (Ok(()), Ok(PageState::Withdrawn)));
    let not_shared = flaky.withdraw(Gfn(4)).map_err(|error| uv_core::Error::kind(&error));
    assert_eq!(not_shared, Err(ErrorKind::WrongState));
    assert_eq!((flaky.terminate(), flaky.vm_state()), (Ok(()), VmState::Normal));
}

#[test]
fn memory_that_is_struck_is_untouched_and_says_so() {
    let memory = HostMemory::new(0x1000);
    let flaky = Flaky::new(&memory, 1, 128);
    let struck = |at, len| Err(AccessError::Unmapped { at: HostAddr(at), len });
    let mut strikes = [0; 3];
    for value in 1..=100 {
        let before = byte(&memory);
        let written = flaky.write(HostAddr(0x20), &[value]);
        strikes[0] += usize::from(written.is_err());
        assert_eq!(written, if written.is_ok() { Ok(()) } else { struck(0x20, 1) });
        assert_eq!(byte(&memory), if written.is_ok() { value } else { before });
        let mut seen = [0; 2];
        let read = flaky.read(HostAddr(0x20), &mut seen);
        strikes[1] += usize::from(read.is_err());
        assert_eq!((read, seen[0]), if read.is_ok() { (Ok(()), byte(&memory)) } else { (struck(0x20, 2), 0) });
        let checked = flaky.check(HostAddr(0x20), 3);
        strikes[2] += usize::from(checked.is_err());
        assert_eq!(checked, if checked.is_ok() { Ok(()) } else { struck(0x20, 3) });
    }
    assert!(strikes.iter().all(|count| (20..80).contains(count)), "{strikes:?}");
    let never = Flaky::new(&memory, 1, 0);
    assert!((0..5000).all(|_| never.check(HostAddr(0x20), 2) == Ok(())), "a chance of 0");
    assert_eq!(never.check(HostAddr(0xfff), 2), struck(0xfff, 2), "memory's own answer");
}

fn byte(memory: &HostMemory) -> u8 {
    let mut byte = [0];
    memory.read(HostAddr(0x20), &mut byte).unwrap();
    byte[0]
}

#[test]
fn a_trace_of_memory_shows_each_access_and_changes_none() {
    let log = EventLog::default();
    let memory = HostMemory::new(0x1000);
    let traced = Traced::new(&memory, Arc::clone(&log));
    let beyond = |len| Err(AccessError::Unmapped { at: HostAddr(0xfff), len });
    assert_eq!(traced.write(HostAddr(0x20), &[7, 8]), Ok(()));
    assert_eq!(traced.write(HostAddr(0xfff), &[7, 8]), beyond(2));
    let mut seen = [0; 2];
    assert_eq!((traced.read(HostAddr(0x20), &mut seen), seen), (Ok(()), [7, 8]));
    assert_eq!(traced.read(HostAddr(0xfff), &mut [0; 3]), beyond(3));
    assert_eq!((traced.check(HostAddr(0x20), 2), traced.check(HostAddr(0xfff), 2)), (Ok(()), beyond(2)));
    let events: Vec<Event> = log.lock().clone();
    let (low, high) = (HostAddr(0x20), HostAddr(0xfff));
    assert_eq!(
        events,
        [
            Event::Write { at: low, len: 2, ok: true },
            Event::Write { at: high, len: 2, ok: false },
            Event::Read { at: low, len: 2, ok: true },
            Event::Read { at: high, len: 3, ok: false },
        ]
    );
}

#[test]
fn a_traced_vm_answers_as_the_vm_does() {
    let log = EventLog::default();
    let vm = vm();
    share(&vm, Gfn(3));
    let traced = TracedVm::new(vm, Arc::clone(&log));
    assert_eq!((traced.vm_state(), traced.page_size()), (VmState::Secure, PageSize::K4));
    assert_eq!([3, 4].map(|gfn| traced.is_shared(Gfn(gfn))), [Ok(true), Ok(false)]);
    assert_eq!((traced.withdraw(Gfn(3)), traced.page_state(Gfn(3))), (Ok(()), Ok(PageState::Withdrawn)));
    assert!(traced.withdraw(Gfn(4)).is_err());
    let events: Vec<Event> = log.lock().clone();
    assert_eq!(events, [Event::Withdraw(Gfn(3), None), Event::Withdraw(Gfn(4), Some(ErrorKind::WrongState))]);
}
