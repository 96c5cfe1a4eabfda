//! What keeps a late look at a page from reaching another page's frame; numbers that are used once; nothing left behind.

use super::*;

/// The word of page 3 as a guest access saw it before the page moved.
fn stale(s: &Setup) -> crate::table::Word {
    s.space.table.get(Gfn(3)).unwrap()
}

fn late_store(s: &Setup, word: crate::table::Word) -> Result<(), GuestFault> {
    s.space.in_frame(Gfn(3), word, |bytes| bytes.fill(0xff))
}

/// Only the newest frame can be given out again at once.
fn page_4_gets_the_frame_of_page_3(s: &Setup, word: crate::table::Word) {
    s.space.zero_in(Gfn(4)).unwrap();
    assert_eq!(s.space.table.get(Gfn(4)).unwrap().index(), word.index(), "the frame serves page 4 now");
}

#[test]
fn a_late_access_does_not_reach_a_frame_that_serves_another_page() {
    let s = setup(Suite::Aes256Ccm);
    let word = stale(&s);
    assert_eq!(s.space.in_frame(Gfn(3), word, |bytes| assert!(bytes.starts_with(SECRET))), Ok(()));
    s.seal(3, 50);
    page_4_gets_the_frame_of_page_3(&s, word);
    assert_eq!(late_store(&s, word), Err(GuestFault::Busy(Gfn(3))), "sealed");
    s.open(3, 50).unwrap();
    assert_eq!(late_store(&s, word), Err(GuestFault::Busy(Gfn(3))), "secure in another frame");
    assert_eq!(s.read(4, 4096), vec![0; 4096]);
    assert_eq!(s.read(3, SECRET.len()), SECRET);
}

#[test]
fn a_late_access_does_not_reach_a_page_that_is_being_moved() {
    let s = setup(Suite::Aes256Ccm);
    let word = stale(&s);
    let claim = s.space.claim(Gfn(3)).unwrap();
    assert_eq!(late_store(&s, word), Err(GuestFault::Busy(Gfn(3))));
    // And not while the mover has the frame.
    let frame = claim.frame();
    assert_eq!(late_store(&s, word), Err(GuestFault::Busy(Gfn(3))));
    assert!(frame.starts_with(SECRET));
}

#[test]
fn no_seal_number_is_used_twice() {
    for suite in ALL {
        let s = setup(suite);
        s.space.destroy(Gfn(3)).unwrap();
        let all = PageRange::new(Gfn(0), 64);
        all.iter().for_each(|gfn| s.space.zero_in(gfn).unwrap());
        let mut versions = Vec::new();
        let mut outside = Vec::new();
        for _ in 0..2 {
            s.space.seal_out(all, &s.memory, at(100)).unwrap();
            versions.extend(all.iter().map(|gfn| s.space.seal_record(gfn).unwrap().version));
            outside.extend((100..164).map(|page| s.host_page(page)));
            s.space.open_in(all, &s.memory, at(100)).unwrap();
            s.space.seal_copy(Gfn(7), &s.memory, at(100)).unwrap();
            outside.push(s.host_page(100));
        }
        assert!(versions.into_iter().eq((0..64).chain(65..129)), "{suite:?}: the copy took one too");
        outside.sort_unstable();
        assert_eq!(outside.len(), 130);
        assert!(outside.windows(2).all(|pair| pair[0] != pair[1]), "{suite:?}: pages of zeros that look the same");
    }
}

#[test]
fn records_are_forgotten_with_their_pages() {
    let s = setup(Suite::Aes256Ccm);
    let records = || s.space.records.lock().in_use();
    for _ in 0..3 {
        s.seal(3, 100);
        assert_eq!(records(), 1);
        s.open(3, 100).unwrap();
        assert_eq!(records(), 0, "opened");
    }
    s.seal(3, 100);
    s.space.destroy(Gfn(3)).unwrap();
    assert_eq!(records(), 0, "destroyed");
    assert!(s.space.table.get(Gfn(3)) == Some(crate::table::Word::ABSENT), "nothing is kept");
    s.space.zero_in(Gfn(4)).unwrap();
    s.seal(4, 100);
    assert_eq!(s.space.records.lock().places(), 1, "places are used again");
    s.space.close().unwrap();
    assert_eq!(records(), 0, "closed");
}

#[test]
fn frames_of_refused_batches_are_wiped_and_free() {
    let s = setup(Suite::Aes256Ccm);
    let two = PageRange::new(Gfn(3), 2);
    s.space.zero_in(Gfn(4)).unwrap();
    s.write(4, SECRET);
    s.space.seal_out(two, &s.memory, at(100)).unwrap();
    s.memory.write(at(101), &[1]).unwrap();
    assert_eq!(s.space.open_in(two, &s.memory, at(100)).map_err(|e| e.error), Err(SpaceError::Integrity(Gfn(4))));
    assert!(s.space.pool.free_frames_are_zero(), "page 3 was deciphered");
    s.memory.write(at(110), &[0x44; 4096]).unwrap();
    let refuse = |_, _: &mut [&mut [u8]]| Err(SpaceError::NoFrame);
    let refused = s.space.fill(PageRange::new(Gfn(10), 2), &s.memory, at(110), refuse);
    assert_eq!(refused, Err(RangeError { done: 0, error: SpaceError::NoFrame }));
    let nowhere = s.space.fill::<SpaceError>(PageRange::new(Gfn(10), 2), &s.memory, at(255), |_, _| Ok(()));
    assert!(matches!(nowhere, Err(RangeError { done: 0, error: SpaceError::Memory(_) })));
    s.space.share(Gfn(20), &s.memory, at(120), Content::Zeroed).unwrap();
    let away = crate::wrap::Flaky::new(&s.memory, 1, 255);
    let gone = (0..9).map(|_| s.space.unshare(Gfn(20), &away, Content::Kept)).filter(Result::is_err).count();
    assert!(gone > 0 && s.space.pool.free_frames_are_zero());
    assert_eq!(s.engine.frames_in_use(), s.space.counts().secure);
}

#[test]
fn a_batch_without_enough_frames_is_refused_whole() {
    let engine = engine(3);
    let space = engine.create_space(64, Suite::Aes256Ccm);
    let memory = HostMemory::new(1 << 20);
    let fill = |count| space.fill::<SpaceError>(PageRange::new(Gfn(0), count), &memory, at(0), |_, _| Ok(()));
    assert_eq!(fill(4), Err(RangeError { done: 0, error: SpaceError::NoFrame }));
    assert_eq!((engine.frames_in_use(), space.counts().total()), (0, 0));
    assert_eq!(fill(3), Ok(()));
    space.share(Gfn(9), &memory, at(9), Content::Zeroed).unwrap();
    assert_eq!(space.unshare(Gfn(9), &memory, Content::Kept), Err(SpaceError::NoFrame));
    assert_eq!((engine.frames_in_use(), space.state(Gfn(9))), (3, Ok(PageState::Shared)));
}

#[test]
fn the_clock_goes_round_from_the_first_page() {
    let engine = engine(4);
    let space = engine.create_space(8, Suite::Aes256Ccm);
    (0..2).for_each(|gfn| space.zero_in(Gfn(gfn)).unwrap());
    assert_eq!([(); 3].map(|()| space.cold_page()), [0, 1, 0].map(|gfn| Some(Gfn(gfn))));
    space.destroy(Gfn(1)).unwrap();
    space.guest_write(&HostMemory::new(0), GuestAddr(0), &[1]).unwrap();
    assert_eq!(space.cold_page(), Some(Gfn(0)), "used, but the only one");
}

#[test]
fn used_pages_before_the_hand_are_found_at_the_second_round() {
    let s = setup(Suite::Aes256Ccm);
    s.space.zero_in(Gfn(4)).unwrap();
    assert_eq!(s.space.cold_page(), Some(Gfn(4)), "page 3 was used; the hand stands behind page 4");
    for page in [3, 4] {
        s.write(page, &[1]);
    }
    assert_eq!(s.space.cold_page(), Some(Gfn(3)), "both used: the first of them");
    assert_eq!(s.space.cold_page(), Some(Gfn(4)), "whose mark the clock has taken");
    s.space.destroy(Gfn(3)).unwrap();
    s.space.destroy(Gfn(4)).unwrap();
    assert_eq!(s.space.cold_page(), None);
}

#[test]
fn a_shared_page_is_zeroed_where_it_lies() {
    let s = setup(Suite::Aes256Ccm);
    s.space.share(Gfn(3), &s.memory, at(50), Content::Kept).unwrap();
    s.memory.write(at(51), &[7]).unwrap();
    s.space.zero_shared(Gfn(3), &s.memory).unwrap();
    assert_eq!((s.host_page(50), s.read(3, 4096)), (vec![0; 4096], vec![0; 4096]));
    assert_eq!(s.host_page(51)[0], 7);
    assert_eq!((s.space.state(Gfn(3)), s.space.shared_at(Gfn(3))), (Ok(PageState::Shared), Some(at(50))));
}
