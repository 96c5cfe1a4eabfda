//! A bare VM over three memory slots that do not lie side by side in normal memory.

use alloc::{boxed::Box, sync::Arc, vec, vec::Vec};

use uv_core::{
    AccessError, ArgumentError, EnterSecureMode as _, Error as _, ErrorKind, Exit, Gfn, GuestAddr, HostAddr, MemSlot,
    MemSlots, NormalMemory as _, PageIn as _, PageOut as _, PageRange, PageSize, PageState, RangeError, SecureVm as _,
    SharePages as _, SlotId, Vcpu as _, VmState,
};

use super::*;
use crate::guest::{Outcome, Script, Step, Transcript};
use crate::seal::Suite;
use crate::{Engine, EngineConfig, HostMemory, SpaceError};

/// First guest page, pages, first normal page. Pages 16 to 19 are in no slot; the last slot's normal memory is not there.
const SLOTS: [(u64, u64, u64); 4] = [(0, 8, 64), (8, 8, 32), (20, 4, 100), (24, 1, 5000)];
/// Normal pages.
const MEMORY: u64 = 128;
/// What normal memory holds at first.
const BEFORE: u8 = 0xee;

struct Setup {
    engine: Arc<Engine>,
    memory: Arc<HostMemory>,
    vm: BareVm,
}

fn normal(frames: u32) -> Setup {
    let engine = Arc::new(Engine::new(EngineConfig { page_size: PageSize::K4, frames, seed: 3 }));
    let memory = Arc::new(HostMemory::new(MEMORY << 12));
    (0..MEMORY).for_each(|page| memory.write(HostAddr(page << 12), &[BEFORE; 4096]).unwrap());
    let mut slots = MemSlots::new(PageSize::K4);
    for ((first, pages, host), id) in SLOTS.into_iter().zip(0..) {
        slots.insert(SlotId(id), MemSlot { first: Gfn(first), pages, host: HostAddr(host << 12) }).unwrap();
    }
    let vm = BareVm::new(Arc::clone(&engine), Arc::clone(&memory), slots);
    Setup { engine, memory, vm }
}

/// Secure, with guest pages 0 and 1 taken over.
fn secure(frames: u32) -> Setup {
    let s = normal(frames);
    s.vm.enter_secure_mode(&Image { pages: PageRange::new(Gfn(0), 2) }).unwrap();
    s
}

impl Setup {
    fn cpu(&self, steps: impl IntoIterator<Item = Step<BareCall>>) -> (BareVcpu, Transcript<Result<(), BareError>>) {
        let (script, seen) = Script::new(steps);
        (self.vm.vcpu(Box::new(script)), seen)
    }

    /// Lets the guest do steps that meet no missing page; what it saw.
    fn does(&self, steps: impl IntoIterator<Item = Step<BareCall>>) -> Transcript<Result<(), BareError>> {
        let (mut cpu, seen) = self.cpu(steps);
        assert_eq!(cpu.run(), Ok(Exit::Halted));
        seen
    }

    /// Marks each page with its number.
    fn mark(&self, pages: PageRange) {
        self.does(pages.iter().map(|gfn| Step::store(GuestAddr(gfn.0 << 12), &gfn.0.to_be_bytes())));
    }

    fn is_marked(&self, gfn: Gfn) -> bool {
        let seen = self.does([Step::load(GuestAddr(gfn.0 << 12), 8)]);
        let loaded = seen.lock().pop();
        matches!(loaded, Some(Outcome::Loaded(bytes)) if *bytes == gfn.0.to_be_bytes())
    }

    fn state(&self, gfn: u64) -> PageState {
        self.vm.page_state(Gfn(gfn)).unwrap()
    }

    fn host_page(&self, page: u64) -> [u8; 4096] {
        let mut bytes = [0; 4096];
        self.memory.read(HostAddr(page << 12), &mut bytes).unwrap();
        bytes
    }

    /// The normal pages that hold something else than at first.
    fn changed(&self) -> Vec<u64> {
        (0..MEMORY).filter(|page| self.host_page(*page) != [BEFORE; 4096]).collect()
    }
}

fn no_slot(gfn: u64) -> BareError {
    ArgumentError::NoSlot(Gfn(gfn)).into()
}

fn share(gfn: u64) -> Step<BareCall> {
    Step::Call(BareCall::Share(Gfn(gfn)))
}

#[test]
fn a_vm_enters_secure_mode_once_and_ends() {
    let s = normal(8);
    let enter = |first, count| s.vm.enter_secure_mode(&Image { pages: PageRange::new(Gfn(first), count) });
    assert_eq!((s.vm.vm_state(), s.vm.page_state(Gfn(0))), (VmState::Normal, Ok(PageState::Absent)));
    assert_eq!(s.vm.terminate(), Ok(()), "a normal VM");
    assert_eq!(enter(14, 3), Err(no_slot(16)));
    assert_eq!(enter(0, u64::MAX), Err(ArgumentError::Wraps.into()));
    assert_eq!(enter(0, 9), Err(SpaceError::NoFrame.into()));
    assert_eq!((s.vm.vm_state(), s.engine.frames_in_use()), (VmState::Normal, 0), "nothing is left of a refused entry");
    assert_eq!(enter(7, 2), Ok(()));
    assert_eq!(enter(7, 2), Err(BareError::State(VmState::Secure)));
    assert_eq!(s.vm.vm_state(), VmState::Secure);
    assert_eq!([6, 7, 8, 9].map(|page| s.state(page)), {
        use PageState::{Absent, Secure};
        [Absent, Secure, Secure, Absent]
    });
    let seen = s.does([Step::load(GuestAddr(0x7ffe), 4)]);
    assert_eq!(*seen.lock(), [Outcome::Loaded(vec![BEFORE; 4].into())]);

    let space = s.vm.0.space().unwrap();
    assert_eq!((space.sealer().suite(), space.pages()), (Suite::Aes256Ccm, 25));
    assert_eq!(s.vm.terminate(), Ok(()));
    assert!(space.is_closed());
    assert_eq!((s.vm.vm_state(), s.engine.frames_in_use()), (VmState::Normal, 0));
    assert_eq!(s.vm.terminate(), Ok(()), "again");
}

#[test]
fn a_vm_with_a_page_in_somebodys_hands_does_not_end() {
    let s = secure(8);
    let space = s.vm.0.space().unwrap();
    let filled = space.fill::<SpaceError>(Gfn(9).into(), &s.memory, HostAddr(0), |_, _| {
        let destroyed = s.vm.destroy_pages().unwrap().destroy_range(PageRange::new(Gfn(7), 4));
        assert_eq!(destroyed, Err(RangeError { done: 2, error: SpaceError::Busy(Gfn(9)).into() }));
        assert_eq!(s.vm.terminate(), Err(SpaceError::Busy(Gfn(9)).into()));
        assert_eq!(s.vm.vm_state(), VmState::Secure);
        let (mut cpu, _) = s.cpu([Step::load(GuestAddr(0), 1)]);
        assert_eq!(cpu.run(), Err(BareError::State(VmState::Normal)), "a guest that is being ended");
        Ok(())
    });
    assert_eq!(filled, Ok(()));
    assert_eq!((s.vm.terminate(), s.vm.vm_state()), (Ok(()), VmState::Normal));
    assert_eq!(s.engine.frames_in_use(), 0);
}

#[test]
fn calls_on_pages_without_a_slot_and_on_normal_vms_are_refused() {
    let s = normal(8);
    let none = |error| Err(RangeError { done: 0, error });
    let normal = BareError::State(VmState::Normal);
    for (pages, error) in [(PageRange::new(Gfn(14), 4), no_slot(16)), (PageRange::new(Gfn(0), 1), normal)] {
        assert_eq!(s.vm.page_in_range(pages), none(error));
        assert_eq!(s.vm.page_out_range(pages), none(error));
        assert_eq!(s.vm.destroy_pages().unwrap().destroy_range(pages), none(error));
    }
    assert_eq!((s.vm.withdraw(Gfn(0)), s.vm.withdraw(Gfn(17))), (Err(normal), Err(no_slot(17))));
    assert_eq!((s.vm.page_state(Gfn(17)), s.vm.is_shared(Gfn(17))), (Err(no_slot(17)), Err(no_slot(17))));
    assert_eq!(s.vm.is_shared(Gfn(0)), Ok(false));
    s.vm.enter_secure_mode(&Image { pages: PageRange::new(Gfn(0), 0) }).unwrap();
    assert_eq!(s.vm.page_out_range(PageRange::new(Gfn(14), 4)), none(no_slot(16)));
    assert_eq!(s.vm.page_state(Gfn(17)), Err(no_slot(17)));
    assert_eq!(s.vm.withdraw(Gfn(0)), Err(SpaceError::State { gfn: Gfn(0), state: PageState::Absent }.into()));
}

#[test]
fn errors_say_what_a_caller_can_do() {
    for (error, kind) in [
        (no_slot(1), ErrorKind::InvalidArgument),
        (SpaceError::NoFrame.into(), ErrorKind::Exhausted),
        (BareError::State(VmState::Secure), ErrorKind::WrongState),
    ] {
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[test]
fn ranges_go_out_and_in_over_slots_and_states_each_page_at_its_place() {
    let s = secure(64);
    s.vm.page_in_range(PageRange::new(Gfn(2), 14)).unwrap();
    s.mark(PageRange::new(Gfn(0), 16));
    // Every other page of a part first, so that runs are short and long.
    for page in [3, 5, 9] {
        s.vm.page_out(Gfn(page)).unwrap();
    }
    assert_eq!(s.changed(), [33, 67, 69]);
    s.vm.page_out_range(PageRange::new(Gfn(2), 9)).unwrap();
    assert_eq!(s.changed(), [32, 33, 34, 66, 67, 68, 69, 70, 71], "pages 8 to 10, 2 to 7");
    assert_eq!([1, 2, 10, 11].map(|page| s.state(page)), {
        use PageState::{Sealed, Secure};
        [Secure, Sealed, Sealed, Secure]
    });
    s.vm.page_in(Gfn(6)).unwrap();
    s.vm.page_in_range(PageRange::new(Gfn(2), 8)).unwrap();
    assert_eq!((s.state(9), s.state(10)), (PageState::Secure, PageState::Sealed), "no page behind the range");
    s.vm.page_in(Gfn(10)).unwrap();
    assert!((0..16).all(|page| s.is_marked(Gfn(page))));
    assert_eq!(s.vm.page_in_range(PageRange::new(Gfn(20), 0)), Ok(()));
    assert_eq!(s.state(20), PageState::Absent);
}

#[test]
fn a_range_that_stops_says_how_many_pages_of_all_runs_are_done() {
    let s = secure(10);
    let stopped = s.vm.page_in_range(PageRange::new(Gfn(0), 16));
    assert_eq!(stopped, Err(RangeError { done: 10, error: SpaceError::NoFrame.into() }));
    assert_eq!((s.state(9), s.state(10)), (PageState::Secure, PageState::Absent));
}

#[test]
fn pages_are_shared_withdrawn_restored_and_taken_back() {
    let s = secure(64);
    s.vm.page_in_range(PageRange::new(Gfn(2), 14)).unwrap();
    s.mark(PageRange::new(Gfn(0), 16));
    let seen = s.does([6, 7, 8, 9, 17, 24].map(share));
    let nowhere = AccessError::Unmapped { at: HostAddr(5000 << 12), len: 4096 };
    let expected = [Ok(()), Ok(()), Ok(()), Ok(()), Err(no_slot(17)), Err(SpaceError::Memory(nowhere).into())];
    assert_eq!(*seen.lock(), expected.map(Outcome::Returned));
    for (gfn, host) in [(6, 70), (7, 71), (8, 32), (9, 33)] {
        assert_eq!(s.vm.is_shared(Gfn(gfn)), Ok(true));
        assert!(s.host_page(host).starts_with(&gfn.to_be_bytes()), "{gfn}");
        assert_eq!(s.vm.withdraw(Gfn(gfn)), Ok(()));
        assert_eq!((s.state(gfn), s.vm.is_shared(Gfn(gfn))), (PageState::Withdrawn, Ok(false)));
    }
    let (mut cpu, _) = s.cpu([Step::store(GuestAddr(0x9000), &[1])]);
    assert_eq!(cpu.run(), Ok(Exit::PageMissing { gfn: Gfn(9), access: uv_core::Access::Store }));
    s.vm.page_in_range(PageRange::new(Gfn(5), 6)).unwrap();
    let space = s.vm.0.space().unwrap();
    let places = [6, 7, 8, 9].map(|gfn| space.shared_at(Gfn(gfn)).map(|at| at.0 >> 12));
    assert_eq!(places, [70, 71, 32, 33].map(Some));
    assert!((5..11).all(|page| s.is_marked(Gfn(page))));
    let seen = s.does([Step::Call(BareCall::Unshare(Gfn(7)))]);
    assert_eq!(*seen.lock(), [Outcome::Returned(Ok(()))]);
    assert_eq!((s.state(7), s.is_marked(Gfn(7))), (PageState::Secure, true));
}

#[test]
fn destroyed_pages_are_absent_and_their_normal_pages_zero() {
    let s = secure(64);
    s.vm.page_in_range(PageRange::new(Gfn(2), 10)).unwrap();
    s.mark(PageRange::new(Gfn(0), 12));
    s.vm.page_out_range(PageRange::new(Gfn(4), 2)).unwrap();
    s.vm.destroy_pages().unwrap().destroy_range(PageRange::new(Gfn(3), 8)).unwrap();
    for page in 0..16 {
        let left = [0, 1, 2, 11].contains(&page);
        assert_eq!(s.state(page), if left { PageState::Secure } else { PageState::Absent }, "{page}");
    }
    let gone = [32, 33, 34, 67, 68, 69, 70, 71];
    assert_eq!(s.changed(), gone, "pages 8 to 10, 3 to 7");
    assert!(gone.iter().all(|page| s.host_page(*page) == [0; 4096]));
    assert_eq!(s.engine.frames_in_use(), 4);
    // Of three pages the second has no normal memory.
    s.vm.page_in_range(PageRange::new(Gfn(22), 3)).unwrap();
    let stopped = s.vm.destroy_pages().unwrap().destroy_range(PageRange::new(Gfn(22), 3));
    let nowhere = AccessError::Unmapped { at: HostAddr(5000 << 12), len: 4096 };
    assert_eq!(stopped, Err(RangeError { done: 2, error: SpaceError::Memory(nowhere).into() }));
}

#[test]
fn a_secure_guest_exits_for_pages_that_are_away_and_goes_on() {
    use uv_core::Access::{Fetch, Load, Store};
    let s = secure(64);
    let (mut cpu, seen) = s.cpu([
        Step::load(GuestAddr(0x2000), 3),
        Step::store(GuestAddr(0x3000), b"abc"),
        Step::Fetch { at: GuestAddr(0x4000) },
        share(0),
        Step::Call(BareCall::Unshare(Gfn(0))),
    ]);
    for (gfn, access) in [(2, Load), (3, Store), (4, Fetch)] {
        assert_eq!(cpu.run(), Ok(Exit::PageMissing { gfn: Gfn(gfn), access }));
        assert_eq!(cpu.run(), Ok(Exit::PageMissing { gfn: Gfn(gfn), access }), "nobody served it");
        s.vm.page_out(Gfn(0)).unwrap();
        s.vm.page_in(Gfn(gfn)).unwrap();
    }
    assert_eq!(cpu.run(), Ok(Exit::PageMissing { gfn: Gfn(0), access: Store }), "of a call");
    s.vm.page_in(Gfn(0)).unwrap();
    assert_eq!((cpu.run(), cpu.run()), (Ok(Exit::Halted), Ok(Exit::Halted)));
    let done = Outcome::Returned(Ok(()));
    let loaded = Outcome::Loaded(vec![0; 3].into());
    assert_eq!(*seen.lock(), [loaded, Outcome::Stored, Outcome::Fetched, done.clone(), done]);

    let beyond = s.cpu([Step::load(GuestAddr(25 << 12), 1)]).0.run();
    assert_eq!(beyond, Err(SpaceError::OutOfRange(Gfn(25)).into()));
}

#[test]
fn a_normal_guest_reaches_its_slots() {
    let s = normal(4);
    let bytes = [1, 2, 3, 4, 5, 6];
    let seen = s.does([
        Step::store(GuestAddr(0x7ffd), &bytes),
        Step::load(GuestAddr(0x7ffc), 8),
        Step::store(GuestAddr(0x9ff0), &[7; 0x1020]),
        share(0),
    ]);
    let loaded = [BEFORE, 1, 2, 3, 4, 5, 6, BEFORE].to_vec();
    let refused = Outcome::Returned(Err(BareError::State(VmState::Normal)));
    assert_eq!(*seen.lock(), [Outcome::Stored, Outcome::Loaded(loaded.into()), Outcome::Stored, refused]);
    assert_eq!(s.changed(), [32, 33, 34, 35, 71]);
    assert_eq!((&s.host_page(71)[4092..], &s.host_page(32)[..4]), (&[BEFORE, 1, 2, 3][..], &[4, 5, 6, BEFORE][..]));
    assert_eq!((s.host_page(34), &s.host_page(33)[0xfef..0xff1]), ([7; 4096], &[BEFORE, 7][..]));
    assert_eq!(&s.host_page(35)[0xf..0x11], &[7, BEFORE]);

    for (steps, error) in [
        (Step::load(GuestAddr(0xffff), 2), SpaceError::OutOfRange(Gfn(16))),
        (Step::store(GuestAddr(0xffff), &[9; 2]), SpaceError::OutOfRange(Gfn(16))),
        (
            Step::load(GuestAddr(0x1_8000), 2),
            SpaceError::Memory(AccessError::Unmapped { at: HostAddr(5000 << 12), len: 2 }),
        ),
    ] {
        assert_eq!(s.cpu([steps]).0.run(), Err(error.into()));
    }
    assert_eq!(s.host_page(39)[4095], 9, "what lies before the missing page");
}
