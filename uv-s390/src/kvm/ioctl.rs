//! Numbers of the user API (s390-ultravisor §7.1; numbers without a place there are those of Linux's public header).

use core::fmt;

/// Request numbers.
pub mod request {
    /// KVM_CHECK_EXTENSION (vm), the capability as value.
    pub const CHECK_EXTENSION: u32 = 0xae03;
    /// KVM_RUN (vcpu). The block is the shared [`KvmRun`](super::super::KvmRun) area, 2368 bytes.
    pub const RUN: u32 = 0xae80;
    /// KVM_SET_USER_MEMORY_REGION (vm), 32 bytes.
    pub const SET_USER_MEMORY_REGION: u32 = 0x4020_ae46;
    /// KVM_SET_DEVICE_ATTR (vm), 24 bytes.
    pub const SET_DEVICE_ATTR: u32 = 0x4018_aee1;
    /// KVM_GET_DEVICE_ATTR (vm), 24 bytes.
    pub const GET_DEVICE_ATTR: u32 = 0x4018_aee2;
    /// KVM_HAS_DEVICE_ATTR (vm), 24 bytes.
    pub const HAS_DEVICE_ATTR: u32 = 0x4018_aee3;
    /// KVM_S390_PV_COMMAND (vm).
    pub const PV_COMMAND: u32 = 0xc020_aec5;
    /// KVM_S390_PV_CPU_COMMAND (vcpu).
    pub const PV_CPU_COMMAND: u32 = 0xc020_aed0;
    /// KVM_S390_NORMAL_RESET (vcpu).
    pub const NORMAL_RESET: u32 = 0xaec3;
    /// KVM_S390_CLEAR_RESET (vcpu).
    pub const CLEAR_RESET: u32 = 0xaec4;
    /// KVM_S390_INITIAL_RESET (vcpu).
    pub const INITIAL_RESET: u32 = 0xae97;
    /// KVM_GET_MP_STATE (vcpu), 4 bytes.
    pub const GET_MP_STATE: u32 = 0x8004_ae98;
    /// KVM_SET_MP_STATE (vcpu), 4 bytes.
    pub const SET_MP_STATE: u32 = 0x4004_ae99;
    /// KVM_GET_ONE_REG (vcpu), 16 bytes.
    pub const GET_ONE_REG: u32 = 0x4010_aeab;
    /// KVM_SET_ONE_REG (vcpu), 16 bytes.
    pub const SET_ONE_REG: u32 = 0x4010_aeac;
    /// KVM_CREATE_IRQCHIP (vm).
    pub const CREATE_IRQCHIP: u32 = 0xae60;
    /// KVM_ENABLE_CAP (vm and vcpu), 104 bytes.
    pub const ENABLE_CAP: u32 = 0x4068_aea3;
    /// KVM_S390_STORE_STATUS (vcpu), the place as value.
    pub const STORE_STATUS: u32 = 0x4008_ae95;
    /// KVM_S390_SET_INITIAL_PSW (vcpu), 16 bytes: mask and address.
    pub const SET_INITIAL_PSW: u32 = 0x4010_ae96;
    /// KVM_S390_SET_IRQ_STATE (vcpu), 32 bytes.
    pub const SET_IRQ_STATE: u32 = 0x4020_aeb5;
    /// KVM_S390_GET_IRQ_STATE (vcpu), 32 bytes.
    pub const GET_IRQ_STATE: u32 = 0x4020_aeb6;
    /// KVM_S390_INTERRUPT (vm and vcpu), 16 bytes.
    pub const INTERRUPT: u32 = 0x4010_ae94;
    /// KVM_S390_IRQ (vcpu), 72 bytes.
    pub const IRQ: u32 = 0x4048_aeb4;
    /// KVM_S390_MEM_OP (vm and vcpu), 64 bytes.
    pub const MEM_OP: u32 = 0x4040_aeb1;
}

/// Capability numbers.
pub mod capability {
    /// Memory regions that user space gives.
    pub const USER_MEMORY: u64 = 3;
    /// CPU states.
    pub const MP_STATE: u64 = 14;
    /// KVM_ENABLE_CAP of a vCPU.
    pub const ENABLE_CAP: u64 = 54;
    /// Single registers.
    pub const ONE_REG: u64 = 70;
    /// Registers in the shared area of a vCPU.
    pub const SYNC_REGS: u64 = 74;
    /// User space has the channel subsystem.
    pub const CSS_SUPPORT: u64 = 85;
    /// KVM_ENABLE_CAP of a VM.
    pub const ENABLE_CAP_VM: u64 = 98;
    /// KVM_CREATE_IRQCHIP, with interruption routes.
    pub const IRQCHIP: u64 = 99;
    /// User space serves SIGP.
    pub const USER_SIGP: u64 = 106;
    /// Vector registers for the guest.
    pub const VECTOR_REGISTERS: u64 = 107;
    /// User space completes STSI.
    pub const USER_STSI: u64 = 109;
    /// Pending interruptions of a vCPU can be read and set.
    pub const IRQ_STATE: u64 = 114;
    /// User space serves the instruction 0x0000.
    pub const USER_INSTR0: u64 = 130;
    /// The guest may be mapped with 1 MiB frames.
    pub const HPAGE_1M: u64 = 156;
    /// Interruptions of a vCPU with all their data (KVM_S390_IRQ).
    pub const INJECT_IRQ: u64 = 113;
    /// The three CPU resets.
    pub const VCPU_RESETS: u64 = 179;
    /// Protected VMs.
    pub const PROTECTED: u64 = 180;
    /// Dumps of protected VMs.
    pub const PROTECTED_DUMP: u64 = 217;
    /// Ending protection asynchronously.
    pub const PROTECTED_ASYNC_DISABLE: u64 = 224;
}

/// Command of `KVM_S390_PV_COMMAND`. Open: user space may send anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PvCommand(pub u32);

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl PvCommand {
            $($(#[$doc])* pub const $name: Self = Self($value);)*
        }

        impl fmt::Debug for PvCommand {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$name => f.write_str(concat!("KVM_PV_", stringify!($name))),)*
                    Self(other) => write!(f, "KVM_PV command {other}"),
                }
            }
        }
    };
}

commands! {
    /// Begins protection.
    ENABLE = 0;
    /// Ends protection.
    DISABLE = 1;
    /// Gives the SE header.
    SET_SEC_PARMS = 2;
    /// Unpacks a component.
    UNPACK = 3;
    /// Verifies the image.
    VERIFY = 4;
    /// Prepares a reset.
    PREP_RESET = 5;
    /// Unshares all pages.
    UNSHARE_ALL = 6;
    /// Queries.
    INFO = 7;
    /// Dumps.
    DUMP = 8;
    /// Sets the configuration aside.
    ASYNC_CLEANUP_PREPARE = 9;
    /// Ends what was set aside.
    ASYNC_CLEANUP_PERFORM = 10;
}

impl fmt::Display for PvCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
