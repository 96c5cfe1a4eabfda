//! What the dumped guest does before the dump, and how its owner sees its memory.

use uv_core::{Gfn, PageOut as _, PageRange};
use uv_s390::abi::uvcb::{Share, UvCommand};
use uv_s390::sim::GuestInsn;

use crate::guest::{Booted, Session};
use uv_programs::Failure;

/// Bytes of a page.
const PAGE: u64 = 0x1000;
/// Bytes that the guest reads at once.
const CHUNK: u64 = 0x4_0000;

/// Pages that the guest left in each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    /// Written, private.
    pub dirty: u64,
    /// Of these, paged out by the hypervisor before the dump.
    pub exported: u64,
    /// Written and shared.
    pub shared: u64,
    /// Touched, but never written: zero.
    pub zero: u64,
}

/// Lets the guest dirty, share and touch pages behind its image, has the hypervisor page some of them out, and sets registers.
///
/// # Errors
/// Status 1 if the guest or the hypervisor cannot go on.
pub fn busy_guest(booted: &mut Booted) -> Result<Busy, Failure> {
    let busy = Busy { dirty: 96, exported: 32, shared: 12, zero: 20 };
    let first = booted.free;
    let session = &mut booted.session;
    let page = |number: u64| first + number * PAGE;
    for number in 0..busy.dirty + busy.shared {
        let text = format!("page {number} of the guest's work, at {:#x}. ", page(number));
        let bytes: Vec<u8> = text.bytes().cycle().take(0x1000).collect();
        session.store(page(number), &bytes)?;
    }
    for number in busy.dirty..busy.dirty + busy.shared {
        let called = session.call(&mut Share::new(UvCommand::SET_SHARED_ACCESS, page(number)))?;
        if !called.is_done() {
            return Err(Failure::refused(format_args!("the guest cannot share a page: rc {}", called.rc)));
        }
    }
    for number in 0..busy.zero {
        session.load(page(busy.dirty + busy.shared + number), 1)?;
    }
    for number in 5..16_u8 {
        session.instruction(GuestInsn::SetGr { number, value: 0x5a5a_0000_0000_0000 | u64::from(number) })?;
    }
    let range = PageRange { first: Gfn(first / PAGE), count: busy.exported };
    booted.vm.guest().page_out_range(range).map_err(|error| Failure::refused(error.error))?;
    Ok(busy)
}

/// Lets the guest read all of its memory through its own CPU, in order, and gives it to `visit`.
///
/// # Errors
/// Status 1 if the guest cannot go on, and those of `visit`.
pub fn read_memory(
    session: &mut Session,
    bytes: u64,
    mut visit: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut at = 0;
    while at < bytes {
        let len = CHUNK.min(bytes - at);
        visit(&session.load(at, usize::try_from(len).map_err(Failure::unusable)?)?)?;
        at += len;
    }
    Ok(())
}
