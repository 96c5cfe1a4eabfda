//! Normal memory that panics, or calls the VM again, in the middle of a move.

extern crate std;

use alloc::boxed::Box;
use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicU32, Ordering};
use std::panic::catch_unwind;

use spin::Mutex;
use uv_core::AccessError;

use super::*;

/// Normal memory that runs code of its own before each read and write.
struct Reentrant<'a> {
    memory: &'a HostMemory,
    code: Box<dyn Fn() + Send + Sync + 'a>,
}

impl NormalMemory for Reentrant<'_> {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        (self.code)();
        self.memory.read(at, into)
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        (self.code)();
        self.memory.write(at, from)
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        self.memory.check(at, len)
    }
}

const THREE: PageRange = PageRange::new(Gfn(3), 3);

/// Pages 3 to 5: secure with their own number, sealed to 50, or shared through 50.
fn three(state: PageState) -> Setup {
    let s = setup(Suite::Aes256Ccm);
    for (gfn, n) in THREE.iter().zip(50..) {
        s.space.zero_in(gfn).or_else(|e| if gfn == Gfn(3) { Ok(()) } else { Err(e) }).unwrap();
        s.write(gfn.0, &gfn.0.to_be_bytes());
        s.space.set_label(gfn, Label(9)).unwrap();
        match state {
            PageState::Sealed => s.seal(gfn.0, n),
            PageState::Shared => s.space.share(gfn, &s.memory, at(n), Content::Kept).unwrap(),
            _ => {}
        }
    }
    s
}

type Move = fn(&Setup, &dyn NormalMemory) -> Result<(), SpaceError>;

/// Every move and access that calls normal memory while it holds pages.
const MOVES: [(&str, PageState, Move); 10] = [
    ("seal out", PageState::Secure, |s, m| s.space.seal_out(THREE, m, at(60)).map_err(|e| e.error)),
    ("seal a copy", PageState::Secure, |s, m| s.space.seal_copy(Gfn(3), m, at(60))),
    ("open in", PageState::Sealed, |s, m| s.space.open_in(THREE, m, at(50)).map_err(|e| e.error)),
    ("fill", PageState::Secure, |s, m| {
        s.space.fill(THREE, m, at(60), |_, _| Ok::<_, SpaceError>(())).map_err(|e| e.error)
    }),
    ("share, kept", PageState::Secure, |s, m| s.space.share(Gfn(3), m, at(60), Content::Kept)),
    ("share, zeroed", PageState::Secure, |s, m| s.space.share(Gfn(3), m, at(60), Content::Zeroed)),
    ("unshare", PageState::Shared, |s, m| s.space.unshare(Gfn(3), m, Content::Kept)),
    ("zero", PageState::Shared, |s, m| s.space.zero_shared(Gfn(3), m)),
    ("guest store", PageState::Shared, |s, m| {
        s.space.guest_write(m, GuestAddr(0x3000), &3_u64.to_be_bytes()).map_err(|_| SpaceError::Busy(Gfn(3)))
    }),
    ("guest load", PageState::Shared, |s, m| {
        s.space.guest_read(m, GuestAddr(0x3000), &mut [0; 8], Access::Load).map_err(|_| SpaceError::Busy(Gfn(3)))
    }),
];

#[test]
fn a_panic_in_normal_memory_leaves_every_page_of_the_batch_as_it_was() {
    for (name, state, make) in MOVES {
        let s = three(state);
        let frames = s.engine.frames_in_use();
        let panics = Reentrant { memory: &s.memory, code: Box::new(|| panic!("memory is on fire")) };
        assert!(catch_unwind(AssertUnwindSafe(|| make(&s, &panics))).is_err(), "{name}");
        assert_eq!(s.engine.frames_in_use(), frames, "{name}: no frame is lost");
        assert!(s.space.pool.free_frames_are_zero(), "{name}: what was taken is wiped");
        for gfn in THREE.iter() {
            assert_eq!((s.space.state(gfn), s.space.label(gfn)), (Ok(state), Ok(Label(9))), "{name}");
            assert_eq!(s.space.set_label(gfn, Label(9)), Ok(()), "{name}: nobody holds the page");
            if state == PageState::Sealed {
                s.open(gfn.0, 47 + gfn.0).unwrap();
            }
            assert_eq!(s.read(gfn.0, 8), gfn.0.to_be_bytes(), "{name}");
        }
        assert_eq!(s.space.close(), Ok(()), "{name}");
        assert_eq!(s.engine.frames_in_use(), 0, "{name}");
    }
}

#[test]
fn a_check_that_panics_leaves_every_page_of_the_batch_as_it_was() {
    let s = setup(Suite::Aes256Ccm);
    s.memory.write(at(60), &[0x55; 2 * 4096]).unwrap();
    let fill = || s.space.fill::<SpaceError>(PageRange::new(Gfn(3), 2), &s.memory, at(60), |_, _| panic!("no"));
    assert!(catch_unwind(AssertUnwindSafe(fill)).is_err());
    assert_eq!((s.space.state(Gfn(4)), s.engine.frames_in_use()), (Ok(PageState::Absent), 1));
    assert!(s.space.pool.free_frames_are_zero());
    assert_eq!(s.read(3, SECRET.len()), SECRET);
    s.space.zero_in(Gfn(4)).unwrap();
}

#[test]
fn a_vm_ended_out_of_normal_memory_says_busy_and_ends_afterwards() {
    for (name, state, make) in MOVES {
        let s = three(state);
        let answers = Mutex::new(Vec::new());
        let (space, said) = (&s.space, &answers);
        let closes = Reentrant { memory: &s.memory, code: Box::new(move || said.lock().push(space.close())) };
        let _ = make(&s, &closes);
        assert_eq!(answers.lock().first(), Some(&Err(SpaceError::Busy(Gfn(3)))), "{name}");
        assert_eq!(s.space.set_label(Gfn(9), Label(1)), Err(SpaceError::Closed), "{name}");
        assert_eq!(s.space.close(), Ok(()), "{name}");
        assert_eq!((s.engine.frames_in_use(), s.space.counts().total()), (0, 0), "{name}");
        assert!(s.space.pool.free_frames_are_zero(), "{name}");
    }
}

#[test]
fn a_page_moved_out_of_its_own_move_says_busy() {
    for (name, state, make) in MOVES {
        let s = three(state);
        let (space, memory, calls) = (&s.space, &s.memory, AtomicU32::new(0));
        let again = || {
            calls.fetch_add(1, Ordering::Relaxed);
            let busy = Err(SpaceError::Busy(Gfn(3)));
            assert_eq!(space.destroy(Gfn(3)), busy);
            assert_eq!(space.withdraw(Gfn(3)), busy);
            assert_eq!(space.unshare(Gfn(3), memory, Content::Kept), busy);
            assert_eq!(space.seal_out(Gfn(3).into(), memory, at(70)).map_err(|e| e.error), busy);
            assert!(space.zero_in(Gfn(40)).is_ok() && space.destroy(Gfn(40)).is_ok(), "another page");
        };
        let meddling = Reentrant { memory: &s.memory, code: Box::new(again) };
        assert_eq!(make(&s, &meddling), Ok(()), "{name}");
        drop(meddling);
        assert!(calls.load(Ordering::Relaxed) > 0, "{name}");
    }
}
