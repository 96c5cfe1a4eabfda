//! Attributes of a VM: which Ultravisor features its protected life may use (s390-ultravisor §7.1), how far its memory reaches
//! (Linux's public headers).

use core::mem::size_of;

use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Argument of KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR, KVM_HAS_DEVICE_ATTR: 24 bytes. The value lies in user space, at the
/// address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DeviceAttr {
    /// Zero.
    pub flags: U32,
    /// [`attr::CPU_MODEL`], [`attr::MEM_CTRL`].
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
    /// Group: CPU model of the VM.
    pub const CPU_MODEL: u32 = 3;
    /// Features that protected guests of this VM have: 8 bytes, bits as in [`Features`](crate::abi::uvcb::Features). Can be set before
    /// the first vCPU is made.
    pub const PROCESSOR_UV_FEAT_GUEST: u64 = 6;
    /// Features that the machine has for them: 8 bytes, read only.
    pub const MACHINE_UV_FEAT_GUEST: u64 = 7;
}
