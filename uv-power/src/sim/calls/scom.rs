//! `UV_READ_SCOM` (R4 chip, R5 address → R4 value) and `UV_WRITE_SCOM` (R4 chip, R5 address, R6 value) (power-pef §3.5).
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the access list is enforced and does not name the address | `U_PERMISSION` |
//! | 2 | chip id above 28 bits, chip unknown | `U_PARAMETER` |
//! | 3 | indirect, form 1, read | `U_UNSUPPORTED` |
//! | 4 | indirect, form 0, write of more than 16 bits; form 1, data outside of its mask | `U_PARAMETER` |
//! | 5 | the hardware's answer | `U_XSCOM_*`, `U_HARDWARE` |
//!
//! Documented: the list is enforced, for reads too, and the arguments are those that callers use (the document puts a
//! buffer first, which no caller does). Firmware: enforced only when the machine is configured so.

use super::super::inner::Inner;
use super::super::platform::Scom;
use crate::abi::codes::UvCode;
use crate::abi::regs::Regs;

/// PPC bit 0 of an address: indirect access.
const INDIRECT: u64 = 1 << 63;
/// Form of an indirect access.
const FORM: u64 = 1 << 60;
/// Bits of a direct address.
const DIRECT: u64 = 0x7fff_ffff;
/// Data of an indirect access of form 0.
const FORM_0_DATA: u64 = 0xffff;
/// Data of an indirect access of form 1 (POWER9: the low 52 bits).
const FORM_1_DATA: u64 = (1 << 52) - 1;

fn key(address: u64) -> u64 {
    if address & INDIRECT != 0 { address } else { address & DIRECT }
}

pub(super) fn read(machine: &Inner, regs: &mut Regs) -> UvCode {
    let (chip, address) = (regs.gpr[4], regs.gpr[5]);
    let scom = machine.platform.scom.lock();
    if !scom.may_read(address, machine.platform.firmware()) {
        return UvCode::U_PERMISSION;
    }
    if !scom.has_chip(chip) {
        return UvCode::U_PARAMETER;
    }
    if address & INDIRECT != 0 && address & FORM != 0 {
        return UvCode::U_UNSUPPORTED;
    }
    match scom.read(chip, key(address)) {
        Ok(value) => {
            regs.gpr[4] = value;
            UvCode::U_SUCCESS
        }
        Err(code) => code,
    }
}

pub(super) fn write(machine: &Inner, regs: &Regs) -> UvCode {
    let (chip, address, value) = (regs.gpr[4], regs.gpr[5], regs.gpr[6]);
    let mut scom = machine.platform.scom.lock();
    let scom: &mut Scom = &mut scom;
    if !scom.may_write(address) {
        return UvCode::U_PERMISSION;
    }
    if !scom.has_chip(chip) {
        return UvCode::U_PARAMETER;
    }
    let limit = match (address & INDIRECT != 0, address & FORM != 0) {
        (false, _) => u64::MAX,
        (true, false) => FORM_0_DATA,
        (true, true) => FORM_1_DATA,
    };
    if value & !limit != 0 {
        return UvCode::U_PARAMETER;
    }
    match scom.write(chip, key(address), value) {
        Ok(()) => UvCode::U_SUCCESS,
        Err(code) => code,
    }
}
