//! The ends of the number spaces, and addresses that no page has.

use super::*;

const LAST: Gfn = Gfn(u64::MAX);

#[test]
fn the_last_page_number_is_out_of_range_for_every_call() {
    let s = setup(Suite::Aes256XtsPolyval);
    let out = SpaceError::OutOfRange(LAST);
    let none_done = Err(RangeError { done: 0, error: out });
    for count in [1, 2, 33, u64::MAX] {
        let range = PageRange::new(LAST, count);
        assert_eq!(s.space.seal_out(range, &s.memory, at(1)), none_done, "{count}");
        assert_eq!(s.space.open_in(range, &s.memory, at(1)), none_done, "{count}");
        assert_eq!(s.space.fill::<SpaceError>(range, &s.memory, at(1), |_, _| Ok(())), none_done, "{count}");
    }
    assert_eq!(s.space.zero_in(LAST), Err(out));
    assert_eq!(s.space.share(LAST, &s.memory, at(1), Content::Kept), Err(out));
    assert_eq!(s.space.unshare(LAST, &s.memory, Content::Kept), Err(out));
    assert_eq!(s.space.restore(LAST, &s.memory, at(1)), Err(out));
    assert_eq!(s.space.zero_shared(LAST, &s.memory), Err(out));
    assert_eq!(s.space.withdraw(LAST), Err(out));
    assert_eq!(s.space.destroy(LAST), Err(out));
    assert_eq!(s.space.seal_copy(LAST, &s.memory, at(1)), Err(out));
    assert_eq!(s.space.set_label(LAST, Label(1)), Err(out));
    assert_eq!((s.space.state(LAST), s.space.label(LAST)), (Err(out), Err(out)));
    assert_eq!((s.space.seal_record(LAST), s.space.shared_at(LAST)), (None, None));
}

#[test]
fn a_range_ends_at_the_first_page_past_the_end() {
    let s = setup(Suite::Aes256XtsPolyval);
    let fill =
        |first, count| s.space.fill::<SpaceError>(PageRange::new(Gfn(first), count), &s.memory, at(0), |_, _| Ok(()));
    let out = |done| Err(RangeError { done, error: SpaceError::OutOfRange(Gfn(64)) });
    assert_eq!(fill(63, 2), out(0));
    assert_eq!(s.space.state(Gfn(63)), Ok(PageState::Absent), "the batch is as before");
    assert_eq!(fill(30, 40), out(32));
    assert_eq!(fill(64, 1), out(0));
}

#[test]
fn a_guest_access_past_the_last_address_is_out_of_range() {
    let s = setup(Suite::Aes256XtsPolyval);
    let out = Err(GuestFault::OutOfRange(Gfn(u64::MAX >> 12)));
    for (addr, len) in [(u64::MAX, 1), (u64::MAX, 2), (u64::MAX - 1, 4), (u64::MAX - 5000, 9000)] {
        let mut bytes = vec![0; len];
        let first = Err(GuestFault::OutOfRange(Gfn(addr >> 12)));
        assert_eq!(s.space.guest_write(&s.memory, GuestAddr(addr), &bytes), first, "{addr:#x}");
        assert_eq!(s.space.guest_read(&s.memory, GuestAddr(addr), &mut bytes, Access::Load), first, "{addr:#x}");
        assert!(addr >> 12 != u64::MAX >> 12 || first == out);
    }
    let over = s.space.guest_write(&s.memory, GuestAddr((64 << 12) - 2), &[0; 4]);
    assert_eq!(over, Err(GuestFault::Missing { gfn: Gfn(63), state: PageState::Absent, access: Access::Store }));
}

#[test]
fn a_page_is_shared_through_a_page_only() {
    let s = setup(Suite::Aes256XtsPolyval);
    for off in [1, 0x10, 0xfff] {
        let addr = HostAddr(at(50).0 + off);
        let wrong = Err(SpaceError::Unaligned(addr));
        for content in [Content::Kept, Content::Zeroed] {
            assert_eq!(s.space.share(Gfn(3), &s.memory, addr, content), wrong);
            assert_eq!(s.space.share(Gfn(9), &s.memory, addr, content), wrong, "an absent page");
        }
        assert_eq!(s.space.state(Gfn(3)), Ok(PageState::Secure));
        assert_eq!(s.host_page(50), vec![0; 4096], "nothing was written");
    }
    s.space.share(Gfn(3), &s.memory, at(50), Content::Kept).unwrap();
    s.space.withdraw(Gfn(3)).unwrap();
    assert_eq!(s.space.restore(Gfn(3), &s.memory, HostAddr(0x3_2800)), Err(SpaceError::Unaligned(HostAddr(0x3_2800))));
    assert_eq!((s.space.state(Gfn(3)), s.space.shared_at(Gfn(3))), (Ok(PageState::Withdrawn), Some(at(50))));
}

/// Memory that answers everywhere.
struct Everywhere;

impl NormalMemory for Everywhere {
    fn read(&self, _: HostAddr, into: &mut [u8]) -> Result<(), uv_core::AccessError> {
        into.fill(0);
        Ok(())
    }

    fn write(&self, _: HostAddr, _: &[u8]) -> Result<(), uv_core::AccessError> {
        Ok(())
    }

    fn check(&self, _: HostAddr, _: u64) -> Result<(), uv_core::AccessError> {
        Ok(())
    }
}

#[test]
fn a_normal_page_is_kept_whole_or_refused() {
    let s = setup(Suite::Aes256XtsPolyval);
    let highest = HostAddr((1 << 58) - 0x1000);
    s.space.share(Gfn(3), &Everywhere, highest, Content::Kept).unwrap();
    assert_eq!(s.space.shared_at(Gfn(3)), Some(highest));
    for beyond in [1 << 58, u64::MAX - 0xfff] {
        let unmapped = Err(uv_core::AccessError::Unmapped { at: HostAddr(beyond), len: 4096 }.into());
        assert_eq!(s.space.share(Gfn(4), &Everywhere, HostAddr(beyond), Content::Zeroed), unmapped);
        assert_eq!(s.space.restore(Gfn(3), &Everywhere, HostAddr(beyond)), unmapped);
    }
    assert_eq!(s.space.shared_at(Gfn(3)), Some(highest));
}

#[test]
fn normal_memory_past_the_last_address_is_refused() {
    let s = setup(Suite::Aes256XtsPolyval);
    let top = HostAddr(u64::MAX - 0xfff);
    let unmapped = uv_core::AccessError::Unmapped { at: top, len: 4096 };
    let fill = s.space.fill::<SpaceError>(PageRange::new(Gfn(10), 2), &Everywhere, top, |_, _| Ok(()));
    assert_eq!(fill, Err(RangeError { done: 0, error: unmapped.into() }));
    s.space.zero_in(Gfn(4)).unwrap();
    let out = s.space.seal_out(PageRange::new(Gfn(3), 2), &Everywhere, top);
    assert_eq!(out, Err(RangeError { done: 0, error: unmapped.into() }));
    assert_eq!(s.space.seal_out(Gfn(3).into(), &Everywhere, top), Ok(()), "the last page is one");
}

#[test]
fn batches_of_large_pages_are_of_512_kib() {
    let engine = Engine::new(EngineConfig { page_size: PageSize::K64, frames: 12, seed: 7 });
    let (space, memory) = (engine.create_space(64, Suite::Aes128Gcm), HostMemory::new(40 << 16));
    let all = PageRange::new(Gfn(0), 20);
    let mut sizes = Vec::new();
    let filled = space.fill::<SpaceError>(all, &memory, HostAddr(0), |first, pages| {
        sizes.push((first.0, pages.len()));
        Ok(())
    });
    assert_eq!((filled, &*sizes), (Err(RangeError { done: 8, error: SpaceError::NoFrame }), &[(0, 8)][..]));
    assert_eq!((space.counts().secure, engine.frames_in_use()), (8, 8));
}

#[test]
fn a_large_page_that_is_not_all_there_is_refused_whole() {
    let engine = Engine::new(EngineConfig { page_size: PageSize::K64, frames: 2, seed: 7 });
    let (space, memory) = (engine.create_space(8, Suite::Aes128Gcm), HostMemory::new(0x2_8000));
    memory.write(HostAddr(0), &vec![9; 0x2_8000]).unwrap();
    let read = |at, len| {
        let mut bytes = vec![0; len];
        memory.read(HostAddr(at), &mut bytes).unwrap();
        bytes
    };
    let half = uv_core::AccessError::Unmapped { at: HostAddr(0x2_0000), len: 0x1_0000 };
    assert_eq!(space.share(Gfn(0), &memory, HostAddr(0x2_0000), Content::Zeroed), Err(half.into()));
    assert_eq!(read(0x2_0000, 0x8000), vec![9; 0x8000], "nothing was written");
    assert_eq!(space.share(Gfn(0), &memory, HostAddr(0x1_0000), Content::Zeroed), Ok(()));
    assert_eq!(read(0x1_0000, 0x1_0000), vec![0; 0x1_0000]);
    assert_eq!((read(0xffff, 1), read(0x2_0000, 1)), (vec![9], vec![9]));
    assert_eq!(space.shared_at(Gfn(0)), Some(HostAddr(0x1_0000)));
}

#[test]
fn a_page_whose_number_the_tweak_cannot_carry_stays_secure() {
    let engine = engine(2);
    let (space, memory) = (engine.create_space((1 << 32) + 1, Suite::Aes256XtsPolyval), HostMemory::new(0x1000));
    let beyond = Gfn(1 << 32);
    space.zero_in(beyond).unwrap();
    let out = SpaceError::OutOfRange(beyond);
    assert_eq!(space.seal_out(beyond.into(), &memory, at(0)), Err(RangeError { done: 0, error: out }));
    assert_eq!(space.seal_copy(beyond, &memory, at(0)), Err(out));
    assert_eq!((space.state(beyond), space.seal_record(beyond)), (Ok(PageState::Secure), None));
    space.zero_in(Gfn(7)).unwrap();
    assert_eq!(space.seal_out(Gfn(7).into(), &memory, at(0)), Ok(()));
}
