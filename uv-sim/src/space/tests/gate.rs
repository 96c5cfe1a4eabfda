//! What others get while a guest access, or a move, stands still in the middle of normal memory.

extern crate std;

use std::thread;

use super::*;
use crate::wrap::Stalled;

/// Normal memory in which the first access to page 50 stands still until the gate opens.
type Gate<'a> = Stalled<&'a HostMemory>;

fn gate(memory: &HostMemory) -> Gate<'_> {
    let gate = Stalled::new(memory);
    gate.arm(at(50)..at(51));
    gate
}

/// Runs `inside` in a thread of its own up to the gate, then `beside`, then lets the first one go on.
fn hold<A: Send, B>(gate: &Gate<'_>, inside: impl FnOnce() -> A + Send, beside: impl FnOnce() -> B) -> (A, B) {
    struct Opens<'a>(&'a Gate<'a>);
    impl Drop for Opens<'_> {
        fn drop(&mut self) {
            self.0.open();
        }
    }
    thread::scope(|scope| {
        let thread = scope.spawn(inside);
        let opens = Opens(gate);
        while !gate.is_stalling() {
            assert!(!thread.is_finished(), "the call never came to the gate");
            thread::yield_now();
        }
        let beside = beside();
        drop(opens);
        (thread.join().unwrap(), beside)
    })
}

const PAGE: Gfn = Gfn(3);
const BUSY: SpaceError = SpaceError::Busy(PAGE);
const BYTES: &[u8] = b"the guest's store";

/// Page 3, shared through normal page 50.
fn shared() -> Setup {
    let s = setup(Suite::Aes256Ccm);
    s.space.share(PAGE, &s.memory, at(50), Content::Kept).unwrap();
    s
}

type Move = fn(&Setup) -> Result<(), SpaceError>;

/// Everything that takes the normal page away from a shared page, or puts another content into it.
const MOVES: [(&str, Move); 8] = [
    ("withdraw", |s| s.space.withdraw(PAGE)),
    ("unshare, kept", |s| s.space.unshare(PAGE, &s.memory, Content::Kept)),
    ("unshare, zeroed", |s| s.space.unshare(PAGE, &s.memory, Content::Zeroed)),
    ("share again", |s| s.space.share(PAGE, &s.memory, at(51), Content::Zeroed)),
    ("zero", |s| s.space.zero_shared(PAGE, &s.memory)),
    ("restore", |s| s.space.restore(PAGE, &s.memory, at(51))),
    ("destroy", |s| s.space.destroy(PAGE)),
    ("close", |s| s.space.close()),
];

#[test]
fn no_move_of_a_shared_page_succeeds_before_a_guest_store_to_it_is_over() {
    for (name, make) in MOVES {
        let s = shared();
        let gate = gate(&s.memory);
        let store = || s.space.guest_write(&gate, GuestAddr(0x3000), BYTES);
        let (stored, moved) = hold(&gate, store, || make(&s));
        assert_eq!((stored, moved), (Ok(()), Err(BUSY)), "{name}");
        assert!(contains(&s.host_page(50), BYTES), "{name}: the store was made");
        assert_eq!(s.space.state(PAGE), Ok(PageState::Shared), "{name}: refused, nothing changed");
        assert_eq!(make(&s), Ok(()), "{name}: afterwards");
        if name == "unshare, kept" {
            assert_eq!(s.read(3, BYTES.len()), BYTES, "no store is lost");
        }
    }
}

#[test]
fn no_move_of_a_shared_page_succeeds_before_a_guest_load_from_it_is_over() {
    for (name, make) in MOVES {
        let s = shared();
        let gate = gate(&s.memory);
        let mut bytes = vec![0; SECRET.len()];
        let load = || s.space.guest_read(&gate, GuestAddr(0x3000), &mut bytes, Access::Load);
        let (loaded, moved) = hold(&gate, load, || make(&s));
        assert_eq!((loaded, moved, &*bytes), (Ok(()), Err(BUSY), SECRET), "{name}");
        assert_eq!(make(&s), Ok(()), "{name}: afterwards");
    }
}

#[test]
fn guest_accesses_to_one_shared_page_do_not_wait_for_each_other() {
    let s = shared();
    let gate = gate(&s.memory);
    let store = || s.space.guest_write(&gate, GuestAddr(0x3000), BYTES);
    let (stored, loaded) = hold(&gate, store, || s.read(3, SECRET.len()));
    assert_eq!((stored, &*loaded), (Ok(()), SECRET));
}

#[test]
fn no_guest_access_begins_while_a_page_moves() {
    let secure = || setup(Suite::Aes256Ccm);
    let sealed = || {
        let s = secure();
        s.seal(3, 50);
        s
    };
    type Moving = fn(&Setup, &Gate<'_>) -> Result<(), SpaceError>;
    let moves: [(&str, &dyn Fn() -> Setup, Moving); 7] = [
        ("zero", &shared, |s, gate| s.space.zero_shared(PAGE, gate)),
        ("unshare", &shared, |s, gate| s.space.unshare(PAGE, gate, Content::Kept)),
        ("share, kept", &secure, |s, gate| s.space.share(PAGE, gate, at(50), Content::Kept)),
        ("share, zeroed", &secure, |s, gate| s.space.share(PAGE, gate, at(50), Content::Zeroed)),
        ("seal out", &secure, |s, gate| s.space.seal_out(PAGE.into(), gate, at(50)).map_err(|e| e.error)),
        ("seal a copy", &secure, |s, gate| s.space.seal_copy(PAGE, gate, at(50))),
        ("open in", &sealed, |s, gate| s.space.open_in(PAGE.into(), gate, at(50)).map_err(|e| e.error)),
    ];
    for (name, setup, make) in moves {
        let s = setup();
        let gate = gate(&s.memory);
        let beside = || {
            let stored = s.space.guest_write(&s.memory, GuestAddr(0x3000), BYTES);
            let loaded = s.space.guest_read(&s.memory, GuestAddr(0x3000), &mut [0; 4], Access::Load);
            assert_eq!((stored, loaded), (Err(GuestFault::Busy(PAGE)), Err(GuestFault::Busy(PAGE))), "{name}");
            for (second, make) in MOVES {
                assert_eq!(make(&s), Err(BUSY), "{name}, {second}");
            }
        };
        assert_eq!(hold(&gate, || make(&s, &gate), beside).0, Ok(()), "{name}");
        assert_eq!(s.space.set_label(PAGE, Label(1)), Err(SpaceError::Closed), "{name}: closing was asked for");
        assert_eq!(s.space.close(), Ok(()), "{name}");
        assert_eq!((s.engine.frames_in_use(), s.space.counts().total()), (0, 0), "{name}: nothing is left");
    }
}
