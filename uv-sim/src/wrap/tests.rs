//! Wrapped VMs of the bare backend.

use alloc::{boxed::Box, sync::Arc, vec::Vec};

use uv_core::{
    EnterSecureMode, Error, ErrorKind, Exit, Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, PageIn, PageOut, PageRange,
    PageSize, PageState, SecureVm, SharePages, SlotId, Vcpu, VmState,
};

use super::{Event, EventLog, FlakyError, FlakyVcpu, FlakyVm, Ran, TracedVcpu, TracedVm};
use crate::bare::{BareAbilities, BareCall, BareError, BareVm, Image};
use crate::guest::{Script, Step};
use crate::{Engine, EngineConfig, HostMemory};

const IMAGE: Image = Image { pages: PageRange { first: Gfn(0), count: 16 } };

fn normal_vm(abilities: BareAbilities) -> BareVm {
    let engine = Arc::new(Engine::new(EngineConfig { page_size: PageSize::K4, frames: 64, seed: 5 }));
    let mut slots = MemSlots::new(PageSize::K4);
    slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: 32, host: HostAddr(0) }).unwrap();
    BareVm::with_abilities(engine, Arc::new(HostMemory::new(32 << 12)), slots, abilities)
}

fn vm() -> BareVm {
    let vm = normal_vm(BareAbilities::ALL);
    vm.secure_with(IMAGE).unwrap();
    vm
}

/// A loop over `uv-core` alone: what fits it is a VM like any other.
fn supervise<V: EnterSecureMode + PageIn>(vm: &V, cpu: &mut V::Cpu) -> Result<(), V::Error> {
    loop {
        let passes = |error: V::Error| if error.kind() == ErrorKind::Busy { Ok(()) } else { Err(error) };
        match cpu.run() {
            Ok(Exit::EnterSecureMode) => {
                while let Err(error) = vm.enter_secure_mode(cpu) {
                    passes(error)?;
                }
            }
            Ok(Exit::PageMissing { gfn, .. }) => vm.page_in(gfn).or_else(passes)?,
            Ok(Exit::Halted) => return Ok(()),
            Ok(_) => {}
            Err(error) => passes(error)?,
        }
    }
}

fn program(vm: &BareVm) -> crate::bare::BareVcpu {
    let (script, _) = Script::new([Step::Call(BareCall::Enter(IMAGE)), Step::store(GuestAddr(20 << 12), b"mine")]);
    vm.vcpu(Box::new(script))
}

#[test]
fn wrapped_vms_and_cpus_fit_a_generic_loop() {
    let vm = normal_vm(BareAbilities::ALL);
    let mut cpu = FlakyVcpu::new(program(&vm), 3, 150);
    supervise(&FlakyVm::new(vm.clone(), 4, 150), &mut cpu).unwrap();
    assert_eq!(vm.page_state(Gfn(20)), Ok(PageState::Secure));

    let (vm, log) = (normal_vm(BareAbilities::ALL), EventLog::default());
    let mut cpu = TracedVcpu::new(program(&vm), &log);
    supervise(&TracedVm::new(&vm, Arc::clone(&log)), &mut cpu).unwrap();
    let events: Vec<Event> = log.lock().clone();
    assert_eq!(
        events,
        [
            Event::Run(Ran::EnterSecureMode),
            Event::Enter(None),
            Event::Run(Ran::PageMissing(Gfn(20))),
            Event::PageIn(Gfn(20).into(), None),
            Event::Run(Ran::Halted),
        ]
    );
}

#[test]
fn a_struck_entry_does_nothing_and_can_be_made_again() {
    let vm = normal_vm(BareAbilities::ALL);
    let mut cpu = FlakyVcpu::new(program(&vm), 3, 0);
    assert_eq!(cpu.run(), Ok(Exit::EnterSecureMode));
    assert_eq!(FlakyVm::new(vm.clone(), 4, 255).enter_secure_mode(&mut cpu), Err(FlakyError::Struck));
    assert_eq!(vm.vm_state(), VmState::Normal);
    assert_eq!(FlakyVm::new(vm.clone(), 4, 0).enter_secure_mode(&mut cpu), Ok(()));
    assert_eq!(vm.vm_state(), VmState::Secure);
}

#[test]
fn a_wrapped_vm_has_the_abilities_of_the_vm_inside() {
    fn abilities<V: SecureVm>(vm: &V) -> [bool; 4] {
        [
            vm.as_page_out().is_some(),
            vm.as_share_pages().is_some(),
            vm.as_accept_sharing().is_some(),
            vm.as_destroy_pages().is_some(),
        ]
    }
    for (inside, want) in
        [(BareAbilities::ALL, [true, true, false, true]), (BareAbilities::NO_SEALING, [false, false, true, true])]
    {
        let vm = Arc::new(normal_vm(inside));
        assert_eq!(abilities(&vm), want);
        assert_eq!(abilities(&FlakyVm::new(&vm, 1, 0)), want);
        assert_eq!(abilities(&TracedVm::new(FlakyVm::new(vm, 1, 0), EventLog::default())), want);
    }
    let vm = normal_vm(BareAbilities::NO_SEALING);
    let traced = TracedVm::new(vm, EventLog::default());
    assert_eq!(traced.page_out(Gfn(0)), Err(BareError::Unsupported(uv_core::Unsupported)));
    assert_eq!(traced.withdraw(Gfn(0)).unwrap_err().kind(), ErrorKind::Unsupported);
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
