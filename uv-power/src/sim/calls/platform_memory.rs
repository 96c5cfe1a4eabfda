//! `UV_READ_MEM` and `UV_WRITE_MEM` (R4 buffer, R5 handle, R6 offset, R7 size; power-pef §3.6).
//!
//! | # | check | documented | firmware |
//! |---|---|---|---|
//! | 1 | buffer 0, size 0 | `U_PARAMETER` | `U_PARAMETER` |
//! | 2 | buffer in secure memory or not there | `U_PARAMETER` | `U_PARAMETER` (not checked in the published code) |
//! | 3 | handle unknown, range not listed | `U_PERMISSION` | `U_PERMISSION` |
//! | - | copied | `U_SUCCESS` | `U_SUCCESS` |
//!
//! The published code splits the handle in two ways: reading takes id = handle >> 32, type = handle & 0xf, writing takes
//! type = handle >> 32, id = the low half. Which one callers follow is not known; each call keeps its own way.

use uv_core::HostAddr;

use super::super::inner::Inner;
use super::super::platform::PlatformMemory;
use crate::abi::codes::UvCode;
use crate::abi::numbers::SECURE_ADDRESS;
use crate::abi::regs::Regs;

struct Request {
    buffer: HostAddr,
    handle: u64,
    offset: u64,
    size: usize,
}

fn request(machine: &Inner, regs: &Regs) -> Option<Request> {
    let buffer = HostAddr(regs.gpr[4]);
    let size = u32::try_from(regs.gpr[7] & u64::from(u32::MAX)).ok()?;
    let reachable = buffer.0 & SECURE_ADDRESS == 0
        && buffer.0 != 0
        && size != 0
        && machine.platform.memory.check(buffer, size.into()).is_ok();
    let size = usize::try_from(size).ok()?;
    reachable.then_some(Request { buffer, handle: regs.gpr[5], offset: regs.gpr[6], size })
}

pub(super) fn read(machine: &Inner, regs: &Regs) -> UvCode {
    let Some(request) = request(machine, regs) else { return UvCode::U_PARAMETER };
    let (id, kind) = PlatformMemory::read_handle(request.handle);
    let regions = machine.platform.regions.lock();
    let Some(bytes) = regions.readable(id, kind, request.offset, request.size) else { return UvCode::U_PERMISSION };
    match machine.platform.memory.write(request.buffer, bytes) {
        Ok(()) => UvCode::U_SUCCESS,
        Err(_) => UvCode::U_PARAMETER,
    }
}

pub(super) fn write(machine: &Inner, regs: &Regs) -> UvCode {
    let Some(request) = request(machine, regs) else { return UvCode::U_PARAMETER };
    let (id, kind) = PlatformMemory::write_handle(request.handle);
    let mut regions = machine.platform.regions.lock();
    let Some(bytes) = regions.writable(id, kind, request.offset, request.size) else { return UvCode::U_PERMISSION };
    match machine.platform.memory.read(request.buffer, bytes) {
        Ok(()) => UvCode::U_SUCCESS,
        Err(_) => UvCode::U_PARAMETER,
    }
}
