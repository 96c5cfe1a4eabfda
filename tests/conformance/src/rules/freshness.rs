//! What sealed bytes may tell.

use super::SECRET;
use crate::Ability::PageOut;
use crate::Rule;
use crate::bench::{Bench, ensure};
use crate::rule::{Act, rule};

/// Bytes of a cipher block.
const BLOCK: usize = 16;
const ITEM: &str = "PageOut";
const PROMISE: &str = "No two sealed pages of one content are alike, and no two have a key stream in common: not those of two pages, of \
                       two versions of a page, of two VMs or of two lives of one VM.";
const ACTS: &[Act] = &[Act::PagedOut, Act::HostRead];

pub(super) const RULES: &[Rule] = &[
    rule(["key-stream", "two pages of a VM have no key stream in common", ITEM, PROMISE], ACTS, key_stream)
        .needs(&[PageOut]),
    rule(
        ["key-stream-range", "two pages that go out in one call have no key stream in common", ITEM, PROMISE],
        ACTS,
        range,
    )
    .needs(&[PageOut]),
    rule(["sealed-anew", "a page that goes out again has a key stream of its own", ITEM, PROMISE], ACTS, anew)
        .needs(&[PageOut]),
    rule(
        ["same-content", "pages of the same content are sealed to different bytes", ITEM, PROMISE],
        ACTS,
        same_content,
    )
    .needs(&[PageOut]),
    rule(["unchanged-anew", "a page that did not change is sealed to other bytes", ITEM, PROMISE], ACTS, unchanged)
        .needs(&[PageOut]),
    rule(["key-of-a-vm", "two VMs have no key stream in common", ITEM, PROMISE], ACTS, key_of_a_vm).needs(&[PageOut]),
    rule(
        ["key-of-a-life", "a VM that enters again has another key", ITEM, PROMISE],
        &[Act::PagedOut, Act::Ended],
        key_of_a_life,
    )
    .needs(&[PageOut]),
    rule(
        ["no-equal-blocks", "equal blocks of a page are sealed to different blocks", ITEM, PROMISE],
        ACTS,
        equal_blocks,
    )
    .needs(&[PageOut]),
];

/// Whether any block of two sealed pages differs as their plaintexts do: they were added to the same key stream.
fn shares_stream(sealed: [&[u8]; 2], plain: [&[u8]; 2]) -> bool {
    let difference = |[a, b]: [&[u8]; 2]| a.iter().zip(b).map(|(a, b)| a ^ b).collect::<Vec<_>>();
    let (sealed, plain) = (difference(sealed), difference(plain));
    sealed.chunks(BLOCK).zip(plain.chunks(BLOCK)).any(|(sealed, plain)| sealed == plain)
}

/// The sealed pages must have no key stream in common.
fn apart(sealed: [&[u8]; 2], plain: [&[u8]; 2], what: &str) -> Result<(), String> {
    ensure!(!shares_stream(sealed, plain), "{what} are sealed with the same key stream");
    Ok(())
}

fn key_stream(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let plain = [b.content(1), b.content(2)];
    let pages = [b.sealed(0, 0, &plain[0])?, b.sealed(0, 1, &plain[1])?];
    apart([&pages[0], &pages[1]], [&plain[0], &plain[1]], "two pages")
}

fn range(b: &Bench) -> Result<(), String> {
    const PAGES: u8 = 16;
    b.enter(0)?;
    for n in 0..PAGES {
        b.store(0, n.into(), &b.content(n))?;
    }
    b.page_out_range(0, b.pages(0, PAGES.into()))?;
    let pages: Vec<Vec<u8>> = (0..PAGES).map(|n| b.host_reads(0, n.into())).collect::<Result<_, _>>()?;
    for (m, first) in (0_u8..).zip(&pages) {
        for (n, second) in (0_u8..m).zip(&pages) {
            apart([first, second], [&b.content(m), &b.content(n)], "two pages of one call")?;
        }
    }
    Ok(())
}

fn anew(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let plain = [b.content(1), b.content(2)];
    let versions = [b.sealed(0, 0, &plain[0])?, b.sealed(0, 0, &plain[1])?];
    apart([&versions[0], &versions[1]], [&plain[0], &plain[1]], "two versions of a page")?;
    b.expect(0, 0, &plain[1])
}

fn same_content(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let whole = b.content(8);
    let pages: Vec<Vec<u8>> = (0..4).map(|n| b.sealed(0, n, &whole)).collect::<Result<_, _>>()?;
    for (n, page) in pages.iter().enumerate() {
        ensure!(!pages[..n].contains(page), "two pages of the same content are sealed to the same bytes");
        let blocks = pages[..n].iter().flat_map(|other| other.chunks(BLOCK).zip(page.chunks(BLOCK)));
        ensure!(
            blocks.filter(|(a, b)| a == b).count() == 0,
            "two pages of the same content have a sealed block in common"
        );
    }
    Ok(())
}

fn unchanged(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let first = b.sealed(0, 0, &b.content(8))?;
    for _ in 0..2 {
        b.page_in(0, 0)?;
        b.page_out(0, 0)?;
        let second = b.host_reads(0, 0)?;
        let common = first.chunks(BLOCK).zip(second.chunks(BLOCK)).filter(|(a, b)| a == b).count();
        ensure!(common == 0, "a page that went out again has {common} sealed blocks in common with its last version");
    }
    Ok(())
}

fn key_of_a_vm(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.enter(1)?;
    let plain = [b.content(1), b.content(2)];
    let pages = [b.sealed(0, 0, &plain[0])?, b.sealed(1, 0, &plain[1])?];
    apart([&pages[0], &pages[1]], [&plain[0], &plain[1]], "the pages of two VMs")?;
    let same = [b.sealed(0, 1, SECRET)?, b.sealed(1, 1, SECRET)?];
    ensure!(same[0] != same[1], "two VMs seal one content to the same bytes");
    Ok(())
}

fn key_of_a_life(b: &Bench) -> Result<(), String> {
    let plain = [b.content(1), b.content(2)];
    b.enter(0)?;
    let first = [b.sealed(0, 0, &plain[0])?, b.sealed(0, 1, SECRET)?];
    b.terminate(0)?;
    b.enter(0)?;
    let second = [b.sealed(0, 0, &plain[1])?, b.sealed(0, 1, SECRET)?];
    apart([&first[0], &second[0]], [&plain[0], &plain[1]], "the pages of two lives")?;
    ensure!(first[1] != second[1], "two lives of a VM seal one content to the same bytes");
    Ok(())
}

fn equal_blocks(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    let page = b.sealed(0, 0, &vec![0xa5; b.size().bytes()])?;
    let mut blocks: Vec<&[u8]> = page.chunks(BLOCK).collect();
    let all = blocks.len();
    blocks.sort_unstable();
    blocks.dedup();
    ensure!(blocks.len() == all, "{} of {all} blocks of a page of equal blocks are different", blocks.len());
    Ok(())
}
