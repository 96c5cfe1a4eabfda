//! Calls from many CPUs at once.

extern crate std;

use super::random::check;
use crate::abi::psw::Psw;
use crate::abi::sie::{HostMapping, InterceptionCode, MappingSize, Sie};
use crate::abi::uvc::{Cc, PgmCode, UvRc};
use crate::abi::uvcb::{ConvertFrom, ConvertTo, CpuState, Share, UvCommand};
use crate::sim::rig::{Codes, Guest, OK, Rig, diag, uvc};
use crate::sim::{Generation, GuestInsn, InsnResult};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use rand_core::Rng;
use spin::Mutex;
use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_sim::guest::{Outcome, Program, Step};
use uv_sim::rng::SimRng;

#[test]
fn pages_move_under_a_running_guest_and_nobody_waits_for_ever() {
    let rig = Rig::ready(Generation::Z17);
    let page = |n: u64| 0x8000 + (n << 12);
    let steps = (0..400_u64).flat_map(|n| {
        let at = page(n % 16);
        let command = if n & 16 == 0 { UvCommand::SET_SHARED_ACCESS } else { UvCommand::REMOVE_SHARED_ACCESS };
        let access = Step::store(uv_core::GuestAddr(at), &[7; 64]);
        [access, uvc(&Share::new(command, at)), diag(0x44, [0; 5])]
    });
    let (guest, cpu, _) = rig.booted(0, steps);
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            let (rig, guest) = (&rig, &guest);
            scope.spawn(move || {
                let mut rng = SimRng::from_seed(thread).fork("thread");
                for _ in 0..4000 {
                    let draw = rng.next_u64();
                    let at = page(draw & 15);
                    let frame = guest.base + at;
                    let codes = match draw >> 8 & 7 {
                        0..=2 => rig.call(&mut ConvertTo::new(UvCommand::CONV_TO_SEC_STOR, guest.conf, at)),
                        3 | 4 => rig.call(&mut ConvertFrom::new(UvCommand::CONV_FROM_SEC_STOR, frame)),
                        5 => rig.call(&mut ConvertFrom::new(UvCommand::PIN_PAGE_SHARED, frame)),
                        6 => rig.call(&mut ConvertTo::new(UvCommand::UNPIN_PAGE_SHARED, guest.conf, at)),
                        _ => {
                            let _ = rig.host.read(uv_core::HostAddr(frame), &mut [0; 64]);
                            continue;
                        }
                    };
                    assert_ne!(codes.1, UvRc::STORAGE_INTEGRITY, "nobody writes to exported pages");
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..4000 {
                if let Err(interruption) = rig.machine.enter(cpu.state, guest.asce, &mut [0; 16]) {
                    rig.import(&guest, interruption.teid.map_or(0, |teid| teid.page()));
                }
            }
        });
    });
    check(&rig);
    assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
    assert_eq!(rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf), OK);
    check(&rig);
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CPU, cpu.handle), OK);
    assert_eq!(rig.no_data(UvCommand::DESTROY_SEC_CONF, guest.conf), OK);
    assert_eq!(rig.machine.secure_frames_in_use(), 0);
}

/// Pages of the guest that moves, and what each word of them begins with.
const PAGES: usize = 24;
const MARK: u64 = 0x5eed;

/// A guest that fills a page with its number and a count, or reads one and holds that it has what was written last.
fn counting(reads: Arc<AtomicU64>) -> impl Program<GuestInsn, InsnResult> {
    let mut dice = SimRng::from_seed(5).fork("counting guest");
    let (mut written, mut read, mut left) = ([0; PAGES], None, 3000);
    move |last: Outcome<InsnResult>| {
        if let (Some(page), Outcome::Loaded(bytes)) = (read.take(), last) {
            let word = u64::to_be_bytes(written[page]);
            assert!(bytes.chunks_exact(8).all(|chunk| chunk == word), "page {page} is not what it was");
            reads.fetch_add(1, Ordering::Relaxed);
        }
        left -= 1;
        let draw = dice.next_u64();
        let page = usize::try_from(draw % (PAGES as u64)).unwrap();
        let at = GuestAddr(0x8000 + ((page as u64) << 12));
        match draw >> 32 & 7 {
            _ if left == 0 => Step::Halt,
            0 => diag(0x44, [0; 5]),
            1..=3 => {
                written[page] = MARK << 48 | (page as u64) << 32 | left;
                Step::store(at, &written[page].to_be_bytes().repeat(512))
            }
            _ => {
                read = (written[page] != 0).then_some(page);
                Step::load(at, 4096)
            }
        }
    }
}

/// Again, as long as somebody else is at work on frame or page.
pub(super) fn until_done(call: impl Fn() -> Codes) -> Codes {
    loop {
        let codes = call();
        if codes.0 != Cc::Busy {
            return codes;
        }
    }
}

/// Exports a page, holds that it is ciphertext, brings it back in another frame.
fn move_page(rig: &Rig, guest: &Guest, page: u64, second: &mut bool) {
    let gaddr = 0x8000 + (page << 12);
    let frame = |second: bool| guest.base + gaddr + if second { 0x20_0000 } else { 0 };
    let (old, new) = (HostAddr(frame(*second)), HostAddr(frame(!*second)));
    assert_eq!(until_done(|| rig.export(old.0)), OK);
    let mut bytes = [0; 4096];
    rig.host.read(old, &mut bytes).unwrap();
    let in_sight = |chunk: &[u8]| chunk[..2] == [0x5e, 0xed] && chunk[8..10] == [0x5e, 0xed];
    assert!(!bytes.chunks_exact(16).any(in_sight), "plaintext of page {page}");
    rig.host.write(new, &bytes).unwrap();
    rig.host.write(old, &[0xee; 4096]).unwrap();
    *second = !*second;
    let mapping = HostMapping { frame: new, writable: true, size: MappingSize::Page };
    guest.tables.moved.lock().insert(gaddr, Some(mapping));
    assert_eq!(until_done(|| rig.import(guest, gaddr)), OK);
    let mut left = [0; 4096];
    rig.host.read(old, &mut left).unwrap();
    assert_eq!(left, [0xee; 4096], "the old frame is the host's");
}

#[test]
fn a_guest_reads_what_it_wrote_while_its_pages_move() {
    let rig = Rig::ready(Generation::Z17);
    let (guest, cpu, _) = rig.booted(0, []);
    let reads = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&reads);
    rig.machine.set_guest(cpu.state, move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
        Box::new(counting(Arc::clone(&count)))
    });
    // Where each page lies, for the host alone: one of its CPUs at a time moves a page.
    let places: Vec<Mutex<bool>> = (0..PAGES).map(|_| Mutex::new(false)).collect();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (rig, guest, places, over) = (&rig, &guest, &places, &over);
            scope.spawn(move || {
                let mut dice = SimRng::from_seed(thread).fork("moving host");
                while !over.load(Ordering::Relaxed) {
                    let page = dice.next_u64() % (PAGES as u64);
                    if let Some(mut second) = places[usize::try_from(page).unwrap()].try_lock() {
                        move_page(rig, guest, page, &mut second);
                    }
                }
            });
        }
        let run = core::panic::AssertUnwindSafe(|| {
            loop {
                match rig.machine.enter(cpu.state, guest.asce, &mut [0; 16]) {
                    Ok(()) if rig.sd(cpu).interception() == InterceptionCode::WAIT => break,
                    Ok(()) => {}
                    Err(interruption) => {
                        assert_eq!(interruption.code, PgmCode::NON_SECURE_STORAGE_ACCESS);
                        let at = interruption.teid.unwrap().page();
                        let place = at.checked_sub(0x8000).and_then(|at| places.get(usize::try_from(at >> 12).ok()?));
                        let _held = place.map(Mutex::lock);
                        assert_eq!(rig.import(&guest, at), OK);
                    }
                }
            }
        });
        let ended = std::panic::catch_unwind(run);
        over.store(true, Ordering::Relaxed);
        ended.unwrap();
    });
    assert!(reads.load(Ordering::Relaxed) > 500);
    check(&rig);
}
