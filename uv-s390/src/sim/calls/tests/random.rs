//! Random calls, one after the other and from several CPUs at once: nothing panics or hangs, and what must always hold does.

extern crate std;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use rand_core::Rng;
use uv_core::{HostAddr, NormalMemory, PageState};
use uv_sim::guest::Step;
use uv_sim::rng::SimRng;

use crate::abi::sie::{AddressSpaces, Asce, GuestMap, HostMapping, MappingSize, Sie};
use crate::abi::uvc::{Cc, UvCall};
use crate::abi::uvcb::{COMMANDS, Length, Share, UvCommand};
use crate::sim::frames::Frame;
use crate::sim::rig::{GIB, GUEST_LEN, Guest, Rig, UV_BASE, uvc};
use crate::sim::{Generation, GuestInsn};

const SECRET: [u8; 16] = *b"only for a guest";

/// Every frame word says what the engine says, and the engine says what the frame words say; the bits of the closed frames say
/// what the words say.
pub(in crate::sim) fn check(rig: &Rig) {
    let closed = rig.machine.closed_frames();
    let words = rig.machine.storage.frames.owned().filter(|(_, frame)| frame.is_closed_to_host());
    assert!(words.clone().all(|(at, _)| closed.is_closed(at)));
    let bits: u32 = closed.words().iter().map(|word| word.load(Ordering::Relaxed).count_ones()).sum();
    assert_eq!(usize::try_from(bits).unwrap(), words.count());
    let mut secure = 0;
    let mut found = alloc::collections::BTreeSet::new();
    for (at, frame) in rig.machine.storage.frames.owned() {
        let Some((owner, gfn)) = frame.page() else { continue };
        let Some(conf) = rig.machine.owner(owner) else { continue };
        let state = conf.space.state(gfn).unwrap();
        assert!(found.insert((owner, gfn)), "two frames of one page");
        match frame {
            Frame::Secure(..) => {
                assert_eq!(state, PageState::Secure);
                secure += 1;
            }
            _ => {
                assert_eq!(state, PageState::Shared);
                assert_eq!(conf.space.shared_at(gfn), Some(at));
            }
        }
    }
    assert_eq!(rig.machine.secure_frames_in_use(), secure, "a secure page has one frame word");
    for conf in rig.machine.confs.read().values().filter(|conf| rig.machine.owner(conf.id).is_some()) {
        let owned = |state| matches!(state, PageState::Secure | PageState::Shared);
        for (gfn, _) in conf.space.used().filter(|(_, state)| owned(*state)) {
            assert!(found.contains(&(conf.id, gfn)), "{gfn} has no frame word");
        }
    }
}

/// A number that is often one that means something.
fn interesting(rng: &mut SimRng, values: &[u64]) -> u64 {
    let draw = rng.next_u64();
    match draw & 7 {
        0 => rng.next_u64(),
        1 => draw >> 48,
        _ => {
            let index = usize::try_from(draw >> 8).unwrap() % values.len();
            values[index].wrapping_add(if draw & 0xf0 == 0 { draw >> 40 & 0x1008 } else { 0 })
        }
    }
}

/// A block of a command with random words after the header.
fn random_block(rng: &mut SimRng, values: &[u64]) -> Vec<u8> {
    let index = usize::try_from(rng.next_u64() % COMMANDS.len() as u64).unwrap();
    let info = &COMMANDS[index];
    let (Length::Exact(len) | Length::AtLeast(len)) = info.length;
    let draw = rng.next_u64();
    let [low, high, ..] = draw.to_le_bytes();
    let len = if low & 31 == 0 { u16::from(high) << 2 } else { len };
    let mut block = alloc::vec![0; usize::from(len).max(8)];
    for word in block[8..].chunks_exact_mut(8) {
        word.copy_from_slice(&interesting(rng, values).to_be_bytes());
    }
    let command = if low == 0xff { UvCommand(u16::from(high) << 4) } else { info.command };
    block[..2].copy_from_slice(&len.to_be_bytes());
    block[2..4].copy_from_slice(&command.0.to_be_bytes());
    block
}

/// Page moves on the guests' own pages, more often than chance would have it.
fn aim(rng: &mut SimRng, block: &mut [u8], guest: &Guest) {
    let page = (rng.next_u64() & 0x3f) << 12;
    let command = UvCommand(u16::from_be_bytes([block[2], block[3]]));
    let mut put = |at: usize, value: u64| {
        if let Some(field) = block.get_mut(at..at + 8) {
            field.copy_from_slice(&value.to_be_bytes());
        }
    };
    match command {
        UvCommand::CONV_TO_SEC_STOR | UvCommand::UNPIN_PAGE_SHARED => {
            put(0x18, guest.conf);
            put(0x20, page);
        }
        UvCommand::CONV_FROM_SEC_STOR | UvCommand::DESTR_SEC_STOR | UvCommand::PIN_PAGE_SHARED => {
            put(0x18, guest.base + page);
        }
        _ => {}
    }
}

/// A home space of a host that maps every other virtual page, and to any frame: its own, a guest's, a donated one.
struct Anywhere(Vec<u64>);

impl GuestMap for Anywhere {
    fn translate(&self, addr: uv_core::GuestAddr) -> Option<HostMapping> {
        let page = usize::try_from(addr.0 >> 12).unwrap();
        let frame = HostAddr(self.0[page % self.0.len()] & !0xfff);
        (page & 1 == 0).then_some(HostMapping { frame, writable: page & 2 == 0, size: MappingSize::Page })
    }
}

/// ASCE of the home space.
const HOME: u64 = 0x4_0000;
/// What the host has in control register 13, one after the other.
const HOMES: [Option<u64>; 4] = [None, Some(HOME), Some(HOME | Asce::REAL_SPACE), Some(HOME + 0x1000)];

/// Commands that end a guest or keep it from running: only towards the end.
const LAST: [UvCommand; 5] = [
    UvCommand::DESTROY_SEC_CONF,
    UvCommand::DESTROY_SEC_CONF_FAST,
    UvCommand::DESTROY_SEC_CPU,
    UvCommand::CPU_SET_STATE,
    UvCommand::DUMP_INIT,
];

#[test]
fn whatever_is_called_the_rules_hold() {
    for seed in 0..6 {
        let mut rng = SimRng::from_seed(seed).fork("random calls");
        let rig = Rig::ready(Generation::Z17);
        let share = |page| uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, page));
        let program = || {
            let pages = (4..40_u64).map(|page| Step::store(uv_core::GuestAddr(0x8000 + (page << 12)), &SECRET));
            let shares = [0x30000, 0x31000, 0x8000].map(share);
            pages.chain(shares).chain((0..40).map(|_| Step::Call(GuestInsn::Diag { code: 0x44, gr: [0; 5] })))
        };
        let guests: Vec<(Guest, _)> = (0..2).map(|n| rig.booted(n, program())).map(|(g, cpu, _)| (g, cpu)).collect();
        let mut values = alloc::vec![0, 1, 5, 0x1000, 0x2000, 0x8000, 0x3_0000, GUEST_LEN, UV_BASE, 4 * GIB, u64::MAX];
        for (guest, cpu) in &guests {
            values.extend([
                guest.conf,
                cpu.handle,
                guest.base,
                guest.base + 0x8000,
                guest.base + 0x3_0000,
                cpu.state.0,
            ]);
            values.extend([guest.create.conf_base_stor_origin.get(), guest.asce, guest.base + 0x28_0000]);
        }
        rig.machine.attach(HOME, Arc::new(Anywhere(values.clone())));
        let mut done = 0;
        for round in 0..1500 {
            rig.machine.set_home_space(HOMES[round / 16 % HOMES.len()]);
            let mut block = random_block(&mut rng, &values);
            if block[2..4] == UvCommand::CREATE_SEC_CONF.0.to_be_bytes() {
                // A guest as large as a random number would cost the test its memory.
                if let Some(high) = block.get_mut(0x40..0x44) {
                    high.fill(0);
                }
            }
            let (guest, cpu) = &guests[round % 2];
            if rng.next_u64() & 3 != 0 {
                aim(&mut rng, &mut block, guest);
            }
            if round > 1200 || !LAST.iter().any(|last| block[2..4] == last.0.to_be_bytes()) {
                done += usize::from(rig.machine.uv_call(&mut block) == Ok(Cc::Done));
            }
            check(&rig);
            if let Err(interruption) = rig.machine.enter(cpu.state, guest.asce, &mut [0; 16]) {
                let page = interruption.teid.map_or(0, |teid| teid.page());
                rig.import(guest, page);
                check(&rig);
            }
        }
        check(&rig);
        assert!(done > 100, "the calls reach something: {done}");
        let mut page = [0; 4096];
        let shared = [0x8000_u64, 0x3_0000, 0x3_1000];
        for (guest, _) in &guests {
            for at in (0..GUEST_LEN).step_by(0x1000).filter(|at| !shared.contains(at)) {
                if rig.host.read(HostAddr(guest.base + at), &mut page).is_ok() {
                    assert!(!page.windows(16).any(|window| window == SECRET), "page {at:#x} of seed {seed}");
                }
            }
        }
        rig.machine.load_normal();
        assert_eq!(rig.machine.secure_frames_in_use(), 0);
        assert_eq!(rig.machine.storage.frames.owned().count(), 0);
    }
}

#[test]
fn whatever_several_cpus_call_the_rules_hold() {
    for seed in 0..3 {
        let rig = Rig::ready(Generation::Z17);
        let steps = (4..40_u64).map(|page| Step::store(uv_core::GuestAddr(0x8000 + (page << 12)), &SECRET));
        let (guest, cpu, _) = rig.booted(0, steps);
        let other = rig.guest(1);
        rig.unpacked(&other, crate::abi::se_header::PlaintextControlFlags::PCKMO);
        let mut values = alloc::vec![0, 1, 5, 0x1000, 0x8000, GUEST_LEN, 0x50_0000, u64::MAX];
        for guest in [&guest, &other] {
            values.extend([guest.conf, guest.conf, guest.base, guest.base + 0x8000, guest.base + 24 * (1 << 20)]);
        }
        values.extend([cpu.handle, cpu.state.0]);
        std::thread::scope(|scope| {
            for thread in 0..3_u64 {
                let (rig, guest, other, values) = (&rig, &guest, &other, &values);
                scope.spawn(move || {
                    let mut rng = SimRng::from_seed(seed << 8 | thread).fork("random calls of a CPU");
                    for round in 0..1200 {
                        let mut block = random_block(&mut rng, values);
                        if block[2..4] == UvCommand::CREATE_SEC_CONF.0.to_be_bytes() {
                            continue;
                        }
                        if rng.next_u64() & 1 == 0 {
                            aim(&mut rng, &mut block, if round & 1 == 0 { guest } else { other });
                        }
                        let _ = rig.machine.uv_call(&mut block);
                        if thread == 0
                            && let Err(interruption) = rig.machine.enter(cpu.state, guest.asce, &mut [0; 16])
                        {
                            rig.import(guest, interruption.teid.map_or(0, |teid| teid.page()));
                        }
                    }
                });
            }
        });
        check(&rig);
        rig.machine.load_normal();
        assert_eq!(rig.machine.secure_frames_in_use(), 0);
    }
}
