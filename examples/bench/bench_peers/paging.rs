//! Paging: ranges through the engine, and page by page through the machines' calls.
//!
//! Work goes round over 512 MiB: what goes out has not been touched while 256 MiB of others moved, what comes in neither.

use std::error::Error;

use uv_core::{Gfn, HostAddr, NormalMemory as _, PageRange, PageSize};
use uv_s390::sim::MachineConfig;
use uv_sim::seal::Suite;
use uv_sim::{Engine, EngineConfig, HostMemory};

use crate::harness::{Arena, Measured, PAGE, ROUNDS, SPAN, SPAN_MEGABYTES, Turn};
use crate::openssl_pages::{Ccm, Way, Xts};
use crate::power::Power;
use crate::table::Row;
use crate::z::Z;

/// Bytes of a VM.
const BYTES: u64 = 512 << 20;
/// Spans of a VM; half of them are out.
const SPANS: u64 = BYTES / SPAN as u64;
const LARGE: usize = 0x1_0000;

/// Z in ranges and in calls, POWER in ranges and in calls.
pub(crate) fn rows(arena: &mut Arena, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    if wanted("page-out, Z engine") {
        rows.extend(z_engine(arena)?);
    }
    if wanted("page-out, Z calls") {
        rows.extend(z_calls(arena)?);
    }
    if wanted("page-out + page-in, POWER engine") {
        rows.extend(power_engine(arena)?);
    }
    if wanted("page-out + page-in, POWER ultracalls") {
        rows.extend(power_calls(arena)?);
    }
    Ok(rows)
}

/// A VM in the engine's hands, all pages secure.
fn space(page_size: PageSize, suite: Suite) -> (HostMemory, std::sync::Arc<uv_sim::SecureSpace>) {
    let pages = BYTES >> page_size.shift();
    let frames = u32::try_from(pages).unwrap_or(u32::MAX) + 64;
    let space = Engine::new(EngineConfig { page_size, frames, seed: 1 }).create_space(pages, suite);
    let memory = HostMemory::new(BYTES);
    let fill = vec![0x5a; SPAN];
    for at in (0..BYTES).step_by(SPAN) {
        memory.write(HostAddr(at), &fill).expect("in range");
    }
    (0..pages).for_each(|page| space.zero_in(Gfn(page)).expect("a frame for every page"));
    (memory, space)
}

/// Moves a span as one range: out, or in.
fn ranges<'a>(memory: &'a HostMemory, space: &'a uv_sim::SecureSpace) -> impl Fn(u64, bool) + 'a {
    let pages = SPAN as u64 >> space.page_size().shift();
    move |span, out| {
        let range = PageRange::new(Gfn(span * pages), pages);
        let at = HostAddr(span * SPAN as u64);
        let moved = if out { space.seal_out(range, memory, at) } else { space.open_in(range, memory, at) };
        moved.expect("as it was left");
    }
}

fn z_engine(arena: &mut Arena) -> Result<Vec<Row>, Box<dyn Error>> {
    let (memory, space) = space(PageSize::K4, Suite::Aes256XtsPolyval);
    let move_span = ranges(&memory, &space);
    z_rows(arena, "Z engine, ranges", &move_span)
}

fn z_calls(arena: &mut Arena) -> Result<Vec<Row>, Box<dyn Error>> {
    let z = Z::new(MachineConfig::new(1), BYTES)?;
    (0..BYTES >> 12).for_each(|page| z.import(page));
    let pages = (SPAN / PAGE) as u64;
    let move_span = |span: u64, out: bool| {
        for page in span * pages..(span + 1) * pages {
            if out { z.export(page) } else { z.import(page) }
        }
    };
    z_rows(arena, "Z calls, page by page", &move_span)
}

/// Page-out and page-in against OpenSSL's XTS, and a copy.
fn z_rows(arena: &mut Arena, name: &str, move_span: &dyn Fn(u64, bool)) -> Result<Vec<Row>, Box<dyn Error>> {
    let key = std::array::from_fn(|at| at.to_le_bytes()[0]);
    let (mut seal, mut open) = (Xts::new(Way::Seal, &key)?, Xts::new(Way::Open, &key)?);
    let mut parties = moving(move_span);
    for cipher in [&mut seal, &mut open] {
        parties.push(Box::new(|arena, _| {
            let (src, dst) = arena.next();
            for ((from, to), index) in src.chunks(PAGE).zip(dst.chunks_mut(PAGE)).zip(0_u64..) {
                cipher.page(&u128::from(index).to_le_bytes(), from, to).expect("OpenSSL ciphers a page");
            }
        }));
    }
    parties.push(copying());
    let seconds = arena.turns(ROUNDS, &mut parties);
    let row = |way: &str, which: &[usize]| {
        let measured = Measured::only(&seconds, which, SPAN_MEGABYTES);
        Row::new(format!("{way}, {name}"), &["openssl", "memcpy"], 1.0, &measured)
    };
    Ok(vec![row("page-out", &[0, 2, 4]), row("page-in", &[1, 3, 4])])
}

/// All spans go out and come in once, which touches all memory; then half of them go out; then each round one goes out and one
/// comes in.
fn moving<'a>(move_span: &'a dyn Fn(u64, bool)) -> Vec<Turn<'a>> {
    (0..SPANS).for_each(|span| move_span(span, true));
    (0..SPANS).for_each(|span| move_span(span, false));
    (0..SPANS / 2).for_each(|span| move_span(span, true));
    let span = |round: usize, first: u64| (round as u64 + first) % SPANS;
    vec![
        Box::new(move |_, round| move_span(span(round, SPANS / 2), true)),
        Box::new(move |_, round| move_span(span(round, 0), false)),
    ]
}

fn copying<'a>() -> Turn<'a> {
    Box::new(|arena, _| {
        let (src, dst) = arena.next();
        dst.copy_from_slice(src);
    })
}

fn power_engine(arena: &mut Arena) -> Result<Vec<Row>, Box<dyn Error>> {
    let (memory, space) = space(PageSize::K64, Suite::Aes256Ccm);
    let move_span = ranges(&memory, &space);
    power_rows(arena, "POWER engine, ranges of 64 KiB pages", &move_span)
}

fn power_calls(arena: &mut Arena) -> Result<Vec<Row>, Box<dyn Error>> {
    let power = Power::new(u32::try_from(BYTES >> 16)?)?;
    let pages = (SPAN / LARGE) as u64;
    let move_span = |span: u64, out: bool| {
        for page in span * pages..(span + 1) * pages {
            if out { power.page_out(page) } else { power.page_in(page) }
        }
    };
    power_rows(arena, "POWER ultracalls, 64 KiB page by page", &move_span)
}

/// Out and in together, against OpenSSL's CCM out and in, and two copies.
fn power_rows(arena: &mut Arena, name: &str, move_span: &dyn Fn(u64, bool)) -> Result<Vec<Row>, Box<dyn Error>> {
    let (mut seal, mut open) = (Ccm::new(Way::Seal, &[3; 32])?, Ccm::new(Way::Open, &[3; 32])?);
    let mut parties = moving(move_span);
    parties.push(Box::new(|arena, _| {
        let mut back = vec![0; LARGE];
        let (src, dst) = arena.next();
        for ((from, to), index) in src.chunks(LARGE).zip(dst.chunks_mut(LARGE)).zip(0_u64..) {
            let mut nonce = [0; 12];
            nonce[..8].copy_from_slice(&index.to_be_bytes());
            let mut tag = [0; 16];
            seal.page(&nonce, &nonce[..8], from, to, &mut tag).expect("OpenSSL seals a page");
            open.page(&nonce, &nonce[..8], to, &mut back, &mut tag).expect("OpenSSL opens a page");
        }
    }));
    for _ in 0..2 {
        parties.push(copying());
    }
    let seconds = arena.turns(ROUNDS, &mut parties);
    let sum = |one: usize, other: usize| -> Vec<f64> {
        seconds[one].iter().zip(&seconds[other]).map(|(one, other)| one + other).collect()
    };
    let both = [sum(0, 1), seconds[2].clone(), sum(3, 4)];
    let measured = Measured::only(&both, &[0, 1, 2], SPAN_MEGABYTES);
    Ok(vec![Row::new(format!("page-out + page-in, {name}"), &["openssl ccm", "memcpy"], 6.0, &measured)])
}
