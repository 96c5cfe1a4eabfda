//! Attributes of a VM: its CPU model, with the Ultravisor features that its protected life may use (s390-ultravisor §7.1); how far
//! its memory reaches, its clock, its cryptography (Linux's public headers).

use core::mem::size_of;

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Argument of KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR, KVM_HAS_DEVICE_ATTR: 24 bytes. The value lies in user space, at the
/// address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DeviceAttr {
    /// Zero.
    pub flags: U32,
    /// [`attr::MEM_CTRL`], [`attr::TOD`], [`attr::CRYPTO`], [`attr::CPU_MODEL`]; of the FLIC [`flic_group`](super::flic_group).
    pub group: U32,
    /// [`attr`].
    pub attr: U64,
    /// Address of the value.
    pub addr: U64,
}
const _: () = assert!(size_of::<DeviceAttr>() == 24);

impl DeviceAttr {
    /// An attribute of a group.
    #[must_use]
    pub fn new(group: u32, attr: u64) -> Self {
        Self { flags: 0.into(), group: group.into(), attr: attr.into(), addr: 0.into() }
    }

    /// An attribute of the CPU model.
    #[must_use]
    pub fn cpu_model(attr: u64) -> Self {
        Self::new(attr::CPU_MODEL, attr)
    }
}

/// Groups and attributes.
pub mod attr {
    /// Group: memory of the VM.
    pub const MEM_CTRL: u32 = 0;
    /// Collaborative memory management is switched on; not on this machine.
    pub const ENABLE_CMMA: u64 = 0;
    /// Its states are cleared; not on this machine.
    pub const CLR_CMMA: u64 = 1;
    /// Highest guest address, in bytes, 8 bytes. Reading gives what the VM was made with; it can be lowered, for the tables,
    /// before the first vCPU is made.
    pub const LIMIT_SIZE: u64 = 2;
    /// Group: TOD clock of the VM.
    pub const TOD: u32 = 1;
    /// The clock, 8 bytes.
    pub const TOD_LOW: u64 = 0;
    /// Its epoch index, 1 byte: 0.
    pub const TOD_HIGH: u64 = 1;
    /// Both, [`TodClock`](super::TodClock).
    pub const TOD_EXT: u64 = 2;
    /// Group: cryptography.
    pub const CRYPTO: u32 = 2;
    /// Keys can be wrapped with AES; no value, as with the others of this group.
    pub const ENABLE_AES_KW: u64 = 0;
    /// Keys can be wrapped with DEA.
    pub const ENABLE_DEA_KW: u64 = 1;
    /// No more with AES.
    pub const DISABLE_AES_KW: u64 = 2;
    /// No more with DEA.
    pub const DISABLE_DEA_KW: u64 = 3;
    /// AP instructions are interpreted; not on this machine.
    pub const ENABLE_APIE: u64 = 4;
    /// They are intercepted.
    pub const DISABLE_APIE: u64 = 5;
    /// Group: CPU model of the VM.
    pub const CPU_MODEL: u32 = 3;
    /// The CPU that guests see, [`CpuProcessor`](super::CpuProcessor). Can be set before the first vCPU is made, as the next two.
    pub const PROCESSOR: u64 = 0;
    /// The CPU of the machine, [`CpuMachine`](super::CpuMachine), read only.
    pub const MACHINE: u64 = 1;
    /// Features of interpretive execution that guests have: 128 bytes.
    pub const PROCESSOR_FEAT: u64 = 2;
    /// Those of the machine, read only.
    pub const MACHINE_FEAT: u64 = 3;
    /// What the query functions of the guest's instructions answer: 2048 bytes.
    pub const PROCESSOR_SUBFUNC: u64 = 4;
    /// What those of the machine do, read only.
    pub const MACHINE_SUBFUNC: u64 = 5;
    /// Features that protected guests of this VM have: 8 bytes, bits as in [`Features`](crate::abi::uvcb::Features). Can be set before
    /// the first vCPU is made.
    pub const PROCESSOR_UV_FEAT_GUEST: u64 = 6;
    /// Features that the machine has for them: 8 bytes, read only.
    pub const MACHINE_UV_FEAT_GUEST: u64 = 7;
}

/// Bytes of the feature bits.
pub const CPU_FEAT_BYTES: usize = 128;
/// Bytes of the answers of the query functions.
pub const CPU_SUBFUNC_BYTES: usize = 2048;

/// Value of [`attr::PROCESSOR`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CpuProcessor {
    /// CPU id, as STIDP stores it.
    pub cpuid: U64,
    /// Instruction blocking control.
    pub ibc: U16,
    /// Zero.
    pub pad: [u8; 6],
    /// Facilities, as STFLE stores them.
    pub fac_list: [U64; 256],
}
const _: () = assert!(size_of::<CpuProcessor>() == 2064);

/// Value of [`attr::MACHINE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CpuMachine {
    /// CPU id.
    pub cpuid: U64,
    /// Lowest (upper half) and highest (lower half) instruction blocking control.
    pub ibc: U32,
    /// Zero.
    pub pad: [u8; 4],
    /// Facilities that guests may have.
    pub fac_mask: [U64; 256],
    /// Facilities of the machine.
    pub fac_list: [U64; 256],
}
const _: () = assert!(size_of::<CpuMachine>() == 4112);

/// Value of [`attr::TOD_EXT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TodClock {
    /// Epoch index.
    pub epoch_idx: u8,
    /// Not looked at.
    pub pad: [u8; 7],
    /// The clock.
    pub tod: U64,
}
const _: () = assert!(size_of::<TodClock>() == 16);
