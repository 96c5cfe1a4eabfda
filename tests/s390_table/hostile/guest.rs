//! What a guest does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uv_core::GuestAddr;
use uv_s390::abi::psw::Psw;
use uv_s390::abi::uvcb::UvCommand;
use uv_s390::sim::{GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Program, Step};
use uv_sim::rng::SimRng;

use super::dice::{Dice, command, put};
use super::{PRIVATE, SECRET, STEPS};
use crate::rig::{COMPONENT, GUEST_LEN, RESET_PSW};

/// A guest that writes its secret to its private pages, calls the Ultravisor with anything, and leaves now and then.
pub(super) fn program(seed: u64, steps: Arc<AtomicU64>) -> Box<dyn Program<GuestInsn, InsnResult>> {
    let mut dice = Dice(SimRng::from_seed(seed).fork("guest"));
    let mut left = STEPS;
    Box::new(move |last: Outcome<InsnResult>| {
        if last == Outcome::Started {
            // Where a reset goes on.
            return Step::store(GuestAddr(0), &Psw::at(RESET_PSW).short().unwrap().to_be_bytes());
        }
        left = left.saturating_sub(1);
        steps.fetch_add(1, Ordering::Relaxed);
        let private = PRIVATE.start + (dice.below(PRIVATE.end - PRIVATE.start) & !0xfff);
        match dice.below(12) {
            _ if left == 0 => Step::Halt,
            0..=4 => Step::store(GuestAddr(private), &SECRET.repeat(256)),
            5 => Step::load(GuestAddr(dice.below(GUEST_LEN)), 64),
            6 => Step::Call(GuestInsn::Diag { code: 0x500, gr: [dice.below(9); 5] }),
            7 => Step::Call(GuestInsn::Spx { prefix: u32::try_from(dice.below(0x8000)).unwrap() }),
            8 => Step::Call(GuestInsn::Stsi { gr0: 0x3000_0002, gr1: 2 }),
            9 => Step::Call(GuestInsn::Diag308 { subcode: 2 + dice.below(9), address: 0, ipib: vec![0; 400] }),
            _ => {
                let pages = [0x8000, 0x9000, 0xa000, 0xb000, 0, 0x1000, COMPONENT, GUEST_LEN, private];
                let mut block = dice.block(&pages);
                if command(&block) == UvCommand::SET_SHARED_ACCESS {
                    // What the guest shares is the hypervisor's to see.
                    put(&mut block, 0x20, 0x8000 + (dice.below(4) << 12));
                }
                let call = GuestInsn::Uvc { block };
                Step::Call(if dice.below(50) == 0 { call.in_problem_state() } else { call })
            }
        }
    })
}
