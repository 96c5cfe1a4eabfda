//! Calls about the platform: restricted registers, SCOM, listed memory, self boot engine (power-pef §3.4–3.7).

use uv_core::HostAddr;

use super::{Ultracall, UvError, checked};
use crate::abi::numbers::UltracallNumber;
use crate::abi::regs::Spr;

/// `UV_RESTRICTED_SPR_WRITE`.
///
/// # Errors
/// [`UvError`]: `U_PARAMETER` for a register that cannot be written through the call.
pub fn restricted_spr_write(uv: &dyn Ultracall, spr: Spr, value: u64) -> Result<(), UvError> {
    checked(uv, UltracallNumber::UV_RESTRICTED_SPR_WRITE, &[spr.0.into(), value]).map(drop)
}

/// `UV_RESTRICTED_SPR_READ`: the value comes back in R5.
///
/// # Errors
/// [`UvError`]: `U_PARAMETER` for a register that cannot be read through the call.
pub fn restricted_spr_read(uv: &dyn Ultracall, spr: Spr) -> Result<u64, UvError> {
    checked(uv, UltracallNumber::UV_RESTRICTED_SPR_READ, &[spr.0.into()]).map(|regs| regs.gpr[5])
}

/// `UV_READ_SCOM`: the value comes back in R4.
///
/// # Errors
/// [`UvError`]: `U_PARAMETER` for an unknown chip, `U_UNSUPPORTED`, `U_XSCOM_*`.
pub fn read_scom(uv: &dyn Ultracall, chip: u32, address: u64) -> Result<u64, UvError> {
    checked(uv, UltracallNumber::UV_READ_SCOM, &[chip.into(), address]).map(|regs| regs.gpr[4])
}

/// `UV_WRITE_SCOM`.
///
/// # Errors
/// As [`read_scom`]; `U_PERMISSION` for an address that is not listed.
pub fn write_scom(uv: &dyn Ultracall, chip: u32, address: u64, value: u64) -> Result<(), UvError> {
    checked(uv, UltracallNumber::UV_WRITE_SCOM, &[chip.into(), address, value]).map(drop)
}

/// `UV_READ_MEM`: copies `size` bytes at `offset` of platform memory `handle` to the normal memory at `buffer`.
///
/// # Errors
/// [`UvError`]: `U_PARAMETER` without buffer or size, `U_PERMISSION` for what is not listed.
pub fn read_mem(uv: &dyn Ultracall, buffer: HostAddr, handle: u64, offset: u64, size: u32) -> Result<(), UvError> {
    checked(uv, UltracallNumber::UV_READ_MEM, &[buffer.0, handle, offset, size.into()]).map(drop)
}

/// `UV_WRITE_MEM`: the other direction of [`read_mem`].
///
/// # Errors
/// As [`read_mem`].
pub fn write_mem(uv: &dyn Ultracall, buffer: HostAddr, handle: u64, offset: u64, size: u32) -> Result<(), UvError> {
    checked(uv, UltracallNumber::UV_WRITE_MEM, &[buffer.0, handle, offset, size.into()]).map(drop)
}

/// `UV_SEND_SBE_COMMAND`: the output of opcode 1 comes back in R4.
///
/// # Errors
/// [`UvError`]: `U_PARAMETER`, or the busy code.
pub fn send_sbe_command(uv: &dyn Ultracall, chip: u32, opcode: u64, input: u64) -> Result<u64, UvError> {
    checked(uv, UltracallNumber::UV_SEND_SBE_COMMAND, &[chip.into(), opcode, input]).map(|regs| regs.gpr[4])
}
