//! Sealed pages that are not what they were.

use uv_core::{ErrorKind, PageState};

use super::SECRET;
use crate::Ability::PageOut;
use crate::bench::{Bench, ensure, patient};
use crate::rule::{Act, rule};
use crate::{GuestOp, Rule};

/// What a page-in promises of sealed pages.
const NEWEST: &str = "Sealed is opened and checked: only the newest version of this page of this VM is taken";
/// What it promises of others.
const REFUSED: &str = "Integrity when the normal page does not hold the newest sealed version: the page stays sealed and the right \
                       bytes are still taken later.";
const ITEM: &str = "PageIn::page_in_range";
const ACTS: &[Act] = &[Act::PagedOut, Act::HostWrote, Act::Refused, Act::Loaded];

pub(super) const RULES: &[Rule] = &[
    rule(
        ["flipped", "a sealed page with one changed bit is refused, wherever the bit is", ITEM, NEWEST],
        ACTS,
        flipped,
    )
    .needs(&[PageOut]),
    rule(["right-bytes-later", "after refusals the right bytes are still taken", ITEM, REFUSED], ACTS, later)
        .needs(&[PageOut]),
    rule(["swapped", "a sealed page is taken at its own address only", ITEM, NEWEST], ACTS, swapped).needs(&[PageOut]),
    rule(["replayed", "an older version of a page is refused", ITEM, NEWEST], ACTS, replayed).needs(&[PageOut]),
    rule(["replayed-same", "an older version is refused although the content is the same", ITEM, NEWEST], ACTS, same)
        .needs(&[PageOut]),
    rule(["foreign", "a sealed page of another VM is refused", ITEM, NEWEST], ACTS, foreign).needs(&[PageOut]),
    rule(["stale-after-end", "a page sealed before the VM ended is refused afterwards", ITEM, NEWEST], ACTS, stale)
        .needs(&[PageOut]),
    rule(["zeros", "zeros, and a page of plaintext, are no sealed page", ITEM, NEWEST], ACTS, zeros).needs(&[PageOut]),
    rule(["spliced", "the halves of two versions are no sealed page", ITEM, NEWEST], ACTS, spliced).needs(&[PageOut]),
    rule(
        [
            "never-wrong-bytes",
            "a guest waits for its page rather than to read what the hypervisor put there",
            ITEM,
            REFUSED,
        ],
        &[Act::PagedOut, Act::Faulted, Act::Refused, Act::Loaded],
        never_wrong,
    )
    .needs(&[PageOut]),
];

/// A wrong page must be refused as a matter of integrity and leave the page sealed.
fn wrong(b: &Bench, n: u64, what: &str) -> Result<(), String> {
    b.refused(patient(|| b.vm(0).page_in(b.page(n))), ErrorKind::Integrity, what)?;
    b.expect_state(0, n, PageState::Sealed)
}

fn flipped(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let good = b.sealed(0, 0, SECRET)?;
    for at in [0, 1, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x80;
        b.host_writes(0, 0, &bad)?;
        wrong(b, 0, "a sealed page with a flipped bit")?;
    }
    b.host_writes(0, 0, &good)?;
    b.expect(0, 0, SECRET)
}

fn later(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    for _ in 0..3 {
        let good = b.sealed(0, 0, &b.content(4))?;
        let mut bad = good.clone();
        bad[100] ^= 1;
        b.host_writes(0, 0, &bad)?;
        (0..4).try_for_each(|_| wrong(b, 0, "a sealed page with a flipped bit"))?;
        b.host_writes(0, 0, &good)?;
        b.page_in(0, 0)?;
        b.expect(0, 0, &b.content(4))?;
    }
    Ok(())
}

fn swapped(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let first = b.sealed(0, 0, SECRET)?;
    let second = b.sealed(0, 1, b"the bytes of another page")?;
    b.host_writes(0, 0, &second)?;
    b.host_writes(0, 1, &first)?;
    wrong(b, 0, "the sealed page of another address")?;
    wrong(b, 1, "the sealed page of another address")?;
    b.host_writes(0, 0, &first)?;
    b.host_writes(0, 1, &second)?;
    b.expect(0, 0, SECRET)?;
    b.expect(0, 1, b"the bytes of another page")
}

fn replayed(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let versions: Vec<Vec<u8>> =
        (1..4_u8).map(|version| b.sealed(0, 0, &b.content(version))).collect::<Result<_, _>>()?;
    for old in &versions[..2] {
        b.host_writes(0, 0, old)?;
        wrong(b, 0, "an older version of the page")?;
    }
    b.host_writes(0, 0, &versions[2])?;
    b.expect(0, 0, &b.content(3))
}

fn same(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let old = b.sealed(0, 0, SECRET)?;
    let new = b.sealed(0, 0, SECRET)?;
    if old == new {
        return Err("two versions of one content are the same bytes: a replay cannot be told".into());
    }
    b.host_writes(0, 0, &old)?;
    wrong(b, 0, "an older version of the page")?;
    b.host_writes(0, 0, &new)?;
    b.expect(0, 0, SECRET)
}

fn foreign(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.enter(1)?;
    let mine = b.sealed(0, 0, SECRET)?;
    let theirs = b.sealed(1, 0, SECRET)?;
    ensure!(mine != theirs, "two VMs seal one content to the same bytes");
    b.host_writes(0, 0, &theirs)?;
    wrong(b, 0, "the sealed page of another VM")?;
    b.host_writes(0, 0, &mine)?;
    b.expect(0, 0, SECRET)?;
    b.expect(1, 0, SECRET)
}

fn stale(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let old = b.sealed(0, 0, SECRET)?;
    b.terminate(0)?;
    b.enter(0)?;
    let new = b.sealed(0, 0, SECRET)?;
    ensure!(old != new, "a page of another life is sealed to the same bytes");
    b.host_writes(0, 0, &old)?;
    wrong(b, 0, "a page that was sealed before the VM ended")?;
    b.host_writes(0, 0, &new)?;
    b.expect(0, 0, SECRET)
}

fn zeros(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let good = b.sealed(0, 0, &b.content(6))?;
    for bad in [vec![0; good.len()], vec![0xff; good.len()], b.content(6)] {
        b.host_writes(0, 0, &bad)?;
        wrong(b, 0, "a page that was never sealed")?;
    }
    b.host_writes(0, 0, &good)?;
    b.expect(0, 0, &b.content(6))
}

fn spliced(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let old = b.sealed(0, 0, &b.content(1))?;
    let new = b.sealed(0, 0, &b.content(2))?;
    let half = new.len() / 2;
    for bad in [[&old[..half], &new[half..]].concat(), [&new[..half], &old[half..]].concat()] {
        b.host_writes(0, 0, &bad)?;
        wrong(b, 0, "two halves of two versions")?;
    }
    b.host_writes(0, 0, &new)?;
    b.expect(0, 0, &b.content(2))
}

fn never_wrong(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let good = b.sealed(0, 0, SECRET)?;
    let before = b.saw(0).len();
    b.host_writes(0, 0, &[0x77; 64])?;
    b.tell(0, GuestOp::Load(b.addr(0), SECRET.len()));
    for _ in 0..3 {
        let gfn = b.run_to_fault(0)?;
        ensure!(gfn == b.page(0), "the guest needs page {}, the exit names {gfn}", b.page(0));
        wrong(b, 0, "a page that the hypervisor wrote to")?;
        ensure!(b.saw(0).len() == before, "the guest went on with a page that was refused");
    }
    b.host_writes(0, 0, &good)?;
    b.expect(0, 0, SECRET)
}
