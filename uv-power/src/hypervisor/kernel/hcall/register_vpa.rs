//! `H_REGISTER_VPA`: a virtual CPU names an area in its memory (R4 function, R5 virtual CPU, R6 address).
//!
//! The function is a number in bits 16–18 of R4, counted from the most significant one.
//!
//! | # | condition | result |
//! |---|---|---|
//! | 1 | register: address 0 or not a multiple of 128, in no memory slot, not readable | `H_PARAMETER` |
//! | 2 | register: the length that the area tells is too short, or passes the end of its page | `H_PARAMETER` |
//! | 3 | register a log or a shadow before the VPA | `H_RESOURCE` |
//! | 4 | take the VPA away while a log or a shadow is registered | `H_RESOURCE` |
//! | 5 | unknown function | `H_PARAMETER` |
//!
//! The host reads the length from guest memory. A page that the guest did not share is paged out by that, and what the host
//! finds is ciphertext.

use uv_core::GuestAddr;

use crate::abi::codes::HvCode;
use crate::hypervisor::kernel::{AreaKind, GuestArea, Vm};

/// Where R4 holds the function.
const FUNCTION_SHIFT: u32 = 63 - 18;
const FUNCTION_MASK: u64 = 7;
/// An area begins at a cache line.
const LINE: u64 = 128;

pub(super) fn register_vpa(vm: &Vm, [function, vcpu, at]: [u64; 3]) -> HvCode {
    let Ok(vcpu) = u32::try_from(vcpu) else { return HvCode::H_PARAMETER };
    let (kind, register) = match function >> FUNCTION_SHIFT & FUNCTION_MASK {
        1 => (AreaKind::Vpa, true),
        2 => (AreaKind::DispatchTraceLog, true),
        3 => (AreaKind::SlbShadow, true),
        5 => (AreaKind::Vpa, false),
        6 => (AreaKind::DispatchTraceLog, false),
        7 => (AreaKind::SlbShadow, false),
        _ => return HvCode::H_PARAMETER,
    };
    let area = if register {
        match read_area(vm, kind, GuestAddr(at)) {
            Some(area) => Some(area),
            None => return HvCode::H_PARAMETER,
        }
    } else {
        None
    };
    let mut areas = vm.areas.lock();
    let has = |kind| areas.contains_key(&(vcpu, kind));
    let follows = has(AreaKind::DispatchTraceLog) || has(AreaKind::SlbShadow);
    if match (kind, register) {
        (AreaKind::Vpa, false) => follows,
        (_, true) => kind != AreaKind::Vpa && !has(AreaKind::Vpa),
        (_, false) => false,
    } {
        return HvCode::H_RESOURCE;
    }
    let before = match area {
        Some(area) if vm.pin(Vm::PAGE_SIZE.gfn(area.at)).is_err() => return HvCode::H_PARAMETER,
        Some(area) => areas.insert((vcpu, kind), area),
        None => areas.remove(&(vcpu, kind)),
    };
    if let Some(area) = before {
        vm.unpin(Vm::PAGE_SIZE.gfn(area.at));
    }
    HvCode::H_SUCCESS
}

/// Reads the length that stands in the area: 16 bits at offset 4 for a VPA, 32 bits there for the others.
fn read_area(vm: &Vm, kind: AreaKind, at: GuestAddr) -> Option<GuestArea> {
    if at.0 == 0 || !at.0.is_multiple_of(LINE) {
        return None;
    }
    vm.host_touches(Vm::PAGE_SIZE.gfn(at)).ok()?;
    let mut header = [0; 8];
    vm.host.memory.read(vm.host_addr(at)?, &mut header).ok()?;
    let [_, _, _, _, low @ ..] = header;
    let len = match (kind, low) {
        (AreaKind::Vpa, [high, low, ..]) => u32::from(u16::from_be_bytes([high, low])),
        (_, low) => u32::from_be_bytes(low),
    };
    let least = match kind {
        AreaKind::Vpa => 640,
        AreaKind::DispatchTraceLog => 48,
        AreaKind::SlbShadow => 8,
    };
    let room = Vm::PAGE_SIZE.size() - Vm::PAGE_SIZE.offset(at.0);
    (len >= least && u64::from(len) <= room).then_some(GuestArea { at, len })
}
