//! Guest accesses over several pages, and to pages that go away under them.

extern crate std;

use std::thread;

use uv_core::AccessError;

use super::*;
use crate::pool::FrameId;

/// Normal memory that is said to be there, and is not.
struct Nowhere;

const GONE: AccessError = AccessError::Secure { at: HostAddr(0x77) };

impl NormalMemory for Nowhere {
    fn read(&self, _: HostAddr, _: &mut [u8]) -> Result<(), AccessError> {
        Err(GONE)
    }

    fn write(&self, _: HostAddr, _: &[u8]) -> Result<(), AccessError> {
        Err(GONE)
    }

    fn check(&self, _: HostAddr, _: u64) -> Result<(), AccessError> {
        Ok(())
    }
}

#[test]
fn an_access_reaches_each_byte_of_secure_and_shared_pages() {
    let s = setup(Suite::Aes256Ccm);
    s.space.zero_in(Gfn(5)).unwrap();
    s.space.share(Gfn(4), &s.memory, at(50), Content::Zeroed).unwrap();
    let bytes: Vec<u8> = (0..5000_u32).map(|n| (n * 7).to_le_bytes()[0] | 1).collect();
    let place = GuestAddr(0x3000 + 3900);
    s.space.guest_write(&s.memory, place, &bytes).unwrap();
    let mut back = vec![0; 5000];
    s.space.guest_read(&s.memory, place, &mut back, Access::Load).unwrap();
    assert!(back == bytes);
    assert!(s.host_page(50) == bytes[196..196 + 4096], "the page in the middle");
    assert!(s.read(3, 4096)[3900..] == bytes[..196]);
    let last = s.read(5, 4096);
    assert!(last[..708] == bytes[4292..] && last[708..].iter().all(|byte| *byte == 0));
    s.space.guest_write(&s.memory, GuestAddr(0x4123), b"inside").unwrap();
    assert_eq!(
        &s.host_page(50)[0x122..0x12a],
        [&[bytes[196 + 0x122]], b"inside".as_slice(), &[bytes[196 + 0x129]]].concat()
    );
    let mut inside = [0; 6];
    s.space.guest_read(&s.memory, GuestAddr(0x4123), &mut inside, Access::Load).unwrap();
    assert_eq!(&inside, b"inside");
    assert_eq!(s.space.guest_write(&s.memory, GuestAddr(0x9000), &[]), Ok(()), "no byte, no page");
}

#[test]
fn a_shared_page_whose_memory_is_gone_is_a_fault_of_its_own() {
    let s = setup(Suite::Aes256Ccm);
    s.space.share(Gfn(3), &s.memory, at(50), Content::Kept).unwrap();
    let fault = Err(GuestFault::Memory { gfn: Gfn(3), error: GONE });
    assert_eq!(s.space.guest_write(&Nowhere, GuestAddr(0x3000), &[1]), fault);
    assert_eq!(s.space.guest_read(&Nowhere, GuestAddr(0x3000), &mut [1], Access::Load), fault);
    assert_eq!(s.space.zero_shared(Gfn(3), &Nowhere), Err(SpaceError::Memory(GONE)));
    assert_eq!(s.space.unshare(Gfn(3), &Nowhere, Content::Kept), Err(SpaceError::Memory(GONE)));
    assert_eq!(s.space.share(Gfn(9), &Nowhere, at(51), Content::Zeroed), Err(SpaceError::Memory(GONE)));
    assert_eq!((s.space.state(Gfn(9)), s.space.state(Gfn(3))), (Ok(PageState::Absent), Ok(PageState::Shared)));
    assert_eq!(s.read(3, SECRET.len()), SECRET);
    s.space.unshare(Gfn(3), &s.memory, Content::Kept).unwrap();
    s.seal(3, 60);
    let opened = s.space.open_in(Gfn(3).into(), &Nowhere, at(60));
    assert_eq!(opened, Err(RangeError { done: 0, error: SpaceError::Memory(GONE) }));
    assert_eq!((s.space.state(Gfn(3)), s.open(3, 60)), (Ok(PageState::Sealed), Ok(())));
}

#[test]
fn an_access_to_an_absent_page_that_somebody_makes_secure_is_repeated() {
    let s = setup(Suite::Aes256Ccm);
    let claim = s.space.claim(Gfn(9)).unwrap();
    assert_eq!(s.space.guest_write(&s.memory, GuestAddr(0x9000), &[1]), Err(GuestFault::Busy(Gfn(9))));
    drop(claim);
    let missing = GuestFault::Missing { gfn: Gfn(9), state: PageState::Absent, access: Access::Store };
    assert_eq!(s.space.guest_write(&s.memory, GuestAddr(0x9000), &[1]), Err(missing));
}

/// An access that found a page secure and waits for its frame, while somebody takes the page.
#[test]
fn an_access_that_lost_its_page_says_so() {
    type Access = fn(&Setup) -> Result<(), GuestFault>;
    let accesses: [Access; 2] = [
        |s| s.space.guest_read(&s.memory, GuestAddr(0x3000), &mut [0; 4], uv_core::Access::Load),
        |s| s.space.guest_write(&s.memory, GuestAddr(0x3000), &[1; 4]),
    ];
    for access in accesses {
        let s = setup(Suite::Aes256Ccm);
        assert_eq!(s.space.cold_page(), Some(Gfn(3)), "not marked as used any more");
        let word = s.space.table.get(Gfn(3)).unwrap();
        let frame = s.space.pool.lock(FrameId(word.index()));
        thread::scope(|scope| {
            let accessed = scope.spawn(|| access(&s));
            while s.space.table.get(Gfn(3)) == Some(word) {
                thread::yield_now();
            }
            // The access has marked the page and goes for the frame.
            let claim = s.space.claim(Gfn(3)).unwrap();
            assert_eq!(accessed.join().unwrap(), Err(GuestFault::Busy(Gfn(3))));
            drop(claim);
        });
        assert!(frame.starts_with(SECRET));
    }
}
