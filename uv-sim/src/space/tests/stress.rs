//! Many threads on one VM; what is checked afterwards is data, not codes alone.

extern crate std;

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::thread;
use std::time::Instant;

use rand_core::Rng;

use super::*;
use crate::rng::SimRng;

const PAGES: u64 = 8;

/// Repeats a guest's access as its CPU does; a page that is out is brought back first.
fn until_done(s: &Setup, mut access: impl FnMut() -> Result<(), GuestFault>) {
    loop {
        match access() {
            Ok(()) => return,
            Err(GuestFault::Busy(_)) => core::hint::spin_loop(),
            Err(GuestFault::Missing { gfn, .. }) => {
                // Somebody else may have been quicker, or have it in his hands.
                let _ = s.open(gfn.0, 100 + gfn.0);
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// Two virtual CPUs count up in pages of their own, at both ends of each page, while pages go out and come in.
#[test]
fn every_page_keeps_its_own_counter_while_pages_move() {
    for suite in ALL {
        let s = setup(suite);
        s.space.destroy(Gfn(3)).unwrap();
        (0..PAGES).for_each(|page| s.space.zero_in(Gfn(page)).unwrap());
        let over = AtomicBool::new(false);
        let count = |pages: &[u64]| {
            let end = Instant::now() + Duration::from_millis(150);
            let mut value = 0_u64;
            while Instant::now() < end || value < 3 {
                value += 1;
                for page in pages {
                    for place in [page << 12, (page << 12) + 4080] {
                        let mut now = [0; 16];
                        until_done(&s, || s.space.guest_read(&s.memory, GuestAddr(place), &mut now, Access::Load));
                        let expected = if value == 1 { [0; 16] } else { counter(*page, value - 1) };
                        assert_eq!(now, expected, "{suite:?}, page {page}");
                        until_done(&s, || s.space.guest_write(&s.memory, GuestAddr(place), &counter(*page, value)));
                    }
                }
            }
        };
        thread::scope(|scope| {
            let cpus = [scope.spawn(|| count(&[0, 2, 4, 6])), scope.spawn(|| count(&[1, 3, 5, 7]))];
            scope.spawn(|| {
                let mut rng = SimRng::from_seed(5);
                while !over.load(Ordering::Relaxed) {
                    let page = rng.next_u64() % PAGES;
                    let _ = s.space.seal_out(Gfn(page).into(), &s.memory, at(100 + page));
                    if rng.next_u32().is_multiple_of(4) {
                        let _ = s.space.open_in(PageRange::new(Gfn(page), 2), &s.memory, at(100 + page));
                    }
                }
            });
            let ended = cpus.map(|cpu| cpu.join());
            over.store(true, Ordering::Relaxed);
            ended.into_iter().for_each(|cpu| cpu.unwrap());
        });
        assert_eq!(s.engine.frames_in_use(), s.space.counts().secure);
        assert!(s.space.pool.free_frames_are_zero());
    }
}

fn counter(page: u64, value: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(page + 1).to_be_bytes());
    bytes[8..].copy_from_slice(&value.to_be_bytes());
    bytes
}

/// What a page of the random run must be afterwards.
struct Model {
    state: PageState,
    label: Label,
    /// First bytes of the page as the guest sees it.
    bytes: [u8; 16],
}

/// Each thread makes random moves of pages that are its own, on the frames and records that all share; afterwards every page is
/// what its thread left, and the host can read what was shared and nothing else.
#[test]
fn random_moves_of_many_threads_leave_every_page_as_its_owner_left_it() {
    let s = setup(Suite::Aes256Ccm);
    s.space.destroy(Gfn(3)).unwrap();
    let own = 16;
    let models: Vec<(u64, Model)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4_u64)
            .map(|n| {
                scope.spawn({
                    let s = &s;
                    move || random_moves(s, n, own)
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(models.len() as u64, s.space.pages());
    assert_eq!(s.engine.frames_in_use(), s.space.counts().secure);
    assert_eq!(s.space.records.lock().in_use() as u64, s.space.counts().sealed);
    assert!(s.space.pool.free_frames_are_zero());
    for (page, model) in models {
        assert_eq!((s.space.state(Gfn(page)), s.space.label(Gfn(page))), (Ok(model.state), Ok(model.label)), "{page}");
        let outside = s.host_page(100 + page);
        if matches!(model.state, PageState::Shared | PageState::Withdrawn) {
            assert!(outside.starts_with(&model.bytes), "{page}: the host reads what is shared");
        } else {
            assert!(model.bytes == [0; 16] || !contains(&outside, &model.bytes), "{page}: and nothing else");
        }
        match model.state {
            PageState::Absent => continue,
            PageState::Sealed => s.open(page, 100 + page).unwrap(),
            PageState::Withdrawn => s.space.restore(Gfn(page), &s.memory, at(100 + page)).unwrap(),
            _ => {}
        }
        assert_eq!(s.read(page, 16), model.bytes, "{page}: {:?}", model.state);
    }
}

fn random_moves(s: &Setup, thread: u64, own: u64) -> Vec<(u64, Model)> {
    let mut rng = SimRng::from_seed(100 + thread);
    let mut draw = |below: u64| rng.next_u64() % below;
    let absent = || Model { state: PageState::Absent, label: Label(0), bytes: [0; 16] };
    let mut pages: Vec<(u64, Model)> = (0..own).map(|n| (n * 4 + thread, absent())).collect();
    for step in 0..1500 {
        let index = usize::try_from(draw(own)).unwrap();
        let (page, model) = &mut pages[index];
        let (gfn, outside) = (Gfn(*page), at(100 + *page));
        let moved = match (model.state, draw(6)) {
            (PageState::Absent, 0..3) => s.space.zero_in(gfn).map(|()| model.state = PageState::Secure),
            (PageState::Absent, 3) => {
                s.space.share(gfn, &s.memory, outside, Content::Zeroed).map(|()| model.state = PageState::Shared)
            }
            (PageState::Secure, 0) => s
                .space
                .seal_out(gfn.into(), &s.memory, outside)
                .map_err(|e| e.error)
                .map(|()| model.state = PageState::Sealed),
            (PageState::Secure, 1) => {
                s.space.share(gfn, &s.memory, outside, Content::Kept).map(|()| model.state = PageState::Shared)
            }
            (PageState::Sealed, 0..=4) => s
                .space
                .open_in(gfn.into(), &s.memory, outside)
                .map_err(|e| e.error)
                .map(|()| model.state = PageState::Secure),
            (PageState::Shared, 0) => s.space.withdraw(gfn).map(|()| model.state = PageState::Withdrawn),
            (PageState::Shared | PageState::Withdrawn, 1) => s.space.unshare(gfn, &s.memory, Content::Kept).map(|()| {
                model.state = PageState::Secure;
                // The host uses its page for something else.
                s.memory.write(outside, &[0xdd; 16]).unwrap();
            }),
            (PageState::Shared, 2) => s.space.zero_shared(gfn, &s.memory).map(|()| model.bytes = [0; 16]),
            (PageState::Withdrawn, 2) => {
                s.space.restore(gfn, &s.memory, outside).map(|()| model.state = PageState::Shared)
            }
            (PageState::Secure | PageState::Shared, _) => {
                model.bytes = counter(*page, step + 1);
                s.write(*page, &model.bytes);
                model.label = Label(model.bytes[15]);
                s.space.set_label(gfn, model.label)
            }
            (PageState::Sealed | PageState::Withdrawn, 5) => s.space.destroy(gfn).map(|()| {
                *model = absent();
                s.memory.write(outside, &[0xdd; 16]).unwrap();
            }),
            _ => continue,
        };
        assert_eq!(moved, Ok(()), "page {page}, {:?}: nobody else touches it", model.state);
    }
    pages
}
