//! Wrapped VMs of the bare backend.

use alloc::{sync::Arc, vec::Vec};

use uv_core::{
    EnterSecureMode, ErrorKind, Gfn, HostAddr, MemSlot, MemSlots, PageIn, PageOut, PageRange, PageSize, PageState,
    SecureVm, SlotId,
};

use super::{Event, EventLog, FlakyVm, TracedVm};
use crate::bare::{BareVm, Image};
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
