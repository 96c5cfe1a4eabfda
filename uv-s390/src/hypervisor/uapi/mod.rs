//! KVM's user API for VMs that become protected: what a VMM needs to run one, before, while and after it is protected.
//!
//! Who uses it: the VMM, over a real `/dev/kvm` or over [`kernel`](super::kernel), and who stands in for that kernel.
//!
//! | part | job |
//! |---|---|
//! | [`System`] | `/dev/kvm`: what comes before a VM |
//! | [`KvmPv`] | the seam: one ioctl as values |
//! | [`request`], [`capability`], [`PvCommand`] | its numbers |
//! | `structs` | its structures |
//! | [`KvmRun`], [`SyncRegs`], [`SyncFields`], [`ExitReason`] | the shared area of a vCPU, for `KVM_RUN` |
//! | [`OneReg`], [`RegId`] | single registers |
//! | [`DeviceAttr`], [`attr`] | CPU model, memory, clock, cryptography |
//! | [`flic_group`], [`IoAdapter`] | the floating interruption controller |
//! | [`addresses`] | which field of which structure is an address |
//! | [`MemOp`], [`SKeys`] | guest storage, the SIDA, storage keys |
//! | [`Interrupt`], [`IrqBlock`], [`irq_type`] | interruptions to be injected |
//! | `kernel` | the kernel's side: [`Vm`](crate::hypervisor::kernel::Vm) answers the ioctls |
//! | [`client`] | user space's side: each command as a function |
//!
//! What user space writes against [`KvmPv`] runs on the kernel of this library; an implementor for `/dev/kvm` only has to
//! pass addresses instead of slices.
//!
//! Source: s390-ultravisor §7; layouts and numbers without a place there are those of Linux's public headers.

/// Asserts size and offsets of a structure.
macro_rules! layout {
    ($type:ident, $size:literal, $($field:ident at $offset:literal),+ $(,)?) => {
        const _: () = {
            assert!(size_of::<$type>() == $size);
            $(assert!(offset_of!($type, $field) == $offset);)+
        };
    };
}

use crate::abi::Errno;
pub use flic::{IoAdapter, IoAdapterReq, flic_group};
pub use interrupt::{Interrupt, IrqBlock, MchkInfo, PgmInfo, STOP_FLAG_STORE_STATUS, irq_type, pgm_flags};
pub use ioctl::{PvCommand, capability, request};
pub use model::{CPU_FEAT_BYTES, CPU_SUBFUNC_BYTES, CpuMachine, CpuProcessor, DeviceAttr, TodClock, attr};
pub use one_reg::{OneReg, RegId};
pub use run::{ExitReason, KvmRun, Sieic, Stsi, Tsch};
pub use storage::{MemOp, SKeys, mem_op, mem_op_extension, mem_op_flags};
pub use structs::{
    CreateDevice, Dmp, EnableCap, InfoDump, InfoHeader, InfoVm, IoEventFd, IrqState, MemoryRegion, PvCmd, SecParm, Unp,
    dump_sub, info_id,
};
pub use sync::{SyncFields, SyncRegs};
pub use system::{System, SystemAnswer};

pub mod addresses;
pub mod client;
mod flic;
mod interrupt;
mod ioctl;
mod kernel;
mod model;
mod one_reg;
mod run;
mod storage;
mod structs;
mod sync;
mod system;

/// Which file descriptor an ioctl is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The VM.
    Vm,
    /// The vCPU with this number.
    Vcpu(u16),
    /// The floating interruption controller of the VM.
    Flic,
}

/// Argument of an ioctl, with what its addresses point to.
///
/// On the machine these are three pieces of user space linked by addresses: the ioctl's structure; what its address
/// field (`data`, `buf`) points to; and what that one's address field (`origin`, `buff_addr`) points to. An implementor for a real
/// kernel stores the addresses of the slices in those fields; a field's value in the slices themselves means nothing.
#[derive(Debug, Default)]
pub struct Argument<'a> {
    /// The argument itself, for ioctls that take a number.
    pub value: u64,
    /// The ioctl's structure.
    pub block: &'a mut [u8],
    /// What the structure's address field points to.
    pub data: &'a mut [u8],
    /// What the address field in `data` points to; for an exchange what the second address field of the structure points to.
    pub buffer: &'a mut [u8],
}

/// One ioctl on a VM or on one of its CPUs.
///
/// Who calls: user space, from any thread.
pub trait KvmPv: Send + Sync {
    /// Issues the ioctl and returns its value (0 where it has none). Output fields are stored in the argument.
    ///
    /// # Errors
    /// The error number. A piece of the argument that is shorter than what the kernel copies gives [`Errno::EFAULT`].
    fn ioctl(&self, target: Target, request: u32, argument: &mut Argument<'_>) -> Result<u64, Errno>;
}

impl<T: KvmPv + ?Sized> KvmPv for &T {
    fn ioctl(&self, target: Target, request: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
        (**self).ioctl(target, request, argument)
    }
}

impl<T: KvmPv + ?Sized> KvmPv for alloc::sync::Arc<T> {
    fn ioctl(&self, target: Target, request: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
        (**self).ioctl(target, request, argument)
    }
}
