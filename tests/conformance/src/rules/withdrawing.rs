//! Shared pages whose memory the hypervisor takes away.

use uv_core::{ErrorKind, PageState};

use super::SECRET;
use crate::Ability::{PageOut, SharePages};
use crate::bench::{Bench, ensure};
use crate::rule::{Act, rule};
use crate::{GuestOp, Rule};

pub(super) const RULES: &[Rule] = &[
    rule(
        [
            "withdraw",
            "a withdrawn page faults once and comes back shared, with its content",
            "SharePages::withdraw",
            "Shared becomes Withdrawn, and the guest faults at its next access until PageIn brings the page back.",
        ],
        &[Act::Withdrawn, Act::Faulted, Act::PagedIn, Act::Loaded],
        withdraw,
    )
    .needs(&[SharePages]),
    rule(
        [
            "withdraw-content",
            "the hypervisor keeps what is in a withdrawn page, and what it changes there reaches the guest",
            "SharePages::withdraw",
            "The content stays in the normal page.",
        ],
        &[Act::Withdrawn, Act::HostRead, Act::HostWrote, Act::Loaded],
        content,
    )
    .needs(&[SharePages]),
    rule(
        [
            "withdraw-twice",
            "a withdrawn page is not withdrawn again, and stays so",
            "SharePages::withdraw",
            "A withdrawn page stays so.",
        ],
        &[Act::Withdrawn, Act::PagedIn],
        twice,
    )
    .needs(&[SharePages]),
    rule(
        [
            "withdraw-private",
            "a page that is not shared cannot be withdrawn and is as before",
            "SharePages::withdraw",
            "WrongState when the page is not shared; the page is as before.",
        ],
        &[Act::Refused, Act::Loaded],
        private,
    )
    .needs(&[SharePages]),
    rule(
        [
            "withdraw-then-out",
            "paging out leaves a withdrawn page withdrawn",
            "PageOut::page_out_range",
            "any other page is left as it is, and that is success",
        ],
        &[Act::Withdrawn, Act::Loaded],
        then_out,
    )
    .needs(&[SharePages, PageOut]),
    rule(
        [
            "withdraw-unserved",
            "a guest does not go on without the withdrawn page that it needs",
            "PageState::Withdrawn",
            "Shared, but the hypervisor took its page away for now; the guest faults.",
        ],
        &[Act::Withdrawn, Act::Faulted],
        unserved,
    )
    .needs(&[SharePages]),
];

/// A shared page with bytes in it, withdrawn.
fn withdrawn(b: &Bench, n: u64, bytes: &[u8]) -> Result<(), String> {
    b.set_shared(0, n, true)?;
    b.store(0, n, bytes)?;
    b.withdraw(0, n).map_err(|e| format!("a shared page cannot be withdrawn: {e}"))?;
    b.expect_state(0, n, PageState::Withdrawn)
}

fn withdraw(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    withdrawn(b, 0, b"shared bytes")?;
    let before = b.faults();
    b.expect(0, 0, b"shared bytes")?;
    ensure!(b.faults() == before + 1, "{} faults for one withdrawn page", b.faults() - before);
    b.expect_state(0, 0, PageState::Shared)
}

fn content(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    withdrawn(b, 0, b"shared bytes")?;
    ensure!(b.host_reads(0, 0)?.starts_with(b"shared bytes"), "the content did not stay");
    b.host_writes(0, 0, b"changed bytes")?;
    b.expect(0, 0, b"changed bytes")
}

fn twice(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    withdrawn(b, 0, b"shared bytes")?;
    // Success or a refusal of the state: nothing else, and nothing changes.
    if let Err(e) = b.withdraw(0, 0) {
        ensure!(e.kind == ErrorKind::WrongState, "withdrawing a withdrawn page is refused as {:?}: {e}", e.kind);
    }
    b.expect_state(0, 0, PageState::Withdrawn)?;
    b.page_in(0, 0)?;
    b.expect_state(0, 0, PageState::Shared)?;
    b.expect(0, 0, b"shared bytes")
}

fn private(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.refused(b.withdraw(0, 0), ErrorKind::WrongState, "withdrawing a private page")?;
    b.expect_state(0, 0, PageState::Secure)?;
    if b.has(PageOut) {
        b.page_out(0, 0)?;
        b.refused(b.withdraw(0, 0), ErrorKind::WrongState, "withdrawing a sealed page")?;
        b.expect_state(0, 0, PageState::Sealed)?;
    }
    b.expect(0, 0, SECRET)
}

fn then_out(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    withdrawn(b, 0, b"shared bytes")?;
    b.page_out(0, 0)?;
    b.expect_state(0, 0, PageState::Withdrawn)?;
    b.expect(0, 0, b"shared bytes")
}

fn unserved(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    withdrawn(b, 0, b"shared bytes")?;
    let before = b.saw(0).len();
    b.tell(0, GuestOp::Load(b.addr(0), 12));
    for _ in 0..3 {
        let gfn = b.run_to_fault(0)?;
        ensure!(gfn == b.page(0), "the guest needs page {}, the exit names {gfn}", b.page(0));
    }
    ensure!(b.saw(0).len() == before, "the guest went on without its page");
    b.page_in(0, 0)?;
    b.expect(0, 0, b"shared bytes")
}
