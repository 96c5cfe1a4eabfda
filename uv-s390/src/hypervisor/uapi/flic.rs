//! The floating interruption controller: groups of attributes and their values (Linux's public header asm/kvm.h of s390; big
//! endian as on the machine).

use core::mem::{offset_of, size_of};

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Groups; what the attribute is stands with each.
pub mod flic_group {
    /// Reads all that is pending: [`IrqBlock`](super::super::IrqBlock)s; the attribute is the bytes of room.
    pub const GET_ALL_IRQS: u32 = 1;
    /// Makes interruptions pending: [`IrqBlock`](super::super::IrqBlock)s; the attribute is their bytes.
    pub const ENQUEUE: u32 = 2;
    /// Takes all away.
    pub const CLEAR_IRQS: u32 = 3;
    /// Switches asynchronous page faults on.
    pub const APF_ENABLE: u32 = 4;
    /// Switches them off, and waits for those under way.
    pub const APF_DISABLE_WAIT: u32 = 5;
    /// Makes an adapter known: [`IoAdapter`](super::IoAdapter).
    pub const ADAPTER_REGISTER: u32 = 6;
    /// Changes an adapter: [`IoAdapterReq`](super::IoAdapterReq).
    pub const ADAPTER_MODIFY: u32 = 7;
    /// Takes the I/O interruptions of a subchannel away: 4 bytes, its identification and number; the attribute is 4.
    pub const CLEAR_IO_IRQ: u32 = 8;
    /// Suppression of adapter interruptions of a subclass; not on this machine.
    pub const AISM: u32 = 9;
    /// Injects an interruption of an adapter, whose number is the attribute.
    pub const AIRQ_INJECT: u32 = 10;
    /// Suppression of adapter interruptions; not on this machine.
    pub const AISM_ALL: u32 = 11;
}

/// Value of [`flic_group::ADAPTER_REGISTER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IoAdapter {
    /// Number of the adapter, below [`IoAdapter::MAX`].
    pub id: U32,
    /// Interruption subclass.
    pub isc: u8,
    /// Whether it can be masked.
    pub maskable: u8,
    /// Whether its indicators are byte swapped.
    pub swap: u8,
    /// Bit 7: it can be suppressed.
    pub flags: u8,
}
layout!(IoAdapter, 8, id at 0, isc at 4, maskable at 5, swap at 6, flags at 7);

impl IoAdapter {
    /// How many adapters there can be.
    pub const MAX: u32 = 1024;
}

/// Value of [`flic_group::ADAPTER_MODIFY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IoAdapterReq {
    /// Number of the adapter.
    pub id: U32,
    /// 1: mask; 2 and 3: map and unmap its indicators, which needs nothing done.
    pub kind: u8,
    /// Whether it is masked.
    pub mask: u8,
    /// Zero.
    pub pad0: U16,
    /// Guest address of the indicators.
    pub addr: U64,
}
layout!(IoAdapterReq, 16, id at 0, kind at 4, mask at 5, pad0 at 6, addr at 8);
