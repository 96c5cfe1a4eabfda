//! What a hypervisor can do with what it sees, and one VM to another.

use uv_core::{ErrorKind, PageState};

use super::SECRET;
use crate::Ability::PageOut;
use crate::bench::{Bench, ensure, holds, patient};
use crate::rule::{Act, rule};
use crate::{GuestOp, Rule, TEST_PAGES};

pub(super) const RULES: &[Rule] = &[
    rule(
        [
            "no-plaintext",
            "the hypervisor never reads a secure page",
            "PageState::Secure",
            "Plaintext in a secure frame; the guest reaches it, the hypervisor does not.",
        ],
        &[Act::Stored, Act::Loaded],
        no_plaintext,
    ),
    rule(
        [
            "no-plaintext-elsewhere",
            "what a guest writes to one page appears in no normal page of any VM",
            "VmState::Secure",
            "no plaintext byte of a page that the guest has not shared is readable by the hypervisor",
        ],
        &[Act::Stored, Act::HostRead],
        nowhere_else,
    ),
    rule(
        [
            "no-plaintext-sealed",
            "no block of a sealed page is the block that the guest wrote",
            "PageState::Sealed",
            "Ciphertext in the hypervisor's memory",
        ],
        &[Act::PagedOut, Act::HostRead],
        sealed_blocks,
    )
    .needs(&[PageOut]),
    rule(
        [
            "host-writes",
            "what the hypervisor writes never reaches a private page",
            "PageState::Secure",
            "the guest reaches it, the hypervisor does not",
        ],
        &[Act::Stored],
        host_writes,
    ),
    rule(
        [
            "two-vms",
            "two VMs have their own bytes at one guest address",
            "SecureVm",
            "What is done to one VM changes no other.",
        ],
        &[Act::Stored, Act::Loaded],
        two_vms,
    ),
    rule(
        [
            "move-one-vm",
            "moving the pages of one VM moves none of another",
            "SecureVm",
            "What is done to one VM changes no other.",
        ],
        &[Act::PagedOut, Act::Loaded],
        move_one,
    )
    .needs(&[PageOut]),
    rule(
        [
            "share-one-vm",
            "what one guest shares is not shared by another",
            "SecureVm",
            "What is done to one VM changes no other.",
        ],
        &[Act::Shared, Act::Loaded],
        share_one,
    ),
];

/// The hypervisor must not find the secret in the normal page.
fn unseen(b: &Bench, index: usize, n: u64) -> Result<(), String> {
    if let Some(seen) = b.host_sees(index, n)? {
        ensure!(!holds(&seen, SECRET), "the hypervisor reads the secret at test page {n} of VM {index}");
    }
    Ok(())
}

fn no_plaintext(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    unseen(b, 0, 0)?;
    b.expect(0, 0, SECRET)?;
    if b.has(PageOut) {
        b.sealed(0, 1, SECRET)?;
        unseen(b, 0, 1)?;
        b.expect(0, 1, SECRET)?;
        unseen(b, 0, 1)?;
    }
    Ok(())
}

fn nowhere_else(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    // Something that the hypervisor can read in any case.
    b.set_shared(0, 1, true)?;
    if b.has(PageOut) {
        b.page_out(0, 0)?;
        b.page_in(0, 0)?;
    }
    for (index, n) in (0..2).flat_map(|index| (0..TEST_PAGES).map(move |n| (index, n))) {
        unseen(b, index, n)?;
    }
    Ok(())
}

fn sealed_blocks(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let plain = b.content(0x5a);
    let sealed = b.sealed(0, 0, &plain)?;
    let same = sealed.chunks(16).zip(plain.chunks(16)).filter(|(sealed, plain)| sealed == plain).count();
    ensure!(same == 0, "{same} blocks of the sealed page are in clear");
    b.expect(0, 0, &plain)
}

fn host_writes(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    if b.host_writes(0, 0, &[0x55; 64]).is_err() {
        return b.expect(0, 0, SECRET);
    }
    // The machine let the write through: it must have hit the hypervisor's own page, or have sealed the secure one before.
    match patient(|| b.vm(0).page_in(b.page(0))) {
        Ok(()) => b.expect(0, 0, SECRET),
        Err(e) if e.kind == ErrorKind::Integrity => Ok(()),
        Err(e) => Err(format!("after a write of the hypervisor: {e}")),
    }
}

fn two_vms(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.enter(1)?;
    for n in 0..4 {
        b.store(0, n, SECRET)?;
        b.store(1, n, b"bytes of the other VM, at the same address")?;
    }
    for n in 0..4 {
        b.expect(0, n, SECRET)?;
        b.expect(1, n, b"bytes of the other VM, at the same address")?;
    }
    Ok(())
}

fn move_one(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.enter(1)?;
    b.store(0, 0, SECRET)?;
    b.store(1, 0, SECRET)?;
    b.page_out(0, 0)?;
    b.expect_state(1, 0, PageState::Secure)?;
    b.page_out(1, 0)?;
    b.page_in(0, 0)?;
    b.expect_state(1, 0, PageState::Sealed)?;
    b.expect(0, 0, SECRET)?;
    b.expect(1, 0, SECRET)
}

fn share_one(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.enter(1)?;
    b.store(1, 0, SECRET)?;
    b.set_shared(0, 0, true)?;
    b.expect_state(0, 0, PageState::Shared)?;
    b.expect_state(1, 0, PageState::Secure)?;
    unseen(b, 1, 0)?;
    b.guest(0, GuestOp::Unshare(b.page(0)))?;
    b.expect(1, 0, SECRET)
}
