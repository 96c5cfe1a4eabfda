//! Structures of the user API, big endian as on the machine (s390-ultravisor §7.2).

use core::mem::{offset_of, size_of};

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::PvCommand;

/// Argument of `KVM_S390_PV_COMMAND` and `KVM_S390_PV_CPU_COMMAND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PvCmd {
    /// [`PvCommand`].
    pub cmd: U32,
    /// Out: the Ultravisor's rc.
    pub rc: U16,
    /// Out: the Ultravisor's rrc.
    pub rrc: U16,
    /// Address of the command's own structure.
    pub data: U64,
    /// Zero.
    pub flags: U32,
    /// Zero.
    pub reserved: [U32; 3],
}
layout!(PvCmd, 32, cmd at 0, rc at 4, rrc at 6, data at 8, flags at 16, reserved at 20);

impl PvCmd {
    /// A command without flags.
    #[must_use]
    pub fn new(command: PvCommand) -> Self {
        Self { cmd: command.0.into(), ..Self::new_zeroed() }
    }
}

/// Data of SET_SEC_PARMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SecParm {
    /// Address of the SE header in user space.
    pub origin: U64,
    /// Its length in bytes.
    pub length: U64,
}
layout!(SecParm, 16, origin at 0, length at 8);

/// Data of UNPACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Unp {
    /// Guest absolute address.
    pub addr: U64,
    /// Bytes, a multiple of the page size.
    pub size: U64,
    /// Tweak prefix.
    pub tweak: U64,
}
layout!(Unp, 24, addr at 0, size at 8, tweak at 16);

/// Data of DUMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Dmp {
    /// [`dump_sub`].
    pub subcmd: U64,
    /// Address of the buffer in user space.
    pub buff_addr: U64,
    /// Its length in bytes.
    pub buff_len: U64,
    /// Guest address for CONFIG_STOR_STATE.
    pub gaddr: U64,
    /// Zero.
    pub reserved: [U64; 4],
}
layout!(Dmp, 64, subcmd at 0, buff_addr at 8, buff_len at 16, gaddr at 24, reserved at 32);

/// Subcommands of DUMP.
pub mod dump_sub {
    /// Begins (vm).
    pub const INIT: u64 = 0;
    /// Tweaks of guest storage (vm).
    pub const CONFIG_STOR_STATE: u64 = 1;
    /// Ends (vm).
    pub const COMPLETE: u64 = 2;
    /// Registers of a CPU (vcpu).
    pub const CPU: u64 = 3;
}

/// Header of the data of INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InfoHeader {
    /// 0 VM, 1 DUMP.
    pub id: U32,
    /// Bytes of the whole structure that user space has room for.
    pub len_max: U32,
    /// Out: bytes written.
    pub len_written: U32,
    /// Zero.
    pub reserved: U32,
}
layout!(InfoHeader, 16, id at 0, len_max at 4, len_written at 8, reserved at 12);

/// Ids of INFO.
pub mod info_id {
    /// [`InfoVm`](super::InfoVm).
    pub const VM: u32 = 0;
    /// [`InfoDump`](super::InfoDump).
    pub const DUMP: u32 = 1;
}

/// Payload of INFO for a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InfoVm {
    /// Installed UV calls.
    pub inst_calls: [U64; 4],
    /// Most CPUs of a VM.
    pub max_cpus: U64,
    /// Most protected VMs.
    pub max_guests: U64,
    /// Highest guest address.
    pub max_guest_addr: U64,
    /// Feature indications.
    pub feature_indication: U64,
}
layout!(
    InfoVm, 64, inst_calls at 0, max_cpus at 32, max_guests at 40, max_guest_addr at 48, feature_indication at 56,
);

/// Payload of INFO for a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InfoDump {
    /// Bytes of a CPU's dump.
    pub cpu_buffer_len: U64,
    /// Bytes of tweaks for each MiB.
    pub config_mem_buffer_per_1m: U64,
    /// Bytes of completion data.
    pub config_finalize_len: U64,
}
layout!(InfoDump, 24, cpu_buffer_len at 0, config_mem_buffer_per_1m at 8, config_finalize_len at 16);

/// Argument of `KVM_SET_USER_MEMORY_REGION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MemoryRegion {
    /// Address space in the upper half (0), number of the slot in the lower.
    pub slot: U32,
    /// Flags; none is known here.
    pub flags: U32,
    /// Guest absolute address, a multiple of 1 MiB.
    pub guest_phys_addr: U64,
    /// Bytes, a multiple of 1 MiB; 0 takes the slot out.
    pub memory_size: U64,
    /// Address in user space, a multiple of 1 MiB. Here: host absolute.
    pub userspace_addr: U64,
}
layout!(MemoryRegion, 32, slot at 0, flags at 4, guest_phys_addr at 8, memory_size at 16, userspace_addr at 24);

/// Argument of `KVM_ENABLE_CAP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct EnableCap {
    /// [`capability`](super::capability).
    pub cap: U32,
    /// Zero.
    pub flags: U32,
    /// Arguments of the capability; none here has any.
    pub args: [U64; 4],
    /// Zero.
    pub pad: [u8; 64],
}
layout!(EnableCap, 104, cap at 0, flags at 4, args at 8, pad at 40);

/// Argument of `KVM_S390_GET_IRQ_STATE` and `KVM_S390_SET_IRQ_STATE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IrqState {
    /// Address of an array of [`IrqBlock`](super::IrqBlock).
    pub buf: U64,
    /// Not looked at.
    pub flags: U32,
    /// Bytes of the array.
    pub len: U32,
    /// Zero.
    pub reserved: [U32; 4],
}
layout!(IrqState, 32, buf at 0, flags at 8, len at 12, reserved at 16);

/// Argument of `KVM_CREATE_DEVICE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CreateDevice {
    /// [`CreateDevice::FLIC`].
    pub kind: U32,
    /// Out: file descriptor.
    pub fd: U32,
    /// [`CreateDevice::TEST`].
    pub flags: U32,
}
layout!(CreateDevice, 12, kind at 0, fd at 4, flags at 8);

impl CreateDevice {
    /// The floating interruption controller.
    pub const FLIC: u32 = 6;
    /// Flag: only whether there is such a device.
    pub const TEST: u32 = 1;
}

/// Argument of `KVM_IOEVENTFD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IoEventFd {
    /// Number of the queue.
    pub datamatch: U64,
    /// Subchannel identification and number.
    pub addr: U64,
    /// Bytes: 0, 1, 2, 4, 8.
    pub len: U32,
    /// File descriptor.
    pub fd: U32,
    /// [`IoEventFd::DATAMATCH`], [`IoEventFd::DEASSIGN`], [`IoEventFd::VIRTIO_CCW_NOTIFY`].
    pub flags: U32,
    /// Zero.
    pub pad: [u8; 36],
}
layout!(IoEventFd, 64, datamatch at 0, addr at 8, len at 16, fd at 20, flags at 24, pad at 28);

impl IoEventFd {
    /// Flag: only notifications of the queue `datamatch`.
    pub const DATAMATCH: u32 = 1;
    /// Flag: takes it back.
    pub const DEASSIGN: u32 = 4;
    /// Flag: notifications of virtio devices on channels.
    pub const VIRTIO_CCW_NOTIFY: u32 = 8;
}
