//! Words and claims, one thread.

use alloc::vec::Vec;

use uv_core::{Gfn, PageRange, PageState};

use crate::table::{ClaimError, Label, PageTable, Word};

const ALL: PageRange = PageRange::new(Gfn(0), u64::MAX);

/// Claims a page and releases it with a word.
fn set(table: &PageTable, gfn: Gfn, word: Word) {
    assert!(table.claim(gfn).is_ok());
    table.release(gfn, word);
}

#[test]
fn words_keep_what_is_put_in() {
    for state in [PageState::Secure, PageState::Sealed, PageState::Shared, PageState::Withdrawn] {
        let word = Word::new(state, Label(0xa5), Word::MAX_PAYLOAD);
        assert_eq!((word.state(), word.label(), word.payload()), (state, Label(0xa5), Word::MAX_PAYLOAD));
        assert_eq!(word.with_label(Label(3)).label(), Label(3));
        assert!(!word.is_busy() && !word.is_accessed());
    }
    assert_eq!(Word::ABSENT.state(), PageState::Absent);
    assert!(Word::new(PageState::Absent, Label(0), 0) == Word::ABSENT);
}

#[test]
fn a_page_is_claimed_once() {
    let table = PageTable::new(5000);
    assert!(table.get(Gfn(4999)) == Some(Word::ABSENT) && table.get(Gfn(5000)).is_none());
    assert_eq!(table.claim(Gfn(5000)).err(), Some(ClaimError::OutOfRange));
    assert!(table.claim(Gfn(4999)) == Ok(Word::ABSENT));
    assert_eq!(table.claim(Gfn(4999)).err(), Some(ClaimError::Busy));
    table.release(Gfn(4999), Word::new(PageState::Secure, Label(0), 7));
    assert_eq!(table.get(Gfn(4999)).unwrap().index(), 7);
}

#[test]
fn a_place_is_the_same_only_with_state_payload_and_nobody_moving_it() {
    let word = Word::new(PageState::Secure, Label(1), 7);
    assert!(word.with_label(Label(2)).same_place(word), "a label is no place");
    assert!(!Word::new(PageState::Secure, Label(1), 8).same_place(word), "another frame");
    assert!(!Word::new(PageState::Sealed, Label(1), 7).same_place(word), "a record of that number");
    let table = PageTable::new(1);
    set(&table, Gfn(0), word);
    assert!(table.claim(Gfn(0)).is_ok());
    assert!(!table.get(Gfn(0)).unwrap().same_place(word), "moving");
}

#[test]
fn a_shared_page_is_claimed_after_the_last_access() {
    let table = PageTable::new(2);
    let shared = Word::new(PageState::Shared, Label(0xff), 5);
    assert!(table.enter(Gfn(0)).is_none(), "absent");
    set(&table, Gfn(0), shared);
    let most = 63;
    for _ in 0..most {
        assert_eq!(table.enter(Gfn(0)).unwrap().payload(), 5);
    }
    assert!(table.enter(Gfn(0)).is_none(), "no more are counted");
    for left in (1..=most).rev() {
        if [most, 1].contains(&left) {
            assert_eq!(table.claim(Gfn(0)).err(), Some(ClaimError::Busy));
            assert!(!table.get(Gfn(0)).unwrap().is_busy(), "a refused claim leaves nothing");
        }
        table.leave(Gfn(0));
    }
    assert!(table.claim(Gfn(0)) == Ok(shared));
    assert!(table.enter(Gfn(0)).is_none(), "claimed");
    table.release(Gfn(0), Word::new(PageState::Withdrawn, Label(0), 5));
    assert!(table.enter(Gfn(0)).is_none(), "withdrawn");
}

#[test]
fn the_mark_of_use_goes_to_the_word_that_was_seen_only() {
    let table = PageTable::new(1);
    let secure = Word::new(PageState::Secure, Label(0), 3);
    set(&table, Gfn(0), secure);
    let shared = Word::new(PageState::Shared, Label(0), 3);
    set(&table, Gfn(0), shared);
    table.reference(Gfn(0), secure);
    assert!(table.get(Gfn(0)) == Some(shared), "no access counted by a late mark");
    table.reference(Gfn(0), shared);
    assert!(table.get(Gfn(0)) == Some(shared), "nor by a mark of a shared page");
    set(&table, Gfn(0), secure);
    assert_eq!(table.cold(Gfn(0)), Some(Gfn(0)));
    assert!(table.claim(Gfn(0)).is_ok());
    let moving = table.get(Gfn(0)).unwrap();
    table.reference(Gfn(0), moving);
    assert!(table.get(Gfn(0)) == Some(moving), "nobody marks a page that somebody moves");
    assert_eq!(table.cold(Gfn(0)), None);
    table.release(Gfn(0), secure);
    table.reference(Gfn(0), secure);
    assert_eq!((table.cold(Gfn(0)), table.cold(Gfn(0))), (None, Some(Gfn(0))), "the clock takes the mark");
}

#[test]
fn nothing_lies_past_the_limit() {
    let table = PageTable::new(4096);
    set(&table, Gfn(4095), Word::new(PageState::Shared, Label(0), 1));
    for gfn in [4096, 4097, 8192, u64::MAX] {
        assert!(table.enter(Gfn(gfn)).is_none() && table.get(Gfn(gfn)).is_none(), "{gfn}");
        assert_eq!(table.claim(Gfn(gfn)).err(), Some(ClaimError::OutOfRange));
        table.release(Gfn(gfn), Word::ABSENT);
        table.leave(Gfn(gfn));
    }
    assert_eq!(table.used(ALL).count(), 1);
}

/// Lets one thread claim or close while this one has the page, until it was seen to wait and had its way.
fn waits<T: Send>(
    new: impl Fn() -> PageTable,
    other: impl Fn(&PageTable) -> T + Sync,
    is_waiting: impl Fn(&PageTable) -> bool,
    end: impl Fn(&PageTable),
    has_its_way: impl Fn(T) -> bool,
) -> bool {
    extern crate std;
    (0..50).any(|_| {
        let table = new();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| other(&table));
            let mut seen = false;
            while !seen && !thread.is_finished() {
                seen = is_waiting(&table);
            }
            // Who does not wait has given up by the end of this.
            (0..10_000).for_each(|_| core::hint::spin_loop());
            end(&table);
            has_its_way(thread.join().unwrap()) && seen
        })
    })
}

fn one(state: PageState) -> PageTable {
    let table = PageTable::new(1);
    set(&table, Gfn(0), Word::new(state, Label(0), 1));
    table
}

#[test]
fn a_claim_waits_for_an_access_that_ends() {
    let accessed = || {
        let table = one(PageState::Shared);
        assert!(table.enter(Gfn(0)).is_some());
        table
    };
    let busy = |table: &PageTable| table.get(Gfn(0)).is_some_and(Word::is_busy);
    assert!(waits(accessed, |table| table.claim(Gfn(0)).is_ok(), busy, |table| table.leave(Gfn(0)), |claimed| claimed));
}

#[test]
fn closing_waits_for_a_claim_that_ends() {
    let claimed = || {
        let table = one(PageState::Sealed);
        assert!(table.claim(Gfn(0)).is_ok());
        table
    };
    let release = |table: &PageTable| table.release(Gfn(0), Word::new(PageState::Secure, Label(0), 2));
    let close = |table: &PageTable| {
        let mut last = None;
        (table.close(|word| last = Some(word.state())), last)
    };
    let ended = |answer| answer == (Ok(()), Some(PageState::Secure));
    assert!(waits(claimed, close, PageTable::is_closed, release, ended));
}

#[test]
fn closing_shows_every_page_of_a_touched_leaf_once() {
    for (touched, pages) in [(0, 4096), (4095, 4096), (5000, 4096), (8192, 808), (8999, 808)] {
        let table = PageTable::new(9000);
        set(&table, Gfn(touched), Word::new(PageState::Sealed, Label(0), 1));
        let (mut all, mut sealed) = (0, 0);
        assert_eq!(
            table.close(|word| {
                all += 1;
                sealed += usize::from(word.state() == PageState::Sealed);
            }),
            Ok(())
        );
        assert_eq!((all, sealed), (pages, 1), "{touched}");
        for _ in 0..2 {
            assert_eq!(table.claim(Gfn(touched)).err(), Some(ClaimError::Closed), "and again");
        }
    }
}

#[test]
fn used_pages_are_found_in_their_range() {
    let table = PageTable::new(10_000);
    for gfn in [0, 4095, 4096, 9999] {
        set(&table, Gfn(gfn), Word::new(PageState::Withdrawn, Label(0), gfn));
    }
    let found = |first, count| table.used(PageRange::new(Gfn(first), count)).map(|(gfn, _)| gfn.0).collect::<Vec<_>>();
    assert_eq!(found(0, u64::MAX), [0, 4095, 4096, 9999]);
    assert_eq!(found(1, 4095), [4095]);
    assert_eq!(found(4096, 9000), [4096, 9999]);
    assert_eq!(found(4097, 5902), [0_u64; 0]);
    assert_eq!(found(u64::MAX, 1), [0_u64; 0]);
}

#[test]
fn closing_takes_every_page_and_refuses_the_next() {
    let table = PageTable::new(9000);
    set(&table, Gfn(1), Word::new(PageState::Sealed, Label(0), 1));
    set(&table, Gfn(2), Word::new(PageState::Shared, Label(0), 2));
    assert!(table.claim(Gfn(0)).is_ok());
    assert!(table.enter(Gfn(2)).is_some());
    let mut taken = Vec::new();
    assert_eq!(table.close(|word| taken.push(word.payload())), Err(Gfn(0)));
    assert!(taken.iter().filter(|payload| **payload > 0).eq(&[1]), "what is in use stays");
    assert_eq!(table.claim(Gfn(3)).err(), Some(ClaimError::Closed), "an absent page");
    assert_eq!(table.claim(Gfn(5000)).err(), Some(ClaimError::Closed), "an untouched leaf");
    table.release(Gfn(0), Word::ABSENT);
    assert_eq!(table.close(|_| ()), Err(Gfn(2)));
    table.leave(Gfn(2));
    assert_eq!(table.close(|word| taken.push(word.payload())), Ok(()));
    assert!(taken.contains(&2) && table.used(ALL).next().is_none());
}
