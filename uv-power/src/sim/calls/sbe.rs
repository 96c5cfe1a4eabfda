//! `UV_SEND_SBE_COMMAND` (R4 chip, R5 opcode, R6 input → R4 output; power-pef §3.7).
//!
//! | # | check | both profiles |
//! |---|---|---|
//! | 1 | opcode ≥ 3 | `U_PARAMETER` |
//! | 2 | chip unknown | `U_PARAMETER` |
//! | 3 | opcode 1 or 2 with an input | `U_PARAMETER` |
//! | 4 | the mailbox is busy | -2, which is `U_XSCOM_BUSY` and `U_FUNCTION` |
//! | - | 0 starts a timer, 1 handles an interrupt (output in R4), 2 starts a dump of the memory | `U_SUCCESS` |

use super::super::inner::Inner;
use crate::abi::codes::UvCode;
use crate::abi::regs::Regs;

const TIMER: u64 = 0;
const INTERRUPT: u64 = 1;
const DUMP: u64 = 2;

pub(super) fn send(machine: &Inner, regs: &mut Regs) -> UvCode {
    let (chip, opcode, input) = (regs.gpr[4], regs.gpr[5], regs.gpr[6]);
    if opcode > DUMP || !machine.platform.scom.lock().has_chip(chip) || (opcode != TIMER && input != 0) {
        return UvCode::U_PARAMETER;
    }
    let mut sbe = machine.platform.sbe.lock();
    if sbe.busy {
        return UvCode::U_XSCOM_BUSY;
    }
    match opcode {
        TIMER => sbe.timer = input,
        INTERRUPT => regs.gpr[4] = core::mem::take(&mut sbe.interrupts),
        _ => sbe.dump = true,
    }
    UvCode::U_SUCCESS
}
