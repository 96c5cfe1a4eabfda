//! `UV_RESTRICTED_SPR_WRITE` (R4 spr, R5 value) and `UV_RESTRICTED_SPR_READ` (R4 spr → R5 value) (power-pef §3.4).
//!
//! | register | write | read |
//! |---|---|---|
//! | DAWR, DAWRX, CIABR | `U_SUCCESS` | `U_SUCCESS`, value in R5 |
//! | LDBAR, IMC | `U_SUCCESS` | `U_PARAMETER`, R5 unchanged |
//! | any other | `U_PARAMETER` | `U_PARAMETER`, R5 unchanged |
//!
//! The same in both profiles. Each hardware thread has its own; DAWR, DAWRX and CIABR are 0 after a reflection (§8.2).

use super::super::inner::Inner;
use crate::abi::codes::UvCode;
use crate::abi::regs::{Regs, Spr};

fn named(register: u64) -> Option<Spr> {
    u16::try_from(register).ok().map(Spr)
}

pub(super) fn write(machine: &Inner, regs: &Regs) -> UvCode {
    match named(regs.gpr[4]) {
        Some(spr @ (Spr::DAWR | Spr::DAWRX | Spr::CIABR | Spr::LDBAR | Spr::IMC)) => {
            machine.platform.set_spr(regs.thread, spr, regs.gpr[5]);
            UvCode::U_SUCCESS
        }
        _ => UvCode::U_PARAMETER,
    }
}

pub(super) fn read(machine: &Inner, regs: &mut Regs) -> UvCode {
    match named(regs.gpr[4]) {
        Some(spr @ (Spr::DAWR | Spr::DAWRX | Spr::CIABR)) => {
            regs.gpr[5] = machine.platform.spr(regs.thread, spr);
            UvCode::U_SUCCESS
        }
        _ => UvCode::U_PARAMETER,
    }
}
