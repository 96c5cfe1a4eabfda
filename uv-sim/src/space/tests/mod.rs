//! The moves of a page, and what an attacker can do with what he sees.

mod access;
mod bounds;
mod callbacks;
mod gate;
mod labels;
mod protocol;
mod stress;

use alloc::{sync::Arc, vec, vec::Vec};

use uv_core::{Access, Gfn, GuestAddr, HostAddr, NormalMemory, PageRange, PageSize, PageState, RangeError};

use super::{Content, SecureSpace};
use crate::seal::Suite;
use crate::{Engine, EngineConfig, GuestFault, HostMemory, Label, SpaceError};

const ALL: [Suite; 3] = [Suite::Aes256XtsPolyval, Suite::Aes256Ccm, Suite::Aes128Gcm];
const SECRET: &[u8] = b"a guest's secret that must not be seen";

fn engine(frames: u32) -> Engine {
    Engine::new(EngineConfig { page_size: PageSize::K4, frames, seed: 7 })
}

fn at(page: u64) -> HostAddr {
    HostAddr(page << 12)
}

struct Setup {
    engine: Engine,
    memory: HostMemory,
    space: Arc<SecureSpace>,
}

/// 64 pages of guest, of which page 3 holds the secret.
fn setup(suite: Suite) -> Setup {
    let engine = engine(200);
    let space = engine.create_space(64, suite);
    let setup = Setup { engine, memory: HostMemory::new(1 << 20), space };
    setup.space.zero_in(Gfn(3)).unwrap();
    setup.write(3, SECRET);
    setup
}

impl Setup {
    fn write(&self, page: u64, bytes: &[u8]) {
        self.space.guest_write(&self.memory, GuestAddr(page << 12), bytes).unwrap();
    }

    fn read(&self, page: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0xee; len];
        self.space.guest_read(&self.memory, GuestAddr(page << 12), &mut bytes, Access::Load).unwrap();
        bytes
    }

    fn host_page(&self, page: u64) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        self.memory.read(at(page), &mut bytes).unwrap();
        bytes
    }

    fn open(&self, page: u64, from: u64) -> Result<(), SpaceError> {
        self.space.open_in(Gfn(page).into(), &self.memory, at(from)).map_err(|e| e.error)
    }

    fn seal(&self, page: u64, to: u64) {
        self.space.seal_out(Gfn(page).into(), &self.memory, at(to)).unwrap();
    }
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|w| w == needle)
}

#[test]
fn a_page_goes_out_as_ciphertext_and_comes_back() {
    for suite in ALL {
        let s = setup(suite);
        s.seal(3, 100);
        assert_eq!(s.space.state(Gfn(3)), Ok(PageState::Sealed));
        assert!(!contains(&s.host_page(100), SECRET), "{suite:?}");
        assert_eq!(s.engine.frames_in_use(), 0);
        let missing = GuestFault::Missing { gfn: Gfn(3), state: PageState::Sealed, access: Access::Fetch };
        let fetched = s.space.guest_read(&s.memory, GuestAddr(0x3000), &mut [0; 2], Access::Fetch);
        assert_eq!(fetched, Err(missing));
        s.open(3, 100).unwrap();
        assert_eq!(s.read(3, SECRET.len()), SECRET);
    }
}

#[test]
fn every_flipped_byte_of_a_sealed_page_is_refused_and_the_right_bytes_still_work() {
    for suite in ALL {
        let s = setup(suite);
        s.seal(3, 100);
        let good = s.host_page(100);
        for byte in (0..4096).step_by(97) {
            let mut bad = good.clone();
            bad[byte] ^= 0x10;
            s.memory.write(at(101), &bad).unwrap();
            assert_eq!(s.open(3, 101), Err(SpaceError::Integrity(Gfn(3))), "{suite:?} byte {byte}");
        }
        assert_eq!(s.engine.frames_in_use(), 0, "a refused page leaves no frame behind");
        s.open(3, 100).unwrap();
        assert_eq!(s.read(3, SECRET.len()), SECRET);
    }
}

#[test]
fn swapped_replayed_and_foreign_pages_are_refused() {
    for suite in ALL {
        let s = setup(suite);
        s.space.zero_in(Gfn(4)).unwrap();
        s.write(4, b"other");
        s.space.seal_out(PageRange::new(Gfn(3), 2), &s.memory, at(100)).unwrap();
        assert_eq!(s.open(3, 101), Err(SpaceError::Integrity(Gfn(3))), "{suite:?}: swapped");
        s.open(3, 100).unwrap();
        s.write(3, b"newer");
        s.seal(3, 102);
        assert_eq!(s.open(3, 100), Err(SpaceError::Integrity(Gfn(3))), "{suite:?}: replayed");
        let other = s.engine.create_space(64, suite);
        other.zero_in(Gfn(3)).unwrap();
        other.seal_out(Gfn(3).into(), &s.memory, at(103)).unwrap();
        assert_eq!(s.open(3, 103), Err(SpaceError::Integrity(Gfn(3))), "{suite:?}: of another VM");
        s.open(3, 102).unwrap();
        assert_eq!(s.read(3, 5), b"newer");
    }
}

#[test]
fn one_content_never_looks_the_same_twice() {
    for suite in ALL {
        let s = setup(suite);
        s.seal(3, 100);
        s.open(3, 100).unwrap();
        s.seal(3, 101);
        assert_ne!(s.host_page(100), s.host_page(101), "{suite:?}");
    }
}

#[test]
fn a_range_stops_at_the_batch_of_the_first_wrong_page() {
    let s = setup(Suite::Aes256Ccm);
    s.space.destroy(Gfn(3)).unwrap();
    for page in 0..40 {
        s.space.zero_in(Gfn(page)).unwrap();
        s.write(page, &[1]);
    }
    s.space.seal_out(PageRange::new(Gfn(0), 40), &s.memory, at(100)).unwrap();
    s.memory.write(HostAddr(at(135).0 + 5), &[0xff; 8]).unwrap();
    let stopped = s.space.open_in(PageRange::new(Gfn(0), 40), &s.memory, at(100));
    assert_eq!(stopped, Err(RangeError { done: 32, error: SpaceError::Integrity(Gfn(35)) }));
    assert_eq!((s.space.counts().secure, s.space.counts().sealed), (32, 8));
}

#[test]
fn sharing_keeps_or_zeroes_as_the_machine_wants() {
    let s = setup(Suite::Aes256XtsPolyval);
    s.space.share(Gfn(3), &s.memory, at(50), Content::Kept).unwrap();
    assert!(contains(&s.host_page(50), SECRET));
    assert_eq!(s.engine.frames_in_use(), 0);
    s.memory.write(at(50), b"from the host").unwrap();
    assert_eq!(s.read(3, 13), b"from the host");
    s.space.withdraw(Gfn(3)).unwrap();
    assert!(s.space.guest_write(&s.memory, GuestAddr(0x3000), &[1]).is_err());
    s.space.restore(Gfn(3), &s.memory, at(50)).unwrap();
    s.space.unshare(Gfn(3), &s.memory, Content::Kept).unwrap();
    s.write(3, b"private again");
    assert!(contains(&s.host_page(50), b"from the host"));

    s.memory.write(at(51), &[9; 4096]).unwrap();
    s.space.share(Gfn(3), &s.memory, at(51), Content::Zeroed).unwrap();
    assert_eq!(s.host_page(51), vec![0; 4096]);
    s.write(3, b"open");
    s.space.unshare(Gfn(3), &s.memory, Content::Zeroed).unwrap();
    assert_eq!(s.read(3, 4), [0; 4]);
}

#[test]
fn moves_that_do_not_exist_are_refused_and_change_nothing() {
    let s = setup(Suite::Aes256XtsPolyval);
    let wrong = |page, state| SpaceError::State { gfn: Gfn(page), state };
    assert_eq!(s.space.zero_in(Gfn(3)), Err(wrong(3, PageState::Secure)));
    assert_eq!(s.open(3, 100), Err(wrong(3, PageState::Secure)));
    assert_eq!(s.space.withdraw(Gfn(3)), Err(wrong(3, PageState::Secure)));
    assert_eq!(s.space.unshare(Gfn(3), &s.memory, Content::Kept), Err(wrong(3, PageState::Secure)));
    let out = s.space.seal_out(Gfn(5).into(), &s.memory, at(1));
    assert_eq!(out, Err(RangeError { done: 0, error: wrong(5, PageState::Absent) }));
    assert_eq!(s.space.zero_in(Gfn(64)), Err(SpaceError::OutOfRange(Gfn(64))));
    let nowhere = s.space.seal_out(Gfn(3).into(), &s.memory, HostAddr(1 << 20)).map_err(|e| e.error);
    assert!(matches!(nowhere, Err(SpaceError::Memory(_))));
    assert_eq!(s.read(3, SECRET.len()), SECRET);
    s.seal(3, 100);
    assert_eq!(s.space.share(Gfn(3), &s.memory, at(9), Content::Kept), Err(wrong(3, PageState::Sealed)));
}

#[test]
fn fill_shows_each_batch_before_the_guest_has_it() {
    let s = setup(Suite::Aes256XtsPolyval);
    s.memory.write(at(10), &[0xaa; 4096]).unwrap();
    let refused = s.space.fill(PageRange::new(Gfn(10), 2), &s.memory, at(10), |first, pages| {
        assert_eq!((first, pages.len(), pages[0][0]), (Gfn(10), 2, 0xaa));
        Err(SpaceError::Integrity(first))
    });
    assert_eq!(refused, Err(RangeError { done: 0, error: SpaceError::Integrity(Gfn(10)) }));
    assert_eq!(s.space.state(Gfn(10)), Ok(PageState::Absent));
    let done = s.space.fill::<SpaceError>(Gfn(10).into(), &s.memory, at(10), |_, pages| {
        pages[0].fill(0xbb);
        Ok(())
    });
    assert_eq!(done, Ok(()));
    assert_eq!(s.read(10, 4), [0xbb; 4]);
}

#[test]
fn secure_memory_is_limited_and_cold_pages_are_found() {
    let engine = engine(2);
    let space = engine.create_space(8, Suite::Aes256Ccm);
    let memory = HostMemory::new(1 << 20);
    space.zero_in(Gfn(0)).unwrap();
    space.zero_in(Gfn(1)).unwrap();
    assert_eq!(space.zero_in(Gfn(2)), Err(SpaceError::NoFrame));
    space.guest_write(&memory, GuestAddr(0), &[1]).unwrap();
    assert_eq!(space.cold_page(), Some(Gfn(1)));
    space.seal_out(Gfn(1).into(), &memory, at(1)).unwrap();
    space.zero_in(Gfn(2)).unwrap();
    assert_eq!(space.cold_page(), Some(Gfn(2)));
    assert_eq!(space.cold_page(), Some(Gfn(0)));
}

#[test]
fn a_closed_vm_leaves_nothing() {
    let s = setup(Suite::Aes256XtsPolyval);
    s.space.set_label(Gfn(3), Label(9)).unwrap();
    assert_eq!(s.space.label(Gfn(3)), Ok(Label(9)));
    assert_eq!(s.space.close(), Ok(()));
    assert_eq!((s.engine.frames_in_use(), s.space.counts().total()), (0, 0));
    assert_eq!(s.space.zero_in(Gfn(3)), Err(SpaceError::Closed));
    assert_eq!(s.space.guest_write(&s.memory, GuestAddr(0x3000), &[1]), Err(GuestFault::Closed));
    let next = s.engine.create_space(8, Suite::Aes256Ccm);
    next.zero_in(Gfn(0)).unwrap();
    let mut bytes = vec![1; 4096];
    next.guest_read(&s.memory, GuestAddr(0), &mut bytes, Access::Load).unwrap();
    assert_eq!(bytes, vec![0; 4096], "a reused frame holds nothing of its last owner");
}

#[test]
fn one_seed_one_run() {
    let run = || {
        let s = setup(Suite::Aes128Gcm);
        s.seal(3, 100);
        s.host_page(100)
    };
    assert_eq!(run(), run());
}

#[test]
fn threads_on_one_page_never_lose_it() {
    extern crate std;
    let s = setup(Suite::Aes256XtsPolyval);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..300 {
                    match s.space.seal_out(Gfn(3).into(), &s.memory, at(100)).map_err(|e| e.error) {
                        Ok(()) | Err(SpaceError::Busy(_) | SpaceError::State { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                    match s.open(3, 100) {
                        Ok(()) | Err(SpaceError::Busy(_) | SpaceError::State { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
    if s.space.state(Gfn(3)) == Ok(PageState::Sealed) {
        s.open(3, 100).unwrap();
    }
    assert_eq!(s.read(3, SECRET.len()), SECRET);
    assert_eq!(s.engine.frames_in_use(), 1);
}

/// Normal memory that fails in the middle of calls costs no page its content and leaks no frame.
#[test]
fn memory_that_comes_and_goes_loses_nothing() {
    let s = setup(Suite::Aes256Ccm);
    for page in 0..40 {
        s.space.zero_in(Gfn(page)).or_else(|e| if page == 3 { Ok(()) } else { Err(e) }).unwrap();
        s.write(page, &page.to_be_bytes());
    }
    let flaky = crate::wrap::Flaky::new(&s.memory, 11, 120);
    let all = PageRange::new(Gfn(0), 40);
    let mut struck = 0;
    for _ in 0..200 {
        for page in all.iter() {
            let moved = match s.space.state(page).unwrap() {
                PageState::Secure => s.space.seal_out(page.into(), &flaky, at(100 + page.0)),
                _ => s.space.open_in(page.into(), &flaky, at(100 + page.0)),
            };
            struck += usize::from(matches!(moved, Err(RangeError { error: SpaceError::Memory(_), .. })));
        }
        assert_eq!(s.engine.frames_in_use(), s.space.counts().secure);
        assert_eq!(s.space.counts().total(), 40);
    }
    assert!(struck > 100);
    for page in all.iter() {
        if s.space.state(page).unwrap() == PageState::Sealed {
            s.open(page.0, 100 + page.0).unwrap();
        }
        assert_eq!(s.read(page.0, 8), page.0.to_be_bytes());
    }
}

#[test]
fn a_page_is_filled_in_one_pass_or_stays_as_it_was() {
    for seen in [true, false] {
        let s = setup(Suite::Aes256XtsPolyval);
        let pages = [[7; 4096], [8; 4096]];
        if seen {
            s.memory.write(at(200), pages.as_flattened()).unwrap();
        }
        let range = PageRange::new(Gfn(10), 2);
        let fill = |fail: bool| {
            s.space.fill_from(range, &s.memory, at(200), |first, stored, frames| {
                assert_eq!((first, stored.len(), frames.len()), (Gfn(10), 2, 2));
                for (stored, frame) in stored.iter().zip(frames) {
                    assert!(frame.iter().all(|byte| *byte == 0));
                    frame.copy_from_slice(stored);
                    frame[0] ^= 1;
                }
                if fail { Err(SpaceError::Closed) } else { Ok(()) }
            })
        };
        let in_use = s.engine.frames_in_use();
        assert_eq!(fill(true).unwrap_err().error, SpaceError::Closed);
        assert_eq!((s.space.state(Gfn(10)), s.engine.frames_in_use()), (Ok(PageState::Absent), in_use));
        fill(false).unwrap();
        let stored = if seen { pages } else { [[0; 4096]; 2] };
        for (page, bytes) in (10..).zip(stored) {
            let mut expected = bytes.to_vec();
            expected[0] ^= 1;
            assert_eq!(s.read(page, 4096), expected);
        }
    }
}
