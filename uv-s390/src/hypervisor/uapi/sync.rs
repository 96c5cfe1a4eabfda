//! Registers that user space and the kernel exchange through the `kvm_run` area (Linux's public header asm/kvm.h of s390; big
//! endian as on the machine).

use core::mem::{offset_of, size_of};

use bitflags::bitflags;
use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

bitflags! {
    /// Groups of registers in [`SyncRegs`] (KVM_SYNC_*).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct SyncFields: u64 {
        /// Prefix.
        const PREFIX = 1;
        /// General registers. They are taken at every run, marked or not.
        const GPRS = 1 << 1;
        /// Access registers. They are taken at every run, marked or not.
        const ACRS = 1 << 2;
        /// Control registers.
        const CRS = 1 << 3;
        /// TOD programmable register, CPU timer, clock comparator, program parameter, breaking-event address.
        const ARCH0 = 1 << 4;
        /// Asynchronous page faults.
        const PFAULT = 1 << 5;
        /// Vector registers. They are taken at every run, marked or not.
        const VRS = 1 << 6;
        /// Runtime instrumentation.
        const RICCB = 1 << 7;
        /// Floating-point registers, where there are no vector registers.
        const FPRS = 1 << 8;
        /// Guarded storage.
        const GSCB = 1 << 9;
        /// Branch-prediction control.
        const BPBC = 1 << 10;
        /// ETOKEN.
        const ETOKEN = 1 << 11;
        /// DIAGNOSE 0x318.
        const DIAG318 = 1 << 12;
    }
}

impl SyncFields {
    /// The groups that this kernel keeps.
    pub const KEPT: Self = Self::PREFIX
        .union(Self::GPRS)
        .union(Self::ACRS)
        .union(Self::CRS)
        .union(Self::ARCH0)
        .union(Self::PFAULT)
        .union(Self::VRS);
}

/// Registers of a vCPU as user space and the kernel exchange them (`kvm_sync_regs`, 1984 bytes).
///
/// For a protected CPU the general registers are those of the save area; the rest is not the guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SyncRegs {
    /// Prefix.
    pub prefix: U64,
    /// General registers.
    pub gprs: [U64; 16],
    /// Access registers.
    pub acrs: [U32; 16],
    /// Control registers.
    pub crs: [U64; 16],
    /// TOD programmable register.
    pub todpr: U64,
    /// CPU timer.
    pub cputm: U64,
    /// Clock comparator.
    pub ckc: U64,
    /// Program parameter.
    pub pp: U64,
    /// Breaking-event address.
    pub gbea: U64,
    /// Token of asynchronous page faults.
    pub pft: U64,
    /// PSW mask bits that are compared for them.
    pub pfs: U64,
    /// What they are compared with.
    pub pfc: U64,
    /// Vector registers; the left halves of the first 16 are the floating-point registers.
    pub vrs: [[U64; 2]; 32],
    /// Room for longer vectors.
    pub reserved: [u8; 512],
    /// Floating-point control.
    pub fpc: U32,
    /// Branch-prediction control in bit 0.
    pub bpbc: u8,
    /// Zero.
    pub padding1: [u8; 51],
    /// Runtime-instrumentation control block.
    pub riccb: [u8; 64],
    /// What DIAGNOSE 0x318 set.
    pub diag318: U64,
    /// Zero.
    pub padding2: [u8; 184],
    /// Guarded storage and ETOKEN.
    pub sdnx: [u8; 256],
}
layout!(
    SyncRegs, 1984, prefix at 0, gprs at 8, acrs at 136, crs at 200, todpr at 328, cputm at 336, ckc at 344, pp at 352,
    gbea at 360, pft at 368, pfs at 376, pfc at 384, vrs at 392, reserved at 904, fpc at 1416, bpbc at 1420,
    riccb at 1472, diag318 at 1536, sdnx at 1728,
);
